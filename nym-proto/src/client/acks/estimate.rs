//! How long to wait for an ack. (protocol: client 7.2)

use core::time::Duration;

use crate::client::config::AckConfig;
use crate::time::{Instant, nanos};

/// The mean and the mean deviation follow a sample by one part in so many. Slower than usual,
/// because there are dozens of samples in each round trip.
const MEAN_GAIN: u64 = 16;
const DEVIATION_GAIN: u64 = 8;
/// What is waited beyond the mean: this many deviations, and never less than the margin.
const DEVIATIONS: u32 = 4;
const MARGIN_MIN: Duration = Duration::from_millis(200);
/// Times the wait is doubled while no sample comes.
const DOUBLINGS_MAX: u32 = 5;

/// The time acks take beyond the delays their packets were told to make, learned from those that
/// arrive.
#[derive(Debug)]
pub(super) struct Estimate {
    config: AckConfig,
    /// Mean and mean deviation in nanoseconds.
    learned: Option<(u64, u64)>,
    sampled_at: Instant,
    doublings: u32,
    doubled_at: Instant,
}

impl Estimate {
    pub(super) const fn new(config: AckConfig) -> Self {
        Self {
            config,
            learned: None,
            sampled_at: Instant::START,
            doublings: 0,
            doubled_at: Instant::START,
        }
    }

    /// The wait after a first transmission whose packets delay themselves by `expected` in sum.
    pub(super) fn wait(&self, expected: Duration) -> Duration {
        let wait = self.steady(expected);
        wait.saturating_mul(1 << self.doublings.min(DOUBLINGS_MAX)).min(self.wait_max())
    }

    /// The longest wait there is.
    pub(super) fn wait_max(&self) -> Duration {
        self.config.wait_max.max(self.wait_min())
    }

    fn wait_min(&self) -> Duration {
        match self.learned {
            Some(_) => self.config.wait_min,
            None => self.config.wait_min.max(self.config.wait_addition),
        }
    }

    fn steady(&self, expected: Duration) -> Duration {
        let wait = match self.learned {
            None => scaled(expected, self.config.wait_multiplier.clamp(1.0, 100.0))
                .saturating_add(self.config.wait_addition),
            Some((mean, deviation)) => {
                let margin = Duration::from_nanos(deviation).saturating_mul(DEVIATIONS);
                expected
                    .saturating_add(Duration::from_nanos(mean))
                    .saturating_add(margin.max(MARGIN_MIN))
            }
        };
        wait.clamp(self.wait_min(), self.wait_max())
    }

    /// An ack of a first transmission came `after` it, of which `expected` were told delays.
    pub(super) fn sample(&mut self, at: Instant, after: Duration, expected: Duration) {
        if after <= self.steady(expected) {
            self.doublings = 0;
        }
        self.sampled_at = at;
        let sample = nanos(after.saturating_sub(expected).min(self.wait_max()));
        self.learned = Some(match self.learned {
            None => (sample, sample / 2),
            Some((mean, deviation)) => (
                follow(mean, sample, MEAN_GAIN),
                follow(deviation, mean.abs_diff(sample), DEVIATION_GAIN),
            ),
        });
    }

    /// A first transmission was overdue. If nothing sent since then has told how long acks take, they
    /// may take longer than was waited.
    pub(super) fn timed_out(&mut self, at: Instant, sent_at: Instant) {
        if self.sampled_at <= sent_at && self.doubled_at <= sent_at {
            self.doublings = (self.doublings + 1).min(DOUBLINGS_MAX);
            self.doubled_at = at;
        }
    }
}

/// `value`, moved towards `sample` by one part in `gain`.
const fn follow(value: u64, sample: u64, gain: u64) -> u64 {
    let step = value.abs_diff(sample) / gain;
    if sample >= value { value.saturating_add(step) } else { value.saturating_sub(step) }
}

/// The product, or the longest duration if there is none.
pub(super) fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Duration = Duration::from_millis(90);

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn learned(samples: impl IntoIterator<Item = u64>) -> Estimate {
        let mut estimate = Estimate::new(AckConfig::default());
        for (n, millis) in samples.into_iter().enumerate() {
            estimate.sample(at(n as u64 * 20), EXPECTED + Duration::from_millis(millis), EXPECTED);
        }
        estimate
    }

    #[test]
    fn without_samples_the_wait_is_one_and_a_half_round_trips_and_1500_ms() {
        assert_eq!(learned([]).wait(Duration::from_millis(100)), Duration::from_millis(1650));
    }

    #[test]
    fn on_a_fast_network_the_wait_falls_to_less_than_half_a_second_but_not_below_its_floor() {
        let estimate = learned([20; 100]);
        assert!(estimate.wait(EXPECTED) < Duration::from_millis(400));
        assert_eq!(estimate.wait(Duration::ZERO), Duration::from_millis(300));
    }

    #[test]
    fn the_wait_covers_round_trips_that_vary() {
        let estimate = learned((0..200).map(|n| 1000 + n % 5 * 200));
        assert!(estimate.wait(EXPECTED) > EXPECTED + Duration::from_millis(1800));
        assert!(estimate.wait(EXPECTED) < EXPECTED + Duration::from_millis(3000));
    }

    #[test]
    fn one_timeout_for_each_round_doubles_the_wait_until_an_ack_tells_better() {
        let mut estimate = learned([]);
        let before = estimate.wait(EXPECTED);
        estimate.timed_out(at(2000), at(300));
        estimate.timed_out(at(2010), at(310));
        assert_eq!(estimate.wait(EXPECTED), before * 2);
        estimate.timed_out(at(6000), at(2100));
        assert_eq!(estimate.wait(EXPECTED), before * 4);
        estimate.sample(at(6100), Duration::from_millis(500), EXPECTED);
        assert!(estimate.wait(EXPECTED) < before);
    }

    #[test]
    fn a_loss_among_acks_that_arrive_does_not_stretch_the_wait() {
        let mut estimate = learned([100; 50]);
        let before = estimate.wait(EXPECTED);
        estimate.timed_out(at(990), at(500));
        assert_eq!(estimate.wait(EXPECTED), before);
    }

    #[test]
    fn no_wait_is_longer_than_the_maximum() {
        let estimate = learned([u64::from(u32::MAX); 3]);
        assert_eq!(estimate.wait(Duration::MAX), AckConfig::default().wait_max);
    }
}
