//! Nodes for the tests of this module.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::node::{Entry, Node, NodeId, SupportedRoles};
use super::rewarded::RewardedSet;
use super::snapshot::TopologyParts;
use crate::identity::{IdentityKeyPair, PrivateKey};
use crate::time::UnixTime;

/// A node that can do everything, with keys derived from its id.
pub(super) fn node(id: NodeId) -> Node {
    let mut seed = [0x5a; 32];
    seed[..4].copy_from_slice(&id.to_le_bytes());
    let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + id));
    Node {
        id,
        identity: *IdentityKeyPair::from_seed(&seed).public(),
        sphinx_key: PrivateKey::from_bytes(seed).public(),
        mix_host: SocketAddr::new(ip, 1789).into(),
        entry: Some(Entry {
            hostname: Some(format!("node{id}.example.org")),
            ip_addresses: vec![ip],
            ws_port: 9000,
            wss_port: Some(9001),
        }),
        roles: SupportedRoles { mixnode: true, entry: true, exit: false },
        performance: 100,
    }
}

/// Nodes 1 to `count`, dealt to the three layers in turn; all of them serve clients too.
pub(super) fn parts(count: NodeId) -> TopologyParts {
    let layer = |rest| (1..=count).filter(|id| id % 3 == rest).collect();
    TopologyParts {
        epoch: 1100,
        rotation_id: 41,
        refreshed_at: Some(UnixTime::from_nanos(1_767_225_600_250_000_000)),
        rewarded: RewardedSet {
            epoch_id: 1100,
            entry_gateways: (1..=count).collect(),
            layer1: layer(1),
            layer2: layer(2),
            layer3: layer(0),
            ..RewardedSet::default()
        },
        nodes: (1..=count).map(node).collect(),
    }
}
