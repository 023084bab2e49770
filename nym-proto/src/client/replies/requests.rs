//! Requests for SURBs that are under way to one correspondent.

use core::time::Duration;
use std::collections::VecDeque;

use crate::time::Instant;

/// Requests that are counted as under way at one time.
const REQUESTS_MAX: usize = 8;

/// When each counts as lost, and its amount.
#[derive(Debug, Default)]
pub(super) struct Requests {
    under_way: VecDeque<(Instant, u32)>,
}

impl Requests {
    /// Forgets the requests that count as lost.
    pub(super) fn expire(&mut self, now: Instant) {
        self.under_way.retain(|(lost_at, _)| *lost_at > now);
    }

    /// SURBs asked for and not received.
    pub(super) fn asked(&self) -> usize {
        self.under_way.iter().map(|(_, amount)| *amount as usize).fold(0, usize::saturating_add)
    }

    pub(super) fn is_full(&self) -> bool {
        self.under_way.len() >= REQUESTS_MAX
    }

    pub(super) fn push(&mut self, now: Instant, lost_after: Duration, amount: u32) {
        self.under_way.push_back((now + lost_after, amount));
    }

    /// SURBs that were asked for have come: they settle the oldest requests.
    pub(super) fn settle(&mut self, came: usize) {
        let mut left = u32::try_from(came).unwrap_or(u32::MAX);
        while let Some((_, amount)) = self.under_way.front_mut() {
            if *amount > left {
                *amount -= left;
                return;
            }
            left -= *amount;
            self.under_way.pop_front();
        }
    }
}
