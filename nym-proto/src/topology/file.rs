//! Topology files: a whole topology in one JSON document. (protocol: client 3.8)
//!
//! Three forms are read. The native form has snake case names and keys as arrays of 32 integers;
//! the browser's has camel case names and base58 keys; the two may be mixed. The old form has
//! `mixnodes` by layer and `gateways` at top level. The native form is written.

mod error;
mod old;

pub use error::FileError;

use core::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::node::{Entry, IPS_MAX, Node, NodeError, NodeId, SupportedRoles, is_hostname};
use super::raw::{RawKey, RawMap, read_node, shorten};
use super::rewarded::RewardedSet;
use super::snapshot::{ROTATION_UNKNOWN, Topology, TopologyParts};
use super::timestamp;

/// Longest file that is read: 16 MiB.
const FILE_MAX: usize = 16 * 1024 * 1024;

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    metadata: Option<RawMetadata<'a>>,
    #[serde(alias = "rewardedSet")]
    rewarded_set: Option<RewardedSet>,
    #[serde(borrow, alias = "nodeDetails")]
    node_details: Option<RawMap<'a>>,
    #[serde(borrow)]
    mixnodes: Option<&'a RawValue>,
    #[serde(borrow)]
    gateways: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawMetadata<'a> {
    #[serde(default = "unknown", alias = "keyRotationId")]
    key_rotation_id: u32,
    #[serde(default, alias = "absoluteEpochId")]
    absolute_epoch_id: u32,
    #[serde(borrow, alias = "refreshedAt")]
    refreshed_at: Option<&'a RawValue>,
}

fn unknown() -> u32 {
    ROTATION_UNKNOWN
}

#[derive(Deserialize)]
struct RawNode {
    #[serde(alias = "nodeId")]
    node_id: Option<NodeId>,
    #[serde(alias = "mixHost")]
    mix_host: String,
    entry: Option<RawEntry>,
    #[serde(alias = "identityKey")]
    identity_key: RawKey,
    #[serde(alias = "sphinxKey")]
    sphinx_key: RawKey,
    #[serde(default, alias = "supportedRoles")]
    supported_roles: RawRoles,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(default, alias = "ipAddresses")]
    ip_addresses: Vec<IpAddr>,
    #[serde(default, alias = "clientsWsPort")]
    clients_ws_port: u16,
    hostname: Option<String>,
    #[serde(alias = "clientsWssPort")]
    clients_wss_port: Option<u16>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRoles {
    mixnode: bool,
    #[serde(alias = "mixnetEntry")]
    mixnet_entry: bool,
    #[serde(alias = "mixnetExit")]
    mixnet_exit: bool,
}

impl Topology {
    /// Reads a topology file in any of its forms. The file knows no performance: all nodes get
    /// 100 percent. Without metadata the epoch is the rewarded set's, the rotation unknown.
    ///
    /// # Errors
    /// A file that is too long or of no known form, and any node in it that cannot be used: such
    /// a file is written by hand or tool, and the mistake should show.
    pub fn from_file(bytes: &[u8]) -> Result<Self, FileError> {
        if bytes.len() > FILE_MAX {
            return Err(FileError::TooLong(bytes.len()));
        }
        let json = |error: serde_json::Error| FileError::Json(shorten(&error.to_string()));
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(json)?;
        let parts = match document {
            Document {
                node_details: Some(nodes), rewarded_set: Some(rewarded), metadata, ..
            } => parts(metadata, rewarded, nodes)?,
            Document { mixnodes: Some(mixnodes), gateways: Some(gateways), .. } => {
                old::parts(mixnodes, gateways)?
            }
            _ => {
                return Err(FileError::Json(
                    "neither rewarded_set with node_details nor mixnodes with gateways".to_owned(),
                ));
            }
        };
        Ok(Self::new(parts)?)
    }

    /// Writes the native form. Performance figures are not part of it.
    #[must_use]
    pub fn to_file(&self) -> String {
        let nodes: Map<String, Value> =
            self.nodes().iter().map(|node| (node.id.to_string(), node_json(node))).collect();
        json!({
            "metadata": {
                "key_rotation_id": self.rotation_id(),
                "absolute_epoch_id": self.epoch(),
                "refreshed_at": timestamp::rfc3339(self.refreshed_at().unwrap_or_default()),
            },
            "rewarded_set": self.rewarded().to_json(),
            "node_details": nodes,
        })
        .to_string()
    }
}

fn parts(
    metadata: Option<RawMetadata<'_>>,
    rewarded: RewardedSet,
    nodes: RawMap<'_>,
) -> Result<TopologyParts, FileError> {
    let metadata = metadata.unwrap_or(RawMetadata {
        key_rotation_id: ROTATION_UNKNOWN,
        absolute_epoch_id: rewarded.epoch_id,
        refreshed_at: None,
    });
    let nodes = nodes.0.into_iter().map(|(listed, raw)| {
        read_node(raw)
            .and_then(|node: RawNode| node.into_node(&listed))
            .map_err(|error| FileError::Node { listed: shorten(&listed), error })
    });
    Ok(TopologyParts {
        epoch: metadata.absolute_epoch_id,
        rotation_id: metadata.key_rotation_id,
        refreshed_at: metadata.refreshed_at.and_then(timestamp::from_json),
        nodes: nodes.collect::<Result<_, _>>()?,
        rewarded,
    })
}

impl RawNode {
    fn into_node(self, listed: &str) -> Result<Node, NodeError> {
        let number: Option<NodeId> = listed.parse().ok();
        let id = match (number, self.node_id) {
            (Some(listed), None) => listed,
            (Some(listed), Some(numbered)) if listed == numbered => listed,
            _ => {
                return Err(NodeError::Number { listed: shorten(listed), numbered: self.node_id });
            }
        };
        let mix_host: SocketAddr =
            self.mix_host.parse().map_err(|_| NodeError::MixHost(shorten(&self.mix_host)))?;
        Ok(Node {
            id,
            identity: self.identity_key.identity()?,
            sphinx_key: self.sphinx_key.sphinx_key()?,
            mix_host: mix_host.into(),
            entry: self.entry.map(RawEntry::into_entry),
            roles: SupportedRoles {
                mixnode: self.supported_roles.mixnode,
                entry: self.supported_roles.mixnet_entry,
                exit: self.supported_roles.mixnet_exit,
            },
            performance: 100,
        })
    }
}

impl RawEntry {
    fn into_entry(self) -> Entry {
        let mut ip_addresses = self.ip_addresses;
        ip_addresses.truncate(IPS_MAX);
        Entry {
            hostname: self.hostname.filter(|name| is_hostname(name)),
            ip_addresses,
            ws_port: self.clients_ws_port,
            wss_port: self.clients_wss_port.filter(|&port| port != 0),
        }
    }
}

fn node_json(node: &Node) -> Value {
    let entry = node.entry.as_ref().map(|entry| {
        let ip_addresses = entry.ip_addresses.iter().map(IpAddr::to_string);
        json!({
            "ip_addresses": ip_addresses.collect::<Vec<_>>(),
            "clients_ws_port": entry.ws_port,
            "hostname": entry.hostname,
            "clients_wss_port": entry.wss_port,
        })
    });
    json!({
        "node_id": node.id,
        "mix_host": node.mix_host.to_string(),
        "entry": entry,
        "identity_key": node.identity.as_bytes(),
        "sphinx_key": node.sphinx_key.as_bytes(),
        "supported_roles": {
            "mixnode": node.roles.mixnode,
            "mixnet_entry": node.roles.entry,
            "mixnet_exit": node.roles.exit,
        },
    })
}

#[cfg(test)]
mod tests;
