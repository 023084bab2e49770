//! What a node does with a packet: open, check for replay, remove one layer. (protocol: sphinx 6)

use core::fmt;
use core::ops::Range;

use curve25519_dalek::MontgomeryPoint;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use super::crypto::{
    BETA_SIZE, PAYLOAD_MIN, SECRET_SIZE, STREAM_SIZE, apply_stream, blinding_factor, expand,
    full_payload_key, has_full_payload_keys, header_mac, lioness_decrypt, mac_key, part,
    payload_key_of, replay_tag, stream_key, unpad,
};
use super::*;
use crate::address::NodeAddressError;
use crate::identity::PrivateKey;

/// Smallest packet that can be processed: a header and the smallest payload. (protocol: sphinx 18)
pub(super) const PACKET_MIN: usize = HEADER_SIZE + PAYLOAD_MIN;

// protocol: sphinx 4
pub(super) const FLAG_FORWARD: u8 = 1;
pub(super) const FLAG_FINAL: u8 = 2;

/// Names a packet at one node, to recognise a second copy. 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ReplayTag(pub [u8; 32]);

/// Why a packet was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PeelError {
    /// Fewer bytes than the smallest packet, 381.
    #[error("a packet cannot have {0} bytes")]
    Length(usize),
    /// The header's MAC does not verify: damaged, or built for another key.
    #[error("header MAC mismatch")]
    Mac,
    /// The public element has low order.
    #[error("public element of low order")]
    Degenerate,
    /// The routing flag is neither forward nor final.
    #[error("unknown routing flag {0}")]
    Flag(u8),
    /// The next hop's address is malformed.
    #[error("next hop: {0}")]
    NextHop(#[from] NodeAddressError),
    /// No valid padding at the last hop: the payload was tampered with.
    #[error("payload without valid padding")]
    Payload,
}

/// A packet whose header verified, before its layer is removed.
pub struct Opened {
    tag: ReplayTag,
    secret: Zeroizing<[u8; SECRET_SIZE]>,
}

impl Opened {
    /// For implementations of [`PacketPeeler`]: the packet's replay tag, and whatever
    /// [`peel`](PacketPeeler::peel) needs to know again ([`SphinxPeeler`]: the expanded secret).
    #[must_use]
    pub const fn new(tag: ReplayTag, secret: Zeroizing<[u8; SECRET_SIZE]>) -> Self {
        Self { tag, secret }
    }

    /// The packet's replay tag at this node.
    #[must_use]
    pub const fn replay_tag(&self) -> ReplayTag {
        self.tag
    }

    /// What [`open`](PacketPeeler::open) left for [`peel`](PacketPeeler::peel). Handle with care.
    #[must_use]
    pub fn secret(&self) -> &[u8; SECRET_SIZE] {
        &self.secret
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(<redacted>)")
    }
}

/// What one layer said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peeled {
    /// The buffer now holds the packet for `next`, to be sent after `delay`.
    Forward {
        /// The next node.
        next: NodeAddress,
        /// How long this node holds the packet.
        delay: Delay,
    },
    /// This node is the last hop.
    Final {
        /// The receiving client's identity key (any 32 bytes).
        destination: [u8; 32],
        /// Where in the buffer the plaintext stands.
        plaintext: Range<usize>,
    },
}

/// The peel seam: everything a node needs.
pub trait PacketPeeler: Send {
    /// Checks the header's MAC with the node's key. Does not change the packet.
    fn open(&self, key: &PrivateKey, packet: &[u8]) -> Result<Opened, PeelError>;
    /// Removes the layer in place. After an error the content of `packet` is unspecified.
    fn peel(&self, opened: Opened, packet: &mut [u8]) -> Result<Peeled, PeelError>;
}

/// Peels packets of versions 258, 259 and 260 (and treats unknown versions as 259).
#[derive(Clone, Debug, Default)]
pub struct SphinxPeeler(());

impl PacketPeeler for SphinxPeeler {
    fn open(&self, key: &PrivateKey, packet: &[u8]) -> Result<Opened, PeelError> {
        let (header, _) = split(packet)?;
        let alpha = PublicKey::from_bytes(*part::<0, 32, _>(header));
        let shared = key.agree(&alpha).ok_or(PeelError::Degenerate)?;
        let secret = expand(&shared);
        let mac = header_mac(mac_key(&secret), part::<48, BETA_SIZE, _>(header));
        if !bool::from(mac.ct_eq(part::<32, 16, _>(header))) {
            return Err(PeelError::Mac);
        }
        Ok(Opened::new(ReplayTag(*replay_tag(&secret)), secret))
    }

    fn peel(&self, opened: Opened, packet: &mut [u8]) -> Result<Peeled, PeelError> {
        split(packet)?;
        let length = packet.len();
        let Some((header, payload)) = packet.split_first_chunk_mut::<HEADER_SIZE>() else {
            return Err(PeelError::Length(length));
        };
        let secret = opened.secret();
        let block = routing_block(secret, header);
        let version = u16::from_be_bytes(*part::<2, 2, _>(&block));
        match block[0] {
            FLAG_FORWARD => {
                let next = NodeAddress::decode(part::<4, 32, _>(&block))?;
                let delay = Delay::from_nanos(u64::from_be_bytes(*part::<36, 8, _>(&block)));
                rewrite_header(secret, &block, header);
                decrypt_payload(secret, version, payload)?;
                Ok(Peeled::Forward { next, delay })
            }
            FLAG_FINAL => {
                decrypt_payload(secret, version, payload)?;
                let len = unpad(payload).ok_or(PeelError::Payload)?;
                Ok(Peeled::Final {
                    destination: *part::<4, 32, _>(&block),
                    plaintext: PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + len,
                })
            }
            other => Err(PeelError::Flag(other)),
        }
    }
}

fn split(packet: &[u8]) -> Result<(&[u8; HEADER_SIZE], &[u8]), PeelError> {
    match packet.split_first_chunk() {
        Some(parts) if packet.len() >= PACKET_MIN => Ok(parts),
        _ => Err(PeelError::Length(packet.len())),
    }
}

/// Decrypts the routing information: this hop's slot, and behind it the next hop's header.
fn routing_block(
    secret: &[u8; SECRET_SIZE],
    header: &[u8; HEADER_SIZE],
) -> Zeroizing<[u8; STREAM_SIZE]> {
    let mut block = Zeroizing::new([0; STREAM_SIZE]);
    block[..BETA_SIZE].copy_from_slice(part::<48, BETA_SIZE, _>(header));
    apply_stream(stream_key(secret), block.as_mut_slice());
    block
}

fn rewrite_header(
    secret: &[u8; SECRET_SIZE],
    block: &[u8; STREAM_SIZE],
    header: &mut [u8; HEADER_SIZE],
) {
    let alpha = MontgomeryPoint(*part::<0, 32, _>(header));
    let alpha = alpha.mul_clamped(*blinding_factor(secret));
    header[..32].copy_from_slice(&alpha.0);
    header[32..].copy_from_slice(part::<44, 316, _>(block));
}

fn decrypt_payload(
    secret: &[u8; SECRET_SIZE],
    version: u16,
    payload: &mut [u8],
) -> Result<(), PeelError> {
    let full = full_payload_key(secret);
    let decrypted = if has_full_payload_keys(version) {
        lioness_decrypt(full, payload)
    } else {
        lioness_decrypt(&payload_key_of(part::<0, 16, _>(full)), payload)
    };
    decrypted.map_err(|_| PeelError::Payload)
}
