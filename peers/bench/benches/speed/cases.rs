//! What is measured.

use nym_crypto::asymmetric::x25519;
use nym_peers_conformance::content::surb_bytes;
use nym_peers_conformance::convert::their_rotation;
use nym_peers_conformance::person::Person;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::{ForwardFrame, ProtocolVersion, SharedKey};
use nym_proto::identity::PrivateKey;
use nym_proto::message::{
    AckId, FragmentHeader, FragmentId, FragmentPlan, Inserted, Origin, PLAIN_HEAD, Reassembler,
    ReassemblyLimits, ReplySurb, SetId, fragment_room, open, open_ack, seal, seal_ack,
    write_padded,
};
use nym_proto::sphinx::{
    Delay, Hop, KeyRotation, PacketBuilder as _, PacketPeeler as _, SphinxBuilder, SphinxPeeler,
};
use nym_proto::time::Instant;
use nym_sphinx::acknowledgements::identifier::recover_identifier;
use nym_sphinx::anonymous_replies::ReplySurb as TheirSurb;
use nym_sphinx::params::PacketType;
use nym_sphinx::receiver::{MessageReceiver as _, SphinxMessageReceiver};
use std::cell::RefCell;
use std::hint::black_box;

use crate::compare::{Line, compare};
use crate::world::{MEGABYTE, ONE_PACKET, Ours, SIZE, Theirs, World, one_packet};

/// All lines of the table; tells of each when it is done.
pub fn all(mut done: impl FnMut(&Line)) -> Vec<Line> {
    let world = World::new();
    let cases: [fn(&World) -> Line; 13] = [
        packet_of_a_new_builder,
        packet,
        packets_together,
        at_the_slot,
        reply,
        surb,
        surbs,
        receive,
        recover_ack,
        peel,
        prepare_a_megabyte,
        receive_a_megabyte,
        cover,
    ];
    let mut lines = Vec::new();
    for case in cases {
        let line = case(&world);
        done(&line);
        lines.push(line);
    }
    lines
}

// ---- sending -------------------------------------------------------------------------------------

fn packet_of_a_new_builder(world: &World) -> Line {
    let (message, header) = one_packet();
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    let fragment = theirs.fragments(ONE_PACKET).remove(0);
    compare(
        "message packet with its ack, keys seen for the first time",
        Some(2.0),
        1,
        || {
            ours.builder = SphinxBuilder::new();
            black_box(ours.packet(&message, &header, 0));
        },
        || {
            black_box(theirs.packet(fragment.clone()));
        },
    )
}

fn packet(world: &World) -> Line {
    let (message, header) = one_packet();
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    let fragment = theirs.fragments(ONE_PACKET).remove(0);
    compare(
        "message packet with its ack",
        Some(4.0),
        1,
        || {
            black_box(ours.packet(&message, &header, 0));
        },
        || {
            black_box(theirs.packet(fragment.clone()));
        },
    )
}

fn packets_together(world: &World) -> Line {
    const COUNT: usize = 8;
    let (message, header) = one_packet();
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    let fragment = theirs.fragments(ONE_PACKET).remove(0);
    compare(
        "message packet with its ack, eight together",
        Some(5.5),
        COUNT,
        || {
            black_box(ours.packets(&message, &header, COUNT));
        },
        || {
            for _ in 0..COUNT {
                black_box(theirs.packet(fragment.clone()));
            }
        },
    )
}

/// What is left to do when the slot of a packet has come: ours is built already, and is put into a frame and
/// sealed for the link. Theirs is built then; that it is sealed, too, is left out.
fn at_the_slot(world: &World) -> Line {
    let (message, header) = one_packet();
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    let fragment = theirs.fragments(ONE_PACKET).remove(0);
    let packet = ours.packet(&message, &header, 0);
    let hop = ours.way(&world.bob).0.hops()[0].address;
    let (key, version) = (SharedKey::from_bytes([5; 32]), ProtocolVersion::new(5).unwrap());
    compare(
        "at its slot: a packet built ahead, sealed for the link",
        Some(30.0),
        1,
        || {
            let mut frame = ForwardFrame::new(version, KeyRotation::Odd, hop, SIZE);
            frame.packet_mut().copy_from_slice(&packet);
            black_box(frame.seal(&key, [7; 12]));
        },
        || {
            black_box(theirs.packet(fragment.clone()));
        },
    )
}

fn cover(world: &World) -> Line {
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    compare(
        "loop cover packet",
        None,
        1,
        || {
            black_box(ours.cover());
        },
        || {
            black_box(theirs.cover());
        },
    )
}

fn reply(world: &World) -> Line {
    let (message, header) = one_packet();
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    let fragment = theirs.fragments(ONE_PACKET).remove(0);
    let surb = surb_bytes(&ours.surbs(1)[0]);
    let rotation = their_rotation(world.network.topology.rotation());
    compare(
        "reply packet with its ack, the SURB read from bytes",
        None,
        1,
        || {
            let surb = ReplySurb::decode(&surb).unwrap();
            black_box(ours.reply(surb, &message, &header));
        },
        || {
            let surb = TheirSurb::from_bytes(&surb).unwrap().with_key_rotation(rotation);
            let (topology, mix) = (&world.network.theirs, PacketType::Mix);
            let prepared = theirs
                .preparer
                .prepare_reply_chunk_for_sending(
                    fragment.clone(),
                    topology,
                    &theirs.ack_key,
                    surb,
                    mix,
                )
                .unwrap();
            black_box(prepared.mix_packet.packet().to_bytes().unwrap());
        },
    )
}

fn surb(world: &World) -> Line {
    surbs_of(world, "reply SURB", Some(5.0), 1)
}

fn surbs(world: &World) -> Line {
    surbs_of(world, "reply SURB, ten at a time", Some(5.0), 10)
}

fn surbs_of(world: &World, name: &'static str, target: Option<f64>, count: usize) -> Line {
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    compare(
        name,
        target,
        count,
        || {
            black_box(ours.surbs(count));
        },
        || {
            let topology = &world.network.theirs;
            black_box(theirs.preparer.generate_reply_surbs(count, topology).unwrap());
        },
    )
}

fn prepare_a_megabyte(world: &World) -> Line {
    let message = [&PLAIN_HEAD[..], &vec![7; MEGABYTE]].concat();
    let (mut ours, mut theirs) = (Ours::new(world), Theirs::new(world));
    compare(
        "1 MB in packets",
        None,
        1,
        || {
            let plan = FragmentPlan::new(message.len(), SIZE);
            let sets = SetId::draw_distinct(plan.sets(), &mut ours.stream);
            for index in 0..plan.fragments() {
                let (header, range) = plan.place(index, &sets).unwrap();
                black_box(ours.packet(&message, &header, range.start));
            }
        },
        || {
            for fragment in theirs.fragments(MEGABYTE) {
                black_box(theirs.packet(fragment));
            }
        },
    )
}

// ---- receiving -----------------------------------------------------------------------------------

/// What a gateway pushes of a message to Bob.
fn pushes(world: &World, message: &[u8]) -> Vec<Vec<u8>> {
    let mut stream = Entropy::new([8; 32]).stream(Purpose::Packets);
    let plan = FragmentPlan::new(message.len(), SIZE);
    let sets = SetId::draw_distinct(plan.sets(), &mut stream);
    let push = |index| {
        let (header, range) = plan.place(index, &sets).unwrap();
        let mut buffer = vec![0; 32 + fragment_room(SIZE)];
        let at = 32 + header.encode(&mut buffer[32..]);
        write_padded(&[message], range.start, &mut buffer[at..]);
        seal(&world.bob.address.encryption, &mut buffer, &mut stream).unwrap();
        buffer
    };
    (0..plan.fragments()).map(push).collect()
}

fn receive(world: &World) -> Line {
    let push = pushes(world, &one_packet().0).remove(0);
    let receiver = SphinxMessageReceiver::new();
    let (our_key, their_key) = (&world.bob.keys.encryption, world.bob.their_encryption_key());
    let buffers = RefCell::new((push.clone(), push.clone()));
    compare(
        "one packet received",
        Some(1.5),
        1,
        || {
            let buffer = &mut buffers.borrow_mut().0;
            buffer.copy_from_slice(&push);
            let fragment = open(our_key, buffer).unwrap();
            black_box(FragmentHeader::decode(fragment).unwrap());
        },
        || {
            let buffer = &mut buffers.borrow_mut().1;
            buffer.copy_from_slice(&push);
            let fragment =
                receiver.recover_plaintext_from_regular_packet(&their_key, buffer).unwrap();
            black_box(receiver.recover_fragment(fragment).unwrap());
        },
    )
}

fn receive_a_megabyte(world: &World) -> Line {
    let pushes = pushes(world, &[&PLAIN_HEAD[..], &vec![7; MEGABYTE]].concat());
    let (our_key, their_key) = (&world.bob.keys.encryption, world.bob.their_encryption_key());
    compare(
        "1 MB put together from packets",
        None,
        1,
        || {
            let mut reassembler = Reassembler::new(ReassemblyLimits::default());
            let mut len = 0;
            for push in &pushes {
                let mut buffer = push.clone();
                let fragment = open(our_key, &mut buffer).unwrap();
                let (header, payload) = FragmentHeader::decode(fragment).unwrap();
                let inserted = reassembler.insert(Instant::START, Origin::Open, &header, payload);
                if let Inserted::Complete { message, .. } = inserted {
                    len = message.len();
                }
            }
            assert_eq!(len, PLAIN_HEAD.len() + MEGABYTE);
        },
        || {
            let mut receiver = SphinxMessageReceiver::new();
            let mut is_complete = false;
            for push in &pushes {
                let mut buffer = push.clone();
                let fragment = receiver
                    .recover_plaintext_from_regular_packet(&their_key, &mut buffer)
                    .unwrap();
                let fragment = receiver.recover_fragment(fragment).unwrap();
                is_complete = receiver.insert_new_fragment(fragment).unwrap().is_some();
            }
            assert!(is_complete);
        },
    )
}

fn recover_ack(world: &World) -> Line {
    let mut stream = Entropy::new([7; 32]).stream(Purpose::Packets);
    let id = AckId::Fragment(FragmentId { set: SetId::new(7).unwrap(), position: 1 });
    let ack = seal_ack(&world.alice.keys.ack, &id, &mut stream);
    let their_key = world.alice.their_ack_key();
    compare(
        "ack recognised",
        None,
        1,
        || {
            black_box(open_ack(&world.alice.keys.ack, black_box(&ack)));
        },
        || {
            black_box(recover_identifier(&their_key, black_box(&ack)).unwrap());
        },
    )
}

// ---- a node --------------------------------------------------------------------------------------

fn peel(_: &World) -> Line {
    let mut stream = Entropy::new([6; 32]).stream(Purpose::Packets);
    let keys: Vec<PrivateKey> = (0..4).map(|_| PrivateKey::generate(&mut stream)).collect();
    let hops: Vec<Hop> = (0..4u8)
        .zip(&keys)
        .map(|(n, key)| Hop {
            address: std::net::SocketAddr::from(([10, 0, 0, n], 1789)).into(),
            key: key.public(),
        })
        .collect();
    let identity =
        Person::new(3, *nym_proto::identity::IdentityKeyPair::from_seed(&[1; 32]).public());
    let mut packet = vec![7; SIZE.packet_len()];
    SphinxBuilder::new()
        .build_packet(
            &hops,
            &[Delay::from_nanos(1); 4],
            &identity.address.identity,
            SIZE.plaintext_len(),
            &mut packet,
            &mut stream,
        )
        .unwrap();
    let their_key = x25519::PrivateKey::from_secret(*keys[0].as_bytes());
    let peeler = SphinxPeeler::default();
    let buffer = RefCell::new(packet.clone());
    compare(
        "one hop removed (node)",
        Some(1.0),
        1,
        || {
            let buffer = &mut *buffer.borrow_mut();
            buffer.copy_from_slice(&packet);
            let opened = peeler.open(&keys[0], buffer).unwrap();
            black_box(peeler.peel(opened, buffer).unwrap());
        },
        || {
            let packet = sphinx_packet::SphinxPacket::from_bytes(&packet).unwrap();
            black_box(packet.process(their_key.inner()).unwrap());
        },
    )
}
