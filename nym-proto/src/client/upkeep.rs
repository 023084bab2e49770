//! What time brings: overdue fragments, expired messages, stale SURBs; and how things end.

use super::acks::Overdue;
use super::outgoing::{Class, Destination};
use super::{
    Action, Client, Connectivity, Fact, FailReason, HOUSEKEEPING, Outcome, StopReason, WaitingFor,
};
use crate::time::Instant;

/// Overdue fragments, expired messages: handled at most this many in one call.
const BATCH_MAX: usize = 64;

impl Client {
    /// Fragments that are overdue queue for their next transmission, or end their message.
    pub(super) fn queue_overdue(&mut self) {
        for _ in 0..BATCH_MAX {
            let Some(Overdue { id, key, attempts }) = self.acks.poll_overdue(self.now) else {
                break;
            };
            match self.outbox.get(key.message) {
                None => self.acks.forget(id.set),
                Some(message) if message.attempts_max.is_some_and(|max| attempts >= max) => {
                    self.end(key.message, Outcome::Failed(FailReason::TooManyAttempts(attempts)));
                }
                Some(_) => self.outbox.retransmit(key),
            }
        }
    }

    /// Tells of recipients' gateways that have begun to lose everything, or stopped.
    pub(super) fn note_unreachable(&mut self) {
        let (now, before) = (self.acks.unreachable(), self.stats.gateways_unreachable);
        self.stats.gateways_given_up = self.acks.given_up();
        if now as u64 != before {
            self.stats.gateways_unreachable = now as u64;
            self.report(Fact::RecipientGatewaysUnreachable { gateways: now });
        }
    }

    pub(super) fn expire(&mut self) {
        for _ in 0..BATCH_MAX {
            let Some(key) = self.outbox.poll_expired(self.now) else {
                break;
            };
            let waiting_for = self.waiting_for(key);
            self.end(key, Outcome::Expired { waiting_for });
        }
        let sets = self.inbox.expire(self.now);
        if sets > 0 {
            self.stats.sets_dropped += sets as u64;
            self.report(Fact::ReassemblyDropped { sets });
        }
    }

    /// What a message needs next.
    fn waiting_for(&self, key: u64) -> WaitingFor {
        let Some(message) = self.outbox.get(key).filter(|message| message.backlog() > 0) else {
            return WaitingFor::Acks;
        };
        let Some(topology) = &self.topology else {
            return WaitingFor::Topology;
        };
        match message.destination {
            _ if !self.session.is_ready() => WaitingFor::Gateway,
            Destination::Known(to) if topology.node_by_identity(&to.gateway).is_none() => {
                WaitingFor::RecipientGateway
            }
            Destination::Known(to) if self.acks.is_unreachable(&to.gateway) => {
                WaitingFor::RecipientGatewayReply
            }
            Destination::Surbs(tag) if self.replies.peers.is_short_of_surbs(&tag) => {
                WaitingFor::Surbs
            }
            _ => WaitingFor::Slots,
        }
    }

    pub(super) fn needs_housekeeping(&self) -> bool {
        !self.outbox.is_empty()
            || self.schedule.deadline().is_some()
            || self.session.gateway().is_some()
    }

    pub(super) fn housekeeping(&mut self) {
        let now = self.now;
        self.next_housekeeping = now + HOUSEKEEPING;
        self.replies.expire(now);
        self.watch_gateway();
        let is_working =
            self.session.is_ready() && !self.is_blocked && !self.session.is_silent(now);
        if let Some(health) = self.health.tick(now, is_working) {
            self.report(Fact::LoopHealth(health));
        }
        self.replies.count(&mut self.stats);
        for tag in self.replies.peers.answered() {
            self.ask_for_surbs(tag);
        }
        self.send_gifts();
        for tag in self.outbox.waiting() {
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
        for set in message.set_ids() {
            self.acks.forget(*set);
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
        self.link_state = Connectivity::Closed;
        self.show_connectivity();
        self.act(Action::SetTimer(None));
        self.act(Action::Stopped(reason));
        self.is_stopped = true;
    }

    /// True if the shell does not drain its actions. Messages would only become more of them.
    pub(super) fn is_backed_up(&self) -> bool {
        let queued = self.actions.len().saturating_add(self.changes_queued);
        queued >= self.config.limits.actions_max.max(1)
    }

    pub(super) fn say_writable(&mut self) {
        if self.is_backed_up() {
            return;
        }
        for lane in self.outbox.poll_writable() {
            self.act(Action::Writable(lane));
        }
    }
}
