//! Anonymous conversations survive what costs SURBs: loss, dead links, changes of key rotation.

use std::time::Duration;

use nym_proto::client::{DeliveryOrigin, MessageId, Stats, Target};
use nym_testnet::sim::{ClientIx, NodeLinks, Sim, SimConfig, Ways};

/// Long enough for an answer.
const SOON: Duration = Duration::from_secs(90);
const MINUTE: Duration = Duration::from_secs(60);
/// Short ones, so that rotations come soon; the directory is asked every 330 s at the latest.
const EPOCH: Duration = Duration::from_secs(400);

/// Two clients of which the second has received a message of the first, with 10 SURBs.
fn conversation(
    seed: u64,
    epoch_length: Duration,
    interval: Duration,
) -> (Sim, ClientIx, ClientIx) {
    let mut sim =
        Sim::new(SimConfig { seed, epoch_length, validity_epochs: 2, ..SimConfig::default() });
    let alice = sim.add_client(|config| config.traffic.main_interval = interval);
    let bob = sim.add_client(|config| config.traffic.main_interval = interval);
    assert!(sim.run_until(SOON, Sim::are_ready));
    sim.send_anonymous(alice, bob, "hello").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(bob, b"hello")));
    sim.run_for(Duration::from_secs(5));
    (sim, alice, bob)
}

fn stats(sim: &Sim, client: ClientIx) -> Stats {
    *sim.client(client).machine().stats()
}

/// A reply of many fragments.
fn send_long_reply(sim: &mut Sim, from: ClientIx, data: &[u8]) -> MessageId {
    let mut origins = sim.client(from).deliveries().iter().rev().map(|(_, d)| d.origin);
    let Some(DeliveryOrigin::Anonymous(tag)) = origins.next() else { panic!("nobody to answer") };
    drop(origins);
    sim.send(from, Target::Reply(tag), data.to_vec()).unwrap()
}

#[test]
fn after_three_rotations_of_silence_a_first_reply_gets_through() {
    let (mut sim, alice, bob) = conversation(1, EPOCH, Duration::from_millis(500));
    let before = stats(&sim, alice);
    sim.run_for(EPOCH * 6 + MINUTE);
    assert!(stats(&sim, bob).surbs_dropped >= 10, "the first ones are dead");
    assert_eq!(stats(&sim, alice).messages_accepted, before.messages_accepted);
    let id = sim.reply(bob, "still there?").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(alice, b"still there?")));
    assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(bob, id)));
}

#[test]
fn after_three_rotations_of_silence_a_used_conversation_goes_on() {
    let (mut sim, alice, bob) = conversation(2, EPOCH, Duration::from_millis(500));
    sim.reply(bob, "one").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(alice, b"one")));
    sim.run_for(EPOCH * 6 + MINUTE);
    sim.reply(bob, "two").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(alice, b"two")));
}

#[test]
fn the_ack_of_a_reply_through_a_surb_of_the_last_rotation_comes_back() {
    let (mut sim, alice, bob) = conversation(7, EPOCH, Duration::from_millis(500));
    let rotation = |sim: &Sim| sim.client(bob).machine().topology().map(|t| t.rotation_id());
    let before = rotation(&sim);
    assert!(sim.run_until(EPOCH * 3, |sim| rotation(sim) != before));
    let used = stats(&sim, bob).surbs_used;
    let id = sim.reply(bob, "in time").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(alice, b"in time")));
    assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(bob, id)));
    assert_eq!(stats(&sim, bob).surbs_used, used + 1, "the first transmission is enough");
}

#[test]
fn a_correspondent_that_lost_every_surb_is_reached_again() {
    let (mut sim, alice, bob) =
        conversation(3, Duration::from_secs(3600), Duration::from_millis(50));
    sim.set_node_links(NodeLinks { loss: 1.0, ..NodeLinks::default() });
    let data = vec![7; 30_000];
    let id = send_long_reply(&mut sim, bob, &data);
    sim.run_for(3 * MINUTE);
    assert!(stats(&sim, bob).surbs_used >= 10, "{:?}", stats(&sim, bob));
    sim.set_node_links(NodeLinks::default());
    assert!(sim.run_until(4 * MINUTE, |sim| sim.has_received(alice, &data)));
    assert!(sim.run_until(MINUTE, |sim| sim.is_acknowledged(bob, id)));
    assert!(stats(&sim, alice).surbs_topped_up > 0);
}

#[test]
fn lost_requests_are_made_again() {
    let (mut sim, alice, bob) =
        conversation(4, Duration::from_secs(3600), Duration::from_millis(50));
    let data = vec![7; 30_000];
    sim.set_node_links(NodeLinks { loss: 1.0, ..NodeLinks::default() });
    send_long_reply(&mut sim, bob, &data);
    sim.run_for(Duration::from_secs(5));
    sim.set_node_links(NodeLinks { loss: 0.1, ..NodeLinks::default() });
    assert!(sim.run_until(3 * MINUTE, |sim| sim.has_received(alice, &data)));
    assert!(stats(&sim, bob).surb_requests_lost > 0);
}

#[test]
fn no_surb_is_spent_on_a_link_that_does_not_answer() {
    let (mut sim, alice, bob) =
        conversation(5, Duration::from_secs(3600), Duration::from_millis(50));
    sim.silence(bob, Ways::Up);
    sim.run_for(Duration::from_secs(3));
    let data = vec![7; 8_000];
    send_long_reply(&mut sim, bob, &data);
    sim.run_for(Duration::from_secs(8));
    assert!(sim.client(bob).is_ready(), "the connection is not given up yet");
    assert_eq!(stats(&sim, bob).surbs_used, 0);
    assert!(sim.run_until(2 * MINUTE, |sim| sim.has_received(alice, &data)));
}
