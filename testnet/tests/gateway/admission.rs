//! Registration, authentication, takeover, time-outs.

use core::time::Duration;

use nym_proto::gateway::{AuthenticateRequest, ClientText, GatewayText, ProtocolVersion};
use nym_proto::identity::IdentityKeyPair;
use nym_testnet::gateway::{Action, Event, GatewayLimits, GatewayStore};

use crate::support::{Client, World, config, error_text, identity};

fn authenticated(text: &GatewayText) -> bool {
    matches!(text, GatewayText::Authenticate { status: true, protocol_version: 6, .. })
}

fn is_handshake_error(text: &GatewayText) -> bool {
    matches!(text, GatewayText::HandshakeError { .. })
}

/// The ping the gateway sends to ask for a sign of life.
fn ping(world: &mut World) -> [u8; 8] {
    match world.next() {
        Some(Action::Ping { payload, .. }) => payload,
        other => panic!("not a ping: {other:?}"),
    }
}

#[test]
fn a_client_registers_and_has_a_session() {
    let mut world = World::new();
    let (client, _) = world.register(1);
    assert!(world.gateway.has_session(client.identity.public()));
    assert_eq!(world.gateway.stats().registrations, 1);
    assert_eq!(world.next(), None);
}

#[test]
fn the_version_is_told_any_number_of_times_and_each_answer_restarts_the_timer() {
    let mut world = World::new();
    let connection = world.connect();
    for _ in 0..3 {
        world.pass_secs(9);
        let answer = world.request(connection, &ClientText::SupportedProtocol);
        assert_eq!(answer, GatewayText::SupportedProtocol { version: 6 });
    }
    world.pass_secs(10);
    assert!(error_text(&world.text()));
    world.expect_closed(connection);
}

#[test]
fn a_registration_that_stops_halfway_fails_after_five_seconds() {
    let mut world = World::new();
    let connection = world.connect();
    let (_, text) = world.start_registration(&identity(1));
    world.send_raw(connection, text);
    world.payload();
    world.pass(Duration::from_millis(4999));
    assert_eq!(world.next(), None);
    world.pass(Duration::from_millis(1));
    assert!(is_handshake_error(&world.text()));
    assert!(error_text(&world.text()));
    world.expect_closed(connection);
}

#[test]
fn a_client_that_proves_another_identity_is_refused_and_nothing_is_stored() {
    let mut world = World::new();
    let connection = world.connect();
    let (state, text) = world.start_registration(&identity(1));
    // the first message names another client than the one that signs
    let start = "\"data\":[";
    let at = text.find(start).unwrap() + start.len();
    let others: Vec<String> =
        identity(2).public().as_bytes().iter().map(ToString::to_string).collect();
    let rest: Vec<&str> = text[at..].split(',').skip(32).collect();
    let text = format!("{}{},{}", &text[..at], others.join(","), rest.join(","));
    world.send_raw(connection, text);
    let (_, text) = state.handle(&world.payload()).unwrap();
    world.send_raw(connection, text);
    assert!(is_handshake_error(&world.text()));
    assert!(error_text(&world.text()));
    world.expect_closed(connection);
    assert_eq!(world.gateway.store().clients(), 0);
}

#[test]
fn other_frames_during_a_handshake_are_ignored() {
    let mut world = World::new();
    let connection = world.connect();
    let (state, text) = world.start_registration(&identity(1));
    world.send_raw(connection, text);
    let material = world.payload();
    world.send_raw(connection, "rubbish");
    world.send_binary(connection, vec![1, 2, 3]);
    assert_eq!(world.next(), None);
    let (_, text) = state.handle(&material).unwrap();
    world.send_raw(connection, text);
    world.payload();
    assert!(matches!(world.text(), GatewayText::Register { .. }));
}

#[test]
fn a_second_registration_is_refused_while_a_session_lives_and_taken_afterwards() {
    let mut world = World::new();
    let (_, first) = world.register(1);
    let second = world.connect();
    let (_, text) = world.start_registration(&identity(1));
    world.send_raw(second, text);
    assert!(error_text(&world.text()));
    world.expect_closed(second);
    world.disconnect(first);
    world.register(1);
    assert_eq!(world.gateway.store().clients(), 1);
}

#[test]
fn a_known_client_authenticates_with_its_key() {
    let mut world = World::new();
    let (client, connection) = world.register(1);
    world.disconnect(connection);
    world.pass_secs(1);
    let connection = world.connect();
    let now = world.unix_secs();
    world.authenticate_on(connection, &client, now);
    assert!(authenticated(&world.text()));
    assert!(world.gateway.has_session(client.identity.public()));
}

#[test]
fn registrations_and_timestamps_survive_a_restart_with_the_store() {
    let mut world = World::new();
    let (client, first) = world.register(1);
    world.disconnect(first);
    world.pass_secs(2);
    let used = world.unix_secs();
    let second = world.connect();
    world.authenticate_on(second, &client, used);
    assert!(authenticated(&world.text()));

    let mut world = World::with(config(), world.gateway.into_store());
    world.pass_secs(2);
    let reused = world.connect();
    world.authenticate_on(reused, &client, used);
    assert!(error_text(&world.text()));
    world.expect_closed(reused);
    let fresh = world.connect();
    world.authenticate_on(fresh, &client, used + 1);
    assert!(authenticated(&world.text()));
}

#[test]
fn without_the_store_a_client_must_register_again() {
    let mut world = World::new();
    let (client, _) = world.register(1);
    let mut world = World::with(config(), GatewayStore::new());
    let connection = world.connect();
    let now = world.unix_secs() + 1;
    world.authenticate_on(connection, &client, now);
    assert!(error_text(&world.text()));
    world.expect_closed(connection);
    world.register(1);
}

#[test]
fn authentications_that_fail_a_check_are_refused() {
    let mut world = World::new();
    let (client, connection) = world.register(1);
    world.disconnect(connection);
    world.pass_secs(1000);
    let now = world.unix_secs();
    let stranger = Client { identity: identity(9), key: client.key.clone() };
    let other_key = Client {
        identity: client.identity.clone(),
        key: nym_proto::gateway::SharedKey::from_bytes([0; 32]),
    };
    for (client, timestamp) in
        [(&client, now - 121), (&client, now + 121), (&stranger, now), (&other_key, now)]
    {
        let connection = world.connect();
        world.authenticate_on(connection, client, timestamp);
        assert!(error_text(&world.text()));
        world.expect_closed(connection);
    }
    let connection = world.connect();
    world.authenticate_on(connection, &client, now);
    assert!(authenticated(&world.text()));
}

#[test]
fn versions_outside_four_to_six_are_refused_in_an_authentication() {
    let mut world = World::new();
    let (client, connection) = world.register(1);
    world.disconnect(connection);
    for (version, accepted) in [(3, false), (4, true), (5, true)] {
        world.pass_secs(1);
        let connection = world.connect();
        let request = AuthenticateRequest::new(
            &client.identity,
            &client.key,
            ProtocolVersion::new(version).unwrap(),
            world.unix_secs(),
            [0; 12],
        );
        world.send_raw(connection, ClientText::Authenticate(request).encode());
        match world.text() {
            GatewayText::Authenticate { protocol_version, .. } => {
                assert!(accepted && protocol_version == version);
            }
            GatewayText::Error { .. } => assert!(!accepted),
            other => panic!("{other:?}"),
        }
        world.next();
        world.disconnect(connection);
    }
}

/// A client with a session, and a second connection that has just asked to authenticate.
fn takeover() -> (World, Client, [nym_testnet::gateway::ConnectionId; 2]) {
    let mut world = World::new();
    let (client, old) = world.ready(1);
    world.pass_secs(2);
    let new = world.connect();
    let now = world.unix_secs();
    world.authenticate_on(new, &client, now);
    (world, client, [old, new])
}

#[test]
fn a_session_whose_client_answers_the_probe_stays() {
    let (mut world, client, [old, new]) = takeover();
    let payload = ping(&mut world);
    world.pass(Duration::from_millis(999));
    world.handle(Event::Pong { connection: old, payload: &payload });
    assert!(error_text(&world.text()));
    world.expect_closed(new);
    let frame = world.forward_request(&client, Default::default());
    world.send_binary(old, frame);
    assert_eq!(world.forwards().len(), 1);
    assert!(matches!(world.text(), GatewayText::Send { .. }));
    world.pass_secs(10);
    assert_eq!(world.next(), None);
}

#[test]
fn a_session_whose_client_does_not_answer_is_taken_over() {
    let (mut world, client, [old, new]) = takeover();
    let payload = ping(&mut world);
    world.handle(Event::Pong { connection: old, payload: b"else" });
    world.pass(Duration::from_millis(999));
    assert_eq!(world.next(), None);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.next(), Some(Action::Close(old)));
    assert!(authenticated(&world.text()));
    assert_eq!(world.gateway.stats().evictions, 1);
    // the end of the old connection does not touch the new session
    world.handle(Event::Pong { connection: old, payload: &payload });
    world.disconnect(old);
    world.deliver_small(client.identity.public(), 5);
    assert_eq!(world.pushes(&client.key, true).len(), 1);
    world.disconnect(new);
    assert!(!world.gateway.has_session(client.identity.public()));
}

#[test]
fn when_the_old_connection_ends_during_the_probe_the_new_one_comes_in_at_once() {
    let (mut world, client, [old, new]) = takeover();
    ping(&mut world);
    // requests that came early are answered after the session is open
    world.send_raw(new, ClientText::ClaimFreeBandwidth.encode());
    assert_eq!(world.next(), None);
    world.disconnect(old);
    assert!(authenticated(&world.text()));
    assert!(matches!(world.text(), GatewayText::Bandwidth { .. }));
    assert!(world.gateway.has_session(client.identity.public()));
}

#[test]
fn while_a_probe_runs_a_third_connection_is_refused() {
    let (mut world, client, [_, new]) = takeover();
    ping(&mut world);
    let third = world.connect();
    let later = world.unix_secs() + 1;
    world.authenticate_on(third, &client, later);
    assert!(error_text(&world.text()));
    world.expect_closed(third);
    world.pass_secs(1);
    world.next();
    assert!(authenticated(&world.text()));
    assert_eq!(world.next(), None);
    world.disconnect(new);
}

#[test]
fn a_session_stays_when_nobody_waits_for_the_verdict_any_more() {
    let (mut world, client, [old, new]) = takeover();
    ping(&mut world);
    world.disconnect(new);
    world.pass_secs(5);
    assert_eq!(world.next(), None);
    assert!(world.gateway.has_session(client.identity.public()));
    world.disconnect(old);
}

#[test]
fn an_authentication_older_than_the_session_is_refused_without_a_probe() {
    let mut world = World::new();
    world.pass(Duration::from_millis(2500));
    let (client, _) = world.register(1);
    let new = world.connect();
    // the session began half a second after this timestamp
    let now = world.unix_secs();
    world.authenticate_on(new, &client, now);
    assert!(error_text(&world.text()));
    world.expect_closed(new);
}

#[test]
fn connections_and_clients_beyond_the_limits_are_turned_away() {
    let mut limits = GatewayLimits { connections_max: 2, ..GatewayLimits::default() };
    limits.store.clients_max = 1;
    let mut world = World::with(
        nym_testnet::gateway::GatewayConfig { limits, ..config() },
        GatewayStore::new(),
    );
    world.register(1);
    let second = world.connect();
    let third = world.connect();
    world.expect_closed(third);
    let identity: IdentityKeyPair = identity(2);
    let (state, text) = world.start_registration(&identity);
    world.send_raw(second, text);
    let (_, text) = state.handle(&world.payload()).unwrap();
    world.send_raw(second, text);
    assert!(is_handshake_error(&world.text()));
    assert!(error_text(&world.text()));
    world.expect_closed(second);
}
