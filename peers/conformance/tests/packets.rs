//! Packets, from the message on one side to the message on the other: those of either side go through
//! a network whose nodes remove each layer with both implementations, and are read by both.

use nym_peers_conformance::content::{Content, Surbs, surb_bytes};
use nym_peers_conformance::convert::{MESSAGE_SIZES, our_rotation, their_rotation};
use nym_peers_conformance::network::Network;
use nym_peers_conformance::ours::{self, Push};
use nym_peers_conformance::person::Person;
use nym_peers_conformance::post::{Post, Posted};
use nym_peers_conformance::theirs;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::message::{
    AckId, FragmentPlan, PLAIN_HEAD, REPLY_DATA_HEAD, RepliableKind, ReplySurb, SenderTag,
    fragment_room, repliable_head, surb_request,
};
use nym_proto::sphinx::PacketSize;
use nym_sphinx::anonymous_replies::requests::{RepliableMessage, ReplyMessage};
use nym_sphinx::anonymous_replies::{ReplySurb as TheirSurb, ReplySurbWithKeyRotation};
use nym_sphinx::message::NymMessage;

const TAG: [u8; 16] = [0x7a; 16];
const RANDOM_CASES: u32 = 1000;

#[test]
fn plain_messages_of_ours_are_read_by_both() {
    let world = World::new();
    let mut sender = world.our_alice(1);
    for (size, data) in messages(PLAIN_HEAD.len(), 0) {
        let message = [&PLAIN_HEAD[..], &data].concat();
        let packets = sender.send(&world.bob.address, &message, size);
        assert_eq!(world.to_bob().deliver(packets), Push::Message(Content::Plain(data)));
    }
}

#[test]
fn plain_messages_of_theirs_are_read_by_both() {
    let world = World::new();
    let mut sender = world.their_alice(1);
    for (size, data) in messages(PLAIN_HEAD.len(), 0) {
        let packets = sender.send(&world.bob, NymMessage::new_plain(data.clone()), size);
        assert_eq!(world.to_bob().deliver(packets), Push::Message(Content::Plain(data)));
    }
}

#[test]
fn repliable_messages_of_ours_are_read_by_both() {
    let world = World::new();
    let mut sender = world.our_alice(2);
    for count in [0, 2] {
        let surbs = sender.make_surbs(count);
        for (size, data) in messages(22 + 460 * count, 0) {
            let message = our_repliable(RepliableKind::Data, &surbs, &data, &world.network);
            let packets = sender.send(&world.bob.address, &message, size);
            let surbs = our_surbs(&surbs, &world.network);
            let content = Content::Data { tag: TAG, surbs, data };
            assert_eq!(world.to_bob().deliver(packets), Push::Message(content));
        }
    }
}

#[test]
fn repliable_messages_of_theirs_are_read_by_both() {
    let world = World::new();
    let mut sender = world.their_alice(2);
    for count in [0, 2] {
        for (size, data) in messages(22 + 460 * count, 0) {
            let surbs = sender.make_surbs(count);
            let expected = their_surbs(&surbs);
            let message = RepliableMessage::new_data(data.clone(), TAG.into(), surbs);
            let packets = sender.send(&world.bob, NymMessage::new_repliable(message), size);
            let content = Content::Data { tag: TAG, surbs: expected, data };
            assert_eq!(world.to_bob().deliver(packets), Push::Message(content));
        }
    }
}

#[test]
fn replies_of_ours_with_surbs_of_theirs_are_read_by_both() {
    let world = World::new();
    for (size, data) in messages(REPLY_DATA_HEAD.len(), 1) {
        let message = [&REPLY_DATA_HEAD[..], &data].concat();
        let count = FragmentPlan::new(message.len(), size).fragments();
        let surbs = world.their_alice(3).make_surbs(count);
        let mut post = world.to_alice();
        post.expect(&their_keys(&surbs));
        let surbs = surbs.iter().map(ours_of).collect();
        let packets = world.our_bob(3).reply(surbs, &message, size);
        assert_eq!(post.deliver(packets), Push::Reply(Content::Reply(data)));
    }
}

#[test]
fn replies_of_theirs_with_surbs_of_ours_are_read_by_both() {
    let world = World::new();
    for (size, data) in messages(REPLY_DATA_HEAD.len(), 1) {
        let message = NymMessage::new_reply(ReplyMessage::new_data_message(data.clone()));
        let count = FragmentPlan::new(REPLY_DATA_HEAD.len() + data.len(), size).fragments();
        let surbs = world.our_alice(4).make_surbs(count);
        let mut post = world.to_alice();
        post.expect(&our_keys(&surbs));
        let surbs = surbs.iter().map(|surb| theirs_of(surb, &world.network)).collect();
        // they know the delays of no reply
        let packets = world.their_bob(4).reply(surbs, message, size);
        assert_eq!(post.deliver(without_delays(packets)), Push::Reply(Content::Reply(data)));
    }
}

#[test]
fn requests_for_surbs_and_their_answers_are_read_by_both() {
    let world = World::new();
    let (mut our_alice, mut their_alice) = (world.our_alice(5), world.their_alice(5));
    for size in MESSAGE_SIZES {
        for amount in [0, 1, 10, 500, u32::MAX] {
            let recipient = world.bob.address.to_bytes();
            let expected = Push::Reply(Content::SurbRequest { recipient, amount });

            let surbs = their_alice.make_surbs(1);
            let mut post = world.to_alice();
            post.expect(&their_keys(&surbs));
            let surbs = surbs.iter().map(ours_of).collect();
            let message = surb_request(&world.bob.address, amount);
            assert_eq!(post.deliver(world.our_bob(5).reply(surbs, &message, size)), expected);

            let surbs = our_alice.make_surbs(1);
            let mut post = world.to_alice();
            post.expect(&our_keys(&surbs));
            let surbs = surbs.iter().map(|surb| theirs_of(surb, &world.network)).collect();
            let address = world.bob.their_address();
            let message = NymMessage::new_additional_surbs_request(address, amount);
            let packets = world.their_bob(5).reply(surbs, message, size);
            assert_eq!(post.deliver(without_delays(packets)), expected);
        }
        for count in [1, 10, 100] {
            let surbs = our_alice.make_surbs(count);
            for kind in [RepliableKind::AdditionalSurbs, RepliableKind::Heartbeat] {
                let message = our_repliable(kind, &surbs, &[], &world.network);
                let packets = our_alice.send(&world.bob.address, &message, size);
                let (tag, surbs) = (TAG, our_surbs(&surbs, &world.network));
                let content = match kind {
                    RepliableKind::Heartbeat => Content::Heartbeat { tag, surbs },
                    _ => Content::AdditionalSurbs { tag, surbs },
                };
                assert_eq!(world.to_bob().deliver(packets), Push::Message(content));
            }
            let surbs = their_alice.make_surbs(count);
            let content = Content::AdditionalSurbs { tag: TAG, surbs: their_surbs(&surbs) };
            let message = RepliableMessage::new_additional_surbs(TAG.into(), surbs);
            let message = NymMessage::new_repliable(message);
            let packets = their_alice.send(&world.bob, message, size);
            assert_eq!(world.to_bob().deliver(packets), Push::Message(content));
        }
    }
}

#[test]
fn cover_is_known_as_cover_by_both() {
    let world = World::new();
    let (mut ours, mut theirs) = (world.our_alice(6), world.their_alice(6));
    let mut post = Post::new(&world.network, &world.alice, &world.alice);
    for _ in 0..RANDOM_CASES / 8 {
        for size in MESSAGE_SIZES {
            assert_eq!(post.deliver(vec![ours.cover(size)]), Push::Cover);
            let packet = theirs.cover(size);
            let cover = Posted { packet, id: AckId::Cover, delay: None };
            assert_eq!(post.deliver(vec![cover]), Push::Cover);
        }
    }
}

#[test]
fn a_thousand_random_messages_of_each_side_are_read_by_both() {
    let world = World::new();
    let mut stream = Entropy::new([0x10; 32]).stream(Purpose::Other(0));
    for case in 0..RANDOM_CASES {
        let (size, data) = random_message(&mut stream);
        let is_direct = stream.chance(0.1);
        let expected = Push::Message(Content::Plain(data.clone()));

        let mut sender = match is_direct {
            true => ours::Sender::direct(&world.network, &world.alice, 1000 + case),
            false => world.our_alice(1000 + case),
        };
        let message = [&PLAIN_HEAD[..], &data].concat();
        let packets = sender.send(&world.bob.address, &message, size);
        assert_eq!(world.to_bob().deliver(packets), expected);

        let mut sender = match is_direct {
            true => theirs::Sender::direct(&world.network, &world.alice, 1000 + u64::from(case)),
            false => world.their_alice(1000 + case),
        };
        let packets = sender.send(&world.bob, NymMessage::new_plain(data), size);
        assert_eq!(world.to_bob().deliver(packets), expected);
    }
}

#[test]
fn a_thousand_random_conversations_with_replies_are_read_by_both() {
    let world = World::new();
    let mut stream = Entropy::new([0x11; 32]).stream(Purpose::Other(0));
    for case in 0..RANDOM_CASES {
        // alice's SURBs come with a message, and bob answers with the other implementation
        let (mut our_alice, mut their_alice) =
            (world.our_alice(2000 + case), world.their_alice(2000 + case));
        let (size, data) = (MESSAGE_SIZES[stream.index(2)], random_bytes(&mut stream, 100));
        let answer = random_bytes(&mut stream, 1500);
        let answer = if answer.is_empty() { vec![1] } else { answer };
        let expected = Push::Reply(Content::Reply(answer.clone()));

        let surbs = our_alice.make_surbs(1);
        let message = our_repliable(RepliableKind::Data, &surbs, &data, &world.network);
        let packets = our_alice.send(&world.bob.address, &message, size);
        let received = surbs_of(world.to_bob().deliver(packets));
        let mut post = world.to_alice();
        post.expect(&our_keys(&surbs));
        let reply = NymMessage::new_reply(ReplyMessage::new_data_message(answer.clone()));
        let surb = TheirSurb::from_bytes(&received.surbs[0]).unwrap();
        let surb = surb.with_key_rotation(their_rotation(received.rotation));
        let packets = world.their_bob(2000 + case).reply(vec![surb], reply, size);
        assert_eq!(post.deliver(without_delays(packets)), expected);

        let surbs = their_alice.make_surbs(1);
        let keys = their_keys(&surbs);
        let message = RepliableMessage::new_data(data, TAG.into(), surbs);
        let packets = their_alice.send(&world.bob, NymMessage::new_repliable(message), size);
        let received = surbs_of(world.to_bob().deliver(packets));
        let mut post = world.to_alice();
        post.expect(&keys);
        let surb = ReplySurb::decode(&received.surbs[0]).unwrap();
        let reply = [&REPLY_DATA_HEAD[..], &answer].concat();
        let packets = world.our_bob(2000 + case).reply(vec![surb], &reply, size);
        assert_eq!(post.deliver(packets), expected);
    }
}

#[test]
fn the_lengths_and_costs_of_messages_are_the_same() {
    let world = World::new();
    let mut theirs = world.their_alice(7);
    for (size, data) in messages(PLAIN_HEAD.len(), 0) {
        let plan = FragmentPlan::new(PLAIN_HEAD.len() + data.len(), size);
        let fragments = theirs.fragments(NymMessage::new_plain(data), size);
        assert_eq!(fragments.len(), plan.fragments());
        assert!(fragments.iter().all(|f| f.serialized_size() == fragment_room(size)));
        let payload: usize = fragments.iter().map(|f| f.payload_size()).sum();
        assert_eq!(payload, plan.padded_len());
    }
}

struct World {
    network: Network,
    alice: Person,
    bob: Person,
}

impl World {
    fn new() -> Self {
        let network = Network::new();
        let alice = Person::new(1, network.gateway(0));
        let bob = Person::new(2, network.gateway(1));
        Self { network, alice, bob }
    }

    fn our_alice(&self, seed: u32) -> ours::Sender<'_> {
        ours::Sender::new(&self.network, &self.alice, seed)
    }

    fn our_bob(&self, seed: u32) -> ours::Sender<'_> {
        ours::Sender::new(&self.network, &self.bob, !seed)
    }

    fn their_alice(&self, seed: u32) -> theirs::Sender<'_> {
        theirs::Sender::new(&self.network, &self.alice, seed.into())
    }

    fn their_bob(&self, seed: u32) -> theirs::Sender<'_> {
        theirs::Sender::new(&self.network, &self.bob, (!seed).into())
    }

    fn to_bob(&self) -> Post<'_> {
        Post::new(&self.network, &self.alice, &self.bob)
    }

    fn to_alice(&self) -> Post<'_> {
        Post::new(&self.network, &self.bob, &self.alice)
    }
}

/// Data of all lengths worth a look, in every packet size: none, one byte, what makes one packet
/// less one byte, exactly one and one byte more, 10 KB and 1 MB. `head` bytes are in front of it.
fn messages(head: usize, least: usize) -> impl Iterator<Item = (PacketSize, Vec<u8>)> {
    MESSAGE_SIZES.into_iter().flat_map(move |size| {
        // fragment header and padding take 8 bytes
        let one = fragment_room(size) - 8 - head;
        let lengths = [0, 1, one - 1, one, one + 1, 10_000, 1_000_000];
        let mut stream = Entropy::new([0x77; 32]).stream(Purpose::Other(0));
        lengths.into_iter().filter(move |&len| len >= least).map(move |len| {
            let mut data = vec![0; len];
            stream.fill(&mut data);
            let fragments = FragmentPlan::new(head + len, size).fragments();
            assert_eq!(fragments == 1, len <= one);
            (size, data)
        })
    })
}

fn random_message(stream: &mut Stream) -> (PacketSize, Vec<u8>) {
    // mostly small ones: the work is the same for every packet
    let size =
        if stream.chance(0.8) { PacketSize::Regular } else { MESSAGE_SIZES[stream.index(4)] };
    let data = random_bytes(stream, 3 * fragment_room(size));
    (size, data)
}

fn random_bytes(stream: &mut Stream, max: usize) -> Vec<u8> {
    let mut data = vec![0; stream.index(max + 1)];
    stream.fill(&mut data);
    // the padding's mark and zeros at the end must survive
    if let [.., a, b] = &mut data[..]
        && stream.chance(0.3)
    {
        (*a, *b) = (1, 0);
    }
    data
}

/// A repliable message of ours.
fn our_repliable(
    kind: RepliableKind,
    surbs: &[ReplySurb],
    data: &[u8],
    network: &Network,
) -> Vec<u8> {
    let count = surbs.len().try_into().unwrap();
    let rotation = network.topology.rotation();
    let mut message =
        repliable_head(&SenderTag::from_bytes(TAG), kind, count, 4, rotation).to_vec();
    surbs.iter().for_each(|surb| surb.encode(&mut message));
    message.extend_from_slice(data);
    message
}

fn our_surbs(surbs: &[ReplySurb], network: &Network) -> Surbs {
    match surbs {
        [] => Surbs::default(),
        surbs => Surbs {
            rotation: network.topology.rotation(),
            surbs: surbs.iter().map(surb_bytes).collect(),
        },
    }
}

fn their_surbs(surbs: &[ReplySurbWithKeyRotation]) -> Surbs {
    match surbs {
        [] => Surbs::default(),
        [first, ..] => Surbs {
            rotation: our_rotation(first.key_rotation()),
            surbs: surbs.iter().map(|surb| surb.inner_reply_surb().to_bytes()).collect(),
        },
    }
}

fn surbs_of(push: Push) -> Surbs {
    match push {
        Push::Message(Content::Data { surbs, .. }) => surbs,
        other => panic!("{other:?}"),
    }
}

fn our_keys(surbs: &[ReplySurb]) -> Vec<[u8; 16]> {
    surbs.iter().map(|surb| *surb.key.as_bytes()).collect()
}

fn their_keys(surbs: &[ReplySurbWithKeyRotation]) -> Vec<[u8; 16]> {
    surbs.iter().map(|surb| surb.encryption_key().as_bytes().try_into().unwrap()).collect()
}

fn ours_of(surb: &ReplySurbWithKeyRotation) -> ReplySurb {
    ReplySurb::decode(&surb.inner_reply_surb().to_bytes()).unwrap()
}

fn theirs_of(surb: &ReplySurb, network: &Network) -> ReplySurbWithKeyRotation {
    let rotation = their_rotation(network.topology.rotation());
    TheirSurb::from_bytes(&surb_bytes(surb)).unwrap().with_key_rotation(rotation)
}

fn without_delays(packets: Vec<theirs::Sent>) -> Vec<Posted> {
    let posted = packets.into_iter().map(Posted::from);
    posted.map(|posted: Posted| Posted { delay: None, ..posted }).collect()
}
