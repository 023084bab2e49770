//! A map that also knows which entry was inserted longest ago.

use core::time::Duration;
use std::collections::BTreeMap;

use super::Key;
use crate::time::Instant;

/// Entries by key and by age. All operations take logarithmic time.
#[derive(Debug)]
pub(super) struct AgedMap<V> {
    entries: BTreeMap<Key, Entry<V>>,
    order: BTreeMap<u64, Key>,
    next: u64,
    latest: Instant,
}

#[derive(Debug)]
struct Entry<V> {
    number: u64,
    at: Instant,
    value: V,
}

impl<V> Default for AgedMap<V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0, latest: Instant::START }
    }
}

impl<V> AgedMap<V> {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: Key) -> Option<&V> {
        self.entries.get(&key).map(|entry| &entry.value)
    }

    /// Adds the entry as the youngest one, in place of one with the same key. A clock that jumps
    /// back is taken to stand still.
    pub(super) fn insert(&mut self, now: Instant, key: Key, value: V) {
        self.remove(key);
        let number = self.next;
        self.next += 1;
        self.latest = self.latest.max(now);
        let at = self.latest;
        self.order.insert(number, key);
        self.entries.insert(key, Entry { number, at, value });
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<V> {
        let entry = self.entries.remove(&key)?;
        self.order.remove(&entry.number);
        Some(entry.value)
    }

    /// When the oldest entry was inserted.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let (_, key) = self.order.first_key_value()?;
        self.entries.get(key).map(|entry| entry.at)
    }

    /// Removes the oldest entry.
    pub(super) fn pop(&mut self) -> Option<(Key, V)> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|entry| (key, entry.value))
    }

    /// Removes the oldest entry if it is `age` old or older.
    pub(super) fn pop_older(&mut self, now: Instant, age: Duration) -> Option<(Key, V)> {
        let oldest = self.oldest()?;
        if oldest + age <= now { self.pop() } else { None }
    }
}
