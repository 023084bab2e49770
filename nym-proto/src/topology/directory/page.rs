//! Lists of nodes: one page of an answer of the "skimmed" family. (protocol: client 3.2)

use core::net::{IpAddr, SocketAddr};
use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::document::{DocumentError, read};
use super::performance;
use crate::time::UnixTime;
use crate::topology::node::{Entry, IPS_MAX, Node, NodeError, NodeId, SupportedRoles, is_hostname};
use crate::topology::raw::{RawKey, RawList, read_node};
use crate::topology::rewarded::{RewardedSet, Role};
use crate::topology::timestamp;

/// What the directory says about the freshness of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Status {
    /// Nothing, or something unknown.
    #[default]
    Unspecified,
    /// The list is empty because the client already has the data of this epoch.
    NoUpdates,
    /// The list is fresh.
    Fresh,
}

/// What a list of nodes describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata {
    /// Freshness.
    pub status: Status,
    /// Epoch of the data.
    pub absolute_epoch_id: u32,
    /// Key rotation the Sphinx keys belong to.
    pub rotation_id: u32,
    /// When the directory refreshed the data. `None` if it did not say, or not legibly; written
    /// as the start of 1970.
    pub refreshed_at: Option<UnixTime>,
}

/// A node of a list that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedNode {
    /// Its place in the page, from 0.
    pub index: usize,
    /// Its number, if that could be read.
    pub id: Option<NodeId>,
    /// What is wrong with it.
    pub error: NodeError,
}

/// One page of a list of nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodePage {
    /// What the list describes.
    pub metadata: Metadata,
    /// Nodes in the whole list.
    pub total: u64,
    /// Number of this page, from 0.
    pub page: u32,
    /// Size of this page as the directory states it.
    pub size: u64,
    /// The usable nodes of the page, in the order given.
    pub nodes: Vec<Node>,
    /// The other nodes of the page.
    pub rejected: Vec<RejectedNode>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    metadata: RawMetadata<'a>,
    #[serde(borrow)]
    nodes: RawNodes<'a>,
}

#[derive(Deserialize)]
struct RawMetadata<'a> {
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
    absolute_epoch_id: u32,
    rotation_id: u32,
    #[serde(borrow, default)]
    refreshed_at: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawNodes<'a> {
    pagination: Pagination,
    #[serde(borrow)]
    data: RawList<'a>,
}

#[derive(Deserialize)]
struct Pagination {
    total: u64,
    page: u32,
    size: u64,
}

#[derive(Deserialize)]
struct RawNode<'a> {
    node_id: NodeId,
    ed25519_identity_pubkey: RawKey,
    ip_addresses: Vec<Cow<'a, str>>,
    mix_port: u16,
    x25519_sphinx_pubkey: RawKey,
    #[serde(default)]
    supported_roles: RawRoles,
    #[serde(default)]
    entry: Option<RawEntry>,
    #[serde(borrow, default)]
    performance: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRoles {
    mixnode: bool,
    entry: bool,
    exit_nr: bool,
    exit_ipr: bool,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    ws_port: u16,
    #[serde(default)]
    wss_port: Option<u16>,
}

impl NodePage {
    /// Reads one page. Nodes that cannot be used are put aside, not held against the others.
    ///
    /// The `role` of a node is not looked at: the rewarded set is authoritative. A performance
    /// that cannot be read counts as 0.
    ///
    /// # Errors
    /// A body that is too long, not of the expected form, or with more than
    /// [`NODES_MAX`](crate::topology::NODES_MAX) nodes.
    pub fn decode(body: &[u8]) -> Result<Self, DocumentError> {
        let document: Document<'_> = read(body)?;
        let mut nodes = Vec::new();
        let mut rejected = Vec::new();
        for (index, raw) in document.nodes.data.0.into_iter().enumerate() {
            match read_node(raw).and_then(RawNode::into_node) {
                Ok(node) => nodes.push(node),
                Err(error) => rejected.push(RejectedNode { index, id: number(raw), error }),
            }
        }
        let metadata = document.metadata;
        Ok(Self {
            metadata: Metadata {
                status: status(metadata.status),
                absolute_epoch_id: metadata.absolute_epoch_id,
                rotation_id: metadata.rotation_id,
                refreshed_at: metadata.refreshed_at.and_then(timestamp::from_json),
            },
            total: document.nodes.pagination.total,
            page: document.nodes.pagination.page,
            size: document.nodes.pagination.size,
            nodes,
            rejected,
        })
    }

    /// Writes the page. Rejected nodes are left out. The role of each node is taken from
    /// `rewarded`.
    ///
    /// The list of addresses begins with the mix host's. A node with an `entry` is read back
    /// equal if its entry's addresses begin with it too.
    #[must_use]
    pub fn encode(&self, rewarded: &RewardedSet) -> String {
        let status = match self.metadata.status {
            Status::Unspecified => Value::Null,
            Status::NoUpdates => json!("no-updates"),
            Status::Fresh => json!({ "fresh": interval_json(&self.metadata) }),
        };
        let refreshed_at = self.metadata.refreshed_at.unwrap_or_default();
        let data: Vec<Value> =
            self.nodes.iter().map(|node| node_json(node, rewarded.role(node.id))).collect();
        json!({
            "metadata": {
                "status": status,
                "absolute_epoch_id": self.metadata.absolute_epoch_id,
                "rotation_id": self.metadata.rotation_id,
                "refreshed_at": timestamp::loose(refreshed_at),
            },
            "nodes": {
                "pagination": { "total": self.total, "page": self.page, "size": self.size },
                "data": data,
            },
        })
        .to_string()
    }
}

impl RawNode<'_> {
    fn into_node(self) -> Result<Node, NodeError> {
        let ip_addresses: Vec<IpAddr> =
            self.ip_addresses.iter().filter_map(|text| text.parse().ok()).take(IPS_MAX).collect();
        let &first = ip_addresses.first().ok_or(NodeError::NoIpAddress)?;
        Ok(Node {
            id: self.node_id,
            identity: self.ed25519_identity_pubkey.identity()?,
            sphinx_key: self.x25519_sphinx_pubkey.sphinx_key()?,
            mix_host: SocketAddr::new(first, self.mix_port).into(),
            entry: self.entry.map(|entry| Entry {
                hostname: entry.hostname.filter(|name| is_hostname(name)),
                ip_addresses,
                ws_port: entry.ws_port,
                wss_port: entry.wss_port.filter(|&port| port != 0),
            }),
            roles: SupportedRoles {
                mixnode: self.supported_roles.mixnode,
                entry: self.supported_roles.entry,
                exit: self.supported_roles.exit_nr && self.supported_roles.exit_ipr,
            },
            performance: self.performance.and_then(percent).unwrap_or(0),
        })
    }
}

/// The number of a node that cannot be read otherwise.
fn number(raw: &RawValue) -> Option<NodeId> {
    #[derive(Deserialize)]
    struct Numbered {
        node_id: NodeId,
    }
    read_node::<Numbered>(raw).ok().map(|node| node.node_id)
}

fn percent(raw: &RawValue) -> Option<u8> {
    // text, or a bare number
    performance::parse(raw.get().trim_matches('"'))
}

fn status(raw: Option<&RawValue>) -> Status {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Known {
        NoUpdates,
        Fresh(serde::de::IgnoredAny),
    }
    match raw.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
        Some(Known::NoUpdates) => Status::NoUpdates,
        Some(Known::Fresh(_)) => Status::Fresh,
        None => Status::Unspecified,
    }
}

/// The interval inside a fresh status. The published readers want its members, and use none of them;
/// those that a page does not know are filled in: intervals of one epoch, epochs of an hour.
fn interval_json(metadata: &Metadata) -> Value {
    json!({
        "id": metadata.absolute_epoch_id,
        "epochs_in_interval": 1,
        "current_epoch_start": timestamp::rfc3339(metadata.refreshed_at.unwrap_or_default()),
        "current_epoch_id": 0,
        "epoch_length": { "secs": 3600, "nanos": 0 },
        "total_elapsed_epochs": metadata.absolute_epoch_id,
    })
}

fn node_json(node: &Node, role: Option<Role>) -> Value {
    let role = match role {
        Some(Role::Mix(layer)) => json!({ "Mixnode": { "layer": layer.number() } }),
        Some(Role::EntryGateway) => json!("EntryGateway"),
        Some(Role::ExitGateway) => json!("ExitGateway"),
        Some(Role::Standby) => json!("Standby"),
        None => json!("Inactive"),
    };
    let mix_host = node.mix_host.socket_addr();
    let announced = node.entry.as_ref().map(|entry| entry.ip_addresses.iter());
    let mut ip_addresses: Vec<IpAddr> = announced.into_iter().flatten().copied().collect();
    if ip_addresses.first() != Some(&mix_host.ip()) {
        ip_addresses.insert(0, mix_host.ip());
    }
    let entry = node.entry.as_ref().map(|entry| {
        json!({
            "hostname": entry.hostname,
            "ws_port": entry.ws_port,
            "wss_port": entry.wss_port,
        })
    });
    json!({
        "node_id": node.id,
        "ed25519_identity_pubkey": node.identity.to_string(),
        "ip_addresses": ip_addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>(),
        "mix_port": mix_host.port(),
        "x25519_sphinx_pubkey": node.sphinx_key.to_string(),
        "role": role,
        "supported_roles": {
            "mixnode": node.roles.mixnode,
            "entry": node.roles.entry,
            "exit_nr": node.roles.exit,
            "exit_ipr": node.roles.exit,
        },
        "entry": entry,
        "performance": performance::format(node.performance),
    })
}

#[cfg(test)]
mod tests;
