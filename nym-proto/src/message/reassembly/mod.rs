//! Fragments in, messages out. (protocol: messages 6.4, client 8.2)
//!
//! Everything is bounded: when room is needed, what was touched least recently goes first, and is
//! counted. A set that became a message is remembered for a while by a hash of each of its
//! fragments, so that a retransmission is known from another sender's set with the same id.

mod aged;
mod chain;
mod pending;
#[cfg(test)]
mod tests;

use core::time::Duration;

use thiserror::Error;

use self::aged::AgedMap;
use self::chain::Chain;
use self::pending::{PendingSet, Placed, fragment_hash};
use super::fragment::{FragmentError, FragmentHeader};
use super::padding::unpad;
use super::set_id::SetId;
use crate::time::Instant;

/// Where a fragment came from, as far as the packet tells. Sets of different origins never mix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// Encrypted to the client's own key: anybody.
    Open,
    /// Encrypted with a reply key given to the correspondent with this number.
    Reply(u64),
}

/// Bounds of a [`Reassembler`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReassemblyLimits {
    /// Bytes held in unfinished sets, with an allowance for bookkeeping.
    pub bytes_max: usize,
    /// Unfinished sets.
    pub sets_max: usize,
    /// Fragments of finished sets that are remembered: 8 bytes each, and the table entry of their
    /// set.
    pub finished_max: usize,
    /// Bytes of one message, padding included.
    pub message_bytes_max: usize,
    /// How long an unfinished set waits for its next fragment.
    pub stale_after: Duration,
    /// How long a finished set is remembered.
    pub finished_for: Duration,
}

impl Default for ReassemblyLimits {
    /// 64 MiB, 4096 sets, 65536 remembered fragments, 48 MiB a message, 30 minutes, 2 hours.
    fn default() -> Self {
        Self {
            bytes_max: 64 << 20,
            sets_max: 4096,
            finished_max: 65_536,
            message_bytes_max: 48 << 20,
            stale_after: Duration::from_secs(30 * 60),
            finished_for: Duration::from_secs(2 * 60 * 60),
        }
    }
}

/// Bytes of a table entry that the charges of sets and fragments do not contain, rounded up.
const ENTRY_BYTES: usize = 256;

impl ReassemblyLimits {
    /// The most memory, in bytes, that reassembly can hold: unfinished sets, remembered fragments,
    /// and the message that is being put together. Saturates.
    #[must_use]
    pub fn memory_max(&self) -> usize {
        let remembered = self.finished_max.saturating_mul(8 + ENTRY_BYTES);
        self.bytes_max
            .saturating_add(self.sets_max.saturating_mul(ENTRY_BYTES))
            .saturating_add(remembered)
            .saturating_add(self.message_bytes_max)
    }
}

/// What became of a fragment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// It is kept; its message lacks others.
    Incomplete,
    /// It is here already, or its message was delivered.
    Duplicate,
    /// It was the last one of a message.
    Complete {
        /// The serialised message, padding removed.
        message: Vec<u8>,
        /// Number of the message's fragments.
        fragments: usize,
    },
    /// It was dropped, for some reasons together with sets it belongs to.
    Dropped(DropReason),
}

/// Why a fragment was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DropReason {
    /// The header breaks the rules of the format.
    #[error(transparent)]
    Header(#[from] FragmentError),
    /// The set has another number of fragments according to what came before.
    #[error("the set has {known} fragments, not {given}")]
    TotalMismatch {
        /// Fragments of the set as first seen.
        known: u8,
        /// Fragments according to this one.
        given: u8,
    },
    /// The place is taken by a fragment with other content, which stays.
    #[error("place {0} of the set holds another fragment")]
    Conflict(u8),
    /// The message would be longer than allowed. Its complete sets, if any, are dropped too.
    #[error("the message is longer than allowed")]
    TooLarge,
    /// A set's neighbour does not name it as its own neighbour. The complete sets between it and
    /// this one are dropped too.
    #[error("the links between two sets do not agree")]
    LinkMismatch,
    /// The sets are linked to a circle, and all dropped.
    #[error("the sets are linked to a circle")]
    Circle,
    /// The message is complete but has no valid padding. It counts as delivered.
    #[error("the message has no valid padding")]
    Padding,
}

/// A change of what is remembered of finished sets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemoryChange {
    /// A set became a message, or part of one.
    Remembered {
        /// Where it came from.
        origin: Origin,
        /// Its identifier.
        set: SetId,
        /// A hash of each fragment.
        hashes: Box<[u64]>,
    },
    /// A set is not remembered any longer.
    Forgotten {
        /// Where it came from.
        origin: Origin,
        /// Its identifier.
        set: SetId,
    },
}

type Key = (Origin, SetId);

/// What is remembered of a finished set: one hash per fragment, in order.
type Hashes = Box<[u64]>;

/// Expired sets that one call removes at most.
const EXPIRE_BATCH: usize = 64;

/// Collects fragments until messages are complete.
#[derive(Debug)]
pub struct Reassembler {
    limits: ReassemblyLimits,
    pending: AgedMap<PendingSet>,
    finished: AgedMap<Hashes>,
    bytes: usize,
    remembered: usize,
    evicted: u64,
    forgotten: u64,
    log: Option<Vec<MemoryChange>>,
}

impl Reassembler {
    /// A reassembler that holds nothing.
    #[must_use]
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            pending: AgedMap::default(),
            finished: AgedMap::default(),
            bytes: 0,
            remembered: 0,
            evicted: 0,
            forgotten: 0,
            log: None,
        }
    }

    /// As [`new`](Self::new), and what it remembers of finished sets can be kept elsewhere: take
    /// the [`memory_changes`](Self::memory_changes) after each call.
    #[must_use]
    pub fn with_log(limits: ReassemblyLimits) -> Self {
        Self { log: Some(Vec::new()), ..Self::new(limits) }
    }

    /// What changed in the memory of finished sets since the last call, in order.
    pub fn memory_changes(&mut self) -> impl Iterator<Item = MemoryChange> + '_ {
        self.log.iter_mut().flat_map(|log| log.drain(..))
    }

    /// Remembers a set finished at `at`, in an earlier life. To be called in order of time.
    pub fn restore(&mut self, at: Instant, origin: Origin, set: SetId, hashes: Box<[u64]>) {
        self.remember(at, (origin, set), hashes);
    }

    /// Takes a fragment. The work is bounded by the number of sets in the fragment's own message,
    /// plus copying it when it is complete.
    pub fn insert(
        &mut self,
        now: Instant,
        origin: Origin,
        header: &FragmentHeader,
        payload: &[u8],
    ) -> Inserted {
        match self.try_insert(now, (origin, header.set), header, payload) {
            Ok(inserted) => inserted,
            Err(reason) => Inserted::Dropped(reason),
        }
    }

    /// Forgets what is too old and returns the number of unfinished sets dropped. One call does a
    /// bounded amount of work; while [`next_expiry`](Self::next_expiry) has passed, more is due.
    pub fn expire(&mut self, now: Instant) -> usize {
        let mut dropped = 0;
        for _ in 0..EXPIRE_BATCH {
            let Some((_, set)) = self.pending.pop_older(now, self.limits.stale_after) else {
                break;
            };
            self.bytes -= set.charge();
            dropped += 1;
        }
        for _ in 0..EXPIRE_BATCH {
            let Some((key, hashes)) = self.finished.pop_older(now, self.limits.finished_for) else {
                break;
            };
            self.remembered -= hashes.len();
            self.log_forgotten(key);
        }
        dropped
    }

    /// When [`expire`](Self::expire) has something to do next.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let stale = self.pending.oldest().map(|at| at + self.limits.stale_after);
        let old = self.finished.oldest().map(|at| at + self.limits.finished_for);
        stale.into_iter().chain(old).min()
    }

    /// Bytes held in unfinished sets, with an allowance for bookkeeping; never more than the limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Unfinished sets held.
    #[must_use]
    pub fn sets(&self) -> usize {
        self.pending.len()
    }

    /// Fragments of finished sets that are remembered; never more than the limit.
    #[must_use]
    pub const fn remembered(&self) -> usize {
        self.remembered
    }

    /// Unfinished sets that were dropped to make room, since the beginning.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Finished sets that were forgotten early to make room, since the beginning.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn try_insert(
        &mut self,
        now: Instant,
        key: Key,
        header: &FragmentHeader,
        payload: &[u8],
    ) -> Result<Inserted, DropReason> {
        let header = header.checked()?;
        let hash = fragment_hash(&header, payload);
        if self.is_finished(key, &header, hash) {
            return Ok(Inserted::Duplicate);
        }
        if let Some(set) = self.pending.get(key) {
            match set.check(&header, hash)? {
                Placed::Already => return Ok(Inserted::Duplicate),
                Placed::Free => {}
            }
        }
        // an honest set's fragments are equally long, but for a last one
        let rest_of_set = usize::from(header.total - 1).saturating_mul(payload.len());
        if rest_of_set.max(payload.len()) > self.limits.message_bytes_max {
            return Err(DropReason::TooLarge);
        }
        let mut set = self.take(key).unwrap_or_else(|| PendingSet::new(header.total));
        set.place(&header, hash, payload);
        let is_complete = set.is_complete();
        if is_complete && set.is_unlinked() {
            return self.deliver(now, key.0, vec![(key.1, set)]);
        }
        self.make_room(set.charge())?;
        self.bytes += set.charge();
        self.pending.insert(now, key, set);
        if is_complete { self.finish(now, key) } else { Ok(Inserted::Incomplete) }
    }

    /// True if the fragment is one of a set that became a message.
    fn is_finished(&self, key: Key, header: &FragmentHeader, hash: u64) -> bool {
        self.finished.get(key).is_some_and(|hashes| {
            hashes.len() == usize::from(header.total)
                && hashes.get(usize::from(header.position - 1)) == Some(&hash)
        })
    }

    /// Delivers the message that the linked set `key`, just completed, belongs to if all of it is
    /// here.
    fn finish(&mut self, now: Instant, key: Key) -> Result<Inserted, DropReason> {
        let (origin, _) = key;
        match chain::follow(&self.pending, key, self.limits.message_bytes_max) {
            Chain::Partial => Ok(Inserted::Incomplete),
            Chain::Broken(reason, sets) => {
                for id in sets {
                    drop(self.take((origin, id)));
                }
                Err(reason)
            }
            Chain::Whole(sets) => {
                let sets = sets
                    .into_iter()
                    .filter_map(|id| Some((id, self.take((origin, id))?)))
                    .collect();
                self.deliver(now, origin, sets)
            }
        }
    }

    /// Joins the sets of a message, which are no longer pending, and remembers them.
    fn deliver(
        &mut self,
        now: Instant,
        origin: Origin,
        sets: Vec<(SetId, PendingSet)>,
    ) -> Result<Inserted, DropReason> {
        let len = sets.iter().map(|(_, set)| set.payload_len()).sum();
        if len > self.limits.message_bytes_max {
            return Err(DropReason::TooLarge);
        }
        let (mut message, mut fragments) = (Vec::with_capacity(len), 0);
        for (id, set) in sets {
            fragments += set.len();
            let hashes = set.append_to(&mut message);
            if let Some(log) = &mut self.log {
                log.push(MemoryChange::Remembered { origin, set: id, hashes: hashes.clone() });
            }
            self.remember(now, (origin, id), hashes);
        }
        let len = unpad(&message).map_err(|_| DropReason::Padding)?;
        message.truncate(len);
        Ok(Inserted::Complete { message, fragments })
    }

    fn remember(&mut self, now: Instant, key: Key, hashes: Hashes) {
        if let Some(old) = self.finished.remove(key) {
            self.remembered -= old.len();
        }
        if hashes.len() > self.limits.finished_max {
            self.forgotten += 1;
            self.log_forgotten(key);
            return;
        }
        while self.remembered + hashes.len() > self.limits.finished_max {
            let Some((key, oldest)) = self.finished.pop() else {
                break;
            };
            self.remembered -= oldest.len();
            self.forgotten += 1;
            self.log_forgotten(key);
        }
        self.remembered += hashes.len();
        self.finished.insert(now, key, hashes);
    }

    fn log_forgotten(&mut self, (origin, set): Key) {
        if let Some(log) = &mut self.log {
            log.push(MemoryChange::Forgotten { origin, set });
        }
    }

    /// Evicts the sets touched least recently until there is room for one more set that is charged
    /// `charge` bytes.
    fn make_room(&mut self, charge: usize) -> Result<(), DropReason> {
        if charge > self.limits.bytes_max {
            return Err(DropReason::TooLarge);
        }
        while self.bytes + charge > self.limits.bytes_max
            || self.pending.len() >= self.limits.sets_max.max(1)
        {
            let Some((_, set)) = self.pending.pop() else {
                break;
            };
            self.bytes -= set.charge();
            self.evicted += 1;
        }
        Ok(())
    }

    fn take(&mut self, key: Key) -> Option<PendingSet> {
        let set = self.pending.remove(key)?;
        self.bytes -= set.charge();
        Some(set)
    }
}
