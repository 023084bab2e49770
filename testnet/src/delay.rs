//! Packets waiting for their delay to pass.

use std::collections::BTreeMap;

use nym_proto::time::Instant;

/// A bounded timer queue. Entries due at the same instant leave in the order they came.
#[derive(Debug)]
pub(crate) struct DelayQueue<T> {
    entries: BTreeMap<(Instant, u64), T>,
    next: u64,
    entries_max: usize,
}

impl<T> DelayQueue<T> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: BTreeMap::new(), next: 0, entries_max }
    }

    /// Holds `entry` until `due`; hands it back if the queue is full.
    pub(crate) fn push(&mut self, due: Instant, entry: T) -> Result<(), T> {
        if self.entries.len() >= self.entries_max {
            return Err(entry);
        }
        self.entries.insert((due, self.next), entry);
        self.next += 1;
        Ok(())
    }

    /// The next entry that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<T> {
        let first = self.entries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next entry is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|((due, _), _)| *due)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_leave_when_due_in_order_of_time_then_arrival() {
        let at = Instant::from_nanos;
        let mut queue = DelayQueue::new(10);
        for (due, name) in [(5, "c"), (3, "a"), (3, "b"), (9, "d")] {
            queue.push(at(due), name).unwrap();
        }
        assert_eq!(queue.next_due(), Some(at(3)));
        let left: Vec<_> = core::iter::from_fn(|| queue.pop(at(5))).collect();
        assert_eq!(left, ["a", "b", "c"]);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_full_queue_hands_the_entry_back() {
        let mut queue = DelayQueue::new(1);
        queue.push(Instant::START, 1).unwrap();
        assert_eq!(queue.push(Instant::START, 2), Err(2));
    }
}
