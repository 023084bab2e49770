//! Our gateway with connections to it.

use bytes::{Bytes, BytesMut};
use nym_proto::address::NodeAddress;
use nym_proto::client::WsFrame;
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{FrameHeader, KeyRotation, PacketSize};
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::epoch::HeldRotations;
use nym_testnet::gateway::{
    Action, ConnectionId, Event, Gateway, GatewayConfig, GatewayKeys, GatewayLimits, GatewayStore,
};
use nym_testnet::{Egress, KeySchedule, LinkId, SphinxKeys};

use crate::network::Packet;

const LINK: LinkId = LinkId(1);

/// A gateway that answers at once.
pub struct OurGateway {
    pub machine: Gateway,
    pub identity: IdentityKeyPair,
    /// What it sent to other nodes.
    pub forwarded: Vec<Packet>,
    connections: u64,
}

/// What a gateway said in answer to one frame.
#[derive(Default, Debug)]
pub struct Answer {
    pub texts: Vec<String>,
    pub pushes: Vec<Bytes>,
    pub is_closed: bool,
}

impl OurGateway {
    /// A gateway whose clock shows the system's time: theirs reads no other.
    pub fn new() -> Self {
        let identity = IdentityKeyPair::from_seed(&[40; 32]);
        let config = GatewayConfig {
            seed: [1; 32],
            schedule: KeySchedule::Manual(HeldRotations { primary: 1, secondary: Some(2) }),
            egress: Egress::Open,
            enforce_credentials: false,
            limits: GatewayLimits::default(),
        };
        let keys = GatewayKeys {
            identity: identity.clone(),
            sphinx: SphinxKeys::fixed(Self::sphinx_key()),
        };
        let now = UnixTime::from_secs(unix_secs());
        let mut machine = Gateway::new(config, keys, GatewayStore::new(), Instant::START, now);
        machine.handle(Instant::START, Event::LinkOpened(LINK));
        Self { machine, identity, forwarded: Vec::new(), connections: 0 }
    }

    pub fn sphinx_key() -> PrivateKey {
        PrivateKey::from_bytes([41; 32])
    }

    pub fn connect(&mut self) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.machine.handle(Instant::START, Event::ConnectionOpened(connection));
        assert!(self.machine.poll_action().is_none());
        connection
    }

    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.machine.handle(Instant::START, Event::ConnectionClosed(connection));
    }

    pub fn text(&mut self, connection: ConnectionId, text: String) -> Answer {
        self.frame(connection, WsFrame::Text(text))
    }

    pub fn binary(&mut self, connection: ConnectionId, bytes: impl Into<Bytes>) -> Answer {
        self.frame(connection, WsFrame::Binary(bytes.into()))
    }

    /// A packet arrives from another node.
    pub fn packet(&mut self, size: PacketSize, packet: &[u8]) -> Answer {
        let header = FrameHeader { size, rotation: KeyRotation::Odd }.to_bytes();
        let bytes = [&header[..], packet].concat();
        self.machine.handle(Instant::START, Event::LinkBytes { link: LINK, bytes: &bytes });
        self.answer()
    }

    fn frame(&mut self, connection: ConnectionId, frame: WsFrame) -> Answer {
        self.machine.handle(Instant::START, Event::ConnectionFrame { connection, frame });
        self.answer()
    }

    fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Send { frame: WsFrame::Text(text), .. } => answer.texts.push(text),
                Action::Send { frame: WsFrame::Binary(bytes), .. } => answer.pushes.push(bytes),
                Action::Close(_) => answer.is_closed = true,
                Action::Forward { next, frame } => self.forwarded.push(unframed(next, &frame)),
                Action::Flush { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        answer
    }
}

impl Default for OurGateway {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame between nodes, read by their codec.
fn unframed(next: NodeAddress, frame: &[u8]) -> Packet {
    use tokio_util::codec::Decoder as _;
    let mut bytes = BytesMut::from(frame);
    let framed = nym_sphinx::framing::codec::NymCodec.decode(&mut bytes).unwrap().unwrap();
    assert!(bytes.is_empty());
    Packet {
        next,
        rotation: crate::convert::our_rotation(framed.key_rotation()),
        size: crate::convert::our_size(framed.packet_size()),
        bytes: framed.packet().to_bytes().unwrap(),
    }
}

/// The system's time.
pub fn unix_secs() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}
