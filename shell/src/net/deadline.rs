//! When an attempt has to be over.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// A longer time limit counts as this one; the sum of a longer one and now may not exist.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// When an attempt has to be over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// So long from now, but no longer than a day.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        let timeout = timeout.min(TIMEOUT_MAX);
        Self { at: Instant::now() + timeout, timeout }
    }

    /// So long from now, though the whole attempt has had `timeout`, which is what errors tell.
    #[must_use]
    pub fn after_part(left: Duration, timeout: Duration) -> Self {
        Self { timeout, ..Self::after(left) }
    }

    /// The whole time there was.
    #[must_use]
    pub const fn timeout(self) -> Duration {
        self.timeout
    }

    /// The time left, or an error of the kind [`ErrorKind::TimedOut`] if there is none.
    pub fn left(self) -> io::Result<Duration> {
        let left = self.at.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.missed()) } else { Ok(left) }
    }

    /// The time the first of `count` equal attempts may take, so that all have a turn.
    pub fn share(self, count: usize) -> io::Result<Duration> {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        // the system takes no limit of zero
        Ok((self.left()? / count).max(Duration::from_millis(1)))
    }

    /// The error of an attempt that is not over in time.
    #[must_use]
    pub fn missed(self) -> io::Error {
        io::Error::new(ErrorKind::TimedOut, format!("no answer within {:?}", self.timeout))
    }
}
