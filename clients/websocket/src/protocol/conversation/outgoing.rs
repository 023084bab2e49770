//! What was given to the program and not yet taken by its socket.

use std::collections::VecDeque;

use nym_proto::time::Instant;

/// While so many answers wait, no request is read.
const ANSWERS_WAITING_MAX: usize = 16;
/// While so many messages that have arrived wait, or so many bytes of them, no further one is written.
const DELIVERIES_WAITING_MAX: usize = 16;
const DELIVERY_BYTES_WAITING_MAX: usize = 1 << 20;

/// The frames that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    frames: VecDeque<Waiting>,
    deliveries: usize,
    delivery_bytes: usize,
    /// When the socket last took something, or the first of these frames began to wait.
    progress: Instant,
}

#[derive(Debug)]
struct Waiting {
    delivery: Option<u64>,
    bytes: usize,
}

impl Outgoing {
    /// A frame goes out: a message that has arrived, with its number, or something else.
    pub(super) fn push(&mut self, now: Instant, delivery: Option<u64>, bytes: usize) {
        if self.frames.is_empty() {
            self.progress = now;
        }
        if delivery.is_some() {
            self.deliveries += 1;
            self.delivery_bytes = self.delivery_bytes.saturating_add(bytes);
        }
        self.frames.push_back(Waiting { delivery, bytes });
    }

    /// The socket has taken the oldest. The number if it is a message that has arrived.
    pub(super) fn handle_written(&mut self, now: Instant) -> Option<u64> {
        let Waiting { delivery, bytes } = self.frames.pop_front()?;
        self.progress = now;
        if delivery.is_some() {
            self.deliveries -= 1;
            self.delivery_bytes = self.delivery_bytes.saturating_sub(bytes);
        }
        delivery
    }

    pub(super) fn has_room_for_answers(&self) -> bool {
        self.frames.len() - self.deliveries < ANSWERS_WAITING_MAX
    }

    pub(super) const fn has_room_for_deliveries(&self) -> bool {
        self.deliveries < DELIVERIES_WAITING_MAX && self.delivery_bytes < DELIVERY_BYTES_WAITING_MAX
    }

    /// Since when nothing has been taken, if something waits.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        (!self.frames.is_empty()).then_some(self.progress)
    }
}
