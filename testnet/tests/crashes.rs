//! Clients that crash and come back with what they kept.

use std::time::Duration;

use nym_proto::client::{DeliveryOrigin, Fact};
use nym_testnet::sim::{ClientIx, Sim, SimConfig};

const SOON: Duration = Duration::from_secs(60);

fn two_clients(seed: u64) -> (Sim, ClientIx, ClientIx) {
    let mut sim = Sim::new(SimConfig { seed, ..SimConfig::default() });
    let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
    assert!(sim.run_until(SOON, Sim::are_ready));
    (sim, alice, bob)
}

#[test]
fn a_conversation_survives_that_both_sides_crash_after_any_number_of_actions() {
    for actions in (0..400).step_by(57) {
        let (mut sim, alice, bob) = two_clients(actions);
        sim.send_anonymous(alice, bob, "are you there?").unwrap();
        assert!(sim.run_until(SOON, |sim| sim.has_received(bob, b"are you there?")));
        sim.crash_client_after(alice, actions);
        sim.crash_client_after(bob, actions);
        sim.run_for(Duration::from_secs(30));
        for client in [alice, bob] {
            assert!(sim.client(client).is_crashed());
            sim.restart_client(client);
        }
        sim.reply(bob, "always").unwrap();
        assert!(sim.run_until(SOON, |sim| sim.has_received(alice, b"always")), "{actions}");
        let address = sim.client(bob).address().unwrap();
        let (_, reply) = sim.client(alice).deliveries().last().unwrap();
        assert_eq!(reply.origin, DeliveryOrigin::Reply(address));
        let restored = |fact: &Fact| matches!(fact, Fact::Restored { skipped: 0, .. });
        assert!(sim.client(alice).facts().iter().any(|(_, fact)| restored(fact)));

        sim.send_anonymous(alice, bob, "good").unwrap();
        assert!(sim.run_until(SOON, |sim| sim.has_received(bob, b"good")));
        let tags = sim.client(bob).deliveries().iter().map(|(_, delivery)| delivery.origin);
        assert!(tags.collect::<Vec<_>>().windows(2).all(|pair| pair[0] == pair[1]), "one tag");
    }
}

#[test]
fn a_crashed_client_says_nothing_and_hears_nothing() {
    let (mut sim, alice, bob) = two_clients(1);
    sim.crash_client(bob);
    let (written, facts) = (sim.client(bob).written().len(), sim.client(bob).facts().len());
    let id = sim.send_plain(alice, bob, "wait for me").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(alice, id)));
    assert!(sim.send_plain(bob, alice, "no").is_err());
    assert_eq!(sim.client(bob).written().len(), written);
    assert_eq!(sim.client(bob).facts().len(), facts);
    assert!(!sim.has_received(bob, b"wait for me"));
    assert_eq!(sim.client(bob).crashes().len(), 1);
    sim.restart_client(bob);
    assert!(sim.run_until(SOON, |sim| sim.has_received(bob, b"wait for me")), "it was stored");
}

#[test]
fn a_client_that_crashes_again_and_again_comes_to_the_same_end_every_time() {
    let run = || {
        let (mut sim, alice, bob) = two_clients(2);
        sim.send_anonymous(alice, bob, "hello").unwrap();
        for actions in 0..20 {
            sim.crash_client_after(alice, actions * 7);
            sim.run_for(Duration::from_secs(5));
            sim.restart_client(alice);
        }
        sim.run_for(SOON);
        (sim.trace_hash(), sim.client(alice).crashes().len())
    };
    assert_eq!(run(), run());
    assert_eq!(run().1, 20);
}
