//! How fast something is used, as a decaying average.

use core::time::Duration;

use crate::time::Instant;

/// Use this long ago counts for a third.
const MEMORY_SECS: f64 = 10.0;

/// A rate that follows what was used in the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    level: f64,
    at: Instant,
}

impl Usage {
    /// One more was used.
    pub(super) fn count(&mut self, now: Instant) {
        self.level = self.level_at(now) + 1.0;
        self.at = now;
    }

    /// How many will be used within this time if it goes on like this.
    pub(super) fn expected(&self, now: Instant, within: Duration) -> usize {
        libm::ceil(self.level_at(now) / MEMORY_SECS * within.as_secs_f64() - 0.5) as usize
    }

    fn level_at(&self, now: Instant) -> f64 {
        self.level * libm::exp(-now.since(self.at).as_secs_f64() / MEMORY_SECS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expectation_follows_use_and_fades() {
        let mut usage = Usage::default();
        let second = Duration::from_secs(1);
        assert_eq!(usage.expected(Instant::START, second), 0);
        let mut now = Instant::START;
        for _ in 0..600 {
            now += Duration::from_millis(100);
            usage.count(now);
        }
        assert!((9..=11).contains(&usage.expected(now, second)));
        assert!((45..=55).contains(&usage.expected(now, 5 * second)));
        assert_eq!(usage.expected(now + 60 * second, second), 0);
    }
}
