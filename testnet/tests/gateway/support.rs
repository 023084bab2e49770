//! A gateway with clients around it.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use nym_proto::address::NodeAddress;
use nym_proto::client::WsFrame;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    AuthenticateRequest, ClientHandshake, ClientText, ForwardFrame, GatewayText, HandshakePayload,
    ProtocolVersion, SharedKey, open_push,
};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{
    Delay, FrameHeader, Hop, KeyRotation, PLAINTEXT_OFFSET, PacketBuilder as _, PacketSize,
    SphinxBuilder,
};
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::epoch::HeldRotations;
use nym_testnet::gateway::{
    Action, ConnectionId, Event, Gateway, GatewayConfig, GatewayKeys, GatewayLimits, GatewayStore,
};
use nym_testnet::{Egress, KeySchedule, LinkId, SphinxKeys};

pub(crate) const LINK: LinkId = LinkId(1);
/// What the wall clock shows when the monotonic clock starts.
pub(crate) const START: u64 = 1_767_225_600 + 12 * 3600;

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) now: Instant,
    pub(crate) stream: Stream,
    actions: VecDeque<Action>,
    next_connection: u64,
}

pub(crate) struct Client {
    pub(crate) identity: IdentityKeyPair,
    pub(crate) key: SharedKey,
}

pub(crate) fn sphinx_key() -> PrivateKey {
    PrivateKey::from_bytes([41; 32])
}

pub(crate) fn identity(seed: u8) -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[seed; 32])
}

pub(crate) fn address(last: u8) -> NodeAddress {
    NodeAddress::new(([127, 0, 0, last], 1789).into())
}

pub(crate) fn config() -> GatewayConfig {
    GatewayConfig {
        seed: [1; 32],
        schedule: KeySchedule::Manual(HeldRotations { primary: 1, secondary: Some(2) }),
        egress: Egress::Open,
        enforce_credentials: false,
        limits: GatewayLimits::default(),
    }
}

pub(crate) fn keys(sphinx: PrivateKey) -> GatewayKeys {
    GatewayKeys { identity: identity(40), sphinx: SphinxKeys::fixed(sphinx) }
}

pub(crate) fn error_text(text: &GatewayText) -> bool {
    matches!(text, GatewayText::Error { .. })
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config(), GatewayStore::new())
    }

    pub(crate) fn with(config: GatewayConfig, store: GatewayStore) -> Self {
        Self::with_keys(config, keys(sphinx_key()), store)
    }

    pub(crate) fn with_keys(config: GatewayConfig, keys: GatewayKeys, store: GatewayStore) -> Self {
        let now = Instant::START;
        let mut gateway = Gateway::new(config, keys, store, now, UnixTime::from_secs(START));
        gateway.handle(now, Event::LinkOpened(LINK));
        Self {
            gateway,
            now,
            stream: Entropy::new([2; 32]).stream(Purpose::Other(0)),
            actions: VecDeque::new(),
            next_connection: 0,
        }
    }

    pub(crate) fn handle(&mut self, event: Event<'_>) {
        self.gateway.handle(self.now, event);
        self.actions.extend(core::iter::from_fn(|| self.gateway.poll_action()));
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Tick);
    }

    pub(crate) fn pass_secs(&mut self, secs: u64) {
        self.pass(Duration::from_secs(secs));
    }

    pub(crate) fn unix_secs(&self) -> u64 {
        START + self.now.as_nanos() / 1_000_000_000
    }

    pub(crate) fn connect(&mut self) -> ConnectionId {
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        self.handle(Event::ConnectionOpened(connection));
        connection
    }

    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.handle(Event::ConnectionClosed(connection));
    }

    pub(crate) fn send_raw(&mut self, connection: ConnectionId, text: impl Into<String>) {
        let frame = WsFrame::Text(text.into());
        self.handle(Event::ConnectionFrame { connection, frame });
    }

    pub(crate) fn send_binary(&mut self, connection: ConnectionId, bytes: impl Into<Bytes>) {
        let frame = WsFrame::Binary(bytes.into());
        self.handle(Event::ConnectionFrame { connection, frame });
    }

    pub(crate) fn request(&mut self, connection: ConnectionId, text: &ClientText) -> GatewayText {
        self.send_raw(connection, text.encode());
        self.text()
    }

    pub(crate) fn next(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next action, which must be a text.
    pub(crate) fn text(&mut self) -> GatewayText {
        match self.next() {
            Some(Action::Send { frame: WsFrame::Text(text), .. }) => {
                GatewayText::decode(&text).unwrap()
            }
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The contents of all pushes among the queued actions; confirms the flushes if asked to.
    pub(crate) fn pushes(&mut self, key: &SharedKey, confirm: bool) -> Vec<Bytes> {
        let mut pushes = Vec::new();
        while let Some(action) = self.next() {
            match action {
                Action::Send { frame: WsFrame::Binary(frame), .. } => {
                    pushes.push(open_push(key, BytesMut::from(frame)).unwrap().freeze());
                }
                Action::Flush { connection, marker } if confirm => {
                    self.handle(Event::Flushed { connection, marker });
                }
                Action::Flush { .. } | Action::Forward { .. } => {}
                other => panic!("not a push: {other:?}"),
            }
        }
        pushes
    }

    pub(crate) fn forwards(&mut self) -> Vec<(NodeAddress, Bytes)> {
        let mut forwards = Vec::new();
        self.actions.retain(|action| match action {
            Action::Forward { next, frame } => {
                forwards.push((*next, frame.clone()));
                false
            }
            _ => true,
        });
        forwards
    }

    pub(crate) fn expect_closed(&mut self, connection: ConnectionId) {
        assert_eq!(self.next(), Some(Action::Close(connection)));
        assert_eq!(self.next(), None);
    }

    /// Begins a registration; returns the first message.
    pub(crate) fn start_registration(
        &mut self,
        identity: &IdentityKeyPair,
    ) -> (nym_proto::gateway::AwaitingMaterial, String) {
        let gateway = *self.gateway.identity();
        let version = ProtocolVersion::CURRENT;
        ClientHandshake::start(identity, &gateway, version, &mut self.stream)
    }

    /// Registers on a connection and takes everything up to and including `register`.
    pub(crate) fn register_on(&mut self, connection: ConnectionId, seed: u8) -> Client {
        let identity = identity(seed);
        let (state, text) = self.start_registration(&identity);
        self.send_raw(connection, text);
        let (state, text) = state.handle(&self.payload()).unwrap();
        self.send_raw(connection, text);
        let established = state.handle(&self.payload()).unwrap();
        let register =
            GatewayText::Register { protocol_version: 6, status: true, upgrade_mode: false };
        assert_eq!(self.text(), register);
        Client { identity, key: established.shared_key }
    }

    pub(crate) fn register(&mut self, seed: u8) -> (Client, ConnectionId) {
        let connection = self.connect();
        (self.register_on(connection, seed), connection)
    }

    /// Registers and claims bandwidth.
    pub(crate) fn ready(&mut self, seed: u8) -> (Client, ConnectionId) {
        let (client, connection) = self.register(seed);
        let claim = self.request(connection, &ClientText::ClaimFreeBandwidth);
        assert!(matches!(claim, GatewayText::Bandwidth { .. }), "{claim:?}");
        (client, connection)
    }

    pub(crate) fn authenticate_on(
        &mut self,
        connection: ConnectionId,
        client: &Client,
        timestamp: u64,
    ) {
        let nonce = self.stream.bytes();
        let version = ProtocolVersion::CURRENT;
        let (identity, key) = (&client.identity, &client.key);
        let request = AuthenticateRequest::new(identity, key, version, timestamp, nonce);
        self.send_raw(connection, ClientText::Authenticate(request).encode());
    }

    pub(crate) fn payload(&mut self) -> HandshakePayload {
        match self.text() {
            GatewayText::Handshake(payload) => payload,
            other => panic!("not a handshake message: {other:?}"),
        }
    }

    /// A forward request of `client`, with a packet that is all zero.
    pub(crate) fn forward_request(&mut self, client: &Client, size: PacketSize) -> Bytes {
        let version = ProtocolVersion::CURRENT;
        ForwardFrame::new(version, KeyRotation::Odd, address(7), size)
            .seal(&client.key, self.stream.bytes())
    }

    /// Delivers a packet whose last hop is the gateway.
    pub(crate) fn deliver(&mut self, to: &IdentityKey, size: PacketSize, plaintext: &[u8]) {
        let mut packet = vec![0; size.packet_len()];
        packet[PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + plaintext.len()].copy_from_slice(plaintext);
        let route = [Hop { address: address(9), key: sphinx_key().public() }];
        let (delays, len) = ([Delay::default()], plaintext.len());
        SphinxBuilder::new()
            .build_packet(&route, &delays, to, len, &mut packet, &mut self.stream)
            .unwrap();
        self.deliver_packet(size, KeyRotation::Odd, &packet);
    }

    pub(crate) fn deliver_packet(
        &mut self,
        size: PacketSize,
        rotation: KeyRotation,
        packet: &[u8],
    ) {
        let mut bytes = FrameHeader { size, rotation }.to_bytes().to_vec();
        bytes.extend_from_slice(packet);
        self.handle(Event::LinkBytes { link: LINK, bytes: &bytes });
    }

    /// Delivers an ack of 21 bytes; the shortest way to push something.
    pub(crate) fn deliver_small(&mut self, to: &IdentityKey, content: u8) {
        self.deliver(to, PacketSize::Ack, &[content; 21]);
    }
}
