//! What a packet costs in allocations once everything is warm. The numbers stand in
//! `docs/performance.md`, too.

use std::hint::black_box;

use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::{AckKey, IdentityKeyPair, PrivateKey};
use nym_proto::message::{
    AckId, Forward, FragmentHeader, FragmentId, OwnAck, Path, ReplyKey, ReplySurb, SetId,
    build_forward, build_reply, fragment_room, open, open_ack, seal, seal_ack, write_cover,
    write_padded,
};
use nym_proto::sphinx::{
    Delay, Hop, PacketBuilder as _, PacketPeeler as _, PacketSize, SphinxBuilder, SphinxPeeler,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

const SIZE: PacketSize = PacketSize::Regular;
/// More than it takes until the keys of a route have tables.
const WARM_UP: usize = 80;
const CALLS: usize = 50;

/// One test, so that no other thread allocates meanwhile.
#[test]
fn a_packet_allocates_its_buffer_and_nothing_else() {
    let mut world = World::new();
    assert_eq!(allocations(|| world.message()), 1, "a message with its ack");
    assert_eq!(allocations(|| world.cover()), 1, "a loop cover packet");
    let surb = world.surb();
    assert_eq!(allocations(|| world.reply(&surb)), 1, "a reply with its ack");

    let push = world.push();
    let mut buffer = push.clone();
    let receive = || {
        buffer.copy_from_slice(&push);
        let fragment = open(&world.encryption, &mut buffer).unwrap();
        black_box(FragmentHeader::decode(fragment).unwrap());
    };
    assert_eq!(allocations(receive), 0, "one packet received");

    let id = AckId::Fragment(FragmentId { set: SetId::new(7).unwrap(), position: 1 });
    let ack = seal_ack(&world.ack, &id, &mut world.stream);
    let recognise = || black_box(open_ack(&world.ack, black_box(&ack)).unwrap());
    assert_eq!(allocations(recognise), 0, "an ack recognised");

    let packet = world.message();
    let mut buffer = packet.clone();
    let peel = || {
        buffer.copy_from_slice(&packet);
        let opened = SphinxPeeler::default().open(&world.nodes[0], &buffer).unwrap();
        black_box(SphinxPeeler::default().peel(opened, &mut buffer).unwrap());
    };
    assert_eq!(allocations(peel), 0, "a hop removed");
}

/// Allocations of a call in the steady state; all calls make as many.
fn allocations<T>(mut call: impl FnMut() -> T) -> usize {
    for _ in 0..WARM_UP {
        call();
    }
    let region = Region::new(HEAP);
    for _ in 0..CALLS {
        call();
    }
    let change = region.change();
    let count = change.allocations + change.reallocations;
    assert_eq!(count % CALLS, 0, "{count} allocations in {CALLS} calls");
    count / CALLS
}

/// A client that writes to itself over four nodes.
struct World {
    builder: SphinxBuilder,
    stream: Stream,
    nodes: Vec<PrivateKey>,
    route: Vec<Hop>,
    delays: [Delay; 4],
    identity: IdentityKeyPair,
    encryption: PrivateKey,
    ack: AckKey,
    header: FragmentHeader,
    message: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let mut stream = Entropy::new([3; 32]).stream(Purpose::Packets);
        let nodes: Vec<_> = (0..4).map(|_| PrivateKey::generate(&mut stream)).collect();
        let hop = |(i, key): (u8, &PrivateKey)| Hop {
            address: NodeAddress::new(([10, 0, 0, i], 1789).into()),
            key: key.public(),
        };
        Self {
            builder: SphinxBuilder::new(),
            route: (0..).zip(&nodes).map(hop).collect(),
            nodes,
            delays: [Delay::from_nanos(1); 4],
            identity: IdentityKeyPair::generate(&mut stream),
            encryption: PrivateKey::generate(&mut stream),
            ack: AckKey::from_bytes(stream.bytes()),
            header: FragmentHeader::new(SetId::new(7).unwrap(), 1, 1).unwrap(),
            message: vec![7; 1500],
            stream,
        }
    }

    fn build(&mut self, id: AckId, mut write: impl FnMut(&mut [u8])) -> Vec<u8> {
        let path = Path { hops: &self.route, delays: &self.delays };
        let destination = self.identity.public();
        let ack = OwnAck { key: &self.ack, destination, path, id };
        let mut packet = vec![0; SIZE.packet_len()];
        let forward = Forward {
            size: SIZE,
            recipient: (destination, &self.encryption.public()),
            path,
            ack,
            fill: &mut write,
            packet: &mut packet,
        };
        build_forward(&mut self.builder, forward, &mut self.stream).unwrap();
        packet
    }

    fn message(&mut self) -> Vec<u8> {
        let header = self.header;
        self.build(AckId::Fragment(header.id()), |out| {
            let at = header.encode(out);
            write_padded(&[&[7; 1500]], 0, &mut out[at..]);
        })
    }

    fn cover(&mut self) -> Vec<u8> {
        self.build(AckId::Cover, write_cover)
    }

    fn surb(&mut self) -> Vec<u8> {
        let identity = self.identity.public();
        let surb =
            self.builder.make_surb(&self.route, &self.delays, identity, &mut self.stream).unwrap();
        let mut bytes = Vec::new();
        ReplySurb { key: ReplyKey::draw(&mut self.stream), surb }.encode(&mut bytes);
        bytes
    }

    fn reply(&mut self, surb: &[u8]) -> Vec<u8> {
        let path = Path { hops: &self.route, delays: &self.delays };
        let id = AckId::Fragment(self.header.id());
        let ack = OwnAck { key: &self.ack, destination: self.identity.public(), path, id };
        let mut packet = vec![0; SIZE.packet_len()];
        build_reply(
            &mut self.builder,
            SIZE,
            ReplySurb::decode(surb).unwrap(),
            &ack,
            &mut |out| {
                let at = self.header.encode(out);
                write_padded(&[&self.message], 0, &mut out[at..]);
            },
            &mut packet,
            &mut self.stream,
        )
        .unwrap();
        packet
    }

    /// What a gateway pushes of a message.
    fn push(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 32 + fragment_room(SIZE)];
        let at = 32 + self.header.encode(&mut buffer[32..]);
        write_padded(&[&self.message], 0, &mut buffer[at..]);
        seal(&self.encryption.public(), &mut buffer, &mut self.stream).unwrap();
        buffer
    }
}
