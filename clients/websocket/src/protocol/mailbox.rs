//! Messages that have arrived and that no program has got yet.

use std::collections::VecDeque;

use super::response::Delivered;

/// What a message counts beyond its bytes, so that empty ones are bounded too.
const ENTRY_BYTES: usize = 128;

/// A queue of messages, bounded in bytes. A message is lent to a program, and goes when the program
/// has it; if the program goes first, the message is still where it was.
#[derive(Debug)]
pub(super) struct Mailbox<P> {
    entries: VecDeque<Entry<P>>,
    bytes: usize,
    bytes_max: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry<P> {
    number: u64,
    message: Delivered,
    lent_to: Option<P>,
}

impl<P> Entry<P> {
    fn bytes(&self) -> usize {
        self.message.data.len().saturating_add(ENTRY_BYTES)
    }
}

/// What made way for newer messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lost {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl<P: Copy + PartialEq> Mailbox<P> {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max, next: 0 }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes a message in. The oldest that are not lent make room; the new one is always kept.
    pub(super) fn push(&mut self, message: Delivered) -> Lost {
        let entry = Entry { number: self.next, message, lent_to: None };
        self.next += 1;
        self.bytes = self.bytes.saturating_add(entry.bytes());
        let mut lost = Lost::default();
        while self.bytes > self.bytes_max {
            let Some(at) = self.entries.iter().position(|entry| entry.lent_to.is_none()) else {
                break;
            };
            if let Some(old) = self.remove_at(at) {
                lost.messages += 1;
                lost.bytes += old.message.data.len();
            }
        }
        self.entries.push_back(entry);
        lost
    }

    /// Lends the oldest message that is not lent.
    pub(super) fn lend(&mut self, to: P) -> Option<(u64, Delivered)> {
        let entry = self.entries.iter_mut().find(|entry| entry.lent_to.is_none())?;
        entry.lent_to = Some(to);
        Some((entry.number, entry.message.clone()))
    }

    /// The program has the message.
    pub(super) fn remove(&mut self, number: u64) {
        if let Ok(at) = self.entries.binary_search_by_key(&number, |entry| entry.number) {
            self.remove_at(at);
        }
    }

    /// The program is gone: what was lent to it and not removed is to be lent again.
    pub(super) fn take_back(&mut self, from: P) {
        let lent = self.entries.iter_mut().filter(|entry| entry.lent_to == Some(from));
        lent.for_each(|entry| entry.lent_to = None);
    }

    fn remove_at(&mut self, at: usize) -> Option<Entry<P>> {
        let entry = self.entries.remove(at)?;
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(byte: u8, len: usize) -> Delivered {
        Delivered { data: Bytes::from(vec![byte; len]), tag: None }
    }

    fn lent(mailbox: &mut Mailbox<u8>, to: u8) -> Option<(u64, u8)> {
        mailbox.lend(to).map(|(number, message)| (number, message.data[0]))
    }

    #[test]
    fn what_is_not_removed_comes_again_in_its_old_place() {
        let mut mailbox = Mailbox::new(10_000);
        (1..=4).for_each(|byte| assert_eq!(mailbox.push(message(byte, 1)), Lost::default()));
        assert_eq!(lent(&mut mailbox, 7), Some((0, 1)));
        assert_eq!(lent(&mut mailbox, 7), Some((1, 2)));
        mailbox.remove(0);
        mailbox.take_back(7);
        assert_eq!(lent(&mut mailbox, 8), Some((1, 2)));
        assert_eq!(lent(&mut mailbox, 8), Some((2, 3)));
    }

    #[test]
    fn the_oldest_not_lent_makes_room() {
        let mut mailbox = Mailbox::new(3 * (100 + ENTRY_BYTES));
        (1..=3).for_each(|byte| assert_eq!(mailbox.push(message(byte, 100)).messages, 0));
        assert_eq!(lent(&mut mailbox, 7), Some((0, 1)));
        assert_eq!(mailbox.push(message(4, 100)), Lost { messages: 1, bytes: 100 });
        mailbox.take_back(7);
        let left: Vec<u8> = core::iter::from_fn(|| lent(&mut mailbox, 7)).map(|m| m.1).collect();
        assert_eq!(left, [1, 3, 4]);
    }

    #[test]
    fn the_newest_is_kept_however_large_it_is_and_empty_ones_count() {
        let mut mailbox = Mailbox::<u8>::new(10 * ENTRY_BYTES);
        assert_eq!(mailbox.push(message(1, 100_000)).messages, 0);
        assert_eq!(mailbox.push(message(2, 0)).messages, 1);
        let lost: usize = (0..100).map(|_| mailbox.push(message(3, 0)).messages).sum();
        assert_eq!(lost, 91);
        assert_eq!((mailbox.len(), mailbox.bytes()), (10, 10 * ENTRY_BYTES));
        (0..200).for_each(|number| mailbox.remove(number));
        assert_eq!((mailbox.len(), mailbox.bytes()), (0, 0));
    }
}
