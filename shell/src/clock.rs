//! The two clocks of a shell.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nym_proto::time::{Instant as CoreInstant, UnixTime};

/// Translates between the platform's clocks and the core's.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time now, as the core counts it.
    #[must_use]
    pub fn now(&self) -> CoreInstant {
        CoreInstant::START + self.start.elapsed()
    }

    /// The platform's instant of `at`. `None` if it is later than the platform can express, which
    /// means never.
    #[must_use]
    pub fn platform(&self, at: CoreInstant) -> Option<Instant> {
        self.start.checked_add(at.since(CoreInstant::START))
    }

    /// The wall clock now; the epoch itself if the wall clock is set to before it.
    #[must_use]
    pub fn unix_time() -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime::default() + since
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_instant_survives_the_translation_both_ways() {
        let clock = Clock::start();
        let at = CoreInstant::START + Duration::from_millis(1500);
        let there = clock.platform(at);
        assert_eq!(there, Some(clock.start + Duration::from_millis(1500)));
    }
}
