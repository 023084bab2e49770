//! The old form of a topology file: `mixnodes`, a list per layer, and `gateways`, a list.
//!
//! It knows neither epochs nor key rotations, and its gateways often have no number: those are
//! numbered after the highest number in the file.

use core::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::FileError;
use crate::topology::node::{Entry, Node, NodeError, NodeId, SupportedRoles, is_hostname};
use crate::topology::raw::{RawKey, RawList, RawMap, read_node, shorten};
use crate::topology::rewarded::RewardedSet;
use crate::topology::snapshot::{ROTATION_UNKNOWN, TopologyParts};

/// Port for packets where the file names none.
const MIX_PORT: u16 = 1789;

#[derive(Deserialize)]
struct RawNode {
    #[serde(alias = "mix_id", alias = "mixId", alias = "nodeId")]
    node_id: Option<NodeId>,
    host: Option<String>,
    #[serde(alias = "explicitIp")]
    explicit_ip: Option<IpAddr>,
    #[serde(alias = "mixHost")]
    mix_host: Option<String>,
    #[serde(default = "mix_port", alias = "mixPort")]
    mix_port: u16,
    #[serde(alias = "clients_port", alias = "clientsWsPort", alias = "clientsPort")]
    clients_ws_port: Option<u16>,
    #[serde(alias = "clientsWssPort")]
    clients_wss_port: Option<u16>,
    #[serde(alias = "identityKey")]
    identity_key: RawKey,
    #[serde(alias = "sphinxKey")]
    sphinx_key: RawKey,
}

fn mix_port() -> u16 {
    MIX_PORT
}

/// Reads the two lists.
pub(super) fn parts(mixnodes: &RawValue, gateways: &RawValue) -> Result<TopologyParts, FileError> {
    let layers: RawMap<'_> = read(mixnodes, "mixnodes is no map from layer to nodes")?;
    let gateways: RawList<'_> = read(gateways, "gateways is no list")?;
    let mut rewarded = RewardedSet::default();
    let mut nodes = Vec::new();
    for (layer, list) in &layers.0 {
        let ids = match layer.as_ref() {
            "1" => &mut rewarded.layer1,
            "2" => &mut rewarded.layer2,
            "3" => &mut rewarded.layer3,
            other => return Err(FileError::OldForm(format!("layer {:?}", shorten(other)))),
        };
        let list: RawList<'_> = read(list, "a layer is no list")?;
        for (index, raw) in list.0.into_iter().enumerate() {
            let node = read_node(raw).and_then(RawNode::into_mixnode);
            let node = node.map_err(|error| refusal("mixnodes", index, error))?;
            ids.push(node.id);
            nodes.push(node);
        }
    }
    let gateways: Vec<RawNode> = gateways
        .0
        .into_iter()
        .enumerate()
        .map(|(index, raw)| read_node(raw).map_err(|error| refusal("gateways", index, error)))
        .collect::<Result<_, _>>()?;
    let given = gateways.iter().filter_map(|gateway| gateway.node_id);
    let mut highest = given.chain(nodes.iter().map(|node| node.id)).max().unwrap_or(0);
    for (index, raw) in gateways.into_iter().enumerate() {
        let id = match raw.node_id {
            Some(id) => id,
            None => {
                highest = highest.checked_add(1).ok_or_else(|| {
                    FileError::OldForm("no number left for a gateway without one".to_owned())
                })?;
                highest
            }
        };
        let node = raw.into_gateway(id);
        nodes.push(node.map_err(|error| refusal("gateways", index, error))?);
        rewarded.entry_gateways.push(id);
    }
    Ok(TopologyParts {
        epoch: 0,
        rotation_id: ROTATION_UNKNOWN,
        refreshed_at: None,
        rewarded,
        nodes,
    })
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue, problem: &str) -> Result<T, FileError> {
    serde_json::from_str(raw.get())
        .map_err(|error| FileError::OldForm(shorten(&format!("{problem}: {error}"))))
}

fn refusal(list: &str, index: usize, error: NodeError) -> FileError {
    FileError::Node { listed: format!("{list}[{index}]"), error }
}

impl RawNode {
    fn into_mixnode(self) -> Result<Node, NodeError> {
        let id = self
            .node_id
            .ok_or_else(|| NodeError::Malformed("a mix node without mix_id".to_owned()))?;
        let mix_host = self.mix_host()?;
        Ok(Node {
            id,
            identity: self.identity_key.identity()?,
            sphinx_key: self.sphinx_key.sphinx_key()?,
            mix_host: mix_host.into(),
            entry: None,
            roles: SupportedRoles { mixnode: true, ..SupportedRoles::default() },
            performance: 100,
        })
    }

    fn into_gateway(self, id: NodeId) -> Result<Node, NodeError> {
        let mix_host = self.mix_host()?;
        let hostname =
            self.host.filter(|host| is_hostname(host) && host.parse::<IpAddr>().is_err());
        Ok(Node {
            id,
            identity: self.identity_key.identity()?,
            sphinx_key: self.sphinx_key.sphinx_key()?,
            mix_host: mix_host.into(),
            entry: self.clients_ws_port.map(|ws_port| Entry {
                hostname,
                ip_addresses: vec![mix_host.ip()],
                ws_port,
                wss_port: self.clients_wss_port.filter(|&port| port != 0),
            }),
            roles: SupportedRoles { entry: true, ..SupportedRoles::default() },
            performance: 100,
        })
    }

    /// The address for packets: `mix_host` as it is, or the host, which must be an address unless
    /// one is given beside it, with the port. Names cannot be resolved here.
    fn mix_host(&self) -> Result<SocketAddr, NodeError> {
        if let Some(text) = &self.mix_host {
            return text.parse().map_err(|_| NodeError::MixHost(shorten(text)));
        }
        let host = self.host.as_deref().unwrap_or_default();
        self.explicit_ip
            .or_else(|| host.parse().ok())
            .map(|ip| SocketAddr::new(ip, self.mix_port))
            .ok_or_else(|| NodeError::MixHost(shorten(host)))
    }
}
