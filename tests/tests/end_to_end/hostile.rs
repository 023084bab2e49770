//! Garbage from the gateway, and garbage to everybody: all others go on.

use std::net::SocketAddr;

use nym_proto::client::{Fact, WsFrame};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::{ClientHandshake, ClientText, GatewayText, ProtocolVersion};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::sphinx::{FrameHeader, KeyRotation, PacketSize};
use tests::stage::{ALICE, BOB, Stage, noise};
use tests::wait::{acknowledged, next, until};
use tests::{Cast, Peer};

use crate::raw::{self, Raw};

over_both_runtimes!(
    a_client_survives_garbage_from_its_gateway,
    a_client_leaves_a_gateway_that_sends_nothing_but_garbage,
    answers_nobody_asked_for_do_no_harm,
    a_gateway_survives_garbage_before_a_session,
    a_gateway_survives_garbage_in_a_session,
    the_network_survives_garbage_between_nodes,
    a_directory_survives_garbage,
);

fn a_client_survives_garbage_from_its_gateway(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(71, cast);
    let file = noise(1, 100_000);
    let receipt = alice.send(bob.address(), file.clone()).unwrap();
    let garbage = [
        WsFrame::Text(String::new()),
        WsFrame::Text("\u{0}{\"type\":".to_owned()),
        WsFrame::Text("[".repeat(50_000)),
        WsFrame::Text("{\"type\":\"send\",\"remaining_bandwidth\":\"all\"}".to_owned()),
        WsFrame::Binary(noise(2, 0)),
        WsFrame::Binary(noise(3, 1)),
        WsFrame::Binary(noise(4, 1671)),
        WsFrame::Binary(noise(5, 500_000)),
    ];
    for frame in &garbage {
        for gateway in [ALICE, BOB] {
            let gateway = usize::from(gateway);
            stage.network.inject_to_clients(gateway, frame.clone());
        }
    }

    assert_eq!(next(&*bob).data, file);
    acknowledged(&*receipt);
    for peer in [&alice, &bob] {
        let bad_frames = || peer.stats().bad_frames;
        until("all has come", || bad_frames() == garbage.len() as u64);
        assert_eq!(peer.stats().sessions, 1);
        assert!(peer.facts().contains(&Fact::BadFrame));
    }
}

fn a_client_leaves_a_gateway_that_sends_nothing_but_garbage(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(72, cast);
    let file = noise(1, 200_000);
    let receipt = alice.send(bob.address(), file.clone()).unwrap();
    // longer than any message may be
    let frame = WsFrame::Binary(noise(2, (1 << 20) + 1));
    stage.network.inject_to_clients(usize::from(ALICE), frame);
    until("alice comes back", || alice.stats().sessions == 2);
    until("alice comes back once more", || {
        for n in 0..20 {
            let frame = WsFrame::Binary(noise(n, 100));
            stage.network.inject_to_clients(usize::from(ALICE), frame);
        }
        alice.stats().sessions > 2
    });
    assert_eq!(next(&*bob).data, file);
    acknowledged(&*receipt);
    assert_eq!(bob.try_recv(), None);
}

fn answers_nobody_asked_for_do_no_harm(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(73, cast);
    let file = noise(1, 100_000);
    let receipt = alice.send(bob.address(), file.clone()).unwrap();
    let answers = [
        GatewayText::SupportedProtocol { version: 255 },
        GatewayText::HandshakeError { message: "no".to_owned() },
        GatewayText::Register { protocol_version: 0, status: false, upgrade_mode: true },
        GatewayText::Authenticate {
            protocol_version: 0,
            status: false,
            bandwidth_remaining: i64::MIN,
            upgrade_mode: false,
        },
        GatewayText::Send { remaining_bandwidth: i64::MIN, upgrade_mode: false },
        GatewayText::OutOfBandwidth { required: i64::MAX, available: -1 },
        GatewayText::Bandwidth { available_total: i64::MAX, upgrade_mode: true },
        GatewayText::TicketReplay,
        GatewayText::Error { message: "a lie".to_owned() },
        GatewayText::Unknown { name: "news".to_owned() },
    ];
    for answer in &answers {
        let frame = WsFrame::Text(answer.encode());
        stage.network.inject_to_clients(usize::from(ALICE), frame);
    }
    assert_eq!(next(&*bob).data, file);
    acknowledged(&*receipt);
    let lie = Fact::GatewayError("a lie".to_owned());
    until("the lie is told", || alice.facts().contains(&lie));
    assert_still_working(&*alice, &*bob);
    until("bandwidth is granted again", || alice.stats().bandwidth > 0);
}

fn a_gateway_survives_garbage_before_a_session(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(74, cast);
    let gateway = clients_port(&stage);
    let requests = [
        "GET / HTTP/1.1\r\n\r\n".as_bytes(),
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &noise(1, 70_000),
    ];
    for request in requests {
        raw::write_and_drain(gateway, request);
    }
    // connections that begin and never end
    let half = b"GET / HTTP/1.1\r\nUpgra";
    let _open: Vec<_> = (0..20).map(|_| raw::write(gateway, half)).collect();

    for is_greeted in [false, true] {
        for text in ["", "{}", "{\"type\":\"authenticateV2\"}", &"[".repeat(900_000)] {
            let mut client = Raw::connect(gateway);
            if is_greeted {
                client.greet();
            }
            client.send(text);
            client.drain();
        }
        for len in [0, 1, 2413, (1 << 20) + 1] {
            let mut client = Raw::connect(gateway);
            if is_greeted {
                client.greet();
            }
            client.send(noise(len, len as usize));
            client.drain();
        }
    }
    assert_still_working(&*alice, &*bob);
    assert!(stage.network.stats().gateways[usize::from(BOB)].bad_frames > 0);
}

fn a_gateway_survives_garbage_in_a_session(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(75, cast);
    let port = clients_port(&stage);
    let gateway = stage.network.gateways()[usize::from(BOB)].identity;

    // in the middle of a registration
    let mut client = Raw::connect(port);
    client.greet();
    let mut stream = Entropy::new([9; 32]).stream(Purpose::Gateway);
    let identity = IdentityKeyPair::from_seed(&[9; 32]);
    let version = ProtocolVersion::CURRENT;
    let (_, init) = ClientHandshake::start(&identity, &gateway, version, &mut stream);
    client.send(init.clone());
    client.handshake();
    client.send(noise(1, 1000));
    client.send("{\"type\":\"nothing\"}");
    client.send(init);
    client.drain();

    // in a session
    let mut client = Raw::connect(port);
    client.greet();
    let key = client.register(10, &gateway);
    let mut sealed = noise(2, 2500).to_vec();
    key.seal(&[0; 12], &mut sealed);
    let sealed = [&[2, 1][..], &[0; 12], &sealed].concat();
    for frame in [noise(3, 0), noise(4, 13), noise(5, 2500), sealed.into()] {
        client.send(frame);
        let answer = client.text();
        assert!(matches!(answer, None | Some(GatewayText::Error { .. })), "{answer:?}");
    }
    for text in ["", "{\"type\":\"encryptedRequest\"}", "{\"type\":\"authenticate\"}"] {
        client.send(text);
        let answer = client.text();
        assert!(matches!(answer, None | Some(GatewayText::Error { .. })), "{answer:?}");
    }

    // a client that asks and never reads
    let mut deaf = Raw::connect(port);
    deaf.greet();
    deaf.register(11, &gateway);
    deaf.stop_reading();
    for _ in 0..20_000 {
        deaf.send(ClientText::ClaimFreeBandwidth.encode());
    }

    assert_still_working(&*alice, &*bob);
    assert_eq!(bob.stats().sessions, 1);
}

fn the_network_survives_garbage_between_nodes(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(76, cast);
    let mixes = stage.network.mixes().into_iter().map(|mix| mix.address);
    let gateways = stage.network.gateways().into_iter();
    let ports: Vec<_> = mixes.chain(gateways.map(|info| info.mix_address)).collect();
    let mut open = Vec::new();
    for &port in &ports {
        raw::write_and_drain(port, &noise(1, 100_000));
        raw::write_and_drain(port, b"GET / HTTP/1.1\r\n\r\n");
        open.push(raw::write(port, &[8, 0]));
        for size in PacketSize::ALL {
            for rotation in [KeyRotation::Unknown, KeyRotation::Odd, KeyRotation::Even] {
                let header = FrameHeader { size, rotation }.to_bytes();
                let packet = noise(2, size.packet_len());
                let frame = [&header[..], &packet].concat();
                open.push(raw::write(port, &frame));
                raw::write_and_drain(port, &frame[..frame.len() / 2]);
            }
        }
    }
    until("the nodes have noticed", || {
        let stats = stage.network.stats();
        let gateways = stats.gateways.iter().map(|gateway| &gateway.packets);
        let mut nodes = stats.mixes.iter().chain(gateways);
        nodes.all(|packets| packets.bad_links > 0 && packets.malformed > 0)
    });
    assert_still_working(&*alice, &*bob);
}

fn a_directory_survives_garbage(cast: &Cast) {
    let stage = Stage::new(77);
    let url = stage.network.directory_url();
    let host = url.trim_start_matches("http://").split('/').next().unwrap();
    let directory: SocketAddr = host.parse().unwrap();
    let requests = [
        noise(1, 50_000).to_vec(),
        b"POST /api/ HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n".to_vec(),
        b"GET /api/../../etc/passwd HTTP/1.1\r\n\r\n".to_vec(),
        b"GET /api/v1/nym-nodes?page=-1&per_page=99999999999999999999 HTTP/1.1\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'x'; 40_000]].concat(),
        Vec::new(),
    ];
    for request in &requests {
        let answer = raw::write_and_drain(directory, request);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{request:?}");
    }
    let _open: Vec<_> = (0..50).map(|_| raw::write(directory, b"GET /api")).collect();
    let alice = stage.join(cast.alice, ALICE);
    let bob = stage.join(cast.bob, BOB);
    assert_still_working(&*alice, &*bob);
}

/// Where Bob's gateway takes clients.
fn clients_port(stage: &Stage) -> SocketAddr {
    let info = &stage.network.gateways()[usize::from(BOB)];
    info.ws_url.trim_start_matches("ws://").parse().unwrap()
}

fn assert_still_working(alice: &dyn Peer, bob: &dyn Peer) {
    for (from, to) in [(alice, bob), (bob, alice)] {
        let data = noise(99, 3000);
        let receipt = from.send(to.address(), data.clone()).unwrap();
        assert_eq!(next(to).data, data);
        acknowledged(&*receipt);
    }
}
