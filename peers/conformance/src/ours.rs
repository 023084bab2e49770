//! A sender and a receiver made of `nym-proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use nym_proto::address::Recipient;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::message::{
    AckId, Envelope, Forward, FragmentHeader, FragmentId, FragmentPlan, Inserted, Origin, OwnAck,
    Path, Reassembler, ReassemblyLimits, ReplyDigest, ReplyKey, ReplySurb, SetId, build_forward,
    build_forwards, build_reply, fragment_room, is_cover, open, open_ack, open_reply,
    reply_digest_of, write_cover, write_padded,
};
use nym_proto::sphinx::{PacketBuilder as _, PacketSize, SphinxBuilder};
use nym_proto::time::Instant;
use nym_proto::topology::{Delays, Route};

use crate::content::Content;
use crate::network::{Network, Packet};
use crate::person::Person;

/// Packets built together.
const BATCH: usize = 8;
const MEAN_DELAY: Duration = Duration::from_millis(15);

/// A packet, and what its sender knows of it.
pub struct Sent {
    pub packet: Packet,
    /// What its ack will confirm.
    pub id: AckId,
    /// The delays on its way, if the sender knows them.
    pub delay: Option<Duration>,
    /// The delays on the way of its ack.
    pub ack_delay: Duration,
}

/// Sends as a client does.
pub struct Sender<'a> {
    network: &'a Network,
    person: &'a Person,
    /// Routes have the gateway alone.
    is_direct: bool,
    /// The same for all packets: keys that come again are multiplied in another way.
    builder: SphinxBuilder,
    is_batch_next: bool,
    pub stream: Stream,
}

impl<'a> Sender<'a> {
    pub fn new(network: &'a Network, person: &'a Person, seed: u32) -> Self {
        let stream = Entropy::new([0x51; 32]).stream(Purpose::Other(seed));
        let builder = SphinxBuilder::new();
        Self { network, person, is_direct: false, builder, is_batch_next: false, stream }
    }

    /// As [`new`](Self::new), without mix nodes.
    pub fn direct(network: &'a Network, person: &'a Person, seed: u32) -> Self {
        Self { is_direct: true, ..Self::new(network, person, seed) }
    }

    /// A serialised message in packets for `to`: by turns they are built one by one and together.
    pub fn send(&mut self, to: &Recipient, message: &[u8], size: PacketSize) -> Vec<Sent> {
        let at_once = if core::mem::take(&mut self.is_batch_next) { BATCH } else { 1 };
        self.is_batch_next = at_once == 1;
        let fragments = self.fragments(message, size);
        fragments.chunks(at_once).flat_map(|some| self.send_some(to, size, some)).collect()
    }

    /// A serialised message in packets that travel with `surbs`, one each.
    pub fn reply(&mut self, surbs: Vec<ReplySurb>, message: &[u8], size: PacketSize) -> Vec<Sent> {
        let fragments = self.fragments(message, size);
        assert_eq!(fragments.len(), surbs.len());
        fragments
            .into_iter()
            .zip(surbs)
            .map(|((id, fragment), surb)| {
                let (ack_route, ack_delays) = self.path_to(&self.person.address);
                let next = surb.surb.first_hop();
                let mut bytes = vec![0; size.packet_len()];
                build_reply(
                    &mut self.builder,
                    size,
                    surb,
                    &own_ack(self.person, id, &ack_route, &ack_delays),
                    &mut |out| out.copy_from_slice(&fragment),
                    &mut bytes,
                    &mut self.stream,
                )
                .unwrap();
                let rotation = self.network.topology.rotation();
                Sent {
                    packet: Packet { next, rotation, size, bytes },
                    id,
                    delay: None,
                    ack_delay: expected(&ack_route, &ack_delays),
                }
            })
            .collect()
    }

    /// A loop cover packet.
    pub fn cover(&mut self, size: PacketSize) -> Sent {
        let to = self.person.address;
        let mut cover = vec![0; fragment_room(size)];
        write_cover(&mut cover);
        self.send_some(&to, size, &[(AckId::Cover, cover)]).remove(0)
    }

    /// SURBs that lead back here.
    pub fn make_surbs(&mut self, count: usize) -> Vec<ReplySurb> {
        (0..count)
            .map(|_| {
                let (route, delays) = self.path_to(&self.person.address);
                let key = ReplyKey::draw(&mut self.stream);
                let surb = self
                    .builder
                    .make_surb(
                        route.hops(),
                        delays.as_slice(),
                        &self.person.address.identity,
                        &mut self.stream,
                    )
                    .unwrap();
                ReplySurb { key, surb }
            })
            .collect()
    }

    /// The fragments of a message, encoded.
    pub fn fragments(&mut self, message: &[u8], size: PacketSize) -> Vec<(AckId, Vec<u8>)> {
        let plan = FragmentPlan::new(message.len(), size);
        let set_ids = SetId::draw_distinct(plan.sets(), &mut self.stream);
        (0..plan.fragments())
            .map(|index| {
                let (header, range) = plan.place(index, &set_ids).unwrap();
                let head = header.encoded_len();
                let mut fragment = vec![0; head + range.len()];
                header.encode(&mut fragment);
                write_padded(&[message], range.start, &mut fragment[head..]);
                (AckId::Fragment(header.id()), fragment)
            })
            .collect()
    }

    fn send_some(
        &mut self,
        to: &Recipient,
        size: PacketSize,
        fragments: &[(AckId, Vec<u8>)],
    ) -> Vec<Sent> {
        let own = self.person.address;
        let ways: Vec<_> =
            fragments.iter().map(|_| (self.path_to(to), self.path_to(&own))).collect();
        let mut packets = vec![vec![0; size.packet_len()]; fragments.len()];
        let mut fills: Vec<_> = fragments
            .iter()
            .map(|(_, fragment)| |out: &mut [u8]| out.copy_from_slice(fragment))
            .collect();
        let parts = fragments.iter().zip(&ways).zip(&mut fills).zip(&mut packets);
        let mut forwards: Vec<_> = parts
            .map(|((((id, _), ((route, delays), (ack_route, ack_delays))), fill), packet)| {
                Forward {
                    size,
                    recipient: (&to.identity, &to.encryption),
                    path: Path { hops: route.hops(), delays: delays.as_slice() },
                    ack: own_ack(self.person, *id, ack_route, ack_delays),
                    fill,
                    packet,
                }
            })
            .collect();
        if forwards.len() == 1 {
            build_forward(&mut self.builder, forwards.remove(0), &mut self.stream).unwrap();
        } else {
            build_forwards(&mut self.builder, forwards, &mut self.stream).unwrap();
        }
        let rotation = self.network.topology.rotation();
        let sent = fragments.iter().zip(&ways).zip(packets);
        sent.map(|(((id, _), (way, ack_way)), bytes)| Sent {
            packet: Packet { next: way.0.first().address, rotation, size, bytes },
            id: *id,
            delay: Some(expected(&way.0, &way.1)),
            ack_delay: expected(&ack_way.0, &ack_way.1),
        })
        .collect()
    }

    fn path_to(&mut self, to: &Recipient) -> (Route, Delays) {
        let route = if self.is_direct {
            self.network.topology.direct_route(&to.gateway)
        } else {
            self.network.topology.route(&to.gateway, &mut self.stream)
        };
        let route = route.unwrap();
        (route, route.draw_delays(MEAN_DELAY, &mut self.stream))
    }
}

/// How long a packet is held on its way.
fn expected(route: &Route, delays: &Delays) -> Duration {
    Path { hops: route.hops(), delays: delays.as_slice() }.expected()
}

fn own_ack<'a>(person: &'a Person, id: AckId, route: &'a Route, delays: &'a Delays) -> OwnAck<'a> {
    OwnAck {
        key: &person.keys.ack,
        destination: &person.address.identity,
        path: Path { hops: route.hops(), delays: delays.as_slice() },
        id,
    }
}

/// What a push was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Push {
    Ack(AckId),
    Cover,
    /// A fragment, its message not complete.
    Fragment,
    Message(Content),
    /// The same, all encrypted with reply keys.
    Reply(Content),
}

/// Reads what a gateway pushes.
pub struct Receiver<'a> {
    person: &'a Person,
    reply_keys: BTreeMap<ReplyDigest, ReplyKey>,
    reassembler: Reassembler,
}

impl<'a> Receiver<'a> {
    pub fn new(person: &'a Person) -> Self {
        let reassembler = Reassembler::new(ReassemblyLimits::default());
        Self { person, reply_keys: BTreeMap::new(), reassembler }
    }

    /// Expects replies to these SURBs.
    pub fn expect(&mut self, keys: impl IntoIterator<Item = ReplyKey>) {
        self.reply_keys.extend(keys.into_iter().map(|key| (key.digest(), key)));
    }

    /// Takes a push of a message that is known to be intact.
    pub fn receive(&mut self, push: &[u8]) -> Push {
        if push.len() == PacketSize::Ack.plaintext_len() {
            return Push::Ack(open_ack(&self.person.keys.ack, push).unwrap());
        }
        let mut buffer = push.to_vec();
        let digest = reply_digest_of(&buffer).unwrap();
        let key = self.reply_keys.remove(&digest);
        let fragment = match &key {
            Some(key) => open_reply(key, &mut buffer).unwrap(),
            None => open(&self.person.keys.encryption, &mut buffer).unwrap(),
        };
        if is_cover(fragment) {
            return Push::Cover;
        }
        let (header, payload) = FragmentHeader::decode(fragment).unwrap();
        let origin = if key.is_some() { Origin::Reply(0) } else { Origin::Open };
        match self.reassembler.insert(Instant::START, origin, &header, payload) {
            Inserted::Incomplete => Push::Fragment,
            Inserted::Complete { message, .. } => {
                let content = Envelope::decode(message.into()).unwrap().into();
                if key.is_some() { Push::Reply(content) } else { Push::Message(content) }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The id of a fragment as it stands in acks.
pub fn ack_id(set: u32, position: u8) -> AckId {
    AckId::Fragment(FragmentId { set: SetId::new(set).unwrap(), position })
}
