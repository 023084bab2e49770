//! The packet layer against the recorded vectors: every entry of the keys named in each test.

use std::time::Duration;

use nym_proto::address::NodeAddress;
use nym_proto::identity::{PrivateKey, PublicKey};
use nym_proto::sphinx::{
    Delay, FrameDecoder, FrameHeader, HEADER_SIZE, HOPS_MAX, HeaderInputs, Hop, KeyRotation,
    OVERHEAD, PLAINTEXT_OFFSET, PacketBuilder, PacketPeeler, PacketSize, PeelError, Peeled,
    SphinxBuilder, SphinxPeeler, Surb, SurbKeys,
};
use nym_proto::time::UnixTime;
use nym_proto::topology::directory::KeyRotationInfo;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

#[test]
fn sizes_match_constants() {
    let v = &sphinx()["constants"];
    assert_eq!(v["header_size"], HEADER_SIZE);
    assert_eq!(v["max_path_length"], HOPS_MAX);
    assert_eq!(v["payload_overhead"], OVERHEAD - HEADER_SIZE);
    assert_eq!(list(&v["packet_sizes"]).len(), PacketSize::ALL.len());
    for case in list(&v["packet_sizes"]) {
        let size = PacketSize::from_tag(number(&case["tag"]) as u8).unwrap();
        assert_eq!(size, size_named(&case["name"]));
        assert_eq!(case["size"], size.packet_len());
        assert_eq!(case["payload_size"], size.payload_len());
        assert_eq!(case["plaintext_size"], size.plaintext_len());
        assert_eq!(case["wire_frame_v7"], size.packet_len() + 3);
        assert_eq!(case["wire_frame_v8"], size.packet_len() + FrameHeader::SIZE);
        assert_eq!(PacketSize::from_packet_len(size.packet_len()), Some(size));
    }
}

#[test]
fn sizes_match_sizes_of_the_gateway_vectors() {
    let v = &gateway()["sizes"];
    assert_eq!(v["sphinx_header"], HEADER_SIZE);
    assert_eq!(v["sphinx_payload_overhead"], OVERHEAD - HEADER_SIZE);
    for case in list(&v["packets"]) {
        let size = size_named(&case["name"]);
        assert_eq!(case["tag"], size.tag());
        assert_eq!(case["plaintext_len"], size.plaintext_len());
        assert_eq!(case["sphinx_packet_len"], size.packet_len());
    }
}

#[test]
fn every_packet_is_rebuilt_byte_for_byte() {
    for case in list(&sphinx()["sphinx_packets"]) {
        let route = Route::of(case);
        let mut packet = buffer(&case["message"], number(&case["packet_len"]) as usize);
        let message = bytes(&case["message"]);

        let built = route.inputs(case).build_packet(message.len(), &mut packet);

        assert_eq!(built, Ok(()), "{}", case["name"]);
        assert_eq!(packet[..HEADER_SIZE], bytes(&case["header"]));
        assert_eq!(packet, bytes(&case["packet"]), "{}", case["name"]);
    }
}

#[test]
fn every_packet_is_peeled_hop_by_hop() {
    for case in list(&sphinx()["sphinx_packets"]) {
        let mut packet = bytes(&case["packet"]);
        for hop in list(&case["hops"]) {
            peel_and_compare(hop, &mut packet).unwrap();
        }
        assert_eq!(list(&case["hops"]).len(), list(&case["route"]).len());
    }
}

#[test]
fn every_rejected_packet_is_dropped_for_the_named_reason() {
    for case in list(&sphinx()["sphinx_rejections"]["rejected"]) {
        let (error, kind) = match case.get("packet") {
            Some(packet) => {
                let mut packet = bytes(packet);
                let error = peel(&case["node_private_key"], &mut packet).unwrap_err();
                (error, &case["error_kind"])
            }
            None => {
                let mut packet = bytes(&case["packet_before_first_hop"]);
                let (last, forward) = list(&case["node_private_keys"]).split_last().unwrap();
                for key in forward {
                    assert!(matches!(peel(key, &mut packet), Ok(Peeled::Forward { .. })));
                }
                assert_eq!(packet, bytes(&case["packet_before_last_hop"]));
                let error = peel(last, &mut packet).unwrap_err();
                (error, &case["error_kind_at_last_hop"])
            }
        };
        let as_expected = match kind.as_str().unwrap() {
            "InvalidHeader" => error == PeelError::Mac,
            "InvalidPacket" => matches!(error, PeelError::Length(0..=364)),
            // a payload too short for the cipher is noticed by the length of the packet
            "InvalidPayload" => {
                matches!(error, PeelError::Payload | PeelError::Length(365..=380))
            }
            "InvalidRouting" => matches!(error, PeelError::Flag(0 | 3)),
            other => panic!("{other}"),
        };
        assert!(as_expected, "{}: {error}, expected {kind}", case["why"]);
    }
}

#[test]
fn a_packet_of_an_unknown_version_is_peeled() {
    let case = &sphinx()["sphinx_rejections"]["accepted_unknown_version_999"];
    let mut packet = bytes(&case["packet"]);
    let (last, forward) = list(&case["node_private_keys"]).split_last().unwrap();
    for key in forward {
        assert!(matches!(peel(key, &mut packet), Ok(Peeled::Forward { .. })));
    }
    let Ok(Peeled::Final { plaintext, .. }) = peel(last, &mut packet) else { panic!() };
    assert_eq!(packet[plaintext], bytes(&case["message"]));
}

#[test]
fn every_surb_is_decoded_and_encoded_again() {
    for case in list(&sphinx()["surbs"]) {
        let encoded = bytes(&case["surb"]);
        let surb = Surb::decode(&encoded).unwrap();
        assert_eq!(surb.first_hop(), address(&case["route"][0]["address"]));
        assert_eq!(surb.header()[..], encoded[..HEADER_SIZE]);
        assert_eq!(case["surb_len"], surb.encoded_len());
        assert_eq!(encode(&surb), encoded);
    }
}

#[test]
fn every_surb_is_made_again_byte_for_byte() {
    for case in list(&sphinx()["surbs"]) {
        let route = Route::of(case);
        let mut surb = route.inputs(case).make_surb().unwrap();
        assert_eq!(surb.keys().len(), list(&case["route"]).len());
        if case["version"] == 260 {
            // these carry the last seed only
            let SurbKeys::Seeds([.., last]) = surb.keys() else { panic!() };
            let last = SurbKeys::Seeds(core::slice::from_ref(last));
            surb = Surb::new(*surb.header(), surb.first_hop(), last).unwrap();
        }
        assert_eq!(encode(&surb), bytes(&case["surb"]), "{}", case["name"]);
    }
}

#[test]
fn every_surb_is_used_and_its_packet_peeled_hop_by_hop() {
    for case in list(&sphinx()["surbs"]) {
        let surb = Surb::decode(&bytes(&case["surb"])).unwrap();
        let used = &case["use"];
        let size = HEADER_SIZE + number(&used["payload_size"]) as usize;
        let first_hop = surb.first_hop().to_padded::<32>();
        let mut packet = buffer(&used["message"], size);

        SphinxBuilder::new().use_surb(surb, bytes(&used["message"]).len(), &mut packet).unwrap();

        assert_eq!(first_hop[..], bytes(&used["first_hop"]));
        assert_eq!(packet, bytes(&used["packet"]), "{}", case["name"]);
        let (last, forward) = list(&case["hops"]).split_last().unwrap();
        for hop in forward {
            peel_and_compare(hop, &mut packet).unwrap();
        }
        let peeled = peel_and_compare(last, &mut packet);
        // only its creator can unseal the payload of a version 260 SURB
        let sealed = (case["version"] == 260).then_some(PeelError::Payload);
        assert_eq!(peeled.err(), sealed, "{}", case["name"]);
    }
}

#[test]
fn node_addresses_match_both_sets_of_vectors() {
    let (sphinx, gateway) = (sphinx(), gateway());
    let ours = &sphinx["node_addresses"];
    let valid = list(&ours["valid"]).iter();
    let valid = valid.map(|case| (case, "address_utf8", "unpadded"));
    let theirs = list(&gateway["node_addresses"]).iter();
    let theirs = theirs.map(|case| (case, "address", "bytes"));
    for (case, text, unpadded) in valid.chain(theirs) {
        let address = address(&case[text]);
        assert_eq!(address.to_padded::<19>()[..], bytes(&case["padded_19"]));
        assert_eq!(address.to_padded::<32>()[..], bytes(&case["padded_32"]));
        let unpadded = bytes(&case[unpadded]);
        assert_eq!(address.to_padded::<32>()[..address.encoded_len()], unpadded);
        assert_eq!(NodeAddress::decode(&unpadded), Ok(address));
        let padded = NodeAddress::decode(&bytes(&case["padded_32"]));
        assert_eq!(padded, Ok(address));
    }
    for case in list(&ours["invalid"]) {
        assert!(NodeAddress::decode(&bytes(&case["bytes"])).is_err());
    }
    let trailing = &ours["trailing_bytes_ignored"];
    let decoded = NodeAddress::decode(&bytes(&trailing["bytes"]));
    assert_eq!(decoded, Ok(address(&trailing["address_utf8"])));
}

#[test]
fn every_frame_is_written_and_read_as_recorded() {
    for case in list(&sphinx()["framing"]["frames"]) {
        let size = size_named(&case["packet_size"]);
        let header = bytes(&case["header"]);
        // of the long frames only the header is recorded
        let recorded = case.get("frame").map(bytes);
        let frame = recorded.clone().unwrap_or_else(|| {
            let packet = vec![0x5a; size.packet_len()];
            [header.clone(), packet].concat()
        });
        assert_eq!(case["frame_len"], frame.len());
        if recorded.is_some() {
            assert_eq!(sha256(&frame), bytes(&case["frame_sha256"]));
        }
        let rotation = number(&case["key_rotation_decoded"]) as u8;
        let rotation = KeyRotation::from_byte(rotation).unwrap();
        if case["frame_version"] == 8 {
            assert_eq!(FrameHeader { size, rotation }.to_bytes()[..], header);
        }

        let mut decoder = FrameDecoder::new();
        assert!(decoder.push(&frame).is_empty());
        let decoded = decoder.next_frame().unwrap().unwrap();

        assert_eq!((decoded.size, decoded.rotation), (size, rotation));
        assert_eq!(decoded.packet, &frame[header.len()..]);
        assert_eq!(decoder.next_frame(), Ok(None));
    }
}

#[test]
fn every_rejected_frame_header_is_an_error() {
    for case in list(&sphinx()["framing"]["rejected_headers"]) {
        let mut decoder = FrameDecoder::new();
        assert!(decoder.push(&bytes(&case["header"])).is_empty());
        assert!(decoder.next_frame().is_err(), "{}", case["why"]);
    }
}

#[test]
fn key_rotations_match_the_vectors() {
    let v = &sphinx()["key_rotation"];
    for case in list(&v["rotation_id_to_byte"]) {
        let rotation = KeyRotation::of_id(number(&case["rotation_id"]) as u32);
        assert_eq!(case["wire_byte"], rotation.to_byte());
        assert_eq!(KeyRotation::from_byte(rotation.to_byte()), Some(rotation));
    }
    for case in list(&v["epoch_to_rotation"]) {
        let number = |key: &str| number(&case[key]) as u32;
        let info = KeyRotationInfo {
            validity_epochs: number("validity_epochs"),
            initial_epoch_id: number("initial_epoch"),
            current_epoch_id: 0,
            current_epoch_start: UnixTime::from_secs(0),
            epoch_duration: Duration::from_secs(3600),
        };
        let id = info.rotation_of(number("epoch"));
        assert_eq!(case["rotation_id"], id);
    }
}

#[test]
fn packets_of_the_gateway_vectors_are_unwrapped_at_the_last_hop() {
    for case in list(&gateway()["final_hop"]) {
        let mut packet = bytes(&case["sphinx_packet"]);
        let peeled = peel(&case["gateway_sphinx_private"], &mut packet).unwrap();
        let Peeled::Final { destination, plaintext } = peeled else { panic!("{}", case["name"]) };
        assert_eq!(destination[..], bytes(&case["destination"]));
        assert_eq!(packet[plaintext], bytes(&case["unwrapped_plaintext"]));
    }
}

/// A route of the vectors, in the form the builder takes.
struct Route {
    hops: Vec<Hop>,
    delays: Vec<Delay>,
}

impl Route {
    fn of(case: &Value) -> Self {
        let hop = |node: &Value| Hop {
            address: address(&node["address"]),
            key: PublicKey::from_bytes(array(&node["sphinx_public_key"])),
        };
        let delay = |nanos: &Value| Delay::from_nanos(number(nanos));
        Self {
            hops: list(&case["route"]).iter().map(hop).collect(),
            delays: list(&case["delays_ns"]).iter().map(delay).collect(),
        }
    }

    fn inputs(&self, case: &Value) -> HeaderInputs<'_> {
        let padding = bytes(&case["final_padding"]);
        assert_eq!(padding.len(), HeaderInputs::padding_len(self.hops.len()));
        let mut final_padding = [0; 248];
        final_padding[..padding.len()].copy_from_slice(&padding);
        HeaderInputs {
            version: number(&case["version"]) as u16,
            route: &self.hops,
            delays: &self.delays,
            destination: array(&case["destination"]),
            identifier: array(&case["identifier"]),
            initial_secret: array(&case["initial_secret"]),
            final_padding,
        }
    }
}

fn peel(private_key: &Value, packet: &mut [u8]) -> Result<Peeled, PeelError> {
    let key = PrivateKey::from_bytes(array(private_key));
    let opened = SphinxPeeler::default().open(&key, packet)?;
    SphinxPeeler::default().peel(opened, packet)
}

/// Peels one layer and compares all that is recorded of it.
fn peel_and_compare(hop: &Value, packet: &mut [u8]) -> Result<(), PeelError> {
    let node = &hop["node"];
    let key = PrivateKey::from_bytes(array(&node["sphinx_private_key"]));
    assert_eq!(*key.public().as_bytes(), array(&node["sphinx_public_key"]));
    assert_eq!(packet[..32], bytes(&hop["keys"]["alpha"]));

    let opened = SphinxPeeler::default().open(&key, packet)?;
    assert_eq!(opened.secret().unwrap()[..], bytes(&hop["keys"]["expanded_288"]));
    assert_eq!(opened.replay_tag().0[..], bytes(&hop["keys"]["replay_tag"]));
    match SphinxPeeler::default().peel(opened, packet)? {
        Peeled::Forward { next, delay } => {
            assert_eq!(hop["flag"], 1);
            assert_eq!(next.to_padded::<32>()[..], bytes(&hop["next_hop_address"]));
            assert_eq!(hop["delay_ns"], delay.as_nanos());
            if let Some(outgoing) = hop.get("outgoing_packet") {
                assert_eq!(packet, bytes(outgoing));
            }
            assert_eq!(sha256(packet), bytes(&hop["outgoing_packet_sha256"]));
        }
        Peeled::Final { destination, plaintext } => {
            assert_eq!(hop["flag"], 2);
            assert_eq!(destination[..], bytes(&hop["destination"]));
            assert_eq!(plaintext.start, PLAINTEXT_OFFSET);
            assert_eq!(packet[plaintext], bytes(&hop["recovered_plaintext"]));
            let payload = sha256(&packet[HEADER_SIZE..]);
            assert_eq!(payload, bytes(&hop["unwrapped_payload_sha256"]));
        }
    }
    Ok(())
}

/// A packet buffer with the message where the plaintext belongs and rubbish elsewhere.
fn buffer(message: &Value, size: usize) -> Vec<u8> {
    let message = bytes(message);
    let mut packet = vec![0xa5; size];
    packet[PLAINTEXT_OFFSET..][..message.len()].copy_from_slice(&message);
    packet
}

fn encode(surb: &Surb) -> Vec<u8> {
    let mut out = Vec::new();
    surb.encode(&mut out);
    out
}

fn size_named(name: &Value) -> PacketSize {
    match name.as_str().unwrap() {
        "ack" => PacketSize::Ack,
        "regular" => PacketSize::Regular,
        "extended8" => PacketSize::Extended8,
        "extended16" => PacketSize::Extended16,
        "extended32" => PacketSize::Extended32,
        other => panic!("{other}"),
    }
}

fn address(text: &Value) -> NodeAddress {
    NodeAddress::new(text.as_str().unwrap().parse().unwrap())
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn sphinx() -> Value {
    serde_json::from_str(include_str!("../../vectors/sphinx.json")).unwrap()
}

fn gateway() -> Value {
    serde_json::from_str(include_str!("../../vectors/gateway.json")).unwrap()
}
