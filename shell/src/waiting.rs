//! Messages the core has no room for now.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use async_channel::{Receiver, Sender};
use nym_proto::client::Lane;

use crate::queue::Submission;

/// Most messages held in all lanes together.
const WAITING_MAX: usize = 4096;

/// First in, first out in each lane; lanes do not wait for each other.
pub(crate) struct Waiting {
    lanes: BTreeMap<Lane, VecDeque<Submission>>,
    len: usize,
    per_lane_max: usize,
    /// Carries nothing; closed when a message leaves.
    moved: (Sender<Infallible>, Receiver<Infallible>),
}

impl Waiting {
    pub(crate) fn new(per_lane_max: usize) -> Self {
        let moved = async_channel::bounded(1);
        Self { lanes: BTreeMap::new(), len: 0, per_lane_max, moved }
    }

    /// True if messages of this lane wait.
    pub(crate) fn has(&self, lane: Lane) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Holds a message behind those of its lane. If there is no place for it, it comes back.
    pub(crate) fn push(&mut self, submission: Submission) -> Option<Submission> {
        let lane = submission.message.lane;
        let held = self.lanes.get(&lane).map_or(0, VecDeque::len);
        if held >= self.per_lane_max || self.len >= WAITING_MAX {
            self.forget_withdrawn();
        }
        let held = self.lanes.get(&lane).map_or(0, VecDeque::len);
        if held >= self.per_lane_max || self.len >= WAITING_MAX {
            return Some(submission);
        }
        self.lanes.entry(lane).or_default().push_back(submission);
        self.len += 1;
        None
    }

    /// Puts back what was taken out last.
    pub(crate) fn put_back(&mut self, submission: Submission) {
        self.lanes.entry(submission.message.lane).or_default().push_front(submission);
        self.len += 1;
    }

    /// Takes out the next message of a lane.
    pub(crate) fn pop(&mut self, lane: Lane) -> Option<Submission> {
        let queue = self.lanes.get_mut(&lane)?;
        let submission = queue.pop_front();
        if queue.is_empty() {
            self.lanes.remove(&lane);
        }
        self.len -= usize::from(submission.is_some());
        submission
    }

    pub(crate) fn lanes(&self) -> Vec<Lane> {
        self.lanes.keys().copied().collect()
    }

    /// Closed when there may be a place again.
    pub(crate) fn moved(&self) -> Receiver<Infallible> {
        self.moved.1.clone()
    }

    /// A message has left.
    pub(crate) fn note_moved(&mut self) {
        if self.moved.1.receiver_count() > 1 {
            self.moved = async_channel::bounded(1);
        }
    }

    /// Messages whose senders have stopped waiting take no place.
    fn forget_withdrawn(&mut self) {
        for queue in self.lanes.values_mut() {
            queue.retain(|submission| !submission.verdict.is_closed());
        }
        self.lanes.retain(|_, queue| !queue.is_empty());
        let left = self.lanes.values().map(VecDeque::len).sum();
        if core::mem::replace(&mut self.len, left) > left {
            self.note_moved();
        }
    }
}
