//! What a slot of the schedule carries, and how it is built.

use core::time::Duration;

use super::Client;
use super::acks::{FragmentKey, Transmission};
use super::outbox::{Picked, Via};
use super::outgoing::{Class, Destination};
use super::replies::{Order, Purpose};
use super::schedule::SlotKind;
use super::slot::{Content, ReadyFrame, SentFragment};
use crate::address::Recipient;
use crate::gateway::ForwardFrame;
use crate::identity::IdentityKey;
use crate::message::{
    AckId, CIPHER_PREFIX, Forward, FragmentId, OnionError, OwnAck, Path, ReplyKey, ReplySurb,
    SenderTag, build_forward, build_reply, write_cover,
};
use crate::sphinx::{Hop, KeyRotation, SurbWay};
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
    /// Builds what the next slot carries. The first hop, and with it the size of the frame, is decided
    /// before the content is looked at. `None` if the slot is to stay empty, or nothing can be built.
    /// (protocol: client 17.4)
    pub(super) fn build_frame(&mut self, kind: SlotKind) -> Option<ReadyFrame> {
        let topology = self.topology.clone()?;
        let first = topology.draw_first_hop(self.schedule.stream())?;
        let picked = match kind {
            SlotKind::Main => self.pick(&topology, first),
            SlotKind::Loop => None,
        };
        let fragment = picked.and_then(|picked| self.build_fragment(&topology, first, picked));
        if fragment.is_some() || !(self.config.traffic.cover || kind == SlotKind::Loop) {
            return fragment;
        }
        self.build_cover(&topology, first).ok()
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

    /// Builds the packet of a fragment. If that fails it counts as sent and lost, so that it comes up
    /// again.
    fn build_fragment(
        &mut self,
        topology: &std::sync::Arc<Topology>,
        first: Hop,
        picked: Picked,
    ) -> Option<ReadyFrame> {
        let key = picked.key;
        let message = self.outbox.get(key.message)?;
        let id = message.fragment_id(key.index)?;
        let (destination, class) = (message.destination, message.class);
        let built = self.make_surbs(topology, key).and_then(|()| match destination {
            Destination::Known(recipient) => {
                let built = self.build_along(topology, first, &recipient, Some((key, id)));
                built.map(|(frame, expected, _)| (frame, expected))
            }
            Destination::Surbs(tag) => {
                let order = match picked.is_retransmission {
                    true => Order::NewestFirst,
                    false => Order::OldestFirst,
                };
                self.build_answer(topology, first, &tag, (purpose(class), order), (key, id))
            }
        });
        let egress = match destination {
            Destination::Known(recipient) if built.is_ok() => Some(recipient.gateway),
            _ => None,
        };
        match built {
            Ok((frame, expected)) => {
                let transmission = Transmission { id, key, egress, expected };
                let is_retransmission = picked.is_retransmission;
                let content = SentFragment { transmission, is_retransmission, destination, class };
                Some(ReadyFrame { frame, content: Content::Fragment(content) })
            }
            Err(_) => {
                let expected = Duration::ZERO;
                self.acks.sent(self.now, Transmission { id, key, egress, expected });
                None
            }
        }
    }

    fn build_cover(&mut self, topology: &Topology, first: Hop) -> Result<ReadyFrame, EmitError> {
        let own = self.address().ok_or(EmitError::Route)?;
        let (frame, _, prefix) = self.build_along(topology, first, &own, None)?;
        Ok(ReadyFrame { frame, content: Content::Cover(prefix) })
    }

    /// Builds a packet along a route of ours: a fragment, or cover. Returns it with the expected round
    /// trip, and what the recipient's gateway will push first.
    fn build_along(
        &mut self,
        topology: &Topology,
        first: Hop,
        to: &Recipient,
        fragment: Option<(FragmentKey, FragmentId)>,
    ) -> Result<(ForwardFrame, Duration, [u8; CIPHER_PREFIX]), EmitError> {
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
        let version = self.session.version().ok_or(EmitError::Route)?;
        let mut frame = ForwardFrame::new(version, topology.rotation(), first.address, size);
        let forward = Forward {
            size,
            recipient: (&to.identity, &to.encryption),
            path: way.path(),
            ack,
            fill: &mut |out| match message {
                Some((message, index)) => {
                    message.write_fragment(index, out);
                }
                None => write_cover(out),
            },
            packet: frame.packet_mut(),
        };
        let prefix = build_forward(self.builder.as_mut(), forward, &mut self.streams.packets)?;
        Ok((frame, way.path().expected() + ack_way.path().expected(), prefix))
    }

    /// Builds a fragment with a SURB of a correspondent. Returns it with the expected round trip.
    fn build_answer(
        &mut self,
        topology: &Topology,
        first: Hop,
        tag: &SenderTag,
        use_as: (Purpose, Order),
        (key, id): (FragmentKey, FragmentId),
    ) -> Result<(ForwardFrame, Duration), EmitError> {
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
            .take(self.now, tag, first.address.encoded_len(), use_as)
            .ok_or(EmitError::Surb)?;
        let size = self.config.traffic.packet_size;
        let version = self.session.version().ok_or(EmitError::Route)?;
        // the ack inside leaves the recipient's gateway under the same word
        let rotation = rotation.or_unknown(topology.rotation());
        let mut frame = ForwardFrame::new(version, rotation, surb.surb.first_hop(), size);
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
        Ok((frame, forward.saturating_add(ack_way.path().expected())))
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
        let mut ways = Vec::with_capacity(missing);
        for _ in 0..missing {
            let route = topology
                .route(&own.gateway, &mut self.streams.routes)
                .map_err(|_| EmitError::Route)?;
            ways.push(self.with_delays(route, self.config.traffic.hop_delay));
        }
        let ways = ways.iter().map(|way| {
            let Path { hops: route, delays } = way.path();
            SurbWay { route, delays, destination: &own.identity }
        });
        let surbs = self
            .builder
            .make_surbs(&ways.collect::<Vec<_>>(), &mut self.streams.packets)
            .map_err(|_| EmitError::Build)?;
        for surb in surbs {
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
