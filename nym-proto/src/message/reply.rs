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
        Ok(Self {
            key: ReplyKey(*key),
            surb: Surb::decode(surb)?,
        })
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
        let bytes = bs58::decode(text)
            .into_vec()
            .map_err(|_| ReplySurbError::Base58)?;
        Self::decode(&bytes)
    }
}

impl fmt::Debug for ReplySurb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplySurb(<redacted>)")
    }
}
