//! The application's lanes.

use std::collections::{BTreeMap, BTreeSet};

use super::queue::{Order, Queue, Via};
use super::room::Held;
use super::shares::Share;
use super::turns::{Looks, Turns};
use crate::client::event::Lane;

/// With more fragments queued than this a lane counts as bulk.
const INTERACTIVE_MAX: usize = 64;

/// One lane, from its first message to the end of its last.
#[derive(Debug)]
struct Entry {
    /// All its messages.
    keys: BTreeSet<u64>,
    /// Those that were not transmitted in full.
    queue: Queue,
    /// Fragments never transmitted.
    queued: usize,
    bytes: usize,
}

impl Entry {
    const fn new() -> Self {
        Self { keys: BTreeSet::new(), queue: Queue::new(Order::Fifo), queued: 0, bytes: 0 }
    }

    const fn share(&self) -> Share {
        if self.queued > INTERACTIVE_MAX { Share::Bulk } else { Share::Interactive }
    }
}

/// Lanes that hold messages. Those of a class take turns.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: BTreeMap<Lane, Entry>,
    interactive: Turns<Lane>,
    bulk: Turns<Lane>,
    /// Fragments of all lanes that were never transmitted.
    queued: usize,
}

impl Lanes {
    pub(super) const fn new() -> Self {
        Self { lanes: BTreeMap::new(), interactive: Turns::new(), bulk: Turns::new(), queued: 0 }
    }

    /// A message was accepted.
    pub(super) fn push(&mut self, lane: Lane, via: Via, key: u64, fragments: usize, bytes: usize) {
        let entry = self.lanes.entry(lane).or_insert_with(Entry::new);
        entry.keys.insert(key);
        entry.queue.insert(via, key);
        entry.bytes = entry.bytes.saturating_add(bytes);
        self.count(lane, fragments, 0);
        // a message that can leave ends the waiting of a lane that could not
        self.turns(lane).insert(lane);
    }

    /// A fragment was transmitted for the first time, the last one of its message or another.
    pub(super) fn transmitted(&mut self, lane: Lane, via: Via, key: u64, is_last: bool) {
        if let Some(entry) = self.lanes.get_mut(&lane).filter(|_| is_last) {
            entry.queue.remove(&via, key);
        }
        self.count(lane, 0, 1);
    }

    /// A message has ended, with this many fragments never transmitted.
    pub(super) fn remove(&mut self, lane: Lane, via: Via, key: u64, queued: usize, bytes: usize) {
        let Some(entry) = self.lanes.get_mut(&lane) else { return };
        entry.keys.remove(&key);
        entry.queue.remove(&via, key);
        entry.bytes = entry.bytes.saturating_sub(bytes);
        self.count(lane, 0, queued);
        if self.lanes.get(&lane).is_some_and(|entry| entry.keys.is_empty()) {
            self.lanes.remove(&lane);
        }
    }

    /// The message of this class that sends next.
    pub(super) fn next(
        &mut self,
        share: Share,
        looks: &mut Looks,
        is_ready: &dyn Fn(&Via) -> bool,
    ) -> Option<u64> {
        let (lanes, interactive, bulk) = (&mut self.lanes, &mut self.interactive, &mut self.bulk);
        let turns = if share == Share::Bulk { bulk } else { interactive };
        turns.take(looks, &mut |lane, looks| lanes.get_mut(&lane)?.queue.next(looks, is_ready))
    }

    /// True while a fragment of some lane was never transmitted.
    pub(super) const fn has_queued(&self) -> bool {
        self.queued > 0
    }

    /// Fragments of a lane that were never transmitted.
    pub(super) fn len(&self, lane: Lane) -> usize {
        self.lanes.get(&lane).map_or(0, |entry| entry.queued)
    }

    /// What a lane holds.
    pub(super) fn held(&self, lane: Lane) -> Held {
        let held = |entry: &Entry| Held { messages: entry.keys.len(), bytes: entry.bytes };
        self.lanes.get(&lane).map_or_else(Held::default, held)
    }

    /// Bytes of the lane with the most.
    pub(super) fn bytes_of_fullest(&self) -> usize {
        self.lanes.values().map(|entry| entry.bytes).max().unwrap_or(0)
    }

    /// The messages of a lane.
    pub(super) fn keys(&self, lane: Lane) -> impl Iterator<Item = u64> + '_ {
        self.lanes.get(&lane).into_iter().flat_map(|entry| entry.keys.iter().copied())
    }

    /// Counts fragments that wait for their first transmission and sorts the lane by how many do.
    fn count(&mut self, lane: Lane, more: usize, fewer: usize) {
        let Some(entry) = self.lanes.get_mut(&lane) else { return };
        let (share, was_queued) = (entry.share(), entry.queued > 0);
        entry.queued = entry.queued.saturating_add(more).saturating_sub(fewer);
        self.queued = self.queued.saturating_add(more).saturating_sub(fewer);
        let (new_share, is_queued) = (entry.share(), entry.queued > 0);
        if (share, was_queued) == (new_share, is_queued) {
            return;
        }
        self.interactive.remove(&lane);
        self.bulk.remove(&lane);
        if is_queued {
            self.turns(lane).insert(lane);
        }
    }

    fn turns(&mut self, lane: Lane) -> &mut Turns<Lane> {
        match self.lanes.get(&lane).map(Entry::share) {
            Some(Share::Bulk) => &mut self.bulk,
            _ => &mut self.interactive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::SenderTag;

    const VIA: Via = Via::Request(SenderTag::from_bytes([1; 16]));

    fn next(lanes: &mut Lanes, share: Share) -> Option<u64> {
        lanes.next(share, &mut Looks::new(8), &|_| true)
    }

    #[test]
    fn a_lane_is_bulk_until_it_has_drained() {
        let (mut lanes, lane) = (Lanes::new(), Lane::Connection(1));
        lanes.push(lane, VIA, 1, INTERACTIVE_MAX + 1, 0);
        assert_eq!(
            (next(&mut lanes, Share::Interactive), next(&mut lanes, Share::Bulk)),
            (None, Some(1))
        );
        lanes.transmitted(lane, VIA, 1, false);
        assert_eq!(
            (next(&mut lanes, Share::Interactive), next(&mut lanes, Share::Bulk)),
            (Some(1), None)
        );
        lanes.push(lane, VIA, 2, 1, 0);
        assert_eq!(
            (next(&mut lanes, Share::Interactive), next(&mut lanes, Share::Bulk)),
            (None, Some(1))
        );
        lanes.remove(lane, VIA, 1, INTERACTIVE_MAX, 0);
        assert_eq!(
            (next(&mut lanes, Share::Interactive), next(&mut lanes, Share::Bulk)),
            (Some(2), None)
        );
    }

    #[test]
    fn lanes_take_turns_however_much_they_hold() {
        let mut lanes = Lanes::new();
        for key in 0..10 {
            lanes.push(Lane::Connection(1), VIA, key, 1, 0);
        }
        lanes.push(Lane::Connection(2), VIA, 10, 20, 0);
        let order: Vec<_> = (0..4).filter_map(|_| next(&mut lanes, Share::Interactive)).collect();
        assert_eq!(order, [0, 10, 0, 10]);
    }

    #[test]
    fn nothing_is_left_of_a_lane_whose_messages_have_ended() {
        let (mut lanes, lane) = (Lanes::new(), Lane::General);
        lanes.push(lane, VIA, 1, 2, 100);
        lanes.transmitted(lane, VIA, 1, false);
        lanes.transmitted(lane, VIA, 1, true);
        assert_eq!((lanes.len(lane), lanes.held(lane).bytes), (0, 100));
        assert_eq!(next(&mut lanes, Share::Interactive), None);
        lanes.remove(lane, VIA, 1, 0, 100);
        assert_eq!((lanes.held(lane), lanes.lanes.len()), (Held::default(), 0));
    }
}
