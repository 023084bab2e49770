//! When the next frame leaves. Knows nothing of content.
//!
//! Two Poisson streams, the main stream and the loop stream, are drawn as one process with the sum
//! of their rates and a coin that says which stream a slot belongs to: the same distribution with
//! one timer. (protocol: client 17.4)

use core::time::Duration;

use super::config::{Tier, Traffic};
use super::pacer::Pacer;
use crate::entropy::Stream;
use crate::time::Instant;

/// A change of tier waits for an instant drawn from this time, so that it does not tell what the user
/// was doing when asking for it. (protocol: client 6.8)
const TIER_DELAY: Duration = Duration::from_secs(60);
/// A tier is held for at least this long: rates that follow what the user does would tell of it.
const TIER_HOLD: Duration = Duration::from_secs(10 * 60);

/// Which stream a slot belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotKind {
    /// Carries a real packet if there is one.
    Main,
    /// Always carries cover.
    Loop,
}

/// How often slots come.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Mean gap between slots of both streams together.
    mean: Duration,
    /// Probability that a slot belongs to the loop stream.
    loop_share: f64,
}

impl Rate {
    fn of(traffic: &Traffic) -> Self {
        let rate = |interval: Duration| 1.0 / interval.as_secs_f64().max(1e-6);
        let main = rate(traffic.main_interval);
        let loops = traffic.loop_interval.map_or(0.0, rate);
        Self {
            mean: Duration::try_from_secs_f64(1.0 / (main + loops)).unwrap_or(Duration::MAX),
            loop_share: loops / (main + loops),
        }
    }
}

/// A change of rate that the user has asked for.
#[derive(Clone, Copy, Debug)]
struct Change {
    at: Instant,
    tier: Tier,
}

/// The emission clock.
#[derive(Debug)]
pub(super) struct Schedule {
    stream: Stream,
    pacer: Box<dyn Pacer>,
    traffic: Traffic,
    rate: Rate,
    /// Instants of changes of tier: asking for one must not move the slots before it.
    tiers: Stream,
    change: Option<Change>,
    held_until: Instant,
    next: Option<(Instant, SlotKind)>,
}

impl Schedule {
    pub(super) fn new(
        traffic: &Traffic,
        (stream, tiers): (Stream, Stream),
        pacer: Box<dyn Pacer>,
    ) -> Self {
        Self {
            stream,
            pacer,
            traffic: *traffic,
            rate: Rate::of(traffic),
            tiers,
            change: None,
            held_until: Instant::START,
            next: None,
        }
    }

    /// Slots come at the rate of this tier from an instant on that is drawn. Asked again before it has
    /// come, that instant stays.
    pub(super) fn set_tier(&mut self, now: Instant, tier: Tier) {
        let at = self
            .change
            .map_or_else(|| now.max(self.held_until) + self.tiers.up_to(TIER_DELAY), |c| c.at);
        self.change = Some(Change { at, tier });
    }

    /// A change of tier whose time has come. The slot after the next is the first of the new rate.
    pub(super) fn poll_tier(&mut self, now: Instant) -> Option<Tier> {
        let change = self.change.take_if(|change| change.at <= now)?;
        self.held_until = now + TIER_HOLD;
        self.traffic = self.traffic.in_tier(change.tier);
        self.rate = Rate::of(&self.traffic);
        Some(change.tier)
    }

    /// Starts the clock if it does not run yet. It never stops by itself.
    pub(super) fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            self.draw_next(now, now);
        }
    }

    fn draw_next(&mut self, due: Instant, now: Instant) {
        let at = self.pacer.next_slot(due, now, self.rate.mean, &mut self.stream);
        let is_loop = self.stream.chance(self.rate.loop_share);
        self.next = Some((at, if is_loop { SlotKind::Loop } else { SlotKind::Main }));
    }

    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    /// Which stream the next slot belongs to.
    pub(super) fn next_kind(&self) -> Option<SlotKind> {
        self.next.map(|(_, kind)| kind)
    }

    /// True if a slot is due: it is over with this, and the next one is drawn. Slots slept through are
    /// skipped.
    pub(super) fn poll(&mut self, now: Instant) -> bool {
        match self.next {
            Some((due, _)) if due <= now => {
                self.draw_next(due, now);
                true
            }
            _ => false,
        }
    }

    /// The stream of randomness of the slots, for what must be decided before the content is.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

#[cfg(test)]
mod tests {
    use super::super::pacer::Poisson;
    use super::*;
    use crate::entropy::{Entropy, Purpose};

    fn schedule(traffic: &Traffic) -> Schedule {
        let entropy = Entropy::new([5; 32]);
        let streams = (entropy.stream(Purpose::Schedule), entropy.stream(Purpose::Tiers));
        Schedule::new(traffic, streams, Box::new(Poisson))
    }

    #[test]
    fn the_default_streams_have_55_slots_a_second_one_in_eleven_a_loop() {
        let mut schedule = schedule(&Traffic::default());
        schedule.start(Instant::START);
        let (mut slots, mut loops) = (0u32, 0u32);
        let end = Instant::START + Duration::from_secs(2000);
        while let Some(at) = schedule.deadline().filter(|at| *at < end) {
            slots += 1;
            loops += u32::from(schedule.next_kind() == Some(SlotKind::Loop));
            assert!(schedule.poll(at));
        }
        assert!((f64::from(slots) / 110_000.0 - 1.0).abs() < 0.01, "{slots}");
        assert!((f64::from(loops) / 10_000.0 - 1.0).abs() < 0.03, "{loops}");
    }

    #[test]
    fn slots_slept_through_are_skipped() {
        let mut schedule = schedule(&Traffic::default());
        schedule.start(Instant::START);
        let wake = Instant::START + Duration::from_secs(600);
        assert!(schedule.poll(wake));
        assert!(!schedule.poll(wake));
    }

    #[test]
    fn a_tick_before_the_deadline_is_no_slot() {
        let mut schedule = schedule(&Traffic::default());
        schedule.start(Instant::START);
        assert!(!schedule.poll(Instant::START));
    }

    #[test]
    fn without_a_loop_stream_no_slot_is_a_loop() {
        let mut schedule = schedule(&Traffic::without_cover());
        schedule.start(Instant::START);
        for _ in 0..1000 {
            assert_eq!(schedule.next_kind(), Some(SlotKind::Main));
            let at = schedule.deadline().unwrap();
            assert!(schedule.poll(at));
        }
    }

    #[test]
    fn a_tier_begins_at_a_drawn_instant_and_is_held() {
        let mut schedule = schedule(&Traffic::default());
        let at = |seconds: u64| Instant::START + Duration::from_secs(seconds);
        schedule.set_tier(at(0), Tier::Fast);
        let change = schedule.change.unwrap().at;
        assert!(change > at(0) && change <= at(60));
        schedule.set_tier(at(0), Tier::Fastest);
        assert_eq!(schedule.change.unwrap().at, change, "asking again does not move it");
        assert_eq!(schedule.poll_tier(at(0)), None);
        assert_eq!(schedule.poll_tier(at(60)), Some(Tier::Fastest));
        assert_eq!(schedule.poll_tier(at(61)), None);
        schedule.set_tier(at(61), Tier::Metered);
        assert!(schedule.change.unwrap().at >= at(660));
        assert_eq!(schedule.poll_tier(at(659)), None);
    }

    #[test]
    fn each_tier_has_its_rate_with_one_loop_in_eleven() {
        for (tier, per_second) in
            [(Tier::Metered, 11), (Tier::Normal, 55), (Tier::Fast, 110), (Tier::Fastest, 275)]
        {
            let rate = Rate::of(&Traffic::default().in_tier(tier));
            assert!((rate.mean.as_secs_f64() * f64::from(per_second) - 1.0).abs() < 1e-6);
            assert!((rate.loop_share * 11.0 - 1.0).abs() < 1e-6);
        }
        let bare = Traffic { loop_interval: None, ..Traffic::default() }.in_tier(Tier::Fast);
        assert_eq!(bare.loop_interval, None);
    }
}
