//! Bytes from outside, whatever they are, never hurt.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    ConnectionId, Connectivity, DeliveryOrigin, Event, Fact, FetchError, FetchId, Lane, MessageId,
    Outgoing, Shutdown, Target, Wakeup, WsFrame,
};
use nym_proto::time::Instant;
use proptest::prelude::*;

use crate::world::World;

fn frame() -> impl Strategy<Value = WsFrame> {
    let text = prop_oneof![
        ".{0,80}",
        Just(r#"{"type":"send","remaining_bandwidth":1,"upgrade_mode":false}"#.to_owned()),
        Just(r#"{"type":"error","message":"x"}"#.to_owned()),
        Just(r#"{"type":"register","protocol_version":6,"status":true}"#.to_owned()),
        Just(r#"{"type":"handshakePayload","protocol_version":6,"data":[1]}"#.to_owned()),
        Just(
            r#"{"type":"typedError","error":{"out_of_bandwidth":{"required":1,"available":-5}}}"#
                .to_owned()
        ),
        Just(r#"{"type":"supportedProtocol","version":6}"#.to_owned()),
        Just(r#"{"type":"fromTheFuture","x":[]}"#.to_owned()),
    ];
    prop_oneof![
        text.prop_map(WsFrame::Text),
        proptest::collection::vec(any::<u8>(), 0..100)
            .prop_map(|b| WsFrame::Binary(Bytes::from(b))),
    ]
}

fn pushed() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        proptest::collection::vec(any::<u8>(), 21..=21),
        proptest::collection::vec(any::<u8>(), 1643..=1643),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_frames_at_any_time_leave_a_client_that_works(
        seed: u8,
        frames in proptest::collection::vec((frame(), 0u64..200), 1..30),
    ) {
        let mut world = World::new(90);
        world.add(world.config(0), seed);
        for (frame, pause) in frames {
            world.inject(0, frame);
            world.run_for(Duration::from_millis(pause));
        }
        world.run_until_true(Duration::from_secs(300), "works again", |w| {
            w.hosts[0].machine.connectivity().is_up()
        });
    }

    #[test]
    fn any_pushes_leave_a_client_that_still_receives(
        pushes in proptest::collection::vec(pushed(), 1..40),
    ) {
        let mut world = World::with_two_clients(91);
        for message in &pushes {
            world.push(1, message);
        }
        let bob = world.address(1);
        world.send(0, 1, Target::Plain(bob), "still there?").unwrap();
        world.run_until_true(Duration::from_secs(60), "received", |w| {
            w.hosts[1].delivered.iter().any(|d| &d.data[..] == b"still there?")
        });
        prop_assert!(world.hosts[1].machine.connectivity().is_up());
    }

    #[test]
    fn events_of_connections_and_fetches_nobody_asked_for_are_ignored(
        number in 2u64..1000,
        body in proptest::collection::vec(any::<u8>(), 0..50),
        nanos: u64,
    ) {
        let mut world = World::with_two_clients(92);
        let connection = ConnectionId(number);
        let unix_time = world.unix();
        let before = world.hosts[0].facts.clone();
        let events = [
            Event::GatewayConnected { connection, unix_time },
            Event::GatewayFrame { connection, frame: WsFrame::Binary(body.clone().into()) },
            Event::GatewayClosed { connection, reason: "stale".into() },
            Event::GatewayBlocked { connection },
            Event::GatewayWritable { connection },
            Event::Fetched { fetch: FetchId(number), result: Ok(body.into()), unix_time },
            Event::Fetched { fetch: FetchId(number), result: Err(FetchError::Status(500)), unix_time },
            Event::Taken(u32::MAX),
        ];
        for event in events {
            world.event(0, event);
        }
        // a clock that jumps back stands still
        let earlier = Instant::from_nanos(nanos.min(world.now.as_nanos()));
        world.hosts[0].machine.handle(earlier, Event::Tick).unwrap();
        prop_assert_eq!(&world.hosts[0].facts, &before);
        prop_assert_eq!(world.hosts[0].machine.connectivity(), Connectivity::Ready);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Plain { size: usize, lane: u64 },
    Anonymous { surbs: u16 },
    Reply { size: usize },
    CloseLane(u64),
    Cut,
    Inject(WsFrame),
    Push(Vec<u8>),
    Block(bool),
    Loss(f64),
    NetworkChanged,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0usize..20_000, 0u64..3).prop_map(|(size, lane)| Step::Plain { size, lane }),
        (0u16..30).prop_map(|surbs| Step::Anonymous { surbs }),
        (1usize..30_000).prop_map(|size| Step::Reply { size }),
        (0u64..3).prop_map(Step::CloseLane),
        Just(Step::Cut),
        frame().prop_map(Step::Inject),
        pushed().prop_map(Step::Push),
        any::<bool>().prop_map(Step::Block),
        (0.0..0.3f64).prop_map(Step::Loss),
        Just(Step::NetworkChanged),
        (1u64..3000).prop_map(Step::Wait),
    ]
}

fn lane(number: u64) -> Lane {
    if number == 0 { Lane::General } else { Lane::Connection(number) }
}

/// Carries a step out. True if a message was accepted.
fn take(world: &mut World, id: u64, step: Step) -> bool {
    let (client, target, size, lane) = match step {
        Step::Plain { size, lane: number } => {
            (0, Target::Plain(world.address(1)), size, lane(number))
        }
        Step::Anonymous { surbs } => {
            (0, Target::Anonymous { recipient: world.address(1), surbs }, 10, Lane::General)
        }
        Step::Reply { size } => {
            let tag = world.hosts[1].delivered.iter().find_map(|delivery| match delivery.origin {
                DeliveryOrigin::Anonymous(tag) => Some(tag),
                _ => None,
            });
            let Some(tag) = tag else { return false };
            (1, Target::Reply(tag), size, Lane::General)
        }
        other => {
            disturb(world, other);
            return false;
        }
    };
    let mut message = Outgoing::new(MessageId(id), target, vec![1; size].into());
    message.lane = lane;
    world.event_with_result(client, Event::Send(message)).is_ok()
}

fn disturb(world: &mut World, step: Step) {
    match step {
        Step::CloseLane(number) => world.event(0, Event::CloseLane(lane(number))),
        Step::Cut => world.cut(0),
        Step::Inject(frame) => world.inject(0, frame),
        Step::Push(message) => world.push(0, &message),
        Step::Block(is_blocked) => world.block(0, is_blocked),
        Step::Loss(loss) => world.loss = loss,
        Step::NetworkChanged => {
            let unix_time = world.unix();
            world.event(0, Event::NetworkChanged { unix_time });
        }
        Step::Wait(millis) => world.run_for(Duration::from_millis(millis)),
        Step::Plain { .. } | Step::Anonymous { .. } | Step::Reply { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_every_accepted_message_has_exactly_one_outcome(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut world = World::with_two_clients(95);
        let mut accepted = 0;
        for (id, step) in (0..).zip(steps) {
            accepted += usize::from(take(&mut world, id, step));
            for host in &world.hosts {
                // drained, so a deadline is about time
                prop_assert!(host.machine.next_deadline().is_none_or(|d| d.why != Wakeup::Actions));
            }
        }
        for client in 0..2 {
            world.event(client, Event::Shutdown(Shutdown::Drain(Duration::from_secs(20))));
        }
        world.run_for(Duration::from_secs(21));
        let outcomes: Vec<MessageId> =
            world.hosts.iter().flat_map(|host| &host.outcomes).map(|(id, _)| *id).collect();
        let unique: std::collections::BTreeSet<_> = outcomes.iter().collect();
        prop_assert_eq!(unique.len(), outcomes.len());
        prop_assert_eq!(outcomes.len(), accepted);
        for host in &world.hosts {
            prop_assert!(host.stopped.is_some());
            prop_assert_eq!(host.machine.in_flight(), 0);
        }
    }
}

#[test]
fn a_request_for_surbs_from_somebody_without_a_surb_of_ours_is_refused() {
    // an envelope of type "reply", sent along an ordinary route by a third party
    let mut world = World::with_two_clients(93);
    let (alice, bob) = (world.address(0), world.address(1));
    world.send(0, 1, Target::Anonymous { recipient: bob, surbs: 3 }, "hi").unwrap();
    world.run_for(Duration::from_secs(5));
    let made = world.hosts[0].machine.stats().surbs_made;
    let request = nym_proto::message::surb_request(&bob, 100);
    world.send_raw(&alice, &request);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.hosts[0].machine.stats().surb_requests_refused, 1);
    assert_eq!(world.hosts[0].machine.stats().surbs_made, made);
}

#[test]
fn a_reply_that_did_not_come_through_a_surb_is_not_delivered() {
    let mut world = World::with_two_clients(94);
    let alice = world.address(0);
    world.send_raw(&alice, b"\x02\x00forged");
    world.run_for(Duration::from_secs(5));
    assert!(world.hosts[0].delivered.is_empty());
    assert_eq!(world.hosts[0].machine.stats().bad_messages, 1);
}

#[test]
fn a_flood_of_incomplete_messages_is_bounded_and_reported() {
    let mut world = World::new(96);
    let mut config = world.config(0);
    config.limits.reassembly.sets_max = 10;
    world.add(config, 97);
    world.run_for(Duration::from_secs(1));
    let alice = world.address(0);
    for _ in 0..50 {
        // the first of several packets
        world.send_raw(&alice, &[7; 5000]);
        world.run_for(Duration::from_millis(20));
    }
    assert_eq!(world.hosts[0].machine.stats().sets_dropped, 40);
    let reported: usize = world.hosts[0]
        .facts
        .iter()
        .map(|fact| match fact {
            Fact::ReassemblyDropped { sets } => *sets,
            _ => 0,
        })
        .sum();
    assert_eq!(reported, 40);
}

#[test]
fn a_flood_of_messages_from_strangers_takes_no_room_from_the_application() {
    use nym_proto::entropy::{Entropy, Purpose};
    use nym_proto::message::{RepliableKind, ReplyKey, ReplySurb, SenderTag, repliable_head};
    use nym_proto::sphinx::{PacketBuilder as _, SphinxBuilder};

    let mut world = World::new(96);
    let mut config = world.config(0);
    config.limits.outbox_messages_max = 64;
    config.limits.correspondents_max = 8;
    world.add(config, 97);
    world.add(world.config(1), 98);
    world.run_for(Duration::from_secs(1));
    world.loss = 1.0;
    let (alice, bob) = (world.address(0), world.address(1));
    let topology = world.topology.clone();
    let mut stream = Entropy::new([96; 32]).stream(Purpose::Other(2));
    for _ in 0..1000 {
        // a single SURB is too few for any reply
        let route = topology.route(&bob.gateway, &mut stream).unwrap();
        let delays = route.draw_delays(Duration::ZERO, &mut stream);
        let surb = SphinxBuilder::new()
            .make_surb(route.hops(), delays.as_slice(), &bob.identity, &mut stream)
            .unwrap();
        let surb = ReplySurb { key: ReplyKey::draw(&mut stream), surb };
        let tag = SenderTag::draw(&mut stream);
        let mut message =
            repliable_head(&tag, RepliableKind::Data, 1, 4, topology.rotation()).to_vec();
        surb.encode(&mut message);
        world.send_raw(&alice, &message);
    }
    world.run_for(Duration::from_secs(1));
    let stats = world.hosts[0].machine.stats();
    assert_eq!(stats.surbs_received, 1000);
    // asking would tell them the address, and nobody wants to answer them
    assert_eq!(stats.surb_requests_sent, 0);
    assert_eq!(stats.correspondents_dropped, 1000 - 8);
    world.send(0, 1, Target::Plain(bob), "x").unwrap();
}
