//! A recipient's gateway that is dead: it is probed, and nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Event, Fact, Lane, MessageId, Outcome, Outgoing, Target, WaitingFor};
use nym_proto::time::Instant;
use nym_testnet::sim::{ClientIx, Sim, SimConfig};

const MINUTE: Duration = Duration::from_secs(60);
const DOOMED: MessageId = MessageId(1 << 40);

/// Three clients, of which the second has a gateway of its own.
fn three() -> (Sim, [ClientIx; 3]) {
    let mut sim = Sim::new(SimConfig { seed: 11, gateways: 3, ..SimConfig::default() });
    let clients: Vec<_> = (0..12).map(|_| sim.add_client(|_| {})).collect();
    assert!(sim.run_until(MINUTE, |sim| sim.are_ready()));
    let alice = clients[0];
    let elsewhere = |sim: &Sim, other: ClientIx| {
        let found = clients.iter().find(|client| {
            let gateway = sim.gateway_of(**client);
            gateway != sim.gateway_of(alice) && gateway != sim.gateway_of(other)
        });
        *found.unwrap()
    };
    let bob = elsewhere(&sim, alice);
    let carol = elsewhere(&sim, bob);
    (sim, [alice, bob, carol])
}

/// Packets with fragments that the client has sent so far, and those that repeat one.
fn sent(sim: &Sim, client: ClientIx) -> (u64, u64) {
    let stats = sim.client(client).machine().stats();
    (stats.real_packets, stats.retransmissions)
}

fn unreachable(sim: &Sim, client: ClientIx) -> Vec<(Instant, usize)> {
    let facts = sim.client(client).facts().iter();
    let unreachable = facts.filter_map(|(at, fact)| match fact {
        Fact::RecipientGatewaysUnreachable { gateways } => Some((*at, *gateways)),
        _ => None,
    });
    unreachable.collect()
}

/// Sends a message that is heard of again after five minutes at the latest.
fn doom(sim: &mut Sim, [alice, bob, _]: [ClientIx; 3], lane: Lane, bytes: usize) {
    let target = Target::Plain(sim.client(bob).address().unwrap());
    let message = Outgoing::new(DOOMED, target, Bytes::from(vec![1; bytes]));
    let message = Outgoing { lane, expires_after: Some(5 * MINUTE), ..message };
    sim.event(alice, Event::Send(message)).unwrap();
}

#[test]
fn a_dead_gateway_is_probed_slowly_and_the_outcome_is_told() {
    let (mut sim, clients) = three();
    let [alice, bob, _] = clients;
    sim.crash(sim.gateway_of(bob).unwrap());
    doom(&mut sim, clients, Lane::Connection(1), 300_000);
    sim.run_for(2 * MINUTE);
    assert_eq!(unreachable(&sim, alice).len(), 1);
    assert_eq!(unreachable(&sim, alice)[0].1, 1);
    let before = sent(&sim, alice);
    sim.run_for(2 * MINUTE);
    let after = sent(&sim, alice);
    // one probe in 15 to 45 seconds
    let probes = after.0 - before.0;
    assert!((2..=10).contains(&probes), "{probes}");
    assert!(sim.client(alice).outcome(DOOMED).is_none());
    sim.run_for(2 * MINUTE);
    let expired = Outcome::Expired { waiting_for: WaitingFor::RecipientGatewayReply };
    assert_eq!(sim.client(alice).outcome(DOOMED), Some(expired));
    assert_eq!(sim.client(alice).machine().in_flight(), 0);
}

#[test]
fn messages_to_others_are_as_quick_as_ever() {
    let (mut sim, clients) = three();
    let [alice, bob, carol] = clients;
    sim.crash(sim.gateway_of(bob).unwrap());
    // in the same lane
    doom(&mut sim, clients, Lane::General, 300_000);
    sim.run_for(Duration::from_secs(30));
    for n in 0..30_u8 {
        let id = sim.send_plain(alice, carol, vec![n; 5000]).unwrap();
        let is_there = sim.run_until(Duration::from_secs(5), |sim| sim.is_acknowledged(alice, id));
        assert!(is_there, "message {n}");
    }
    assert_eq!(sim.client(carol).deliveries().len(), 30);
}

#[test]
fn a_gateway_that_comes_back_gets_what_was_held() {
    let (mut sim, clients) = three();
    let [alice, bob, _] = clients;
    let gateway = sim.gateway_of(bob).unwrap();
    sim.crash(gateway);
    doom(&mut sim, clients, Lane::General, 100_000);
    sim.run_for(2 * MINUTE);
    sim.restart(gateway, true);
    let is_there = sim.run_until(2 * MINUTE, |sim| sim.is_acknowledged(alice, DOOMED));
    assert!(is_there);
    assert_eq!(unreachable(&sim, alice).last().map(|(_, gateways)| *gateways), Some(0));
}
