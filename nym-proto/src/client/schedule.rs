//! When the next frame leaves. Knows nothing of content.
//!
//! Two Poisson streams, the main stream and the loop stream, are drawn as one process with the sum
//! of their rates and a coin that says which stream a slot belongs to: the same distribution with
//! one timer. (protocol: client 17.4)

use core::time::Duration;

use super::config::Traffic;
use super::pacer::Pacer;
use crate::entropy::Stream;
use crate::time::Instant;

/// Which stream a slot belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotKind {
    /// Carries a real packet if there is one.
    Main,
    /// Always carries cover.
    Loop,
}

/// The emission clock.
#[derive(Debug)]
pub(super) struct Schedule {
    stream: Stream,
    pacer: Box<dyn Pacer>,
    /// Mean gap between slots of both streams together.
    mean: Duration,
    /// Probability that a slot belongs to the loop stream.
    loop_share: f64,
    next: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(traffic: &Traffic, stream: Stream, pacer: Box<dyn Pacer>) -> Self {
        let rate = |interval: Duration| 1.0 / interval.as_secs_f64().max(1e-6);
        let main = rate(traffic.main_interval);
        let loops = traffic.loop_interval.map_or(0.0, rate);
        Self {
            stream,
            pacer,
            mean: Duration::try_from_secs_f64(1.0 / (main + loops)).unwrap_or(Duration::MAX),
            loop_share: loops / (main + loops),
            next: None,
        }
    }

    /// Starts the clock if it does not run yet. It never stops by itself.
    pub(super) fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(self.pacer.next_slot(now, now, self.mean, &mut self.stream));
        }
    }

    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The slot that is due, if one is. Slots slept through are skipped.
    pub(super) fn poll(&mut self, now: Instant) -> Option<SlotKind> {
        let due = self.next.filter(|next| *next <= now)?;
        self.next = Some(self.pacer.next_slot(due, now, self.mean, &mut self.stream));
        let is_loop = self.stream.chance(self.loop_share);
        Some(if is_loop { SlotKind::Loop } else { SlotKind::Main })
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
        let stream = Entropy::new([5; 32]).stream(Purpose::Schedule);
        Schedule::new(traffic, stream, Box::new(Poisson))
    }

    #[test]
    fn the_default_streams_have_55_slots_a_second_one_in_eleven_a_loop() {
        let mut schedule = schedule(&Traffic::default());
        schedule.start(Instant::START);
        let (mut slots, mut loops) = (0u32, 0u32);
        let end = Instant::START + Duration::from_secs(2000);
        while let Some(at) = schedule.deadline().filter(|at| *at < end) {
            slots += 1;
            loops += u32::from(schedule.poll(at) == Some(SlotKind::Loop));
        }
        assert!((f64::from(slots) / 110_000.0 - 1.0).abs() < 0.01, "{slots}");
        assert!((f64::from(loops) / 10_000.0 - 1.0).abs() < 0.03, "{loops}");
    }

    #[test]
    fn slots_slept_through_are_skipped() {
        let mut schedule = schedule(&Traffic::default());
        schedule.start(Instant::START);
        let wake = Instant::START + Duration::from_secs(600);
        assert!(schedule.poll(wake).is_some());
        assert!(schedule.poll(wake).is_none());
    }

    #[test]
    fn a_tick_before_the_deadline_is_no_slot() {
        let mut schedule = schedule(&Traffic::default());
        schedule.start(Instant::START);
        assert_eq!(schedule.poll(Instant::START), None);
    }

    #[test]
    fn without_a_loop_stream_no_slot_is_a_loop() {
        let mut schedule = schedule(&Traffic::without_cover());
        schedule.start(Instant::START);
        for _ in 0..1000 {
            let at = schedule.deadline().unwrap();
            assert_eq!(schedule.poll(at), Some(SlotKind::Main));
        }
    }
}
