//! Broken schedules: each test of traffic has to fail on one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nym_proto::client::{Pacer, Poisson};
use nym_proto::entropy::Stream;
use nym_proto::time::Instant;

/// Gaps that are evenly distributed, with the right mean.
#[derive(Clone, Copy, Debug)]
pub struct Even;

impl Pacer for Even {
    fn next_slot(&mut self, due: Instant, _: Instant, mean: Duration, s: &mut Stream) -> Instant {
        due + s.up_to(2 * mean)
    }
}

/// Exponential gaps, of which every fifth repeats the one before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeating(Duration);

impl Pacer for Repeating {
    fn next_slot(&mut self, due: Instant, _: Instant, mean: Duration, s: &mut Stream) -> Instant {
        if !s.chance(0.2) {
            self.0 = s.exponential(mean);
        }
        due + self.0
    }
}

/// A Poisson process that makes up for the slots it has missed.
#[derive(Clone, Copy, Debug)]
pub struct CatchUp;

impl Pacer for CatchUp {
    fn next_slot(&mut self, due: Instant, _: Instant, mean: Duration, s: &mut Stream) -> Instant {
        due + s.exponential(mean)
    }
}

/// A Poisson process that hurries when much is to be sent: up to twice as fast.
#[derive(Clone, Debug)]
pub struct BacklogDriven(pub Arc<AtomicU64>);

impl Pacer for BacklogDriven {
    fn next_slot(&mut self, due: Instant, now: Instant, mean: Duration, s: &mut Stream) -> Instant {
        let backlog = self.0.load(Ordering::Relaxed).min(20) as f64;
        Poisson.next_slot(due, now, mean.div_f64(1.0 + backlog / 20.0), s)
    }
}
