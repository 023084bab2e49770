//! The clock of the network: epochs and the rotation of Sphinx keys. (protocol: client 10.1)

use core::time::Duration;

use nym_proto::time::{Instant, UnixTime};

/// Counts epochs and key rotations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochClock {
    /// When `epoch` began.
    pub start: UnixTime,
    /// The epoch that began at `start`.
    pub epoch: u32,
    /// Length of an epoch.
    pub length: Duration,
    /// The epoch in which rotation 0 began.
    pub initial_epoch: u32,
    /// Epochs per rotation. Below 2 a node would need three keys at once, so 2 is used instead.
    pub validity_epochs: u32,
}

/// The rotations whose keys a node holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldRotations {
    /// The current rotation.
    pub primary: u32,
    /// The one before (in the first epoch of a rotation) or the one after (in the last epoch).
    pub secondary: Option<u32>,
}

impl EpochClock {
    /// Epochs per rotation on the main network. (protocol: sphinx 15)
    pub const VALIDITY_EPOCHS: u32 = 24;
    /// Length of an epoch on the main network. (protocol: sphinx 15)
    pub const LENGTH: Duration = Duration::from_secs(3600);
    /// The initial epoch of networks made here.
    pub const INITIAL_EPOCH: u32 = 1000;

    /// A network that begins at `start` with the first epoch of rotation 1, the first one that
    /// packets announce. `length` is at least one millisecond.
    #[must_use]
    pub fn new(start: UnixTime, length: Duration, validity_epochs: u32) -> Self {
        let validity_epochs = validity_epochs.max(2);
        Self {
            start,
            epoch: Self::INITIAL_EPOCH.saturating_add(validity_epochs),
            length: length.max(Duration::from_millis(1)),
            initial_epoch: Self::INITIAL_EPOCH,
            validity_epochs,
        }
    }

    /// The epoch at `now`.
    #[must_use]
    pub fn epoch_at(&self, now: UnixTime) -> u32 {
        let elapsed = i128::from(now.as_nanos()) - i128::from(self.start.as_nanos());
        let epoch = i128::from(self.epoch) + elapsed.div_euclid(self.length_nanos());
        u32::try_from(epoch.max(0)).unwrap_or(u32::MAX)
    }

    /// When `epoch` begins; the Unix epoch if that would be before it.
    #[must_use]
    pub fn start_of(&self, epoch: u32) -> UnixTime {
        let offset = (i128::from(epoch) - i128::from(self.epoch)) * self.length_nanos();
        let nanos = i128::from(self.start.as_nanos()) + offset;
        UnixTime::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }

    /// The key rotation `epoch` belongs to.
    #[must_use]
    pub fn rotation_of(&self, epoch: u32) -> u32 {
        epoch.saturating_sub(self.initial_epoch) / self.validity()
    }

    /// The first epoch of a rotation.
    #[must_use]
    pub fn first_epoch_of(&self, rotation: u32) -> u32 {
        self.initial_epoch.saturating_add(rotation.saturating_mul(self.validity()))
    }

    /// The keys a node holds in `epoch`: a key is accepted from one epoch before its rotation to
    /// one epoch after it. (protocol: sphinx 15)
    #[must_use]
    pub fn held_in(&self, epoch: u32) -> HeldRotations {
        let primary = self.rotation_of(epoch);
        let position = epoch.saturating_sub(self.first_epoch_of(primary));
        let secondary = if position == 0 {
            primary.checked_sub(1)
        } else if position + 1 == self.validity() {
            primary.checked_add(1)
        } else {
            None
        };
        HeldRotations { primary, secondary }
    }

    fn validity(&self) -> u32 {
        self.validity_epochs.max(2)
    }

    fn length_nanos(&self) -> i128 {
        i128::try_from(self.length.as_nanos()).unwrap_or(i128::MAX >> 32).max(1)
    }
}

/// Translates the caller's monotonic clock into wall-clock time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WallClock {
    at: Instant,
    unix_time: UnixTime,
}

impl WallClock {
    /// At instant `at` the wall clock shows `unix_time`.
    #[must_use]
    pub const fn new(at: Instant, unix_time: UnixTime) -> Self {
        Self { at, unix_time }
    }

    /// The wall clock at `now`.
    #[must_use]
    pub fn unix_time(&self, now: Instant) -> UnixTime {
        self.unix_time + now.since(self.at)
    }

    /// The instant at which the wall clock shows `time`.
    #[must_use]
    pub fn instant(&self, time: UnixTime) -> Instant {
        self.at + time.since(self.unix_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> EpochClock {
        EpochClock {
            start: UnixTime::from_secs(1_000_000),
            epoch: 1100,
            length: Duration::from_secs(3600),
            initial_epoch: 1000,
            validity_epochs: 24,
        }
    }

    #[test]
    fn the_worked_example_of_the_protocol_comes_out() {
        let clock = clock();
        let in_20_hours = UnixTime::from_secs(1_000_000 + 20 * 3600 + 60);
        assert_eq!(clock.rotation_of(1100), 4);
        assert_eq!(clock.first_epoch_of(5), 1120);
        assert_eq!(clock.epoch_at(in_20_hours), 1120);
        assert_eq!(clock.rotation_of(1120), 5);
    }

    #[test]
    fn epochs_before_the_start_round_downwards() {
        assert_eq!(clock().epoch_at(UnixTime::from_secs(1_000_000 - 1)), 1099);
        assert_eq!(clock().start_of(1099), UnixTime::from_secs(1_000_000 - 3600));
    }

    #[test]
    fn a_key_is_held_from_one_epoch_before_to_one_epoch_after_its_rotation() {
        let clock = clock();
        let holding: Vec<u32> = (1090..1160)
            .filter(|&epoch| {
                let held = clock.held_in(epoch);
                held.primary == 5 || held.secondary == Some(5)
            })
            .collect();
        assert_eq!(holding, (1119..=1144).collect::<Vec<u32>>());
    }

    #[test]
    fn a_new_network_begins_in_rotation_one() {
        let clock = EpochClock::new(UnixTime::from_secs(7), Duration::ZERO, 0);
        assert_eq!(clock.rotation_of(clock.epoch_at(UnixTime::from_secs(7))), 1);
    }
}
