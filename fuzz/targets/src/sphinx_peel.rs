//! What a node does with a packet, and SURBs of strangers. (protocol: sphinx 6, 9)

use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::message::ReplySurb;
use nym_proto::sphinx::{
    Delay, HEADER_SIZE, Hop, PLAINTEXT_OFFSET, PacketBuilder as _, PacketPeeler as _, PacketSize,
    Peeled, SphinxBuilder, SphinxPeeler, Surb,
};

use crate::input::{Input, Script};
use crate::net::node_address;

const RAW: u8 = 0;
const DAMAGED: u8 = 1;
const SURB: u8 = 2;
const REPLY_SURB: u8 = 3;
const TEXT: &[u8] = b"in good order";

fn stream() -> Stream {
    Entropy::new([41; 32]).stream(Purpose::Packets)
}

fn node_key(hop: usize) -> PrivateKey {
    PrivateKey::from_bytes([50 + hop as u8; 32])
}

fn route(hops: usize) -> (Vec<Hop>, Vec<Delay>) {
    let hop = |i: usize| Hop { address: node_address(i as u8), key: node_key(i).public() };
    ((0..hops).map(hop).collect(), (0..hops as u64).map(Delay::from_nanos).collect())
}

fn destination() -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[42; 32])
}

fn packet(hops: usize, size: PacketSize) -> Vec<u8> {
    let (route, delays) = route(hops);
    let mut packet = vec![0; size.packet_len()];
    packet[PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + TEXT.len()].copy_from_slice(TEXT);
    let to = *destination().public();
    let len = TEXT.len();
    SphinxBuilder::new()
        .build_packet(&route, &delays, &to, len, &mut packet, &mut stream())
        .unwrap();
    packet
}

/// Damage to a header is noticed by the next node, damage to a payload by the last.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        RAW => {
            let mut packet = input.rest().to_vec();
            let length = packet.len();
            let _ = peel(0, &mut packet);
            assert_eq!(packet.len(), length);
        }
        DAMAGED => damaged(&mut input),
        SURB => surb(input.rest()),
        _ => reply_surb(input.rest()),
    }
}

fn peel(hop: usize, packet: &mut [u8]) -> Result<Peeled, nym_proto::sphinx::PeelError> {
    let peeler = SphinxPeeler::default();
    let before = packet.to_vec();
    let opened = peeler.open(&node_key(hop), packet)?;
    assert!(before == packet, "opening changes nothing");
    peeler.peel(opened, packet)
}

fn damaged(input: &mut Input<'_>) {
    let hops = 1 + input.below(5);
    let size = PacketSize::ALL[input.below(3)];
    let at = input.below(hops);
    let mut packet = packet(hops, size);
    for hop in 0..at {
        let next = node_address(hop as u8 + 1);
        let delay = Delay::from_nanos(hop as u64);
        assert_eq!(peel(hop, &mut packet), Ok(Peeled::Forward { next, delay }));
    }
    let before = packet.clone();
    input.damage(&mut packet);
    let is_header_same = packet.len() >= HEADER_SIZE && is_same_header(&packet, &before);
    let is_same = packet == before;
    for hop in at..hops {
        match peel(hop, &mut packet) {
            Ok(Peeled::Forward { next, .. }) => {
                assert!(is_header_same && hop + 1 < hops);
                assert_eq!(next, node_address(hop as u8 + 1));
            }
            Ok(Peeled::Final { destination: to, plaintext }) => {
                assert!(is_header_same && hop + 1 == hops);
                // a payload of this size is encrypted as a whole: no bit can be changed unnoticed
                let is_payload_same = &packet[plaintext] == TEXT;
                assert!(is_payload_same);
                assert_eq!(to, *destination().public().as_bytes());
            }
            Err(_) => {
                assert!(!is_same, "an intact packet is refused");
                return;
            }
        }
    }
}

/// The highest bit of the public element is not looked at.
fn is_same_header(a: &[u8], b: &[u8]) -> bool {
    let masked = |bytes: &[u8]| {
        let mut header = bytes[..HEADER_SIZE].to_vec();
        header[31] &= 0x7f;
        header
    };
    masked(a) == masked(b)
}

fn surb(bytes: &[u8]) {
    let Ok(surb) = Surb::decode(bytes) else {
        return;
    };
    let mut out = Vec::new();
    surb.encode(&mut out);
    assert_eq!(out.len(), surb.encoded_len());
    assert_eq!(out.len(), bytes.len());
    let first_hop = surb.first_hop();
    let size = PacketSize::Ack;
    let mut packet = vec![1; size.packet_len()];
    SphinxBuilder::new().use_surb(surb, 5, &mut packet).unwrap();
    let again = Surb::decode(&out).unwrap();
    assert_eq!(again.first_hop(), first_hop);
    assert_eq!(&packet[..HEADER_SIZE], again.header());
}

fn reply_surb(bytes: &[u8]) {
    if let Ok(surb) = ReplySurb::decode(bytes) {
        let mut out = Vec::new();
        surb.encode(&mut out);
        assert_eq!(out.len(), surb.encoded_len());
        let text = surb.to_base58();
        let mut again = Vec::new();
        ReplySurb::from_base58(&text).unwrap().encode(&mut again);
        assert_eq!(again, out);
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = ReplySurb::from_base58(text);
    }
}

/// Packets, whole and damaged, at each hop; SURBs of both forms.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Script::new().byte(RAW).raw(packet(1, PacketSize::Ack)).finish()];
    for hops in 0..5 {
        let script = Script::new().byte(DAMAGED).byte(hops).byte(0);
        seeds.push(script.clone().byte(0).byte(0).finish());
        let header = script.clone().byte(hops).byte(1).byte(0).short(33);
        seeds.push(header.byte(1).finish());
        let payload = script.byte(hops / 2).byte(1).byte(0).short(370);
        seeds.push(payload.byte(0x40).finish());
    }
    let (hops, delays) = route(4);
    let surb = SphinxBuilder::new()
        .make_surb(&hops, &delays, destination().public(), &mut stream())
        .unwrap();
    let mut bytes = Vec::new();
    surb.encode(&mut bytes);
    seeds.push(Script::new().byte(SURB).raw(&bytes).finish());
    seeds.push(Script::new().byte(REPLY_SURB).raw([6; 16]).raw(&bytes).finish());
    bytes.truncate(380);
    bytes.extend([3; 192]);
    seeds.push(Script::new().byte(SURB).raw(&bytes).finish());
    seeds.push(Script::new().byte(REPLY_SURB).raw([6; 16]).raw(&bytes).finish());
    let text = ReplySurb::decode(&[&[6; 16][..], &bytes].concat()).unwrap().to_base58();
    seeds.push(Script::new().byte(REPLY_SURB).raw(text).finish());
    seeds
}
