//! Lanes share the slots, have room of their own, and can be closed at any time.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{
    DeliveryOrigin, Event, FailReason, Lane, MessageId, Outcome, Outgoing, RefusedReason, Target,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::message::SenderTag;

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const A: Lane = Lane::Connection(1);
const B: Lane = Lane::Connection(2);
const CLOSED: Outcome = Outcome::Failed(FailReason::LaneClosed);

impl World {
    fn send_on(&mut self, client: usize, lane: Lane, id: u64, target: &Target, len: usize) -> bool {
        let data = Bytes::from(vec![id as u8; len]);
        let message = Outgoing { lane, ..Outgoing::new(MessageId(id), target.clone(), data) };
        match self.event_with_result(client, Event::Send(message)) {
            Ok(()) => true,
            Err(refused) => {
                assert_eq!(refused.reason, RefusedReason::Full);
                false
            }
        }
    }

    fn transmitted(&self, client: usize, id: u64) -> u32 {
        self.hosts[client].machine.progress(MessageId(id)).unwrap().transmitted
    }

    fn is_told(&self, client: usize, lane: Lane) -> bool {
        self.hosts[client].writable.contains(&Some(lane))
    }
}

/// A world whose second client can answer the first one, having no more SURBs than these.
fn with_tag(seed: u8, surbs: u16) -> (World, SenderTag) {
    let mut world = World::without_cover(seed);
    let recipient = world.address(1);
    world.send(0, 1000, Target::Anonymous { recipient, surbs }, "?").unwrap();
    world.run_until_true(MINUTE, "message", |w| w.hosts[1].delivered.len() == 1);
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else { panic!() };
    (world, tag)
}

/// Where nothing can be sent: the topology does not list the gateway.
fn nowhere(world: &World) -> Target {
    let gateway = *IdentityKeyPair::from_seed(&[9; 32]).public();
    Target::Plain(Recipient { gateway, ..world.address(1) })
}

#[test]
fn a_lane_that_is_always_busy_leaves_a_bulk_lane_its_share() {
    let mut world = World::without_cover(200);
    let bob = Target::Plain(world.address(1));
    world.send_on(0, B, 1, &bob, 1_000_000);
    for id in 100..250 {
        world.run_for(Duration::from_millis(100));
        while world.hosts[0].machine.lane_len(A) < 30 {
            // about ten fragments
            let id = id * 10 + world.hosts[0].machine.lane_len(A) as u64 / 10;
            assert!(world.send_on(0, A, id, &bob, 15_000));
        }
    }
    let stats = world.hosts[0].machine.stats();
    let share = f64::from(world.transmitted(0, 1)) / stats.real_packets as f64;
    assert!((0.30..0.37).contains(&share), "{share}, {stats:?}");
}

#[test]
fn retransmissions_without_end_leave_the_lanes_their_shares() {
    let mut world = World::without_cover(203);
    let bob = Target::Plain(world.address(1));
    world.send_on(0, B, 1, &bob, 4_000_000);
    world.run_for(Duration::from_secs(5));
    // every gateway is silent, so that nothing is said about the recipient's
    world.loss = 1.0;
    world.run_for(Duration::from_secs(15));
    let (before, real) = (world.transmitted(0, 1), world.hosts[0].machine.stats().real_packets);
    world.send_on(0, A, 2, &bob, 15_000);
    world.run_for(Duration::from_secs(4));
    assert_eq!(world.hosts[0].machine.lane_len(A), 0, "the small message has left");
    world.run_for(Duration::from_secs(16));
    let share = f64::from(world.transmitted(0, 1) - before)
        / (world.hosts[0].machine.stats().real_packets - real) as f64;
    assert!(share > 0.23, "{share}");
}

#[test]
fn closing_a_lane_ends_what_is_queued_in_flight_overdue_or_waiting_for_surbs() {
    let (mut world, tag) = with_tag(206, 10);
    let alice = Target::Plain(world.address(0));
    world.run_for(Duration::from_secs(5));
    world.loss = 1.0;
    assert!(world.send_on(1, A, 1, &alice, 200_000));
    assert!(world.send_on(1, A, 2, &Target::Reply(tag), 50_000));
    assert!(world.send_on(1, B, 3, &alice, 100));
    // some fragments are overdue, others not yet, most were never sent
    world.run_for(Duration::from_secs(2));
    let machine = &world.hosts[1].machine;
    assert!(machine.stats().retransmissions > 5 && machine.in_flight() > 40);
    assert!(machine.lane_len(A) > 40 && world.transmitted(1, 2) > 0);

    world.event(1, Event::CloseLane(A));

    let host = &world.hosts[1];
    assert_eq!(host.outcomes, [(MessageId(1), CLOSED), (MessageId(2), CLOSED)]);
    assert_eq!((host.machine.lane_len(A), host.machine.lane_bytes(A)), (0, 0));
    assert_eq!(host.machine.progress(MessageId(1)), None);
    // of the lane that is left, and requests for SURBs
    assert!(host.machine.in_flight() <= 3, "{}", host.machine.in_flight());
    world.loss = 0.0;
    world.run_for(MINUTE);
    let host = &world.hosts[1];
    assert_eq!((host.outcomes.len(), host.outcomes[2].0), (3, MessageId(3)));
    assert_eq!(host.machine.in_flight(), 0);
    // an ack that was under way names nothing any more
    world.event(1, Event::CloseLane(A));
    assert_eq!(world.hosts[1].outcomes.len(), 3);
}

#[test]
fn closing_a_lane_of_thousands_of_messages_leaves_nothing() {
    let mut world = World::without_cover(209);
    let bob = Target::Plain(world.address(1));
    let accepted = (0..5000).take_while(|id| world.send_on(0, A, *id, &bob, 10)).count();
    // an eighth is kept for other lanes
    assert_eq!(accepted, 3584);
    assert!(world.send_on(0, B, 9999, &bob, 10));
    world.run_for(Duration::from_secs(2));
    world.event(0, Event::CloseLane(A));
    let ended: BTreeSet<_> = world.hosts[0].outcomes.iter().map(|(id, _)| id.0).collect();
    assert_eq!(world.hosts[0].outcomes.len(), ended.len(), "one outcome each");
    assert!((0..3584).all(|id| ended.contains(&id)));
    assert_eq!((world.hosts[0].machine.lane_len(A), world.hosts[0].machine.in_flight()), (0, 0));
    assert!(world.is_told(0, A));
}

#[test]
fn how_far_a_message_is_can_be_asked_at_any_time() {
    let mut world = World::without_cover(212);
    let bob = Target::Plain(world.address(1));
    world.send_on(0, A, 1, &bob, 100_000);
    let progress = |world: &World| world.hosts[0].machine.progress(MessageId(1));
    let first = progress(&world).unwrap();
    assert_eq!((first.fragments, first.transmitted, first.acknowledged), (63, 0, 0));
    assert_eq!(world.hosts[0].machine.lane_len(A), 63);
    let bytes = world.hosts[0].machine.lane_bytes(A);
    assert!((100_000..100_200).contains(&bytes), "{bytes}");
    let mut last = first;
    while let Some(now) = progress(&world) {
        assert!(now.transmitted >= last.transmitted && now.acknowledged >= last.acknowledged);
        assert!(now.acknowledged <= now.transmitted && now.transmitted <= now.fragments);
        assert_eq!(world.hosts[0].machine.lane_len(A), (63 - now.transmitted) as usize);
        last = now;
        world.run_for(Duration::from_millis(20));
    }
    assert_eq!((last.transmitted, world.hosts[0].outcomes.len()), (63, 1));
    assert_eq!(world.hosts[0].machine.lane_bytes(A), 0);
}

/// Two clients of which the first has lanes of 40,000 bytes and 80,000 in all.
fn with_small_lanes(seed: u8) -> World {
    let mut world = World::new(seed);
    let mut config = world.quiet_config(0);
    config.limits.outbox_bytes_max = 80_000;
    config.limits.lane_bytes_max = 40_000;
    world.add(config, seed + 1);
    world.add(world.quiet_config(1), seed + 2);
    world.run_for(Duration::from_secs(1));
    world
}

#[test]
fn what_no_lane_can_hold_never_fits() {
    let mut world = with_small_lanes(215);
    let bob = Target::Plain(world.address(1));
    let refused = world.send(0, 1, bob.clone(), vec![0; 40_001]).unwrap_err();
    let RefusedReason::TooLarge { bytes: 40_001, max } = refused.reason else { panic!() };
    world.send(0, 2, bob.clone(), vec![0; max]).unwrap();
    let refused = world.send(0, 3, bob, vec![0; max]).unwrap_err();
    assert_eq!(refused.reason, RefusedReason::Full);
}

#[test]
fn a_full_lane_does_not_keep_another_one_from_sending_and_being_told_of_room() {
    let mut world = with_small_lanes(218);
    let (dead, bob) = (nowhere(&world), Target::Plain(world.address(1)));
    // nothing of the first lane can ever be sent
    assert!(world.send_on(0, A, 1, &dead, 39_000));
    assert!(!world.send_on(0, A, 2, &dead, 39_000));
    assert!(world.send_on(0, B, 3, &bob, 25_000));
    assert!(!world.send_on(0, B, 4, &bob, 25_000));
    world.run_until_true(MINUTE, "room in lane B", |w| w.is_told(0, B));
    assert!(world.send_on(0, B, 4, &bob, 25_000));
    world.run_until_true(MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 2);
    assert!(!world.is_told(0, A), "there is no room in the other one");
    world.event(0, Event::CloseLane(A));
    assert!(world.is_told(0, A));
}

#[test]
fn lanes_that_hold_nothing_have_room_when_others_have_taken_all_they_may() {
    let mut world = with_small_lanes(221);
    let dead = nowhere(&world);
    assert!(world.send_on(0, A, 1, &dead, 39_000));
    assert!(world.send_on(0, B, 2, &dead, 30_000));
    assert!(!world.send_on(0, Lane::General, 3, &dead, 3000), "more than a small lane holds");
    let bob = Target::Plain(world.address(1));
    for lane in 10..13 {
        assert!(world.send_on(0, Lane::Connection(lane), lane, &bob, 2000));
    }
    world.run_until_true(MINUTE, "delivered", |w| w.hosts[1].delivered.len() == 3);
    assert!(!world.is_told(0, Lane::General));
}

#[test]
fn a_lane_is_told_of_room_once_for_each_refusal() {
    let mut world = with_small_lanes(224);
    let bob = Target::Plain(world.address(1));
    for id in 0..3 {
        assert!(world.send_on(0, A, 2 * id, &bob, 30_000));
        assert!(!world.send_on(0, A, 2 * id + 1, &bob, 30_000));
        let told = id as usize + 1;
        world.run_until_true(MINUTE, "room", |w| w.hosts[0].writable.len() == told);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.hosts[0].writable.len(), told);
    }
}
