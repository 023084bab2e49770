//! The message layer against `vectors/sphinx.json`: every entry of the keys that concern it.
//!
//! Of these keys one is not exercised: `pem`, since key files are not part of the core. Of
//! `constants`, `max_single_packet_reply_data` is not: it leaves the headers out.

mod fixture;

use std::collections::BTreeMap;

use fixture::*;
use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::identity::{AckKey, IdentityKeyPair, PrivateKey, PublicKey};
use nym_proto::message::*;
use nym_proto::sphinx::{KeyRotation, PacketSize};
use serde_json::Value;

#[test]
fn base58_text_encodes_and_decodes() {
    for case in list(&vectors()["base58"]) {
        let (text, raw) = (text(&case["base58_utf8"]), bytes(&case["bytes"]));
        assert_eq!(bs58::encode(&raw).into_string(), text);
        assert_eq!(bs58::decode(text).into_vec().unwrap(), raw);
        if let Ok(key) = <[u8; 32]>::try_from(&raw[..]) {
            assert_eq!(PublicKey::from_bytes(key).to_string(), text);
            assert_eq!(text.parse(), Ok(PublicKey::from_bytes(key)));
        } else {
            assert!(text.parse::<PublicKey>().is_err());
        }
    }
}

#[test]
fn addresses_read_and_write_and_belong_to_their_keys() {
    let recipients = &vectors()["recipients"];
    let fixture = &vectors()["network_fixture"];
    let clients = [&fixture["alice"], &fixture["bob"]];
    for case in list(&recipients["valid"]).iter().chain(clients) {
        let recipient: Recipient = text(&case["address_utf8"]).parse().unwrap();
        assert_eq!(recipient.to_string(), text(&case["address_utf8"]));
        assert_eq!(recipient.to_bytes()[..], bytes(&case["address_bytes"]));
        assert_eq!(Recipient::from_bytes(&recipient.to_bytes()), Ok(recipient));
        let identity = |name: &str| *IdentityKeyPair::from_seed(&array(&case[name])).public();
        assert_eq!(recipient.identity, identity("identity_private_key"));
        assert_eq!(recipient.gateway, identity("gateway_identity_private_key"));
        let encryption = PrivateKey::from_bytes(array(&case["encryption_private_key"]));
        assert_eq!(recipient.encryption, encryption.public());
        for (key, name) in [
            (recipient.identity.as_bytes(), "identity_public_key"),
            (recipient.encryption.as_bytes(), "encryption_public_key"),
            (recipient.gateway.as_bytes(), "gateway_identity_public_key"),
        ] {
            assert_eq!(key[..], bytes(&case[name]));
        }
        if let Some(destination) = case.get("sphinx_destination") {
            assert_eq!(recipient.identity.as_bytes()[..], bytes(destination));
            assert_eq!(bytes(&case["sphinx_identifier"]), [0; 16]);
        }
    }
    for case in list(&recipients["invalid"]) {
        let refused = text(&case["address_utf8"]).parse::<Recipient>();
        assert!(refused.is_err(), "{}", case["why"]);
    }
    let arbitrary = text(&recipients["valid_with_arbitrary_encryption_key_utf8"]);
    assert!(arbitrary.parse::<Recipient>().is_ok());
}

#[test]
fn messages_are_cut_into_the_same_fragments() {
    for case in list(&vectors()["fragments"]["cases"]) {
        let message = pattern(number(&case["message_len"]));
        assert_eq!(sha256(&message), case["message_sha256"]);
        let room = number(&case["max_fragment_len"]);
        // these messages are not padded: the mark takes the place of their last byte
        let plan = FragmentPlan::with_room(message.len() - 1, room).unwrap();
        let ids: Vec<SetId> = list(&case["set_ids"])
            .iter()
            .map(|id| SetId::new(number(id) as u32).unwrap())
            .collect();
        assert_eq!(plan.fragments(), number(&case["total_fragments"]));
        assert_eq!(plan.sets(), ids.len());
        let totals: Vec<usize> = list(&case["sets"]).iter().map(number).collect();

        let mut all = Vec::new();
        let mut by_id = BTreeMap::new();
        for index in 0..plan.fragments() {
            let (header, range) = plan.place(index, &ids).unwrap();
            assert_eq!(usize::from(header.total), totals[index / 255]);
            let payload = &message[range.start..range.end.min(message.len())];
            let fragment = [&encoded(&header)[..], payload].concat();
            all.extend_from_slice(&fragment);
            by_id.insert(header.id().to_bytes(), (header, payload.len(), fragment));
        }
        assert_eq!(sha256(&all), case["all_fragments_concatenated_sha256"]);
        for shown in list(&case["fragments"]) {
            let (header, payload_len, fragment) = &by_id[&array(&shown["id"])];
            assert_eq!(encoded(header), bytes(&shown["header"]));
            assert_eq!(*payload_len, number(&shown["payload_len"]));
            if let Some(whole) = shown.get("bytes") {
                assert_eq!(*fragment, bytes(whole));
            }
            if let (Some(set), Some(position)) = (shown.get("set"), shown.get("position")) {
                assert_eq!(header.set.get() as usize, number(set));
                assert_eq!(usize::from(header.position), number(position));
            }
        }
    }
}

#[test]
fn fragment_headers_are_accepted_and_refused() {
    let fragments = &vectors()["fragments"];
    for case in list(&fragments["accepted"]) {
        let whole = bytes(&case["bytes"]);
        let (header, payload) = FragmentHeader::decode(&whole).unwrap();
        assert_eq!(payload, bytes(&case["payload"]), "{}", case["why"]);
        assert_eq!(header.set.get() as usize, number(&case["set_id"]));
        assert_eq!(usize::from(header.total), number(&case["total"]));
        assert_eq!(usize::from(header.position), number(&case["position"]));
        let link = |id: &Value| id.as_u64().and_then(|id| SetId::new(id as u32));
        assert_eq!(header.previous, link(&case["previous"]));
        assert_eq!(header.next, link(&case["next"]));
        assert_eq!([&encoded(&header)[..], payload].concat(), whole);
    }
    for case in list(&fragments["rejected"]) {
        let refused = FragmentHeader::decode(&bytes(&case["bytes"])).is_err();
        assert!(refused, "{}", case["why"]);
    }
}

#[test]
fn fragment_identifiers_read_and_write() {
    let fragments = &vectors()["fragments"];
    for case in list(&fragments["identifiers"]) {
        let raw = array(&case["bytes"]);
        match AckId::from_bytes(&raw) {
            Some(AckId::Fragment(id)) => {
                assert_eq!(id.to_bytes(), raw);
                assert_eq!(id.to_string(), text(&case["display_utf8"]));
            }
            Some(AckId::Cover) => assert_eq!(text(&case["display_utf8"]), "0 @ 0"),
            None => panic!("{case}"),
        }
    }
    let rejected = array(&fragments["identifier_rejected"]);
    assert_eq!(AckId::from_bytes(&rejected), None);
}

#[test]
fn messages_are_padded_and_paddings_removed() {
    let padding = &vectors()["message_padding"];
    for case in list(&padding["cases"]) {
        let data = pattern(number(&case["message_len"]));
        if let Some(message) = case.get("message") {
            assert_eq!(data, bytes(message));
        }
        assert_eq!(case["kind"], "plain");
        let room = number(&case["max_fragment_len"]);
        let plan = FragmentPlan::with_room(1 + data.len(), room).unwrap();
        assert_eq!(plan.fragments(), number(&case["fragments"]));
        assert_eq!(plan.padded_len(), number(&case["padded_len"]));
        let mut padded = vec![0xee; plan.padded_len()];
        write_padded(&[&PLAIN_HEAD, &data], 0, &mut padded);
        assert_eq!(sha256(&padded), case["padded_sha256"]);
        if let Some(shown) = case.get("padded") {
            assert_eq!(padded, bytes(shown));
        }
        assert_eq!(plain(&unpadded(&padded).unwrap()), data);
    }
    let lenient = &padding["accepted_leniently"];
    let message = unpadded(&bytes(&lenient["padded"])).unwrap();
    assert_eq!(plain(&message), bytes(&lenient["plain_message"]));
    for case in list(&padding["rejected"]) {
        let decoded = unpadded(&bytes(&case["padded"])).map(|m| Envelope::decode(m.into()));
        assert!(!matches!(decoded, Ok(Ok(_))), "{}", case["why"]);
    }
}

#[test]
fn constants_of_packets_and_fragments_agree() {
    let constants = &vectors()["constants"];
    assert_eq!(bytes(&constants["cover_fragment_id"]), AckId::Cover.to_bytes());
    assert_eq!(text(&constants["loop_cover_message_utf8"]).as_bytes(), COVER_TEXT);
    assert_eq!(number(&constants["surb_ack_with_address"]), SURB_ACK_LEN);
    for case in list(&constants["packet_sizes"]) {
        let size = PacketSize::from_packet_len(number(&case["size"])).unwrap();
        if size == PacketSize::Ack {
            assert_eq!(fragment_room(size), 0);
            continue;
        }
        let room = fragment_room(size);
        assert_eq!(room, number(&case["fragment_bytes_per_packet"]));
        assert_eq!(CIPHER_PREFIX + room, number(&case["delivered_to_client"]));
        assert_eq!(room - 7, number(&case["unlinked_fragment_payload"]));
        assert_eq!(room - 10, number(&case["linked_fragment_payload"]));

        let single = number(&case["single_set_capacity"]);
        let edge = number(&case["edge_linked_set_capacity"]);
        let middle = number(&case["middle_linked_set_capacity"]);
        // the mark of the padding takes one byte of the capacity
        let sets = |capacity| FragmentPlan::new(capacity - 1, size).sets();
        assert_eq!((sets(single), sets(single + 1)), (1, 2));
        assert_eq!((sets(2 * edge), sets(2 * edge + 1)), (2, 3));
        assert_eq!((sets(2 * edge + middle), sets(2 * edge + middle + 1)), (3, 4));

        for count in list(&case["plain_message_fragment_counts"]) {
            let len = 1 + number(&count["plain_message_len"]);
            let plan = FragmentPlan::new(len, size);
            assert_eq!(plan.fragments(), number(&count["fragments"]));
            assert_eq!(plan.padded_len() - len - 1, number(&count["zero_padding"]));
            let on_wire = plan.fragments() * number(&case["wire_frame_v8"]);
            assert_eq!(on_wire, number(&count["bytes_on_wire_v8_first_link"]));
        }
    }
}

#[test]
fn fragments_are_encrypted_and_decrypted_for_clients_and_for_replies() {
    let encryption = &vectors()["end_to_end_encryption"];
    for case in list(&encryption["forward"]) {
        let ephemeral = PrivateKey::from_bytes(array(&case["ephemeral_private_key"]));
        assert_eq!(ephemeral.public().as_bytes()[..], bytes(&case["ephemeral_public_key"]));
        let private = PrivateKey::from_bytes(array(&case["recipient_private_key"]));
        let public = PublicKey::from_bytes(array(&case["recipient_public_key"]));
        let plaintext = bytes(&case["plaintext"]);

        let mut buffer = [&[0; CIPHER_PREFIX][..], &plaintext].concat();
        seal_with(&ephemeral, &public, &mut buffer).unwrap();

        assert_eq!(buffer, bytes(&case["on_the_wire"]));
        assert_eq!(buffer[CIPHER_PREFIX..], bytes(&case["ciphertext"]));
        assert_eq!(open(&private, &mut buffer).unwrap(), plaintext);
    }
    for case in list(&encryption["reply"]) {
        let key = ReplyKey::from_bytes(array(&case["key"]));
        let digest = ReplyDigest::from_bytes(array(&case["digest_blake3"]));
        let plaintext = bytes(&case["plaintext"]);

        let mut buffer = [&[0; CIPHER_PREFIX][..], &plaintext].concat();
        seal_reply(&key, &mut buffer).unwrap();

        assert_eq!(reply_digest_of(&buffer), Some(digest));
        assert_eq!(key.digest(), digest);
        assert_eq!(buffer[CIPHER_PREFIX..], bytes(&case["ciphertext"]));
        assert_eq!(open_reply(&key, &mut buffer).unwrap(), plaintext);
    }
}

#[test]
fn acks_are_sealed_opened_and_carried_home() {
    let acks = &vectors()["acks"];
    for case in list(&acks["identifiers"]) {
        let key = AckKey::from_bytes(array(&case["ack_key"]));
        let id = AckId::from_bytes(&array(&case["fragment_id"])).unwrap();
        let sealed = seal_ack_with(&array(&case["iv"]), &key, &id);
        assert_eq!(sealed[..], bytes(&case["ack_plaintext_21"]));
        assert_eq!(open_ack(&key, &sealed), Some(id));
    }
    rebuild_ack(&acks["own"], "alice");

    let captured = &acks["captured"];
    let delivered = walk_ack(&bytes(&captured["surb_ack_405"]), &captured["hops"]);
    assert_eq!(delivered, bytes(&captured["delivered"]));
    let id = AckId::from_bytes(&array(&captured["fragment_id"]));
    assert_eq!(open_ack(&ack_key("alice"), &delivered), id);
    let total = number(&captured["expected_total_delay_ns"]);
    assert_eq!(expected(&captured["hops"]), total);
}

#[test]
fn forward_messages_are_rebuilt_byte_for_byte_and_read() {
    for case in list(&vectors()["forward_messages"]) {
        assert_eq!(case["message_kind"], "plain");
        let (sender, recipient) = (text(&case["sender"]), text(&case["recipient"]));
        let data = bytes(&case["message"]);
        let packets = list(&case["packets"]);
        let plan = FragmentPlan::new(1 + data.len(), PacketSize::Regular);
        assert_eq!(plan.fragments(), packets.len(), "{}", case["name"]);
        let first: [u8; 5] = array(&packets[0]["fragment_id"]);
        let set = SetId::new(u32::from_be_bytes([first[0], first[1], first[2], first[3]]));

        let mut fragments = Vec::new();
        for (index, packet) in packets.iter().enumerate() {
            let (header, range) = plan.place(index, &[set.unwrap()]).unwrap();
            assert_eq!(header.id().to_bytes()[..], bytes(&packet["fragment_id"]));
            let mut fragment = encoded(&header);
            fragment.resize(fragment_room(PacketSize::Regular), 0);
            write_padded(&[&PLAIN_HEAD, &data], range.start, &mut fragment[7..]);
            assert_eq!(fragment, bytes(&packet["fragment"]));

            let ephemeral = PrivateKey::from_bytes(array(&packet["ephemeral_private_key"]));
            let mut sealed = [&[0; CIPHER_PREFIX][..], &fragment].concat();
            seal_with(&ephemeral, &address(recipient).encryption, &mut sealed).unwrap();
            let surb_ack = rebuild_ack(&packet["ack"], sender);
            let plaintext = [surb_ack, sealed].concat();
            assert_eq!(plaintext, bytes(&packet["final_plaintext_2048"]));
            let built = build(&packet["sphinx"], &address(recipient).identity, &plaintext);
            assert_eq!(built, bytes(&packet["packet_2413"]));
            let round_trip = expected(&packet["hops"]) + expected(&packet["ack"]["hops"]);
            assert_eq!(round_trip, number(&packet["expected_round_trip_ns"]));

            assert_eq!(walk(&built, &packet["hops"]), plaintext);
            let mut pushed = split_final(&plaintext).unwrap().2.to_vec();
            assert_eq!(pushed, bytes(&packet["delivered_to_client_1643"]));
            fragments.push(open(&encryption_key(recipient), &mut pushed).unwrap().to_vec());
            assert_eq!(fragments[index], fragment);
        }
        assert_eq!(plain(&reassembled(&fragments)), data);
    }
}

#[test]
fn reply_surbs_are_rebuilt_and_replies_come_back_through_them() {
    let replies = &vectors()["reply_surbs"];
    let surbs = list(&replies["surbs_v2_four_hops"]);
    let others = [&replies["surb_v2_single_hop"], &replies["surb_legacy_258"]];
    for case in surbs.iter().chain(others) {
        let key = ReplyKey::from_bytes(array(&case["encryption_key"]));
        assert_eq!(key.digest().as_bytes()[..], bytes(&case["key_digest"]));
        let (hops, delays) = route(case);
        let surb = inputs(case, &hops, &delays, &address("alice").identity).make_surb();
        let surb = ReplySurb { key, surb: surb.unwrap() };
        assert_eq!(surb.encoded_len(), number(&case["reply_surb_len"]));
        assert_eq!(surb_bytes(&surb), bytes(&case["reply_surb"]));
        let text = text(&case["reply_surb_base58_utf8"]);
        assert_eq!(surb.to_base58(), text);
        let read = ReplySurb::from_base58(text).unwrap();
        assert_eq!(surb_bytes(&read), bytes(&case["reply_surb"]));
        assert_eq!(read.surb.first_hop(), hops[0].address);
    }

    let reply = &replies["reply_message"];
    let mut fragments = Vec::new();
    for packet in list(&reply["packets"]) {
        let surb = &surbs[number(&packet["surb_index"])]["reply_surb"];
        let mut sealed = [vec![0; CIPHER_PREFIX], bytes(&packet["fragment"])].concat();
        let key = ReplySurb::decode(&bytes(surb)).unwrap().key;
        seal_reply(&key, &mut sealed).unwrap();
        let plaintext = [rebuild_ack(&packet["ack"], "bob"), sealed].concat();
        assert_eq!(plaintext, bytes(&packet["final_plaintext_2048"]));
        fragments.push(check_reply(packet, surb, &plaintext));
    }
    let message = reassembled(&fragments);
    assert_eq!(reply_data(&message), bytes(&reply["data"]));
}

#[test]
fn requests_are_read_and_written() {
    let requests = &vectors()["requests"];
    let tag: SenderTag = text(&requests["sender_tag_base58_utf8"]).parse().unwrap();
    assert_eq!(tag, SenderTag::from_bytes(array(&requests["sender_tag"])));
    let repliable = list(&requests["repliable"]).iter().map(|case| &case["bytes"]);
    for raw in repliable.chain([&requests["heartbeat_v2"]]) {
        let message = [vec![1], bytes(raw)].concat();
        let (kind, list, data) = parts(&message, tag);
        let count = list.surbs.len() as u16;
        // 396 bytes and a seed of 16 per hop
        let seeds = list.surbs.first().map_or(0, |surb| (surb.encoded_len() - 396) / 16);
        let head = repliable_head(&tag, kind, count, seeds as u8, list.rotation);
        let surbs = list.surbs.iter().flat_map(surb_bytes).collect();
        assert_eq!([head.to_vec(), surbs, data].concat(), message);
    }

    let old = &requests["legacy_v1_data"];
    let (kind, list_of, data) = parts(&[vec![1], bytes(&old["bytes"])].concat(), tag);
    assert_eq!(kind, RepliableKind::Data);
    assert_eq!(list_of.surbs.len(), number(&old["surbs"]));
    assert_eq!(list_of.rotation, KeyRotation::Unknown);
    assert_eq!(data, text(&old["message_utf8"]).as_bytes());
    let old = bytes(&requests["legacy_v1_additional_surbs"]);
    let (kind, list_of, _) = parts(&[vec![1], old.clone()].concat(), tag);
    assert_eq!(kind, RepliableKind::AdditionalSurbs);
    assert_eq!(surb_bytes(&list_of.surbs[0]), old[21..]);

    for (kind, key) in [(1, "rejected_repliable"), (2, "rejected_reply")] {
        for case in list(&requests[key]) {
            let message = [vec![kind], bytes(&case["bytes"])].concat();
            assert!(Envelope::decode(message.into()).is_err(), "{}", case["why"]);
        }
    }
    for case in list(&requests["reply"]) {
        let message = [vec![2], bytes(&case["bytes"])].concat();
        let Ok(Envelope::Reply(reply)) = Envelope::decode(message.clone().into()) else {
            panic!("{}", case["name"]);
        };
        let again = match reply {
            ReplyContent::Data(data) => [&REPLY_DATA_HEAD[..], &data].concat(),
            ReplyContent::SurbRequest { recipient, amount } => {
                assert!(text(&case["name"]).ends_with(&amount.to_string()));
                surb_request(&recipient, amount).to_vec()
            }
        };
        assert_eq!(again, message);
    }
}

#[test]
fn a_captured_repliable_message_is_read_and_its_acks_return() {
    let case = &vectors()["captured_repliable_message"];
    let message = captured(case, |packet| {
        let framed = bytes(&packet["mix_packet_v2"]);
        assert_eq!(framed[1], KeyRotation::Odd.to_byte());
        let first = NodeAddress::decode(&framed[2..]).unwrap();
        assert_eq!(first.to_string(), text(&packet["hops"][0]["node"]));
        let both = expected(&packet["hops"]) + expected(&packet["ack_hops"]);
        assert_eq!(both, number(&packet["total_delay_ns"]));
        framed[2 + first.encoded_len()..].to_vec()
    });
    let tag = SenderTag::from_bytes(array(&case["sender_tag"]));
    let (kind, list_of, data) = parts(&message, tag);
    assert_eq!((kind, list_of.rotation), (RepliableKind::Data, KeyRotation::Odd));
    assert_eq!(data, bytes(&case["data"]));
    let surbs: Vec<_> = list_of.surbs.iter().map(surb_bytes).collect();
    let keys: Vec<_> = list_of.surbs.iter().map(|surb| surb.key.as_bytes().to_vec()).collect();
    let shown = |key: &str| list(&case[key]).iter().map(bytes).collect::<Vec<_>>();
    assert_eq!(surbs, shown("reply_surbs"));
    assert_eq!(keys, shown("reply_keys"));
}

#[test]
fn a_captured_message_of_an_old_client_is_read_and_answered() {
    let case = &vectors()["captured_legacy_repliable_message"];
    let message = captured(case, |packet| bytes(&packet["packet_2413"]));
    let tag = SenderTag::from_bytes(array(&case["sender_tag"]));
    let (kind, list_of, data) = parts(&message, tag);
    assert_eq!((kind, list_of.rotation), (RepliableKind::Data, KeyRotation::Unknown));
    assert_eq!(data, bytes(&case["data"]));
    assert_eq!(list_of.surbs.len(), 1);
    assert_eq!(surb_bytes(&list_of.surbs[0]), bytes(&case["reply_surb"]));
    assert_eq!(list_of.surbs[0].key.as_bytes()[..], bytes(&case["reply_key"]));

    let reply = &case["reply"];
    let plaintext = walk(&bytes(&reply["packet_2413"]), &reply["hops"]);
    let fragment = check_reply(reply, &case["reply_surb"], &plaintext);
    assert_eq!(reply_data(&reassembled(&[fragment])), b"answer");
}

#[test]
fn a_captured_cover_packet_comes_back_and_is_recognised() {
    let case = &vectors()["loop_cover"];
    let packet = bytes(&case["captured_packet_2413"]);
    assert_eq!(case["first_hop_utf8"], case["hops"][0]["node"]);
    let plaintext = walk(&packet, &case["hops"]);
    let (_, _, pushed) = split_final(&plaintext).unwrap();
    assert_eq!(pushed, bytes(&case["delivered_to_client_1643"]));
    let mut pushed = pushed.to_vec();
    let content = open(&encryption_key("alice"), &mut pushed).unwrap();
    assert_eq!(content, bytes(&case["decrypted_1611"]));
    assert!(is_cover(content));
    let mut own = vec![0xff; fragment_room(PacketSize::Regular)];
    write_cover(&mut own);
    assert_eq!(content, own);

    let ack = bytes(&case["ack_delivered_21"]);
    assert_eq!(open_ack(&ack_key("alice"), &ack), Some(AckId::Cover));
    assert_eq!(bytes(&case["ack_fragment_id"]), AckId::Cover.to_bytes());
}
