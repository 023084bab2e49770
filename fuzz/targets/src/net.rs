//! The small network the targets share: two gateways, one mix node in each layer, and a client
//! called Bob behind the second gateway. Packets are transparent ones.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::SharedKey;
use nym_proto::identity::{Identity, IdentityKeyPair, PrivateKey};
use nym_proto::message::split_final;
use nym_proto::sphinx::{PacketPeeler as _, PacketSize, Peeled};
use nym_proto::topology::{Entry, Node, RewardedSet, SupportedRoles, Topology, TopologyParts};
use nym_testnet::transparent::TransparentPeeler;

/// What the wall clock shows in the beginning, in seconds.
pub const UNIX_START: u64 = 1_767_225_600;
/// The epoch in the beginning, the eighth of the first rotation.
pub const EPOCH: u32 = 31;
const NODES: u8 = 5;

/// Address of a node; both families are in use.
#[must_use]
pub fn node_address(node: u8) -> NodeAddress {
    let address: SocketAddr = match node % 2 {
        0 => ([127, 0, 0, node], 1789).into(),
        _ => ([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(node)], 1789).into(),
    };
    address.into()
}

/// The Sphinx key of a node.
#[must_use]
pub fn sphinx_key(node: u8) -> PrivateKey {
    PrivateKey::from_bytes([100 + node; 32])
}

/// The identity of a node; nodes 0 and 1 are gateways.
#[must_use]
pub fn node_identity(node: u8) -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[200 + node; 32])
}

/// The keys of the client under test.
#[must_use]
pub fn alice() -> Identity {
    Identity::generate(&mut stream(1))
}

/// The keys of its correspondent.
#[must_use]
pub fn bob() -> Identity {
    Identity::generate(&mut stream(2))
}

fn stream(n: u32) -> Stream {
    Entropy::new([77; 32]).stream(Purpose::Other(n))
}

/// The key Alice shares with her gateway, node 0.
#[must_use]
pub fn shared_key() -> SharedKey {
    SharedKey::from_bytes([99; 32])
}

/// The address of Bob, whose gateway is node 1.
#[must_use]
pub fn recipient() -> Recipient {
    static ADDRESS: OnceLock<Recipient> = OnceLock::new();
    let bob = || {
        let bob = bob();
        let (identity, encryption) = (*bob.identity.public(), bob.encryption.public());
        Recipient { identity, encryption, gateway: *node_identity(1).public() }
    };
    *ADDRESS.get_or_init(bob)
}

/// The nodes, as a client knows them.
#[must_use]
pub fn topology() -> Arc<Topology> {
    static TOPOLOGY: OnceLock<Arc<Topology>> = OnceLock::new();
    TOPOLOGY.get_or_init(|| Arc::new(topology_in_epoch(EPOCH))).clone()
}

/// The nodes in another epoch.
#[must_use]
pub fn topology_in_epoch(epoch: u32) -> Topology {
    let rewarded = RewardedSet {
        epoch_id: epoch,
        entry_gateways: vec![0, 1],
        layer1: vec![2],
        layer2: vec![3],
        layer3: vec![4],
        ..RewardedSet::default()
    };
    let nodes = (0..NODES).map(node).collect();
    let rotation_id = epoch / 24;
    let parts = TopologyParts { epoch, rotation_id, refreshed_at: None, rewarded, nodes };
    Topology::new(parts).unwrap()
}

fn node(node: u8) -> Node {
    let is_gateway = node < 2;
    Node {
        id: node.into(),
        identity: *node_identity(node).public(),
        sphinx_key: sphinx_key(node).public(),
        mix_host: node_address(node),
        entry: is_gateway.then(|| Entry {
            hostname: None,
            ip_addresses: vec![node_address(node).socket_addr().ip()],
            ws_port: 9000,
            wss_port: None,
        }),
        roles: SupportedRoles { mixnode: !is_gateway, entry: is_gateway, exit: false },
        performance: 100,
    }
}

/// Walks packets to where they end.
#[derive(Debug, Default)]
pub struct Walker {
    peeler: TransparentPeeler,
    keys: BTreeMap<NodeAddress, PrivateKey>,
}

/// Where a packet ended.
#[derive(Debug)]
pub struct Arrived {
    /// The client it is for.
    pub destination: [u8; 32],
    /// What its gateway pushes to it.
    pub message: Bytes,
    /// The ack packet that came with it, and its first hop.
    pub ack: Option<(NodeAddress, BytesMut)>,
}

impl Walker {
    /// A walker that knows the keys of all nodes.
    #[must_use]
    pub fn new() -> Self {
        let keys = (0..NODES).map(|node| (node_address(node), sphinx_key(node)));
        Self { peeler: TransparentPeeler::new(), keys: keys.collect() }
    }

    /// Takes a packet through all its hops. `None` if a node would drop it.
    pub fn walk(&self, mut at: NodeAddress, mut packet: BytesMut) -> Option<Arrived> {
        loop {
            let key = self.keys.get(&at)?;
            let opened = self.peeler.open(key, &packet).ok()?;
            match self.peeler.peel(opened, &mut packet).ok()? {
                Peeled::Forward { next, .. } => at = next,
                Peeled::Final { destination, plaintext } => {
                    let plaintext = &packet[plaintext];
                    if packet.len() == PacketSize::Ack.packet_len() {
                        let message = Bytes::copy_from_slice(plaintext);
                        return Some(Arrived { destination, message, ack: None });
                    }
                    let (first, ack, pushed) = split_final(plaintext).ok()?;
                    let message = Bytes::copy_from_slice(pushed);
                    let ack = Some((first, BytesMut::from(ack)));
                    return Some(Arrived { destination, message, ack });
                }
            }
        }
    }
}
