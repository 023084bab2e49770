//! Messages, replies, files: everything arrives exactly once and every message has one outcome.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    DeliveryOrigin, Event, FailReason, Lane, MessageId, Outcome, Outgoing, RefusedReason, Target,
    WaitingFor,
};

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>().into()
}

fn is_acknowledged(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Acknowledged { .. })
}

#[test]
fn a_plain_message_arrives_once_and_is_acknowledged() {
    let mut world = World::with_two_clients(1);
    let bob = world.address(1);
    world.send(0, 7, Target::Plain(bob), "hello").unwrap();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.hosts[1].delivered.len(), 1);
    assert_eq!(&world.hosts[1].delivered[0].data[..], b"hello");
    assert_eq!(world.hosts[1].delivered[0].origin, DeliveryOrigin::Plain);
    let outcomes = &world.hosts[0].outcomes;
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].0, MessageId(7));
    assert!(is_acknowledged(&outcomes[0].1));
}

#[test]
fn messages_of_every_awkward_size_arrive_intact() {
    let mut world = World::with_two_clients(2);
    let bob = world.address(1);
    let sizes = [0, 1, 1600, 1602, 1603, 3206, 10_000, 409_018, 409_019, 820_000];
    for (id, size) in sizes.into_iter().enumerate() {
        world.send(0, id as u64, Target::Plain(bob), pattern(size)).unwrap();
    }
    world
        .run_until_true(5 * MINUTE, "all delivered", |w| w.hosts[1].delivered.len() == sizes.len());
    world.run_until_true(MINUTE, "all acknowledged", |w| w.hosts[0].outcomes.len() == sizes.len());
    let mut received: Vec<usize> = world.hosts[1].delivered.iter().map(|d| d.data.len()).collect();
    received.sort_unstable();
    assert_eq!(received, sizes);
    assert!(world.hosts[1].delivered.iter().all(|d| d.data == pattern(d.data.len())));
}

#[test]
fn an_anonymous_message_is_answered_without_an_address() {
    let mut world = World::with_two_clients(3);
    let (alice, bob) = (world.address(0), world.address(1));
    world.send(0, 1, Target::Anonymous { recipient: bob, surbs: 10 }, "who are you?").unwrap();
    world.run_until_true(MINUTE, "message", |w| w.hosts[1].delivered.len() == 1);
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else { panic!() };
    world.send(1, 1, Target::Reply(tag), "guess").unwrap();
    world.run_until_true(MINUTE, "reply", |w| w.hosts[0].delivered.len() == 1);
    assert_eq!(&world.hosts[0].delivered[0].data[..], b"guess");
    assert_eq!(world.hosts[0].delivered[0].origin, DeliveryOrigin::Reply(bob));
    world.run_until_true(MINUTE, "outcome", |w| w.hosts[1].outcomes.len() == 1);
    assert!(is_acknowledged(&world.hosts[1].outcomes[0].1));
    // nothing Bob's application saw contains Alice's address
    assert_ne!(alice, bob);
}

#[test]
fn a_reply_much_larger_than_the_surbs_given_asks_for_more() {
    let mut world = World::with_two_clients(4);
    let bob = world.address(1);
    world.send(0, 1, Target::Anonymous { recipient: bob, surbs: 5 }, "all of it, please").unwrap();
    world.run_until_true(MINUTE, "message", |w| w.hosts[1].delivered.len() == 1);
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else { panic!() };
    world.send(1, 1, Target::Reply(tag), pattern(200_000)).unwrap();
    world.run_until_true(3 * MINUTE, "reply", |w| w.hosts[0].delivered.len() == 1);
    assert_eq!(world.hosts[0].delivered[0].data, pattern(200_000));
    assert!(world.hosts[1].machine.stats().surb_requests_sent > 2);
}

#[test]
fn a_reply_survives_heavy_loss() {
    let mut world = World::with_two_clients(5);
    world.loss = 0.08;
    let bob = world.address(1);
    world.send(0, 1, Target::Anonymous { recipient: bob, surbs: 10 }, "?").unwrap();
    world.run_until_true(MINUTE, "message", |w| w.hosts[1].delivered.len() == 1);
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else { panic!() };
    world.send(1, 1, Target::Reply(tag), pattern(60_000)).unwrap();
    world.run_until_true(5 * MINUTE, "reply", |w| w.hosts[0].delivered.len() == 1);
    assert_eq!(world.hosts[0].delivered[0].data, pattern(60_000));
    // a SURB used again would show as a header that was there before
    assert!(world.seen.again.is_empty(), "{:?} used again", world.seen.again);
}

#[test]
fn with_one_packet_in_three_lost_everything_still_arrives_exactly_once() {
    let mut world = World::with_two_clients(6);
    world.loss = 0.1;
    let (alice, bob) = (world.address(0), world.address(1));
    for id in 0..20 {
        world.send(0, id, Target::Plain(bob), pattern(5_000 + id as usize)).unwrap();
        world.send(1, id, Target::Plain(alice), pattern(100 + id as usize)).unwrap();
    }
    world.run_until_true(3 * MINUTE, "all acknowledged", |w| {
        w.hosts.iter().all(|h| h.outcomes.len() == 20)
    });
    world.run_for(MINUTE);
    for (host, base) in world.hosts.iter().zip([100, 5_000]) {
        let mut sizes: Vec<usize> = host.delivered.iter().map(|d| d.data.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, (base..base + 20).collect::<Vec<_>>());
        assert!(host.machine.stats().retransmissions > 0);
        assert_eq!(host.machine.in_flight(), 0);
    }
}

#[test]
fn a_message_nobody_can_receive_ends_as_failed_after_its_attempts() {
    let mut world = World::with_two_clients(7);
    world.loss = 1.0;
    let target = Target::Plain(world.address(1));
    let mut message = Outgoing::new(MessageId(1), target, Bytes::from_static(b"x"));
    message.attempts_max = Some(3);
    world.event(0, Event::Send(message));
    world.run_for(MINUTE);
    let failed = Outcome::Failed(FailReason::TooManyAttempts(3));
    assert_eq!(world.hosts[0].outcomes, [(MessageId(1), failed)]);
    assert_eq!(world.hosts[0].machine.in_flight(), 0);
}

#[test]
fn a_message_expires_when_its_time_is_over() {
    let mut world = World::with_two_clients(8);
    world.loss = 1.0;
    let target = Target::Plain(world.address(1));
    let mut message = Outgoing::new(MessageId(1), target, Bytes::from_static(b"x"));
    message.expires_after = Some(Duration::from_secs(10));
    world.event(0, Event::Send(message));
    world.run_for(Duration::from_secs(11));
    assert_eq!(
        world.hosts[0].outcomes,
        [(MessageId(1), Outcome::Expired { waiting_for: WaitingFor::Acks })]
    );
}

#[test]
fn closing_a_lane_ends_its_messages_and_no_others() {
    let mut world = World::with_two_clients(9);
    let target = Target::Plain(world.address(1));
    let mut bulk = Outgoing::new(MessageId(1), target.clone(), pattern(500_000));
    bulk.lane = Lane::Connection(5);
    world.event(0, Event::Send(bulk));
    world.send(0, 2, target, "keep me").unwrap();
    assert!(world.hosts[0].machine.lane_len(Lane::Connection(5)) > 300);
    world.event(0, Event::CloseLane(Lane::Connection(5)));
    assert_eq!(world.hosts[0].machine.lane_len(Lane::Connection(5)), 0);
    world.run_until_true(MINUTE, "both ended", |w| w.hosts[0].outcomes.len() == 2);
    assert_eq!(world.hosts[0].outcomes[0], (MessageId(1), Outcome::Failed(FailReason::LaneClosed)));
    assert!(is_acknowledged(&world.hosts[0].outcomes[1].1));
}

#[test]
fn a_small_message_is_not_stuck_behind_a_bulk_upload_on_another_lane() {
    let mut world = World::with_two_clients(10);
    let target = Target::Plain(world.address(1));
    let mut bulk = Outgoing::new(MessageId(1), target.clone(), pattern(2_000_000));
    bulk.lane = Lane::Connection(5);
    world.event(0, Event::Send(bulk));
    world.run_for(Duration::from_secs(2));
    world.send(0, 2, target, "quick").unwrap();
    world.run_until_true(Duration::from_secs(2), "quick one", |w| {
        w.hosts[1].delivered.iter().any(|d| &d.data[..] == b"quick")
    });
}

#[test]
fn impossible_messages_come_back_with_the_reason() {
    let mut world = World::with_two_clients(11);
    let bob = world.address(1);
    let max = nym_proto::limits::Limits::default().message_bytes_max;
    let too_large = world.send(0, 1, Target::Plain(bob), vec![0; max + 1]).unwrap_err();
    assert_eq!(too_large.reason, RefusedReason::TooLarge { bytes: max + 1, max });
    assert_eq!(too_large.message.data.len(), max + 1);
    let tag = nym_proto::message::SenderTag::from_bytes([9; 16]);
    let unknown = world.send(0, 2, Target::Reply(tag), "x").unwrap_err();
    assert_eq!(unknown.reason, RefusedReason::UnknownTag);
    let surbs = Target::Anonymous { recipient: bob, surbs: u16::MAX };
    let too_many = world.send(0, 3, surbs, "x").unwrap_err();
    assert!(matches!(too_many.reason, RefusedReason::TooManySurbs { .. }));
    world.send(0, 4, Target::Plain(bob), "x").unwrap();
    let twice = world.send(0, 4, Target::Plain(bob), "y").unwrap_err();
    assert_eq!(twice.reason, RefusedReason::DuplicateId);
}

#[test]
fn a_full_outbox_refuses_and_says_when_there_is_room_again() {
    let mut world = World::new(12);
    let mut config = world.config(0);
    config.limits.outbox_bytes_max = 100_000;
    world.add(config, 13);
    world.add(world.config(1), 14);
    world.run_for(Duration::from_secs(1));
    let target = Target::Plain(world.address(1));
    world.send(0, 1, target.clone(), pattern(60_000)).unwrap();
    let refused = world.send(0, 2, target.clone(), pattern(60_000)).unwrap_err();
    assert_eq!(refused.reason, RefusedReason::Full);
    assert_eq!(world.hosts[0].writable, []);
    world.run_until_true(MINUTE, "writable", |w| w.hosts[0].writable == [Some(Lane::General)]);
    world.event(0, Event::Send(*refused.message));
    world.run_until_true(MINUTE, "both delivered", |w| w.hosts[1].delivered.len() == 2);
}

#[test]
fn an_application_that_takes_nothing_gets_no_more_than_its_window() {
    let mut world = World::new(15);
    let mut config = world.config(1);
    config.limits.delivery_window = 3;
    world.add(world.config(0), 16);
    world.add(config, 17);
    world.run_for(Duration::from_secs(1));
    world.hosts[1].takes = false;
    let target = Target::Plain(world.address(1));
    for id in 0..10 {
        world.send(0, id, target.clone(), pattern(id as usize)).unwrap();
    }
    world.run_until_true(MINUTE, "all acknowledged", |w| w.hosts[0].outcomes.len() == 10);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.hosts[1].delivered.len(), 3);
    world.hosts[1].takes = true;
    world.event(1, Event::Taken(3));
    assert_eq!(world.hosts[1].delivered.len(), 10);
}
