//! Rubbish from clients and nodes.

use nym_proto::gateway::ClientText;
use nym_proto::sphinx::PacketSize;
use nym_testnet::LinkId;
use nym_testnet::gateway::{Action, ConnectionId, Event};
use proptest::prelude::*;

use crate::support::{World, error_text};

#[test]
fn whatever_is_no_request_ends_a_connection_without_a_session() {
    let texts = [
        "",
        "{}",
        "rubbish",
        "{\"type\":\"handshakePayload\",\"data\":[1,2,3]}",
        "{\"type\":\"claimFreeTestnetBandwidth\"}",
        "{\"type\":\"handshakeError\",\"message\":\"\"}",
        "{\"type\":\"authenticate\"}",
    ];
    for text in texts {
        let mut world = World::new();
        let connection = world.connect();
        world.send_raw(connection, text);
        assert!(error_text(&world.text()), "{text}");
        world.expect_closed(connection);
        world.send_raw(connection, ClientText::SupportedProtocol.encode());
        assert_eq!(world.next(), None);
    }
}

#[test]
fn a_binary_frame_ends_a_connection_without_a_session() {
    let mut world = World::new();
    let connection = world.connect();
    world.send_binary(connection, vec![0; 100]);
    assert!(error_text(&world.text()));
    world.expect_closed(connection);
}

#[test]
fn a_link_with_undecodable_bytes_is_closed() {
    let mut world = World::new();
    world.handle(Event::LinkOpened(LinkId(5)));
    world.handle(Event::LinkBytes { link: LinkId(5), bytes: &[9, 1, 0, 0] });
    assert_eq!(world.next(), Some(Action::CloseLink(LinkId(5))));
}

/// Something that reaches a gateway.
#[derive(Clone, Debug)]
enum Input {
    Open,
    Close(u64),
    Text(u64, String),
    Binary(u64, Vec<u8>),
    Pong(u64, Vec<u8>),
    Flushed(u64, u64),
    Link(Vec<u8>),
    Pass(u32),
}

fn any_input() -> impl Strategy<Value = Input> {
    let connection = || 0u64..6;
    let kinds = prop::sample::select(vec![
        "supportedProtocol",
        "handshakePayload",
        "handshakeError",
        "authenticateV2",
        "encryptedRequest",
        "claimFreeTestnetBandwidth",
    ]);
    let json = (kinds, prop::collection::vec(any::<u8>(), 0..130)).prop_map(|(kind, data)| {
        format!(
            "{{\"type\":\"{kind}\",\"data\":{data:?},\"message\":\"\",\"ciphertext\":{data:?},\
             \"nonce\":[1,2,3,4,5,6,7,8,9,10,11,12]}}"
        )
    });
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        Just(Input::Open),
        connection().prop_map(Input::Close),
        (connection(), prop_oneof![json, ".{0,80}"]).prop_map(|(c, text)| Input::Text(c, text)),
        (connection(), bytes()).prop_map(|(c, bytes)| Input::Binary(c, bytes)),
        (connection(), bytes()).prop_map(|(c, bytes)| Input::Pong(c, bytes)),
        (connection(), any::<u64>()).prop_map(|(c, marker)| Input::Flushed(c, marker)),
        bytes().prop_map(Input::Link),
        any::<u32>().prop_map(Input::Pass),
    ]
}

fn feed(world: &mut World, input: &Input) {
    let id = |connection: &u64| ConnectionId(*connection);
    match input {
        Input::Open => {
            world.connect();
        }
        Input::Close(c) => world.disconnect(id(c)),
        Input::Text(c, text) => world.send_raw(id(c), text.clone()),
        Input::Binary(c, bytes) => world.send_binary(id(c), bytes.clone()),
        Input::Pong(c, payload) => world.handle(Event::Pong { connection: id(c), payload }),
        Input::Flushed(c, marker) => {
            world.handle(Event::Flushed { connection: id(c), marker: *marker });
        }
        Input::Link(bytes) => world.handle(Event::LinkBytes { link: LinkId(1), bytes }),
        Input::Pass(micros) => world.pass(core::time::Duration::from_micros((*micros).into())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_that_reaches_a_gateway_makes_it_panic_or_serve_a_stranger(
        inputs in prop::collection::vec(any_input(), 0..40),
    ) {
        let mut world = World::new();
        let (_, connection) = world.ready(1);
        world.disconnect(connection);
        for input in &inputs {
            feed(&mut world, input);
        }
        prop_assert_eq!(world.gateway.sessions(), 0);
        prop_assert!(world.forwards().is_empty());
    }

    #[test]
    fn the_same_seed_and_events_give_the_same_actions(
        inputs in prop::collection::vec(any_input(), 0..20),
    ) {
        let run = || {
            let mut world = World::new();
            let (_, connection) = world.ready(1);
            world.disconnect(connection);
            inputs.iter().for_each(|input| feed(&mut world, input));
            core::iter::from_fn(|| world.next()).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn in_a_session_every_frame_gets_exactly_one_text(
        frames in prop::collection::vec(any_input(), 0..20),
    ) {
        let mut world = World::new();
        let (client, connection) = world.ready(1);
        let good = world.forward_request(&client, PacketSize::Ack);
        for frame in &frames {
            match frame {
                Input::Text(_, text) => world.send_raw(connection, text.clone()),
                Input::Binary(_, bytes) => world.send_binary(connection, bytes.clone()),
                _ => world.send_binary(connection, good.clone()),
            }
            world.forwards();
            world.text();
            prop_assert_eq!(world.next(), None);
        }
        prop_assert!(world.gateway.has_session(client.identity.public()));
    }
}
