//! Every entry of `vectors/gateway.json`, and the client-to-gateway part of `vectors/sphinx.json`.

mod authenticate;
mod frames;
mod handshakes;
mod support;
mod texts;

use std::collections::BTreeSet;

use nym_proto::address::NodeAddress;
use nym_proto::gateway::{ForwardFrame, ProtocolVersion, SharedKey};
use nym_proto::identity::PrivateKey;
use nym_proto::sphinx::{HEADER_SIZE, OVERHEAD, PacketSize};
use support::{array, bytes, list, object, socket, text, uint, vectors};

/// Keys of gateway.json whose entries these tests go through, all of them.
const EXERCISED: &[&str] = &[
    "authenticate_v2",
    "authenticate_v2_reuse",
    "authenticate_v2_skew",
    "authenticate_v2_tampered",
    "binary_requests",
    "binary_requests_edge_cases",
    "encrypted_requests",
    "encrypted_responses",
    "handshakes",
    "json_authenticate_v2_parsing",
    "json_handshake_parsing",
    "json_request_parsing",
    "json_requests",
    "json_response_parsing",
    "json_responses",
    "key_derivation",
    "meta",
    "node_addresses",
    "pushed_messages",
    "sizes",
];

/// Keys of gateway.json that other tests go through.
const ELSEWHERE: &[(&str, &str)] = &[("final_hop", "needs peeling; see the Sphinx tests")];

/// Entries on which this crate deliberately decides otherwise: key, entry, why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    (
        "binary_requests_edge_cases",
        "unencrypted_with_12_skipped_bytes",
        "frames that are not encrypted are refused: nothing sends them (protocol: gateway 9.1)",
    ),
    (
        "authenticate_v2_tampered",
        "nonce of 11 bytes",
        "refused when the text is read instead of when it is checked; both end the connection",
    ),
    (
        "json_response_parsing",
        r#"{"type":"authenticate","protocol_version":null,"status":true,"bandwidth_remaining":0}"#,
        "a null version of an old gateway counts as missing (protocol: gateway 10.2)",
    ),
    (
        "json_response_parsing",
        r#"{"type":"somethingNew"}"#,
        "an unknown type is a response all the same (protocol: gateway 4)",
    ),
    (
        "json_response_parsing",
        r#"{"type":"handshakePayload","protocol_version":6,"data":[1]}"#,
        "one decoder reads handshake messages and responses",
    ),
    (
        "json_response_parsing",
        r#"{"type":"handshakeError","message":"m"}"#,
        "one decoder reads handshake messages and responses",
    ),
    (
        "json_handshake_parsing",
        r#"{"type":"handshakePayload","protocol_version":null,"data":[1]}"#,
        "a null version of an old gateway counts as missing (protocol: gateway 10.2)",
    ),
    (
        "handshakes",
        "client_proposes_6_gateway_answers_3",
        "the legacy stamp 3 is not adopted (protocol: gateway 5.6)",
    ),
    (
        "handshakes",
        "client_proposes_future_48_gateway_downgrades",
        "a client cannot propose 48 and proposes 6; the gateway's side is as recorded",
    ),
];

#[test]
fn every_key_of_the_file_is_exercised_here_or_listed_with_a_reason() {
    let file = vectors();
    let present: BTreeSet<&str> = object(&file).keys().map(String::as_str).collect();
    let mut known: BTreeSet<&str> = EXERCISED.iter().copied().collect();
    known.extend(ELSEWHERE.iter().map(|(key, _)| key));
    assert_eq!(known.len(), EXERCISED.len() + ELSEWHERE.len());
    assert_eq!(present, known);
}

#[test]
fn every_deliberate_difference_names_an_entry_of_the_file() {
    let file = vectors();
    for (key, entry, _) in DELIBERATE {
        let found =
            list(&file, key).iter().any(|case| case["name"] == *entry || case["text"] == *entry);
        assert!(found, "{key}: {entry}");
    }
}

#[test]
fn the_current_version_is_that_of_the_file() {
    let current = uint(&vectors()["meta"], "current_protocol_version");
    assert_eq!(current, u64::from(ProtocolVersion::CURRENT.get()));
}

#[test]
fn sizes_and_frame_lengths_are_those_of_the_file() {
    let file = vectors();
    let sizes = &file["sizes"];
    assert_eq!(uint(sizes, "sphinx_header"), HEADER_SIZE as u64);
    let overhead = OVERHEAD - HEADER_SIZE;
    assert_eq!(uint(sizes, "sphinx_payload_overhead"), overhead as u64);
    let surb_ack = uint(sizes, "surb_ack_len");
    let ack = NodeAddress::SIZE_MAX + PacketSize::Ack.packet_len();
    assert_eq!(surb_ack, ack as u64);

    let packets = list(sizes, "packets");
    assert_eq!(packets.len(), PacketSize::ALL.len());
    for case in packets {
        let size = PacketSize::from_tag(uint(case, "tag") as u8).unwrap();
        assert_eq!(uint(case, "sphinx_packet_len"), size.packet_len() as u64);
        assert_eq!(uint(case, "plaintext_len"), size.plaintext_len() as u64);
        let prefix = if size == PacketSize::Ack { 0 } else { surb_ack };
        let pushed = size.plaintext_len() as u64 - prefix;
        assert_eq!(uint(case, "pushed_message_len"), pushed);
        for (name, hop) in [
            ("binary_v2_request_len_ipv4", "127.0.0.1:1"),
            ("binary_v2_request_len_ipv6", "[::1]:1"),
        ] {
            let hop = NodeAddress::new(hop.parse().unwrap());
            let len = ForwardFrame::frame_len(ProtocolVersion::CURRENT, hop, size);
            assert_eq!(uint(case, name), len as u64);
        }
    }
}

#[test]
fn shared_keys_are_derived_and_used_as_recorded() {
    for case in list(&vectors(), "key_derivation") {
        let [a, b] = ["x25519_private_a", "x25519_private_b"]
            .map(|name| PrivateKey::from_bytes(array(case, name)));
        assert_eq!(a.public().as_bytes()[..], bytes(case, "x25519_public_a"));
        assert_eq!(b.public().as_bytes()[..], bytes(case, "x25519_public_b"));
        assert_eq!(a.agree(&b.public()).unwrap()[..], bytes(case, "dh"));

        let salt = array(case, "salt");
        let key = SharedKey::derive(&a, &b.public(), &salt).unwrap();
        assert_eq!(key, SharedKey::derive(&b, &a.public(), &salt).unwrap());
        assert_eq!(key.as_bytes()[..], bytes(case, "shared_key"));
        assert_eq!(*key.to_base58(), text(case, "shared_key_bs58"));
        let digest = blake3::hash(key.as_bytes());
        let recorded = bytes(case, "shared_key_blake3_digest");
        assert_eq!(digest.as_bytes()[..], recorded);
        // the PRK is not exposed, but expanding the recorded one must give the same key
        let expanded = hmac_blake3(&bytes(case, "prk"), &[1]);
        assert_eq!(expanded, *key.as_bytes());

        let nonce = array(case, "nonce");
        let mut sealed = bytes(case, "plaintext");
        key.seal(&nonce, &mut sealed);
        assert_eq!(sealed, bytes(case, "ciphertext_and_tag"));
        let opened = key.open(&nonce, &mut sealed).unwrap();
        assert_eq!(*opened, bytes(case, "plaintext"));
        let mut empty = Vec::new();
        key.seal(&nonce, &mut empty);
        assert_eq!(empty, bytes(case, "empty_plaintext_ciphertext_and_tag"));
    }
}

#[test]
fn node_addresses_are_encoded_as_recorded() {
    for case in list(&vectors(), "node_addresses") {
        let address = socket(case, "address");
        let unpadded = bytes(case, "bytes");
        assert_eq!(unpadded.len(), address.encoded_len());
        assert_eq!(NodeAddress::decode(&unpadded), Ok(address));
        assert!(NodeAddress::decode(&unpadded[..unpadded.len() - 1]).is_err());
        assert_eq!(address.to_padded::<19>()[..], bytes(case, "padded_19"));
        assert_eq!(address.to_padded::<32>()[..], bytes(case, "padded_32"));
        assert_eq!(address.to_padded::<32>()[..unpadded.len()], unpadded);
    }
}

fn is_deliberate(key: &str, entry: &str) -> bool {
    DELIBERATE.iter().any(|(in_key, name, _)| *in_key == key && *name == entry)
}

fn hmac_blake3(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(a, b)| *a ^= b);
        block
    };
    let inner = blake3::hash(&[&pad(0x36)[..], message].concat());
    *blake3::hash(&[&pad(0x5c)[..], inner.as_bytes()].concat()).as_bytes()
}
