//! Waits for acks, repetitions, and what becomes of messages that cannot be sent.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{
    Connectivity, DeliveryOrigin, Event, MessageId, Outcome, Outgoing, Target, WaitingFor,
};
use nym_proto::identity::IdentityKeyPair;

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

fn retransmissions(world: &World) -> u64 {
    world.hosts[0].machine.stats().retransmissions
}

/// A client with hundreds of fragments in flight whose gateway is away for two minutes.
fn after_an_outage(seed: u8, loss: f64) -> World {
    let mut world = World::new(seed);
    let mut config = world.config(0);
    config.traffic.hop_delay = Duration::from_secs(2);
    config.traffic.ack_delay = Duration::from_secs(2);
    world.add(config, seed + 1);
    world.add(world.config(1), seed + 2);
    world.run_for(Duration::from_secs(1));
    world.loss = loss;
    let bob = world.address(1);
    world.send(0, 1, Target::Plain(bob), vec![7; 1_000_000]).unwrap();
    world.run_for(Duration::from_secs(13));
    assert!(world.hosts[0].machine.in_flight() > 400, "{}", world.hosts[0].machine.in_flight());
    world.gateways[0].is_up = false;
    world.cut(0);
    world.run_for(2 * MINUTE);
    world.gateways[0].is_up = true;
    world.run_until_true(2 * MINUTE, "ready again", |w| {
        w.hosts[0].machine.connectivity() != Connectivity::Offline
            && w.hosts[0].machine.stats().sessions == 2
    });
    world
}

#[test]
fn after_an_outage_nothing_is_repeated_that_had_arrived() {
    let mut world = after_an_outage(120, 0.0);
    let before = retransmissions(&world);
    world.run_until_true(5 * MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 1);
    let repeated = retransmissions(&world) - before;
    assert!(repeated <= 20, "{repeated}");
    assert_eq!(world.hosts[1].delivered.len(), 1);
}

#[test]
fn after_an_outage_what_was_lost_is_repeated_little_by_little() {
    let mut world = after_an_outage(124, 0.04);
    let before = retransmissions(&world);
    world.run_for(Duration::from_secs(2));
    assert_eq!(retransmissions(&world), before);
    world.run_for(Duration::from_secs(8));
    let repeated = retransmissions(&world) - before;
    // a quarter of 50 slots a second
    assert!((20..=120).contains(&repeated), "{repeated}");
    world.run_until_true(10 * MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 1);
}

#[test]
fn on_a_fast_network_a_lost_packet_is_repeated_within_a_second() {
    let mut world = World::with_two_clients(128);
    let bob = Target::Plain(world.address(1));
    world.send(0, 1, bob.clone(), vec![1; 60_000]).unwrap();
    world.run_until_true(MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 1);
    world.loss = 1.0;
    world.send(0, 2, bob, "lost at first").unwrap();
    world.run_for(Duration::from_millis(250));
    world.loss = 0.0;
    world.run_until_true(Duration::from_millis(750), "repeated", |w| {
        w.hosts[1].delivered.len() == 2
    });
}

#[test]
fn on_a_slow_network_the_wait_grows_until_nothing_is_repeated_in_vain() {
    let mut world = World::with_two_clients(132);
    world.latency = Duration::from_millis(335);
    let bob = Target::Plain(world.address(1));
    world.send(0, 1, bob.clone(), vec![1; 300_000]).unwrap();
    world.run_until_true(MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 1);
    let before = retransmissions(&world);
    world.send(0, 2, bob, vec![2; 600_000]).unwrap();
    world.run_until_true(MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 2);
    assert_eq!(retransmissions(&world), before);
}

fn expiring(id: u64, target: Target) -> Event {
    let mut message = Outgoing::new(MessageId(id), target, Bytes::from_static(b"held"));
    message.expires_after = Some(Duration::from_secs(5));
    Event::Send(message)
}

#[test]
fn a_message_that_expires_while_it_is_held_says_what_it_waited_for() {
    let mut world = World::with_two_clients(136);
    let bob = world.address(1);
    let gateway = *IdentityKeyPair::from_seed(&[9; 32]).public();
    world.event(0, expiring(1, Target::Plain(Recipient { gateway, ..bob })));
    world.run_for(Duration::from_secs(6));
    world.gateways[0].is_up = false;
    world.cut(0);
    world.event(0, expiring(2, Target::Plain(bob)));
    world.event(0, expiring(3, Target::Anonymous { recipient: bob, surbs: 3 }));
    world.run_for(Duration::from_secs(6));
    let waits: Vec<_> = world.hosts[0].outcomes.iter().map(|(_, outcome)| *outcome).collect();
    let expired = |waiting_for| Outcome::Expired { waiting_for };
    assert_eq!(
        waits,
        [
            expired(WaitingFor::RecipientGateway),
            expired(WaitingFor::Gateway),
            expired(WaitingFor::Gateway)
        ]
    );
}

#[test]
fn a_reply_without_surbs_expires_waiting_for_them() {
    let mut world = World::with_two_clients(140);
    let bob = world.address(1);
    world.send(0, 1, Target::Anonymous { recipient: bob, surbs: 1 }, "?").unwrap();
    world.run_until_true(MINUTE, "message", |w| w.hosts[1].delivered.len() == 1);
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else { panic!() };
    // no request for more gets through
    world.loss = 1.0;
    world.event(1, expiring(1, Target::Reply(tag)));
    world.run_for(Duration::from_secs(6));
    let expired = Outcome::Expired { waiting_for: WaitingFor::Surbs };
    assert_eq!(world.hosts[1].outcomes, [(MessageId(1), expired)]);
}
