//! Reply keys and reply SURBs. (protocol: messages 9.1)

use core::fmt;

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::entropy::Stream;
use crate::sphinx::{Surb, SurbError};

/// The key that encrypts one reply packet end to end. 16 bytes, used once.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ReplyKey([u8; 16]);

impl ReplyKey {
    /// Length of the binary form.
    pub const SIZE: usize = 16;

    /// Draws a new key.
    #[must_use]
    pub fn draw(stream: &mut Stream) -> Self {
        Self(stream.bytes())
    }

    /// Takes the 16 bytes of a key.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the key. Handle with care.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// The name under which the key's creator finds it again, and with which the reply begins.
    #[must_use]
    pub fn digest(&self) -> ReplyDigest {
        ReplyDigest(*blake3::hash(&self.0).as_bytes())
    }
}

impl PartialEq for ReplyKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for ReplyKey {}

impl fmt::Debug for ReplyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyKey(<redacted>)")
    }
}

/// Names a reply key: its BLAKE3 hash. 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyDigest([u8; 32]);

impl ReplyDigest {
    /// Takes the 32 bytes of a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ReplyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyDigest({})", bs58::encode(&self.0).into_string())
    }
}

/// Why bytes are no reply SURB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ReplySurbError {
    /// The text is not base58, or longer than any reply SURB.
    #[error("not base58 text of a reply SURB")]
    Base58,
    /// There are not even the bytes of the key.
    #[error("{0} bytes are too few for a reply SURB")]
    Length(usize),
    /// What follows the key is no SURB.
    #[error(transparent)]
    Surb(#[from] SurbError),
}

/// A SURB and the key for the one packet it carries back.
pub struct ReplySurb {
    /// Encrypts the packet end to end.
    pub key: ReplyKey,
    /// Takes the packet to the SURB's creator.
    pub surb: Surb,
}

impl ReplySurb {
    /// Characters of the longest text: a SURB with five full keys has 1356 bytes, and base58
    /// needs less than 1.4 characters a byte. (protocol: messages 9.1)
    const TEXT_MAX: usize = 1356 * 7 / 5;

    /// Reads the binary form: key (16), SURB.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReplySurbError> {
        let (key, surb) = bytes
            .split_first_chunk()
            .filter(|(_, surb)| !surb.is_empty())
            .ok_or(ReplySurbError::Length(bytes.len()))?;
        Ok(Self { key: ReplyKey(*key), surb: Surb::decode(surb)? })
    }

    /// Appends the binary form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key.as_bytes());
        self.surb.encode(out);
    }

    /// Length of the binary form: 396 + 16 per hop for the SURBs this crate makes, 460 for four
    /// hops.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        ReplyKey::SIZE + self.surb.encoded_len()
    }

    /// The text form: base58 of the binary form.
    #[must_use]
    pub fn to_base58(&self) -> String {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode(&mut bytes);
        bs58::encode(bytes).into_string()
    }

    /// Reads the text form.
    pub fn from_base58(text: &str) -> Result<Self, ReplySurbError> {
        if text.len() > Self::TEXT_MAX {
            return Err(ReplySurbError::Base58);
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| ReplySurbError::Base58)?;
        Self::decode(&bytes)
    }
}

impl fmt::Debug for ReplySurb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplySurb(<redacted>)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::NodeAddress;

    /// Bytes of a reply SURB with `keys` seeds, or full keys, and an address of either family.
    pub(crate) fn encoded_surbs() -> impl Strategy<Value = Vec<u8>> {
        let seed = prop::collection::vec(any::<u8>(), 16 + 348 + 960);
        let address = (any::<core::net::IpAddr>(), any::<u16>());
        (seed, address, 1..=5usize, any::<bool>()).prop_map(|(bytes, address, keys, full)| {
            let (head, rest) = bytes.split_at(16 + 348);
            let address = NodeAddress::new(address.into()).to_padded::<32>();
            let keys = &rest[..keys * if full { 192 } else { 16 }];
            [head, &address, keys].concat()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_reply_surb_reads_back_in_both_forms(bytes in encoded_surbs()) {
            let surb = ReplySurb::decode(&bytes).unwrap();
            prop_assert_eq!(encoded(&surb), bytes.clone());
            prop_assert_eq!(surb.encoded_len(), bytes.len());
            let read = ReplySurb::from_base58(&surb.to_base58()).unwrap();
            prop_assert_eq!(encoded(&read), bytes);
        }

        #[test]
        fn a_reply_surb_cut_short_is_refused_or_a_shorter_one(
            bytes in encoded_surbs(), cut in 0..1356usize,
        ) {
            let cut = &bytes[..cut % bytes.len()];
            match ReplySurb::decode(cut) {
                Ok(surb) => prop_assert_eq!(encoded(&surb), cut),
                Err(ReplySurbError::Length(len)) => prop_assert!(len == cut.len() && len <= 16),
                Err(error) => {
                    let cause = SurbError::Length(cut.len() - 16);
                    prop_assert_eq!(error, ReplySurbError::Surb(cause));
                }
            }
        }

        #[test]
        fn a_flipped_bit_never_reads_as_the_same_reply_surb(
            bytes in encoded_surbs(), bit in 0..8 * 1356usize,
        ) {
            let mut flipped = bytes.clone();
            let bit = bit % (8 * bytes.len());
            flipped[bit / 8] ^= 1 << (bit % 8);
            // the padding of the address is not looked at
            let ignored = 16 + 348 + 7..16 + 348 + 32;
            if let Ok(surb) = ReplySurb::decode(&flipped) {
                prop_assert!(encoded(&surb) != bytes || ignored.contains(&(bit / 8)));
            }
        }

        #[test]
        fn no_text_panics(text in "[1-9A-HJ-NP-Za-km-z]{0,200}|.{0,50}") {
            prop_assert!(ReplySurb::from_base58(&text).is_err());
        }
    }

    #[test]
    fn texts_longer_than_any_reply_surb_are_not_decoded() {
        let longest = bs58::encode([0xff; 1356]).into_string();
        assert!(longest.len() <= ReplySurb::TEXT_MAX);
        let text = "2".repeat(ReplySurb::TEXT_MAX + 1);
        let error = ReplySurb::from_base58(&text).unwrap_err();
        assert_eq!(error, ReplySurbError::Base58);
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let key = ReplyKey::from_bytes([7; 16]);
        assert_eq!(format!("{key:?}"), "ReplyKey(<redacted>)");
        assert_eq!(key, ReplyKey::from_bytes([7; 16]));
        assert_ne!(key, ReplyKey::from_bytes([8; 16]));
    }

    fn encoded(surb: &ReplySurb) -> Vec<u8> {
        let mut out = Vec::new();
        surb.encode(&mut out);
        out
    }
}
