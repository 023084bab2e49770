//! Networks in virtual time, with and without faults.

use std::time::Duration;

use nym_proto::client::{DeliveryOrigin, Fact, GatewayChoice, Outcome};
use nym_testnet::sim::campaign::{Report, Scenario};
use nym_testnet::sim::faults::{FaultPlan, Kind, Parts};
use nym_testnet::sim::hostile_gateway::{Malice, Mischief};
use nym_testnet::sim::hostile_sender::{Attack, HOSTILE};
use nym_testnet::sim::model::{Rule, Violation};
use nym_testnet::sim::{DirectoryMode, NodeIx, NodeLinks, Sabotage, Sim, SimConfig, Suite, Ways};

/// Long enough for whatever is expected.
const SOON: Duration = Duration::from_secs(90);
/// Keeps the runs short.
const SLOW: Duration = Duration::from_millis(150);

fn run(seed: u64, suite: Suite) -> Report {
    match Scenario::draw(seed, suite).slowed(SLOW).run() {
        Ok(report) => report,
        Err(violation) => panic!("seed {seed}, {suite:?}: {violation:?}"),
    }
}

/// A run without faults but with a broken rule.
fn sabotaged(sabotage: Sabotage) -> Violation {
    let mut scenario = Scenario::draw(2, Suite::Transparent).without_faults().slowed(SLOW);
    scenario.sim.gateways = 1;
    scenario.duration = Duration::from_secs(60);
    scenario.load_interval = Some(Duration::from_secs(1));
    scenario.clients.truncate(2);
    assert!(scenario.run().is_ok(), "the rules hold without the sabotage");
    match scenario.sabotaged(sabotage).run() {
        Ok(report) => panic!("{sabotage:?} is not noticed: {report:?}"),
        Err(violation) => violation,
    }
}

fn sim() -> Sim {
    Sim::new(SimConfig { seed: 3, gateways: 1, ..SimConfig::default() })
}

#[test]
fn all_rules_hold_under_the_faults_of_many_seeds() {
    let reports: Vec<_> = (0..20).map(|seed| run(seed, Suite::Transparent)).collect();
    let delivered: u64 = reports.iter().map(|report| report.tally.delivered).sum();
    assert!(delivered > 200, "{delivered}");
}

#[test]
fn all_rules_hold_with_real_packets() {
    for seed in 100..103 {
        assert!(run(seed, Suite::Real).tally.delivered > 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another_one() {
    let hash = |seed, suite| run(seed, suite).trace_hash;
    assert_eq!(hash(11, Suite::Transparent), hash(11, Suite::Transparent));
    assert_eq!(hash(100, Suite::Real), hash(100, Suite::Real));
    assert_ne!(hash(11, Suite::Transparent), hash(12, Suite::Transparent));
}

#[test]
fn broken_rules_are_noticed() {
    assert_eq!(sabotaged(Sabotage::Blab).rule, Rule::QuietLog);
    assert_eq!(sabotaged(Sabotage::KeepLate).rule, Rule::RecordsFirst);
    assert_eq!(sabotaged(Sabotage::Hoard).rule, Rule::WithinLimits);
    assert_eq!(sabotaged(Sabotage::DeliverTwice).rule, Rule::AtMostOnce);
    assert_eq!(sabotaged(Sabotage::Damage).rule, Rule::Intact);
    assert_eq!(sabotaged(Sabotage::Isolate).rule, Rule::Liveness);
    assert_eq!(sabotaged(Sabotage::LosePushes).rule, Rule::AcknowledgedIsDelivered);
    let swallowed = sabotaged(Sabotage::SwallowOutcomes).rule;
    assert!(matches!(swallowed, Rule::OneOutcome | Rule::Liveness), "{swallowed:?}");
}

#[test]
fn every_kind_of_fault_is_enabled_by_some_seed_and_none_by_all() {
    let enabled: Vec<_> =
        (0..100).map(|seed| Scenario::draw(seed, Suite::Transparent).plan.kinds).collect();
    for kind in Kind::ALL {
        let seeds = enabled.iter().filter(|kinds| kinds.contains(&kind)).count();
        assert!((1..70).contains(&seeds), "{kind:?}: {seeds}");
    }
}

#[test]
fn faults_end_before_the_first_phase_does() {
    use nym_proto::entropy::{Entropy, Purpose};
    let parts =
        Parts { clients: 3, gateways: 2, mixes: 6, epoch_length: Duration::from_secs(3600) };
    let duration = Duration::from_secs(60);
    for seed in 0..50 {
        let mut stream = Entropy::new([seed; 32]).stream(Purpose::Other(0));
        let plan = FaultPlan::draw(Kind::ALL.to_vec(), parts, duration, &mut stream);
        assert!(plan.faults.iter().all(|(at, _)| *at <= duration));
        assert!(plan.faults.is_sorted_by_key(|(at, _)| *at));
    }
}

#[test]
fn a_reply_names_the_correspondent_and_the_first_message_does_not() {
    let mut sim = sim();
    let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    sim.send_anonymous(alice, bob, "ping").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(bob, b"ping")));
    sim.reply(bob, "pong").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.has_received(alice, b"pong")));
    let origin = |client| sim.client(client).deliveries()[0].1.origin;
    assert!(matches!(origin(bob), DeliveryOrigin::Anonymous(_)));
    assert_eq!(origin(alice), DeliveryOrigin::Reply(sim.client(bob).address().unwrap()));
}

#[test]
fn a_client_notices_a_silent_connection_and_connects_again() {
    let mut sim = sim();
    let alice = sim.add_client(|_| {});
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    sim.run_for(Duration::from_secs(1));
    sim.silence(alice, Ways::Both);
    assert!(sim.run_until(SOON, |sim| !sim.client(alice).is_ready()));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    assert!(!sim.client(alice).lost_pushes().is_empty());
}

#[test]
fn frames_stop_while_a_connection_stalls() {
    let mut sim = sim();
    let alice = sim.add_client(|_| {});
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    let frames = |sim: &Sim| sim.client(alice).written().len();
    sim.stall(alice, Ways::Both, Duration::from_secs(5));
    sim.run_for(Duration::from_secs(1));
    let before = frames(&sim);
    sim.run_for(Duration::from_secs(3));
    assert_eq!(frames(&sim), before);
    sim.run_for(Duration::from_secs(2));
    assert!(frames(&sim) > before);
}

#[test]
fn a_gateway_that_forgets_its_clients_gets_them_registered_again() {
    let mut sim = sim();
    let alice = sim.add_client(|_| {});
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    let key = sim.client(alice).registration().cloned();
    sim.crash(NodeIx::Gateway(0));
    assert!(!sim.is_running(NodeIx::Gateway(0)));
    sim.run_for(Duration::from_secs(5));
    sim.restart(NodeIx::Gateway(0), false);
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    assert_ne!(
        sim.client(alice).registration().map(|r| &r.shared_key),
        key.as_ref().map(|r| &r.shared_key)
    );
}

#[test]
fn messages_for_a_sleeping_client_wait_for_it() {
    let mut sim = sim();
    let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    sim.suspend(bob, Duration::from_secs(20));
    let id = sim.send_plain(alice, bob, "wake up").unwrap();
    sim.run_for(Duration::from_secs(10));
    assert!(sim.is_acknowledged(alice, id));
    assert!(!sim.has_received(bob, b"wake up"));
    assert!(sim.run_until(SOON, |sim| sim.has_received(bob, b"wake up")));
}

#[test]
fn lost_packets_are_sent_again() {
    let links = NodeLinks { loss: 0.1, ..NodeLinks::default() };
    let mut sim = Sim::new(SimConfig { seed: 4, node_links: links, ..SimConfig::default() });
    let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    let id = sim.send_plain(alice, bob, vec![7; 20_000]).unwrap();
    assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(alice, id)));
    let outcome = sim.client(alice).outcome(id);
    assert!(matches!(outcome, Some(Outcome::Acknowledged { retransmissions: 1.., .. })));
    assert!(sim.has_received(bob, &[7; 20_000]));
}

#[test]
fn a_client_may_be_configured_in_every_respect() {
    let mut sim = sim();
    let alice = sim.add_client(|_| {});
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    let gateway = sim.client(alice).address().unwrap().gateway;
    let bob = sim.add_client(|config| config.gateway = GatewayChoice::Given(gateway));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    assert_eq!(sim.gateway_of(bob), Some(NodeIx::Gateway(0)));
}

#[test]
fn a_connection_torn_in_the_middle_of_a_message_ends_and_is_replaced() {
    for ways in [Ways::Up, Ways::Down] {
        let mut sim = sim();
        let alice = sim.add_client(|_| {});
        assert!(sim.run_until(SOON, |sim| sim.are_ready()));
        sim.tear(alice, ways, 3);
        assert!(sim.run_until(SOON, |sim| !sim.client(alice).is_ready()), "{ways:?}");
        assert!(sim.run_until(SOON, |sim| sim.are_ready()), "{ways:?}");
    }
}

#[test]
fn a_slow_gateway_holds_up_what_the_client_writes() {
    let mut sim = sim();
    let alice = sim.add_client(|_| {});
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    let frames = |sim: &Sim| sim.client(alice).written().len();
    sim.run_for(Duration::from_secs(5));
    let before = frames(&sim);
    sim.run_for(Duration::from_secs(5));
    let usual = frames(&sim) - before;
    sim.slow(alice, Ways::Up, Duration::from_millis(500), Duration::from_secs(10));
    sim.run_for(Duration::from_secs(5));
    let before = frames(&sim);
    sim.run_for(Duration::from_secs(5));
    assert!((frames(&sim) - before) * 4 < usual, "{usual}");
}

#[test]
fn a_connection_whose_answers_come_minutes_late_is_replaced() {
    let mut sim = sim();
    let alice = sim.add_client(|_| {});
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    sim.slow(alice, Ways::Down, Duration::from_millis(500), Duration::from_secs(600));
    assert!(sim.run_until(2 * SOON, |sim| sim.client(alice).machine().stats().sessions == 2));
    let before = sim.client(alice).machine().stats().cover_received;
    sim.run_for(Duration::from_secs(20));
    assert!(sim.client(alice).machine().stats().cover_received > before + 500);
}

#[test]
fn clocks_that_jump_neither_stop_a_client_nor_cost_it_its_session() {
    for jump in [-5_000, 5_000] {
        let mut sim = sim();
        let alice = sim.add_client(|_| {});
        assert!(sim.run_until(SOON, |sim| sim.are_ready()));
        sim.run_for(Duration::from_secs(2));
        let before = sim.client(alice).written().len();
        sim.set_clocks(alice, jump, 0);
        sim.run_for(Duration::from_secs(1));
        let stood_still = sim.client(alice).written().len() - before;
        // a clock put back stands still for the client, one put forward goes on
        assert_eq!(stood_still < 5, jump < 0, "{jump}: {stood_still}");
        sim.run_for(Duration::from_secs(20));
        assert!(sim.are_ready());
        assert!(sim.client(alice).written().len() > before + 500);
    }
}

#[test]
fn a_client_without_bandwidth_is_served_again_once_it_is_granted() {
    let mut sim = sim();
    let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    sim.set_grants(NodeIx::Gateway(0), false);
    let id = sim.send_plain(alice, bob, "paid for?").unwrap();
    sim.run_for(Duration::from_secs(20));
    assert!(!sim.is_acknowledged(alice, id));
    sim.set_grants(NodeIx::Gateway(0), true);
    assert!(sim.run_until(2 * SOON, |sim| sim.is_acknowledged(alice, id)));
}

#[test]
fn every_way_a_directory_can_lie_shows_and_passes() {
    let modes = [
        DirectoryMode::OtherKeys,
        DirectoryMode::OtherLayers,
        DirectoryMode::Inconsistent,
        DirectoryMode::Hostile,
        DirectoryMode::Slow(Duration::from_secs(70)),
    ];
    for mode in modes {
        let mut sim = sim();
        let [alice, bob] =
            [(); 2].map(|()| sim.add_client(|config| config.traffic.main_interval = SLOW));
        assert!(sim.run_until(SOON, |sim| sim.are_ready()));
        let before = sim.client(alice).machine().topology().cloned();
        let failures = |sim: &Sim| {
            let failed = |(_, fact): &&(_, Fact)| matches!(fact, Fact::DirectoryFailed { .. });
            sim.client(alice).facts().iter().filter(failed).count()
        };
        sim.set_directory(mode);
        sim.run_for(Duration::from_secs(420));
        let is_changed = sim.client(alice).machine().topology().cloned() != before;
        assert!(is_changed || failures(&sim) > 0, "{mode:?}");
        sim.set_directory(DirectoryMode::Up);
        sim.run_for(Duration::from_secs(420));
        assert!(sim.are_ready(), "{mode:?}");
        let id = sim.send_plain(alice, bob, "through").unwrap();
        assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(alice, id)), "{mode:?}");
    }
}

#[test]
fn a_client_that_begins_while_the_directory_lies_waits_for_the_truth() {
    let mut sim = sim();
    sim.set_directory(DirectoryMode::OtherKeys);
    let alice = sim.add_client(|_| {});
    sim.run_for(SOON);
    assert!(!sim.client(alice).is_ready());
    assert_eq!(sim.client(alice).stopped(), None);
    sim.set_directory(DirectoryMode::Up);
    assert!(sim.run_until(2 * SOON, Sim::are_ready));
}

#[test]
fn a_client_survives_all_the_mischief_of_its_gateway() {
    for kind in Mischief::ALL {
        let mut sim = sim();
        let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
        assert!(sim.run_until(SOON, |sim| sim.are_ready()));
        let gateway = NodeIx::Gateway(0);
        let chance = if kind == Mischief::Version { 1.0 } else { 0.05 };
        sim.corrupt(gateway, Some(Malice { kinds: vec![kind], chance }));
        sim.cut(alice);
        sim.run_for(Duration::from_secs(30));
        assert!(matches!(sim.mischief(gateway)[..], [(done, 1..)] if done == kind), "{kind:?}");
        sim.corrupt(gateway, None);
        assert!(sim.run_until(2 * SOON, |sim| sim.are_ready()), "{kind:?}");
        let id = sim.send_plain(alice, bob, "still here").unwrap();
        assert!(sim.run_until(2 * SOON, |sim| sim.is_acknowledged(alice, id)), "{kind:?}");
    }
}

#[test]
fn hostile_senders_are_heard_only_as_themselves() {
    let mut sim = sim();
    let (alice, bob) = (sim.add_client(|_| {}), sim.add_client(|_| {}));
    assert!(sim.run_until(SOON, |sim| sim.are_ready()));
    let mallory = sim.add_hostile_sender(NodeIx::Gateway(0));
    let recipient = sim.hostile_address(mallory).unwrap();
    let target = nym_proto::client::Target::Anonymous { recipient, surbs: 20 };
    let id = sim.send(alice, target, "hello, stranger").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(alice, id)));
    for attack in Attack::ALL {
        sim.attack(mallory, alice, attack);
        sim.run_for(Duration::from_secs(4));
    }
    assert_eq!(sim.attacks(mallory), Attack::ALL);
    let heard = sim.client(alice).deliveries();
    assert!(heard.iter().any(|(_, d)| d.origin == DeliveryOrigin::Reply(recipient)));
    let is_hostile = |data: &[u8]| data.starts_with(&HOSTILE) || data.ends_with(&HOSTILE);
    assert!(heard.iter().all(|(_, delivery)| is_hostile(&delivery.data)));
    assert!(heard.len() as u64 <= sim.hostile_messages());
    let stats = sim.client(alice).machine().stats();
    assert!(stats.bad_packets > 0 && stats.bad_messages > 0, "{stats:?}");
    assert!(stats.duplicate_fragments > 0 && stats.surb_requests_refused > 0, "{stats:?}");
    let id = sim.send_anonymous(bob, alice, "are you well?").unwrap();
    assert!(sim.run_until(SOON, |sim| sim.is_acknowledged(bob, id)));
    sim.run_for(Duration::from_secs(2));
    assert!(sim.has_received(alice, b"are you well?"));
}
