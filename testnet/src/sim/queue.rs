//! What is going to happen, in the order of time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;
use nym_proto::client::{ConnectionId, FetchError, FetchId, WsFrame};
use nym_proto::time::Instant;

use super::host::LostPush;
use super::links::LinkKey;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Item {
    /// A client wants to be woken.
    ClientTimer(usize),
    /// A node wants to be woken.
    NodeTimer(usize),
    /// A suspended client wakes up.
    Resume(usize),
    /// A packet arrives at a node.
    Packet { from: usize, to: usize, frame: Bytes },
    /// Something arrives at the gateway's end of a client's link.
    AtGateway { link: LinkKey, what: AtGateway },
    /// Something arrives at a client.
    AtClient { client: usize, what: AtClient },
    /// A request arrives at the directory.
    Request { client: usize, fetch: FetchId, url: String },
}

/// What arrives at the gateway's end of a link.
#[derive(Debug)]
pub(super) enum AtGateway {
    Opened,
    Frame(WsFrame),
    Pong([u8; 8]),
    Flushed(u64),
    Closed,
}

impl AtGateway {
    /// For the trace.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Frame(_) => "frame",
            Self::Pong(_) => "pong",
            Self::Flushed(_) => "flushed",
            Self::Closed => "closed",
        }
    }
}

/// What arrives at a client.
#[derive(Debug)]
pub(super) enum AtClient {
    Connected(LinkKey),
    NotConnected(ConnectionId),
    Frame { link: LinkKey, frame: WsFrame, push: LostPush },
    Ping { link: LinkKey, payload: [u8; 8] },
    Blocked(LinkKey),
    Writable(LinkKey),
    Closed(LinkKey),
    Fetched { fetch: FetchId, result: Result<Bytes, FetchError> },
}

/// A queue in which things of one instant happen in the order they were put in.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    number: u64,
    item: Box<Item>,
}

impl Queue {
    pub(super) fn push(&mut self, at: Instant, item: Item) {
        let number = self.next;
        self.next += 1;
        self.heap.push(Entry { at, number, item: Box::new(item) });
    }

    /// When the next thing happens.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes out, in order, what is not to happen.
    pub(super) fn take_if(&mut self, is_taken: impl Fn(&Item) -> bool) -> Vec<Item> {
        let all = core::mem::take(&mut self.heap).into_vec();
        let (mut taken, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|entry| is_taken(&entry.item));
        self.heap = left.into();
        taken.sort_unstable_by(|a, b| b.cmp(a));
        taken.into_iter().map(|entry| *entry.item).collect()
    }

    /// Everything that is going to happen, in no particular order.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.heap.iter().map(|entry| &*entry.item)
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        self.heap.pop().map(|entry| *entry.item)
    }
}

impl Ord for Entry {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_does_not_happen_and_comes_in_order() {
        let mut queue = Queue::default();
        for (at, client) in [(5, 1), (3, 2), (4, 3), (1, 1)] {
            let item = if at == 1 { Item::NodeTimer(9) } else { Item::Resume(client) };
            queue.push(Instant::from_nanos(at), item);
        }
        let taken = queue.take_if(|item| matches!(item, Item::Resume(1 | 3)));
        assert!(matches!(taken[..], [Item::Resume(3), Item::Resume(1)]), "{taken:?}");
        assert!(matches!(queue.pop(), Some(Item::NodeTimer(9))));
        assert!(matches!(queue.pop(), Some(Item::Resume(2))));
        assert!(queue.pop().is_none());
    }

    #[test]
    fn things_happen_in_order_of_time_then_of_arrival() {
        let mut queue = Queue::default();
        for (at, client) in [(5, 0), (3, 1), (3, 2), (9, 3)] {
            queue.push(Instant::from_nanos(at), Item::Resume(client));
        }
        let order = core::iter::from_fn(|| match queue.pop() {
            Some(Item::Resume(client)) => Some(client),
            _ => None,
        });
        assert_eq!(order.collect::<Vec<_>>(), [1, 2, 0, 3]);
    }
}
