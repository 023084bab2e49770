//! Packets for clients: the final hop, pushing, storing.

use std::net::SocketAddr;

use nym_proto::address::NodeAddress;
use nym_proto::identity::{IdentityKey, PrivateKey};
use nym_proto::sphinx::{KeyRotation, PacketSize};
use nym_testnet::gateway::{Action, GatewayConfig, GatewayLimits, GatewayStore};

use crate::support::{Client, World, address, config, identity, keys};

fn bytes(entry: &serde_json::Value, member: &str) -> Vec<u8> {
    hex::decode(entry[member].as_str().unwrap()).unwrap()
}

fn array<const N: usize>(entry: &serde_json::Value, member: &str) -> [u8; N] {
    bytes(entry, member).try_into().unwrap()
}

#[test]
fn the_recorded_final_hops_are_split_as_recorded() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/gateway.json")).unwrap();
    let entries = vectors["final_hop"].as_array().unwrap();
    assert!(!entries.is_empty());
    for entry in entries {
        let name = entry["name"].as_str().unwrap();
        let sphinx = PrivateKey::from_bytes(array(entry, "gateway_sphinx_private"));
        let mut world = World::with_keys(config(), keys(sphinx), GatewayStore::new());
        let destination = IdentityKey::from_bytes(array(entry, "destination")).unwrap();
        let rotation = entry["incoming_key_rotation"].as_u64().unwrap() as u8;
        let packet = bytes(entry, "sphinx_packet");
        let size = PacketSize::from_packet_len(packet.len()).unwrap();
        world.deliver_packet(size, KeyRotation::from_byte(rotation).unwrap(), &packet);

        let forwards = world.forwards();
        if let Some(next) = entry["ack_next_hop"].as_str() {
            let [(to, frame)] = &forwards[..] else { panic!("{name}: {forwards:?}") };
            let next: SocketAddr = next.parse().unwrap();
            assert_eq!(*to, NodeAddress::new(next), "{name}");
            let rotation = entry["ack_key_rotation"].as_u64().unwrap() as u8;
            assert_eq!(frame[..4], [8, 2, 0, rotation], "{name}");
            assert_eq!(frame[4..], bytes(entry, "ack_sphinx_packet"), "{name}");
        } else {
            assert!(forwards.is_empty(), "{name}");
        }
        assert_eq!(world.gateway.store().messages_for(&destination), 1, "{name}");
        assert_eq!(stored(&mut world, &destination), [bytes(entry, "pushed_message")], "{name}");
    }
}

/// What the gateway holds for a client whose private key nobody knows.
fn stored(world: &mut World, client: &IdentityKey) -> Vec<Vec<u8>> {
    world.gateway.store().messages_of(client).map(<[u8]>::to_vec).collect()
}

#[test]
fn a_message_is_pushed_and_then_its_ack_is_forwarded() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    let mut plaintext = address(3).to_padded::<19>().to_vec();
    plaintext.extend([77; 386]);
    plaintext.extend([5; 1643]);
    world.deliver(client.identity.public(), PacketSize::Regular, &plaintext);
    assert!(matches!(world.next(), Some(Action::Send { connection: c, .. }) if c == connection));
    match world.next() {
        Some(Action::Forward { next, frame }) => {
            assert_eq!(next, address(3));
            assert_eq!(frame[..5], [8, 2, 0, 1, 77]);
            assert_eq!(frame.len(), 4 + 386);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.gateway.stats().packets.forwarded, 1);
}

#[test]
fn a_message_without_a_usable_ack_is_dropped() {
    let mut world = World::new();
    let (client, _) = world.ready(1);
    world.deliver(client.identity.public(), PacketSize::Regular, &[4; 404]);
    let mut bad_address = vec![9; 405];
    bad_address[0] = 5;
    world.deliver(client.identity.public(), PacketSize::Regular, &bad_address);
    assert_eq!(world.next(), None);
    assert_eq!(world.gateway.stats().packets.malformed, 2);
}

#[test]
fn messages_wait_for_an_absent_client_and_come_in_order_before_the_response() {
    let mut world = World::new();
    let (client, connection) = world.ready(1);
    world.disconnect(connection);
    for content in 0..250 {
        world.deliver_small(client.identity.public(), content);
    }
    assert_eq!(world.gateway.stats().stored, 250);
    world.pass_secs(1);
    let connection = world.connect();
    let now = world.unix_secs();
    world.authenticate_on(connection, &client, now);
    let (pushed, last) = until_text(&mut world, &client);
    assert_eq!(pushed, (0..250).collect::<Vec<u8>>());
    assert!(last.contains("\"authenticate\""), "{last}");
    assert_eq!(world.gateway.store().messages(), 0);
}

#[test]
fn stored_messages_come_after_the_response_to_a_registration() {
    let mut world = World::new();
    world.deliver_small(identity(1).public(), 1);
    world.deliver_small(identity(1).public(), 2);
    // `register` takes every text up to the response itself
    let (client, _) = world.register(1);
    let pushes = world.pushes(&client.key, true);
    assert_eq!(pushes.iter().map(|push| push[0]).collect::<Vec<_>>(), [1, 2]);
}

/// All pushes up to the next text, whose flushes are confirmed, and that text.
fn until_text(world: &mut World, client: &Client) -> (Vec<u8>, String) {
    use nym_proto::client::WsFrame;
    use nym_proto::gateway::open_push;
    let mut pushed = Vec::new();
    loop {
        match world.next().unwrap() {
            Action::Send { frame: WsFrame::Binary(frame), .. } => {
                pushed.push(open_push(&client.key, frame.into()).unwrap()[0]);
            }
            Action::Send { frame: WsFrame::Text(text), .. } => return (pushed, text),
            Action::Flush { connection, marker } => {
                world.handle(nym_testnet::gateway::Event::Flushed { connection, marker });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn pages_that_were_not_written_are_delivered_again() {
    let mut world = World::new();
    for content in 0..150 {
        world.deliver_small(identity(1).public(), content);
    }
    let (client, connection) = world.register(1);
    // the first page is confirmed, then the connection breaks
    let mut confirmed = false;
    while let Some(action) = world.next() {
        if let Action::Flush { connection, marker } = action
            && marker >= 100
            && !confirmed
        {
            confirmed = true;
            world.handle(nym_testnet::gateway::Event::Flushed { connection, marker });
        }
    }
    world.disconnect(connection);
    assert_eq!(world.gateway.store().messages(), 50);
    world.pass_secs(1);
    let connection = world.connect();
    let now = world.unix_secs();
    world.authenticate_on(connection, &client, now);
    let (pushed, _) = until_text(&mut world, &client);
    assert_eq!(pushed, (100..150).collect::<Vec<u8>>());
}

#[test]
fn a_slow_client_gets_everything_in_order_through_the_store() {
    let limits = GatewayLimits { push_window: 40, ..GatewayLimits::default() };
    let mut world = World::with(GatewayConfig { limits, ..config() }, GatewayStore::new());
    let (client, _) = world.ready(1);
    for content in 0..100 {
        world.deliver_small(client.identity.public(), content);
    }
    assert_eq!(world.gateway.store().messages(), 60);
    let pushes = world.pushes(&client.key, true);
    assert_eq!(pushes.iter().map(|push| push[0]).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(world.gateway.store().messages(), 0);
}

#[test]
fn messages_are_purged_after_a_day() {
    let mut world = World::new();
    world.deliver_small(identity(1).public(), 1);
    world.pass_secs(24 * 3600);
    assert_eq!(world.gateway.store().messages(), 1);
    world.pass_secs(3600);
    assert_eq!(world.gateway.store().messages(), 0);
}

#[test]
fn a_replayed_packet_is_dropped_and_a_packet_to_pass_on_too() {
    let mut world = World::new();
    let packet = vec![0; PacketSize::Ack.packet_len()];
    world.deliver_packet(PacketSize::Ack, KeyRotation::Odd, &packet);
    world.deliver_packet(PacketSize::Ack, KeyRotation::Unknown, &packet);
    assert_eq!(world.gateway.stats().packets.malformed, 2);
    let mut world = World::new();
    for _ in 0..2 {
        // the same randomness makes the same packet
        world.stream =
            nym_proto::entropy::Entropy::new([3; 32]).stream(nym_proto::entropy::Purpose::Packets);
        world.deliver_small(identity(1).public(), 1);
    }
    assert_eq!(world.gateway.stats().packets.replayed, 1);
    assert_eq!(world.gateway.store().messages(), 1);
}
