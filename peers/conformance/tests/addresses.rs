//! Addresses of clients and nodes, and the texts of keys.

use std::net::{IpAddr, SocketAddr};

use nym_crypto::asymmetric::{ed25519, x25519};
use nym_peers_conformance::convert::{our_address, their_address, their_recipient};
use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey, PublicKey};
use nym_proto::message::SenderTag;
use nym_sphinx::NodeAddressBytes;
use nym_sphinx::addressing::clients::Recipient as TheirRecipient;
use nym_sphinx::addressing::nodes::NymNodeRoutingAddress;
use nym_sphinx::anonymous_replies::requests::AnonymousSenderTag;
use proptest::prelude::*;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn clients_have_the_same_address_in_both_forms(seeds: [[u8; 32]; 3]) {
        let ours = recipient(seeds);
        let theirs = their_recipient(&ours);
        prop_assert_eq!(theirs.to_bytes(), ours.to_bytes());
        prop_assert_eq!(theirs.to_string(), ours.to_string());
        prop_assert_eq!(ours.to_string().parse::<TheirRecipient>().unwrap(), theirs);
        prop_assert_eq!(theirs.to_string().parse::<Recipient>().unwrap(), ours);
        let destination = theirs.as_sphinx_destination();
        prop_assert_eq!(destination.address.as_bytes(), *ours.identity.as_bytes());
        prop_assert_eq!(destination.identifier, [0; 16]);
    }

    #[test]
    fn any_96_bytes_are_an_address_for_both_or_for_none(bytes in prop::array::uniform32(any::<[u8; 3]>())) {
        // about every second string of 32 bytes is a point of the curve
        let bytes: [u8; 96] = bytes.as_flattened().try_into().unwrap();
        let (ours, theirs) = (Recipient::from_bytes(&bytes), TheirRecipient::try_from_bytes(bytes));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.to_bytes(), theirs.to_bytes());
            prop_assert_eq!(ours.to_string(), theirs.to_string());
        }
    }

    #[test]
    fn any_text_is_an_address_for_both_or_for_none(text in recipient_text()) {
        let (ours, theirs) = (text.parse::<Recipient>(), text.parse::<TheirRecipient>());
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.to_bytes(), theirs.to_bytes());
        }
    }

    #[test]
    fn any_text_is_a_key_for_both_or_for_none(text in key_text()) {
        let ours = text.parse::<IdentityKey>().ok().map(|key| *key.as_bytes());
        let theirs = text.parse::<ed25519::PublicKey>().ok().map(|key| key.to_bytes());
        prop_assert_eq!(ours, theirs);
        let ours = text.parse::<PublicKey>().ok().map(|key| *key.as_bytes());
        let theirs = text.parse::<x25519::PublicKey>().ok().map(|key| key.to_bytes());
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn identities_sign_and_keys_agree_alike(seed: [u8; 32], peer: [u8; 32], message: Vec<u8>) {
        let pair = IdentityKeyPair::from_seed(&seed);
        let theirs = ed25519::PrivateKey::from_bytes(&seed).unwrap();
        prop_assert_eq!(theirs.public_key().to_bytes(), *pair.public().as_bytes());
        prop_assert_eq!(theirs.sign(&message).to_bytes(), pair.sign(&message));

        let ours = PrivateKey::from_bytes(seed);
        let theirs = x25519::PrivateKey::from_secret(seed);
        prop_assert_eq!(theirs.public_key().to_bytes(), *ours.public().as_bytes());
        let peer = PublicKey::from_bytes(peer);
        let their_peer = x25519::PublicKey::from_byte_array(peer.as_bytes());
        if let Some(agreed) = ours.agree(&peer) {
            prop_assert_eq!(theirs.diffie_hellman(&their_peer), *agreed);
        }
    }

    #[test]
    fn signatures_are_verified_alike(seed: [u8; 32], message: Vec<u8>, bit in 0..512usize, whole: bool) {
        let pair = IdentityKeyPair::from_seed(&seed);
        let mut signature = pair.sign(&message);
        if !whole {
            signature[bit / 8] ^= 1 << (bit % 8);
        }
        let ours = pair.public().has_signed(&message, &signature);
        let key = ed25519::PublicKey::from_byte_array(pair.public().as_bytes()).unwrap();
        let theirs = ed25519::Signature::from_bytes(&signature);
        let theirs = theirs.is_ok_and(|signature| key.verify(&message, &signature).is_ok());
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(ours, whole);
    }

    #[test]
    fn nodes_have_the_same_address_in_every_padding(ip: IpAddr, port: u16) {
        let ours = NodeAddress::new(SocketAddr::new(ip, port));
        let theirs = their_address(ours);
        prop_assert_eq!(our_address(theirs), ours);
        prop_assert_eq!(theirs.bytes_min_len(), ours.encoded_len());
        let padded = ours.to_padded::<{ NodeAddress::HEADER_SIZE }>();
        prop_assert_eq!(theirs.as_bytes(), &padded[..ours.encoded_len()]);
        prop_assert_eq!(theirs.as_zero_padded_bytes(19), ours.to_padded::<19>());
        let in_header: NodeAddressBytes = theirs.try_into().unwrap();
        prop_assert_eq!(in_header.as_bytes(), &padded);
        prop_assert_eq!(NymNodeRoutingAddress::try_from(in_header).unwrap(), theirs);
    }

    #[test]
    fn any_bytes_are_a_node_address_for_both_or_for_none(
        family in prop::sample::select(vec![4u8, 4, 6, 6, 0, 5, 255]),
        rest in prop::collection::vec(any::<u8>(), 0..34),
        is_empty in prop::bool::weighted(0.02),
    ) {
        let bytes = if is_empty { Vec::new() } else { [&[family][..], &rest].concat() };
        let ours = NodeAddress::decode(&bytes).ok();
        let theirs = NymNodeRoutingAddress::try_from_bytes(&bytes).ok().map(our_address);
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn sender_tags_have_the_same_text(bytes: [u8; 16], text in key_text()) {
        let ours = SenderTag::from_bytes(bytes);
        let theirs = AnonymousSenderTag::from_bytes(bytes);
        prop_assert_eq!(theirs.to_string(), ours.to_string());
        for text in [text, ours.to_string()] {
            let ours = text.parse::<SenderTag>().ok().map(|tag| *tag.as_bytes());
            let theirs = AnonymousSenderTag::try_from_base58_string(&text).ok();
            prop_assert_eq!(ours, theirs.map(|tag| tag.to_bytes()));
        }
    }
}

fn recipient([identity, encryption, gateway]: [[u8; 32]; 3]) -> Recipient {
    Recipient {
        identity: *IdentityKeyPair::from_seed(&identity).public(),
        encryption: PrivateKey::from_bytes(encryption).public(),
        gateway: *IdentityKeyPair::from_seed(&gateway).public(),
    }
}

/// Addresses, addresses with a character changed, added or taken away, and other texts.
fn recipient_text() -> impl Strategy<Value = String> {
    let damaged = (any::<[[u8; 32]; 3]>(), any::<prop::sample::Index>(), "[1-9A-Za-z.@ 0]{0,2}")
        .prop_map(|(seeds, at, patch)| {
            let text = recipient(seeds).to_string();
            let at = at.index(text.len());
            format!("{}{patch}{}", &text[..at], &text[(at + 1).min(text.len())..])
        });
    prop_oneof![4 => damaged, 1 => ".{0,150}", 1 => "[1-9A-Z]{0,45}[.@][1-9a-z]{0,45}[.@][1-9]{0,45}"]
}

/// Keys, keys of wrong lengths, and other texts.
fn key_text() -> impl Strategy<Value = String> {
    let leading_zeros = (0..34usize, "[1-9A-HJ-NP-Za-km-z]{0,45}")
        .prop_map(|(zeros, rest)| format!("{}{rest}", "1".repeat(zeros)));
    prop_oneof![
        any::<[u8; 32]>().prop_map(|seed| IdentityKeyPair::from_seed(&seed).public().to_string()),
        "[1-9A-HJ-NP-Za-km-z]{40,46}",
        "[1-9A-HJ-NP-Za-km-z]{20,23}",
        leading_zeros,
        ".{0,50}",
    ]
}
