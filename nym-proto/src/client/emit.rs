//! What a slot of the schedule carries, and how it is built.

use core::time::Duration;

use super::acks::{FragmentKey, Transmission};
use super::outbox::{Picked, Via};
use super::outgoing::{Class, Destination};
use super::replies::Purpose;
use super::schedule::SlotKind;
use super::{Client, WsFrame};
use crate::address::Recipient;
use crate::gateway::ForwardFrame;
use crate::identity::IdentityKey;
use crate::message::{
    AckId, CIPHER_PREFIX, FragmentId, OnionError, OwnAck, Path, ReplyKey, ReplySurb, SenderTag,
    build_forward, build_reply, write_cover,
};
use crate::sphinx::{Hop, KeyRotation};
use crate::topology::{Delays, Route, Topology};

/// Delay of the SURB's route, which its user does not know, in mean delays per hop.
/// protocol: client 7.2
const SURB_DELAY_HOPS: u32 = 3;

/// Why a slot could not carry what was picked for it.
#[derive(Debug)]
enum EmitError {
    Route,
    Surb,
    Build,
    Message,
}

impl From<OnionError> for EmitError {
    fn from(_: OnionError) -> Self {
        Self::Build
    }
}

/// A route of ours with its delays.
struct Way {
    route: Route,
    delays: Delays,
}

impl Way {
    fn path(&self) -> Path<'_> {
        Path { hops: self.route.hops(), delays: self.delays.as_slice() }
    }
}

impl Client {
    /// Serves one slot. The first hop, and with it the size of the frame, is decided before the
    /// content is looked at. (protocol: client 17.4)
    pub(super) fn emit(&mut self, kind: SlotKind) {
        let Some(topology) = self.topology.clone() else {
            self.stats.slots_unused += 1;
            return;
        };
        let first = topology.draw_first_hop(self.schedule.stream());
        let Some(first) = first.filter(|_| self.can_emit()) else {
            self.stats.slots_unused += 1;
            return;
        };
        let picked = match kind {
            SlotKind::Main => self.pick(&topology, first),
            SlotKind::Loop => None,
        };
        let is_filled =
            picked.is_some_and(|picked| self.emit_fragment(&topology, first, picked).is_ok());
        if is_filled || !(self.config.traffic.cover || kind == SlotKind::Loop) {
            return;
        }
        if self.emit_cover(&topology, first).is_err() {
            self.stats.slots_unused += 1;
        }
    }

    /// Decided by the link and the shell. Actions other than frames do not count: how many there are
    /// depends on the application and on what was received.
    fn can_emit(&self) -> bool {
        self.session.is_ready()
            && !self.is_blocked
            && !self.session.is_choked()
            && self.writes_queued < self.config.limits.actions_max.max(1)
    }

    fn pick(&mut self, topology: &Topology, first: Hop) -> Option<Picked> {
        if !self.can_route(topology) {
            return None;
        }
        let (peers, acks, now) = (&self.replies.peers, &self.acks, self.now);
        // on a dead link SURBs would be used up for nothing
        let is_answering = self.session.is_answering(now);
        let address_len = first.address.encoded_len();
        let has_surb = |tag: &SenderTag, purpose| {
            is_answering && peers.can_take(now, tag, address_len, purpose)
        };
        let is_ready = |via: &Via| match via {
            Via::Gateway(gateway) => {
                topology.node_by_identity(gateway).is_some() && acks.allows(now, gateway)
            }
            Via::Request(tag) => has_surb(tag, Purpose::Request),
            Via::Reply(tag) => has_surb(tag, Purpose::Data),
        };
        self.outbox.pick(&is_ready)
    }

    /// Sends a fragment. If it cannot be built it counts as sent and lost, so that it comes up
    /// again.
    fn emit_fragment(
        &mut self,
        topology: &std::sync::Arc<Topology>,
        first: Hop,
        picked: Picked,
    ) -> Result<(), EmitError> {
        let key = picked.key;
        let message = self.outbox.get(key.message).ok_or(EmitError::Message)?;
        let id = message.fragment_id(key.index).ok_or(EmitError::Message)?;
        let (destination, class) = (message.destination, message.class);
        let sent = self.make_surbs(topology, key).and_then(|()| match destination {
            Destination::Known(recipient) => {
                self.emit_forward(topology, first, &recipient, Some((key, id))).map(|_| ())
            }
            Destination::Surbs(tag) => {
                self.emit_reply(topology, first, &tag, purpose(class), (key, id))
            }
        });
        if sent.is_err() {
            let lost = Transmission { id, key, egress: None, expected: Duration::ZERO };
            self.acks.sent(self.now, lost);
        }
        sent?;
        self.stats.real_packets += 1;
        self.stats.retransmissions += u64::from(picked.is_retransmission);
        if let Destination::Surbs(tag) = destination {
            self.stats.surbs_used += 1;
            match class {
                Class::Control => self.replies.peers.request_sent(self.now, &tag, key.message),
                Class::Application(_) => self.ask_for_surbs(tag),
            }
        }
        Ok(())
    }

    fn emit_cover(&mut self, topology: &Topology, first: Hop) -> Result<(), EmitError> {
        let own = self.address().ok_or(EmitError::Route)?;
        let prefix = self.emit_forward(topology, first, &own, None)?;
        if let Some(id) = prefix.first_chunk() {
            self.health.sent(self.now, *id);
        }
        self.stats.cover_packets += 1;
        Ok(())
    }

    /// Sends a packet along a route of ours: a fragment, whose ack is waited for from before it can
    /// leave, or cover. Returns what the recipient's gateway will push first.
    fn emit_forward(
        &mut self,
        topology: &Topology,
        first: Hop,
        to: &Recipient,
        fragment: Option<(FragmentKey, FragmentId)>,
    ) -> Result<[u8; CIPHER_PREFIX], EmitError> {
        let route = topology
            .route_via(first, &to.gateway, &mut self.streams.routes)
            .map_err(|_| EmitError::Route)?;
        let way = self.with_delays(route, self.config.traffic.hop_delay);
        let (own, ack_way) = self.ack_way(topology)?;
        let ack = OwnAck {
            key: &self.identity.ack,
            destination: &own,
            path: ack_way.path(),
            id: fragment.map_or(AckId::Cover, |(_, id)| AckId::Fragment(id)),
        };
        let message = match fragment {
            Some((key, _)) => {
                Some((self.outbox.get(key.message).ok_or(EmitError::Message)?, key.index))
            }
            None => None,
        };
        let size = self.config.traffic.packet_size;
        let link = self.session.link().ok_or(EmitError::Route)?;
        let mut frame = ForwardFrame::new(link.version, topology.rotation(), first.address, size);
        let prefix = build_forward(
            self.builder.as_mut(),
            size,
            (&to.identity, &to.encryption),
            way.path(),
            &ack,
            &mut |out| match message {
                Some((message, index)) => {
                    message.write_fragment(index, out);
                }
                None => write_cover(out),
            },
            frame.packet_mut(),
            &mut self.streams.packets,
        )?;
        let expected = way.path().expected() + ack_way.path().expected();
        let (connection, frame) =
            (link.connection, frame.seal_with(self.builder.as_ref(), link.key, link.nonce));
        if let Some((key, id)) = fragment {
            let egress = Some(to.gateway);
            self.acks.sent(self.now, Transmission { id, key, egress, expected });
        }
        self.session.forwarded(self.now);
        self.write(connection, WsFrame::Binary(frame));
        Ok(prefix)
    }

    /// Sends a fragment with a SURB of a correspondent. Its ack is waited for from before it can
    /// leave.
    fn emit_reply(
        &mut self,
        topology: &Topology,
        first: Hop,
        tag: &SenderTag,
        purpose: Purpose,
        (key, id): (FragmentKey, FragmentId),
    ) -> Result<(), EmitError> {
        let (own, ack_way) = self.ack_way(topology)?;
        let ack = OwnAck {
            key: &self.identity.ack,
            destination: &own,
            path: ack_way.path(),
            id: AckId::Fragment(id),
        };
        let message = self.outbox.get(key.message).ok_or(EmitError::Message)?;
        let (surb, rotation): (ReplySurb, KeyRotation) = self
            .replies
            .peers
            .take(self.now, tag, first.address.encoded_len(), purpose)
            .ok_or(EmitError::Surb)?;
        let size = self.config.traffic.packet_size;
        let link = self.session.link().ok_or(EmitError::Route)?;
        // the ack inside leaves the recipient's gateway under the same word
        let rotation = rotation.or_unknown(topology.rotation());
        let mut frame = ForwardFrame::new(link.version, rotation, surb.surb.first_hop(), size);
        build_reply(
            self.builder.as_mut(),
            size,
            surb,
            &ack,
            &mut |out| {
                message.write_fragment(key.index, out);
            },
            frame.packet_mut(),
            &mut self.streams.packets,
        )?;
        let forward = self.config.traffic.hop_delay.saturating_mul(SURB_DELAY_HOPS);
        let expected = forward.saturating_add(ack_way.path().expected());
        let (connection, frame) =
            (link.connection, frame.seal_with(self.builder.as_ref(), link.key, link.nonce));
        self.acks.sent(self.now, Transmission { id, key, egress: None, expected });
        self.session.forwarded(self.now);
        self.write(connection, WsFrame::Binary(frame));
        Ok(())
    }

    /// Makes the SURBs a fragment contains. Their keys are stored before the packet can leave.
    fn make_surbs(
        &mut self,
        current: &std::sync::Arc<Topology>,
        key: FragmentKey,
    ) -> Result<(), EmitError> {
        let own = self.address().ok_or(EmitError::Route)?;
        let message = self.outbox.get_mut(key.message).ok_or(EmitError::Message)?;
        let Some(recipient) = message.surbs_for() else {
            return Ok(());
        };
        let Some((missing, topology)) = message.surbs_missing(key.index, current) else {
            return Ok(());
        };
        for _ in 0..missing {
            let route = topology
                .route(&own.gateway, &mut self.streams.routes)
                .map_err(|_| EmitError::Route)?;
            let way = self.with_delays(route, self.config.traffic.hop_delay);
            let path = way.path();
            let surb = self
                .builder
                .make_surb(path.hops, path.delays, &own.identity, &mut self.streams.packets)
                .map_err(|_| EmitError::Build)?;
            let surb = ReplySurb { key: ReplyKey::draw(&mut self.streams.packets), surb };
            self.replies.give(self.now, recipient, &surb.key, topology.rotation_id());
            self.stats.surbs_made += 1;
            if let Some(message) = self.outbox.get_mut(key.message) {
                message.push_surb(&surb);
            }
        }
        Ok(())
    }

    /// The way an ack comes back: three mix nodes and our gateway.
    fn ack_way(&mut self, topology: &Topology) -> Result<(IdentityKey, Way), EmitError> {
        let own = self.address().ok_or(EmitError::Route)?;
        let route =
            topology.route(&own.gateway, &mut self.streams.routes).map_err(|_| EmitError::Route)?;
        Ok((own.identity, self.with_delays(route, self.config.traffic.ack_delay)))
    }

    fn with_delays(&mut self, route: Route, mean: Duration) -> Way {
        let delays = route.draw_delays(mean, &mut self.streams.delays);
        Way { route, delays }
    }
}

fn purpose(class: Class) -> Purpose {
    match class {
        Class::Control => Purpose::Request,
        Class::Application(_) => Purpose::Data,
    }
}
