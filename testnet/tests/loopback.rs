//! The network on real sockets, spoken to with the client's side of the protocol.
#![cfg(feature = "loopback")]

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Instant, SystemTime};

use bytes::BytesMut;
use nym_proto::client::WsFrame;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    AuthenticateRequest, ClientHandshake, ClientText, ForwardFrame, GatewayText, HandshakePayload,
    ProtocolVersion, SharedKey, open_push,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::sphinx::{Delay, PacketBuilder as _, PacketSize, SphinxBuilder};
use nym_proto::topology::Topology;
use nym_proto::topology::directory::{ALL_NODES, KEY_ROTATION_INFO, KeyRotationInfo, NodePage};
use nym_testnet::loopback::{GatewayInfo, Loopback, LoopbackConfig};
use tungstenite::{Message, WebSocket};

const WAIT: Duration = Duration::from_secs(10);

#[test]
fn a_client_registers_and_sends_itself_a_packet_through_the_mixes() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    let gateway = &network.gateways()[0];
    let mut client = Client::register(gateway, 1);
    client.send_to_itself(&network.topology(), gateway, 42, PacketSize::Regular);
    assert!(matches!(client.text(), GatewayText::Send { .. }));
    let message = client.push();
    assert_eq!(message.len(), 1643);
    assert!(message.iter().all(|&byte| byte == 42));
    // the packet's ack was all zero: it dies at its first hop
    let stats = network.stats();
    assert_eq!(stats.gateways[0].requests, 1);
    assert_eq!(stats.gateways[0].delivered, 1);
    assert_eq!(stats.mixes.iter().map(|mix| mix.forwarded).sum::<u64>(), 3);
}

#[test]
fn what_is_sent_to_a_client_that_is_away_waits_even_while_the_gateway_restarts() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    let gateway = network.gateways()[1].clone();
    let mut client = Client::register(&gateway, 1);
    for content in 0..3 {
        client.send_to_itself(&network.topology(), &gateway, content, PacketSize::Ack);
        assert!(matches!(client.text(), GatewayText::Send { .. }));
        if content == 0 {
            assert_eq!(client.push()[0], 0);
        }
    }
    let mut client = client.leave();
    wait_until(|| {
        let stats = network.stats().gateways[1];
        stats.delivered + stats.stored == 3
    });
    let before = network.stats().gateways[1];
    network.stop_gateway(1);
    assert!(tungstenite::connect(&gateway.ws_url).is_err());
    network.start_gateway(1, true).unwrap();
    let mut client = client.authenticate(&gateway);
    for _ in 0..before.stored {
        client.push();
    }
    assert!(matches!(client.text(), GatewayText::Authenticate { .. }));
}

#[test]
fn a_gateway_that_lost_its_store_has_forgotten_its_clients() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    let gateway = network.gateways()[0].clone();
    let mut client = Client::register(&gateway, 1).leave();
    network.stop_gateway(0);
    network.start_gateway(0, false).unwrap();
    let mut client = client.authenticate(&gateway);
    assert!(matches!(client.text(), GatewayText::Error { .. }));
    client.expect_end();
}

#[test]
fn clients_can_be_kicked_and_fed_rubbish() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    let mut client = Client::register(&network.gateways()[0], 1);
    network.inject_to_clients(0, WsFrame::Text("rubbish".to_owned()));
    network.inject_to_clients(0, WsFrame::Binary(vec![1, 2, 3].into()));
    assert_eq!(client.message(), Message::text("rubbish"));
    assert_eq!(client.message(), Message::binary(vec![1, 2, 3]));
    network.kick_clients(0);
    client.expect_end();
    wait_until(|| tungstenite::connect(&network.gateways()[0].ws_url).is_ok());
}

#[test]
fn all_packets_are_lost_if_asked_for() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    network.set_loss(1.0);
    let gateway = &network.gateways()[0];
    let mut client = Client::register(gateway, 1);
    for _ in 0..5 {
        client.send_to_itself(&network.topology(), gateway, 1, PacketSize::Ack);
    }
    wait_until(|| network.stats().mixes.iter().map(|mix| mix.lost).sum::<u64>() == 5);
    assert_eq!(network.stats().gateways[0].delivered, 0);
}

#[test]
fn the_directory_is_served_over_http() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    let (status, body) = get(&network, ALL_NODES);
    assert_eq!(status, "HTTP/1.1 200 OK");
    let page = NodePage::decode(body.as_bytes()).unwrap();
    assert_eq!(page.nodes, network.topology().nodes());
    let (_, body) = get(&network, KEY_ROTATION_INFO);
    let info = KeyRotationInfo::decode(body.as_bytes()).unwrap();
    assert_eq!(info.current_epoch_id, page.metadata.absolute_epoch_id);
    assert_eq!(get(&network, "nothing").0, "HTTP/1.1 404 Not Found");
}

#[test]
fn the_topology_can_be_written_to_a_file() {
    let network = Loopback::start(LoopbackConfig::default()).unwrap();
    let topology = network.topology();
    let read = Topology::from_file(topology.to_file().as_bytes()).unwrap();
    assert_eq!(read.nodes(), topology.nodes());
}

#[test]
fn a_network_without_nodes_is_refused() {
    let config = LoopbackConfig { gateways: 0, ..LoopbackConfig::default() };
    let error = Loopback::start(config).unwrap_err();
    assert!(error.to_string().contains("at least one gateway"), "{error}");
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT;
    while !condition() {
        assert!(Instant::now() < end, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn get(network: &Loopback, path: &str) -> (String, String) {
    let url = network.directory_url();
    let (host, base) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    write!(stream, "GET /{base}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// A client that does one thing after the other.
struct Client {
    socket: WebSocket<TcpStream>,
    keys: Keys,
}

/// What a client keeps while it is away.
struct Keys {
    identity: IdentityKeyPair,
    key: SharedKey,
    stream: Stream,
    last: u64,
}

impl Keys {
    fn authenticate(&mut self, gateway: &GatewayInfo) -> Client {
        // timestamps must grow, second by second, and may run ahead of the clock
        self.last = (self.last + 1).max(unix_secs());
        let version = ProtocolVersion::CURRENT;
        let nonce = self.stream.bytes();
        let request =
            AuthenticateRequest::new(&self.identity, &self.key, version, self.last, nonce);
        let keys = Keys {
            identity: self.identity.clone(),
            key: self.key.clone(),
            stream: Entropy::new([7; 32]).stream(Purpose::Packets),
            last: self.last,
        };
        let mut client = Client { socket: open(gateway), keys };
        client.send(&ClientText::Authenticate(request).encode());
        client
    }
}

impl Client {
    /// Registers and claims bandwidth.
    fn register(gateway: &GatewayInfo, seed: u8) -> Self {
        let identity = IdentityKeyPair::from_seed(&[seed; 32]);
        let mut stream = Entropy::new([seed; 32]).stream(Purpose::Packets);
        let version = ProtocolVersion::CURRENT;
        let (state, init) =
            ClientHandshake::start(&identity, &gateway.identity, version, &mut stream);
        let key = SharedKey::from_bytes([0; 32]);
        let keys = Keys { identity, key, stream, last: unix_secs() };
        let mut client = Self { socket: open(gateway), keys };
        client.send(&ClientText::SupportedProtocol.encode());
        assert_eq!(client.text(), GatewayText::SupportedProtocol { version: 6 });
        client.send(&init);
        let (state, proof) = state.handle(&client.payload()).unwrap();
        client.send(&proof);
        client.keys.key = state.handle(&client.payload()).unwrap().shared_key;
        assert!(matches!(client.text(), GatewayText::Register { status: true, .. }));
        client.send(&ClientText::ClaimFreeBandwidth.encode());
        assert!(matches!(client.text(), GatewayText::Bandwidth { .. }));
        client
    }

    fn leave(self) -> Keys {
        self.keys
    }

    fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    fn message(&mut self) -> Message {
        self.socket.read().unwrap()
    }

    fn text(&mut self) -> GatewayText {
        match self.message() {
            Message::Text(text) => GatewayText::decode(text.as_str()).unwrap(),
            other => panic!("not a text: {other:?}"),
        }
    }

    fn payload(&mut self) -> HandshakePayload {
        match self.text() {
            GatewayText::Handshake(payload) => payload,
            other => panic!("not a handshake message: {other:?}"),
        }
    }

    fn push(&mut self) -> BytesMut {
        match self.message() {
            Message::Binary(frame) => open_push(&self.keys.key, frame.into()).unwrap(),
            other => panic!("not a push: {other:?}"),
        }
    }

    fn expect_end(&mut self) {
        assert!(self.socket.read().is_err());
    }

    /// Sends a packet whose content is `content` and, unless it is of ack size, an ack that
    /// nobody can read.
    fn send_to_itself(
        &mut self,
        topology: &Topology,
        gateway: &GatewayInfo,
        content: u8,
        size: PacketSize,
    ) {
        let stream = &mut self.keys.stream;
        let route = topology.route(&gateway.identity, stream).unwrap();
        let delays = vec![Delay::from_nanos(1_000_000); route.hops().len()];
        let (rotation, first) = (topology.rotation(), route.first().address);
        let mut frame = ForwardFrame::new(ProtocolVersion::CURRENT, rotation, first, size);
        let packet = frame.packet_mut();
        let plaintext = nym_proto::sphinx::PLAINTEXT_OFFSET..packet.len() - 1;
        let len = plaintext.len();
        let plaintext = &mut packet[plaintext];
        plaintext.fill(content);
        if size != PacketSize::Ack {
            plaintext[..405].fill(0);
            plaintext[..19].copy_from_slice(&first.to_padded::<19>());
        }
        let destination = self.keys.identity.public();
        SphinxBuilder::new()
            .build_packet(route.hops(), &delays, destination, len, packet, stream)
            .unwrap();
        let frame = frame.seal(&self.keys.key, stream.bytes());
        self.socket.send(Message::Binary(frame)).unwrap();
    }
}

fn open(gateway: &GatewayInfo) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(gateway.ws_url.strip_prefix("ws://").unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    tungstenite::client(gateway.ws_url.as_str(), stream).unwrap().0
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
