//! Lanes of queued fragments; what the next real packet carries.
//!
//! Three classes share the slots by weight: control (SURB requests and answers), retransmissions,
//! and the lanes of the application, which take turns. A class without anything ready gives its
//! share to the others. Fragments are cut from the message when a slot takes them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::acks::FragmentKey;
use super::event::{Lane, MessageId};
use super::outgoing::{Class, Destination, Draft, OutgoingMessage};
use super::usage::Usage;
use crate::entropy::Stream;
use crate::limits::{CONTROL_BYTES_MAX, CONTROL_MESSAGES_MAX, Limits};
use crate::message::{FragmentId, SenderTag, SetId};
use crate::sphinx::PacketSize;
use crate::time::Instant;

/// Shares of control, retransmissions and application, out of their sum.
const WEIGHTS: [i32; 3] = [4, 3, 3];
/// Most credit or debt of a class, three rounds' worth.
const CREDIT_MAX: i32 = 30;
/// Messages of a queue that are looked at to find one that can be sent now.
const SCAN_MAX: usize = 16;

/// Application lanes are kept apart by correspondent too, so that a reply that waits for SURBs
/// does not hold up what is behind it.
type LaneKey = (Lane, Option<SenderTag>);

/// What a slot carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Picked {
    pub(super) key: FragmentKey,
    pub(super) is_retransmission: bool,
}

/// All messages accepted and not yet ended.
#[derive(Debug)]
pub(super) struct Outbox {
    stream: Stream,
    size: PacketSize,
    bytes_max: usize,
    messages_max: usize,
    next_key: u64,
    /// Bytes of the application's messages, and of the others.
    bytes: usize,
    control_bytes: usize,
    messages: BTreeMap<u64, OutgoingMessage>,
    users: BTreeMap<MessageId, u64>,
    sets: BTreeSet<SetId>,
    expiry: BTreeSet<(Instant, u64)>,
    /// Replies of the application, by correspondent.
    replies: BTreeMap<SenderTag, BTreeSet<u64>>,
    control: VecDeque<u64>,
    retransmissions: VecDeque<(FragmentId, FragmentKey)>,
    lanes: BTreeMap<LaneKey, VecDeque<u64>>,
    last_lane: Option<LaneKey>,
    credits: [i32; 3],
}

impl Outbox {
    pub(super) fn new(limits: &Limits, size: PacketSize, stream: Stream) -> Self {
        Self {
            stream,
            size,
            bytes_max: limits.outbox_bytes_max,
            messages_max: limits.outbox_messages_max,
            next_key: 0,
            bytes: 0,
            control_bytes: 0,
            messages: BTreeMap::new(),
            users: BTreeMap::new(),
            sets: BTreeSet::new(),
            expiry: BTreeSet::new(),
            replies: BTreeMap::new(),
            control: VecDeque::new(),
            retransmissions: VecDeque::new(),
            lanes: BTreeMap::new(),
            last_lane: None,
            credits: [0; 3],
        }
    }

    /// True if a message of the application of this size can be taken in now.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.users.len() < self.messages_max && self.bytes.saturating_add(bytes) <= self.bytes_max
    }

    /// True if a control message of this size can be taken in now. Correspondents cause them, so
    /// they take no room from the application. What nobody waits for may fill half of theirs.
    pub(super) fn has_control_room(&self, bytes: usize, is_awaited: bool) -> bool {
        let share = if is_awaited { 1 } else { 2 };
        self.messages.len() - self.users.len() < CONTROL_MESSAGES_MAX / share
            && self.control_bytes.saturating_add(bytes) <= CONTROL_BYTES_MAX / share
    }

    /// True if half of the capacity is free.
    pub(super) fn is_half_empty(&self) -> bool {
        self.users.len() <= self.messages_max / 2 && self.bytes <= self.bytes_max / 2
    }

    /// Counts what is held.
    pub(super) fn measure(&self, usage: &mut Usage) {
        usage.outbox_messages = self.users.len();
        usage.outbox_bytes = self.bytes;
        usage.control_messages = self.messages.len() - self.users.len();
        usage.control_bytes = self.control_bytes;
        let fragments = self.messages.values().map(|message| message.fragments() as usize);
        usage.fragments = fragments.sum();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// True while a message of the application is unfinished.
    pub(super) fn has_user_messages(&self) -> bool {
        !self.users.is_empty()
    }

    pub(super) fn has_user(&self, id: MessageId) -> bool {
        self.users.contains_key(&id)
    }

    /// Takes a message in, at the end of its queue.
    pub(super) fn push(&mut self, now: Instant, draft: Draft) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let (sets, stream) = (&mut self.sets, &mut self.stream);
        let message = OutgoingMessage::new(draft, now, self.size, &mut || loop {
            let id = SetId::draw(stream);
            if sets.insert(id) {
                return id;
            }
        });
        *self.bytes_of(message.class) += message.bytes();
        if let Some(user) = message.user {
            self.users.insert(user, key);
        }
        if let Some(at) = message.expires_at {
            self.expiry.insert((at, key));
        }
        if let (Class::Application(_), Destination::Surbs(tag)) =
            (message.class, message.destination)
        {
            self.replies.entry(tag).or_default().insert(key);
        }
        match message.class {
            Class::Control => self.control.push_back(key),
            Class::Application(lane) => {
                self.lanes.entry(lane_key(lane, &message.destination)).or_default().push_back(key);
            }
        }
        self.messages.insert(key, message);
        key
    }

    pub(super) fn get(&self, key: u64) -> Option<&OutgoingMessage> {
        self.messages.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut OutgoingMessage> {
        self.messages.get_mut(&key)
    }

    /// Takes a message out for good. Queues skip it from now on.
    pub(super) fn remove(&mut self, key: u64) -> Option<OutgoingMessage> {
        let message = self.messages.remove(&key)?;
        let bytes = self.bytes_of(message.class);
        *bytes = bytes.saturating_sub(message.bytes());
        if let Some(user) = message.user {
            self.users.remove(&user);
        }
        if let Some(at) = message.expires_at {
            self.expiry.remove(&(at, key));
        }
        for id in message.set_ids() {
            self.sets.remove(id);
        }
        if let Destination::Surbs(tag) = message.destination
            && let Some(keys) = self.replies.get_mut(&tag)
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.replies.remove(&tag);
            }
        }
        match message.class {
            Class::Control => self.control.retain(|k| *k != key),
            Class::Application(lane) => {
                let lane = lane_key(lane, &message.destination);
                if let Some(queue) = self.lanes.get_mut(&lane) {
                    queue.retain(|k| *k != key);
                    if queue.is_empty() {
                        self.lanes.remove(&lane);
                    }
                }
            }
        }
        Some(message)
    }

    const fn bytes_of(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Control => &mut self.control_bytes,
            Class::Application(_) => &mut self.bytes,
        }
    }

    /// Queues a fragment for its next transmission.
    pub(super) fn retransmit(&mut self, id: FragmentId, key: FragmentKey) {
        if let Some(message) = self.messages.get_mut(&key.message) {
            message.waiting += 1;
            self.retransmissions.push_back((id, key));
        }
    }

    /// Decides what the slot carries. `ready` says whether a message can be sent now;
    /// `is_pending` whether a fragment is still without an ack.
    pub(super) fn pick(
        &mut self,
        ready: &dyn Fn(&OutgoingMessage) -> bool,
        is_pending: &dyn Fn(&FragmentId) -> bool,
    ) -> Option<Picked> {
        for (credit, weight) in self.credits.iter_mut().zip(WEIGHTS) {
            *credit = (*credit + weight).min(CREDIT_MAX);
        }
        let mut order = [0, 1, 2];
        order.sort_by_key(|class| core::cmp::Reverse(self.credits.get(*class).copied()));
        for class in order {
            let picked = match class {
                0 => self.pick_control(ready),
                1 => self.pick_retransmission(ready, is_pending),
                _ => self.pick_application(ready),
            };
            if picked.is_some() {
                if let Some(credit) = self.credits.get_mut(class) {
                    *credit = (*credit - WEIGHTS.iter().sum::<i32>()).max(-CREDIT_MAX);
                }
                return picked;
            }
            // a class without anything ready saves nothing up
            if let Some(credit) = self.credits.get_mut(class) {
                *credit = 0;
            }
        }
        None
    }

    fn pick_control(&mut self, ready: &dyn Fn(&OutgoingMessage) -> bool) -> Option<Picked> {
        take_next(&mut self.control, &mut self.messages, ready)
    }

    fn pick_retransmission(
        &mut self,
        ready: &dyn Fn(&OutgoingMessage) -> bool,
        is_pending: &dyn Fn(&FragmentId) -> bool,
    ) -> Option<Picked> {
        let mut tries = SCAN_MAX;
        while tries > 0 {
            let (id, key) = self.retransmissions.pop_front()?;
            if !is_pending(&id) {
                continue;
            }
            let Some(message) = self.messages.get_mut(&key.message) else {
                continue;
            };
            if ready(message) {
                message.retransmissions = message.retransmissions.saturating_add(1);
                message.waiting = message.waiting.saturating_sub(1);
                return Some(Picked { key, is_retransmission: true });
            }
            self.retransmissions.push_back((id, key));
            tries -= 1;
        }
        None
    }

    fn pick_application(&mut self, ready: &dyn Fn(&OutgoingMessage) -> bool) -> Option<Picked> {
        use core::ops::Bound::{Excluded, Unbounded};
        let after = self.last_lane.map_or(Unbounded, Excluded);
        let lanes: Vec<LaneKey> = self
            .lanes
            .range((after, Unbounded))
            .chain(self.lanes.iter())
            .map(|(lane, _)| *lane)
            .take(self.lanes.len().min(4 * SCAN_MAX))
            .collect();
        for lane in lanes {
            self.last_lane = Some(lane);
            let Some(queue) = self.lanes.get_mut(&lane) else {
                continue;
            };
            let picked = take_next(queue, &mut self.messages, ready);
            if queue.is_empty() {
                self.lanes.remove(&lane);
            }
            if picked.is_some() {
                return picked;
            }
        }
        None
    }

    /// The next message that has expired.
    pub(super) fn poll_expired(&mut self, now: Instant) -> Option<u64> {
        self.expiry.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.first().map(|(at, _)| *at)
    }

    /// Messages of the application in a lane.
    pub(super) fn in_lane(&self, lane: Lane) -> Vec<u64> {
        let wanted = Class::Application(lane);
        self.messages.iter().filter(|(_, m)| m.class == wanted).map(|(key, _)| *key).collect()
    }

    /// Fragments of a lane that were never transmitted.
    pub(super) fn lane_len(&self, lane: Lane) -> usize {
        self.lanes
            .range((lane, None)..)
            .take_while(|((l, _), _)| *l == lane)
            .flat_map(|(_, queue)| queue)
            .filter_map(|key| self.messages.get(key))
            .map(|message| message.queued() as usize)
            .sum()
    }

    /// Replies to this correspondent, by key.
    pub(super) fn replies_to(
        &self,
        tag: SenderTag,
    ) -> impl Iterator<Item = (u64, &OutgoingMessage)> {
        let keys = self.replies.get(&tag).into_iter().flatten();
        keys.filter_map(|key| self.messages.get(key).map(|message| (*key, message)))
    }

    /// Fragments that wait for a SURB of this correspondent.
    pub(super) fn backlog_of(&self, tag: SenderTag) -> usize {
        self.replies_to(tag).map(|(_, message)| message.backlog()).sum()
    }

    /// Correspondents with replies that have not ended, with the fragments that wait.
    pub(super) fn waiting(&self) -> Vec<(SenderTag, usize)> {
        let backlogs = self.replies.keys().map(|tag| (*tag, self.backlog_of(*tag)));
        backlogs.filter(|(_, backlog)| *backlog > 0).collect()
    }

    /// Keys of all messages.
    pub(super) fn keys(&self) -> Vec<u64> {
        self.messages.keys().copied().collect()
    }
}

fn lane_key(lane: Lane, destination: &Destination) -> LaneKey {
    match destination {
        Destination::Known(_) => (lane, None),
        Destination::Surbs(tag) => (lane, Some(*tag)),
    }
}

/// Takes the next fragment of the first message that is ready. What is looked at in vain goes to
/// the end, so that it cannot block the queue.
fn take_next(
    queue: &mut VecDeque<u64>,
    messages: &mut BTreeMap<u64, OutgoingMessage>,
    ready: &dyn Fn(&OutgoingMessage) -> bool,
) -> Option<Picked> {
    let found = queue.iter().take(SCAN_MAX).position(|key| messages.get(key).is_some_and(ready));
    let Some(position) = found else {
        queue.rotate_left(queue.len().min(SCAN_MAX) % queue.len().max(1));
        return None;
    };
    let key = *queue.get(position)?;
    let message = messages.get_mut(&key)?;
    let index = message.next;
    message.next += 1;
    if message.queued() == 0 {
        queue.remove(position);
    }
    Some(Picked { key: FragmentKey { message: key, index }, is_retransmission: false })
}
