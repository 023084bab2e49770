//! Somebody who sends packets to clients and means harm.
//!
//! It has an address, so that clients may write to it, and knows no more than its correspondents
//! tell it. Packets are put together by hand; they enter the network at their first mix node.

use bytes::Bytes;
use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::client::PacketSuite;
use nym_proto::entropy::Stream;
use nym_proto::identity::Identity;
use nym_proto::message::{
    ACK_LEN, AckId, Envelope, Forward, FragmentHeader, FragmentId, FragmentPlan, Inserted, Origin,
    OwnAck, Path, REPLY_DATA_HEAD, Reassembler, ReassemblyLimits, RepliableContent, RepliableKind,
    ReplyKey, ReplySurb, SenderTag, SetId, build_forward, build_reply, fragment_room,
    repliable_head, surb_request, write_padded,
};
use nym_proto::sphinx::{KeyRotation, PacketSize};
use nym_proto::time::Instant;
use nym_proto::topology::{Route, Topology};

use crate::relay;

/// What messages of hostile senders begin with: the number of no honest message.
pub const HOSTILE: [u8; 8] = [0xff; 8];
const SIZE: PacketSize = PacketSize::Regular;
const HOP_DELAY: core::time::Duration = core::time::Duration::from_millis(1);
/// SURBs it keeps.
const SURBS_MAX: usize = 500;
const FULL: u8 = u8::MAX;

/// Something a hostile sender does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Attack {
    /// Two messages whose sets have one id, their fragments taking turns.
    CollidingSets,
    /// A message of which every fragment is sent twice.
    DuplicateFragments,
    /// Fragments of one set that disagree about how many there are.
    DifferentTotals,
    /// Many sets of which most is missing.
    EndlessFragments,
    /// Two complete sets, each linked to the other as the next and the previous one.
    Circle,
    /// A message with SURBs that lead nowhere, or are of another rotation than it says.
    BogusSurbs,
    /// A message that states the wrong number or size of its SURBs.
    WrongCounts,
    /// A request for as many SURBs as can be written down.
    HugeSurbRequest,
    /// A request for SURBs in the name of somebody else.
    ForeignSurbRequest,
    /// A reply that came through no SURB.
    ReplyWithoutSurb,
    /// A reply, as anybody may send it.
    Reply,
    /// A message through a SURB that is no reply.
    NoReply,
    /// Bytes that are no fragment, no message, or nothing.
    Malformed,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::CollidingSets,
        Self::DuplicateFragments,
        Self::DifferentTotals,
        Self::EndlessFragments,
        Self::Circle,
        Self::BogusSurbs,
        Self::WrongCounts,
        Self::HugeSurbRequest,
        Self::ForeignSurbRequest,
        Self::ReplyWithoutSurb,
        Self::Reply,
        Self::NoReply,
        Self::Malformed,
    ];
}

/// A frame, and the node it goes to.
pub(super) type Posted = (NodeAddress, Bytes);

/// Somebody who means harm.
pub(super) struct HostileSender {
    identity: Identity,
    pub(super) address: Recipient,
    builder: Box<dyn PacketSuite>,
    stream: Stream,
    tag: SenderTag,
    reassembler: Reassembler,
    surbs: Vec<(ReplySurb, KeyRotation)>,
    /// Messages sent that may be delivered.
    pub(super) composed: u64,
    /// Attacks carried out.
    pub(super) done: Vec<Attack>,
}

impl core::fmt::Debug for HostileSender {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HostileSender").field("composed", &self.composed).finish_non_exhaustive()
    }
}

impl HostileSender {
    pub(super) fn new(
        gateway: nym_proto::identity::IdentityKey,
        builder: Box<dyn PacketSuite>,
        mut stream: Stream,
    ) -> Self {
        let identity = Identity::generate(&mut stream);
        let address = Recipient {
            identity: *identity.identity.public(),
            encryption: identity.encryption.public(),
            gateway,
        };
        Self {
            identity,
            address,
            builder,
            tag: SenderTag::draw(&mut stream),
            stream,
            reassembler: Reassembler::new(ReassemblyLimits::default()),
            surbs: Vec::new(),
            composed: 0,
            done: Vec::new(),
        }
    }

    /// Reads what clients wrote to it, and keeps their SURBs.
    pub(super) fn read(&mut self, now: Instant, mut message: Vec<u8>) {
        if message.len() == ACK_LEN {
            return;
        }
        let Some(fragment) = self.builder.open_fragment(&self.identity.encryption, &mut message)
        else {
            return;
        };
        let Ok((header, payload)) = FragmentHeader::decode(fragment) else {
            return;
        };
        let inserted = self.reassembler.insert(now, Origin::Open, &header, payload);
        if let Inserted::Complete { message, .. } = inserted
            && let Ok(Envelope::Repliable { content, .. }) = Envelope::decode(message.into())
        {
            let (RepliableContent::Data { surbs: list, .. }
            | RepliableContent::AdditionalSurbs(list)
            | RepliableContent::Heartbeat(list)) = content;
            let room = SURBS_MAX.saturating_sub(self.surbs.len());
            let rotation = list.rotation;
            self.surbs.extend(list.surbs.into_iter().take(room).map(|surb| (surb, rotation)));
        }
    }

    /// Carries out an attack. Those that need a SURB do nothing without one.
    pub(super) fn attack(
        &mut self,
        attack: Attack,
        topology: &Topology,
        victim: &Recipient,
    ) -> Vec<Posted> {
        let fragments = match attack {
            Attack::CollidingSets => {
                let set = SetId::draw(&mut self.stream);
                let [one, other] = [5000, 5000].map(|len| self.plain(len, Some(set)));
                one.into_iter().zip(other).flat_map(|(one, other)| [one, other]).collect()
            }
            Attack::DuplicateFragments => {
                self.plain(5000, None).into_iter().flat_map(|part| [part.clone(), part]).collect()
            }
            Attack::DifferentTotals => {
                let set = SetId::draw(&mut self.stream);
                [(3, 1), (7, 2), (3, 3), (3, 2), (1, 1)]
                    .map(|(total, position)| self.part(header(set, total, position)))
                    .to_vec()
            }
            Attack::EndlessFragments => {
                let sets = (0..50).map(|_| {
                    let position = 1 + self.stream.below(200) as u8;
                    let set = SetId::draw(&mut self.stream);
                    self.part(header(set, FULL, position))
                });
                sets.collect()
            }
            Attack::Circle => self.circle(),
            Attack::BogusSurbs => self.bogus_surbs(topology),
            Attack::WrongCounts => self.wrong_counts(),
            Attack::ReplyWithoutSurb => self.message(&[&REPLY_DATA_HEAD, &HOSTILE], None),
            Attack::Malformed => self.malformed(),
            Attack::HugeSurbRequest => {
                let request = surb_request(&self.address, u32::MAX);
                return self.through_surb(attack, topology, &[&request]);
            }
            Attack::ForeignSurbRequest => {
                let request = surb_request(victim, 100);
                return self.through_surb(attack, topology, &[&request]);
            }
            Attack::Reply => {
                self.composed += 1;
                return self.through_surb(attack, topology, &[&REPLY_DATA_HEAD, &HOSTILE]);
            }
            Attack::NoReply => return self.through_surb(attack, topology, &[&[0], &HOSTILE]),
        };
        self.done.push(attack);
        fragments.iter().filter_map(|part| self.forward(topology, victim, part)).collect()
    }

    // ---- fragments -------------------------------------------------------------------------

    /// The fragments of a message; all of its sets may be given one id.
    fn message(&mut self, parts: &[&[u8]], set: Option<SetId>) -> Vec<Vec<u8>> {
        let plan = FragmentPlan::new(parts.iter().map(|part| part.len()).sum(), SIZE);
        let sets = SetId::draw_distinct(plan.sets(), &mut self.stream);
        let sets = set.map_or(sets, |set| vec![set]);
        let place = |index| {
            let (header, range) = plan.place(index, &sets)?;
            let mut out = vec![0; fragment_room(SIZE)];
            let len = header.encode(&mut out);
            write_padded(parts, range.start, &mut out[len..]);
            Some(out)
        };
        (0..plan.fragments()).filter_map(place).collect()
    }

    /// A message that says nothing about its sender.
    fn plain(&mut self, len: usize, set: Option<SetId>) -> Vec<Vec<u8>> {
        self.composed += 1;
        let mut rest = vec![0; len];
        self.stream.fill(&mut rest);
        self.message(&[&[0], &HOSTILE, &rest], set)
    }

    /// A fragment of noise.
    fn part(&mut self, header: FragmentHeader) -> Vec<u8> {
        let mut out = vec![0; fragment_room(SIZE)];
        self.stream.fill(&mut out);
        let len = header.encode(&mut out);
        // no message has this type, should it be taken for the first fragment of one
        out[len] = 0xee;
        out
    }

    fn circle(&mut self) -> Vec<Vec<u8>> {
        let [one, other] = [(); 2].map(|()| SetId::draw(&mut self.stream));
        let mut parts = Vec::new();
        for (set, linked) in [(one, other), (other, one)] {
            for position in 1..=FULL {
                let mut header = header(set, FULL, position);
                header.previous = (position == 1).then_some(linked);
                header.next = (position == FULL).then_some(linked);
                parts.push(self.part(header));
            }
        }
        parts
    }

    fn bogus_surbs(&mut self, topology: &Topology) -> Vec<Vec<u8>> {
        let count: u8 = 5;
        let mut encoded = Vec::new();
        let mut seeds = 0;
        for _ in 0..count {
            let Some((route, delays)) = self.route(topology) else {
                return Vec::new();
            };
            seeds = route.hops().len() as u8;
            let identity = self.address.identity;
            let Ok(surb) = self.builder.make_surb(
                route.hops(),
                delays.as_slice(),
                &identity,
                &mut self.stream,
            ) else {
                return Vec::new();
            };
            ReplySurb { key: ReplyKey::draw(&mut self.stream), surb }.encode(&mut encoded);
        }
        // the first bytes after the key are the header: whoever uses it sends a broken packet
        if self.stream.chance(0.5) {
            let each = encoded.len() / usize::from(count);
            for surb in encoded.chunks_mut(each) {
                let at = ReplyKey::SIZE + self.stream.index(300);
                surb[at] ^= 0x55;
            }
        }
        let rotation = match self.stream.below(3) {
            0 => KeyRotation::Unknown,
            1 => other(topology.rotation()),
            _ => topology.rotation(),
        };
        self.composed += 1;
        let head = repliable_head(&self.tag, RepliableKind::Data, count.into(), seeds, rotation);
        self.message(&[&head, &encoded, &HOSTILE], None)
    }

    fn wrong_counts(&mut self) -> Vec<Vec<u8>> {
        let mut noise = vec![0; self.stream.index(3000)];
        self.stream.fill(&mut noise);
        let kinds = [RepliableKind::Data, RepliableKind::AdditionalSurbs, RepliableKind::Heartbeat];
        let kind = kinds[self.stream.index(3)];
        let count = [1, 2, 1000, u16::MAX][self.stream.index(4)];
        let seeds = [0, 1, 4, 5, 6, u8::MAX][self.stream.index(6)];
        // where it says where lists end is noise, and so is what a lucky reader takes for data
        self.composed += 1;
        let head = repliable_head(&self.tag, kind, count, seeds, KeyRotation::Unknown);
        self.message(&[&head, &noise, &HOSTILE], None)
    }

    fn malformed(&mut self) -> Vec<Vec<u8>> {
        let room = fragment_room(SIZE);
        let set = SetId::draw(&mut self.stream);
        let mut noise = vec![0; room];
        self.stream.fill(&mut noise);
        noise[0] = 0;
        let mut parts = vec![noise, vec![0; room], vec![0xff; room]];
        // positions outside of their set
        for (total, position) in [(0, 0), (1, 2), (0, 1), (5, 0), (1, 255)] {
            parts.push(self.part(FragmentHeader {
                set,
                total,
                position,
                previous: None,
                next: None,
            }));
        }
        // a message without padding, one without a type, and types nobody knows
        let mut bare = vec![0; room];
        let len = header(SetId::draw(&mut self.stream), 1, 1).encode(&mut bare);
        bare[len..].fill(0);
        parts.push(bare);
        parts.extend(self.message(&[], None));
        for kind in [2, 3, 0x7f, 0xff] {
            parts.extend(self.message(&[&[kind]], None));
            parts.extend(self.message(&[&[kind, 9, 9, 9]], None));
        }
        parts
    }

    // ---- packets ---------------------------------------------------------------------------

    fn route(&mut self, topology: &Topology) -> Option<(Route, nym_proto::topology::Delays)> {
        let route = topology.route(&self.address.gateway, &mut self.stream).ok()?;
        let delays = route.draw_delays(HOP_DELAY, &mut self.stream);
        Some((route, delays))
    }

    fn forward(&mut self, topology: &Topology, to: &Recipient, part: &[u8]) -> Option<Posted> {
        let route = topology.route(&to.gateway, &mut self.stream).ok()?;
        let delays = route.draw_delays(HOP_DELAY, &mut self.stream);
        let (ack_route, ack_delays) = self.route(topology)?;
        let ack = OwnAck {
            key: &self.identity.ack,
            destination: &self.address.identity,
            path: Path { hops: ack_route.hops(), delays: ack_delays.as_slice() },
            id: AckId::Fragment(FragmentId { set: SetId::draw(&mut self.stream), position: 1 }),
        };
        let mut packet = vec![0; SIZE.packet_len()];
        let forward = Forward {
            size: SIZE,
            recipient: (&to.identity, &to.encryption),
            path: Path { hops: route.hops(), delays: delays.as_slice() },
            ack,
            fill: &mut |out| out.copy_from_slice(part),
            packet: &mut packet,
        };
        build_forward(self.builder.as_mut(), forward, &mut self.stream).ok()?;
        let first = route.hops().first()?.address;
        Some((first, relay::frame(SIZE, topology.rotation(), &packet)))
    }

    fn through_surb(
        &mut self,
        attack: Attack,
        topology: &Topology,
        parts: &[&[u8]],
    ) -> Vec<Posted> {
        let fragments = self.message(parts, None);
        let posted = fragments.iter().map_while(|part| self.reply(topology, part));
        let posted: Vec<_> = posted.collect();
        if !posted.is_empty() {
            self.done.push(attack);
        }
        posted
    }

    fn reply(&mut self, topology: &Topology, part: &[u8]) -> Option<Posted> {
        let (ack_route, ack_delays) = self.route(topology)?;
        let (surb, rotation) = self.surbs.pop()?;
        let ack = OwnAck {
            key: &self.identity.ack,
            destination: &self.address.identity,
            path: Path { hops: ack_route.hops(), delays: ack_delays.as_slice() },
            id: AckId::Fragment(FragmentId { set: SetId::draw(&mut self.stream), position: 1 }),
        };
        let first = surb.surb.first_hop();
        let mut packet = vec![0; SIZE.packet_len()];
        build_reply(
            self.builder.as_mut(),
            SIZE,
            surb,
            &ack,
            &mut |out| out.copy_from_slice(part),
            &mut packet,
            &mut self.stream,
        )
        .ok()?;
        Some((first, relay::frame(SIZE, rotation, &packet)))
    }
}

const fn header(set: SetId, total: u8, position: u8) -> FragmentHeader {
    FragmentHeader { set, total, position, previous: None, next: None }
}

/// The other parity.
const fn other(rotation: KeyRotation) -> KeyRotation {
    match rotation {
        KeyRotation::Even => KeyRotation::Odd,
        _ => KeyRotation::Even,
    }
}
