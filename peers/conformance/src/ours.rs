//! A sender and a receiver made of `nym-proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use nym_proto::address::Recipient;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::message::{
    AckId, Envelope, FragmentHeader, FragmentId, FragmentPlan, Inserted, Origin, OwnAck, Path,
    Reassembler, ReassemblyLimits, ReplyDigest, ReplyKey, ReplySurb, SetId, build_forward,
    build_reply, is_cover, open, open_ack, open_reply, reply_digest_of, write_cover, write_padded,
};
use nym_proto::sphinx::{PacketBuilder as _, PacketSize, SphinxBuilder};
use nym_proto::time::Instant;
use nym_proto::topology::{Delays, Route};

use crate::content::Content;
use crate::network::{Network, Packet};
use crate::person::Person;

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
    pub stream: Stream,
}

impl<'a> Sender<'a> {
    pub fn new(network: &'a Network, person: &'a Person, seed: u32) -> Self {
        let stream = Entropy::new([0x51; 32]).stream(Purpose::Other(seed));
        Self { network, person, is_direct: false, builder: SphinxBuilder::new(), stream }
    }

    /// As [`new`](Self::new), without mix nodes.
    pub fn direct(network: &'a Network, person: &'a Person, seed: u32) -> Self {
        Self { is_direct: true, ..Self::new(network, person, seed) }
    }

    /// A serialised message in packets for `to`.
    pub fn send(&mut self, to: &Recipient, message: &[u8], size: PacketSize) -> Vec<Sent> {
        self.fragments(message, size)
            .into_iter()
            .map(|(id, fragment)| self.send_one(to, size, id, |out| out.copy_from_slice(&fragment)))
            .collect()
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
        self.send_one(&to, size, AckId::Cover, write_cover)
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

    fn send_one(
        &mut self,
        to: &Recipient,
        size: PacketSize,
        id: AckId,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Sent {
        let (route, delays) = self.path_to(to);
        let (ack_route, ack_delays) = self.path_to(&self.person.address);
        let mut bytes = vec![0; size.packet_len()];
        build_forward(
            &mut self.builder,
            size,
            (&to.identity, &to.encryption),
            Path { hops: route.hops(), delays: delays.as_slice() },
            &own_ack(self.person, id, &ack_route, &ack_delays),
            &mut fill,
            &mut bytes,
            &mut self.stream,
        )
        .unwrap();
        let rotation = self.network.topology.rotation();
        let packet = Packet { next: route.first().address, rotation, size, bytes };
        Sent {
            packet,
            id,
            delay: Some(expected(&route, &delays)),
            ack_delay: expected(&ack_route, &ack_delays),
        }
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
