//! Acks and fragments in; whole messages out, exactly once.

use std::collections::VecDeque;

use bytes::Bytes;

use super::action::{Delivery, DeliveryOrigin};
use super::state::{Entry, EntryKey, Journal};
use super::usage::Usage;
use crate::limits::Limits;
use crate::message::{FragmentHeader, Inserted, MemoryChange, Origin, Reassembler, SetId};
use crate::time::Instant;

/// What became of a fragment.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Its message is not complete yet.
    Incomplete,
    /// It was here before.
    Duplicate,
    /// It is no fragment, or contradicts what came before.
    Bad,
    /// The last missing fragment: the message, without padding.
    Complete(Bytes),
}

/// Reassembly, and the queue of messages the application has not taken yet.
#[derive(Debug)]
pub(super) struct Inbox {
    reassembler: Reassembler,
    journal: Journal,
    /// Evictions already counted.
    evicted_seen: u64,
    /// Messages the application is ready to take.
    window: u32,
    waiting: VecDeque<Delivery>,
    waiting_bytes: usize,
    bytes_max: usize,
    messages_max: usize,
}

impl Inbox {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            reassembler: Reassembler::with_log(limits.reassembly),
            journal: Journal::default(),
            evicted_seen: 0,
            window: limits.delivery_window.max(1),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            bytes_max: limits.inbox_bytes_max,
            messages_max: limits.inbox_messages_max,
        }
    }

    /// Takes a decrypted fragment.
    pub(super) fn insert(&mut self, now: Instant, origin: Origin, fragment: &[u8]) -> Arrival {
        let Ok((header, payload)) = FragmentHeader::decode(fragment) else {
            return Arrival::Bad;
        };
        let inserted = self.reassembler.insert(now, origin, &header, payload);
        self.note();
        match inserted {
            Inserted::Incomplete => Arrival::Incomplete,
            Inserted::Duplicate => Arrival::Duplicate,
            Inserted::Complete { message, .. } => Arrival::Complete(Bytes::from(message)),
            Inserted::Dropped(_) => Arrival::Bad,
        }
    }

    /// Counts what is held.
    pub(super) fn measure(&self, usage: &mut Usage) {
        usage.inbox_messages = self.waiting.len();
        usage.inbox_bytes = self.waiting_bytes;
        usage.reassembly_sets = self.reassembler.sets();
        usage.reassembly_bytes = self.reassembler.bytes();
        usage.reassembly_finished = self.reassembler.remembered();
    }

    /// A message for the application. Gives it back as `Err` if there is no room for it.
    pub(super) fn deliver(&mut self, data: Bytes, origin: DeliveryOrigin) -> Result<(), Bytes> {
        if self.waiting.len() >= self.messages_max
            || self.waiting_bytes.saturating_add(data.len()) > self.bytes_max
        {
            return Err(data);
        }
        self.waiting_bytes += data.len();
        self.waiting.push_back(Delivery { data, origin });
        Ok(())
    }

    /// The next message the application is ready to take.
    pub(super) fn poll_delivery(&mut self) -> Option<Delivery> {
        if self.window == 0 {
            return None;
        }
        let delivery = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(delivery.data.len());
        self.window -= 1;
        Some(delivery)
    }

    /// True if a message waits that the application is ready to take.
    pub(super) fn has_delivery(&self) -> bool {
        self.window > 0 && !self.waiting.is_empty()
    }

    /// Drops a message the application is not ready to take. Returns its size.
    pub(super) fn drop_delivery(&mut self) -> Option<usize> {
        let delivery = self.waiting.pop_front()?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(delivery.data.len());
        Some(delivery.data.len())
    }

    /// The application has taken messages.
    pub(super) fn taken(&mut self, messages: u32, window_max: u32) {
        self.window = self.window.saturating_add(messages).min(window_max.max(1));
    }

    /// Drops stale sets and returns how many sets were dropped since the last call, those that made
    /// room for others included.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let stale = self.reassembler.expire(now);
        self.note();
        let evicted = self.reassembler.evicted();
        let since = evicted.saturating_sub(self.evicted_seen);
        self.evicted_seen = evicted;
        stale.saturating_add(usize::try_from(since).unwrap_or(usize::MAX))
    }

    /// Remembers a set that was finished in an earlier run.
    pub(super) fn restore(&mut self, at: Instant, origin: Origin, set: SetId, hashes: Box<[u64]>) {
        self.reassembler.restore(at, origin, set, hashes);
        self.note();
    }

    /// What has to be kept.
    pub(super) const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    fn note(&mut self) {
        for change in self.reassembler.memory_changes() {
            match change {
                MemoryChange::Remembered { origin, set, hashes } => {
                    self.journal.put(Entry::Finished { origin, set, hashes });
                }
                MemoryChange::Forgotten { origin, set } => {
                    self.journal.erase(EntryKey::Finished(origin, set));
                }
            }
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.reassembler.next_expiry()
    }
}
