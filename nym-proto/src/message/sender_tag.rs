//! The tag by which an anonymous sender is told apart. (protocol: messages 3)

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::entropy::Stream;
use crate::identity::{KeyError, base58_array};

/// Why a text is no sender tag.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SenderTagError {
    /// The text is not base58.
    #[error("not base58 text")]
    Base58,
    /// The tag does not have 16 bytes.
    #[error("a sender tag has 16 bytes, this one has {0}")]
    Length(usize),
}

/// 16 random bytes that an anonymous sender chooses for each recipient and sends with every
/// repliable message. Not authenticated. Text form: base58.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderTag([u8; 16]);

impl SenderTag {
    /// Length of the binary form.
    pub const SIZE: usize = 16;

    /// Draws a new tag.
    #[must_use]
    pub fn draw(stream: &mut Stream) -> Self {
        Self(stream.bytes())
    }

    /// Takes the 16 bytes of a tag.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }
}

impl fmt::Display for SenderTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(&self.0).into_string())
    }
}

impl fmt::Debug for SenderTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SenderTag({self})")
    }
}

impl FromStr for SenderTag {
    type Err = SenderTagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        base58_array(text).map(Self).map_err(|error| match error {
            KeyError::Length(len) => SenderTagError::Length(len),
            _ => SenderTagError::Base58,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_text_of_a_tag_reads_back(bytes: [u8; 16]) {
            let tag = SenderTag::from_bytes(bytes);
            prop_assert_eq!(tag.to_string().parse(), Ok(tag));
        }

        #[test]
        fn any_text_is_refused_or_is_the_text_of_a_tag(text in "[1-9A-HJ-NP-Za-km-z0]{0,40}") {
            if let Ok(tag) = text.parse::<SenderTag>() {
                prop_assert_eq!(tag.to_string(), text);
            }
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        assert_eq!("0".parse::<SenderTag>(), Err(SenderTagError::Base58));
        assert_eq!("11".parse::<SenderTag>(), Err(SenderTagError::Length(2)));
    }
}
