//! The sets of one message, found by following their links.

use super::aged::AgedMap;
use super::pending::PendingSet;
use super::{DropReason, Key, Origin};
use crate::message::SetId;

/// What lies on both sides of a complete set.
pub(super) enum Chain {
    /// The message is complete; its sets, first one first.
    Whole(Vec<SetId>),
    /// Some set is missing or incomplete.
    Partial,
    /// The message can never be complete; its sets as far as they were followed.
    Broken(DropReason, Vec<SetId>),
}

/// Follows the links of the complete set `key`, first to the front, then to the back. A step is
/// only taken to a complete set that is linked back, so the way forks nowhere: it ends, or it
/// returns to where it began. Stops when the sets passed have more than `bytes_max` bytes.
pub(super) fn follow(sets: &AgedMap<PendingSet>, key: Key, bytes_max: usize) -> Chain {
    let (origin, start) = key;
    let len = sets.get(key).map_or(0, PendingSet::payload_len);
    let Some(bytes_left) = bytes_max.checked_sub(len) else {
        return Chain::Broken(DropReason::TooLarge, vec![start]);
    };
    let mut walk = Walk { sets, origin, start, bytes_left, way: Vec::new() };
    let front = walk.run(PendingSet::previous, PendingSet::next);
    walk.way.reverse();
    walk.way.push(start);
    let ends = front.and_then(|front| {
        let back = walk.run(PendingSet::next, PendingSet::previous)?;
        Ok(front && back)
    });
    match ends {
        Ok(true) => Chain::Whole(walk.way),
        Ok(false) => Chain::Partial,
        Err(reason) => Chain::Broken(reason, walk.way),
    }
}

type Link = fn(&PendingSet) -> Option<SetId>;

struct Walk<'a> {
    sets: &'a AgedMap<PendingSet>,
    origin: Origin,
    start: SetId,
    bytes_left: usize,
    /// The sets passed.
    way: Vec<SetId>,
}

impl<'a> Walk<'a> {
    /// Goes on along `ahead` links from the starting set, as long as there are complete sets.
    /// True if the message ends there, false if a set is missing.
    fn run(&mut self, ahead: Link, back: Link) -> Result<bool, DropReason> {
        let mut here = self.start;
        let mut next = self.complete(here).map(ahead);
        loop {
            let there = match next {
                None => return Ok(false),
                Some(None) => return Ok(true),
                Some(Some(there)) => there,
            };
            let Some(other) = self.complete(there) else {
                return Ok(false);
            };
            if back(other) != Some(here) {
                return Err(DropReason::LinkMismatch);
            }
            if there == self.start {
                return Err(DropReason::Circle);
            }
            self.way.push(there);
            self.bytes_left =
                self.bytes_left.checked_sub(other.payload_len()).ok_or(DropReason::TooLarge)?;
            here = there;
            next = Some(ahead(other));
        }
    }

    fn complete(&self, id: SetId) -> Option<&'a PendingSet> {
        self.sets.get((self.origin, id)).filter(|set| set.is_complete())
    }
}
