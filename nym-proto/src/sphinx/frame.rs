//! Frames in which packets travel from node to node. (protocol: sphinx 12.1)

use core::ops::Range;

use thiserror::Error;

use super::{KeyRotation, PacketSize};

// protocol: sphinx 12.1
const VERSION_INITIAL: u8 = 7;
const VERSION_ROTATION: u8 = 8;
const TYPE_MIX: u8 = 0;

/// The longest frame: a header of version 8 and the largest packet.
const FRAME_MAX: usize = FrameHeader::SIZE + PacketSize::Extended32.packet_len();

/// Why a stream of frames cannot be read on. There is no way to find the next frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame version other than 7 and 8.
    #[error("unknown frame version {0}")]
    Version(u8),
    /// A rotation value other than 0, 1 and 2.
    #[error("unknown key rotation {0}")]
    Rotation(u8),
    /// A tag that no packet size has.
    #[error("unknown packet size tag {0}")]
    Size(u8),
    /// A packet type other than 0.
    #[error("unknown packet type {0}")]
    Type(u8),
}

/// What a frame says about the packet that follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Size of the packet.
    pub size: PacketSize,
    /// Which of the receiving node's keys the packet is for; frames of version 7 do not say.
    pub rotation: KeyRotation,
}

impl FrameHeader {
    /// Length of the header of version 8, the one that is written.
    pub const SIZE: usize = 4;

    /// The header in version 8. The packet of `size` follows it on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        [VERSION_ROTATION, self.size.tag(), TYPE_MIX, self.rotation.to_byte()]
    }

    /// Reads the header of version 7 or 8 at the front of `bytes`, and says how long it is.
    /// `None` if more bytes are needed.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let &[version, tag, kind, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (rotation, len) = match (version, rest) {
            (VERSION_INITIAL, _) => (KeyRotation::Unknown, 3),
            (VERSION_ROTATION, []) => return Ok(None),
            (VERSION_ROTATION, &[byte, ..]) => {
                let rotation = KeyRotation::from_byte(byte).ok_or(FrameError::Rotation(byte))?;
                (rotation, 4)
            }
            _ => return Err(FrameError::Version(version)),
        };
        let size = PacketSize::from_tag(tag).ok_or(FrameError::Size(tag))?;
        if kind != TYPE_MIX {
            return Err(FrameError::Type(kind));
        }
        Ok(Some((Self { size, rotation }, len)))
    }
}

/// A packet that arrived in a frame, still in the decoder's buffer.
#[derive(PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Size of the packet.
    pub size: PacketSize,
    /// Which of the receiving node's keys the packet is for.
    pub rotation: KeyRotation,
    /// The packet, exactly as long as its size says. It can be peeled in place.
    pub packet: &'a mut [u8],
}

/// Cuts a byte stream into frames.
///
/// ```
/// # use nym_proto::sphinx::{FrameDecoder, FrameError};
/// # fn packets_in(mut received: &[u8], decoder: &mut FrameDecoder) -> Result<usize, FrameError> {
/// # let mut packets = 0;
/// while !received.is_empty() {
///     received = decoder.push(received);
///     while let Some(frame) = decoder.next_frame()? {
///         assert_eq!(frame.packet.len(), frame.size.packet_len());
/// #       packets += 1;
///     }
/// }
/// # Ok(packets)
/// # }
/// # let mut bytes = [0; 386 + 4];
/// # bytes[0] = 8;
/// # bytes[1] = 2;
/// # assert_eq!(packets_in(&bytes, &mut FrameDecoder::new()), Ok(1));
/// ```
#[derive(Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out as frames.
    taken: usize,
}

impl FrameDecoder {
    /// Most bytes ever buffered: the longest frame, 33137 bytes.
    pub const BUFFER_MAX: usize = FRAME_MAX;

    /// A decoder at the beginning of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), taken: 0 }
    }

    /// Takes bytes off the front of `bytes` as far as the buffer has room, and returns the rest.
    /// After [`next_frame`](Self::next_frame) has returned `None` there is room for one at least.
    #[must_use = "the rest is still to be pushed"]
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let room = FRAME_MAX.saturating_sub(self.buffer.len());
        let (fits, rest) = bytes.split_at(room.min(bytes.len()));
        self.buffer.extend_from_slice(fits);
        rest
    }

    /// The next whole frame. `None` if more bytes are needed; after an error, always that error.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Some((header, packet)) = self.locate()? else {
            return Ok(None);
        };
        self.taken = packet.end;
        Ok(self.buffer.get_mut(packet).map(|packet| Frame {
            size: header.size,
            rotation: header.rotation,
            packet,
        }))
    }

    /// Bytes that wait for the rest of their frame.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn locate(&self) -> Result<Option<(FrameHeader, Range<usize>)>, FrameError> {
        let pending = self.buffer.split_at(self.taken).1;
        Ok(FrameHeader::decode(pending)?.and_then(|(header, len)| {
            let start = self.taken + len;
            let end = start + header.size.packet_len();
            (end <= self.buffer.len()).then_some((header, start..end))
        }))
    }
}

impl core::fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FrameDecoder({} bytes pending)", self.pending())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (PacketSize, KeyRotation, Vec<u8>);

    /// What a decoder makes of `stream`, given in pieces of `step` bytes.
    fn decode(stream: &[u8], step: usize) -> (Vec<Owned>, Option<FrameError>) {
        let mut decoder = FrameDecoder::new();
        let mut frames = Vec::new();
        for mut piece in stream.chunks(step) {
            while !piece.is_empty() {
                let rest = decoder.push(piece);
                assert!(rest.len() < piece.len(), "a drained decoder takes a byte");
                piece = rest;
                loop {
                    match decoder.next_frame() {
                        Ok(Some(f)) => frames.push((f.size, f.rotation, f.packet.to_vec())),
                        Ok(None) => break,
                        Err(error) => {
                            assert_eq!(decoder.next_frame(), Err(error));
                            return (frames, Some(error));
                        }
                    }
                }
                assert!(decoder.buffer.len() <= FrameDecoder::BUFFER_MAX);
            }
        }
        (frames, None)
    }

    #[test]
    fn what_is_not_drained_is_not_buffered_beyond_the_longest_frame() {
        let mut decoder = FrameDecoder::new();
        let bytes = vec![7; 3 * FRAME_MAX];
        assert_eq!(decoder.push(&bytes).len(), 2 * FRAME_MAX);
        assert_eq!(decoder.push(&bytes).len(), 3 * FRAME_MAX);
    }

    #[test]
    fn a_header_needs_three_bytes_and_in_version_8_four() {
        for len in 0..3 {
            assert_eq!(FrameHeader::decode(&[9, 9, 9][..len]), Ok(None));
        }
        assert_eq!(FrameHeader::decode(&[8, 9, 9]), Ok(None));
        let header = FrameHeader { size: PacketSize::Ack, rotation: KeyRotation::Unknown };
        assert_eq!(FrameHeader::decode(&[7, 2, 0]), Ok(Some((header, 3))));
    }

    #[test]
    fn the_rotation_is_looked_at_first_then_the_size_then_the_type() {
        let error = |bytes: &[u8]| FrameHeader::decode(bytes).unwrap_err();
        assert_eq!(error(&[8, 9, 9, 9]), FrameError::Rotation(9));
        assert_eq!(error(&[8, 9, 9, 0]), FrameError::Size(9));
        assert_eq!(error(&[8, 1, 9, 0]), FrameError::Type(9));
        assert_eq!(error(&[7, 9, 9]), FrameError::Size(9));
    }

    fn any_header() -> impl Strategy<Value = FrameHeader> {
        let rotations = vec![KeyRotation::Unknown, KeyRotation::Odd, KeyRotation::Even];
        // the larger sizes change nothing but the time the test takes
        (prop::sample::select(PacketSize::ALL[..3].to_vec()), prop::sample::select(rotations))
            .prop_map(|(size, rotation)| FrameHeader { size, rotation })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            headers in prop::collection::vec((any_header(), any::<u8>(), any::<bool>()), 0..6),
            step in 1usize..6000,
            cut in 1usize..386,
        ) {
            let mut stream = Vec::new();
            let mut expected = Vec::new();
            for (header, fill, old) in headers {
                let packet = vec![fill; header.size.packet_len()];
                let bytes = header.to_bytes();
                prop_assert_eq!(FrameHeader::decode(&bytes), Ok(Some((header, 4))));
                if old {
                    stream.extend([7, bytes[1], 0]);
                } else {
                    stream.extend(bytes);
                }
                stream.extend(&packet);
                let rotation = if old { KeyRotation::Unknown } else { header.rotation };
                expected.push((header.size, rotation, packet));
            }
            prop_assert_eq!(&decode(&stream, step), &(expected.clone(), None));
            // without its end the last frame is missing, and nothing else changes
            stream.truncate(stream.len().saturating_sub(cut));
            expected.pop();
            prop_assert_eq!(decode(&stream, step), (expected, None));
        }

        #[test]
        fn random_bytes_give_frames_or_an_error(
            stream in prop::collection::vec(0u8..10, 0..2000), step in 1usize..300,
        ) {
            let (frames, error) = decode(&stream, step);
            let framed: usize = frames.iter().map(|(size, ..)| size.packet_len() + 3).sum();
            prop_assert!(framed <= stream.len());
            prop_assert_eq!(decode(&stream, stream.len().max(1)), (frames, error));
        }

        #[test]
        fn headers_that_decode_encode_to_the_same_bytes(bytes: [u8; 4], small: [u8; 4]) {
            let small = [7 + small[0] % 3, small[1] % 8, small[2] % 2, small[3] % 4];
            for bytes in [bytes, small] {
                if let Ok(Some((header, len))) = FrameHeader::decode(&bytes) {
                    let again = header.to_bytes();
                    prop_assert_eq!(again[1..3].to_vec(), bytes[1..3].to_vec());
                    prop_assert!(len == 3 && bytes[0] == 7 || again == bytes);
                }
            }
        }
    }
}
