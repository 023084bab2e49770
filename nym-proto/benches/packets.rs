//! The steps a packet goes through: `cargo bench -p nym-proto`.

#![allow(missing_docs, reason = "a benchmark has no users")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{ForwardFrame, ProtocolVersion, SharedKey, open_push, seal_push};
use nym_proto::identity::{AckKey, IdentityKeyPair, PrivateKey};
use nym_proto::message::{
    AckId, Forward, FragmentHeader, FragmentId, FragmentPlan, OwnAck, Path, SetId, build_forward,
    open, open_ack, seal, seal_ack, write_padded,
};
use nym_proto::sphinx::{
    Delay, Hop, KeyRotation, PacketBuilder, PacketPeeler, PacketSize, SphinxBuilder, SphinxPeeler,
};

fn main() {
    divan::main();
}

const SIZE: PacketSize = PacketSize::Regular;

struct Setup {
    stream: Stream,
    keys: Vec<PrivateKey>,
    hops: Vec<Hop>,
    delays: Vec<Delay>,
    recipient: IdentityKeyPair,
    encryption: PrivateKey,
    ack_key: AckKey,
    shared_key: SharedKey,
}

fn setup() -> Setup {
    let mut stream = Entropy::new([1; 32]).stream(Purpose::Other(0));
    let keys: Vec<PrivateKey> = (0..4).map(|_| PrivateKey::generate(&mut stream)).collect();
    let hops = (0..4u8).zip(&keys).map(|(n, key)| Hop {
        address: std::net::SocketAddr::from(([10, 0, 0, n], 1789)).into(),
        key: key.public(),
    });
    Setup {
        hops: hops.collect(),
        delays: (1..=4).map(Delay::from_nanos).collect(),
        recipient: IdentityKeyPair::generate(&mut stream),
        encryption: PrivateKey::generate(&mut stream),
        ack_key: AckKey::from_bytes(stream.bytes()),
        shared_key: SharedKey::from_bytes(stream.bytes()),
        keys,
        stream,
    }
}

impl Setup {
    /// Builds one message packet with its ack into a frame for the gateway.
    fn prepare(&mut self, builder: &mut SphinxBuilder, payload: &[u8]) -> bytes::Bytes {
        let path = Path { hops: &self.hops, delays: &self.delays };
        let set = SetId::new(7).unwrap();
        let ack = OwnAck {
            key: &self.ack_key,
            destination: self.recipient.public(),
            path,
            id: AckId::Fragment(FragmentId { set, position: 1 }),
        };
        let mut frame = ForwardFrame::new(
            ProtocolVersion::CURRENT,
            KeyRotation::Odd,
            self.hops[0].address,
            SIZE,
        );
        let header = FragmentHeader::new(set, 1, 1).unwrap();
        let forward = Forward {
            size: SIZE,
            recipient: (self.recipient.public(), &self.encryption.public()),
            path,
            ack,
            fill: &mut |out| {
                let at = header.encode(out);
                write_padded(&[payload], 0, &mut out[at..]);
            },
            packet: frame.packet_mut(),
        };
        build_forward(builder, forward, &mut self.stream).unwrap();
        frame.seal(&self.shared_key, self.stream.bytes())
    }
}

#[divan::bench]
fn prepare_a_message_packet_with_its_ack(bencher: Bencher<'_, '_>) {
    let mut setup = setup();
    let mut builder = SphinxBuilder::new();
    let payload = [7; 1500];
    bencher
        .counter(ItemsCount::new(1u32))
        .bench_local(|| setup.prepare(&mut builder, black_box(&payload)));
}

#[divan::bench]
fn make_a_reply_surb(bencher: Bencher<'_, '_>) {
    let mut setup = setup();
    let mut builder = SphinxBuilder::new();
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        builder
            .make_surb(&setup.hops, &setup.delays, setup.recipient.public(), &mut setup.stream)
            .unwrap()
    });
}

#[divan::bench]
fn peel_one_forward_hop(bencher: Bencher<'_, '_>) {
    let mut setup = setup();
    let mut packet = vec![7; SIZE.packet_len()];
    SphinxBuilder::new()
        .build_packet(
            &setup.hops,
            &setup.delays,
            setup.recipient.public(),
            SIZE.plaintext_len(),
            &mut packet,
            &mut setup.stream,
        )
        .unwrap();
    let peeler = SphinxPeeler::default();
    let mut buffer = packet.clone();
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        buffer.copy_from_slice(&packet);
        let opened = peeler.open(&setup.keys[0], &buffer).unwrap();
        peeler.peel(opened, &mut buffer).unwrap()
    });
}

#[divan::bench]
fn receive_one_packet(bencher: Bencher<'_, '_>) {
    let mut setup = setup();
    let room = nym_proto::message::fragment_room(SIZE);
    let mut message = vec![0; 32 + room];
    let plan = FragmentPlan::new(1500, SIZE);
    let ids = SetId::draw_distinct(plan.sets(), &mut setup.stream);
    let (header, _) = plan.place(0, &ids).unwrap();
    header.encode(&mut message[32..]);
    seal(&setup.encryption.public(), &mut message, &mut setup.stream).unwrap();
    let frame = seal_push(&setup.shared_key, [1; 12], &message);
    bencher.counter(ItemsCount::new(1u32)).bench_local(|| {
        let mut message = open_push(&setup.shared_key, bytes::BytesMut::from(&frame[..])).unwrap();
        let fragment = open(&setup.encryption, &mut message).unwrap();
        FragmentHeader::decode(fragment).unwrap().0
    });
}

#[divan::bench]
fn recover_an_ack(bencher: Bencher<'_, '_>) {
    let mut setup = setup();
    let id = AckId::Fragment(FragmentId { set: SetId::new(7).unwrap(), position: 1 });
    let ack = seal_ack(&setup.ack_key, &id, &mut setup.stream);
    bencher
        .counter(ItemsCount::new(1u32))
        .bench_local(|| open_ack(&setup.ack_key, black_box(&ack)));
}
