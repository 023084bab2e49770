//! What time brings: overdue fragments, expired messages, stale SURBs; and how things end.

use super::outgoing::{Class, Destination};
use super::{Action, Client, Connectivity, Fact, FailReason, HOUSEKEEPING, Outcome, StopReason};
use crate::time::Instant;

/// Overdue fragments, expired messages: handled at most this many in one call.
const BATCH_MAX: usize = 64;

impl Client {
    /// Fragments that are overdue queue for their next transmission, or end their message.
    pub(super) fn queue_overdue(&mut self) {
        if !self.session.is_ready() {
            return;
        }
        for _ in 0..BATCH_MAX {
            let Some((id, key, attempts)) = self.acks.poll_overdue(self.now) else {
                break;
            };
            match self.outbox.get(key.message) {
                None => self.acks.forget(id),
                Some(message) if message.attempts_max.is_some_and(|max| attempts >= max) => {
                    self.end(key.message, Outcome::Failed(FailReason::TooManyAttempts(attempts)));
                }
                Some(_) => self.outbox.retransmit(id, key),
            }
        }
    }

    pub(super) fn expire(&mut self) {
        for _ in 0..BATCH_MAX {
            let Some(key) = self.outbox.poll_expired(self.now) else {
                break;
            };
            self.end(key, Outcome::Expired);
        }
        let sets = self.inbox.expire(self.now);
        if sets > 0 {
            self.stats.sets_dropped += sets as u64;
            self.report(Fact::ReassemblyDropped { sets });
        }
    }

    pub(super) fn needs_housekeeping(&self) -> bool {
        !self.outbox.is_empty() || self.schedule.deadline().is_some()
    }

    pub(super) fn housekeeping(&mut self) {
        let now = self.now;
        self.next_housekeeping = now + HOUSEKEEPING;
        self.replies.expire(now);
        self.replies.count(&mut self.stats);
        for tag in self.replies.peers.answered() {
            self.ask_for_surbs(tag);
        }
        self.send_gifts();
        for (tag, _) in self.outbox.waiting() {
            if self.replies.peers.is_silent(now, &tag) {
                self.give_up_replies(tag);
            }
        }
    }

    /// Ends a message, whichever way.
    pub(super) fn end(&mut self, key: u64, outcome: Outcome) {
        let Some(message) = self.outbox.remove(key) else {
            return;
        };
        for id in message.transmitted_ids() {
            self.acks.forget(id);
        }
        if let (Destination::Surbs(tag), Class::Control) = (message.destination, message.class)
            && !matches!(outcome, Outcome::Acknowledged { .. })
        {
            self.replies.peers.request_failed(self.now, &tag, key);
        }
        let Some(id) = message.user else { return };
        match outcome {
            Outcome::Acknowledged { .. } => self.stats.messages_acknowledged += 1,
            _ => self.stats.messages_failed += 1,
        }
        self.act(Action::Outcome { id, outcome });
    }

    /// Accepts nothing more. The earliest end asked for holds.
    pub(super) fn drain(&mut self, until: Instant, ends_early: bool) {
        self.drain_until = Some(self.drain_until.map_or(until, |earlier| earlier.min(until)));
        self.ends_early |= ends_early;
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        if self.is_stopped {
            return;
        }
        for key in self.outbox.keys() {
            self.end(key, Outcome::Failed(FailReason::Shutdown));
        }
        self.schedule.stop();
        self.directory.stop();
        self.session.stop();
        self.pass_on();
        while let Some(delivery) = self.inbox.poll_delivery() {
            self.stats.messages_delivered += 1;
            self.act(Action::Deliver(delivery));
        }
        while let Some(bytes) = self.inbox.drop_delivery() {
            self.stats.deliveries_dropped += 1;
            self.report(Fact::DeliveryDropped { bytes });
        }
        self.set_connectivity(Connectivity::Closed);
        self.act(Action::SetTimer(None));
        self.act(Action::Stopped(reason));
        self.is_stopped = true;
    }

    /// True if the shell does not drain its actions. Messages would only become more of them.
    pub(super) fn is_backed_up(&self) -> bool {
        self.actions.len() >= self.config.limits.actions_max.max(1)
    }

    pub(super) fn say_writable(&mut self) {
        if self.was_refused && self.outbox.is_half_empty() && !self.is_backed_up() {
            self.was_refused = false;
            self.act(Action::Writable);
        }
    }
}
