//! Headers of fragments, how messages are cut into them, and how they come together again.

use std::collections::BTreeMap;

use nym_peers_conformance::content::Content;
use nym_peers_conformance::convert::{MESSAGE_SIZES, their_size};
use nym_peers_conformance::network::Network;
use nym_peers_conformance::ours::Sender;
use nym_peers_conformance::person::Person;
use nym_peers_conformance::theirs;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::message::{
    Envelope, FragmentHeader, FragmentPlan, Inserted, Origin, PLAIN_HEAD, Reassembler,
    ReassemblyLimits, SetId, fragment_room,
};
use nym_proto::sphinx::PacketSize;
use nym_proto::time::Instant;
use nym_sphinx::chunking::fragment::Fragment;
use nym_sphinx::chunking::number_of_required_fragments;
use nym_sphinx::chunking::reconstruction::MessageReconstructor;
use nym_sphinx::message::NymMessage;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

const CASES: u32 = 1000;

#[test]
fn fragments_of_every_size_have_the_same_room() {
    for size in MESSAGE_SIZES {
        let theirs = NymMessage::new_plain(Vec::new());
        let theirs = theirs.available_sphinx_plaintext_per_packet(their_size(size));
        assert_eq!(theirs, fragment_room(size));
        assert_eq!(their_size(size).size(), size.packet_len());
        assert_eq!(their_size(size).plaintext_size(), size.plaintext_len());
        assert_eq!(their_size(size).payload_size(), size.payload_len());
        assert_eq!(their_size(size) as u8, size.tag());
    }
}

#[test]
fn messages_at_every_border_between_sets_are_cut_alike() {
    for size in MESSAGE_SIZES {
        let room = fragment_room(size);
        let (unlinked, linked) = (room - 7, room - 10);
        let (full, edge) = (255 * unlinked, 255 * unlinked - 3);
        let middle = edge - 3;
        let borders = [
            unlinked,
            full - unlinked,
            edge,
            full,
            full + linked,
            2 * edge,
            2 * edge + linked,
            2 * edge + middle,
            2 * edge + middle + linked,
        ];
        for border in borders {
            for len in border - 5..border + 5 {
                compare_plans(len, size);
            }
        }
    }
}

#[test]
fn messages_of_several_sets_come_together_in_any_order_on_both_sides() {
    let network = Network::new();
    let alice = Person::new(1, network.gateway(0));
    let mut ours = Sender::new(&network, &alice, 1);
    let mut theirs = theirs::Sender::new(&network, &alice, 1);
    let size = PacketSize::Regular;
    let per_set = 255 * (fragment_room(size) - 7);
    for len in [per_set - 2, per_set - 1, per_set + 1000, 2 * per_set + 1, 3 * per_set] {
        let mut data = vec![0; len];
        ours.stream.fill(&mut data);
        let message = [&PLAIN_HEAD[..], &data].concat();
        let from_us = ours.fragments(&message, size).into_iter().map(|(_, bytes)| bytes);
        let from_them = theirs.fragments(NymMessage::new_plain(data.clone()), size);
        let from_them = from_them.into_iter().map(Fragment::into_bytes);
        for mut fragments in [from_us.collect::<Vec<_>>(), from_them.collect()] {
            assert_eq!(fragments.len(), FragmentPlan::new(len + 1, size).fragments());
            for i in (1..fragments.len()).rev() {
                fragments.swap(i, ours.stream.index(i + 1));
            }
            let (ours, theirs) = reassemble(&fragments);
            assert_eq!(ours.len(), 1);
            let message = Envelope::decode(ours[0].clone().into()).unwrap();
            assert_eq!(Content::from(message), Content::Plain(data.clone()));
            assert_eq!(ours, theirs);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn messages_of_any_length_are_cut_alike(len in 0..5_000_000usize, short in 0..5000usize, size in 0..4usize) {
        for len in [len, short] {
            compare_plans(len, MESSAGE_SIZES[size]);
        }
    }

    #[test]
    fn any_header_is_read_alike(bytes in fragment_bytes()) {
        let (ours, theirs) = (FragmentHeader::decode(&bytes), Fragment::try_from_bytes(&bytes));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let (Ok((ours, payload)), Ok(theirs)) = (ours, theirs) {
            let id = |set: SetId| set.get() as i32;
            prop_assert_eq!(theirs.id(), id(ours.set));
            prop_assert_eq!(theirs.total_fragments(), ours.total);
            prop_assert_eq!(theirs.current_fragment(), ours.position);
            prop_assert_eq!(theirs.previous_fragments_set_id(), ours.previous.map(id));
            prop_assert_eq!(theirs.next_fragments_set_id(), ours.next.map(id));
            prop_assert_eq!(theirs.payload(), payload);
            prop_assert_eq!(theirs.fragment_identifier().to_bytes(), ours.id().to_bytes());
            let mut encoded = vec![0; ours.encoded_len()];
            ours.encode(&mut encoded);
            encoded.extend_from_slice(payload);
            prop_assert_eq!(&encoded, &bytes);
            prop_assert_eq!(theirs.into_bytes(), bytes);
        }
    }

    #[test]
    fn fragments_of_several_messages_come_together_alike(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6000), 1..5),
        seed: [u8; 32],
        lost in 0..3usize,
    ) {
        let mut stream = Entropy::new(seed).stream(Purpose::Other(0));
        let network = Network::new();
        let alice = Person::new(1, network.gateway(0));
        let mut sender = Sender::new(&network, &alice, stream.next_u64() as u32);
        let mut fragments: Vec<Vec<u8>> = messages
            .iter()
            .flat_map(|data| sender.fragments(data, PacketSize::Regular))
            .map(|(_, bytes)| bytes)
            .collect();
        for i in (1..fragments.len()).rev() {
            fragments.swap(i, stream.index(i + 1));
        }
        fragments.truncate(fragments.len() - lost.min(fragments.len()));
        let (ours, theirs) = reassemble(&fragments);
        prop_assert_eq!(&ours, &theirs);
        prop_assert!(ours.iter().all(|message| messages.contains(message)));
        prop_assert!(lost > 0 || ours.len() == messages.len());
    }
}

fn compare_plans(len: usize, size: PacketSize) {
    let plan = FragmentPlan::new(len, size);
    // they count the padding's mark, and say what room is left after it
    let (fragments, left) = number_of_required_fragments(len + 1, fragment_room(size));
    assert_eq!(
        (plan.fragments(), plan.padded_len()),
        (fragments, len + 1 + left),
        "{len} {size:?}"
    );
}

/// The messages that come out of each side, without their padding, in order of completion.
fn reassemble(fragments: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let mut reconstructor = MessageReconstructor::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for bytes in fragments {
        let (header, payload) = FragmentHeader::decode(bytes).unwrap();
        match reassembler.insert(Instant::START, Origin::Open, &header, payload) {
            Inserted::Complete { message, .. } => ours.push(message),
            Inserted::Incomplete => {}
            other => panic!("{other:?}"),
        }
        let fragment = reconstructor.recover_fragment(bytes.clone()).unwrap();
        if let Some((mut padded, _)) = reconstructor.insert_new_fragment(fragment) {
            padded.truncate(padded.iter().rposition(|&byte| byte == 1).unwrap());
            theirs.push(padded);
        }
    }
    (ours, theirs)
}

/// Headers that are nearly right, and rubbish.
fn fragment_bytes() -> impl Strategy<Value = Vec<u8>> {
    let number = || prop_oneof![Just(0u8), Just(1), Just(2), Just(254), Just(255), any::<u8>()];
    let word = || {
        prop_oneof![
            6 => any::<u32>().prop_map(|id| id | 1 << 31),
            1 => Just(1 << 31),
            1 => Just(0x8000_0007u32),
            1 => any::<u32>().prop_map(|id| id >> 1),
        ]
    };
    let header =
        (word(), number(), number(), prop_oneof![Just(None), word().prop_map(Some)], 0..20usize)
            .prop_map(|(set, total, position, link, len)| {
                let mut bytes = set.to_be_bytes().to_vec();
                bytes.extend([total, position]);
                match link {
                    Some(link) => bytes.extend(link.to_be_bytes()),
                    None => bytes.push(0),
                }
                bytes.extend(vec![9; len]);
                bytes
            });
    let cut = (header.clone(), any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len() + 1));
        bytes
    });
    prop_oneof![3 => header, 1 => cut, 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

#[test]
fn the_headers_drawn_here_are_often_valid() {
    // otherwise the comparison above would say little
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut kinds = BTreeMap::new();
    for _ in 0..1000 {
        let bytes = fragment_bytes().new_tree(&mut runner).unwrap().current();
        let kind = FragmentHeader::decode(&bytes)
            .ok()
            .map(|(header, _)| (header.previous.is_some(), header.next.is_some()));
        *kinds.entry(kind).or_insert(0) += 1;
    }
    for kind in [None, Some((false, false)), Some((true, false)), Some((false, true))] {
        assert!(kinds.get(&kind).is_some_and(|&count| count > 5), "{kinds:?}");
    }
}
