//! Messages of the application come in; requests for SURBs are made and answered.

use core::time::Duration;

use super::outgoing::{Class, Destination, Draft, Head, head_len};
use super::replies::{Ask, Gift};
use super::{Client, FailReason, Outcome, Outgoing, Refused, RefusedReason, Target};
use crate::address::Recipient;
use crate::message::{RepliableKind, SenderTag};
use bytes::Bytes;

/// Transmissions of a request for SURBs, each with a SURB of its own, before another is made.
const REQUEST_ATTEMPTS_MAX: u32 = 2;
const REQUEST_EXPIRES_AFTER: Duration = Duration::from_secs(60);
const GIFT_EXPIRES_AFTER: Duration = Duration::from_secs(3600);
/// Messages with SURBs sent in one call.
const GIFTS_MAX: usize = 16;
/// More than a message with SURBs takes.
const GIFT_ROOM: usize = 110 * SURB_ROOM;
/// More than a request for SURBs takes.
const REQUEST_ROOM: usize = 128;
/// Bytes of one SURB in a message.
const SURB_ROOM: usize = 512;

impl Client {
    pub(super) fn accept(&mut self, message: Outgoing) -> Result<(), Refused> {
        let now = self.now;
        if let Err(reason) = self.check(&message) {
            if reason == RefusedReason::Full {
                let bytes = head_len(&message.target) + message.data.len();
                self.outbox.refused(message.lane, bytes);
            }
            return Err(Refused { reason, message: Box::new(message) });
        }
        let (destination, head) = match message.target {
            Target::Plain(recipient) => (Destination::Known(recipient), Head::Plain),
            Target::Anonymous { recipient, surbs } => {
                let tag = self.replies.contacts.tag_for(now, &recipient);
                self.replies.contacts.wrote(now, &recipient, surbs);
                let head = Head::Surbs { tag, kind: RepliableKind::Data, count: surbs };
                (Destination::Known(recipient), head)
            }
            Target::Reply(tag) => (Destination::Surbs(tag), Head::Reply),
        };
        let expires_after = message.expires_after.or(self.config.acks.expires_after);
        self.outbox.push(
            now,
            Draft {
                user: Some(message.id),
                class: Class::Application(message.lane),
                destination,
                head,
                body: message.data,
                attempts_max: message.attempts_max.or(self.config.acks.attempts_max),
                expires_at: expires_after.map(|after| now + after),
            },
        );
        self.stats.messages_accepted += 1;
        if let Destination::Surbs(tag) = destination {
            self.ask_for_surbs(tag);
        }
        Ok(())
    }

    fn check(&self, message: &Outgoing) -> Result<(), RefusedReason> {
        let limits = &self.config.limits;
        let (surbs, tag) = match message.target {
            Target::Plain(_) => (0, None),
            Target::Anonymous { surbs, .. } => (surbs, None),
            Target::Reply(tag) => (0, Some(tag)),
        };
        let head = head_len(&message.target);
        let max =
            limits.message_bytes_max.min(self.outbox.message_bytes_max().saturating_sub(head));
        let bytes = message.data.len();
        if self.drain_until.is_some() {
            Err(RefusedReason::ShuttingDown)
        } else if surbs > limits.surbs_per_message_max {
            Err(RefusedReason::TooManySurbs { surbs, max: limits.surbs_per_message_max })
        } else if bytes > max {
            Err(RefusedReason::TooLarge { bytes, max })
        } else if self.outbox.user(message.id).is_some() {
            Err(RefusedReason::DuplicateId)
        } else if tag.is_some_and(|tag| !self.replies.peers.knows(&tag)) {
            Err(RefusedReason::UnknownTag)
        } else if tag.is_some() && message.data.is_empty() {
            Err(RefusedReason::EmptyReply)
        } else if !self.outbox.has_room(message.lane, head + bytes) || self.is_backed_up() {
            Err(RefusedReason::Full)
        } else {
            Ok(())
        }
    }

    /// Asks a correspondent for more SURBs if those left do not cover what waits and what will come.
    pub(super) fn ask_for_surbs(&mut self, tag: SenderTag) {
        let Some(own) = self.address().filter(|_| self.session.is_ready()) else {
            return;
        };
        let backlog = self.outbox.backlog_of(tag);
        if !self.outbox.has_control_room(REQUEST_ROOM, backlog > 0) {
            return;
        }
        let Some(Ask { amount, is_from_reserve }) =
            self.replies.peers.poll_request(self.now, &tag, backlog)
        else {
            return;
        };
        let attempts = if is_from_reserve { 1 } else { REQUEST_ATTEMPTS_MAX };
        let key = self.outbox.push(
            self.now,
            Draft {
                user: None,
                class: Class::Control,
                destination: Destination::Surbs(tag),
                head: Head::SurbRequest { own, amount },
                body: Bytes::new(),
                attempts_max: Some(attempts),
                expires_at: Some(self.now + REQUEST_EXPIRES_AFTER),
            },
        );
        self.replies.peers.requested(self.now, &tag, key, amount);
        self.stats.surb_requests_sent += 1;
    }

    /// Sends a correspondent the SURBs it asked for, as far as it may have them.
    pub(super) fn answer_surb_request(&mut self, asker: &Recipient, amount: u32) {
        if self.replies.contacts.owe(asker, amount) {
            self.send_gifts();
        } else {
            self.stats.surb_requests_refused += 1;
        }
    }

    /// Sends SURBs to those who are owed some or should get some.
    pub(super) fn send_gifts(&mut self) {
        for _ in 0..GIFTS_MAX {
            if !self.session.is_ready() || !self.outbox.has_control_room(GIFT_ROOM, true) {
                return;
            }
            let Some(gift) = self.replies.poll_gift(self.now) else {
                return;
            };
            self.send_gift(gift);
        }
    }

    pub(super) fn send_gift(&mut self, gift: Gift) {
        let Gift { recipient, tag, kind, count } = gift;
        if !self.outbox.has_control_room(GIFT_ROOM, true) {
            return;
        }
        if kind == RepliableKind::Heartbeat {
            self.stats.surbs_topped_up += u64::from(count);
        }
        self.outbox.push(
            self.now,
            Draft {
                user: None,
                class: Class::Control,
                destination: Destination::Known(recipient),
                head: Head::Surbs { tag, kind, count },
                body: Bytes::new(),
                attempts_max: None,
                expires_at: Some(self.now + GIFT_EXPIRES_AFTER),
            },
        );
    }

    /// Replies to a correspondent that has been silent for too long end as failed.
    pub(super) fn give_up_replies(&mut self, tag: SenderTag) {
        let patience = self.replies.peers.give_up_after();
        let old: Vec<u64> = self
            .outbox
            .replies_to(tag)
            .filter(|(_, message)| message.backlog() > 0 && message.age(self.now) >= patience)
            .map(|(key, _)| key)
            .collect();
        for key in old {
            self.end(key, Outcome::Failed(FailReason::NoSurbs));
        }
    }
}
