//! The connection to the gateway: registration, authentication, loss, shutdown.

use std::time::Duration;

use nym_proto::client::{
    Config, Connectivity, Degradation, Event, Fact, FailReason, GatewayChoice, MessageId, Outcome,
    RefusedReason, SessionFailure, Shutdown, StopReason, Target,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::topology::MinPerformance;

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

fn states(world: &World, client: usize) -> Vec<Connectivity> {
    let facts = world.hosts[client].facts.iter();
    facts
        .filter_map(|fact| match fact {
            Fact::Connectivity(state) => Some(*state),
            _ => None,
        })
        .collect()
}

#[test]
fn a_new_client_registers_and_gets_its_address() {
    let mut world = World::new(60);
    world.add(world.config(0), 61);
    world.run_for(Duration::from_secs(1));
    use Connectivity::{Authenticating, Connecting, Ready};
    assert_eq!(states(&world, 0), [Connecting, Authenticating, Ready]);
    let registration = world.hosts[0].registration.clone().unwrap();
    assert_eq!(registration.gateway, world.address(0).gateway);
    assert_eq!(
        world.gateways[0].keys.get(&world.address(0).identity),
        Some(&registration.shared_key)
    );
    assert!(world.hosts[0].machine.stats().bandwidth > 0);
}

#[test]
fn a_client_with_a_kept_registration_authenticates() {
    let mut world = World::with_two_clients(62);
    let registration = world.hosts[0].registration.clone();
    let address = world.address(0);
    let seed = world.seed(0)[0];
    world.event(0, Event::Shutdown(Shutdown::Now));
    let mut config = world.config(0);
    config.gateway = GatewayChoice::Random;
    config.state = registration.clone().unwrap().into();
    let again = world.add(config, seed);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.address(again), address);
    let renewed = world.hosts[again].registration.clone().unwrap();
    assert_eq!(renewed.shared_key, registration.as_ref().unwrap().shared_key);
    assert!(renewed.last_authentication > registration.unwrap().last_authentication);
}

#[test]
fn a_gateway_that_forgot_the_client_is_registered_with_anew() {
    let mut world = World::with_two_clients(63);
    let old = world.hosts[0].registration.clone().unwrap();
    world.gateways[0].keys.clear();
    world.cut(0);
    world.run_until_true(MINUTE, "ready again", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Ready
    });
    let new = world.hosts[0].registration.clone().unwrap();
    assert_ne!(new.shared_key, old.shared_key);
}

#[test]
fn a_lost_connection_is_opened_again_and_nothing_is_lost() {
    let mut world = World::with_two_clients(64);
    let bob = world.address(1);
    world.send(0, 1, Target::Plain(bob), vec![5; 500_000]).unwrap();
    for _ in 0..4 {
        world.run_for(Duration::from_millis(4500));
        world.cut(0);
    }
    world.run_until_true(5 * MINUTE, "delivered", |w| w.hosts[1].delivered.len() == 1);
    world.run_until_true(MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 1);
    assert!(matches!(world.hosts[0].outcomes[0].1, Outcome::Acknowledged { .. }));
    assert!(world.hosts[0].machine.stats().sessions >= 4);
}

#[test]
fn while_the_gateway_is_down_attempts_become_rare_and_never_stop() {
    let mut world = World::new(65);
    world.add(world.config(0), 65);
    world.run_for(Duration::from_secs(1));
    world.gateways[0].is_up = false;
    world.cut(0);
    world.run_for(4 * MINUTE);
    let failures = |world: &World| {
        world.hosts[0].facts.iter().filter(|f| matches!(f, Fact::ConnectionFailed { .. })).count()
    };
    let first = failures(&world);
    assert!((8..20).contains(&first), "{first} attempts in 4 minutes");
    world.gateways[0].is_up = true;
    world.run_until_true(2 * MINUTE, "ready again", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Ready
    });
}

#[test]
fn an_offline_recipient_gets_its_messages_when_it_returns() {
    let mut world = World::with_two_clients(66);
    world.gateways[1].is_up = false;
    world.cut(1);
    let bob = world.address(1);
    world.send(0, 1, Target::Plain(bob), "see you").unwrap();
    world.run_until_true(MINUTE, "acknowledged", |w| w.hosts[0].outcomes.len() == 1);
    assert!(world.hosts[1].delivered.is_empty());
    world.gateways[1].is_up = true;
    world.run_until_true(3 * MINUTE, "delivered", |w| w.hosts[1].delivered.len() == 1);
}

#[test]
fn a_gateway_that_cannot_prove_its_identity_is_final() {
    let mut world = World::new(67);
    let config = world.config(0);
    world.gateways[0].identity = IdentityKeyPair::from_seed(&[99; 32]);
    world.add(config, 68);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.hosts[0].stopped, Some(StopReason::NoGateway(SessionFailure::WrongIdentity)));
    assert_eq!(world.hosts[0].machine.next_deadline(), None);
}

#[test]
fn with_a_free_choice_an_unusable_gateway_is_replaced() {
    for seed in 70..76 {
        let mut world = World::new(69);
        let mut config = world.config(0);
        config.gateway = GatewayChoice::Random;
        world.gateways[0].identity = IdentityKeyPair::from_seed(&[99; 32]);
        world.add(config, seed);
        world.run_for(Duration::from_secs(2));
        assert_eq!(world.address(0).gateway, *world.gateways[1].identity.public());
    }
}

#[test]
fn an_unknown_gateway_is_named_in_the_stop_reason() {
    let mut world = World::new(77);
    let mut config = world.config(0);
    let stranger = *IdentityKeyPair::from_seed(&[98; 32]).public();
    config.gateway = GatewayChoice::Given(stranger);
    world.add(config, 78);
    assert_eq!(world.hosts[0].stopped, Some(StopReason::UnknownGateway(stranger)));
}

#[test]
fn shutting_down_now_ends_every_message_as_failed() {
    let mut world = World::with_two_clients(79);
    let bob = world.address(1);
    for id in 0..5 {
        world.send(0, id, Target::Plain(bob), vec![0; 50_000]).unwrap();
    }
    world.event(0, Event::Shutdown(Shutdown::Now));
    let failed = Outcome::Failed(FailReason::Shutdown);
    let expected: Vec<_> = (0..5).map(|id| (MessageId(id), failed)).collect();
    assert_eq!(world.hosts[0].outcomes, expected);
    assert_eq!(world.hosts[0].stopped, Some(StopReason::Requested));
    let refused = world.send(0, 9, Target::Plain(bob), "late").unwrap_err();
    assert_eq!(refused.reason, RefusedReason::ShuttingDown);
}

#[test]
fn draining_waits_for_the_last_ack_and_keeps_emitting() {
    let mut world = World::with_two_clients(80);
    let bob = world.address(1);
    world.send(0, 1, Target::Plain(bob), vec![0; 50_000]).unwrap();
    world.event(0, Event::Shutdown(Shutdown::Drain(MINUTE)));
    let refused = world.send(0, 2, Target::Plain(bob), "late").unwrap_err();
    assert_eq!(refused.reason, RefusedReason::ShuttingDown);
    world.run_until_true(MINUTE, "stopped", |w| w.hosts[0].stopped.is_some());
    assert!(matches!(world.hosts[0].outcomes[..], [(MessageId(1), Outcome::Acknowledged { .. })]));
    assert_eq!(world.hosts[1].delivered.len(), 1);
    assert!(world.hosts[0].machine.stats().cover_packets > 0);
}

#[test]
fn a_drain_does_not_outlast_its_deadline() {
    let mut world = World::with_two_clients(81);
    world.loss = 1.0;
    let bob = world.address(1);
    world.send(0, 1, Target::Plain(bob), "never").unwrap();
    world.event(0, Event::Shutdown(Shutdown::Drain(Duration::from_secs(5))));
    world.run_for(Duration::from_secs(6));
    assert_eq!(world.hosts[0].stopped, Some(StopReason::Requested));
    assert_eq!(world.hosts[0].outcomes, [(MessageId(1), Outcome::Failed(FailReason::Shutdown))]);
}

#[test]
fn a_half_open_connection_is_noticed() {
    let mut world = World::with_two_clients(82);
    // the gateway's side vanishes without a word
    world.gateways[0].is_up = false;
    world.vanish(0);
    world.run_for(Duration::from_secs(30));
    let noticed = |fact: &Fact| {
        matches!(fact, Fact::ConnectionFailed { failure: SessionFailure::Timeout, .. })
    };
    assert!(world.hosts[0].facts.iter().any(noticed));
}

#[test]
fn after_a_change_of_the_network_a_silent_connection_is_given_up_soon() {
    let mut world = World::with_two_clients(83);
    world.vanish(0);
    let unix_time = world.unix();
    world.event(0, Event::NetworkChanged { unix_time });
    world.run_until_true(Duration::from_secs(5), "ready again", |w| {
        w.hosts[0].machine.stats().sessions == 2
    });
}

#[test]
fn a_topology_without_a_usable_gateway_is_named_in_the_stop_reason() {
    let mut world = World::new(84);
    let mut config = world.config(0);
    config.gateway = GatewayChoice::Random;
    config.tls = nym_proto::topology::TlsPolicy::Require;
    world.add(config, 85);
    assert_eq!(world.hosts[0].stopped, Some(StopReason::NoCandidate));
}

#[test]
fn a_random_gateway_is_drawn_by_its_performance() {
    let mut world = World::new(86);
    let mut nodes = world.topology.nodes().to_vec();
    nodes[1].performance = 1;
    let topology = nym_proto::topology::Topology::new(nym_proto::topology::TopologyParts {
        epoch: 7,
        rotation_id: 3,
        refreshed_at: None,
        rewarded: world.topology.rewarded().clone(),
        nodes,
    });
    world.topology = std::sync::Arc::new(topology.unwrap());
    let mut config = world.config(0);
    config.gateway = GatewayChoice::Random;
    config.min_performance = MinPerformance::both(0);
    let weak = *world.gateways[1].identity.public();
    let clients: Vec<usize> = (0..60).map(|seed| world.add(config.clone(), seed)).collect();
    world.run_for(Duration::from_millis(100));
    let on_weak = clients.iter().filter(|client| world.address(**client).gateway == weak).count();
    assert!(on_weak < 6, "{on_weak} of 60 chose the gateway with one percent");
}

#[test]
fn nothing_comes_after_a_client_has_stopped() {
    let mut world = World::new(87);
    let mut config = world.config(0);
    config.limits.outbox_bytes_max = 20_000;
    // the gateway turns out to be another one while a refused message waits for room
    world.gateways[0].identity = IdentityKeyPair::from_seed(&[99; 32]);
    world.add(config, 88);
    let bob = world.hosts[0].machine.address().unwrap();
    world.send(0, 1, Target::Plain(bob), vec![0; 12_000]).unwrap();
    let refused = world.send(0, 2, Target::Plain(bob), vec![0; 12_000]).unwrap_err();
    assert_eq!(refused.reason, RefusedReason::Full);
    world.run_for(Duration::from_secs(1));
    assert!(world.hosts[0].stopped.is_some());
    let last = world.hosts[0].actions.last().unwrap();
    assert!(last.contains("Stopped"), "{last}");
}

#[test]
fn a_refused_claim_is_repeated_later_in_the_session() {
    let mut world = World::with_two_clients(106);
    (world.gateways[0].balance, world.gateways[0].grants) = (0, false);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.hosts[0].machine.stats().bandwidth, 0);
    let refusals =
        world.hosts[0].facts.iter().filter(|f| matches!(f, Fact::GatewayError(_))).count();
    assert_eq!(refusals, 1);
    world.gateways[0].grants = true;
    world.run_until_true(2 * MINUTE, "bandwidth", |w| w.hosts[0].machine.stats().bandwidth > 0);
    assert_eq!(world.hosts[0].machine.stats().sessions, 1);
}

#[test]
fn a_gateway_that_hangs_up_at_once_is_not_hammered() {
    let mut world = World::with_two_clients(107);
    for _ in 0..600 {
        world.run_for(Duration::from_millis(200));
        if world.hosts[0].machine.connectivity() == Connectivity::Ready {
            world.cut(0);
        }
    }
    let sessions = world.hosts[0].machine.stats().sessions;
    assert!(sessions < 15, "{sessions} sessions in two minutes");
}

#[test]
fn a_key_the_gateway_may_hold_is_tried_before_registering_anew() {
    let mut world = World::new(108);
    world.add(world.config(0), 109);
    let gateway = *world.gateways[0].identity.public();
    // the connection ends when the gateway has the key and before it says so
    while !world.gateways.iter().any(|gateway| !gateway.keys.is_empty()) {
        world.run_for(Duration::from_millis(1));
    }
    let first = world.gateways[0].keys.values().next().cloned().unwrap();
    // its confirmation still arrives, its answer does not
    world.lose_next_register(0);
    world.run_until_true(MINUTE, "ready", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Ready
    });
    let registration = world.hosts[0].registration.clone().unwrap();
    assert_eq!((registration.gateway, registration.shared_key), (gateway, first));
}

#[test]
fn what_is_due_to_the_application_makes_the_deadline_now() {
    let mut world = World::with_two_clients(110);
    let alice = world.address(0);
    world.hosts[0].takes = false;
    for n in 0..70u8 {
        world.send_raw(&alice, &[0, n]);
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.hosts[0].delivered.len(), 64);
    // not drained after the event that makes room
    let now = world.now;
    world.hosts[0].machine.handle(now, Event::Taken(1)).unwrap();
    let deadline = world.hosts[0].machine.next_deadline().unwrap();
    assert_eq!(deadline.at, now);
    // what the application never made room for is told at the end
    world.event(0, Event::Shutdown(Shutdown::Now));
    let dropped = |fact: &&Fact| matches!(fact, Fact::DeliveryDropped { bytes: 1 });
    assert_eq!(world.hosts[0].facts.iter().filter(dropped).count(), 5);
    assert_eq!(world.hosts[0].delivered.len(), 65);
}

#[test]
fn a_socket_that_blocks_before_the_session_is_ready_stays_blocked() {
    let mut world = World::new(111);
    world.add(world.config(0), 112);
    world.run_for(Duration::from_millis(10));
    world.block(0, true);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.hosts[0].machine.connectivity(), Connectivity::Ready);
    let stats = world.hosts[0].machine.stats();
    assert_eq!((stats.cover_packets, stats.slots_unused > 50), (0, true));
}

#[test]
fn nonsense_instead_of_a_version_ends_the_attempt_at_once() {
    let mut world = World::new(88);
    world.add(world.config(0), 89);
    // connected, and the question for the version has left
    world.run_for(Duration::from_millis(7));
    world.inject(0, nym_proto::client::WsFrame::Text("not JSON".into()));
    let failed = |fact: &Fact| {
        matches!(fact, Fact::ConnectionFailed { failure: SessionFailure::Protocol, .. })
    };
    assert!(world.hosts[0].facts.iter().any(failed));
}

#[test]
fn a_topology_through_which_no_route_leads_is_refused_at_once() {
    let mut world = World::new(113);
    let mut rewarded = world.topology.rewarded().clone();
    rewarded.layer2.clear();
    let topology = nym_proto::topology::Topology::new(nym_proto::topology::TopologyParts {
        epoch: 7,
        rotation_id: 3,
        refreshed_at: None,
        rewarded,
        nodes: world.topology.nodes().to_vec(),
    });
    world.topology = std::sync::Arc::new(topology.unwrap());
    world.add(world.config(0), 114);
    assert!(matches!(world.hosts[0].stopped, Some(StopReason::Unroutable(_))));
    assert!(world.hosts[0].machine.next_deadline().is_none());
}

#[test]
fn what_is_no_url_of_a_directory_is_refused_by_name() {
    for base in ["", "http://", "http:///api", "ftp://example.org/", "example.org", "http://a b/"] {
        let mut world = World::new(115);
        let mut config = world.config(0);
        config.network = nym_proto::client::Network::Directory(vec![base.to_owned()]);
        world.add(config, 116);
        assert_eq!(world.hosts[0].stopped, Some(StopReason::BadDirectory(base.to_owned())));
    }
}

#[test]
fn a_connection_that_survives_an_hour_of_sleep_is_kept() {
    let mut world = World::with_two_clients(117);
    let written = world.hosts[0].written.len();
    world.run_until_true(MINUTE, "a packet on its way", |w| w.hosts[0].written.len() > written);
    world.now += 60 * MINUTE;
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.hosts[0].machine.stats().sessions, 1);
}

#[test]
fn a_gateway_that_falls_silent_is_reported_before_it_is_given_up() {
    let mut world = World::with_two_clients(118);
    world.vanish(0);
    let silent = Fact::Degraded(Degradation::GatewaySilent);
    world.run_until_true(Duration::from_secs(8), "told", |w| w.hosts[0].facts.contains(&silent));
    assert_eq!(world.hosts[0].machine.connectivity(), Connectivity::Degraded);
    world.run_until_true(MINUTE, "ready again", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Ready
    });
    assert!(world.hosts[0].facts.contains(&Fact::Recovered(Degradation::GatewaySilent)));
}

#[test]
fn loss_of_cover_packets_is_measured_and_told() {
    let mut world = World::new(119);
    let mut config = world.config(0);
    config.traffic.main_interval = Duration::from_millis(500);
    world.add(config, 120);
    world.run_for(Duration::from_secs(1));
    world.loss = 1.0;
    world.run_until_true(3 * MINUTE, "degraded", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Degraded
    });
    let lost = *world.hosts[0].machine.loop_health().unwrap();
    assert!(lost.sent > 300 && lost.lost > lost.sent / 2, "{lost:?}");
    world.loss = 0.0;
    world.run_until_true(4 * MINUTE, "right again", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Ready
    });
    assert!(world.hosts[0].facts.contains(&Fact::Recovered(Degradation::LoopLoss)));
    world.run_for(2 * MINUTE);
    let whole = *world.hosts[0].machine.loop_health().unwrap();
    assert_eq!((whole.returned, whole.lost, whole.duplicates), (whole.sent, 0, 0));
    let trip = whole.round_trip.unwrap();
    assert!(trip.p50 > Duration::from_millis(20) && trip.p99 < Duration::from_secs(1), "{trip:?}");
}

#[test]
fn a_gateway_that_grants_no_bandwidth_is_reported() {
    let mut world = World::with_two_clients(121);
    (world.gateways[0].balance, world.gateways[0].grants) = (0, false);
    let degraded = Fact::Degraded(Degradation::OutOfBandwidth);
    world.run_until_true(MINUTE, "told", |w| w.hosts[0].facts.contains(&degraded));
    world.gateways[0].grants = true;
    world.run_until_true(3 * MINUTE, "right again", |w| {
        w.hosts[0].machine.connectivity() == Connectivity::Ready
    });
}

/// With few slots, so that hours do not take long.
fn quiet(world: &World, gateway: usize) -> Config {
    let mut config = world.config(gateway);
    (config.traffic.main_interval, config.traffic.loop_interval) =
        (Duration::from_millis(500), None);
    config
}

/// A client with a free choice of gateway, and the number of the one it chose.
fn with_a_free_choice(seed: u8, fail_over: Option<Duration>) -> (World, usize) {
    let mut world = World::new(seed);
    let mut config = quiet(&world, 0);
    (config.gateway, config.fail_over) = (GatewayChoice::Random, fail_over);
    world.add(config, seed + 1);
    world.run_for(Duration::from_secs(1));
    let address = world.address(0);
    let chosen = world.gateways.iter().position(|g| *g.identity.public() == address.gateway);
    let chosen = chosen.unwrap();
    world.add(quiet(&world, 1 - chosen), seed + 2);
    world.run_for(Duration::from_secs(1));
    (world, chosen)
}

#[test]
fn with_fail_over_a_gateway_that_is_away_is_replaced_and_the_address_changes() {
    let (mut world, chosen) = with_a_free_choice(140, Some(2 * MINUTE));
    let before = world.address(0);
    world.gateways[chosen].is_up = false;
    world.cut(0);
    world.run_for(MINUTE);
    assert_eq!(world.address(0), before);
    world.run_for(2 * MINUTE);
    let after = world.address(0);
    assert_eq!(after.gateway, *world.gateways[1 - chosen].identity.public());
    assert_eq!((after.identity, after.encryption), (before.identity, before.encryption));
    let told = |fact: &Fact| matches!(fact, Fact::FailedOver { after } if *after >= 2 * MINUTE);
    assert!(world.hosts[0].facts.iter().any(told));
    world.send(1, 1, Target::Plain(after), "found you").unwrap();
    world.run_until_true(MINUTE, "it arrives", |world| !world.hosts[0].delivered.is_empty());
}

#[test]
fn without_fail_over_the_client_waits_for_its_gateway() {
    let (mut world, chosen) = with_a_free_choice(160, None);
    let before = world.address(0);
    world.gateways[chosen].is_up = false;
    world.cut(0);
    world.run_for(60 * MINUTE);
    world.gateways[chosen].is_up = true;
    world.run_for(2 * MINUTE);
    assert_eq!(world.address(0), before);
    assert!(world.hosts[0].machine.connectivity().is_up());
}

#[test]
fn a_gateway_that_never_answered_is_replaced_after_a_minute() {
    let (world, chosen) = with_a_free_choice(170, None);
    drop(world);
    let mut world = World::new(170);
    let mut config = quiet(&world, 0);
    config.gateway = GatewayChoice::Random;
    world.gateways[chosen].is_up = false;
    world.add(config, 171);
    world.run_for(50 * Duration::from_secs(1));
    assert_eq!(world.hosts[0].address, None);
    world.run_for(MINUTE);
    assert_eq!(world.address(0).gateway, *world.gateways[1 - chosen].identity.public());
}

#[test]
fn the_age_of_the_topology_is_known() {
    let mut world = World::with_two_clients(180);
    world.run_for(5 * MINUTE);
    let age = world.hosts[0].machine.topology_age().unwrap();
    assert!(age >= 5 * MINUTE && age < 6 * MINUTE, "{age:?}");
}
