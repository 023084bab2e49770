//! What all documents have in common.

use serde::Deserialize;
use thiserror::Error;

use crate::topology::node::NODES_MAX;
use crate::topology::raw::shorten;
use crate::topology::rewarded::RewardedSet;

/// Longest body that is looked at: 16 MiB.
pub const BODY_MAX: usize = 16 * 1024 * 1024;

/// Why a document of the directory was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The body is longer than [`BODY_MAX`].
    #[error("a body of {0} bytes, more than {BODY_MAX}")]
    TooLong(usize),
    /// The body is not JSON of the expected form.
    #[error("unexpected JSON: {0}")]
    Json(String),
    /// The start of the epoch is no timestamp, and the clock is worthless without it.
    #[error("{0:?} is no timestamp")]
    Timestamp(String),
    /// Key rotations last zero epochs.
    #[error("key rotations of zero epochs")]
    ZeroValidity,
    /// Epochs last no time.
    #[error("epochs of zero length")]
    ZeroEpoch,
    /// More nodes than [`NODES_MAX`].
    #[error("{0} assignments are more than {NODES_MAX}")]
    TooManyNodes(usize),
}

/// Reads JSON of bounded length.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DocumentError> {
    if body.len() > BODY_MAX {
        return Err(DocumentError::TooLong(body.len()));
    }
    serde_json::from_slice(body).map_err(|error| DocumentError::Json(shorten(&error.to_string())))
}

impl RewardedSet {
    /// Reads the document at [`REWARDED_SET`](super::REWARDED_SET).
    ///
    /// # Errors
    /// A body that is too long, not of the expected form, or lists more than [`NODES_MAX`] nodes.
    pub fn decode(body: &[u8]) -> Result<Self, DocumentError> {
        let set: Self = read(body)?;
        if set.len() > NODES_MAX {
            return Err(DocumentError::TooManyNodes(set.len()));
        }
        Ok(set)
    }

    /// Writes the document at [`REWARDED_SET`](super::REWARDED_SET).
    #[must_use]
    pub fn encode(&self) -> String {
        self.to_json().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn missing_members_are_empty_and_unknown_ones_are_ignored() {
        let set = RewardedSet::decode(br#"{"layer2":[5],"colour":{"x":[1]}}"#).unwrap();
        let expected = RewardedSet { layer2: vec![5], ..RewardedSet::default() };
        assert_eq!(set, expected);
    }

    #[test]
    fn too_many_assignments_and_too_long_bodies_are_refused() {
        let set = RewardedSet { standby: vec![1; NODES_MAX + 1], ..RewardedSet::default() };
        assert_eq!(
            RewardedSet::decode(set.encode().as_bytes()),
            Err(DocumentError::TooManyNodes(NODES_MAX + 1))
        );
        let body = vec![b' '; BODY_MAX + 1];
        assert_eq!(RewardedSet::decode(&body), Err(DocumentError::TooLong(BODY_MAX + 1)));
    }

    fn ids() -> impl Strategy<Value = Vec<u32>> {
        vec(any::<u32>(), 0..6)
    }

    prop_compose! {
        fn set()(
            epoch_id in any::<u32>(),
            entry_gateways in ids(),
            exit_gateways in ids(),
            layer1 in ids(),
            layer2 in ids(),
            layer3 in ids(),
            standby in ids(),
        ) -> RewardedSet {
            RewardedSet { epoch_id, entry_gateways, exit_gateways, layer1, layer2, layer3, standby }
        }
    }

    proptest! {
        #[test]
        fn a_rewarded_set_survives_its_document(set in set()) {
            prop_assert_eq!(RewardedSet::decode(set.encode().as_bytes()), Ok(set));
        }

        #[test]
        fn a_truncated_document_is_refused(set in set(), cut in any::<prop::sample::Index>()) {
            let body = set.encode();
            let body = &body.as_bytes()[..cut.index(body.len())];
            prop_assert!(RewardedSet::decode(body).is_err());
        }

        #[test]
        fn a_flipped_bit_never_panics(set in set(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
            let mut body = set.encode().into_bytes();
            let at = at.index(body.len());
            body[at] ^= 1u8 << bit;
            if let Ok(other) = RewardedSet::decode(&body) {
                prop_assert_eq!(RewardedSet::decode(other.encode().as_bytes()), Ok(other));
            }
        }

        #[test]
        fn random_bytes_never_panic(body in vec(any::<u8>(), 0..200)) {
            prop_assert!(RewardedSet::decode(&body).is_err());
        }
    }
}
