//! The clock of epochs and key rotations. (protocol: client 10.1)

use core::time::Duration;
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;

use super::document::{DocumentError, read};
use crate::time::{UnixTime, nanos};
use crate::topology::raw::shorten;
use crate::topology::timestamp;

/// What the directory says about epochs and key rotations. All arithmetic on it saturates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyRotationInfo {
    /// Epochs a key rotation lasts; 24 on the main network, not 0.
    pub validity_epochs: u32,
    /// The epoch in which rotation 0 began.
    pub initial_epoch_id: u32,
    /// The epoch at the time of the answer.
    pub current_epoch_id: u32,
    /// When that epoch began.
    pub current_epoch_start: UnixTime,
    /// Length of an epoch; one hour on the main network, not 0.
    pub epoch_duration: Duration,
}

#[derive(Deserialize)]
struct Document<'a> {
    key_rotation_state: State,
    current_absolute_epoch_id: u32,
    #[serde(borrow)]
    current_epoch_start: Cow<'a, str>,
    epoch_duration: Length,
}

#[derive(Deserialize)]
struct State {
    validity_epochs: u32,
    initial_epoch_id: u32,
}

#[derive(Deserialize)]
struct Length {
    secs: u64,
    #[serde(default)]
    nanos: u32,
}

impl KeyRotationInfo {
    /// Reads the document at [`KEY_ROTATION_INFO`](super::KEY_ROTATION_INFO).
    ///
    /// # Errors
    /// A body that is too long or not of the expected form, a start of the epoch that is no
    /// timestamp, epochs or rotations of zero length.
    pub fn decode(body: &[u8]) -> Result<Self, DocumentError> {
        let document: Document<'_> = read(body)?;
        let start = &document.current_epoch_start;
        let info = Self {
            validity_epochs: document.key_rotation_state.validity_epochs,
            initial_epoch_id: document.key_rotation_state.initial_epoch_id,
            current_epoch_id: document.current_absolute_epoch_id,
            current_epoch_start: timestamp::parse(start)
                .ok_or_else(|| DocumentError::Timestamp(shorten(start)))?,
            epoch_duration: Duration::from_secs(document.epoch_duration.secs)
                .saturating_add(Duration::from_nanos(document.epoch_duration.nanos.into())),
        };
        if info.validity_epochs == 0 {
            Err(DocumentError::ZeroValidity)
        } else if info.epoch_duration.is_zero() {
            Err(DocumentError::ZeroEpoch)
        } else {
            Ok(info)
        }
    }

    /// Writes the document at [`KEY_ROTATION_INFO`](super::KEY_ROTATION_INFO).
    #[must_use]
    pub fn encode(&self) -> String {
        let rotation = self.rotation_of(self.current_epoch_id);
        let first = self.first_epoch_of(rotation);
        let last = first.saturating_add(self.validity_epochs.saturating_sub(1));
        json!({
            "key_rotation_state": {
                "validity_epochs": self.validity_epochs,
                "initial_epoch_id": self.initial_epoch_id,
            },
            "current_absolute_epoch_id": self.current_epoch_id,
            "current_epoch_start": timestamp::rfc3339(self.current_epoch_start),
            "epoch_duration": {
                "secs": self.epoch_duration.as_secs(),
                "nanos": self.epoch_duration.subsec_nanos(),
            },
            "progress": {
                "current_key_rotation_id": rotation,
                "current_rotation_starting_epoch": first,
                "current_rotation_ending_epoch": last,
            },
        })
        .to_string()
    }

    /// The epoch at `now`.
    #[must_use]
    pub fn epoch_at(&self, now: UnixTime) -> u32 {
        let epoch = i128::from(self.current_epoch_id).saturating_add(self.epochs_since_start(now));
        u32::try_from(epoch.max(0)).unwrap_or(u32::MAX)
    }

    /// The rotation an epoch belongs to. Epochs before the initial one belong to rotation 0.
    #[must_use]
    pub fn rotation_of(&self, epoch: u32) -> u32 {
        epoch.saturating_sub(self.initial_epoch_id).checked_div(self.validity_epochs).unwrap_or(0)
    }

    /// The first epoch of a rotation.
    #[must_use]
    pub fn first_epoch_of(&self, rotation: u32) -> u32 {
        rotation.saturating_mul(self.validity_epochs).saturating_add(self.initial_epoch_id)
    }

    /// When a rotation begins.
    #[must_use]
    pub fn rotation_start(&self, rotation: u32) -> UnixTime {
        let epochs = i128::from(rotation) * i128::from(self.validity_epochs)
            + i128::from(self.initial_epoch_id)
            - i128::from(self.current_epoch_id);
        self.start_plus(epochs)
    }

    /// When the epoch at `now` ends and the next begins.
    #[must_use]
    pub fn epoch_end(&self, now: UnixTime) -> UnixTime {
        if self.epoch_duration.is_zero() {
            return UnixTime::from_nanos(u64::MAX);
        }
        self.start_plus(self.epochs_since_start(now).saturating_add(1))
    }

    /// How long a SURB can be used at most: a rotation and the epoch of overlap after it.
    #[must_use]
    pub fn surb_lifetime(&self) -> Duration {
        self.epoch_duration.saturating_mul(self.validity_epochs.saturating_add(1))
    }

    /// Whole epochs from the known start to `now`, rounded towards minus infinity. An epoch of no
    /// length never ends.
    fn epochs_since_start(&self, now: UnixTime) -> i128 {
        let since = i128::from(now.as_nanos()) - i128::from(self.current_epoch_start.as_nanos());
        since.checked_div_euclid(i128::from(nanos(self.epoch_duration))).unwrap_or(0)
    }

    fn start_plus(&self, epochs: i128) -> UnixTime {
        let time = epochs
            .saturating_mul(i128::from(nanos(self.epoch_duration)))
            .saturating_add(i128::from(self.current_epoch_start.as_nanos()));
        UnixTime::from_nanos(u64::try_from(time.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 20_000 * 24 * HOUR;

    /// The worked example of the specification: epoch 1100 began at 06:00.
    fn example() -> KeyRotationInfo {
        KeyRotationInfo {
            validity_epochs: 24,
            initial_epoch_id: 1000,
            current_epoch_id: 1100,
            current_epoch_start: UnixTime::from_secs(DAY + 6 * HOUR),
            epoch_duration: Duration::from_secs(HOUR),
        }
    }

    #[test]
    fn times_before_the_known_start_floor_towards_minus_infinity() {
        let at = |secs| example().epoch_at(UnixTime::from_secs(secs));
        assert_eq!(at(DAY + 6 * HOUR), 1100);
        assert_eq!(at(DAY + 6 * HOUR - 1), 1099);
        assert_eq!(at(DAY + 5 * HOUR), 1099);
        assert_eq!(at(DAY + 5 * HOUR - 1), 1098);
        assert_eq!(at(0), 0);
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let info = example();
        let end = |secs| info.epoch_end(UnixTime::from_secs(secs)).as_secs();
        assert_eq!(end(DAY + 6 * HOUR), DAY + 7 * HOUR);
        assert_eq!(end(DAY + 7 * HOUR - 1), DAY + 7 * HOUR);
        assert_eq!(end(DAY + 6 * HOUR - 1), DAY + 6 * HOUR);
        assert_eq!(info.surb_lifetime(), Duration::from_secs(25 * HOUR));
    }

    #[test]
    fn lengths_of_zero_and_a_start_that_is_no_time_are_refused() {
        let body = example().encode();
        let with =
            |from: &str, to: &str| KeyRotationInfo::decode(body.replace(from, to).as_bytes());
        assert_eq!(
            with("\"validity_epochs\":24", "\"validity_epochs\":0"),
            Err(DocumentError::ZeroValidity)
        );
        assert_eq!(with("3600", "0"), Err(DocumentError::ZeroEpoch));
        assert!(matches!(with("T06:00:00Z", "noon"), Err(DocumentError::Timestamp(_))));
    }

    #[test]
    fn an_epoch_of_no_length_is_eternal() {
        let info =
            KeyRotationInfo { epoch_duration: Duration::ZERO, validity_epochs: 0, ..example() };
        assert_eq!(info.epoch_at(UnixTime::from_nanos(u64::MAX)), 1100);
        assert_eq!(info.rotation_of(u32::MAX), 0);
        assert_eq!(info.epoch_end(UnixTime::from_secs(5)), UnixTime::from_nanos(u64::MAX));
    }

    prop_compose! {
        fn info()(
            validity_epochs in prop_oneof![1..100u32, 1..=u32::MAX],
            initial_epoch_id in any::<u32>(),
            current_epoch_id in any::<u32>(),
            start in any::<u64>(),
            secs in prop_oneof![1..100_000u64, any::<u64>()],
            nanos in 1..1_000_000_000u32,
        ) -> KeyRotationInfo {
            KeyRotationInfo {
                validity_epochs,
                initial_epoch_id,
                current_epoch_id,
                current_epoch_start: UnixTime::from_nanos(start),
                epoch_duration: Duration::new(secs, nanos),
            }
        }
    }

    proptest! {
        #[test]
        fn the_clock_survives_its_document(info in info()) {
            prop_assert_eq!(KeyRotationInfo::decode(info.encode().as_bytes()), Ok(info));
        }

        #[test]
        fn arithmetic_never_overflows_and_the_end_is_not_before_now(
            info in info(),
            now in any::<u64>(),
            rotation in any::<u32>(),
        ) {
            let now = UnixTime::from_nanos(now);
            let _ = info.rotation_start(rotation);
            let _ = info.surb_lifetime();
            let _ = info.first_epoch_of(info.rotation_of(info.epoch_at(now)));
            prop_assert!(info.epoch_end(now) >= now);
        }

        #[test]
        fn a_rotation_starts_in_its_own_first_epoch(rotation in 0..1000u32, shift in 0..50_000u32) {
            let info = KeyRotationInfo { current_epoch_id: 1000 + shift, ..example() };
            let start = info.rotation_start(rotation);
            prop_assume!(start > UnixTime::default());
            prop_assert_eq!(info.epoch_at(start), info.first_epoch_of(rotation));
            prop_assert_eq!(info.rotation_of(info.epoch_at(start)), rotation);
        }

        #[test]
        fn truncated_and_flipped_documents_never_panic(
            info in info(),
            at in any::<prop::sample::Index>(),
            bit in 0..8u32,
        ) {
            let mut body = info.encode().into_bytes();
            let at = at.index(body.len());
            prop_assert!(KeyRotationInfo::decode(&body[..at]).is_err());
            body[at] ^= 1u8 << bit;
            if let Ok(other) = KeyRotationInfo::decode(&body) {
                prop_assert_eq!(KeyRotationInfo::decode(other.encode().as_bytes()), Ok(other));
            }
        }

        #[test]
        fn random_bytes_are_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(KeyRotationInfo::decode(&body).is_err());
        }
    }
}
