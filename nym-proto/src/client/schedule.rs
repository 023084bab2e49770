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
/// How often what cannot leave is looked at, if slots come on demand.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which stream a slot belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotKind {
    /// Carries a real packet if there is one.
    Main,
    /// Always carries cover.
    Loop,
}

/// How much a client has to send whose main slots come on demand. Any other client's slots come by
/// themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Demand {
    /// Nothing.
    #[default]
    None,
    /// Something that cannot leave at the moment.
    Waiting,
    /// Something that can.
    Flowing,
}

/// How often slots come.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Mean gap between slots of both streams together. `None`: there are no slots.
    mean: Option<Duration>,
    /// Probability that a slot belongs to the loop stream.
    loop_share: f64,
}

impl Rate {
    fn of(traffic: &Traffic, demand: Demand) -> Self {
        let rate = |interval: Duration| 1.0 / interval.as_secs_f64().max(1e-6);
        let main = match demand {
            _ if !traffic.on_demand => rate(traffic.main_interval),
            Demand::None => 0.0,
            Demand::Waiting => rate(traffic.main_interval.max(LOOK_AGAIN)),
            Demand::Flowing => rate(traffic.main_interval),
        };
        let loops = traffic.loop_interval.map_or(0.0, rate);
        let mean = Duration::try_from_secs_f64(1.0 / (main + loops)).ok();
        Self { mean, loop_share: loops / (main + loops) }
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
    demand: Demand,
    is_running: bool,
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
            rate: Rate::of(traffic, Demand::default()),
            demand: Demand::default(),
            is_running: false,
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
        self.rate = Rate::of(&self.traffic, self.demand);
        Some(change.tier)
    }

    /// Starts the clock if it does not run yet. It never stops by itself.
    pub(super) fn start(&mut self, now: Instant) {
        if !self.is_running {
            self.is_running = true;
            self.draw_next(now, now);
        }
    }

    /// Follows what there is to send, if slots come on demand: the process begins anew with another rate.
    pub(super) fn set_demand(&mut self, now: Instant, demand: Demand) {
        if !self.traffic.on_demand || self.demand == demand {
            return;
        }
        self.demand = demand;
        self.rate = Rate::of(&self.traffic, demand);
        if self.is_running {
            self.draw_next(now, now);
        }
    }

    fn draw_next(&mut self, due: Instant, now: Instant) {
        let Some(mean) = self.rate.mean else {
            self.next = None;
            return;
        };
        let at = self.pacer.next_slot(due, now, mean, &mut self.stream);
        let is_loop = self.stream.chance(self.rate.loop_share);
        self.next = Some((at, if is_loop { SlotKind::Loop } else { SlotKind::Main }));
    }

    pub(super) fn stop(&mut self) {
        (self.next, self.is_running) = (None, false);
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
    fn on_demand_slots_come_as_fast_as_there_is_something_that_can_leave() {
        let mut schedule = schedule(&Traffic::on_demand());
        schedule.start(Instant::START);
        assert_eq!(schedule.deadline(), None);
        let mut slots = |demand| {
            let mut now = schedule.deadline().unwrap_or(Instant::START);
            schedule.set_demand(now, demand);
            let end = now + Duration::from_secs(10);
            let mut slots = 0;
            while let Some(at) = schedule.deadline().filter(|at| *at < end) {
                (now, slots) = (at, slots + 1);
                assert!(schedule.poll(now));
            }
            slots
        };
        assert!((18_000..22_000).contains(&slots(Demand::Flowing)));
        assert!((400..600).contains(&slots(Demand::Waiting)));
        assert_eq!(slots(Demand::None), 0);
    }

    #[test]
    fn without_demand_the_loop_stream_goes_on_alone() {
        let traffic = Traffic { on_demand: true, cover: false, ..Traffic::default() };
        let mut schedule = schedule(&traffic);
        schedule.start(Instant::START);
        let end = Instant::START + Duration::from_secs(100);
        let mut slots = 0;
        while let Some(at) = schedule.deadline().filter(|at| *at < end) {
            assert_eq!(schedule.next_kind(), Some(SlotKind::Loop));
            slots += u32::from(schedule.poll(at));
        }
        assert!((400..600).contains(&slots), "{slots}");
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
            let rate = Rate::of(&Traffic::default().in_tier(tier), Demand::None);
            assert!((rate.mean.unwrap().as_secs_f64() * f64::from(per_second) - 1.0).abs() < 1e-6);
            assert!((rate.loop_share * 11.0 - 1.0).abs() < 1e-6);
        }
        let bare = Traffic { loop_interval: None, ..Traffic::default() }.in_tier(Tier::Fast);
        assert_eq!(bare.loop_interval, None);
    }
}
