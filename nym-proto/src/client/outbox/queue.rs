//! Messages with something to send, grouped by what they need for it.

use std::collections::{BTreeMap, BTreeSet};

use super::turns::{Looks, Turns, after};
use crate::identity::IdentityKey;
use crate::message::SenderTag;

/// What decides whether a fragment can leave: either all with the same can, or none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::client) enum Via {
    /// A route to this gateway.
    Gateway(IdentityKey),
    /// A SURB of this correspondent, for asking it for more.
    Request(SenderTag),
    /// A SURB of this correspondent, for a reply.
    Reply(SenderTag),
}

/// Which message of those with the same [`Via`] comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// The oldest, until it has left the queue.
    Fifo,
    /// They take turns.
    InTurn,
}

#[derive(Debug, Default)]
struct Flow {
    keys: BTreeSet<u64>,
    last: Option<u64>,
}

/// Keys of messages. Those that cannot leave do not hold up those that can.
#[derive(Debug)]
pub(super) struct Queue {
    order: Order,
    flows: BTreeMap<Via, Flow>,
    turns: Turns<Via>,
}

impl Queue {
    pub(super) const fn new(order: Order) -> Self {
        Self { order, flows: BTreeMap::new(), turns: Turns::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    pub(super) fn insert(&mut self, via: Via, key: u64) {
        let flow = self.flows.entry(via).or_default();
        if flow.keys.is_empty() {
            self.turns.insert(via);
        }
        flow.keys.insert(key);
    }

    pub(super) fn remove(&mut self, via: &Via, key: u64) {
        let Some(flow) = self.flows.get_mut(via) else { return };
        flow.keys.remove(&key);
        if flow.keys.is_empty() {
            self.flows.remove(via);
            self.turns.remove(via);
        }
    }

    /// The message that sends next. It stays in the queue.
    pub(super) fn next(
        &mut self,
        looks: &mut Looks,
        is_ready: &dyn Fn(&Via) -> bool,
    ) -> Option<u64> {
        let (flows, order) = (&mut self.flows, self.order);
        self.turns.take(looks, &mut |via, looks| {
            let flow = flows.get_mut(&via).filter(|_| looks.take() && is_ready(&via))?;
            let key = match order {
                Order::Fifo => flow.keys.first().copied(),
                Order::InTurn => after(&flow.keys, flow.last),
            };
            flow.last = key;
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(tag: u8) -> Via {
        Via::Reply(SenderTag::from_bytes([tag; 16]))
    }

    fn next(queue: &mut Queue) -> Option<u64> {
        queue.next(&mut Looks::new(10), &|via_| *via_ != via(9))
    }

    #[test]
    fn what_cannot_leave_does_not_hold_up_what_came_later() {
        let mut queue = Queue::new(Order::Fifo);
        for key in 0..100 {
            queue.insert(via(9), key);
        }
        queue.insert(via(1), 100);
        queue.insert(via(1), 101);
        assert_eq!((next(&mut queue), next(&mut queue)), (Some(100), Some(100)));
        queue.remove(&via(1), 100);
        assert_eq!(next(&mut queue), Some(101));
        queue.remove(&via(1), 101);
        assert_eq!(next(&mut queue), None);
    }

    #[test]
    fn messages_take_turns_where_order_does_not_matter() {
        let mut queue = Queue::new(Order::InTurn);
        for key in 0..3 {
            queue.insert(via(1), key);
        }
        let order: Vec<_> = (0..4).filter_map(|_| next(&mut queue)).collect();
        assert_eq!(order, [0, 1, 2, 0]);
    }
}
