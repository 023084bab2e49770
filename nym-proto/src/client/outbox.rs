//! All messages on their way out; what the next real packet carries.
//!
//! Four classes share the slots: control (SURB requests and answers), retransmissions, and the
//! application's lanes, those with little queued and those with much. Fragments are cut from the
//! message when a slot takes them.

mod lanes;
mod queue;
mod room;
mod shares;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use self::lanes::Lanes;
pub(super) use self::queue::Via;
use self::queue::{Order, Queue};
use self::room::{Held, Room, Waiting};
use self::shares::{Share, Shares};
use self::turns::Looks;
use super::acks::FragmentKey;
use super::event::{Lane, MessageId};
use super::outgoing::{Class, Destination, Draft, OutgoingMessage};
use super::usage::Usage;
use crate::entropy::Stream;
use crate::limits::{CONTROL_BYTES_MAX, CONTROL_MESSAGES_MAX, Limits};
use crate::message::{SenderTag, SetId};
use crate::sphinx::PacketSize;
use crate::time::Instant;

/// How often one class may ask in one slot whether a message can be sent now.
const LOOKS_MAX: u32 = 128;

/// What a slot carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Picked {
    pub(super) key: FragmentKey,
    pub(super) is_retransmission: bool,
}

/// Replies to one correspondent.
#[derive(Debug, Default)]
struct Replies {
    keys: BTreeSet<u64>,
    /// Their fragments that wait for a transmission.
    backlog: usize,
}

/// All messages accepted and not yet ended.
#[derive(Debug)]
pub(super) struct Outbox {
    stream: Stream,
    size: PacketSize,
    room: Room,
    waiting: Waiting,
    next_key: u64,
    /// Bytes of the application's messages, and of the others.
    bytes: usize,
    control_bytes: usize,
    /// Fragments of all messages.
    fragments: usize,
    messages: BTreeMap<u64, OutgoingMessage>,
    users: BTreeMap<MessageId, u64>,
    sets: BTreeSet<SetId>,
    expiry: BTreeSet<(Instant, u64)>,
    /// Of the application.
    replies: BTreeMap<SenderTag, Replies>,
    control: Queue,
    /// Messages with overdue fragments.
    overdue: Queue,
    lanes: Lanes,
    shares: Shares,
}

impl Outbox {
    pub(super) fn new(limits: &Limits, size: PacketSize, stream: Stream) -> Self {
        Self {
            stream,
            size,
            room: Room::new(limits),
            waiting: Waiting::default(),
            next_key: 0,
            bytes: 0,
            control_bytes: 0,
            fragments: 0,
            messages: BTreeMap::new(),
            users: BTreeMap::new(),
            sets: BTreeSet::new(),
            expiry: BTreeSet::new(),
            replies: BTreeMap::new(),
            control: Queue::new(Order::Fifo),
            overdue: Queue::new(Order::InTurn),
            lanes: Lanes::new(),
            shares: Shares::default(),
        }
    }

    // ---- room ------------------------------------------------------------------------------

    /// The most bytes a message of the application can ever have, head included.
    pub(super) const fn message_bytes_max(&self) -> usize {
        self.room.message_bytes_max()
    }

    /// True if a message of the application of this size can be taken in now.
    pub(super) fn has_room(&self, lane: Lane, bytes: usize) -> bool {
        self.room.fits(self.held(), self.lanes.held(lane), bytes)
    }

    /// A message of the application of this size was not taken in.
    pub(super) fn refused(&mut self, lane: Lane, bytes: usize) {
        self.waiting.refused(lane, bytes);
    }

    /// Lanes that were refused and have room again; `None` for those that were not remembered.
    pub(super) fn poll_writable(&mut self) -> Vec<Option<Lane>> {
        let (held, lanes) = (self.held(), &self.lanes);
        self.waiting.poll(&self.room, held, |lane| lanes.held(lane))
    }

    fn held(&self) -> Held {
        Held { messages: self.users.len(), bytes: self.bytes }
    }

    /// True if a control message of this size can be taken in now. Correspondents cause them, so
    /// they take no room from the application. What nobody waits for may fill half of theirs.
    pub(super) fn has_control_room(&self, bytes: usize, is_awaited: bool) -> bool {
        let share = if is_awaited { 1 } else { 2 };
        self.messages.len() - self.users.len() < CONTROL_MESSAGES_MAX / share
            && self.control_bytes.saturating_add(bytes) <= CONTROL_BYTES_MAX / share
    }

    // ---- messages --------------------------------------------------------------------------

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
        let (via, fragments) = (via(&message), message.fragments() as usize);
        self.fragments += fragments;
        *self.bytes_of(message.class) += message.bytes();
        if let Some(user) = message.user {
            self.users.insert(user, key);
        }
        if let Some(at) = message.expires_at {
            self.expiry.insert((at, key));
        }
        match message.class {
            Class::Control => self.control.insert(via, key),
            Class::Application(lane) => {
                self.lanes.push(lane, via, key, fragments, message.bytes());
            }
        }
        if let Via::Reply(tag) = via {
            let replies = self.replies.entry(tag).or_default();
            replies.keys.insert(key);
            replies.backlog += fragments;
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

    /// Takes a message out for good, and out of all queues.
    pub(super) fn remove(&mut self, key: u64) -> Option<OutgoingMessage> {
        let message = self.messages.remove(&key)?;
        let (via, bytes) = (via(&message), message.bytes());
        let held = self.bytes_of(message.class);
        *held = held.saturating_sub(bytes);
        self.fragments = self.fragments.saturating_sub(message.fragments() as usize);
        if let Some(user) = message.user {
            self.users.remove(&user);
        }
        if let Some(at) = message.expires_at {
            self.expiry.remove(&(at, key));
        }
        for id in message.set_ids() {
            self.sets.remove(id);
        }
        self.overdue.remove(&via, key);
        match message.class {
            Class::Control => self.control.remove(&via, key),
            Class::Application(lane) => {
                self.lanes.remove(lane, via, key, message.queued() as usize, bytes);
                self.waiting.room_made();
            }
        }
        if let Via::Reply(tag) = via
            && let Some(replies) = self.replies.get_mut(&tag)
        {
            replies.keys.remove(&key);
            replies.backlog = replies.backlog.saturating_sub(message.backlog());
            if replies.keys.is_empty() {
                self.replies.remove(&tag);
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

    // ---- fragments -------------------------------------------------------------------------

    /// Queues a fragment for its next transmission.
    pub(super) fn retransmit(&mut self, key: FragmentKey) {
        let Some(message) = self.messages.get_mut(&key.message) else { return };
        if message.queue_overdue(key.index) {
            let via = via(message);
            self.overdue.insert(via, key.message);
            self.count_backlog(via, 1, 0);
        }
    }

    /// Counts the ack of a fragment, which needs no other transmission. Returns its message if no ack
    /// of it is missing any more.
    pub(super) fn acked(&mut self, key: FragmentKey) -> Option<&OutgoingMessage> {
        let message = self.messages.get_mut(&key.message)?;
        let (is_complete, via) = (message.ack(), via(message));
        if message.forget_overdue(key.index) {
            if !message.has_overdue() {
                self.overdue.remove(&via, key.message);
            }
            self.count_backlog(via, 0, 1);
        }
        self.messages.get(&key.message).filter(|_| is_complete)
    }

    /// Decides what the slot carries. `is_ready` says what can be sent now.
    pub(super) fn pick(&mut self, is_ready: &dyn Fn(&Via) -> bool) -> Option<Picked> {
        let (control, overdue, lanes) = (&mut self.control, &mut self.overdue, &mut self.lanes);
        let (share, key) = self.shares.take(|share| {
            let looks = &mut Looks::new(LOOKS_MAX);
            let key = match share {
                Share::Control => control.next(looks, is_ready),
                Share::Retransmission => overdue.next(looks, is_ready),
                Share::Interactive | Share::Bulk => lanes.next(share, looks, is_ready),
            };
            key.map(|key| (share, key))
        })?;
        match share {
            Share::Retransmission => self.take_overdue(key),
            _ => self.take_queued(key),
        }
    }

    fn take_queued(&mut self, key: u64) -> Option<Picked> {
        let message = self.messages.get_mut(&key)?;
        let index = message.take_queued()?;
        let (via, is_last) = (via(message), message.queued() == 0);
        match message.class {
            Class::Control if is_last => self.control.remove(&via, key),
            Class::Control => {}
            Class::Application(lane) => self.lanes.transmitted(lane, via, key, is_last),
        }
        self.count_backlog(via, 0, 1);
        Some(Picked { key: FragmentKey { message: key, index }, is_retransmission: false })
    }

    fn take_overdue(&mut self, key: u64) -> Option<Picked> {
        let message = self.messages.get_mut(&key)?;
        let index = message.take_overdue()?;
        let via = via(message);
        if !message.has_overdue() {
            self.overdue.remove(&via, key);
        }
        self.count_backlog(via, 0, 1);
        Some(Picked { key: FragmentKey { message: key, index }, is_retransmission: true })
    }

    fn count_backlog(&mut self, via: Via, more: usize, fewer: usize) {
        if let Via::Reply(tag) = via
            && let Some(replies) = self.replies.get_mut(&tag)
        {
            replies.backlog = (replies.backlog + more).saturating_sub(fewer);
        }
    }

    // ---- getters ---------------------------------------------------------------------------

    /// Counts what is held.
    pub(super) fn measure(&self, usage: &mut Usage) {
        usage.outbox_messages = self.users.len();
        usage.outbox_bytes = self.bytes;
        usage.lane_bytes = self.lanes.bytes_of_fullest();
        usage.control_messages = self.messages.len() - self.users.len();
        usage.control_bytes = self.control_bytes;
        usage.fragments = self.fragments;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// True while a fragment waits for a transmission.
    pub(super) fn has_queued(&self) -> bool {
        !self.control.is_empty() || !self.overdue.is_empty() || self.lanes.has_queued()
    }

    /// True while a message of the application is unfinished.
    pub(super) fn has_user_messages(&self) -> bool {
        !self.users.is_empty()
    }

    /// The message of the application with this name.
    pub(super) fn user(&self, id: MessageId) -> Option<&OutgoingMessage> {
        self.messages.get(self.users.get(&id)?)
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
        self.lanes.keys(lane).collect()
    }

    /// Fragments of a lane that were never transmitted.
    pub(super) fn lane_len(&self, lane: Lane) -> usize {
        self.lanes.len(lane)
    }

    /// Bytes of the messages of a lane that have not ended.
    pub(super) fn lane_bytes(&self, lane: Lane) -> usize {
        self.lanes.held(lane).bytes
    }

    /// Replies to this correspondent, by key.
    pub(super) fn replies_to(
        &self,
        tag: SenderTag,
    ) -> impl Iterator<Item = (u64, &OutgoingMessage)> {
        let keys = self.replies.get(&tag).into_iter().flat_map(|replies| &replies.keys);
        keys.filter_map(|key| self.messages.get(key).map(|message| (*key, message)))
    }

    /// Fragments that wait for a SURB of this correspondent.
    pub(super) fn backlog_of(&self, tag: SenderTag) -> usize {
        self.replies.get(&tag).map_or(0, |replies| replies.backlog)
    }

    /// Correspondents with replies of which fragments wait.
    pub(super) fn waiting(&self) -> Vec<SenderTag> {
        let waiting = self.replies.iter().filter(|(_, replies)| replies.backlog > 0);
        waiting.map(|(tag, _)| *tag).collect()
    }

    /// Keys of all messages.
    pub(super) fn keys(&self) -> Vec<u64> {
        self.messages.keys().copied().collect()
    }
}

/// What the fragments of a message need to leave.
const fn via(message: &OutgoingMessage) -> Via {
    match (message.destination, message.class) {
        (Destination::Known(recipient), _) => Via::Gateway(recipient.gateway),
        (Destination::Surbs(tag), Class::Control) => Via::Request(tag),
        (Destination::Surbs(tag), Class::Application(_)) => Via::Reply(tag),
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
