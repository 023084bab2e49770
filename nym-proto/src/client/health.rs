//! What cover packets tell: how many come back, and how fast. (protocol: client 6.7)
//!
//! A cover packet that is sent is remembered by the first bytes of what the gateway will push when
//! it comes back. Packets are counted in the window they were sent in; a window is told when the last
//! of its packets has come back or is lost.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use crate::time::Instant;

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(60);
/// A packet that has not come back after this long is lost. Less than a window.
const WAIT_MIN: Duration = Duration::from_secs(20);
/// The same as a multiple of the mean delay of a route, where that is more.
const WAIT_DELAYS: u32 = 20;
/// Windows with fewer packets say nothing about the network.
const SAMPLES_MIN: u32 = 20;

/// What names a cover packet: the beginning of its ephemeral key.
pub(super) type CoverId = [u8; 16];

/// How the cover packets of one window fared. They are sent to ourselves through the whole network,
/// so this tells of packets dropped or delayed anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LoopHealth {
    /// When the window began.
    pub since: Instant,
    /// How long it lasted.
    pub duration: Duration,
    /// Cover packets sent in it and watched.
    pub sent: u32,
    /// Of these, those that came back in time.
    pub returned: u32,
    /// Of these, those that did not.
    pub lost: u32,
    /// Of these, how often one came back again.
    pub duplicates: u32,
    /// Acks of cover packets that arrived within the window.
    pub acks: u32,
    /// Cover packets that arrived within the window too late to count, or that are not ours.
    pub strays: u32,
    /// Round trips of those that came back; `None` without any.
    pub round_trip: Option<RoundTrip>,
    /// The connection to the gateway was lost, blocked or silent meanwhile: losses may be its doing.
    pub was_interrupted: bool,
}

impl LoopHealth {
    /// The share of the packets that came back. `None` if there were too few to tell, or the
    /// connection to the gateway may be to blame.
    #[must_use]
    pub fn share_returned(&self) -> Option<f64> {
        let is_telling = self.sent >= SAMPLES_MIN && !self.was_interrupted;
        is_telling.then(|| f64::from(self.returned) / f64::from(self.sent))
    }
}

/// Quantiles of round trips, to within four percent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoundTrip {
    /// Half of the packets were as fast.
    pub p50: Duration,
    /// Nine of ten were as fast.
    pub p90: Duration,
    /// 99 of a hundred were as fast.
    pub p99: Duration,
}

/// A window that is counted.
#[derive(Debug)]
struct Window {
    since: Instant,
    until: Instant,
    sent: u32,
    returned: u32,
    lost: u32,
    duplicates: u32,
    acks: u32,
    strays: u32,
    was_interrupted: bool,
    trips: Histogram,
}

impl Window {
    fn new(now: Instant, was_interrupted: bool) -> Self {
        Self {
            since: now,
            until: now + WINDOW,
            sent: 0,
            returned: 0,
            lost: 0,
            duplicates: 0,
            acks: 0,
            strays: 0,
            was_interrupted,
            trips: Histogram::new(),
        }
    }

    fn summary(&self) -> LoopHealth {
        LoopHealth {
            since: self.since,
            duration: self.until.since(self.since),
            sent: self.sent,
            returned: self.returned,
            lost: self.lost,
            duplicates: self.duplicates,
            acks: self.acks,
            strays: self.strays,
            round_trip: self.trips.quantiles(),
            was_interrupted: self.was_interrupted,
        }
    }
}

/// Watches the cover packets.
#[derive(Debug)]
pub(super) struct Health {
    wait: Duration,
    watched_max: usize,
    /// Packets watched, oldest first.
    order: VecDeque<(Instant, CoverId)>,
    /// The same, and whether they have come back.
    watched: BTreeMap<CoverId, (Instant, bool)>,
    /// The window that is going on.
    current: Option<Window>,
    /// The one before, some of whose packets may still come back.
    closing: Option<Window>,
    last: Option<LoopHealth>,
    is_bad: bool,
}

impl Health {
    /// `route_delay` is the mean delay of a packet on its whole route.
    pub(super) fn new(route_delay: Duration, watched_max: usize) -> Self {
        Self {
            wait: route_delay.saturating_mul(WAIT_DELAYS).clamp(WAIT_MIN, WINDOW),
            watched_max,
            order: VecDeque::new(),
            watched: BTreeMap::new(),
            current: None,
            closing: None,
            last: None,
            is_bad: false,
        }
    }

    /// A cover packet leaves.
    pub(super) fn sent(&mut self, now: Instant, id: CoverId) {
        if self.order.len() >= self.watched_max {
            return;
        }
        self.order.push_back((now, id));
        self.watched.insert(id, (now, false));
        self.current.get_or_insert_with(|| Window::new(now, false)).sent += 1;
    }

    /// A cover packet has arrived.
    pub(super) fn returned(&mut self, now: Instant, id: &CoverId) {
        let Some((sent, is_back)) = self.watched.get_mut(id) else {
            if let Some(window) = &mut self.current {
                window.strays = window.strays.saturating_add(1);
            }
            return;
        };
        let (sent, was_back) = (*sent, core::mem::replace(is_back, true));
        let Some(window) = self.window_of(sent) else { return };
        if was_back {
            window.duplicates = window.duplicates.saturating_add(1);
        } else {
            window.returned += 1;
            window.trips.add(now.since(sent));
        }
    }

    /// The ack of a cover packet has arrived.
    pub(super) fn acked(&mut self) {
        if let Some(window) = &mut self.current {
            window.acks = window.acks.saturating_add(1);
        }
    }

    /// The connection to the gateway does not work as it should.
    pub(super) fn interrupted(&mut self) {
        for window in [&mut self.current, &mut self.closing].into_iter().flatten() {
            window.was_interrupted = true;
        }
    }

    /// Gives up what is overdue. Returns a window that is complete.
    pub(super) fn tick(&mut self, now: Instant, is_working: bool) -> Option<LoopHealth> {
        if !is_working {
            self.interrupted();
        }
        self.give_up(now);
        let complete = self.closing.take_if(|window| window.until + self.wait <= now);
        if let Some(mut window) = self.current.take_if(|window| window.until <= now) {
            // a tick that comes late makes the window longer
            window.until = now;
            self.closing = Some(window);
            self.current = Some(Window::new(now, !is_working));
        }
        let told = complete.map(|window| window.summary()).filter(|health| health.sent > 0)?;
        if let Some(share) = told.share_returned() {
            self.is_bad = share < 0.5;
        }
        self.last = Some(told);
        Some(told)
    }

    fn give_up(&mut self, now: Instant) {
        while let Some((sent, id)) = self.order.front().copied() {
            if sent + self.wait > now {
                break;
            }
            self.order.pop_front();
            let is_back = self.watched.remove(&id).is_none_or(|(_, is_back)| is_back);
            if !is_back && let Some(window) = self.window_of(sent) {
                window.lost += 1;
            }
        }
    }

    fn window_of(&mut self, sent: Instant) -> Option<&mut Window> {
        let windows = [&mut self.current, &mut self.closing];
        windows.into_iter().flatten().find(|window| window.since <= sent)
    }

    /// Cover packets watched.
    pub(super) fn watched(&self) -> usize {
        self.order.len()
    }

    /// The last window that is complete.
    pub(super) const fn last(&self) -> Option<&LoopHealth> {
        self.last.as_ref()
    }

    /// Less than half of the packets came back in the last telling window.
    pub(super) const fn is_bad(&self) -> bool {
        self.is_bad
    }
}

/// Counts of durations in buckets that are four percent wide or one microsecond.
#[derive(Debug)]
struct Histogram {
    counts: Vec<u32>,
    total: u32,
}

/// Buckets per doubling, as a power of two.
const FINENESS: u32 = 5;
/// Enough for two minutes.
const BUCKETS: usize = 736;

impl Histogram {
    fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(micros).min(BUCKETS - 1);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.total += 1;
        }
    }

    fn quantiles(&self) -> Option<RoundTrip> {
        (self.total > 0).then(|| RoundTrip {
            p50: self.quantile(50),
            p90: self.quantile(90),
            p99: self.quantile(99),
        })
    }

    fn quantile(&self, percent: u64) -> Duration {
        let rank = (u64::from(self.total) * percent).div_ceil(100);
        let mut below = 0;
        let reaches = |count: &u32| {
            below += u64::from(*count);
            below >= rank
        };
        let bucket = self.counts.iter().position(reaches).unwrap_or(BUCKETS - 1);
        Duration::from_micros(top_of(bucket))
    }
}

fn bucket_of(micros: u64) -> usize {
    let octave = micros.max(1).ilog2().saturating_sub(FINENESS);
    ((octave as usize) << FINENESS) + (micros >> octave) as usize
}

/// The largest duration of a bucket, in microseconds.
fn top_of(bucket: usize) -> u64 {
    let octave = (bucket >> FINENESS).saturating_sub(1);
    let first = bucket - (octave << FINENESS);
    ((first as u64 + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn id(n: u32) -> CoverId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        id
    }

    fn health() -> Health {
        Health::new(Duration::from_millis(45), 10_000)
    }

    /// Runs `seconds` with ten packets a second, of which those come back that `comes_back` says.
    fn run(
        health: &mut Health,
        now: &mut Instant,
        seconds: u32,
        comes_back: impl Fn(u32) -> bool,
    ) -> Vec<LoopHealth> {
        let mut told = Vec::new();
        for second in 0..seconds {
            for n in 0..10 {
                let n = (now.as_nanos() / 1_000_000) as u32 * 100 + second * 10 + n;
                health.sent(*now, id(n));
                if comes_back(n) {
                    health.returned(*now + (100 + n % 10) * MS, &id(n));
                    health.acked();
                }
            }
            *now += SECOND;
            told.extend(health.tick(*now, true));
        }
        told
    }

    #[test]
    fn a_window_tells_what_was_sent_came_back_and_how_fast() {
        let (mut health, mut now) = (health(), Instant::START);
        let told = run(&mut health, &mut now, 80, |n| n % 10 != 3);
        let [window] = told[..] else { panic!("{told:?}") };
        assert_eq!((window.sent, window.returned, window.lost), (600, 540, 60));
        assert_eq!((window.acks, window.duplicates, window.strays), (540, 0, 0));
        assert_eq!(window.share_returned(), Some(0.9));
        let trip = window.round_trip.unwrap();
        for (quantile, exact) in [(trip.p50, 105), (trip.p90, 109), (trip.p99, 109)] {
            let ratio = quantile.as_secs_f64() / f64::from(exact) * 1000.0;
            assert!((0.99..1.04).contains(&ratio), "{quantile:?} instead of {exact} ms");
        }
        assert_eq!(health.last(), Some(&window));
    }

    #[test]
    fn what_comes_back_twice_or_too_late_or_is_not_ours_is_told_apart() {
        let (mut health, now) = (health(), Instant::START);
        health.sent(now, id(1));
        health.sent(now, id(2));
        for _ in 0..3 {
            health.returned(now + SECOND, &id(1));
        }
        health.returned(now + SECOND, &id(3));
        assert_eq!(health.tick(now + 20 * SECOND, true), None);
        health.returned(now + 21 * SECOND, &id(2));
        assert_eq!(health.tick(now + 60 * SECOND, true), None);
        let window = health.tick(now + 80 * SECOND, true).unwrap();
        assert_eq!((window.sent, window.returned, window.lost), (2, 1, 1));
        assert_eq!((window.duplicates, window.strays), (2, 2));
    }

    #[test]
    fn health_goes_bad_below_one_half_and_recovers() {
        let (mut health, mut now) = (health(), Instant::START);
        run(&mut health, &mut now, 90, |n| n % 10 < 6);
        assert!(health.last().is_some() && !health.is_bad());
        run(&mut health, &mut now, 120, |n| n % 10 < 4);
        assert!(health.is_bad());
        run(&mut health, &mut now, 120, |_| true);
        assert!(!health.is_bad());
    }

    #[test]
    fn losses_while_the_gateway_is_away_say_nothing() {
        let (mut health, mut now) = (health(), Instant::START);
        run(&mut health, &mut now, 30, |_| false);
        health.tick(now, false);
        let told = run(&mut health, &mut now, 60, |_| false);
        assert!(told[0].was_interrupted);
        assert_eq!(told[0].share_returned(), None);
        assert!(!health.is_bad());
    }

    #[test]
    fn an_interruption_spoils_no_later_window() {
        let (mut health, mut now) = (health(), Instant::START);
        run(&mut health, &mut now, 30, |_| false);
        health.tick(now, false);
        let told = run(&mut health, &mut now, 140, |_| true);
        assert!(told[0].was_interrupted && !told[1].was_interrupted);
        assert_eq!(told[1].share_returned(), Some(1.0));
    }

    #[test]
    fn no_more_packets_are_watched_than_allowed() {
        let mut health = Health::new(Duration::ZERO, 5);
        for n in 0..100 {
            health.sent(Instant::START, id(n));
        }
        assert_eq!((health.order.len(), health.watched.len()), (5, 5));
        health.tick(Instant::START + 20 * SECOND, true);
        assert_eq!((health.order.len(), health.watched.len()), (0, 0));
    }

    #[test]
    fn every_duration_is_in_a_bucket_that_ends_at_most_four_percent_above_it() {
        let mut before = 0;
        let large = (13..37).flat_map(|bits| [0, 1, 4_321].map(|more| (1u64 << bits) + more));
        for micros in (0..5000).chain(large) {
            let bucket = bucket_of(micros);
            assert!(bucket >= before, "{micros}");
            let top = top_of(bucket);
            assert!(top >= micros && (top - micros) * 25 <= micros, "{micros} {bucket} {top}");
            before = bucket;
        }
        assert!(bucket_of(120_000_000) < BUCKETS);
    }
}
