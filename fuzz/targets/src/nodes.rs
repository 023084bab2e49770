//! What reaches the machines of the test network: a mix node and a gateway take anything from
//! other nodes and from clients.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use nym_proto::client::WsFrame;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    AuthenticateRequest, AwaitingMaterial, ClientHandshake, ClientText, ForwardFrame, GatewayText,
    GcmSiv, InnerRequest, ProtocolVersion, SharedKey, open_push,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::message::SURB_ACK_LEN;
use nym_proto::sphinx::{
    Delay, FrameHeader, Hop, KeyRotation, PLAINTEXT_OFFSET, PacketBuilder as _, PacketSize,
};
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::epoch::HeldRotations;
use nym_testnet::gateway::{
    Action, ConnectionId, Event, Gateway, GatewayConfig, GatewayKeys, GatewayLimits, GatewayStore,
};
use nym_testnet::mixnode::{self, MixConfig, MixLimits, MixNode};
use nym_testnet::transparent::{TransparentBuilder, TransparentPeeler};
use nym_testnet::{Egress, KeySchedule, LinkId, SphinxKeys};

use crate::input::{Input, Script};
use crate::net;

const STEPS_MAX: usize = 200;
const ACTIONS_MAX: usize = 64;
const LINKS: u8 = 4;

fn schedule() -> KeySchedule {
    KeySchedule::Manual(HeldRotations { primary: 1, secondary: Some(2) })
}

/// A frame for the node, as another node would send it: built for it, or damaged.
fn node_frame(input: &mut Input<'_>, node: u8, stream: &mut Stream) -> Vec<u8> {
    let hops = 1 + input.below(3) as u8;
    let hop = |i: u8| Hop { address: net::node_address(i), key: net::sphinx_key(i).public() };
    let route: Vec<Hop> = (node..node + hops).map(hop).collect();
    let nanos = u64::from(input.byte()) * 50_000_000;
    let delays = vec![Delay::from_nanos(nanos); route.len()];
    let size = PacketSize::ALL[input.below(3)];
    let mut packet = vec![0; size.packet_len()];
    let to = *client(input.byte() % 3).public();
    let len = if size == PacketSize::Ack { 21 } else { SURB_ACK_LEN + 40 };
    // an ack that goes nowhere, or to the node itself
    let first = net::node_address(input.byte() % 5).to_padded::<19>();
    packet[PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + 19].copy_from_slice(&first);
    TransparentBuilder::new().build_packet(&route, &delays, &to, len, &mut packet, stream).unwrap();
    let rotation = KeyRotation::from_byte(input.byte() % 3).unwrap();
    let mut frame = FrameHeader { size, rotation }.to_bytes().to_vec();
    frame.extend(packet);
    input.damage(&mut frame);
    frame
}

fn client(number: u8) -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[10 + number; 32])
}

fn time(input: &mut Input<'_>) -> Duration {
    Duration::from_nanos((1 << (input.byte() % 50)) + u64::from(input.byte()))
}

/// A mix node forwards no more than it gets, forgets nothing it must keep, and stays bounded.
pub fn mixnode(data: &[u8]) {
    let mut input = Input::new(data);
    let mut stream = Entropy::new([3; 32]).stream(Purpose::Other(0));
    let config = MixConfig {
        seed: [4; 32],
        keys: SphinxKeys::fixed(net::sphinx_key(2)),
        schedule: schedule(),
        egress: Egress::Open,
        loss: 0.0,
        limits: MixLimits { links_max: 3, delayed_max: 8, actions_max: 8, replay_tags_max: 20 },
    };
    let mut now = Instant::START;
    let unix_time = UnixTime::from_secs(net::UNIX_START);
    let peeler = Box::new(TransparentPeeler::new());
    let mut node = MixNode::with_peeler(config, now, unix_time, peeler);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let (step, link) = (input.byte() % 8, LinkId(u64::from(input.byte() % LINKS)));
        let frame;
        let event = match step {
            0 => mixnode::Event::LinkOpened(link),
            1 => mixnode::Event::LinkClosed(link),
            2 => mixnode::Event::LinkBytes { link, bytes: input.chunk() },
            3 => mixnode::Event::Clock(UnixTime::from_nanos(input.long())),
            4 => {
                if now.as_nanos() < 1 << 60 {
                    now += time(&mut input);
                }
                mixnode::Event::Tick
            }
            _ => {
                frame = node_frame(&mut input, 2, &mut stream);
                mixnode::Event::LinkBytes { link, bytes: &frame }
            }
        };
        node.handle(now, event);
        assert!(node.delayed() <= 8);
        if input.byte() < 200 {
            drain_mixnode(&mut node, now);
        }
        let stats = node.stats();
        let known = [
            stats.forwarded,
            stats.lost,
            stats.replayed,
            stats.malformed,
            stats.no_key,
            stats.misrouted,
            stats.denied,
            stats.overflowed,
        ];
        let held = node.delayed() as u64;
        assert_eq!(known.iter().sum::<u64>() + held, stats.received, "{stats:?}");
    }
}

fn drain_mixnode(node: &mut MixNode, now: Instant) {
    let mut count = 0;
    while let Some(action) = node.poll_action() {
        count += 1;
        assert!(count <= STEPS_MAX + 16);
        if let mixnode::Action::Forward { frame, .. } = action {
            let (header, len) = FrameHeader::decode(&frame).unwrap().unwrap();
            assert_eq!(frame.len(), len + header.size.packet_len());
        }
    }
    assert!(node.next_deadline().is_none_or(|at| at >= now));
}

/// A client of the gateway, as far as it got.
struct Peer {
    connection: ConnectionId,
    handshake: Option<AwaitingMaterial>,
    key: Option<SharedKey>,
}

struct World {
    gateway: Gateway,
    now: Instant,
    stream: Stream,
    peers: Vec<Peer>,
    next_connection: u64,
}

/// A gateway takes anything from clients and nodes, answers each request once, and stays bounded.
pub fn gateway(data: &[u8]) {
    let mut input = Input::new(data);
    let mut limits = GatewayLimits {
        links_max: 3,
        connections_max: 6,
        actions_max: ACTIONS_MAX,
        replay_tags_max: 20,
        push_window: 4,
        ..GatewayLimits::default()
    };
    limits.store.clients_max = 3;
    limits.store.messages_per_client_max = 5;
    let config = GatewayConfig {
        seed: [1; 32],
        schedule: schedule(),
        egress: Egress::Open,
        enforce_credentials: input.flag(),
        limits,
    };
    let sphinx = SphinxKeys::fixed(net::sphinx_key(0));
    let keys = GatewayKeys { identity: net::node_identity(0), sphinx };
    let (now, unix_time) = (Instant::START, UnixTime::from_secs(net::UNIX_START));
    let packets = (Box::new(TransparentPeeler::new()) as _, Box::new(GcmSiv) as _);
    let store = GatewayStore::new();
    let gateway = Gateway::with_packets(config, keys, store, now, unix_time, packets);
    let stream = Entropy::new([2; 32]).stream(Purpose::Other(0));
    let mut world = World { gateway, now, stream, peers: Vec::new(), next_connection: 0 };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
}

impl World {
    fn handle(&mut self, event: Event<'_>) {
        self.gateway.handle(self.now, event);
        let mut count = 0;
        while let Some(action) = self.gateway.poll_action() {
            count += 1;
            assert!(count <= ACTIONS_MAX + 64);
            self.look_at(action);
        }
        assert!(self.gateway.sessions() <= 6);
        assert!(self.gateway.next_deadline().is_none_or(|at| at >= self.now));
    }

    fn look_at(&mut self, action: Action) {
        match action {
            Action::Send { connection, frame } => self.hear(connection, frame),
            Action::Close(connection) => {
                self.peers.retain(|peer| peer.connection != connection);
            }
            Action::Forward { frame, .. } => {
                let (header, len) = FrameHeader::decode(&frame).unwrap().unwrap();
                assert_eq!(frame.len(), len + header.size.packet_len());
            }
            _ => {}
        }
    }

    /// What a gateway says can be read.
    fn hear(&mut self, connection: ConnectionId, frame: WsFrame) {
        let peer = self.peers.iter_mut().find(|peer| peer.connection == connection);
        match frame {
            WsFrame::Text(text) => {
                let message = GatewayText::decode(&text).unwrap();
                let Some(peer) = peer else { return };
                if let (GatewayText::Handshake(payload), Some(state)) =
                    (message, peer.handshake.take())
                    && let Ok((state, proof)) = state.handle(&payload)
                {
                    peer.key = Some(state.shared_key().clone());
                    let frame = WsFrame::Text(proof);
                    self.gateway.handle(self.now, Event::ConnectionFrame { connection, frame });
                }
            }
            WsFrame::Binary(bytes) => {
                if let Some(key) = peer.and_then(|peer| peer.key.as_ref()) {
                    // an old session's key may be in use still
                    let _ = open_push(key, BytesMut::from(bytes));
                }
            }
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let step = input.byte() % 16;
        let link = LinkId(u64::from(input.byte() % LINKS));
        let known = self.peers.get(input.below(self.peers.len())).map(|peer| peer.connection);
        let connection = known.unwrap_or(ConnectionId(link.0));
        let say = |text: String| Event::ConnectionFrame { connection, frame: WsFrame::Text(text) };
        match step {
            0 => self.handle(Event::LinkOpened(link)),
            1 => self.handle(Event::LinkClosed(link)),
            2 => self.handle(Event::LinkBytes { link, bytes: input.chunk() }),
            3 => self.handle(Event::Clock(UnixTime::from_nanos(input.long()))),
            4 => {
                if self.now.as_nanos() < 1 << 60 {
                    self.now += time(input);
                }
                self.handle(Event::Tick);
            }
            5 => self.open(),
            6 => {
                self.peers.retain(|peer| peer.connection != connection);
                self.handle(Event::ConnectionClosed(connection));
            }
            7 => self.handle(say(String::from_utf8_lossy(input.chunk()).into_owned())),
            8 => {
                let frame = WsFrame::Binary(Bytes::copy_from_slice(input.chunk()));
                self.handle(Event::ConnectionFrame { connection, frame });
            }
            9 => self.register(connection, input),
            10 => self.authenticate(connection, input),
            11 => self.forward(connection, input),
            12 => {
                let text = request(input, &mut self.stream);
                self.handle(say(text));
            }
            13 => {
                let marker = input.byte().into();
                self.handle(Event::Flushed { connection, marker });
                self.handle(Event::Pong { connection, payload: input.chunk() });
            }
            _ => {
                let frame = node_frame(input, 0, &mut self.stream);
                self.handle(Event::LinkBytes { link, bytes: &frame });
            }
        }
    }

    fn open(&mut self) {
        self.next_connection += 1;
        let connection = ConnectionId(1000 + self.next_connection);
        self.peers.push(Peer { connection, handshake: None, key: None });
        self.handle(Event::ConnectionOpened(connection));
    }

    fn register(&mut self, connection: ConnectionId, input: &mut Input<'_>) {
        let version = ProtocolVersion::new(input.one_of([6, 5])).unwrap();
        let identity = client(input.byte() % 5);
        let gateway = net::node_identity(0);
        let (state, text) =
            ClientHandshake::start(&identity, gateway.public(), version, &mut self.stream);
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.connection == connection) {
            peer.handshake = Some(state);
        }
        let mut text = text.into_bytes();
        input.damage(&mut text);
        let frame = WsFrame::Text(String::from_utf8_lossy(&text).into_owned());
        self.handle(Event::ConnectionFrame { connection, frame });
    }

    fn authenticate(&mut self, connection: ConnectionId, input: &mut Input<'_>) {
        let mut keys = self.peers.iter().filter_map(|peer| peer.key.clone());
        let key = keys.next_back().unwrap_or_else(net::shared_key);
        let version = ProtocolVersion::new(input.one_of([6, 5])).unwrap();
        let identity = client(input.byte() % 5);
        let timestamp = net::UNIX_START + self.now.as_nanos() / 1_000_000_000;
        let timestamp = timestamp.saturating_add_signed((input.byte() as i8).into());
        let request =
            AuthenticateRequest::new(&identity, &key, version, timestamp, self.stream.bytes());
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.connection == connection) {
            peer.key = Some(key);
        }
        let mut text = ClientText::Authenticate(request).encode().into_bytes();
        input.damage(&mut text);
        let frame = WsFrame::Text(String::from_utf8_lossy(&text).into_owned());
        self.handle(Event::ConnectionFrame { connection, frame });
    }

    fn forward(&mut self, connection: ConnectionId, input: &mut Input<'_>) {
        let key = self.peers.iter().find(|peer| peer.connection == connection);
        let key = key.and_then(|peer| peer.key.clone()).unwrap_or_else(net::shared_key);
        let version = ProtocolVersion::new(input.one_of([6, 4])).unwrap();
        let rotation = KeyRotation::from_byte(input.byte() % 3).unwrap();
        let size = PacketSize::ALL[input.below(3)];
        let first = net::node_address(input.byte());
        let frame = ForwardFrame::new(version, rotation, first, size);
        let mut frame = frame.seal(&key, self.stream.bytes()).to_vec();
        input.damage(&mut frame);
        let frame = WsFrame::Binary(frame.into());
        self.handle(Event::ConnectionFrame { connection, frame });
    }
}

fn request(input: &mut Input<'_>, stream: &mut Stream) -> String {
    let text = match input.byte() % 5 {
        0 => ClientText::SupportedProtocol,
        1 => ClientText::ClaimFreeBandwidth,
        2 => ClientText::HandshakeError { message: "no".into() },
        3 => ClientText::EcashCredential { enc_credential: vec![1; 30], nonce: vec![1; 12] },
        _ => {
            let request = InnerRequest::ForgetMe { client: input.flag(), stats: false };
            ClientText::Encrypted(request.seal(&net::shared_key(), stream.bytes()))
        }
    };
    text.encode()
}

/// Packets in order, again, damaged, cut; too many of them.
pub fn mixnode_seeds() -> Vec<Vec<u8>> {
    // hops, delay, size, destination, first hop of the ack, rotation, damage, drained
    let packet = |script: Script, link: u8, delay: u8| {
        script.byte(5).byte(link).raw([1, delay, 1, 0, 0, 1, 0]).byte(0)
    };
    let open = || Script::new().raw([0, 1, 0]);
    let wait = |script: Script| script.byte(4).byte(0).raw([33, 0]).byte(0);
    let flood = (0..20).fold(open(), |script, _| packet(script, 1, 100));
    vec![
        wait(packet(packet(open(), 1, 3), 1, 0)).finish(),
        wait(packet(packet(open(), 2, 3).raw([0, 2, 0]), 2, 0)).raw([1, 1, 0]).finish(),
        wait(flood).finish(),
        open().byte(2).byte(1).chunk([8, 2, 1, 0, 5, 5, 5]).byte(255).finish(),
        open().byte(5).byte(1).raw([1, 3, 1, 0, 0, 1, 1, 0]).short(60).raw([7, 0]).finish(),
        open().byte(3).byte(1).long(u64::MAX).byte(0).finish(),
    ]
}

/// Registrations, authentications, packets of clients and of nodes, stored messages.
pub fn gateway_seeds() -> Vec<Vec<u8>> {
    let step = |script: Script, step: u8, rest: &[u8]| script.raw([step, 1, 0]).raw(rest);
    let opened = || step(step(Script::new().byte(0), 0, &[]), 5, &[]);
    let registered = || step(opened(), 9, &[0, 0, 0]);
    // hops, delay, size, destination, first hop of the ack, rotation, damage
    let packet = |script: Script, to: u8| step(script, 14, &[0, 0, 1, to, 0, 1, 0]);
    let sent = |script: Script| step(script, 11, &[0, 1, 1, 2, 0]);
    let stored = (0..8).fold(step(registered(), 6, &[]), |script, _| packet(script, 0));
    let back = step(step(stored.clone(), 5, &[]), 10, &[0, 0, 5, 0]);
    vec![
        packet(sent(registered()), 0).finish(),
        step(step(registered(), 12, &[1]), 12, &[4, 1]).finish(),
        step(step(registered(), 5, &[]), 10, &[0, 0, 1, 0]).finish(),
        step(step(opened(), 9, &[0, 0, 1, 1]).short(60).byte(1), 4, &[40, 0]).finish(),
        stored.finish(),
        back.finish(),
        step(step(opened(), 7, &[]).chunk("{}"), 8, &[]).chunk([1, 1, 7]).finish(),
        step(step(registered(), 13, &[1, 3, 0, 1, 2, 3]), 3, &[]).long(1 << 61).finish(),
    ]
}
