//! The seam at which tests can break the emission clock, to see that they notice.

use core::fmt;
use core::time::Duration;

use crate::entropy::Stream;
use crate::time::Instant;

/// A slot that is later than this was slept through, not merely served late: the overdue slots are
/// skipped instead of made up in a burst.
const LATE_MAX: Duration = Duration::from_millis(100);

/// Says when the next slot of the emission clock is.
///
/// The client's promise rests on [`Poisson`], which every constructor but
/// [`Client::with_parts`](super::Client::with_parts) uses. Others exist in tests only.
pub trait Pacer: fmt::Debug + Send {
    /// The slot after the one that was due at `due` and is served at `now`, which is not before
    /// `due`. `mean` is the configured mean gap; all randomness must come from `stream`.
    fn next_slot(
        &mut self,
        due: Instant,
        now: Instant,
        mean: Duration,
        stream: &mut Stream,
    ) -> Instant;
}

/// A Poisson process: exponential gaps without memory. Slots slept through are not made up: it is
/// the same process if it begins anew. (protocol: client 17.4)
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Poisson;

impl Pacer for Poisson {
    fn next_slot(
        &mut self,
        due: Instant,
        now: Instant,
        mean: Duration,
        stream: &mut Stream,
    ) -> Instant {
        let base = if now.since(due) > LATE_MAX { now } else { due };
        base + stream.exponential(mean)
    }
}
