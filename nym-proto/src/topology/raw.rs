//! Reading lists of nodes piece by piece, so that one bad node does not lose the others and no
//! body makes the reader use much more memory than the body has bytes.

use core::fmt;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::node::{NODES_MAX, NodeError};
use crate::identity::{IdentityKey, KeyError, PublicKey, base58_array};

/// Longest description of one node that is looked at, in bytes.
const NODE_TEXT_MAX: usize = 16 * 1024;

/// The elements of a JSON array, not yet interpreted; at most [`NODES_MAX`].
pub(super) struct RawList<'a>(pub(super) Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for RawList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = RawList<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {NODES_MAX} nodes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == NODES_MAX {
                        return Err(A::Error::custom(format_args!("more than {NODES_MAX} nodes")));
                    }
                    items.push(item);
                }
                Ok(RawList(items))
            }
        }

        deserializer.deserialize_seq(ListVisitor)
    }
}

/// The members of a JSON object, not yet interpreted; at most [`NODES_MAX`].
pub(super) struct RawMap<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;

        impl<'de> Visitor<'de> for MapVisitor {
            type Value = RawMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a map of at most {NODES_MAX} nodes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, _>()? {
                    if items.len() == NODES_MAX {
                        return Err(A::Error::custom(format_args!("more than {NODES_MAX} nodes")));
                    }
                    items.push((Cow::Owned(key), value));
                }
                Ok(RawMap(items))
            }
        }

        deserializer.deserialize_map(MapVisitor)
    }
}

/// Interprets one element.
pub(super) fn read_node<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, NodeError> {
    let text = raw.get();
    if text.len() > NODE_TEXT_MAX {
        return Err(NodeError::TooLong(text.len()));
    }
    serde_json::from_str(text).map_err(|error| NodeError::Malformed(shorten(&error.to_string())))
}

/// The beginning of a text that quotes the input, fit for an error.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

/// A key as base58 text or as an array of 32 integers.
pub(super) struct RawKey(Result<[u8; 32], KeyError>);

impl RawKey {
    /// The key as the identity of a node.
    pub(super) fn identity(self) -> Result<IdentityKey, NodeError> {
        self.0.and_then(IdentityKey::from_bytes).map_err(NodeError::Identity)
    }

    /// The key as the Sphinx key of a node; degenerate keys are refused.
    pub(super) fn sphinx_key(self) -> Result<PublicKey, NodeError> {
        self.0
            .and_then(|bytes| PublicKey::from_bytes(bytes).checked())
            .map_err(NodeError::SphinxKey)
    }
}

impl<'de> Deserialize<'de> for RawKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = RawKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key: base58 text or 32 integers")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawKey(base58_array(text)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut key = [0; 32];
                let mut len = 0;
                for byte in &mut key {
                    let Some(value) = seq.next_element()? else {
                        return Ok(RawKey(Err(KeyError::Length(len))));
                    };
                    *byte = value;
                    len += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    len += 1;
                }
                Ok(RawKey(if len == key.len() { Ok(key) } else { Err(KeyError::Length(len)) }))
            }
        }

        deserializer.deserialize_any(KeyVisitor)
    }
}
