//! The slots of the schedule: what each carries is built before its time comes, so that the time from
//! the slot to the frame does not depend on the content. (protocol: client 17.4, rule 10)

use core::time::Duration;

use super::acks::Transmission;
use super::outgoing::{Class, Destination};
use super::schedule::Demand;
use super::{Client, Fact, WsFrame};
use crate::gateway::ForwardFrame;
use crate::message::CIPHER_PREFIX;
use crate::time::Instant;

/// How long before its slot a frame is built: longer than the dearest packet takes, with SURBs to be
/// made, on a slow machine.
const AHEAD: Duration = Duration::from_millis(5);

/// Fragments under way, if slots come on demand: with more of them the next ones wait, so that a slow
/// network is not sent more than it takes.
const ON_DEMAND_IN_FLIGHT_MAX: usize = 256;

/// A frame that only has to be sealed.
pub(super) struct ReadyFrame {
    pub(super) frame: ForwardFrame,
    pub(super) content: Content,
}

/// What a frame carries.
pub(super) enum Content {
    /// Cover, with what our gateway will push first when it comes back.
    Cover([u8; CIPHER_PREFIX]),
    /// A fragment of a message.
    Fragment(SentFragment),
}

/// A fragment under way to the socket.
pub(super) struct SentFragment {
    pub(super) transmission: Transmission,
    pub(super) is_retransmission: bool,
    pub(super) destination: Destination,
    pub(super) class: Class,
}

/// What there is for the next slot.
#[derive(Default)]
pub(super) enum NextSlot {
    /// Nothing yet.
    #[default]
    Open,
    /// There was nothing to build, or it could not be built.
    Empty,
    /// A frame.
    Filled(Box<ReadyFrame>),
}

impl Client {
    /// When the next slot is to be prepared.
    pub(super) fn prepare_at(&self) -> Option<Instant> {
        let slot = self.schedule.deadline()?;
        let is_open = matches!(self.next_slot, NextSlot::Open);
        let can_build = self.session.is_ready() && self.topology.is_some();
        (is_open && can_build).then(|| slot.before(AHEAD).max(self.now))
    }

    /// Prepares the next slot and serves the one that is due, when it is time. To be called on ticks
    /// only: no other event may make a frame leave.
    pub(super) fn serve_slots(&mut self) {
        if self.prepare_at().is_some_and(|at| at <= self.now)
            && let Some(kind) = self.schedule.next_kind()
        {
            let frame = self.build_frame(kind);
            self.is_slot_empty = frame.is_none();
            self.next_slot =
                frame.map_or(NextSlot::Empty, |frame| NextSlot::Filled(Box::new(frame)));
        }
        if let Some(tier) = self.schedule.poll_tier(self.now) {
            self.config.traffic = self.config.traffic.in_tier(tier);
            self.acks.set_slot(self.config.traffic.main_interval);
            self.report(Fact::Tier(tier));
        }
        if !self.schedule.poll(self.now) {
            return;
        }
        if !self.can_emit() {
            self.stats.slots_unused += 1;
            // what was built waits for the next one
            if matches!(self.next_slot, NextSlot::Empty) {
                self.next_slot = NextSlot::Open;
            }
            return;
        }
        match core::mem::take(&mut self.next_slot) {
            NextSlot::Filled(ready) => self.emit(*ready),
            NextSlot::Open | NextSlot::Empty => {
                self.stats.slots_unused += u64::from(self.config.traffic.cover);
            }
        }
    }

    /// Tells the schedule how much there is to send. Of use only to a client whose slots come on demand.
    pub(super) fn follow_demand(&mut self) {
        if !self.config.traffic.on_demand {
            return;
        }
        let is_filled = matches!(self.next_slot, NextSlot::Filled(_));
        self.is_slot_empty &= self.outbox.has_queued();
        let has_demand = is_filled || self.outbox.has_queued();
        let is_held = self.is_slot_empty || self.acks.len() >= ON_DEMAND_IN_FLIGHT_MAX;
        let demand = match has_demand {
            false => Demand::None,
            true if is_held || !self.can_emit() => Demand::Waiting,
            true => Demand::Flowing,
        };
        self.schedule.set_demand(self.now, demand);
    }

    /// Decided by the link and the shell. Actions other than frames do not count: how many there are
    /// depends on the application and on what was received.
    fn can_emit(&self) -> bool {
        self.session.is_ready()
            && !self.is_blocked
            && !self.session.is_choked()
            && self.writes_queued < self.config.limits.actions_max.max(1)
    }

    /// Hands a frame to the socket.
    fn emit(&mut self, ready: ReadyFrame) {
        let Some(link) = self.session.link() else {
            return self.give_back(ready.content);
        };
        let connection = link.connection;
        let frame = ready.frame.seal_with(self.builder.as_ref(), link.key, link.nonce);
        self.session.forwarded(self.now);
        self.note_sent(ready.content);
        self.write(connection, WsFrame::Binary(frame));
    }

    fn note_sent(&mut self, content: Content) {
        let fragment = match content {
            Content::Cover(prefix) => {
                self.stats.cover_packets += 1;
                if let Some(id) = prefix.first_chunk() {
                    self.health.sent(self.now, *id);
                }
                return;
            }
            Content::Fragment(fragment) => fragment,
        };
        let SentFragment { transmission, is_retransmission, destination, class } = fragment;
        self.stats.real_packets += 1;
        self.stats.retransmissions += u64::from(is_retransmission);
        self.await_ack(transmission, is_retransmission);
        if let Destination::Surbs(tag) = destination {
            self.stats.surbs_used += 1;
            match class {
                Class::Control => {
                    let message = transmission.key.message;
                    self.replies.peers.request_sent(self.now, &tag, message);
                }
                Class::Application(_) => self.ask_for_surbs(tag),
            }
        }
    }

    /// The message may have ended since the frame was built, or the fragment may have been
    /// acknowledged.
    fn await_ack(&mut self, transmission: Transmission, is_retransmission: bool) {
        let is_wanted = self.outbox.get(transmission.key.message).is_some()
            && (!is_retransmission || self.acks.is_pending(&transmission.id));
        if is_wanted {
            self.acks.sent(self.now, transmission);
        }
    }

    /// Gives up what was built for the next slot: a fragment counts as sent and lost, and comes up
    /// again.
    pub(super) fn drop_next_slot(&mut self) {
        if let NextSlot::Filled(ready) = core::mem::take(&mut self.next_slot) {
            self.give_back(ready.content);
        }
    }

    fn give_back(&mut self, content: Content) {
        if let Content::Fragment(SentFragment { transmission, is_retransmission, .. }) = content {
            let transmission = Transmission { egress: None, ..transmission };
            self.await_ack(transmission, is_retransmission);
        }
    }
}
