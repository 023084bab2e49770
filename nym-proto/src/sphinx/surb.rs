//! Single-use reply blocks. (protocol: sphinx 9)

use core::fmt;

use thiserror::Error;
use zeroize::Zeroize;

use super::crypto::{PAYLOAD_KEY_SIZE, SEED_SIZE};
use super::{HEADER_SIZE, HOPS_MAX};
use crate::address::{NodeAddress, NodeAddressError};

/// Header and first hop, in front of the key material.
const FIXED_SIZE: usize = HEADER_SIZE + NodeAddress::HEADER_SIZE;

/// Why bytes are no SURB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SurbError {
    /// The length fits no number of hops.
    #[error("a SURB cannot have {0} bytes")]
    Length(usize),
    /// The number of keys is no number of hops.
    #[error("a SURB has keys for 1 to {HOPS_MAX} hops, not {0}")]
    KeyCount(usize),
    /// The address of the first hop is malformed.
    #[error("first hop of the SURB: {0}")]
    FirstHop(#[from] NodeAddressError),
}

/// The key material of a SURB, one entry per hop in route order.
#[derive(Clone, Copy)]
pub enum SurbKeys<'a> {
    /// Seeds of payload keys, 16 bytes each. (version 259)
    Seeds(&'a [[u8; 16]]),
    /// Payload keys, 192 bytes each. (version 258)
    Full(&'a [[u8; 192]]),
}

impl SurbKeys<'_> {
    /// Number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Seeds(seeds) => seeds.len(),
            Self::Full(keys) => keys.len(),
        }
    }

    /// True without any key; never so in a [`Surb`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key material, serialised.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Seeds(seeds) => seeds.as_flattened(),
            Self::Full(keys) => keys.as_flattened(),
        }
    }
}

impl fmt::Debug for SurbKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SurbKeys(<{} redacted>)", self.len())
    }
}

/// A single-use reply block: a ready header, the address of its first hop, and the keys to
/// encrypt the payload with. The keys are wiped on drop.
pub struct Surb {
    header: [u8; HEADER_SIZE],
    first_hop: NodeAddress,
    keys: Keys,
}

/// Full keys are rare and large, so they alone are boxed.
enum Keys {
    Seeds { count: u8, seeds: [[u8; SEED_SIZE]; HOPS_MAX] },
    Full(Box<[[u8; PAYLOAD_KEY_SIZE]]>),
}

impl Drop for Keys {
    fn drop(&mut self) {
        match self {
            Self::Seeds { seeds, .. } => seeds.zeroize(),
            Self::Full(keys) => keys.iter_mut().for_each(Zeroize::zeroize),
        }
    }
}

impl Surb {
    /// Puts a SURB of version 259 (or, with [`SurbKeys::Full`], 258) together. The header cannot
    /// be checked by anybody but the hops.
    pub fn new(
        header: [u8; HEADER_SIZE],
        first_hop: NodeAddress,
        keys: SurbKeys<'_>,
    ) -> Result<Self, SurbError> {
        Ok(Self { header, first_hop, keys: Keys::new(keys)? })
    }

    /// Length of a version 259 SURB for a route of `hops` hops: 380 + 16 per hop.
    #[must_use]
    pub const fn encoded_len_for(hops: usize) -> usize {
        FIXED_SIZE + SEED_SIZE * hops
    }

    /// Reads a SURB of version 259 (1 to 5 key seeds) or 258 (1 to 5 full keys). The two cannot
    /// be confused: five seeds are shorter than one key.
    pub fn decode(bytes: &[u8]) -> Result<Self, SurbError> {
        let wrong_length = || SurbError::Length(bytes.len());
        let (header, rest) = bytes.split_first_chunk::<HEADER_SIZE>().ok_or_else(wrong_length)?;
        let (first_hop, rest) =
            rest.split_first_chunk::<{ NodeAddress::HEADER_SIZE }>().ok_or_else(wrong_length)?;
        let keys = match (rest.as_chunks(), rest.as_chunks()) {
            ((seeds, []), _) if (1..=HOPS_MAX).contains(&seeds.len()) => SurbKeys::Seeds(seeds),
            (_, (keys, [])) if (1..=HOPS_MAX).contains(&keys.len()) => SurbKeys::Full(keys),
            _ => return Err(wrong_length()),
        };
        Self::new(*header, NodeAddress::decode(first_hop)?, keys)
    }

    /// Appends header, first hop (32 bytes) and key material in route order.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        out.extend_from_slice(&self.header);
        out.extend_from_slice(&self.first_hop.to_padded::<{ NodeAddress::HEADER_SIZE }>());
        out.extend_from_slice(self.keys().as_bytes());
    }

    /// Where a packet made with this SURB goes first.
    #[must_use]
    pub const fn first_hop(&self) -> NodeAddress {
        self.first_hop
    }

    /// The ready header.
    #[must_use]
    pub const fn header(&self) -> &[u8; HEADER_SIZE] {
        &self.header
    }

    /// The key material. Handle with care.
    #[must_use]
    pub fn keys(&self) -> SurbKeys<'_> {
        match &self.keys {
            Keys::Seeds { count, seeds } => {
                SurbKeys::Seeds(seeds.get(..usize::from(*count)).unwrap_or(seeds))
            }
            Keys::Full(keys) => SurbKeys::Full(keys),
        }
    }

    /// Length of the encoded form.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        FIXED_SIZE + self.keys().as_bytes().len()
    }
}

impl Keys {
    fn new(keys: SurbKeys<'_>) -> Result<Self, SurbError> {
        if !(1..=HOPS_MAX).contains(&keys.len()) {
            return Err(SurbError::KeyCount(keys.len()));
        }
        Ok(match keys {
            SurbKeys::Seeds(given) => {
                let mut seeds = [[0; SEED_SIZE]; HOPS_MAX];
                for (seed, given) in seeds.iter_mut().zip(given) {
                    *seed = *given;
                }
                Self::Seeds { count: given.len() as u8, seeds }
            }
            SurbKeys::Full(keys) => Self::Full(keys.into()),
        })
    }
}

impl fmt::Debug for Surb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surb(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(surb: &Surb) -> Vec<u8> {
        let mut out = Vec::new();
        surb.encode(&mut out);
        assert_eq!(out.len(), surb.encoded_len());
        out
    }

    /// 380 bytes with a well-formed address, and `material` bytes more.
    fn plausible(material: usize, fill: u8) -> Vec<u8> {
        let mut bytes = vec![fill; FIXED_SIZE + material];
        let address = NodeAddress::new(([10, 0, 0, fill], 1789).into());
        bytes[HEADER_SIZE..FIXED_SIZE].copy_from_slice(&address.to_padded::<32>());
        bytes
    }

    #[test]
    fn exactly_the_lengths_of_one_to_five_hops_are_read() {
        for material in 0..1200 {
            let hops = |size: usize| material % size == 0 && (1..=5).contains(&(material / size));
            let bytes = plausible(material, 3);
            match Surb::decode(&bytes) {
                Ok(surb) => {
                    assert!(hops(16) || hops(192), "{material}");
                    assert_eq!(encoded(&surb), bytes);
                }
                Err(error) => {
                    assert!(!hops(16) && !hops(192), "{material}");
                    assert_eq!(error, SurbError::Length(bytes.len()));
                }
            }
        }
    }

    #[test]
    fn a_malformed_first_hop_is_refused() {
        let mut bytes = plausible(64, 3);
        bytes[HEADER_SIZE] = 5;
        assert_eq!(
            Surb::decode(&bytes).map(|_| ()),
            Err(SurbError::FirstHop(NodeAddressError::Family(5)))
        );
    }

    #[test]
    fn a_surb_without_keys_or_with_too_many_is_not_made() {
        let hop = NodeAddress::new(([10, 0, 0, 1], 1789).into());
        for count in [0, 6] {
            let seeds = vec![[0; 16]; count];
            let made = Surb::new([0; HEADER_SIZE], hop, SurbKeys::Seeds(&seeds));
            assert_eq!(made.map(|_| ()), Err(SurbError::KeyCount(count)));
        }
    }

    #[test]
    fn a_stored_surb_takes_less_than_half_a_kilobyte() {
        assert!(size_of::<Surb>() <= 480, "{}", size_of::<Surb>());
    }

    #[test]
    fn debug_output_shows_no_byte_of_it() {
        let surb = Surb::decode(&plausible(64, 3)).unwrap();
        assert_eq!(format!("{surb:?}"), "Surb(<redacted>)");
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused_or_survive_a_round_trip(
            mut bytes in prop::collection::vec(any::<u8>(), 370..480),
            family in prop::sample::select(vec![4u8, 6, 0]),
        ) {
            bytes.truncate(bytes.len() / 4 * 4);
            if let Some(byte) = bytes.get_mut(HEADER_SIZE) {
                *byte = family;
            }
            if let Ok(surb) = Surb::decode(&bytes) {
                // only the padding of the address is not kept
                let again = encoded(&surb);
                let len = surb.first_hop().encoded_len();
                prop_assert_eq!(&again[..HEADER_SIZE + len], &bytes[..HEADER_SIZE + len]);
                prop_assert_eq!(&again[FIXED_SIZE..], &bytes[FIXED_SIZE..]);
            }
        }

        #[test]
        fn a_truncated_or_flipped_surb_never_passes_for_the_original(
            hops in 1usize..=5, cut in 1usize..460, bit in 0usize..3000,
        ) {
            let bytes = plausible(16 * hops, 9);
            if let Ok(short) = Surb::decode(&bytes[..bytes.len().saturating_sub(cut)]) {
                prop_assert!(short.keys().len() < hops);
            }
            let mut flipped = bytes.clone();
            let at = bit / 8 % bytes.len();
            flipped[at] ^= 1 << (bit % 8);
            if let Ok(surb) = Surb::decode(&flipped) {
                let in_padding = (HEADER_SIZE + 7..FIXED_SIZE).contains(&at);
                prop_assert_eq!(encoded(&surb) == bytes, in_padding);
            }
        }
    }
}
