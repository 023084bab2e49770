//! What a client keeps across restarts. (protocol: client 9.9, 15)
//!
//! The client says what has to be kept as [`Change`]s, in
//! [`Action::Persist`](super::Action::Persist): a key and either a value or the word to erase. Any
//! ordered or unordered key-value store will do, it needs to understand neither. What the store
//! holds is read back with [`State::load`] and handed to the next client in
//! [`Config::state`](super::Config::state).
//!
//! | kept | before | erased |
//! |---|---|---|
//! | registration with a gateway, time of the last authentication | the authentication leaves | when there are too many |
//! | tag towards a recipient written to anonymously | the first packet to it leaves | when there are too many |
//! | key of a SURB given out | the packet with the SURB leaves | before what came through it is delivered; when too old |
//! | correspondent who wrote anonymously, each of its SURBs | its message is delivered | before the packet made with the SURB leaves; when dead |
//! | fragment sets of messages received | the message is delivered | after the longest retransmission |
//!
//! Not kept: messages accepted for sending, which are the application's to send again if it has
//! seen no outcome; fragments of messages not yet complete, and complete messages not yet
//! delivered: their senders have acks for them and are not told. Keeping those would mean to write
//! content to the disk.

mod assemble;
mod change;
mod codec;
mod entry;
mod journal;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::change::Change;
pub(in crate::client) use self::entry::{Entry, EntryKey, SurbBytes};
pub(in crate::client) use self::journal::Journal;
pub use self::store::MemoryStore;
use super::Registration;
use crate::time::UnixTime;

/// What a client kept in an earlier run, decoded.
#[derive(Clone, Default)]
pub struct State {
    entries: BTreeMap<EntryKey, (UnixTime, Entry)>,
    skipped: usize,
}

impl State {
    /// Nothing: the state of a client that has never run.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), skipped: 0 }
    }

    /// Reads what a store holds: every key that was written and not erased, with its last value, in
    /// any order. Entries that are damaged or of an unknown kind are skipped and counted.
    #[must_use]
    pub fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let (mut state, mut recipients) = (Self::new(), codec::Recipients::default());
        for (key, value) in entries {
            match codec::decode(key.as_ref(), value.as_ref(), &mut recipients) {
                Some((written_at, entry)) => {
                    state.entries.insert(entry.key(), (written_at, entry));
                }
                None => state.skipped += 1,
            }
        }
        state
    }

    /// Entries that were not understood.
    #[must_use]
    pub const fn skipped(&self) -> usize {
        self.skipped
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The registration used last.
    #[must_use]
    pub fn registration(&self) -> Option<&Registration> {
        self.registrations().max_by_key(|registration| registration.last_authentication)
    }

    /// All registrations, in order of the gateways' keys.
    pub fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.entries.values().filter_map(|(_, entry)| match entry {
            Entry::Registration(registration) => Some(registration),
            _ => None,
        })
    }

    /// A store that holds these entries, to begin with.
    #[must_use]
    pub fn to_store(&self) -> MemoryStore {
        let mut store = MemoryStore::new();
        for (written_at, entry) in self.entries.values() {
            store.apply(&[codec::encode(*written_at, entry)]);
        }
        store
    }

    /// All entries, those written first first.
    pub(in crate::client) fn into_entries(self) -> Vec<(UnixTime, Entry)> {
        let mut entries: Vec<_> = self.entries.into_values().collect();
        // stable: entries of one time stay in the order of their keys
        entries.sort_by_key(|(written_at, _)| *written_at);
        entries
    }
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "State(<{} entries redacted>, {} skipped)", self.entries.len(), self.skipped)
    }
}

impl From<Registration> for State {
    /// Only a registration: the client takes part as before and has forgotten its conversations.
    fn from(registration: Registration) -> Self {
        let mut state = Self::new();
        state.add_registration(registration);
        state
    }
}
