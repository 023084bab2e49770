//! The time in which acks can arrive. It stands still while the gateway is away or takes nothing.

use core::time::Duration;

use crate::time::{Instant, nanos};

/// Nobody looked at the clock for this long: the client slept and heard nothing meanwhile.
const SLEPT_MIN: Duration = Duration::from_secs(3);

/// A clock that can be stopped. All timers of fragments in flight run on it, so that stopping and
/// starting them is one step however many there are.
#[derive(Debug)]
pub(super) struct Clock {
    /// Time that did not count.
    skipped: Duration,
    /// `Some` while it stands still.
    stopped_at: Option<Instant>,
    looked_at: Instant,
}

impl Clock {
    /// A clock that stands still.
    pub(super) const fn new() -> Self {
        Self {
            skipped: Duration::ZERO,
            stopped_at: Some(Instant::START),
            looked_at: Instant::START,
        }
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.stopped_at.get_or_insert(now);
    }

    pub(super) fn start(&mut self, now: Instant) {
        if let Some(since) = self.stopped_at.take() {
            self.skipped = self.skipped.saturating_add(now.since(since));
        }
        self.looked_at = now;
    }

    pub(super) const fn is_running(&self) -> bool {
        self.stopped_at.is_none()
    }

    /// What the clock shows.
    pub(super) fn read(&self, now: Instant) -> Instant {
        let now = self.stopped_at.unwrap_or(now);
        Instant::from_nanos(now.as_nanos().saturating_sub(nanos(self.skipped)))
    }

    /// When the clock will show this, if it is not stopped before.
    pub(super) fn real(&self, at: Instant) -> Instant {
        at + self.skipped
    }

    /// To be called often. True if the client slept since the last call; that time does not count.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let unseen = now.since(self.looked_at);
        self.looked_at = now;
        let has_slept = self.is_running() && unseen >= SLEPT_MIN;
        if has_slept {
            self.skipped = self.skipped.saturating_add(unseen);
        }
        has_slept
    }
}
