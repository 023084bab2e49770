//! How much the application may have in the outbox, and who waits for room.

use std::collections::VecDeque;

use crate::client::event::Lane;
use crate::limits::{LANES_WAITING_MAX, Limits};

/// The part of the capacity, one in so many, that is kept for lanes that hold almost nothing.
const RESERVE_SHARE: usize = 8;
/// The part of the reserve that one lane may hold and still use it.
const SMALL_LANE_SHARE: usize = 4;

/// Messages and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Held {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Held {
    const fn plus(self, messages: usize, bytes: usize) -> Self {
        Self {
            messages: self.messages.saturating_add(messages),
            bytes: self.bytes.saturating_add(bytes),
        }
    }

    const fn fits(self, max: Self) -> bool {
        self.messages <= max.messages && self.bytes <= max.bytes
    }
}

/// The capacity, of all lanes together and of each.
#[derive(Debug)]
pub(super) struct Room {
    all: Held,
    /// Without what is kept for small lanes.
    shared: Held,
    /// What a small lane may hold.
    small: Held,
    lane_bytes_max: usize,
}

impl Room {
    pub(super) fn new(limits: &Limits) -> Self {
        let all = Held { messages: limits.outbox_messages_max, bytes: limits.outbox_bytes_max };
        let (messages, bytes) = (all.messages / RESERVE_SHARE, all.bytes / RESERVE_SHARE);
        let shared = Held { messages: all.messages - messages, bytes: all.bytes - bytes };
        Self {
            all,
            shared,
            small: Held {
                messages: (messages / SMALL_LANE_SHARE).max(1),
                bytes: bytes / SMALL_LANE_SHARE,
            },
            lane_bytes_max: limits.lane_bytes_max.min(shared.bytes),
        }
    }

    /// The most bytes one message can have and fit in when nothing else is held.
    pub(super) const fn message_bytes_max(&self) -> usize {
        self.lane_bytes_max
    }

    /// True if a message of this size can be taken in beside what is held in all and in its lane.
    pub(super) fn fits(&self, all: Held, lane: Held, bytes: usize) -> bool {
        let (all, lane) = (all.plus(1, bytes), lane.plus(1, bytes));
        let max = if lane.fits(self.small) { self.all } else { self.shared };
        lane.bytes <= self.lane_bytes_max && all.fits(max)
    }

    /// True if a lane is at most half full.
    const fn is_low(&self, lane: Held) -> bool {
        lane.bytes <= self.lane_bytes_max / 2
    }
}

/// Lanes with a message that was refused for lack of room.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// With the size of the smallest message refused. Who waits longest is first.
    lanes: VecDeque<(Lane, usize)>,
    /// More lanes were refused than are remembered.
    are_there_more: bool,
    /// Something may have changed since it was last looked.
    is_due: bool,
    /// A message has ended since then.
    is_room_made: bool,
}

impl Waiting {
    /// A message was refused.
    pub(super) fn refused(&mut self, lane: Lane, bytes: usize) {
        self.is_due = true;
        if let Some((_, least)) = self.lanes.iter_mut().find(|(waiting, _)| *waiting == lane) {
            *least = bytes.min(*least);
        } else if self.lanes.len() < LANES_WAITING_MAX {
            self.lanes.push_back((lane, bytes));
        } else {
            self.are_there_more = true;
        }
    }

    /// A message has ended.
    pub(super) const fn room_made(&mut self) {
        self.is_due = true;
        self.is_room_made = true;
    }

    /// The lanes that have room again, which are forgotten; `None` stands for those that were not
    /// remembered.
    pub(super) fn poll(
        &mut self,
        room: &Room,
        all: Held,
        held: impl Fn(Lane) -> Held,
    ) -> Vec<Option<Lane>> {
        if !core::mem::take(&mut self.is_due) {
            return Vec::new();
        }
        // what is offered to one lane is not offered to another at the same time
        let mut all = all;
        let mut offered = Vec::new();
        self.lanes.retain(|(lane, bytes)| {
            let held = held(*lane);
            let has_room = room.is_low(held) && room.fits(all, held, *bytes);
            if has_room {
                all = all.plus(1, *bytes);
                offered.push(Some(*lane));
            }
            !has_room
        });
        let is_room_made = core::mem::take(&mut self.is_room_made);
        if self.are_there_more && (is_room_made || self.lanes.len() < LANES_WAITING_MAX) {
            self.are_there_more = false;
            offered.push(None);
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Lane = Lane::Connection(1);

    fn room() -> Room {
        let limits = Limits {
            outbox_bytes_max: 80_000,
            outbox_messages_max: 320,
            lane_bytes_max: 60_000,
            ..Limits::default()
        };
        Room::new(&limits)
    }

    fn held(messages: usize, bytes: usize) -> Held {
        Held { messages, bytes }
    }

    #[test]
    fn what_is_not_too_large_fits_when_nothing_is_held() {
        let nothing = Held::default();
        for limits in [
            Limits::default(),
            Limits { lane_bytes_max: usize::MAX, ..Limits::default() },
            Limits { outbox_bytes_max: 10, outbox_messages_max: 1, ..Limits::default() },
        ] {
            let room = Room::new(&limits);
            assert!(room.fits(nothing, nothing, room.message_bytes_max()));
            assert!(!room.fits(nothing, nothing, room.message_bytes_max() + 1));
        }
    }

    #[test]
    fn a_full_lane_takes_no_more_while_others_do() {
        let (room, full) = (room(), held(1, 60_000));
        assert!(!room.fits(full, full, 1));
        assert!(room.fits(full, Held::default(), 10_000));
    }

    #[test]
    fn the_last_of_the_room_is_for_lanes_that_hold_almost_nothing() {
        let room = room();
        let all = held(280, 70_000);
        assert!(!room.fits(all, held(10, 10_000), 1));
        assert!(!room.fits(all, Held::default(), 5000));
        assert!(room.fits(all, Held::default(), 2500));
        assert!(!room.fits(all, held(10, 0), 1));
        assert!(room.fits(held(319, 0), held(9, 0), 1));
        assert!(!room.fits(held(320, 0), Held::default(), 1));
    }

    fn poll(waiting: &mut Waiting, all: Held, lane: Held) -> Vec<Option<Lane>> {
        waiting.poll(&room(), all, |_| lane)
    }

    #[test]
    fn a_lane_is_told_once_when_it_is_half_empty_and_what_was_refused_fits() {
        let mut waiting = Waiting::default();
        waiting.refused(A, 40_000);
        assert_eq!(poll(&mut waiting, held(1, 40_000), held(1, 40_000)), []);
        waiting.room_made();
        assert_eq!(poll(&mut waiting, held(2, 60_000), held(1, 10_000)), []);
        waiting.room_made();
        assert_eq!(poll(&mut waiting, held(1, 20_000), held(1, 10_000)), [Some(A)]);
        waiting.room_made();
        assert_eq!(poll(&mut waiting, Held::default(), Held::default()), []);
    }

    #[test]
    fn room_for_one_is_offered_to_one_the_longest_waiting_first() {
        let mut waiting = Waiting::default();
        for lane in [3, 1, 2] {
            waiting.refused(Lane::Connection(lane), 30_000);
        }
        let one = |lane| vec![Some(Lane::Connection(lane))];
        assert_eq!(poll(&mut waiting, held(1, 30_000), Held::default()), one(3));
        waiting.room_made();
        assert_eq!(poll(&mut waiting, held(1, 30_000), Held::default()), one(1));
    }

    #[test]
    fn lanes_beyond_those_remembered_are_told_together() {
        let mut waiting = Waiting::default();
        for lane in 0..10 * LANES_WAITING_MAX as u64 {
            waiting.refused(Lane::Connection(lane), 10);
        }
        let full = held(320, 0);
        assert_eq!(poll(&mut waiting, full, Held::default()), []);
        waiting.room_made();
        assert_eq!(poll(&mut waiting, full, Held::default()), [None]);
        waiting.refused(Lane::Connection(1 << 20), 10);
        assert_eq!(poll(&mut waiting, full, Held::default()), []);
        waiting.room_made();
        let told = poll(&mut waiting, Held::default(), Held::default());
        assert_eq!((told.len(), told.last()), (LANES_WAITING_MAX + 1, Some(&None)));
    }
}
