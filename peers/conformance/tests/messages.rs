//! Messages as serialised, and what is in them: SURBs, requests, acknowledgements, cover.

use nym_peers_conformance::content::{Content, surb_bytes, without_padding};
use nym_peers_conformance::convert::their_rotation;
use nym_peers_conformance::theirs::our_id;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::{AckKey, IdentityKeyPair, PrivateKey, PublicKey};
use nym_proto::message::{
    AckId, COVER_TEXT, Envelope, FragmentId, PLAIN_HEAD, REPLY_DATA_HEAD, RepliableKind, ReplyKey,
    ReplySurb, SenderTag, SetId, is_cover, open, open_ack, repliable_head, seal, seal_ack,
    surb_request,
};
use nym_proto::sphinx::KeyRotation;
use nym_sphinx::acknowledgements::AckKey as TheirAckKey;
use nym_sphinx::acknowledgements::identifier::{prepare_identifier, recover_identifier};
use nym_sphinx::anonymous_replies::{ReplySurb as TheirSurb, SurbEncryptionKey};
use nym_sphinx::chunking::fragment::FragmentIdentifier;
use nym_sphinx::cover::{LOOP_COVER_MESSAGE_PAYLOAD, is_cover as is_their_cover};
use nym_sphinx::message::{NymMessage, PaddedMessage};
use nym_sphinx::params::SphinxKeyRotation;
use nym_sphinx::receiver::{MessageReceiver as _, SphinxMessageReceiver};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use nym_crypto::asymmetric::x25519;
use nym_proto::address::Recipient;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4 * CASES) })]

    #[test]
    fn any_bytes_are_the_same_message_for_both_or_none(bytes in message_bytes()) {
        let ours = Envelope::decode(bytes.clone().into()).ok().map(Content::from);
        let theirs = their_message(&bytes).map(Content::from);
        match intended(&bytes) {
            None => prop_assert_eq!(ours, theirs),
            Some(Difference::OldContentTag) => prop_assert!(theirs.is_none()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn any_bytes_are_the_same_reply_surb_for_both_or_none(bytes in surb_like()) {
        let (ours, theirs) = (ReplySurb::decode(&bytes), TheirSurb::from_bytes(&bytes));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let theirs = TheirSurb::from_bytes(&without_padding(theirs.to_bytes())).unwrap();
                prop_assert_eq!(surb_bytes(&ours), theirs.to_bytes());
                prop_assert_eq!(ours.to_base58(), theirs.to_base58_string());
                let read = TheirSurb::from_base58_string(ours.to_base58()).unwrap();
                prop_assert_eq!(read.to_bytes(), surb_bytes(&ours));
                let key = ours.key.digest();
                prop_assert_eq!(&theirs.encryption_key().compute_digest()[..], &key.as_bytes()[..]);
            }
            (Err(_), Err(_)) => {}
            // full keys are those of old clients
            (Ok(ours), Err(_)) => prop_assert_eq!((ours.encoded_len() - 396) % 192, 0),
            (Err(error), Ok(_)) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn acks_of_each_side_are_read_by_the_other(key: [u8; 16], set in 1..1u32 << 31, position in 1..=255u8, seed: [u8; 32]) {
        let id = FragmentId { set: SetId::new(set).unwrap(), position };
        let their_key = TheirAckKey::try_from_bytes(&key).unwrap();
        let key = AckKey::from_bytes(key);
        for id in [AckId::Fragment(id), AckId::Cover] {
            let ours = seal_ack(&key, &id, &mut Entropy::new(seed).stream(Purpose::Acks));
            let theirs = recover_identifier(&their_key, &ours).unwrap();
            prop_assert_eq!(theirs, id.to_bytes());
            prop_assert_eq!(our_id(FragmentIdentifier::try_from_bytes(theirs).unwrap()), id);

            let mut rng = ChaCha20Rng::from_seed(seed);
            let theirs = prepare_identifier(&mut rng, &their_key, id.to_bytes());
            prop_assert_eq!(open_ack(&key, &theirs), Some(id));
        }
    }

    #[test]
    fn acks_name_a_fragment_for_both_or_none(key: [u8; 16], iv: [u8; 16], id in ack_id_bytes()) {
        let mut stream_cipher = [0; 21];
        stream_cipher[..16].copy_from_slice(&iv);
        let their_key = TheirAckKey::try_from_bytes(&key).unwrap();
        // with all zeros in the place of the id comes the key stream
        let key_stream = recover_identifier(&their_key, &stream_cipher).unwrap();
        let sealed = id.iter().zip(key_stream).map(|(a, b)| a ^ b);
        let ack: Vec<u8> = iv.into_iter().chain(sealed).collect();

        let ours = open_ack(&AckKey::from_bytes(key), &ack);
        let theirs = FragmentIdentifier::try_from_bytes(recover_identifier(&their_key, &ack).unwrap()).ok();
        match ours {
            Some(ours) => prop_assert_eq!(Some(ours), theirs.map(our_id)),
            // no fragment has this name: either of the set or of the place in it is zero
            None => prop_assert!(theirs.is_none() || theirs.unwrap().set_id() == 0 || id[4] == 0),
        }
    }

    #[test]
    fn fragments_are_encrypted_to_clients_alike(seed: [u8; 32], fragment in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut stream = Entropy::new(seed).stream(Purpose::Packets);
        let private = PrivateKey::generate(&mut stream);
        let mut sealed = [&[0; 32][..], &fragment].concat();
        seal(&private.public(), &mut sealed, &mut stream).unwrap();
        let mut theirs = sealed.clone();
        let key = x25519::PrivateKey::from_secret(*private.as_bytes());
        let receiver = SphinxMessageReceiver::new();
        let opened = receiver.recover_plaintext_from_regular_packet(&key, &mut theirs).unwrap();
        prop_assert_eq!(&opened[..], &fragment[..]);
        prop_assert_eq!(&open(&private, &mut sealed).unwrap()[..], &fragment[..]);
    }

    #[test]
    fn pushes_of_any_bytes_are_opened_alike(private: [u8; 32], bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let (mut ours, mut theirs) = (bytes.clone(), bytes);
        let ours = open(&PrivateKey::from_bytes(private), &mut ours).map(|fragment| fragment.to_vec());
        let key = x25519::PrivateKey::from_secret(private);
        let receiver = SphinxMessageReceiver::new();
        let theirs = receiver.recover_plaintext_from_regular_packet(&key, &mut theirs);
        prop_assert_eq!(ours, theirs.ok().map(|fragment| fragment.to_vec()));
    }

    #[test]
    fn rotations_have_the_same_parity(id: u32, byte: u8) {
        for id in [id, 0, 1, 2, u32::MAX, u32::MAX - 1] {
            let ours = KeyRotation::of_id(id);
            prop_assert_eq!(SphinxKeyRotation::from(id), their_rotation(ours));
            prop_assert_eq!(SphinxKeyRotation::from(id) as u8, ours.to_byte());
        }
        let ours = KeyRotation::from_byte(byte).map(their_rotation);
        prop_assert_eq!(ours, SphinxKeyRotation::try_from(byte).ok());
    }
}

#[test]
fn cover_has_the_same_text() {
    assert_eq!(COVER_TEXT, LOOP_COVER_MESSAGE_PAYLOAD);
    for len in 0..=COVER_TEXT.len() {
        assert_eq!(is_cover(&COVER_TEXT[..len]), is_their_cover(&COVER_TEXT[..len]));
    }
}

#[test]
fn keys_of_replies_have_the_same_digest() {
    for byte in 0..=255 {
        let theirs = SurbEncryptionKey::try_from_bytes(&[byte; 16]).unwrap().compute_digest();
        assert_eq!(ReplyKey::from_bytes([byte; 16]).digest().as_bytes()[..], theirs[..]);
    }
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused_by_us_alone() {
    // the secret agreed upon would be zero
    let mut buffer = vec![0; 64];
    assert!(open(&PrivateKey::from_bytes([1; 32]), &mut buffer).is_none());
    let key = x25519::PrivateKey::from_secret([1; 32]);
    let receiver = SphinxMessageReceiver::new();
    assert!(receiver.recover_plaintext_from_regular_packet(&key, &mut buffer).is_ok());
}

/// In what both are meant to differ.
#[derive(Debug)]
enum Difference {
    /// Ours reads repliable messages of old clients, with content tags 0 to 2.
    OldContentTag,
}

fn intended(message: &[u8]) -> Option<Difference> {
    match message {
        [1, rest @ ..] if matches!(rest.get(16)?, 0..=2) => Some(Difference::OldContentTag),
        _ => None,
    }
}

/// They only read a message with its padding.
fn their_message(bytes: &[u8]) -> Option<NymMessage> {
    PaddedMessage::new_reconstructed([bytes, &[1, 0, 0]].concat()).remove_padding().ok()
}

/// Messages of all kinds; then some damaged; then rubbish.
fn message_bytes() -> impl Strategy<Value = Vec<u8>> {
    let data = || prop::collection::vec(any::<u8>(), 0..40);
    let kinds = [RepliableKind::Data, RepliableKind::AdditionalSurbs, RepliableKind::Heartbeat];
    let repliable =
        (any::<[u8; 16]>(), 0..3usize, 0..4u16, 1..=5u8, any::<u32>(), data(), any::<u8>())
            .prop_map(move |(tag, kind, count, hops, rotation, data, seed)| {
                let tag = SenderTag::from_bytes(tag);
                let rotation = KeyRotation::of_id(rotation);
                let mut message = repliable_head(&tag, kinds[kind], count, hops, rotation).to_vec();
                for i in 0..count {
                    message.extend(surb(usize::from(hops), seed.wrapping_add(i as u8)));
                }
                message.extend(data);
                message
            });
    let request = (any::<[u8; 32]>(), any::<u32>())
        .prop_map(|(seed, amount)| surb_request(&recipient(seed), amount).to_vec());
    let valid = prop_oneof![
        1 => data().prop_map(|data| [&PLAIN_HEAD[..], &data].concat()),
        1 => data().prop_map(|data| [&REPLY_DATA_HEAD[..], &data].concat()),
        1 => request,
        4 => repliable,
    ]
    .boxed();
    let flipped = (valid.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut message, at, byte)| {
            // heads are short: most changes would hit the data
            let at = at.index(message.len().min(50));
            message[at] = byte;
            message
        },
    );
    let small = (valid.clone(), any::<prop::sample::Index>(), 0..8u8).prop_map(
        |(mut message, at, byte)| {
            let at = at.index(message.len().min(24));
            message[at] = byte;
            message
        },
    );
    let cut = (valid.clone(), any::<prop::sample::Index>()).prop_map(|(mut message, at)| {
        message.truncate(at.index(message.len() + 1));
        message
    });
    let rubbish = (0..4u8, prop::collection::vec(0..8u8, 0..200))
        .prop_map(|(kind, rest)| [&[kind][..], &rest].concat());
    prop_oneof![2 => valid, 2 => flipped, 3 => small, 2 => cut, 1 => rubbish, 1 => Just(Vec::new())]
}

/// Reply SURBs of any number of seeds or full keys, their first hop right or not.
fn surb_like() -> impl Strategy<Value = Vec<u8>> {
    let seeds = (0..20usize, any::<u8>()).prop_map(|(hops, seed)| surb(hops, seed));
    let full = (0..7usize, any::<u8>()).prop_map(|(hops, seed)| surb(12 * hops, seed));
    let family = (seeds.clone(), any::<u8>()).prop_map(|(mut surb, family)| {
        surb[16 + 348] = family;
        surb
    });
    let padding = (seeds.clone(), any::<[u8; 13]>()).prop_map(|(mut surb, padding)| {
        surb[16 + 348 + 19..][..13].copy_from_slice(&padding);
        surb
    });
    prop_oneof![seeds, full, family, padding, prop::collection::vec(any::<u8>(), 0..1400)]
}

/// What has the form of a reply SURB.
fn surb(seeds: usize, seed: u8) -> Vec<u8> {
    let mut stream: Stream = Entropy::new([seed; 32]).stream(Purpose::Other(0));
    let mut bytes = vec![0; 16 + 348 + 32 + 16 * seeds];
    stream.fill(&mut bytes);
    bytes[16 + 348] = if seed.is_multiple_of(2) { 4 } else { 6 };
    bytes[16 + 348 + 19..16 + 348 + 32].fill(0);
    if seed.is_multiple_of(2) {
        bytes[16 + 348 + 7..16 + 348 + 32].fill(0);
    }
    bytes
}

fn recipient(seed: [u8; 32]) -> Recipient {
    let identity = *IdentityKeyPair::from_seed(&seed).public();
    Recipient { identity, encryption: PublicKey::from_bytes(seed), gateway: identity }
}

fn ack_id_bytes() -> impl Strategy<Value = [u8; 5]> {
    prop_oneof![
        any::<[u8; 5]>(),
        any::<u8>().prop_map(|position| [0, 0, 0, 0, position]),
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| [a, b, c, d, 0]),
    ]
}
