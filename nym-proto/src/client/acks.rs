//! What is in flight, when it is overdue.
//!
//! A fragment is here from its first transmission until its ack arrives or its message ends. While
//! it waits in the queue for its next transmission its timer is stopped. (protocol: client 7)

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::config::AckConfig;
use crate::message::FragmentId;
use crate::time::Instant;

/// Transmissions before the wait begins to grow ...
const PATIENT_ATTEMPTS: u32 = 6;
/// ... by this factor each time.
const WAIT_GROWTH: f64 = 1.5;

/// A fragment, named by its message and its index in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FragmentKey {
    pub(super) message: u64,
    pub(super) index: u32,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    key: FragmentKey,
    attempts: u32,
    /// When it is overdue; `None` while it waits for its next transmission.
    deadline: Option<Instant>,
}

/// A fragment that was confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Acked {
    pub(super) key: FragmentKey,
    /// It was queued for its next transmission.
    pub(super) was_waiting: bool,
}

/// Fragments without an ack.
#[derive(Debug)]
pub(super) struct Acks {
    config: AckConfig,
    pending: BTreeMap<FragmentId, Pending>,
    timers: BTreeSet<(Instant, FragmentId)>,
}

impl Acks {
    pub(super) fn new(config: AckConfig) -> Self {
        Self { config, pending: BTreeMap::new(), timers: BTreeSet::new() }
    }

    /// A fragment is about to leave. `expected` is the expected round trip. Returns how often it
    /// was transmitted, this one included.
    pub(super) fn sent(
        &mut self,
        now: Instant,
        id: FragmentId,
        key: FragmentKey,
        expected: Duration,
    ) -> u32 {
        let entry = self.pending.entry(id).or_insert(Pending { key, attempts: 0, deadline: None });
        if let Some(deadline) = entry.deadline.take() {
            self.timers.remove(&(deadline, id));
        }
        entry.attempts = entry.attempts.saturating_add(1);
        let deadline = now + wait(&self.config, expected, entry.attempts);
        entry.deadline = Some(deadline);
        self.timers.insert((deadline, id));
        entry.attempts
    }

    /// An ack has arrived. Returns the fragment it confirms.
    pub(super) fn acked(&mut self, id: FragmentId) -> Option<Acked> {
        let entry = self.pending.remove(&id)?;
        if let Some(deadline) = entry.deadline {
            self.timers.remove(&(deadline, id));
        }
        Some(Acked { key: entry.key, was_waiting: entry.deadline.is_none() })
    }

    /// True while the fragment has no ack.
    pub(super) fn is_pending(&self, id: &FragmentId) -> bool {
        self.pending.contains_key(id)
    }

    /// A fragment that is overdue, if one is. Its timer is stopped until it is sent again.
    pub(super) fn poll_overdue(&mut self, now: Instant) -> Option<(FragmentId, FragmentKey, u32)> {
        let &(deadline, id) = self.timers.first()?;
        if deadline > now {
            return None;
        }
        self.timers.pop_first();
        let entry = self.pending.get_mut(&id)?;
        entry.deadline = None;
        Some((id, entry.key, entry.attempts))
    }

    /// Starts every running timer anew: acks could not arrive until now.
    pub(super) fn restart_timers(&mut self, now: Instant, step: Duration) {
        let ids: Vec<FragmentId> =
            core::mem::take(&mut self.timers).into_iter().map(|(_, id)| id).collect();
        let base = wait(&self.config, Duration::ZERO, 1);
        for (n, id) in ids.into_iter().enumerate() {
            // spread over the slots to come, so that not all are overdue at one instant
            let spread = step.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
            let deadline = now + base + spread;
            if let Some(entry) = self.pending.get_mut(&id) {
                entry.deadline = Some(deadline);
                self.timers.insert((deadline, id));
            }
        }
    }

    /// Forgets a fragment whose message has ended.
    pub(super) fn forget(&mut self, id: FragmentId) {
        let _ = self.acked(id);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

/// protocol: client 7.2, with back-off for fragments that stay without an ack.
fn wait(config: &AckConfig, expected: Duration, attempts: u32) -> Duration {
    let expected = scaled(expected.min(config.wait_max), config.wait_multiplier.clamp(1.0, 100.0));
    let wait = expected.saturating_add(config.wait_addition);
    let growth = attempts.saturating_sub(PATIENT_ATTEMPTS).min(32);
    let longest = config.wait_max.max(config.wait_addition);
    scaled(wait.min(longest), libm::pow(WAIT_GROWTH, f64::from(growth))).min(longest)
}

/// The product, or the longest duration if there is none.
fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SetId;

    const KEY: FragmentKey = FragmentKey { message: 1, index: 0 };

    fn id(set: u32) -> FragmentId {
        FragmentId { set: SetId::new(set).unwrap(), position: 1 }
    }

    #[test]
    fn a_fragment_is_overdue_after_one_and_a_half_round_trips_and_1500_ms() {
        let mut acks = Acks::new(AckConfig::default());
        acks.sent(Instant::START, id(1), KEY, Duration::from_millis(100));
        let due = Instant::START + Duration::from_millis(1650);
        assert_eq!(acks.deadline(), Some(due));
        assert_eq!(acks.poll_overdue(Instant::from_nanos(due.as_nanos() - 1)), None);
        assert_eq!(acks.poll_overdue(due), Some((id(1), KEY, 1)));
        assert_eq!(acks.poll_overdue(due), None);
        assert!(acks.is_pending(&id(1)));
    }

    #[test]
    fn an_acked_fragment_is_never_overdue() {
        let mut acks = Acks::new(AckConfig::default());
        acks.sent(Instant::START, id(1), KEY, Duration::ZERO);
        assert_eq!(acks.acked(id(1)), Some(Acked { key: KEY, was_waiting: false }));
        assert_eq!(acks.acked(id(1)), None);
        assert_eq!(acks.poll_overdue(Instant::FAR_FUTURE), None);
        assert_eq!(acks.len(), 0);
    }

    #[test]
    fn the_wait_grows_by_half_after_six_transmissions_up_to_its_maximum() {
        let config = AckConfig::default();
        let expected = Duration::from_millis(100);
        let base = wait(&config, expected, 1);
        assert_eq!(wait(&config, expected, 6), base);
        assert_eq!(wait(&config, expected, 7), base.mul_f64(1.5));
        assert_eq!(wait(&config, expected, 8), base.mul_f64(2.25));
        assert_eq!(wait(&config, expected, 1000), config.wait_max);
    }

    #[test]
    fn restarted_timers_are_spread() {
        let mut acks = Acks::new(AckConfig::default());
        for set in 1..=3 {
            acks.sent(Instant::START, id(set), KEY, Duration::ZERO);
        }
        let now = Instant::START + Duration::from_secs(60);
        acks.restart_timers(now, Duration::from_millis(20));
        assert_eq!(acks.poll_overdue(now + Duration::from_millis(1499)), None);
        assert!(acks.poll_overdue(now + Duration::from_millis(1500)).is_some());
        assert!(acks.poll_overdue(now + Duration::from_millis(1500)).is_none());
        assert!(acks.poll_overdue(now + Duration::from_millis(1520)).is_some());
    }
}
