//! Bytes from outside, whatever they are, never hurt.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Connectivity, ConnectionId, Event, FetchError, FetchId, Target, WsFrame};
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
        Just(r#"{"type":"typedError","error":{"out_of_bandwidth":{"required":1,"available":-5}}}"#.to_owned()),
        Just(r#"{"type":"supportedProtocol","version":6}"#.to_owned()),
        Just(r#"{"type":"fromTheFuture","x":[]}"#.to_owned()),
    ];
    prop_oneof![
        text.prop_map(WsFrame::Text),
        proptest::collection::vec(any::<u8>(), 0..100).prop_map(|b| WsFrame::Binary(Bytes::from(b))),
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
            w.hosts[0].machine.connectivity() == Connectivity::Ready
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
        prop_assert_eq!(world.hosts[1].machine.connectivity(), Connectivity::Ready);
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
