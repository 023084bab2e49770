//! Changes folded in memory: for tests, and for shells that do not survive a crash themselves.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{Change, State};

/// An ordered key-value store in memory.
#[derive(Clone, Default)]
pub struct MemoryStore {
    entries: BTreeMap<Box<[u8]>, Zeroizing<Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    /// Carries out changes, in order.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change.value() {
                Some(value) => {
                    self.entries.insert(change.key().into(), Zeroizing::new(value.to_vec()));
                }
                None => {
                    self.entries.remove(change.key());
                }
            }
        }
    }

    /// All entries, in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (&**key, value.as_slice()))
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

    /// What the next client is given in [`Config::state`](crate::client::Config::state).
    #[must_use]
    pub fn state(&self) -> State {
        State::load(self.iter())
    }
}

impl core::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "MemoryStore(<{} entries redacted>)", self.entries.len())
    }
}
