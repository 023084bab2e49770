//! What a node does with a packet: open, check for replay, remove one layer. (protocol: sphinx 6)

use core::fmt;
use core::ops::Range;

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
use crate::x25519::x25519;

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
    secret: Option<Zeroizing<[u8; SECRET_SIZE]>>,
}

impl Opened {
    /// For implementations of [`PacketPeeler`]: the packet's replay tag, and whatever
    /// [`peel`](PacketPeeler::peel) needs to know again ([`SphinxPeeler`]: the expanded secret).
    #[must_use]
    pub const fn new(tag: ReplayTag, secret: Option<Zeroizing<[u8; SECRET_SIZE]>>) -> Self {
        Self { tag, secret }
    }

    /// The packet's replay tag at this node.
    #[must_use]
    pub const fn replay_tag(&self) -> ReplayTag {
        self.tag
    }

    /// What [`open`](PacketPeeler::open) left for [`peel`](PacketPeeler::peel). Handle with care.
    #[must_use]
    pub fn secret(&self) -> Option<&[u8; SECRET_SIZE]> {
        self.secret.as_deref()
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
        Ok(Opened::new(ReplayTag(*replay_tag(&secret)), Some(secret)))
    }

    fn peel(&self, opened: Opened, packet: &mut [u8]) -> Result<Peeled, PeelError> {
        split(packet)?;
        let length = packet.len();
        let Some((header, payload)) = packet.split_first_chunk_mut::<HEADER_SIZE>() else {
            return Err(PeelError::Length(length));
        };
        // what another implementation has opened is no packet of ours
        let secret = opened.secret().ok_or(PeelError::Mac)?;
        let block = routing_block(secret, header);
        let version = u16::from_be_bytes(*part::<2, 2, _>(&block));
        let [flag] = *part::<0, 1, _>(&block);
        match flag {
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
    let mut block = [0; STREAM_SIZE];
    block[..BETA_SIZE].copy_from_slice(part::<48, BETA_SIZE, _>(header));
    let mut block = Zeroizing::new(block);
    apply_stream(stream_key(secret), block.as_mut_slice());
    block
}

fn rewrite_header(
    secret: &[u8; SECRET_SIZE],
    block: &[u8; STREAM_SIZE],
    header: &mut [u8; HEADER_SIZE],
) {
    let alpha = x25519(blinding_factor(secret), part::<0, 32, _>(header));
    header[..32].copy_from_slice(&*alpha);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::IdentityKeyPair;

    fn key(i: usize) -> PrivateKey {
        PrivateKey::from_bytes([i as u8 + 1; 32])
    }

    fn open_and_peel(key: &PrivateKey, packet: &mut [u8]) -> Result<Peeled, PeelError> {
        let opened = SphinxPeeler::default().open(key, packet)?;
        SphinxPeeler::default().peel(opened, packet)
    }

    /// A packet of `size` bytes for `hops` hops and the plaintext inside.
    fn packet(hops: usize, size: usize) -> (Vec<u8>, Vec<u8>) {
        let hop = |i: usize| Hop {
            address: NodeAddress::new(([10, 0, 0, i as u8], 1789).into()),
            key: key(i).public(),
        };
        let route: Vec<_> = (0..hops).map(hop).collect();
        let delays: Vec<_> = (0..hops as u64).map(Delay::from_nanos).collect();
        let mut packet = vec![6; size];
        let plaintext = vec![6; size - OVERHEAD];
        let built = SphinxBuilder::new().build_packet(
            &route,
            &delays,
            IdentityKeyPair::from_seed(&[1; 32]).public(),
            plaintext.len(),
            &mut packet,
            &mut Entropy::new([1; 32]).stream(Purpose::Packets),
        );
        assert_eq!(built, Ok(()));
        (packet, plaintext)
    }

    /// A packet for `key(0)` whose first block decrypts to `block`.
    fn authenticated(block: &[u8; BETA_SIZE], payload: &[u8]) -> Vec<u8> {
        let alpha = *key(9).public().as_bytes();
        let shared = key(0).agree(&key(9).public()).unwrap();
        let secret = expand(&shared);
        let mut beta = *block;
        apply_stream(stream_key(&secret), &mut beta);
        let mac = header_mac(mac_key(&secret), &beta);
        [&alpha[..], &mac, &beta, payload].concat()
    }

    #[test]
    fn a_public_element_of_low_order_is_refused() {
        for first in 0..2 {
            let (mut packet, _) = packet(1, 500);
            packet[..32].fill(0);
            packet[0] = first;
            let refused = open_and_peel(&key(0), &mut packet);
            assert_eq!(refused, Err(PeelError::Degenerate));
        }
    }

    #[test]
    fn opening_does_not_depend_on_the_payload() {
        let (mut packet, _) = packet(2, 500);
        let tag = |packet: &[u8]| {
            let opened = SphinxPeeler::default().open(&key(0), packet);
            opened.unwrap().replay_tag()
        };
        let before = tag(&packet);
        packet[HEADER_SIZE..].fill(0);
        assert_eq!(tag(&packet), before);
    }

    #[test]
    fn a_packet_cut_short_between_opening_and_peeling_is_an_error() {
        let (mut packet, _) = packet(1, 500);
        let opened = SphinxPeeler::default().open(&key(0), &packet).unwrap();
        let peeled = SphinxPeeler::default().peel(opened, &mut packet[..380]);
        assert_eq!(peeled, Err(PeelError::Length(380)));
    }

    #[test]
    fn an_authenticated_block_with_a_malformed_next_hop_is_an_error() {
        let mut block = [0; BETA_SIZE];
        block[0] = FLAG_FORWARD;
        block[4] = 5;
        let peeled = open_and_peel(&key(0), &mut authenticated(&block, &[0; 40]));
        let malformed = NodeAddressError::Family(5);
        assert_eq!(peeled, Err(PeelError::NextHop(malformed)));
    }

    #[test]
    fn debug_output_of_an_opened_packet_shows_nothing() {
        let opened = SphinxPeeler::default().open(&key(0), &packet(1, 500).0);
        assert_eq!(format!("{:?}", opened.unwrap()), "Opened(<redacted>)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_packet_arrives_at_the_end_of_its_route(hops in 1usize..=5, size in 381usize..900) {
            let (mut packet, sent) = packet(hops, size);
            for i in 0..hops - 1 {
                let forward = Peeled::Forward {
                    next: NodeAddress::new(([10, 0, 0, i as u8 + 1], 1789).into()),
                    delay: Delay::from_nanos(i as u64),
                };
                prop_assert_eq!(open_and_peel(&key(i), &mut packet), Ok(forward));
            }
            match open_and_peel(&key(hops - 1), &mut packet) {
                Ok(Peeled::Final { plaintext, .. }) => {
                    prop_assert_eq!(&packet[plaintext], sent.as_slice());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn a_flipped_bit_is_noticed(bit in 0usize..8 * 420) {
            // X25519 ignores the top bit of the public element
            prop_assume!(bit != 255);
            let (mut packet, _) = packet(1, 420);
            packet[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0..HEADER_SIZE => PeelError::Mac,
                _ => PeelError::Payload,
            };
            prop_assert_eq!(open_and_peel(&key(0), &mut packet), Err(expected));
        }

        #[test]
        fn a_truncated_packet_is_refused(len in 0usize..500) {
            let (mut packet, _) = packet(1, 500);
            let refused = open_and_peel(&key(0), &mut packet[..len]);
            let expected = if len < PACKET_MIN { PeelError::Length(len) } else { PeelError::Payload };
            prop_assert_eq!(refused, Err(expected));
        }

        #[test]
        fn random_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(open_and_peel(&key(0), &mut bytes).is_err());
        }

        #[test]
        fn any_authenticated_block_is_an_error_or_a_forward_packet(
            start in prop::collection::vec(any::<u8>(), 60), flag in 0u8..4, family in 3u8..7,
            payload in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut block = [0; BETA_SIZE];
            block[..60].copy_from_slice(&start);
            block[0] = flag;
            block[4] = family;
            let peeled = open_and_peel(&key(0), &mut authenticated(&block, &payload));
            match peeled {
                Ok(Peeled::Forward { next, delay }) => {
                    prop_assert_eq!(flag, FLAG_FORWARD);
                    prop_assert_eq!(next, NodeAddress::decode(&block[4..36]).unwrap());
                    let nanos = delay.as_nanos().to_be_bytes();
                    prop_assert_eq!(&nanos[..], &block[36..44]);
                }
                Ok(other) => prop_assert!(false, "random payload accepted: {:?}", other),
                Err(PeelError::Length(_)) => prop_assert!(payload.len() < 33),
                Err(PeelError::Flag(other)) => prop_assert!(other == flag && flag % 3 == 0),
                Err(PeelError::NextHop(_)) => prop_assert!(![4, 6].contains(&family)),
                Err(error) => prop_assert_eq!((error, flag), (PeelError::Payload, FLAG_FINAL)),
            }
        }
    }
}
