//! Binary frames: packets to the gateway, messages to the client. (protocol: gateway 9)

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::link_cipher::{GcmSiv, LinkCipher};
use super::shared_key::{NONCE_SIZE, SharedKey, TAG_SIZE};
use super::version::ProtocolVersion;
use crate::address::{NodeAddress, NodeAddressError};
use crate::sphinx::{KeyRotation, PacketSize};

/// Bytes in front of the body: kind, flag, nonce.
pub const FRAME_PREFIX: usize = 2 + NONCE_SIZE; // protocol: gateway 9.1
/// Bytes a frame has beyond its body.
pub const FRAME_OVERHEAD: usize = FRAME_PREFIX + TAG_SIZE;

const FORWARD: u8 = 1; // protocol: gateway 9.1
const FORWARD_V2: u8 = 2; // protocol: gateway 9.1
const PUSH: u8 = 1; // protocol: gateway 9.1
const ENCRYPTED: u8 = 1; // protocol: gateway 9.1
const MIX: u8 = 0; // protocol: gateway 9.2

/// Why a binary frame was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame, or the body inside, ends too early.
    #[error("{0} bytes are too few")]
    TooShort(usize),
    /// The kind is unknown.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// The frame is not encrypted, or its flag has no meaning.
    #[error("encryption flag {0}, only 1 is accepted")]
    Flag(u8),
    /// The frame is not encrypted under the shared key.
    #[error("not encrypted under the shared key")]
    Decryption,
    /// The packet is no Sphinx packet.
    #[error("unknown packet type {0}")]
    PacketType(u8),
    /// The key rotation has no meaning.
    #[error("unknown key rotation {0}")]
    Rotation(u8),
    /// The address of the first hop is malformed.
    #[error("first hop: {0}")]
    Address(#[from] NodeAddressError),
    /// The rest is no Sphinx packet of a known size.
    #[error("no packet has {0} bytes")]
    PacketLength(usize),
}

/// A forward request under construction: one buffer from the packet to the frame.
///
/// Build the packet in [`packet_mut`](Self::packet_mut), then [`seal`](Self::seal).
pub struct ForwardFrame {
    /// Prefix (nonce still zero), body, room for the tag.
    buffer: BytesMut,
    size: PacketSize,
}

impl ForwardFrame {
    /// A frame for a packet of `size`, which is all zero. Before version 5 the frame does not
    /// carry the rotation.
    #[must_use]
    pub fn new(
        version: ProtocolVersion,
        rotation: KeyRotation,
        first_hop: NodeAddress,
        size: PacketSize,
    ) -> Self {
        let len = Self::frame_len(version, first_hop, size);
        let mut buffer = BytesMut::with_capacity(len);
        if version.has_key_rotation() {
            buffer.extend_from_slice(&[FORWARD_V2, ENCRYPTED]);
            buffer.extend_from_slice(&[0; NONCE_SIZE]);
            buffer.extend_from_slice(&[MIX, rotation.to_byte()]);
        } else {
            buffer.extend_from_slice(&[FORWARD, ENCRYPTED]);
            buffer.extend_from_slice(&[0; NONCE_SIZE]);
            buffer.extend_from_slice(&[MIX]);
        }
        let address = first_hop.to_padded::<{ NodeAddress::SIZE_MAX }>();
        buffer.extend(address.iter().take(first_hop.encoded_len()));
        buffer.resize(len, 0);
        Self { buffer, size }
    }

    /// Bytes of a sealed frame, tag included.
    #[must_use]
    pub const fn frame_len(
        version: ProtocolVersion,
        first_hop: NodeAddress,
        size: PacketSize,
    ) -> usize {
        let kind = if version.has_key_rotation() { 2 } else { 1 };
        FRAME_OVERHEAD + kind + first_hop.encoded_len() + size.packet_len()
    }

    /// The place of the Sphinx packet.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "the buffer ends with a packet of this size and a tag since `new`"
    )]
    pub fn packet_mut(&mut self) -> &mut [u8] {
        let end = self.buffer.len() - TAG_SIZE;
        &mut self.buffer[end - self.size.packet_len()..end]
    }

    /// Encrypts the frame in place. `nonce` must be fresh.
    #[must_use]
    pub fn seal(self, key: &SharedKey, nonce: [u8; NONCE_SIZE]) -> Bytes {
        self.seal_with(&GcmSiv, key, nonce)
    }

    /// As [`seal`](Self::seal), with another cipher.
    #[must_use]
    pub fn seal_with(
        mut self,
        cipher: &dyn LinkCipher,
        key: &SharedKey,
        nonce: [u8; NONCE_SIZE],
    ) -> Bytes {
        seal_body(&mut self.buffer, cipher, key, &nonce);
        self.buffer.freeze()
    }
}

impl core::fmt::Debug for ForwardFrame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ForwardFrame({:?})", self.size)
    }
}

/// A forward request at the gateway: a packet to hand to its first hop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardRequest {
    /// The key rotation the packet was built for.
    pub rotation: KeyRotation,
    /// Where to send the packet.
    pub first_hop: NodeAddress,
    size: PacketSize,
    packet: BytesMut,
}

impl ForwardRequest {
    /// Decrypts and reads a frame, of the kind with or without rotation. The packet stays where
    /// it is.
    pub fn open(key: &SharedKey, frame: BytesMut) -> Result<Self, FrameError> {
        Self::open_with(&GcmSiv, key, frame)
    }

    /// As [`open`](Self::open), with another cipher.
    pub fn open_with(
        cipher: &dyn LinkCipher,
        key: &SharedKey,
        frame: BytesMut,
    ) -> Result<Self, FrameError> {
        let is_known = |kind| matches!(kind, FORWARD | FORWARD_V2);
        let (kind, body) = open_body(cipher, key, frame, is_known)?;
        Self::decode(kind, body)
    }

    /// The size of the packet.
    #[must_use]
    pub const fn size(&self) -> PacketSize {
        self.size
    }

    /// The Sphinx packet; its length is that of [`size`](Self::size).
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// The buffer of the Sphinx packet.
    #[must_use]
    pub fn into_packet(self) -> BytesMut {
        self.packet
    }

    fn decode(kind: u8, mut body: BytesMut) -> Result<Self, FrameError> {
        let too_short = FrameError::TooShort(body.len());
        let (&packet_type, mut rest) = body.split_first().ok_or(too_short)?;
        if packet_type != MIX {
            return Err(FrameError::PacketType(packet_type));
        }
        let mut rotation = KeyRotation::Unknown;
        if kind == FORWARD_V2 {
            let (&byte, after) = rest.split_first().ok_or(too_short)?;
            rotation = KeyRotation::from_byte(byte).ok_or(FrameError::Rotation(byte))?;
            rest = after;
        }
        let first_hop = NodeAddress::decode(rest)?;
        // the address has been read from `rest`, so it is at least that long
        let len = rest.len().saturating_sub(first_hop.encoded_len());
        let size = PacketSize::from_packet_len(len).ok_or(FrameError::PacketLength(len))?;
        Ok(Self { rotation, first_hop, size, packet: body.split_off(body.len() - len) })
    }
}

/// Encrypts a message for the client. `nonce` must be fresh.
#[must_use]
pub fn seal_push(key: &SharedKey, nonce: [u8; NONCE_SIZE], message: &[u8]) -> Bytes {
    seal_push_with(&GcmSiv, key, nonce, message)
}

/// As [`seal_push`], with another cipher.
#[must_use]
pub fn seal_push_with(
    cipher: &dyn LinkCipher,
    key: &SharedKey,
    nonce: [u8; NONCE_SIZE],
    message: &[u8],
) -> Bytes {
    let len = FRAME_OVERHEAD + message.len();
    let mut buffer = BytesMut::with_capacity(len);
    buffer.extend_from_slice(&[PUSH, ENCRYPTED]);
    buffer.extend_from_slice(&[0; NONCE_SIZE]);
    buffer.extend_from_slice(message);
    buffer.resize(len, 0);
    seal_body(&mut buffer, cipher, key, &nonce);
    buffer.freeze()
}

/// Decrypts a message from the gateway. It stays where it is in `frame`'s buffer.
pub fn open_push(key: &SharedKey, frame: BytesMut) -> Result<BytesMut, FrameError> {
    open_push_with(&GcmSiv, key, frame)
}

/// As [`open_push`], with another cipher.
pub fn open_push_with(
    cipher: &dyn LinkCipher,
    key: &SharedKey,
    frame: BytesMut,
) -> Result<BytesMut, FrameError> {
    open_body(cipher, key, frame, |kind| kind == PUSH).map(|(_, message)| message)
}

/// Fills in the nonce and the tag of a frame and encrypts what lies between.
fn seal_body(frame: &mut [u8], cipher: &dyn LinkCipher, key: &SharedKey, nonce: &[u8; NONCE_SIZE]) {
    // both callers make frames with room for prefix and tag
    if let Some((prefix, rest)) = frame.split_first_chunk_mut::<FRAME_PREFIX>()
        && let Some((body, tag)) = rest.split_last_chunk_mut::<TAG_SIZE>()
        && let Some(place) = prefix.last_chunk_mut::<NONCE_SIZE>()
    {
        *place = *nonce;
        *tag = cipher.seal_frame(key, nonce, body);
    }
}

/// The kind of a frame and its decrypted body.
fn open_body(
    cipher: &dyn LinkCipher,
    key: &SharedKey,
    mut frame: BytesMut,
    is_known: impl FnOnce(u8) -> bool,
) -> Result<(u8, BytesMut), FrameError> {
    let too_short = FrameError::TooShort(frame.len());
    let &[kind, flag, ..] = &*frame else {
        return Err(too_short);
    };
    if flag != ENCRYPTED {
        return Err(FrameError::Flag(flag));
    }
    if !is_known(kind) {
        return Err(FrameError::Kind(kind));
    }
    if frame.len() < FRAME_OVERHEAD {
        return Err(too_short);
    }
    let prefix = frame.split_to(FRAME_PREFIX);
    let nonce = prefix.last_chunk().ok_or(too_short)?;
    let (body, tag) = frame.split_last_chunk_mut::<TAG_SIZE>().ok_or(too_short)?;
    cipher.open_frame(key, nonce, body, tag).map_err(|_| FrameError::Decryption)?;
    let len = body.len();
    frame.truncate(len);
    Ok((kind, frame))
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    fn any_hop() -> impl Strategy<Value = NodeAddress> {
        any::<SocketAddr>().prop_map(NodeAddress::new)
    }

    fn any_size() -> impl Strategy<Value = PacketSize> {
        proptest::sample::select(&PacketSize::ALL[..])
    }

    fn any_version() -> impl Strategy<Value = ProtocolVersion> {
        (4..=6u8).prop_map(|n| ProtocolVersion::new(n).unwrap())
    }

    fn any_rotation() -> impl Strategy<Value = KeyRotation> {
        (0..3u8).prop_map(|byte| KeyRotation::from_byte(byte).unwrap())
    }

    fn forward(
        version: ProtocolVersion,
        rotation: KeyRotation,
        hop: NodeAddress,
        size: PacketSize,
        fill: u8,
    ) -> Bytes {
        let mut frame = ForwardFrame::new(version, rotation, hop, size);
        frame.packet_mut().fill(fill);
        frame.seal(&KEY, [4; 12])
    }

    const KEY: SharedKey = SharedKey::from_bytes([1; 32]);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn forward_frames_read_back_and_have_the_predicted_length(
            version in any_version(),
            rotation in any_rotation(),
            hop in any_hop(),
            size in any_size(),
            fill: u8,
        ) {
            let frame = forward(version, rotation, hop, size, fill);
            prop_assert_eq!(frame.len(), ForwardFrame::frame_len(version, hop, size));
            let request = ForwardRequest::open(&KEY, frame.into()).unwrap();
            let sent = if version.get() >= 5 { rotation } else { KeyRotation::Unknown };
            prop_assert_eq!(request.rotation, sent);
            prop_assert_eq!(request.first_hop, hop);
            prop_assert_eq!(request.size(), size);
            prop_assert_eq!(&request.into_packet()[..], vec![fill; size.packet_len()]);
        }

        #[test]
        fn a_flipped_bit_or_a_cut_ruins_a_forward_frame(
            hop in any_hop(),
            at: usize,
            bit in 0..8u8,
        ) {
            let frame = forward(
                ProtocolVersion::CURRENT,
                KeyRotation::Odd,
                hop,
                PacketSize::Ack,
                7,
            );
            let mut flipped = BytesMut::from(&frame[..]);
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            prop_assert!(ForwardRequest::open(&KEY, flipped).is_err());
            let cut = BytesMut::from(&frame[..at]);
            prop_assert!(ForwardRequest::open(&KEY, cut).is_err());
        }

        #[test]
        fn arbitrary_frames_are_refused(mut bytes: Vec<u8>, kind in 0..4u8, flag in 0..3u8) {
            prop_assert!(ForwardRequest::open(&KEY, BytesMut::from(&bytes[..])).is_err());
            prop_assert!(open_push(&KEY, BytesMut::from(&bytes[..])).is_err());
            bytes.splice(..0, [kind, flag]);
            prop_assert!(ForwardRequest::open(&KEY, BytesMut::from(&bytes[..])).is_err());
            prop_assert!(open_push(&KEY, BytesMut::from(&bytes[..])).is_err());
        }

        #[test]
        fn arbitrary_bodies_under_the_right_key_never_panic(
            kind in 1..3u8,
            body in proptest::collection::vec(any::<u8>(), 0..60),
            kept in 0..4usize,
        ) {
            // valid beginnings let the rest of the decoder see arbitrary bytes
            let mut start = vec![MIX, 1, 4];
            start.truncate(kept);
            start.extend(body);
            let error = ForwardRequest::decode(kind, BytesMut::from(&start[..])).unwrap_err();
            prop_assert!(!matches!(error, FrameError::Flag(_) | FrameError::Kind(_)));
        }

        #[test]
        fn pushed_messages_read_back_and_notice_changes(message: Vec<u8>, at: usize, bit in 0..8u8) {
            let frame = seal_push(&KEY, [9; 12], &message);
            prop_assert_eq!(frame.len(), message.len() + 30);
            let opened = open_push(&KEY, BytesMut::from(&frame[..])).unwrap();
            prop_assert_eq!(&opened[..], &message[..]);
            let mut flipped = BytesMut::from(&frame[..]);
            let at = at % flipped.len();
            flipped[at] ^= 1 << bit;
            prop_assert!(open_push(&KEY, flipped).is_err());
            prop_assert!(open_push(&KEY, BytesMut::from(&frame[..at])).is_err());
        }
    }

    #[test]
    fn opening_does_not_copy_the_packet() {
        let hop = NodeAddress::new(SocketAddr::from(([127, 0, 0, 1], 1789)));
        let (version, size) = (ProtocolVersion::CURRENT, PacketSize::Regular);
        let frame = BytesMut::from(forward(version, KeyRotation::Even, hop, size, 1));
        let packet_at = frame.as_ptr() as usize + FRAME_PREFIX + 2 + 7;
        let request = ForwardRequest::open(&KEY, frame).unwrap();
        assert_eq!(request.packet().as_ptr() as usize, packet_at);
    }
}
