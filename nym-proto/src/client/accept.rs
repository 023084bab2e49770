//! Messages of the application come in; requests for SURBs are made and answered.

use core::time::Duration;

use super::outgoing::{Class, Destination, Draft, Head};
use super::{Client, FailReason, Outcome, Outgoing, Refused, RefusedReason, Target};
use crate::address::Recipient;
use crate::message::{RepliableKind, SenderTag};
use bytes::Bytes;

/// SURBs in one answer to a request. protocol: client 9.4
const SURBS_PER_ANSWER: u32 = 100;
/// Transmissions of a request for SURBs. protocol: client 7.4
const REQUEST_ATTEMPTS_MAX: u32 = 10;
const REQUEST_EXPIRES_AFTER: Duration = Duration::from_secs(60);
const ANSWER_EXPIRES_AFTER: Duration = Duration::from_secs(3600);
/// More than a request for SURBs takes.
const REQUEST_ROOM: usize = 128;
/// More than head, SURB list header and padding of any message take.
const HEAD_ROOM: usize = 4096;
/// Bytes of one SURB in a message.
const SURB_ROOM: usize = 512;

impl Client {
    pub(super) fn accept(&mut self, message: Outgoing) -> Result<(), Refused> {
        let now = self.now;
        if let Err(reason) = self.check(&message) {
            self.was_refused |= reason == RefusedReason::Full;
            return Err(Refused { reason, message: Box::new(message) });
        }
        let (destination, head) = match message.target {
            Target::Plain(recipient) => (Destination::Known(recipient), Head::Plain),
            Target::Anonymous { recipient, surbs } => {
                let tag = self.replies.contacts.tag_for(now, &recipient);
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
        let overhead = HEAD_ROOM + usize::from(surbs) * SURB_ROOM;
        let max = limits.message_bytes_max.min(limits.outbox_bytes_max.saturating_sub(overhead));
        let bytes = message.data.len();
        if self.drain_until.is_some() {
            Err(RefusedReason::ShuttingDown)
        } else if surbs > limits.surbs_per_message_max {
            Err(RefusedReason::TooManySurbs { surbs, max: limits.surbs_per_message_max })
        } else if bytes > max {
            Err(RefusedReason::TooLarge { bytes, max })
        } else if self.outbox.has_user(message.id) {
            Err(RefusedReason::DuplicateId)
        } else if tag.is_some_and(|tag| !self.replies.peers.knows(&tag)) {
            Err(RefusedReason::UnknownTag)
        } else if tag.is_some() && message.data.is_empty() {
            Err(RefusedReason::EmptyReply)
        } else if !self.outbox.has_room(bytes + overhead) || self.is_backed_up() {
            Err(RefusedReason::Full)
        } else {
            Ok(())
        }
    }

    /// Asks a correspondent for more SURBs if those left do not cover what waits.
    pub(super) fn ask_for_surbs(&mut self, tag: SenderTag) {
        self.ask_for_surbs_for(tag, self.outbox.backlog_of(tag));
    }

    /// As [`ask_for_surbs`](Self::ask_for_surbs), the number of waiting fragments being known.
    pub(super) fn ask_for_surbs_for(&mut self, tag: SenderTag, backlog: usize) {
        let Some(own) = self.address() else { return };
        let is_awaited = backlog > 0;
        if !self.outbox.has_control_room(REQUEST_ROOM, is_awaited) {
            return;
        }
        let Some(amount) = self.replies.peers.poll_request(self.now, &tag, backlog) else {
            return;
        };
        self.outbox.push(
            self.now,
            Draft {
                user: None,
                class: Class::Control,
                destination: Destination::Surbs(tag),
                head: Head::SurbRequest { own, amount },
                body: Bytes::new(),
                attempts_max: Some(REQUEST_ATTEMPTS_MAX),
                expires_at: Some(self.now + REQUEST_EXPIRES_AFTER),
            },
        );
        self.stats.surb_requests_sent += 1;
    }

    /// Sends a correspondent the SURBs it asked for, as far as it may have them.
    pub(super) fn answer_surb_request(&mut self, asker: Recipient, amount: u32) {
        let largest = amount.min(self.config.replies.answer_max) as usize;
        if !self.outbox.has_control_room(largest.saturating_mul(SURB_ROOM), true) {
            self.stats.surb_requests_refused += 1;
            return;
        }
        let Some((tag, granted)) = self.replies.contacts.allow(self.now, &asker, amount) else {
            self.stats.surb_requests_refused += 1;
            return;
        };
        let mut left = granted;
        while left > 0 {
            let count = left.min(SURBS_PER_ANSWER);
            left -= count;
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.outbox.push(
                self.now,
                Draft {
                    user: None,
                    class: Class::Control,
                    destination: Destination::Known(asker),
                    head: Head::Surbs { tag, kind: RepliableKind::AdditionalSurbs, count },
                    body: Bytes::new(),
                    attempts_max: None,
                    expires_at: Some(self.now + ANSWER_EXPIRES_AFTER),
                },
            );
        }
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
