//! Both sides: who sends what to whom, in a network that both know.

use nym_peers_conformance::network::Network;
use nym_peers_conformance::person::Person;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::message::{
    AckId, Forward, FragmentHeader, OwnAck, PLAIN_HEAD, Path, ReplyKey, ReplySurb, SetId,
    build_forward, build_forwards, build_reply, write_padded,
};
use nym_proto::sphinx::{PacketBuilder as _, PacketSize, SphinxBuilder, SurbWay};
use nym_proto::topology::{Delays, Route};
use nym_sphinx::acknowledgements::AckKey;
use nym_sphinx::addressing::clients::Recipient as TheirRecipient;
use nym_sphinx::chunking::fragment::Fragment;
use nym_sphinx::message::NymMessage;
use nym_sphinx::params::{PacketSize as TheirSize, PacketType};
use nym_sphinx::preparer::MessagePreparer;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::time::Duration;

pub const SIZE: PacketSize = PacketSize::Regular;
pub const MEAN: Duration = Duration::from_millis(15);
pub const ONE_PACKET: usize = 1500;
pub const MEGABYTE: usize = 1_000_000;

pub struct World {
    pub network: Network,
    pub alice: Person,
    pub bob: Person,
}

impl World {
    pub fn new() -> Self {
        let network = Network::new();
        let alice = Person::new(1, network.gateway(0));
        let bob = Person::new(2, network.gateway(1));
        Self { network, alice, bob }
    }
}

// ---- ours ----------------------------------------------------------------------------------------

pub struct Ours<'w> {
    pub world: &'w World,
    pub builder: SphinxBuilder,
    pub stream: Stream,
}

impl<'w> Ours<'w> {
    pub fn new(world: &'w World) -> Self {
        let stream = Entropy::new([9; 32]).stream(Purpose::Packets);
        Self { world, builder: SphinxBuilder::new(), stream }
    }

    pub fn way(&mut self, to: &Person) -> (Route, Delays) {
        let topology = &self.world.network.topology;
        let route = topology.route(&to.address.gateway, &mut self.stream).unwrap();
        (route, route.draw_delays(MEAN, &mut self.stream))
    }

    pub fn ack<'a>(&self, id: AckId, (route, delays): &'a (Route, Delays)) -> OwnAck<'a>
    where
        'w: 'a,
    {
        OwnAck {
            key: &self.world.alice.keys.ack,
            destination: &self.world.alice.address.identity,
            path: Path { hops: route.hops(), delays: delays.as_slice() },
            id,
        }
    }

    /// One fragment of `message` in a packet to Bob.
    pub fn packet(&mut self, message: &[u8], header: &FragmentHeader, offset: usize) -> Vec<u8> {
        let ways = [self.way(&self.world.bob), self.way(&self.world.alice)];
        let mut packet = vec![0; SIZE.packet_len()];
        let mut fill = fragment(message, header, offset);
        let forward = self.forward(header, &ways, &mut fill, &mut packet);
        build_forward(&mut self.builder, forward, &mut self.stream).unwrap();
        packet
    }

    /// As many packets as `packet` makes one by one, made together.
    pub fn packets(
        &mut self,
        message: &[u8],
        header: &FragmentHeader,
        count: usize,
    ) -> Vec<Vec<u8>> {
        let ways: Vec<_> =
            (0..count).map(|_| [self.way(&self.world.bob), self.way(&self.world.alice)]).collect();
        let mut packets = vec![vec![0; SIZE.packet_len()]; count];
        let mut fills: Vec<_> = (0..count).map(|_| fragment(message, header, 0)).collect();
        let parts = ways.iter().zip(&mut fills).zip(&mut packets);
        let forwards =
            parts.map(|((ways, fill), packet)| self.forward(header, ways, fill, packet)).collect();
        build_forwards(&mut self.builder, forwards, &mut self.stream).unwrap();
        packets
    }

    pub fn forward<'a>(
        &self,
        header: &FragmentHeader,
        [way, ack_way]: &'a [(Route, Delays); 2],
        fill: &'a mut dyn FnMut(&mut [u8]),
        packet: &'a mut [u8],
    ) -> Forward<'a>
    where
        'w: 'a,
    {
        let bob = &self.world.bob.address;
        Forward {
            size: SIZE,
            recipient: (&bob.identity, &bob.encryption),
            path: Path { hops: way.0.hops(), delays: way.1.as_slice() },
            ack: self.ack(AckId::Fragment(header.id()), ack_way),
            fill,
            packet,
        }
    }

    pub fn reply(&mut self, surb: ReplySurb, message: &[u8], header: &FragmentHeader) -> Vec<u8> {
        let ack_way = self.way(&self.world.alice);
        let ack = self.ack(AckId::Fragment(header.id()), &ack_way);
        let mut packet = vec![0; SIZE.packet_len()];
        build_reply(
            &mut self.builder,
            SIZE,
            surb,
            &ack,
            &mut |out| {
                let at = header.encode(out);
                write_padded(&[message], 0, &mut out[at..]);
            },
            &mut packet,
            &mut self.stream,
        )
        .unwrap();
        packet
    }

    pub fn cover(&mut self) -> Vec<u8> {
        let (way, ack_way) = (self.way(&self.world.alice), self.way(&self.world.alice));
        let ack = self.ack(AckId::Cover, &ack_way);
        let mut packet = vec![0; SIZE.packet_len()];
        let alice = &self.world.alice.address;
        let forward = Forward {
            size: SIZE,
            recipient: (&alice.identity, &alice.encryption),
            path: Path { hops: way.0.hops(), delays: way.1.as_slice() },
            ack,
            fill: &mut nym_proto::message::write_cover,
            packet: &mut packet,
        };
        build_forward(&mut self.builder, forward, &mut self.stream).unwrap();
        packet
    }

    pub fn surbs(&mut self, count: usize) -> Vec<ReplySurb> {
        let ways: Vec<_> = (0..count).map(|_| self.way(&self.world.alice)).collect();
        let destination = &self.world.alice.address.identity;
        let ways: Vec<_> = ways
            .iter()
            .map(|(route, delays)| SurbWay {
                route: route.hops(),
                delays: delays.as_slice(),
                destination,
            })
            .collect();
        let surbs = self.builder.make_surbs(&ways, &mut self.stream).unwrap();
        surbs
            .into_iter()
            .map(|surb| ReplySurb { key: ReplyKey::draw(&mut self.stream), surb })
            .collect()
    }
}

/// What writes a fragment of `message`.
pub fn fragment<'a>(
    message: &'a [u8],
    header: &'a FragmentHeader,
    offset: usize,
) -> impl FnMut(&mut [u8]) + 'a {
    move |out| {
        let at = header.encode(out);
        write_padded(&[message], offset, &mut out[at..]);
    }
}

/// A serialised message that fits one packet, and its header.
pub fn one_packet() -> (Vec<u8>, FragmentHeader) {
    let message = [&PLAIN_HEAD[..], &[7; ONE_PACKET]].concat();
    (message, FragmentHeader::new(SetId::new(7).unwrap(), 1, 1).unwrap())
}

// ---- theirs --------------------------------------------------------------------------------------

pub struct Theirs<'w> {
    pub world: &'w World,
    pub preparer: MessagePreparer<ChaCha20Rng>,
    pub ack_key: AckKey,
    pub alice: TheirRecipient,
    pub bob: TheirRecipient,
    pub rng: ChaCha20Rng,
}

impl<'w> Theirs<'w> {
    pub fn new(world: &'w World) -> Self {
        let rng = ChaCha20Rng::seed_from_u64(9);
        let alice = world.alice.their_address();
        Self {
            world,
            preparer: MessagePreparer::new(rng.clone(), false, alice, MEAN, MEAN, false),
            ack_key: world.alice.their_ack_key(),
            alice,
            bob: world.bob.their_address(),
            rng,
        }
    }

    pub fn fragments(&mut self, len: usize) -> Vec<Fragment> {
        let message = NymMessage::new_plain(vec![7; len]);
        self.preparer.pad_and_split_message(message, TheirSize::RegularPacket)
    }

    pub fn packet(&mut self, fragment: Fragment) -> Vec<u8> {
        let (topology, mix) = (&self.world.network.theirs, PacketType::Mix);
        self.preparer
            .prepare_chunk_for_sending(fragment, topology, &self.ack_key, &self.bob, mix)
            .unwrap()
            .mix_packet
            .packet()
            .to_bytes()
            .unwrap()
    }

    pub fn cover(&mut self) -> Vec<u8> {
        nym_sphinx::cover::generate_loop_cover_packet(
            &mut self.rng,
            &self.world.network.theirs,
            &self.ack_key,
            &self.alice,
            MEAN,
            MEAN,
            TheirSize::RegularPacket,
            PacketType::Mix,
        )
        .unwrap()
        .packet()
        .to_bytes()
        .unwrap()
    }
}
