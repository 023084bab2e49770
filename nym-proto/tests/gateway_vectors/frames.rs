//! Binary frames.

use bytes::BytesMut;
use nym_proto::gateway::{
    ForwardFrame, ForwardRequest, FrameError, ProtocolVersion, SharedKey, open_push, seal_push,
};
use nym_proto::sphinx::{KeyRotation, PacketSize};

use crate::is_deliberate;
use crate::support::{array, bytes, list, read, socket, text, uint, vectors};

#[test]
fn forward_requests_are_made_and_read_as_recorded() {
    for case in list(&vectors(), "binary_requests") {
        let name = text(case, "name");
        let key = SharedKey::from_bytes(array(case, "shared_key"));
        let packet = bytes(case, "sphinx_packet");
        let size = PacketSize::from_packet_len(packet.len()).unwrap();
        let hop = socket(case, "next_hop");
        let (version, rotation) = match uint(case, "kind") {
            1 => (ProtocolVersion::GATEWAY_FLOOR, KeyRotation::Unknown),
            2 => {
                let byte = uint(case, "key_rotation") as u8;
                let rotation = KeyRotation::from_byte(byte).unwrap();
                (ProtocolVersion::CURRENT, rotation)
            }
            other => panic!("{name}: {other}"),
        };

        let mut frame = ForwardFrame::new(version, rotation, hop, size);
        frame.packet_mut().copy_from_slice(&packet);
        let frame = frame.seal(&key, array(case, "nonce"));
        assert_eq!(frame[..], bytes(case, "frame"), "{name}");
        assert_eq!(frame.len() as u64, uint(case, "frame_len"), "{name}");
        let expected = ForwardFrame::frame_len(version, hop, size);
        assert_eq!(frame.len(), expected, "{name}");

        let request = ForwardRequest::open(&key, frame.into()).unwrap();
        let parsed = &case["parsed"];
        let seen = u64::from(request.rotation.to_byte());
        assert_eq!(seen, uint(parsed, "key_rotation"), "{name}");
        assert_eq!(request.first_hop, socket(parsed, "next_hop"), "{name}");
        assert_eq!(request.size(), size, "{name}");
        assert_eq!(request.packet(), packet, "{name}");
    }
}

#[test]
fn odd_forward_requests_are_refused_for_the_right_reason() {
    let file = vectors();
    let key = SharedKey::from_bytes(array(&list(&file, "binary_requests")[0], "shared_key"));
    for case in list(&file, "binary_requests_edge_cases") {
        let name = text(case, "name");
        let frame = BytesMut::from(&bytes(case, "frame")[..]);
        let error = ForwardRequest::open(&key, frame).unwrap_err();
        let expected = match name {
            "empty" => FrameError::TooShort(0),
            "one_byte" => FrameError::TooShort(1),
            "bad_encryption_flag" => FrameError::Flag(2),
            "encrypted_shorter_than_nonce" => FrameError::TooShort(13),
            "encrypted_nonce_only" => FrameError::TooShort(14),
            "unencrypted_shorter_than_nonce" | "unencrypted_with_12_skipped_bytes" => {
                FrameError::Flag(0)
            }
            "unknown_kind_0" => FrameError::Kind(0),
            "unknown_kind_3" => FrameError::Kind(3),
            "wrong_key" | "tag_flipped" => FrameError::Decryption,
            "packet_type_1" => FrameError::PacketType(1),
            "packet_type_2_outfox" => FrameError::PacketType(2),
            "key_rotation_3" => FrameError::Rotation(3),
            "v1_body_in_v2_kind" => FrameError::Rotation(4),
            "sphinx_one_byte_short" => FrameError::PacketLength(385),
            "sphinx_one_byte_long" => FrameError::PacketLength(387),
            "body_2_bytes" | "v2_body_in_v1_kind" | "ip_version_5" | "address_truncated" => {
                assert!(matches!(error, FrameError::Address(_)), "{name}: {error}");
                error
            }
            other => panic!("{other}"),
        };
        assert_eq!(error, expected, "{name}");
        let accepted = case["result"]["ok"] == true;
        let differs = is_deliberate("binary_requests_edge_cases", name);
        assert_eq!(accepted, differs, "{name}");
    }
}

#[test]
fn pushed_messages_are_made_and_read_as_recorded() {
    for case in list(&vectors(), "pushed_messages") {
        let name = text(case, "name");
        let key = SharedKey::from_bytes(array(case, "shared_key"));
        let message = bytes(case, "message");
        let frame = seal_push(&key, array(case, "nonce"), &message);
        assert_eq!(frame[..], bytes(case, "frame"), "{name}");
        assert_eq!(frame.len() as u64, uint(case, "frame_len"), "{name}");
        assert_eq!(open_push(&key, frame.into()).unwrap(), message, "{name}");
    }
}

#[test]
fn bodies_of_forward_requests_are_those_of_the_sphinx_vectors() {
    let file = read("sphinx.json");
    let framing = &file["framing"];
    let key = SharedKey::from_bytes([5; 32]);
    for case in list(framing, "mix_packets") {
        let packet = bytes(case, "packet");
        let size = PacketSize::from_packet_len(packet.len()).unwrap();
        let hop = socket(case, "next_hop_utf8");
        for (body, kind, version, rotation) in [
            ("v1", 1, ProtocolVersion::GATEWAY_FLOOR, KeyRotation::Unknown),
            ("v2_even_rotation", 2, ProtocolVersion::CURRENT, KeyRotation::Even),
        ] {
            let expected = sealed_body(&key, kind, &bytes(case, body));
            let mut frame = ForwardFrame::new(version, rotation, hop, size);
            frame.packet_mut().copy_from_slice(&packet);
            assert_eq!(frame.seal(&key, [6; 12])[..], expected[..]);

            let request = ForwardRequest::open(&key, expected).unwrap();
            assert_eq!((request.rotation, request.first_hop), (rotation, hop));
            assert_eq!(request.packet(), packet);
        }
    }
}

#[test]
fn an_address_padded_to_19_bytes_is_refused_in_a_forward_request() {
    let file = read("sphinx.json");
    let key = SharedKey::from_bytes([5; 32]);
    let body = bytes(&file["framing"], "mix_packet_rejected_padded_address");
    let error = ForwardRequest::open(&key, sealed_body(&key, 2, &body)).unwrap_err();
    assert_eq!(error, FrameError::PacketLength(386 + 12));
}

fn sealed_body(key: &SharedKey, kind: u8, body: &[u8]) -> BytesMut {
    let mut sealed = body.to_vec();
    key.seal(&[6; 12], &mut sealed);
    let mut frame = BytesMut::from(&[kind, 1][..]);
    frame.extend_from_slice(&[6; 12]);
    frame.extend_from_slice(&sealed);
    frame
}
