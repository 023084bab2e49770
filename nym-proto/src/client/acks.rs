//! What is in flight, when it is overdue.
//!
//! A fragment is here from its first transmission until its ack arrives or its message ends. While
//! it waits in the queue for its next transmission its timer is stopped. (protocol: client 7)

mod breaker;
mod clock;
mod estimate;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use self::breaker::Breaker;
use self::clock::Clock;
use self::estimate::{Estimate, scaled};
use super::config::AckConfig;
use crate::entropy::Stream;
use crate::identity::IdentityKey;
use crate::message::{FragmentId, SetId};
use crate::time::Instant;

/// Transmissions before the wait begins to grow: chance loses a packet a few times in a row.
const PATIENT_ATTEMPTS: u32 = 3;
/// Each further wait for the same fragment is longer than the one before by a random factor from this ...
const WAIT_GROWTH_MIN: f64 = 1.5;
/// ... to this much more.
const WAIT_GROWTH_SPAN: f64 = 0.5;
/// More growth than any wait can use.
const GROWTH_MAX: f64 = 1e9;

/// After an outage nothing that was in flight is repeated for this long: the gateway has kept acks
/// that came meanwhile and hands them over now.
const GRACE: Duration = Duration::from_secs(2);
/// It is put off while such acks arrive ...
const QUIET: Duration = Duration::from_millis(500);
/// ... but not longer than this.
const GRACE_MAX: Duration = Duration::from_secs(30);
/// Mean slots of the main stream between two repetitions of what was in flight in an outage; the
/// inverse of the share of retransmissions. (protocol: client 6.4)
const REPEAT_PACE: u32 = 4;
/// Mean slots of the main stream between two packets to gateways that answer nothing.
const PROBE_PACE: u32 = 16;

/// A fragment, named by its message and its index in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FragmentKey {
    pub(super) message: u64,
    pub(super) index: u32,
}

/// A packet with a fragment that leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transmission {
    pub(super) id: FragmentId,
    pub(super) key: FragmentKey,
    /// The recipient's gateway, if it is known.
    pub(super) egress: Option<IdentityKey>,
    /// Sum of the delays the packet and its ack are told to make.
    pub(super) expected: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    sent: Transmission,
    /// When it was transmitted last, and in which era.
    at: Instant,
    era: u32,
    attempts: u32,
    /// Product of the growths of the wait so far.
    growth: f64,
    /// When it is overdue, on the clock of acks; `None` while it waits for its next transmission.
    deadline: Option<Instant>,
}

impl Pending {
    fn timer(&self) -> Option<(u32, Instant, Option<FragmentId>)> {
        self.deadline.map(|deadline| (self.era, deadline, Some(self.sent.id)))
    }
}

/// A fragment that was not confirmed in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Overdue {
    pub(super) id: FragmentId,
    pub(super) key: FragmentKey,
    /// How often it was transmitted.
    pub(super) attempts: u32,
}

/// What was in flight when the gateway was lost is repeated slowly, as it may have arrived.
#[derive(Debug)]
struct Recovery {
    pace: Duration,
    next: Instant,
    latest: Instant,
}

/// Fragments without an ack.
#[derive(Debug)]
pub(super) struct Acks {
    estimate: Estimate,
    breaker: Breaker,
    clock: Clock,
    jitter: Stream,
    pending: BTreeMap<FragmentId, Pending>,
    /// By era and deadline. The id is always there; without one, an entry is before all others.
    timers: BTreeSet<(u32, Instant, Option<FragmentId>)>,
    /// Counts outages.
    era: u32,
    recovery: Recovery,
}

impl Acks {
    /// `slot` is the mean interval of the slots fragments can take.
    pub(super) fn new(config: AckConfig, slot: Duration, jitter: Stream) -> Self {
        Self {
            estimate: Estimate::new(config),
            breaker: Breaker::new(config.gateway_losses_max, slot.saturating_mul(PROBE_PACE)),
            clock: Clock::new(),
            jitter,
            pending: BTreeMap::new(),
            timers: BTreeSet::new(),
            era: 0,
            recovery: Recovery {
                pace: slot.saturating_mul(REPEAT_PACE),
                next: Instant::START,
                latest: Instant::START,
            },
        }
    }

    /// The mean interval of slots is another one from now on.
    pub(super) fn set_slot(&mut self, slot: Duration) {
        self.breaker.set_pace(slot.saturating_mul(PROBE_PACE));
        self.recovery.pace = slot.saturating_mul(REPEAT_PACE);
    }

    // ---- the link --------------------------------------------------------------------------

    /// No ack can arrive, or none of what was sent last: all timers stand still.
    pub(super) fn pause(&mut self, now: Instant) {
        self.clock.stop(now);
    }

    /// The timers go on.
    pub(super) fn resume(&mut self, now: Instant) {
        self.clock.start(now);
    }

    /// The timers go on after time in which acks may have been missed.
    pub(super) fn resume_after_outage(&mut self, now: Instant) {
        self.clock.start(now);
        self.recover(now);
    }

    /// To be called often. Notices that the client slept.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.clock.look(now) {
            self.recover(now);
        }
    }

    fn recover(&mut self, now: Instant) {
        self.era = self.era.saturating_add(1);
        self.recovery.next = now + GRACE;
        self.recovery.latest = now + GRACE_MAX;
    }

    // ---- fragments -------------------------------------------------------------------------

    /// A fragment is handed to the socket.
    pub(super) fn sent(&mut self, now: Instant, sent: Transmission) {
        if let Some(egress) = &sent.egress {
            self.breaker.sent(now, egress, &mut self.jitter);
        }
        let (at, era) = (self.clock.read(now), self.era);
        let entry = self.pending.entry(sent.id).or_insert(Pending {
            sent,
            at,
            era,
            attempts: 0,
            growth: 1.0,
            deadline: None,
        });
        if let Some(timer) = entry.timer() {
            self.timers.remove(&timer);
        }
        entry.attempts = entry.attempts.saturating_add(1);
        if entry.attempts > PATIENT_ATTEMPTS {
            let growth = WAIT_GROWTH_MIN + WAIT_GROWTH_SPAN * self.jitter.unit();
            entry.growth = (entry.growth * growth).min(GROWTH_MAX);
        }
        let wait = scaled(self.estimate.wait(sent.expected), entry.growth);
        (entry.sent, entry.at, entry.era) = (sent, at, era);
        entry.deadline = Some(at + wait.min(self.estimate.wait_max()));
        self.timers.extend(entry.timer());
    }

    /// An ack has arrived. Returns the fragment it confirms.
    pub(super) fn acked(&mut self, now: Instant, id: FragmentId) -> Option<FragmentKey> {
        let entry = self.pending.remove(&id)?;
        if let Some(timer) = entry.timer() {
            self.timers.remove(&timer);
        }
        self.breaker.returned(entry.sent.egress.as_ref());
        if entry.era != self.era {
            let quiet = (now + QUIET).min(self.recovery.latest);
            self.recovery.next = self.recovery.next.max(quiet);
        } else if entry.attempts == 1 {
            // of a repeated fragment it is not known which transmission was confirmed
            let at = self.clock.read(now);
            self.estimate.sample(at, at.since(entry.at), entry.sent.expected);
        }
        Some(entry.sent.key)
    }

    /// An ack of a cover packet has arrived: the network works.
    pub(super) fn cover_acked(&mut self) {
        self.breaker.returned(None);
    }

    /// True while the fragment has no ack.
    pub(super) fn is_pending(&self, id: &FragmentId) -> bool {
        self.pending.contains_key(id)
    }

    /// A fragment that is overdue, if one is. Its timer is stopped until it is sent again.
    pub(super) fn poll_overdue(&mut self, now: Instant) -> Option<Overdue> {
        if !self.clock.is_running() {
            return None;
        }
        let at = self.clock.read(now);
        let timer = match self.next_timer().filter(|(_, deadline, _)| *deadline <= at) {
            Some(timer) => timer,
            None => {
                let timer = self.next_old_timer().filter(|(_, deadline, _)| *deadline <= at)?;
                if self.recovery.next > now {
                    return None;
                }
                let pace = self.recovery.pace;
                self.recovery.next = now + pace / 2 + self.jitter.up_to(pace);
                timer
            }
        };
        self.timers.remove(&timer);
        let id = timer.2?;
        let entry = self.pending.get_mut(&id)?;
        entry.deadline = None;
        if entry.era == self.era {
            if entry.attempts == 1 {
                self.estimate.timed_out(at, entry.at);
            }
            if let Some(egress) = &entry.sent.egress {
                self.breaker.lost(now, egress);
            }
        }
        Some(Overdue { id, key: entry.sent.key, attempts: entry.attempts })
    }

    /// The first timer of what was sent since the last outage.
    fn next_timer(&self) -> Option<(u32, Instant, Option<FragmentId>)> {
        self.timers.range((self.era, Instant::START, None)..).next().copied()
    }

    /// The first timer of what was in flight in an outage.
    fn next_old_timer(&self) -> Option<(u32, Instant, Option<FragmentId>)> {
        self.timers.first().filter(|(era, ..)| *era < self.era).copied()
    }

    /// Forgets the fragments of a set whose message has ended.
    pub(super) fn forget(&mut self, set: SetId) {
        let first = FragmentId { set, position: 0 };
        let last = FragmentId { set, position: u8::MAX };
        while let Some((id, entry)) = self.pending.range(first..=last).next() {
            let (id, timer) = (*id, entry.timer());
            self.pending.remove(&id);
            if let Some(timer) = timer {
                self.timers.remove(&timer);
            }
        }
    }

    /// When a fragment is overdue next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if !self.clock.is_running() {
            return None;
        }
        let real = |(_, deadline, _)| self.clock.real(deadline);
        let old = self.next_old_timer().map(|timer| real(timer).max(self.recovery.next));
        self.next_timer().map(real).into_iter().chain(old).min()
    }

    /// Fragments in flight.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    // ---- recipients' gateways --------------------------------------------------------------

    /// True if a packet may go to this gateway now.
    pub(super) fn allows(&self, now: Instant, egress: &IdentityKey) -> bool {
        self.breaker.allows(now, egress)
    }

    /// True if this gateway loses everything.
    pub(super) fn is_unreachable(&self, egress: &IdentityKey) -> bool {
        self.breaker.is_open(egress)
    }

    /// Gateways that lose everything.
    pub(super) const fn unreachable(&self) -> usize {
        self.breaker.open()
    }

    /// Times a gateway began to lose everything.
    pub(super) const fn given_up(&self) -> u64 {
        self.breaker.opened()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose};

    const KEY: FragmentKey = FragmentKey { message: 1, index: 0 };
    const SLOT: Duration = Duration::from_millis(20);

    fn id(set: u32) -> FragmentId {
        FragmentId { set: SetId::new(set).unwrap(), position: 1 }
    }

    fn packet(set: u32) -> Transmission {
        let expected = Duration::from_millis(100);
        Transmission { id: id(set), key: KEY, egress: None, expected }
    }

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn acks() -> Acks {
        let jitter = Entropy::new([3; 32]).stream(Purpose::Acks);
        let mut acks = Acks::new(AckConfig::default(), SLOT, jitter);
        acks.resume(Instant::START);
        acks
    }

    fn overdue(acks: &mut Acks, now: Instant) -> usize {
        core::iter::from_fn(|| acks.poll_overdue(now)).count()
    }

    #[test]
    fn a_fragment_is_overdue_after_one_and_a_half_round_trips_and_1500_ms() {
        let mut acks = acks();
        acks.sent(at(0), packet(1));
        assert_eq!(acks.deadline(), Some(at(1650)));
        assert_eq!(acks.poll_overdue(Instant::from_nanos(at(1650).as_nanos() - 1)), None);
        assert_eq!(acks.poll_overdue(at(1650)), Some(Overdue { id: id(1), key: KEY, attempts: 1 }));
        assert_eq!(acks.poll_overdue(at(1650)), None);
        assert_eq!(acks.len(), 1);
    }

    #[test]
    fn an_acked_fragment_is_never_overdue() {
        let mut acks = acks();
        acks.sent(at(0), packet(1));
        assert_eq!(acks.acked(at(10), id(1)), Some(KEY));
        assert_eq!(acks.acked(at(10), id(1)), None);
        assert_eq!(acks.poll_overdue(Instant::FAR_FUTURE), None);
        assert_eq!(acks.len(), 0);
    }

    #[test]
    fn each_wait_from_the_fourth_on_is_half_as_long_again_to_twice_as_long_up_to_the_maximum() {
        let mut acks = acks();
        let mut now = at(0);
        let mut last: Option<Duration> = None;
        for attempt in 1..16 {
            acks.tick(now);
            acks.sent(now, packet(1));
            let due = acks.deadline().unwrap();
            let wait = due.since(now);
            if let Some(last) = last.filter(|last| *last < Duration::from_secs(20)) {
                let least = if attempt > PATIENT_ATTEMPTS { 1.49 } else { 1.0 };
                // time-outs double all waits as well, no ack having told how long they are
                assert!(
                    wait >= last.mul_f64(least) && wait <= last.mul_f64(4.01),
                    "{attempt} {last:?} {wait:?}"
                );
            }
            last = Some(wait);
            while acks.poll_overdue(now).is_none() {
                now += Duration::from_millis(500);
                acks.tick(now);
            }
        }
        assert_eq!(last, Some(AckConfig::default().wait_max));
    }

    #[test]
    fn timers_stand_still_while_the_socket_takes_nothing() {
        let mut acks = acks();
        acks.sent(at(0), packet(1));
        acks.pause(at(1000));
        acks.sent(at(1000), packet(2));
        assert_eq!(acks.deadline(), None);
        assert_eq!(acks.poll_overdue(at(60_000)), None);
        acks.resume(at(61_000));
        assert_eq!(acks.deadline(), Some(at(61_650)));
        assert_eq!(overdue(&mut acks, at(61_650)), 1);
        assert_eq!(acks.deadline(), Some(at(62_650)));
    }

    #[test]
    fn after_an_outage_nothing_is_repeated_at_once_and_the_rest_one_by_one() {
        let mut acks = acks();
        for set in 1..=500 {
            acks.sent(at(0), packet(set));
        }
        acks.pause(at(500));
        acks.resume_after_outage(at(120_000));
        acks.sent(at(120_000), packet(501));
        acks.acked(at(120_050), id(501));
        assert_eq!(overdue(&mut acks, at(121_999)), 0);
        // acks that come now put it off
        for set in 1..=400 {
            acks.acked(at(121_900), id(set));
        }
        assert_eq!(overdue(&mut acks, at(122_399)), 0);
        let mut repeated = 0;
        for millis in (122_400..132_400).step_by(10) {
            acks.tick(at(millis));
            let now = overdue(&mut acks, at(millis));
            assert!(now <= 1);
            repeated += now;
        }
        assert_eq!(repeated, 100);
    }

    #[test]
    fn what_is_sent_after_an_outage_does_not_wait_for_what_was_in_flight() {
        let mut acks = acks();
        acks.sent(at(0), packet(1));
        acks.pause(at(0));
        acks.resume_after_outage(at(120_000));
        acks.sent(at(120_000), packet(2));
        assert_eq!(acks.poll_overdue(at(121_650)).map(|overdue| overdue.id), Some(id(2)));
    }

    #[test]
    fn time_slept_does_not_count() {
        let mut acks = acks();
        acks.sent(at(0), packet(1));
        acks.tick(at(100));
        acks.tick(at(3_600_000));
        assert_eq!(overdue(&mut acks, at(3_600_000)), 0);
        acks.tick(at(3_602_000));
        assert_eq!(overdue(&mut acks, at(3_602_000)), 1);
    }

    #[test]
    fn only_first_transmissions_of_the_same_session_tell_how_long_acks_take() {
        let mut acks = acks();
        let before = acks.estimate.wait(Duration::ZERO);
        acks.sent(at(0), packet(1));
        acks.sent(at(100), packet(1));
        acks.acked(at(200), id(1));
        acks.sent(at(200), packet(2));
        acks.resume_after_outage(at(300));
        acks.acked(at(400), id(2));
        assert_eq!(acks.estimate.wait(Duration::ZERO), before);
        acks.sent(at(400), packet(3));
        acks.acked(at(550), id(3));
        assert!(acks.estimate.wait(Duration::ZERO) < before);
    }

    #[test]
    fn forgetting_a_set_stops_its_timers_and_no_others() {
        let mut acks = acks();
        for position in 1..=255 {
            let mut sent = packet(1);
            sent.id.position = position;
            acks.sent(at(0), sent);
        }
        acks.sent(at(0), packet(2));
        acks.forget(id(1).set);
        assert_eq!((acks.len(), overdue(&mut acks, at(2000))), (1, 1));
    }
}
