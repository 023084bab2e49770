//! A network of eight nodes, as a topology of each side, and the way of packets through it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use nym_crypto::asymmetric::x25519;
use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey};
use nym_proto::message::split_final;
use nym_proto::sphinx::{
    FrameHeader, KeyRotation, PacketPeeler as _, PacketSize, Peeled, SphinxPeeler,
};
use nym_proto::time::UnixTime;
use nym_proto::topology::{
    Entry, Node, NodeId, RewardedSet, SupportedRoles, Topology, TopologyParts,
};
use nym_sphinx::framing::codec::NymCodec;
use nym_sphinx::framing::packet::FramedNymPacket;
use nym_sphinx::framing::processing::{MixProcessingResultData, process_framed_packet};
use nym_topology::{
    CachedEpochRewardedSet, EntryDetails, NymRouteProvider, NymTopology, NymTopologyMetadata,
    RoutingNode, SupportedRoles as TheirRoles,
};
use time::OffsetDateTime;
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::convert::{our_address, our_rotation, their_identity};

/// The rotation the network is in; an odd one.
pub const ROTATION_ID: u32 = 7;
pub const EPOCH: u32 = 1100;
pub const REFRESHED_AT: u64 = 1_767_225_600;
const GATEWAYS: u32 = 2;
const NODES: u32 = 8;

/// Nodes 0 and 1 are gateways, 2 and 3 the first layer, and so on. Odd nodes have IPv6 addresses.
pub struct Network {
    pub topology: Topology,
    pub theirs: NymRouteProvider,
    /// The identities of the two gateways.
    pub gateways: Vec<IdentityKeyPair>,
    keys: BTreeMap<NodeAddress, PrivateKey>,
}

/// A packet on its way to a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    pub next: NodeAddress,
    pub rotation: KeyRotation,
    pub size: PacketSize,
    pub bytes: Vec<u8>,
}

/// What the last hop of a packet got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// Hops of the route.
    pub hops: usize,
    /// The delays of all hops but the last, added up.
    pub delay: Duration,
    /// The client's identity.
    pub destination: [u8; 32],
    /// What is pushed to the client.
    pub message: Vec<u8>,
    /// The acknowledgement, on its way back; acks have none themselves.
    pub ack: Option<Packet>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    pub fn new() -> Self {
        let mut stream = Entropy::new([0x42; 32]).stream(Purpose::Other(0));
        let (mut keys, mut gateways) = (BTreeMap::new(), Vec::new());
        let nodes: Vec<Node> = (0..NODES)
            .map(|id| {
                let key = PrivateKey::generate(&mut stream);
                let identity = IdentityKeyPair::generate(&mut stream);
                let node = node(id, &identity, &key);
                keys.insert(node.mix_host, key);
                if id < GATEWAYS {
                    gateways.push(identity);
                }
                node
            })
            .collect();
        let rewarded = RewardedSet {
            epoch_id: EPOCH,
            entry_gateways: vec![0],
            exit_gateways: vec![1],
            layer1: vec![2, 3],
            layer2: vec![4, 5],
            layer3: vec![6, 7],
            standby: vec![],
        };
        let theirs = NymTopology::new(
            NymTopologyMetadata::new(
                ROTATION_ID,
                EPOCH,
                OffsetDateTime::from_unix_timestamp(REFRESHED_AT as i64).unwrap(),
            ),
            their_rewarded_set(&rewarded),
            nodes.iter().map(their_node).collect(),
        );
        let topology = Topology::new(TopologyParts {
            epoch: EPOCH,
            rotation_id: ROTATION_ID,
            refreshed_at: Some(UnixTime::from_secs(REFRESHED_AT)),
            rewarded,
            nodes,
        });
        Self { topology: topology.unwrap(), theirs: theirs.into(), gateways, keys }
    }

    /// The identity of gateway 0 or 1.
    pub fn gateway(&self, index: usize) -> IdentityKey {
        *self.gateways[index].public()
    }

    /// Takes a packet to its last hop. At each hop both sides read the frame and remove the layer,
    /// and must agree.
    pub fn walk(&self, packet: Packet) -> Arrived {
        let mut packet = packet;
        let (mut hops, mut delay) = (0, Duration::ZERO);
        loop {
            hops += 1;
            let key = &self.keys[&packet.next];
            let header = FrameHeader { size: packet.size, rotation: packet.rotation };
            let frame = [&header.to_bytes()[..], &packet.bytes].concat();
            let framed = NymCodec.decode(&mut BytesMut::from(&frame[..])).unwrap().unwrap();
            assert_eq!(our_rotation(framed.key_rotation()), packet.rotation);
            let secret = x25519::PrivateKey::from_secret(*key.as_bytes());
            let theirs = process_framed_packet(framed, secret.inner()).unwrap().processing_data;

            let opened = SphinxPeeler::default().open(key, &packet.bytes).unwrap();
            let ours = SphinxPeeler::default().peel(opened, &mut packet.bytes).unwrap();
            match (ours, theirs) {
                (
                    Peeled::Forward { next, delay: ours },
                    MixProcessingResultData::ForwardHop { packet: forwarded, delay: theirs },
                ) => {
                    assert_eq!(theirs.unwrap().to_nanos(), ours.as_nanos());
                    delay += Duration::from(ours);
                    assert_eq!(our_address(forwarded.next_hop()), next);
                    packet.next = next;
                    // their node writes the frame for the next one
                    let framed = FramedNymPacket::from_mix_packet(forwarded, false);
                    let mut frame = BytesMut::new();
                    NymCodec.encode(framed, &mut frame).unwrap();
                    assert_eq!(frame[..], [&header.to_bytes()[..], &packet.bytes].concat());
                }
                (
                    Peeled::Final { destination, plaintext },
                    MixProcessingResultData::FinalHop { final_hop_data: theirs },
                ) => {
                    let plaintext = &packet.bytes[plaintext];
                    assert_eq!(plaintext.len(), packet.size.plaintext_len());
                    let (ack, message) = match packet.size {
                        PacketSize::Ack => (None, plaintext),
                        _ => {
                            let (next, bytes, message) = split_final(plaintext).unwrap();
                            let (size, rotation) = (PacketSize::Ack, packet.rotation);
                            let bytes = bytes.to_vec();
                            (Some(Packet { next, rotation, size, bytes }), message)
                        }
                    };
                    let message = message.to_vec();
                    assert_eq!(theirs.destination.as_bytes(), destination);
                    assert_eq!(theirs.message, message);
                    assert_eq!(theirs.forward_ack.map(Packet::from), ack);
                    return Arrived { hops, delay, destination, message, ack };
                }
                _ => panic!("one took hop {hops} for the last, the other did not"),
            }
        }
    }
}

impl From<nym_sphinx::forwarding::packet::MixPacket> for Packet {
    fn from(packet: nym_sphinx::forwarding::packet::MixPacket) -> Self {
        let bytes = packet.packet().to_bytes().unwrap();
        Self {
            next: our_address(packet.next_hop()),
            rotation: our_rotation(packet.key_rotation()),
            size: PacketSize::from_packet_len(bytes.len()).unwrap(),
            bytes,
        }
    }
}

fn node(id: NodeId, identity: &IdentityKeyPair, key: &PrivateKey) -> Node {
    let ip: IpAddr = match id % 2 {
        0 => [10, 0, 0, id as u8 + 1].into(),
        _ => [0xfd00, 0, 0, 0, 0, 0, 0, id as u16].into(),
    };
    let is_gateway = id < GATEWAYS;
    Node {
        id,
        identity: *identity.public(),
        sphinx_key: key.public(),
        mix_host: NodeAddress::new(SocketAddr::new(ip, 1789 + id as u16)),
        entry: is_gateway.then(|| Entry {
            hostname: (id == 1).then(|| "gateway.example.org".to_owned()),
            ip_addresses: vec![ip],
            ws_port: 9000,
            wss_port: (id == 1).then_some(9001),
        }),
        roles: SupportedRoles { mixnode: !is_gateway, entry: is_gateway, exit: id == 1 },
        performance: 100,
    }
}

/// A node of ours as one of theirs.
pub fn their_node(node: &Node) -> RoutingNode {
    RoutingNode {
        node_id: node.id,
        mix_host: node.mix_host.socket_addr(),
        entry: node.entry.as_ref().map(|entry| EntryDetails {
            ip_addresses: entry.ip_addresses.clone(),
            clients_ws_port: entry.ws_port,
            hostname: entry.hostname.clone(),
            clients_wss_port: entry.wss_port,
        }),
        identity_key: their_identity(&node.identity),
        sphinx_key: x25519::PublicKey::from_byte_array(node.sphinx_key.as_bytes()),
        supported_roles: TheirRoles {
            mixnode: node.roles.mixnode,
            mixnet_entry: node.roles.entry,
            mixnet_exit: node.roles.exit,
        },
    }
}

/// A rewarded set of ours as one of theirs.
pub fn their_rewarded_set(rewarded: &RewardedSet) -> CachedEpochRewardedSet {
    let set = |ids: &[NodeId]| ids.iter().copied().collect();
    CachedEpochRewardedSet {
        epoch_id: rewarded.epoch_id,
        entry_gateways: set(&rewarded.entry_gateways),
        exit_gateways: set(&rewarded.exit_gateways),
        layer1: set(&rewarded.layer1),
        layer2: set(&rewarded.layer2),
        layer3: set(&rewarded.layer3),
        standby: set(&rewarded.standby),
    }
}
