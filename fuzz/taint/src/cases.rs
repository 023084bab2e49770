//! What handles secrets. Whatever comes from a stream of randomness is one, and so are long-term keys, message
//! texts and what is agreed on.

use std::hint::black_box;
use std::ops::Range;

use bytes::BytesMut;
use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    AuthenticateRequest, ClientHandshake, FRAME_PREFIX, ForwardFrame, ForwardRequest,
    GatewayHandshake, HandshakePayload, HandshakeRandomness, ProtocolVersion, SharedKey, open_push,
    seal_push,
};
use nym_proto::identity::{AckKey, IdentityKeyPair, PrivateKey, PublicKey};
use nym_proto::message::{
    AckId, Forward, FragmentHeader, FragmentId, OwnAck, Path, ReplyKey, ReplySurb, SetId,
    build_forward, build_forwards, build_reply, fragment_room, open, open_ack, open_reply, seal,
    seal_ack, seal_reply,
};
use nym_proto::sphinx::{
    Delay, HEADER_SIZE, Hop, KeyRotation, PacketBuilder as _, PacketPeeler as _, PacketSize,
    SphinxBuilder, SphinxPeeler, Surb, SurbKeys, SurbWay,
};

use crate::valgrind::{is_secret, publish, secret, taint};

pub const ALL: [(&str, fn()); 18] = [
    ("packet, keys seen for the first time", packet_of_a_new_builder),
    ("packet, keys with tables", packet_with_tables),
    ("packet, a key on the twist of the curve", packet_over_the_twist),
    ("message packet with its ack", message),
    ("message packets with their acks, several at a time", messages),
    ("reply SURB", surb),
    ("reply SURBs, several at a time", surbs),
    ("reply packet with its ack", reply),
    ("fragment sealed", fragment_sealed),
    ("fragment received", fragment_received),
    ("reply received", reply_received),
    ("ack recognised", ack),
    ("hop removed, forward", hop_forward),
    ("hop removed, last", hop_last),
    ("frames of the gateway link", frames),
    ("identity: public keys, signature", identity),
    ("registration, both sides", registration),
    ("authentication, both sides", authentication),
];

const SIZE: PacketSize = PacketSize::Regular;
const DELAYS: [Delay; 4] = [Delay::from_nanos(50_000_000); 4];
const VERSION: ProtocolVersion = match ProtocolVersion::new(5) {
    Ok(version) => version,
    Err(_) => panic!("no such version"),
};

/// Randomness that is a secret.
fn stream(seed: u8) -> Stream {
    Entropy::new(secret([seed; 32])).stream(Purpose::Packets)
}

fn private(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes([seed; 32])
}

fn secret_private(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes(secret([seed; 32]))
}

fn hops() -> [Hop; 4] {
    core::array::from_fn(|i| {
        let address = NodeAddress::new(([10, 0, 0, i as u8], 1789).into());
        Hop { address, key: private(i as u8 + 1).public() }
    })
}

/// A pair whose private half is a secret. The public half is told everybody.
fn pair(seed: u8) -> IdentityKeyPair {
    let pair = IdentityKeyPair::from_seed(&secret([seed; 32]));
    publish(pair.public().as_bytes());
    pair
}

// ---- building ------------------------------------------------------------------------------------

fn packet(builder: &mut SphinxBuilder, route: &[Hop], stream: &mut Stream) -> Vec<u8> {
    let mut packet = vec![7; SIZE.packet_len()];
    taint(&mut packet);
    let destination = IdentityKeyPair::from_seed(&[9; 32]);
    builder
        .build_packet(
            route,
            &DELAYS,
            destination.public(),
            SIZE.plaintext_len(),
            &mut packet,
            stream,
        )
        .unwrap();
    assert!(is_secret(&packet));
    packet
}

fn packet_of_a_new_builder() {
    packet(&mut SphinxBuilder::new(), &hops(), &mut stream(1));
}

fn packet_with_tables() {
    packet(&mut warm_builder(), &hops(), &mut stream(1));
}

/// A builder that has a table of each hop's key.
fn warm_builder() -> SphinxBuilder {
    let mut builder = SphinxBuilder::new();
    let mut stream = Entropy::new([3; 32]).stream(Purpose::Packets);
    let destination = IdentityKeyPair::from_seed(&[9; 32]);
    for _ in 0..40 {
        builder.make_surb(&hops(), &DELAYS, destination.public(), &mut stream).unwrap();
    }
    builder
}

fn packet_over_the_twist() {
    let mut route = hops();
    // 2 is the u of a point on the twist
    let mut key = [0; 32];
    key[0] = 2;
    route[1].key = PublicKey::from_bytes(key);
    packet(&mut SphinxBuilder::new(), &route, &mut stream(1));
}

/// The client's own ack, under a secret key.
fn with_ack<T>(work: impl FnOnce(&OwnAck<'_>) -> T) -> T {
    let (key, hops) = (AckKey::from_bytes(secret([4; 16])), hops());
    let destination = IdentityKeyPair::from_seed(&[8; 32]);
    let path = Path { hops: &hops, delays: &DELAYS };
    work(&OwnAck { key: &key, destination: destination.public(), path, id: ack_id() })
}

fn ack_id() -> AckId {
    AckId::Fragment(FragmentId { set: SetId::new(7).unwrap(), position: 1 })
}

fn fill(out: &mut [u8]) {
    out.fill(5);
    taint(out);
}

fn message() {
    let mut packet = vec![0; SIZE.packet_len()];
    let (hops, recipient) = (hops(), IdentityKeyPair::from_seed(&[9; 32]));
    with_ack(|ack| {
        let forward = Forward {
            size: SIZE,
            recipient: (recipient.public(), &private(9).public()),
            path: Path { hops: &hops, delays: &DELAYS },
            ack: *ack,
            fill: &mut fill,
            packet: &mut packet,
        };
        build_forward(&mut SphinxBuilder::new(), forward, &mut stream(1)).unwrap()
    });
    assert!(is_secret(&packet));
}

fn messages() {
    let mut packets = vec![vec![0; SIZE.packet_len()]; 2];
    let mut fills = [fill; 2];
    let (hops, recipient, key) =
        (hops(), IdentityKeyPair::from_seed(&[9; 32]), private(9).public());
    with_ack(|ack| {
        let forwards = packets.iter_mut().zip(&mut fills).map(|(packet, fill)| Forward {
            size: SIZE,
            recipient: (recipient.public(), &key),
            path: Path { hops: &hops, delays: &DELAYS },
            ack: *ack,
            fill,
            packet,
        });
        let forwards = forwards.collect();
        build_forwards(&mut SphinxBuilder::new(), forwards, &mut stream(1)).unwrap()
    });
    assert!(packets.iter().all(|packet| is_secret(packet)));
}

fn surb() {
    let destination = IdentityKeyPair::from_seed(&[9; 32]);
    let surb = SphinxBuilder::new()
        .make_surb(&hops(), &DELAYS, destination.public(), &mut stream(1))
        .unwrap();
    let mut out = Vec::new();
    ReplySurb { key: ReplyKey::draw(&mut stream(2)), surb }.encode(&mut out);
    // the key of the reply and, at the end, the seeds of the hops
    assert!(is_secret(&out[..16]) && is_secret(&out[out.len() - 4 * 16..]));
}

fn surbs() {
    let (hops, destination) = (hops(), IdentityKeyPair::from_seed(&[9; 32]));
    let destination = destination.public();
    let way = |range: Range<usize>| SurbWay {
        route: &hops[range.clone()],
        delays: &DELAYS[range],
        destination,
    };
    let ways = [way(0..4), way(0..3), way(1..4)];
    let surbs = SphinxBuilder::new().make_surbs(&ways, &mut stream(1)).unwrap();
    assert!(surbs.iter().all(|surb| is_secret(surb.keys().as_bytes())));
}

fn reply() {
    let hop = NodeAddress::new(([10, 0, 0, 1], 1789).into());
    let header = core::array::from_fn(|i| i as u8);
    let seeds = secret([6; 64]);
    let (seeds, _) = seeds.as_chunks();
    let surb = Surb::new(header, hop, SurbKeys::Seeds(seeds)).unwrap();
    let surb = ReplySurb { key: ReplyKey::from_bytes(secret([5; 16])), surb };
    let mut packet = vec![0; SIZE.packet_len()];
    with_ack(|ack| {
        build_reply(
            &mut SphinxBuilder::new(),
            SIZE,
            surb,
            ack,
            &mut fill,
            &mut packet,
            &mut stream(1),
        )
        .unwrap();
    });
    assert!(is_secret(&packet[HEADER_SIZE..]));
}

fn fragment_sealed() {
    let mut buffer = vec![7; 32 + fragment_room(SIZE)];
    taint(&mut buffer);
    seal(&private(9).public(), &mut buffer, &mut stream(1)).unwrap();
    assert!(is_secret(&buffer));
}

// ---- receiving -----------------------------------------------------------------------------------

/// A fragment and room for what it is sealed with.
fn fragment() -> Vec<u8> {
    let mut buffer = vec![7; 32 + fragment_room(SIZE)];
    let header = FragmentHeader::new(SetId::new(7).unwrap(), 1, 1).unwrap();
    header.encode(&mut buffer[32..]);
    buffer
}

fn fragment_received() {
    let mut buffer = fragment();
    let mut open_stream = Entropy::new([1; 32]).stream(Purpose::Packets);
    seal(&private(9).public(), &mut buffer, &mut open_stream).unwrap();
    let fragment = open(&secret_private(9), &mut buffer).unwrap();
    assert!(is_secret(fragment));
    // what the message says decides what is done with it
    publish(fragment);
    FragmentHeader::decode(fragment).unwrap();
}

fn reply_received() {
    let key = ReplyKey::from_bytes([5; 16]);
    let mut buffer = fragment();
    seal_reply(&key, &mut buffer).unwrap();
    let key = ReplyKey::from_bytes(secret([5; 16]));
    let digest = key.digest();
    assert!(is_secret(digest.as_bytes()));
    let fragment = open_reply(&key, &mut buffer).unwrap();
    assert!(is_secret(fragment));
    publish(fragment);
    FragmentHeader::decode(fragment).unwrap();
}

fn ack() {
    let mut open_stream = Entropy::new([1; 32]).stream(Purpose::Packets);
    let sealed = seal_ack(&AckKey::from_bytes([4; 16]), &ack_id(), &mut open_stream);
    black_box(open_ack(&AckKey::from_bytes(secret([4; 16])), &sealed));
}

// ---- a node --------------------------------------------------------------------------------------

fn removed(hops: &[Hop], node: u8) {
    let mut open_stream = Entropy::new([1; 32]).stream(Purpose::Packets);
    let mut packet = vec![7; SIZE.packet_len()];
    let destination = IdentityKeyPair::from_seed(&[9; 32]);
    SphinxBuilder::new()
        .build_packet(
            hops,
            &DELAYS[..hops.len()],
            destination.public(),
            SIZE.plaintext_len(),
            &mut packet,
            &mut open_stream,
        )
        .unwrap();
    let peeler = SphinxPeeler::default();
    let opened = peeler.open(&secret_private(node), &packet).unwrap();
    black_box(peeler.peel(opened, &mut packet).unwrap());
    assert!(is_secret(&packet[HEADER_SIZE..]));
}

fn hop_forward() {
    removed(&hops(), 1);
}

fn hop_last() {
    removed(&hops()[..1], 1);
}

// ---- the gateway ---------------------------------------------------------------------------------

fn frames() {
    let key = SharedKey::from_bytes(secret([3; 32]));
    let hop = NodeAddress::new(([10, 0, 0, 1], 1789).into());
    let mut frame = ForwardFrame::new(VERSION, KeyRotation::Odd, hop, SIZE);
    taint(frame.packet_mut());
    let sealed = frame.seal(&key, [1; 12]);
    assert!(is_secret(&sealed[FRAME_PREFIX..]));
    publish(&sealed);
    let request = ForwardRequest::open(&key, BytesMut::from(&sealed[..])).unwrap();
    assert!(is_secret(request.packet()));

    let sealed = seal_push(&key, [2; 12], &secret([9; 300]));
    publish(&sealed);
    let pushed = open_push(&key, BytesMut::from(&sealed[..])).unwrap();
    assert!(is_secret(&pushed));
}

fn identity() {
    let pair = pair(3);
    assert!(is_secret(&pair.sign(b"message")));
    assert!(is_secret(secret_private(4).public().as_bytes()));
}

fn registration() {
    let (client, gateway) = (pair(3), pair(4));
    let randomness = |seed: u8| HandshakeRandomness {
        ephemeral: secret([seed; 32]),
        salt: [seed; 16],
        nonce: [seed; 12],
    };
    let (at_client, text) =
        ClientHandshake::start_with(&client, gateway.public(), VERSION, randomness(5));
    let init = payload(&text);
    let (at_gateway, text) = GatewayHandshake::accept_with(&gateway, &init, randomness(6)).unwrap();
    let (at_client, text) = at_client.handle(&payload(&text)).unwrap();
    let (registered, text) = at_gateway.handle(&payload(&text)).unwrap();
    assert!(is_secret(registered.shared_key.as_bytes()));
    let established = at_client.handle(&payload(&text)).unwrap();
    assert!(is_secret(established.shared_key.as_bytes()));
}

/// The message in a text, which both sides and whoever listens can see.
fn payload(text: &str) -> HandshakePayload {
    publish(text.as_bytes());
    let (_, data) = text.split_once("\"data\":[").unwrap();
    let data = data.trim_end_matches("]}").split(',').map(|byte| byte.parse().unwrap());
    HandshakePayload { protocol_version: VERSION.get(), data: data.collect() }
}

fn authentication() {
    let identity = pair(3);
    let key = SharedKey::from_bytes(secret([3; 32]));
    let now = nym_proto::time::UnixTime::from_secs(1_700_000_000);
    let request = AuthenticateRequest::new(&identity, &key, VERSION, now.as_secs(), [1; 12]);
    let verified = request.verify(now).unwrap();
    black_box(verified.authenticate(&key, None).unwrap());
}
