//! Changes on their way out of a concern.

use super::Change;
use super::codec;
use super::entry::{Entry, EntryKey};
use crate::time::UnixTime;

/// What one concern wants kept and erased, in order. Emptied before the next frame or delivery.
#[derive(Default)]
pub(in crate::client) struct Journal {
    notes: Vec<Note>,
}

enum Note {
    Put(Entry),
    Erase(EntryKey),
}

impl Journal {
    pub(in crate::client) fn put(&mut self, entry: Entry) {
        self.notes.push(Note::Put(entry));
    }

    pub(in crate::client) fn erase(&mut self, key: EntryKey) {
        self.notes.push(Note::Erase(key));
    }

    /// Moves everything out, as of this time.
    pub(in crate::client) fn drain_into(&mut self, now: UnixTime, changes: &mut Vec<Change>) {
        changes.extend(self.notes.drain(..).map(|note| match note {
            Note::Put(entry) => codec::encode(now, &entry),
            Note::Erase(key) => Change::erase(codec::encode_key(&key)),
        }));
    }
}

impl core::fmt::Debug for Journal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Journal({} notes)", self.notes.len())
    }
}
