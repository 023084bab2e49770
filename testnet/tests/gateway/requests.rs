//! Requests in an established session.

use nym_proto::gateway::{
    ClientText, EncryptedText, FREE_GRANT, GatewayText, InnerRequest, InnerResponse, Retired,
    SessionType, Token,
};
use nym_proto::sphinx::PacketSize;
use nym_testnet::gateway::{GatewayConfig, GatewayStore};

use crate::support::{World, address, config, error_text};

fn send(remaining_bandwidth: i64) -> GatewayText {
    GatewayText::Send { remaining_bandwidth, upgrade_mode: false }
}

#[test]
fn a_packet_is_paid_for_and_forwarded_with_its_rotation() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    let frame = world.forward_request(&client, PacketSize::Regular);
    world.send_binary(connection, frame);
    let forwards = world.forwards();
    assert_eq!(world.text(), send(FREE_GRANT - 2413));
    assert_eq!(forwards.len(), 1);
    assert_eq!(forwards[0].0, address(7));
    assert_eq!(forwards[0].1[..4], [8, 1, 0, 1]);
    assert_eq!(forwards[0].1.len(), 4 + 2413);
}

#[test]
fn without_bandwidth_nothing_is_forwarded_until_the_client_claims() {
    let mut world = World::new();
    let (client, connection) = world.register(1);
    let frame = world.forward_request(&client, PacketSize::Ack);
    world.send_binary(connection, frame.clone());
    assert_eq!(world.text(), GatewayText::OutOfBandwidth { required: 386, available: 0 });
    assert!(world.forwards().is_empty());
    let claim = world.request(connection, &ClientText::ClaimFreeBandwidth);
    let available_total = FREE_GRANT;
    assert_eq!(claim, GatewayText::Bandwidth { available_total, upgrade_mode: false });
    world.send_binary(connection, frame);
    assert_eq!(world.forwards().len(), 1);
}

#[test]
fn free_bandwidth_is_gone_after_midnight() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    world.pass_secs(12 * 3600);
    let frame = world.forward_request(&client, PacketSize::Regular);
    world.send_binary(connection, frame);
    assert_eq!(world.text(), GatewayText::OutOfBandwidth { required: 2413, available: 0 });
}

#[test]
fn bandwidth_survives_reconnection_and_restart() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    let frame = world.forward_request(&client, PacketSize::Regular);
    world.send_binary(connection, frame);
    let mut world = World::with(config(), world.gateway.into_store());
    let connection = world.connect();
    let now = world.unix_secs();
    world.authenticate_on(connection, &client, now);
    let expected = GatewayText::Authenticate {
        protocol_version: 6,
        status: true,
        bandwidth_remaining: FREE_GRANT - 2413,
        upgrade_mode: false,
    };
    assert_eq!(world.text(), expected);
}

#[test]
fn a_gateway_that_enforces_credentials_grants_nothing() {
    let config = GatewayConfig { enforce_credentials: true, ..config() };
    let mut world = World::with(config, GatewayStore::new());
    let (_, connection) = world.register(1);
    assert!(error_text(&world.request(connection, &ClientText::ClaimFreeBandwidth)));
}

#[test]
fn every_request_gets_one_response_in_order_and_errors_do_not_end_the_session() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    let frame = world.forward_request(&client, PacketSize::Regular);
    world.send_raw(connection, "{\"type\":\"unheardOf\"}");
    world.send_binary(connection, frame.clone());
    world.send_binary(connection, frame.slice(..frame.len() - 1));
    world.send_raw(connection, ClientText::SupportedProtocol.encode());
    world.send_raw(connection, ClientText::Retired(Retired::Authenticate).encode());
    let token = Token::new("a.b.c".to_owned());
    world.send_raw(connection, ClientText::UpgradeModeJwt { token }.encode());
    let credential = ClientText::EcashCredential { enc_credential: vec![1], nonce: vec![0; 12] };
    world.send_raw(connection, credential.encode());
    world.send_binary(connection, frame);

    assert_eq!(world.forwards().len(), 2);
    assert!(error_text(&world.text()));
    assert_eq!(world.text(), send(FREE_GRANT - 2413));
    assert!(error_text(&world.text()));
    assert_eq!(world.text(), GatewayText::SupportedProtocol { version: 6 });
    assert!(error_text(&world.text()));
    assert!(error_text(&world.text()));
    assert!(error_text(&world.text()));
    assert_eq!(world.text(), send(FREE_GRANT - 2 * 2413));
    assert_eq!(world.next(), None);
}

#[test]
fn encrypted_requests_are_acknowledged_and_forget_me_forgets() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    let ask = |world: &mut World, request: InnerRequest| {
        let text = request.seal(&client.key, world.stream.bytes());
        match world.request(connection, &ClientText::Encrypted(text)) {
            GatewayText::Encrypted(text) => InnerResponse::open(text, &client.key).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let remember = InnerRequest::RememberMe { session_type: SessionType::Mixnet };
    assert_eq!(ask(&mut world, remember), InnerResponse::RememberMeAck {});
    let forget = InnerRequest::ForgetMe { client: true, stats: true };
    assert_eq!(ask(&mut world, forget), InnerResponse::ForgetMeAck {});
    assert_eq!(world.gateway.store().clients(), 0);
    assert!(error_text(&world.request(connection, &ClientText::ClaimFreeBandwidth)));
    let frame = world.forward_request(&client, PacketSize::Regular);
    world.send_binary(connection, frame);
    assert!(error_text(&world.text()));
}

#[test]
fn an_encrypted_request_under_another_key_is_an_error() {
    let mut world = World::new();
    let (_, connection) = world.ready(1);
    let text = EncryptedText { ciphertext: vec![0; 40], nonce: vec![0; 11] };
    assert!(error_text(&world.request(connection, &ClientText::Encrypted(text))));
}
