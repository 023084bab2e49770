//! The clock of key rotations: how long a SURB can be used. (protocol: client 10)

use core::time::Duration;

use crate::sphinx::KeyRotation;
use crate::time::{Instant, UnixTime, nanos};
use crate::topology::directory::KeyRotationInfo;

/// Longest time before a change in which no more SURBs are asked for than are needed at once: new
/// ones would be worth little. protocol: client 10.5
const CALM_BEFORE_CHANGE: Duration = Duration::from_secs(15 * 60);
/// How far the wall clock may be off. protocol: client 18, 39
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// What the directory last said about rotations, tied to the monotonic clock. Without a word from
/// a directory nothing rotates.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rotations {
    known: Option<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    info: KeyRotationInfo,
    /// The wall clock at `at`.
    unix: UnixTime,
    at: Instant,
    /// A time that had certainly come at `at`: the directory itself has seen it.
    seen: UnixTime,
    /// The network has not left this epoch although its time is over.
    stuck: bool,
}

impl Rotations {
    /// The directory has answered: `described` is the epoch of its list of nodes, compiled at
    /// `refreshed_at`.
    pub(super) fn set(
        &mut self,
        now: Instant,
        unix: UnixTime,
        info: KeyRotationInfo,
        (described, refreshed_at): (u32, Option<UnixTime>),
    ) {
        // a wall clock that is behind what the directory has already seen is wrong
        let unix = refreshed_at.map_or(unix, |refreshed| unix.max(refreshed));
        let stuck = refreshed_at.is_some_and(|refreshed| {
            let surely =
                UnixTime::from_nanos(refreshed.as_nanos().saturating_sub(nanos(CLOCK_TOLERANCE)));
            described <= info.current_epoch_id && described < info.epoch_at(surely)
        });
        let seen = refreshed_at.unwrap_or(info.current_epoch_start);
        self.known = Some(Known { info, unix, at: now, seen, stuck });
    }

    /// The rotation now.
    pub(super) fn current(&self, now: Instant) -> Option<u32> {
        self.known.map(|known| known.current(now))
    }

    /// True if a directory has said how rotations go on.
    pub(super) const fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// How long a SURB lasts at most.
    pub(super) fn surb_lifetime(&self) -> Option<Duration> {
        self.known.map(|known| known.info.surb_lifetime())
    }

    /// Length of an epoch.
    pub(super) fn epoch(&self) -> Option<Duration> {
        self.known.map(|known| known.info.epoch_duration)
    }

    /// How long ago the current rotation began.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        let known = self.known?;
        Some(known.unix_at(now).since(known.info.rotation_start(known.current(now))))
    }

    /// Which rotation SURBs with this stamp belong to that arrive now. The stamp tells only odd
    /// from even.
    pub(super) fn of_stamp(&self, now: Instant, stamp: KeyRotation) -> Option<u32> {
        let known = self.known?;
        let current = known.current(now);
        if stamp == KeyRotation::Unknown {
            return None;
        }
        if KeyRotation::of_id(current) == stamp {
            return Some(current);
        }
        // the sender's clock may be ahead of ours
        let to_change = known.info.rotation_start(current.saturating_add(1));
        let is_near = to_change.since(known.unix_at(now)) <= known.info.epoch_duration;
        Some(if is_near { current.saturating_add(1) } else { current.saturating_sub(1) })
    }

    /// True while SURBs of this rotation are routable: until an epoch after its end.
    pub(super) fn is_alive(&self, now: Instant, rotation: u32) -> bool {
        self.known.is_none_or(|known| {
            rotation >= known.current(now) || !known.is_over(rotation, known.unix_at(now))
        })
    }

    /// True if SURBs of this rotation have not been routable for `margin`, and certainly so: a wall
    /// clock that is ahead does not make them old.
    pub(super) fn is_over(&self, now: Instant, rotation: u32, margin: Duration) -> bool {
        self.known.filter(|known| rotation < known.current(now)).is_some_and(|known| {
            let seen = known.seen + now.since(known.at);
            let earlier = seen.as_nanos().saturating_sub(nanos(margin));
            known.is_over(rotation, UnixTime::from_nanos(earlier))
        })
    }

    /// True shortly before a change of rotation.
    pub(super) fn is_before_change(&self, now: Instant) -> bool {
        self.known.is_some_and(|known| {
            let next = known.info.rotation_start(known.current(now).saturating_add(1));
            let calm = CALM_BEFORE_CHANGE.min(known.info.epoch_duration / 4);
            next.since(known.unix_at(now)) <= calm
        })
    }
}

impl Known {
    /// True if a rotation had been over for an epoch at this time.
    fn is_over(&self, rotation: u32, at: UnixTime) -> bool {
        let end = self.info.rotation_start(rotation.saturating_add(1));
        at >= end && at.since(end) >= self.info.epoch_duration
    }

    fn unix_at(&self, now: Instant) -> UnixTime {
        self.unix + now.since(self.at)
    }

    fn current(&self, now: Instant) -> u32 {
        let epoch = match self.stuck {
            true => self.info.current_epoch_id,
            false => self.info.epoch_at(self.unix_at(now)),
        };
        self.info.rotation_of(epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Rotation 4 began 4 hours ago and lasts 24.
    fn rotations() -> Rotations {
        let info = KeyRotationInfo {
            validity_epochs: 24,
            initial_epoch_id: 1000,
            current_epoch_id: 1100,
            current_epoch_start: UnixTime::from_secs(1_000_000),
            epoch_duration: HOUR,
        };
        let mut rotations = Rotations::default();
        let unix = UnixTime::from_secs(1_000_000);
        rotations.set(Instant::START, unix, info, (1100, Some(unix)));
        rotations
    }

    fn hours(n: u32) -> Instant {
        Instant::START + HOUR * n
    }

    #[test]
    fn a_surb_is_alive_until_one_epoch_after_its_rotation() {
        let rotations = rotations();
        assert_eq!(rotations.current(hours(19)), Some(4));
        assert_eq!(rotations.current(hours(20)), Some(5));
        assert!(rotations.is_alive(hours(20) + 59 * MINUTE, 4));
        assert!(!rotations.is_alive(hours(21), 4));
        assert!(rotations.is_over(hours(21), 4, Duration::ZERO));
        assert!(!rotations.is_over(hours(21), 4, MINUTE));
        assert!(rotations.is_over(hours(21) + MINUTE, 4, MINUTE));
    }

    #[test]
    fn a_wall_clock_that_is_ahead_ends_nothing_for_good() {
        let mut rotations = rotations();
        let info = rotations.known.map(|known| known.info).unwrap();
        let (described, ahead) = (UnixTime::from_secs(1_000_000), HOUR * 30);
        rotations.set(Instant::START, described + ahead, info, (1100, Some(described)));
        assert!(!rotations.is_alive(Instant::START, 4));
        assert!(!rotations.is_over(hours(20), 4, Duration::ZERO));
        assert!(rotations.is_over(hours(21), 4, Duration::ZERO));
    }

    #[test]
    fn a_surb_two_rotations_old_is_dead_although_its_stamp_is_the_right_one() {
        let rotations = rotations();
        assert_eq!(KeyRotation::of_id(4), KeyRotation::of_id(6));
        assert_eq!(rotations.current(hours(44)), Some(6));
        assert!(!rotations.is_alive(hours(44), 4));
        assert!(rotations.is_alive(hours(44), 6));
    }

    #[test]
    fn a_stamp_of_the_other_parity_is_the_rotation_before_or_near_the_end_the_one_after() {
        let rotations = rotations();
        assert_eq!(rotations.of_stamp(hours(10), KeyRotation::Even), Some(4));
        assert_eq!(rotations.of_stamp(hours(10), KeyRotation::Odd), Some(3));
        assert_eq!(rotations.of_stamp(hours(19) + MINUTE, KeyRotation::Odd), Some(5));
        assert_eq!(rotations.of_stamp(hours(10), KeyRotation::Unknown), None);
    }

    #[test]
    fn the_last_quarter_of_an_hour_before_a_change_is_calm() {
        let rotations = rotations();
        assert!(!rotations.is_before_change(hours(19) + 44 * MINUTE));
        assert!(rotations.is_before_change(hours(19) + 45 * MINUTE));
        assert!(!rotations.is_before_change(hours(20)));
    }

    #[test]
    fn an_epoch_that_does_not_end_keeps_its_rotation() {
        let mut rotations = rotations();
        let info = rotations.known.map(|known| known.info);
        let late = UnixTime::from_secs(1_000_000 + 22 * 3600);
        rotations.set(hours(22), late, info.unwrap(), (1100, Some(late)));
        assert_eq!(rotations.current(hours(22)), Some(4));
        assert!(!rotations.is_over(hours(22), 4, Duration::ZERO));
        // the same answer, but old: the clock goes on
        let old = UnixTime::from_secs(1_000_000);
        rotations.set(hours(22), late, info.unwrap(), (1100, Some(old)));
        assert_eq!(rotations.current(hours(22)), Some(5));
        assert!(rotations.is_over(hours(44), 4, Duration::ZERO));
    }

    #[test]
    fn without_a_directory_nothing_rotates() {
        let rotations = Rotations::default();
        assert!(rotations.is_alive(Instant::FAR_FUTURE, 0));
        assert!(!rotations.is_over(Instant::FAR_FUTURE, 0, Duration::ZERO));
        assert_eq!(rotations.current(Instant::START), None);
        assert!(!rotations.is_before_change(Instant::START));
    }
}
