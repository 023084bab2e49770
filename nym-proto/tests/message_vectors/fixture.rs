//! The vectors, the network they were made for, and what several tests do with packets.

use std::sync::LazyLock;

use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::identity::{AckKey, IdentityKey, PrivateKey, PublicKey};
use nym_proto::message::*;
use nym_proto::sphinx::{
    Delay, HeaderInputs, Hop, PLAINTEXT_OFFSET, PacketBuilder as _, PacketPeeler as _, PacketSize,
    Peeled, SphinxBuilder, SphinxPeeler,
};
use nym_proto::time::Instant;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) fn vectors() -> &'static Value {
    static VECTORS: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../../vectors/sphinx.json")).unwrap()
    });
    &VECTORS
}

/// A list with at least one entry, so that no loop over it is empty.
pub(crate) fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub(crate) fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// The content of the vectors' messages (their `message_pattern`).
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| ((31 * i + 7 * (i / 256) + 11) % 256) as u8).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn encoded(header: &FragmentHeader) -> Vec<u8> {
    let mut out = vec![0; header.encoded_len()];
    header.encode(&mut out);
    out
}

pub(crate) fn unpadded(padded: &[u8]) -> Result<Vec<u8>, PaddingError> {
    unpad(padded).map(|len| padded[..len].to_vec())
}

/// The data of a plain message.
pub(crate) fn plain(message: &[u8]) -> Vec<u8> {
    match Envelope::decode(message.to_vec().into()).unwrap() {
        Envelope::Plain(data) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// The data of a reply.
pub(crate) fn reply_data(message: &[u8]) -> Vec<u8> {
    match Envelope::decode(message.to_vec().into()).unwrap() {
        Envelope::Reply(ReplyContent::Data(data)) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// What a repliable message from the holder of `tag` carries.
pub(crate) fn parts(message: &[u8], tag: SenderTag) -> (RepliableKind, SurbList, Vec<u8>) {
    let envelope = Envelope::decode(message.to_vec().into()).unwrap();
    let Envelope::Repliable { tag: sender, content } = envelope else {
        panic!("{envelope:?}");
    };
    assert_eq!(sender, tag);
    match content {
        RepliableContent::Data { surbs, data } => (RepliableKind::Data, surbs, data.to_vec()),
        RepliableContent::AdditionalSurbs(surbs) => {
            (RepliableKind::AdditionalSurbs, surbs, Vec::new())
        }
        RepliableContent::Heartbeat(surbs) => (RepliableKind::Heartbeat, surbs, Vec::new()),
    }
}

pub(crate) fn surb_bytes(surb: &ReplySurb) -> Vec<u8> {
    let mut out = Vec::new();
    surb.encode(&mut out);
    out
}

pub(crate) fn address(client: &str) -> Recipient {
    let client = &vectors()["network_fixture"][client];
    text(&client["address_utf8"]).parse().unwrap()
}

pub(crate) fn ack_key(client: &str) -> AckKey {
    AckKey::from_bytes(array(&vectors()["network_fixture"][client]["ack_key"]))
}

pub(crate) fn encryption_key(client: &str) -> PrivateKey {
    let client = &vectors()["network_fixture"][client];
    PrivateKey::from_bytes(array(&client["encryption_private_key"]))
}

/// The node with the given address, and its Sphinx key.
fn node(address: &str) -> (Hop, PrivateKey) {
    let nodes = ["layer1", "layer2", "layer3", "gateway_a", "gateway_b"];
    let fixture = &vectors()["network_fixture"];
    let name = nodes.into_iter().find(|name| fixture[name]["address"] == address);
    let node = &fixture[name.unwrap()];
    let parsed = NodeAddress::new(address.parse().unwrap());
    assert_eq!(parsed.to_padded::<32>()[..], bytes(&node["address_bytes"]));
    let hop =
        Hop { address: parsed, key: PublicKey::from_bytes(array(&node["sphinx_public_key"])) };
    (hop, PrivateKey::from_bytes(array(&node["sphinx_private_key"])))
}

/// The route and the delays of a packet or SURB.
pub(crate) fn route(case: &Value) -> (Vec<Hop>, Vec<Delay>) {
    let hops = list(&case["route"]).iter().map(|hop| node(text(hop)).0);
    let delays = list(&case["delays_ns"]).iter().map(|ns| delay(number(ns)));
    (hops.collect(), delays.collect())
}

fn delay(nanos: usize) -> Delay {
    Delay::from_nanos(nanos as u64)
}

/// The header of a packet or SURB, with its randomness.
pub(crate) fn inputs<'a>(
    case: &Value,
    route: &'a [Hop],
    delays: &'a [Delay],
    destination: &IdentityKey,
) -> HeaderInputs<'a> {
    let padding = bytes(&case["final_padding"]);
    let mut final_padding = [0; 248];
    final_padding[..padding.len()].copy_from_slice(&padding);
    HeaderInputs {
        version: number(&case["version"]) as u16,
        route,
        delays,
        destination: *destination.as_bytes(),
        identifier: [0; 16],
        initial_secret: array(&case["initial_secret"]),
        final_padding,
    }
}

/// A packet that holds `plaintext`, which its size is chosen for, not built yet.
fn laid_out(plaintext: &[u8]) -> Vec<u8> {
    let mut sizes = PacketSize::ALL.into_iter();
    let size = sizes.find(|size| size.plaintext_len() == plaintext.len());
    let mut packet = vec![0; size.unwrap().packet_len()];
    packet[PLAINTEXT_OFFSET..][..plaintext.len()].copy_from_slice(plaintext);
    packet
}

/// Builds a packet with the randomness of `case`.
pub(crate) fn build(case: &Value, destination: &IdentityKey, plaintext: &[u8]) -> Vec<u8> {
    let (hops, delays) = route(case);
    let mut packet = laid_out(plaintext);
    inputs(case, &hops, &delays, destination).build_packet(plaintext.len(), &mut packet).unwrap();
    packet
}

/// Builds the ack of `client` that `case` describes, checks every stage of it and brings it home.
pub(crate) fn rebuild_ack(case: &Value, client: &str) -> Vec<u8> {
    let key = AckKey::from_bytes(array(&case["ack_key"]));
    assert_eq!(key, ack_key(client));
    let id = AckId::from_bytes(&array(&case["fragment_id"])).unwrap();
    let content = seal_ack_with(&array(&case["iv"]), &key, &id);
    assert_eq!(content[..], bytes(&case["ack_plaintext_21"]));

    let (hops, delays) = route(case);
    let path = Path { hops: &hops, delays: &delays };
    let expected_ns = number(&case["expected_total_delay_ns"]);
    assert_eq!(path.expected().as_nanos(), expected_ns as u128);

    let packet = build(case, &address(client).identity, &content);
    let mut surb_ack = hops[0].address.to_padded::<19>().to_vec();
    surb_ack.extend_from_slice(&packet);
    assert_eq!(surb_ack, bytes(&case["surb_ack_405"]));
    assert_eq!(open_ack(&key, &walk_ack(&surb_ack, &case["hops"])), Some(id));
    surb_ack
}

/// Takes an ack, as a packet carries it, through all its hops and returns its content.
pub(crate) fn walk_ack(surb_ack: &[u8], hops: &Value) -> Vec<u8> {
    let (first, packet, rest) = split_final(surb_ack).unwrap();
    assert!(rest.is_empty());
    assert_eq!(first.to_string(), text(&hops[0]["node"]));
    walk(packet, hops)
}

/// Takes a packet through `hops`, checks what each of them learns and returns the plaintext.
pub(crate) fn walk(packet: &[u8], hops: &Value) -> Vec<u8> {
    let peeler = SphinxPeeler::default();
    let mut packet = packet.to_vec();
    for hop in list(hops) {
        let (_, key) = node(text(&hop["node"]));
        let opened = peeler.open(&key, &packet).unwrap();
        match peeler.peel(opened, &mut packet).unwrap() {
            Peeled::Forward { next, delay: held } => {
                assert_eq!(next.to_string(), text(&hop["next_hop"]));
                assert_eq!(held, delay(number(&hop["delay_ns"])));
            }
            Peeled::Final { destination, plaintext } => {
                assert_eq!(hop["final"], true);
                assert_eq!(destination[..], bytes(&hop["destination"]));
                return packet[plaintext].to_vec();
            }
        }
    }
    panic!("no hop was the last one");
}

/// The sum of the delays that hops were told, in nanoseconds.
pub(crate) fn expected(hops: &Value) -> usize {
    let delays = list(hops).iter().filter_map(|hop| hop.get("delay_ns"));
    delays.map(number).sum()
}

/// Builds a reply with `surb` from its known plaintext, brings it to the SURB's creator and
/// returns the fragment that it finds.
pub(crate) fn check_reply(case: &Value, surb: &Value, plaintext: &[u8]) -> Vec<u8> {
    let ReplySurb { key, surb } = ReplySurb::decode(&bytes(surb)).unwrap();
    assert_eq!(surb.first_hop().to_string(), text(&case["first_hop_utf8"]));
    let mut packet = laid_out(plaintext);
    SphinxBuilder::new().use_surb(surb, plaintext.len(), &mut packet).unwrap();
    assert_eq!(packet, bytes(&case["packet_2413"]));
    assert_eq!(walk(&packet, &case["hops"]), plaintext);

    let mut pushed = split_final(plaintext).unwrap().2.to_vec();
    assert_eq!(pushed, bytes(&case["delivered_to_client_1643"]));
    assert_eq!(reply_digest_of(&pushed), Some(key.digest()));
    let fragment = open_reply(&key, &mut pushed).unwrap().to_vec();
    assert_eq!(fragment, bytes(&case["fragment"]));
    fragment
}

/// Brings the packets of a captured message from alice to bob, and their acks back, and returns
/// the message.
pub(crate) fn captured(case: &Value, packet: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    let mut fragments = Vec::new();
    for case in list(&case["packets"]) {
        let plaintext = walk(&packet(case), &case["hops"]);
        let (_, _, pushed) = split_final(&plaintext).unwrap();
        assert_eq!(pushed, bytes(&case["delivered_to_client_1643"]));
        let mut pushed = pushed.to_vec();
        let fragment = open(&encryption_key("bob"), &mut pushed).unwrap();
        assert_eq!(fragment, bytes(&case["fragment"]));
        fragments.push(fragment.to_vec());

        let ack = walk_ack(&plaintext[..SURB_ACK_LEN], &case["ack_hops"]);
        assert_eq!(ack, bytes(&case["ack_delivered_21"]));
        let id = AckId::from_bytes(&array(&case["fragment_id"])).unwrap();
        assert_eq!(open_ack(&ack_key("alice"), &ack), Some(id));
    }
    reassembled(&fragments)
}

/// The message that `fragments`, all of it, make.
pub(crate) fn reassembled(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let mut last = Inserted::Incomplete;
    // the last one first
    for fragment in fragments.iter().rev() {
        assert_eq!(last, Inserted::Incomplete);
        let (header, payload) = FragmentHeader::decode(fragment).unwrap();
        last = reassembler.insert(Instant::START, Origin::Open, &header, payload);
    }
    match last {
        Inserted::Complete { message, fragments: count } => {
            assert_eq!(count, fragments.len());
            message
        }
        other => panic!("{other:?}"),
    }
}
