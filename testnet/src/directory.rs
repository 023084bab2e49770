//! The directory: who is in the network, and what time it is there. (protocol: client 3)
//!
//! It answers requests for documents; how they travel is the shell's business.

use std::net::SocketAddr;

use nym_proto::identity::IdentityKey;
use nym_proto::time::UnixTime;
use nym_proto::topology::directory::{
    ALL_NODES, ENTRY_GATEWAYS, EXIT_GATEWAYS, KEY_ROTATION_INFO, KeyRotationInfo, MIXNODES_ACTIVE,
    Metadata, NodePage, REWARDED_SET, RewardedSet, Status,
};
use nym_proto::topology::{
    Entry, Layer, Node, NodeId, SupportedRoles, Topology, TopologyError, TopologyParts,
};

use crate::blueprint::{NodePlan, NodeRole};
use crate::epoch::EpochClock;
use crate::keys::SphinxKeys;

/// A node as the directory knows it.
#[derive(Clone, Debug)]
pub struct ListedNode {
    /// Number of the node.
    pub id: NodeId,
    /// What it does.
    pub role: NodeRole,
    /// Its identity.
    pub identity: IdentityKey,
    /// Its Sphinx keys; only the public halves are told.
    pub sphinx: SphinxKeys,
    /// Where it takes packets.
    pub mix_address: SocketAddr,
    /// Port on which it takes clients, on the same IP address.
    pub ws_port: Option<u16>,
    /// Name and port under which it takes clients over TLS.
    pub wss: Option<(String, u16)>,
}

impl ListedNode {
    /// A planned node that has got its addresses.
    #[must_use]
    pub fn new(plan: &NodePlan, mix_address: SocketAddr, ws_port: Option<u16>) -> Self {
        Self {
            id: plan.id,
            role: plan.role,
            identity: *plan.identity.public(),
            sphinx: plan.sphinx.clone(),
            mix_address,
            ws_port,
            wss: None,
        }
    }
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// An HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
}

/// The machine of the directory. It has no state but the list of nodes and the clock.
#[derive(Debug)]
pub struct Directory {
    listed: Vec<ListedNode>,
    rewarded: RewardedSet,
    epochs: EpochClock,
    /// The nodes with the keys of a rotation.
    nodes: Vec<Node>,
    rotation: u32,
}

impl Directory {
    /// Common beginning of all paths.
    pub const BASE: &str = "/api/";

    /// A directory of these nodes. Every node has the role it was made for in every epoch.
    #[must_use]
    pub fn new(listed: Vec<ListedNode>, epochs: EpochClock) -> Self {
        let with_role = |role| {
            let nodes = listed.iter().filter(|node| node.role == role);
            nodes.map(|node| node.id).collect()
        };
        let rewarded = RewardedSet {
            epoch_id: 0,
            entry_gateways: with_role(NodeRole::Gateway),
            exit_gateways: Vec::new(),
            layer1: with_role(NodeRole::Mix(Layer::One)),
            layer2: with_role(NodeRole::Mix(Layer::Two)),
            layer3: with_role(NodeRole::Mix(Layer::Three)),
            standby: Vec::new(),
        };
        let rotation = epochs.rotation_of(epochs.epoch);
        let nodes = describe(&listed, rotation);
        Self { listed, rewarded, epochs, nodes, rotation }
    }

    /// Tells from now on that a node takes clients over TLS under this name and port. An unknown
    /// node is not told of.
    pub fn announce_wss(&mut self, id: &IdentityKey, hostname: &str, port: u16) {
        for node in self.listed.iter_mut().filter(|node| node.identity == *id) {
            node.wss = Some((hostname.to_owned(), port));
        }
        self.nodes = describe(&self.listed, self.rotation);
    }

    /// The whole network as it is at `now`.
    ///
    /// # Errors
    /// More nodes than a topology may hold.
    pub fn topology(&mut self, now: UnixTime) -> Result<Topology, TopologyError> {
        let epoch = self.refresh(now);
        Topology::new(TopologyParts {
            epoch,
            rotation_id: self.rotation,
            refreshed_at: Some(self.epochs.start_of(epoch)),
            rewarded: self.rewarded.clone(),
            nodes: self.nodes.clone(),
        })
    }

    /// Answers a GET request for `target`, a path that begins with [`BASE`](Self::BASE) and its
    /// query.
    pub fn respond(&mut self, target: &str, now: UnixTime) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(path) = path.strip_prefix(Self::BASE) else {
            return not_found();
        };
        let epoch = self.refresh(now);
        let is_listed: fn(&Node) -> bool = match path.trim_end_matches('/') {
            KEY_ROTATION_INFO => return ok(self.rotation_info(epoch).encode()),
            REWARDED_SET => return ok(self.rewarded.encode()),
            MIXNODES_ACTIVE => |node| node.roles.mixnode,
            ENTRY_GATEWAYS => |node| node.roles.entry,
            EXIT_GATEWAYS => |node| node.roles.exit,
            ALL_NODES => |_| true,
            _ => return not_found(),
        };
        match Query::parse(query) {
            Some(query) => ok(self.page(is_listed, &query, epoch)),
            None => error(400, "a query parameter has no valid value"),
        }
    }

    /// Brings keys and rewarded set up to date; returns the epoch.
    fn refresh(&mut self, now: UnixTime) -> u32 {
        let epoch = self.epochs.epoch_at(now);
        let rotation = self.epochs.rotation_of(epoch);
        if rotation != self.rotation {
            self.rotation = rotation;
            self.nodes = describe(&self.listed, rotation);
        }
        self.rewarded.epoch_id = epoch;
        epoch
    }

    fn rotation_info(&self, epoch: u32) -> KeyRotationInfo {
        KeyRotationInfo {
            validity_epochs: self.epochs.validity_epochs,
            initial_epoch_id: self.epochs.initial_epoch,
            current_epoch_id: epoch,
            current_epoch_start: self.epochs.start_of(epoch),
            epoch_duration: self.epochs.length,
        }
    }

    fn page(&self, is_listed: fn(&Node) -> bool, query: &Query, epoch: u32) -> String {
        let is_known = query.epoch_id == Some(epoch);
        let listed = self.nodes.iter().filter(|node| !is_known && is_listed(node));
        let total = listed.clone().count();
        let per_page = query.per_page.unwrap_or(total.max(1));
        let start = (query.page as usize).saturating_mul(per_page);
        let nodes: Vec<Node> = listed.skip(start).take(per_page).cloned().collect();
        let page = NodePage {
            metadata: Metadata {
                status: if is_known { Status::NoUpdates } else { Status::Fresh },
                absolute_epoch_id: epoch,
                rotation_id: self.rotation,
                refreshed_at: Some(self.epochs.start_of(epoch)),
            },
            total: total as u64,
            page: query.page,
            size: nodes.len() as u64,
            nodes,
            rejected: Vec::new(),
        };
        page.encode(&self.rewarded)
    }
}

/// The parameters of a request for a list of nodes. (protocol: client 3.1)
#[derive(Default)]
struct Query {
    page: u32,
    per_page: Option<usize>,
    epoch_id: Option<u32>,
}

impl Query {
    /// `None` if a parameter has a value it cannot have. Unknown parameters are ignored. The answer
    /// is JSON for those who would prefer `bincode`, too; they go by its content type.
    fn parse(text: &str) -> Option<Self> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("page", value) => query.page = value.parse().ok()?,
                ("per_page", value) => {
                    query.per_page = Some(value.parse().ok().filter(|&size| size > 0)?);
                }
                ("epoch_id", value) => query.epoch_id = Some(value.parse().ok()?),
                ("output", value) if !matches!(value, "json" | "bincode") => return None,
                _ => {}
            }
        }
        Some(query)
    }
}

fn describe(listed: &[ListedNode], rotation: u32) -> Vec<Node> {
    let node = |node: &ListedNode| Node {
        id: node.id,
        identity: node.identity,
        sphinx_key: node.sphinx.public(rotation),
        mix_host: node.mix_address.into(),
        entry: node.ws_port.map(|ws_port| Entry {
            hostname: node.wss.as_ref().map(|(name, _)| name.clone()),
            ip_addresses: vec![node.mix_address.ip()],
            ws_port,
            wss_port: node.wss.as_ref().map(|&(_, port)| port),
        }),
        roles: SupportedRoles {
            mixnode: matches!(node.role, NodeRole::Mix(_)),
            entry: node.ws_port.is_some(),
            exit: false,
        },
        performance: 100,
    };
    listed.iter().map(node).collect()
}

fn ok(body: String) -> Response {
    Response { status: 200, body }
}

fn not_found() -> Response {
    error(404, "no such document")
}

fn error(status: u16, message: &str) -> Response {
    Response { status, body: format!("{{\"message\":\"{message}\"}}") }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use nym_proto::topology::directory::{NextPage, Pages, assemble, page_path};
    use nym_proto::topology::{MinPerformance, TlsPolicy};

    use super::*;
    use crate::blueprint::Blueprint;

    const START: u64 = 1_000_000;

    fn directory() -> Directory {
        let blueprint = Blueprint::generate([4; 32], 2, 2);
        let nodes = blueprint.gateways.iter().chain(&blueprint.mixes).zip(1u8..);
        let listed = nodes.map(|(plan, i)| {
            let ws_port = (plan.role == NodeRole::Gateway).then_some(9000);
            ListedNode::new(plan, ([127, 0, 0, i], 1789).into(), ws_port)
        });
        let start = UnixTime::from_secs(START);
        Directory::new(listed.collect(), EpochClock::new(start, Duration::from_secs(10), 4))
    }

    fn get(directory: &mut Directory, path: &str, secs: u64) -> String {
        let target = format!("{}{path}", Directory::BASE);
        let response = directory.respond(&target, UnixTime::from_secs(START + secs));
        assert_eq!(response.status, 200, "{}", response.body);
        response.body
    }

    fn page(directory: &mut Directory, path: &str, secs: u64) -> NodePage {
        NodePage::decode(get(directory, path, secs).as_bytes()).unwrap()
    }

    #[test]
    fn a_client_assembles_the_topology_from_the_documents() {
        let mut directory = directory();
        let rewarded = RewardedSet::decode(get(&mut directory, REWARDED_SET, 0).as_bytes());
        let mixes = page(&mut directory, &page_path(MIXNODES_ACTIVE, 0), 0);
        let gateways = page(&mut directory, &page_path(ENTRY_GATEWAYS, 0), 0);
        let assembled =
            assemble(&rewarded.unwrap(), vec![mixes], vec![gateways], MinPerformance::default())
                .unwrap();
        assert_eq!(assembled, directory.topology(UnixTime::from_secs(START)).unwrap());
        assert!(assembled.is_routable());
        assert_eq!(assembled.gateways().count(), 2);
    }

    #[test]
    fn keys_and_numbers_change_with_epoch_and_rotation() {
        let mut directory = directory();
        let first = page(&mut directory, ALL_NODES, 39);
        let second = page(&mut directory, ALL_NODES, 40);
        let rotation = |page: &NodePage| page.metadata.rotation_id;
        assert_eq!((rotation(&first), rotation(&second)), (1, 2));
        let keys = first.nodes.iter().zip(&second.nodes);
        assert!(keys.into_iter().all(|(a, b)| a.id == b.id && a.sphinx_key != b.sphinx_key));
        let info = get(&mut directory, KEY_ROTATION_INFO, 40);
        let info = KeyRotationInfo::decode(info.as_bytes()).unwrap();
        assert_eq!(info.current_epoch_id, second.metadata.absolute_epoch_id);
        assert_eq!(info.current_epoch_start, UnixTime::from_secs(START + 40));
        assert_eq!(info.rotation_of(info.current_epoch_id), 2);
    }

    #[test]
    fn lists_come_in_pages_of_the_size_asked_for() {
        let mut directory = directory();
        let mut pages = Pages::new();
        for number in 0.. {
            let path = format!("{ALL_NODES}?page={number}&per_page=3&no_legacy=true");
            match pages.push(page(&mut directory, &path, 0)).unwrap() {
                NextPage::Fetch(next) => assert_eq!(next, number + 1),
                NextPage::Done => break,
            }
        }
        let sizes: Vec<usize> = pages.into_pages().iter().map(|page| page.nodes.len()).collect();
        assert_eq!(sizes, [3, 3, 2]);
    }

    #[test]
    fn a_client_that_knows_the_epoch_gets_no_updates() {
        let mut directory = directory();
        let epoch = page(&mut directory, ALL_NODES, 0).metadata.absolute_epoch_id;
        let empty = page(&mut directory, &format!("{ALL_NODES}?epoch_id={epoch}"), 0);
        assert_eq!((empty.metadata.status, empty.nodes.len()), (Status::NoUpdates, 0));
    }

    #[test]
    fn a_listener_with_tls_is_told_of_once_it_is_announced() {
        let mut directory = directory();
        let id = page(&mut directory, ENTRY_GATEWAYS, 0).nodes[0].identity;
        directory.announce_wss(&id, "gateway.example", 9001);
        // also with the keys of the next rotation
        for secs in [0, 40] {
            let nodes = page(&mut directory, ENTRY_GATEWAYS, secs).nodes;
            let urls = |at: usize| nodes[at].entry.clone().unwrap().urls(TlsPolicy::Require);
            assert_eq!(urls(0), ["wss://gateway.example:9001"]);
            assert!(urls(1).is_empty());
        }
    }

    #[test]
    fn other_paths_and_bad_parameters_are_refused() {
        let mut directory = directory();
        let mut status =
            |target: &str| directory.respond(target, UnixTime::from_secs(START)).status;
        assert_eq!(status("/"), 404);
        assert_eq!(status("/api/v1/nothing"), 404);
        assert_eq!(status("/v1/epoch/key-rotation-info"), 404);
        for query in ["page=-1", "per_page=0", "epoch_id=x", "output=yaml"] {
            assert_eq!(status(&format!("/api/{ALL_NODES}?{query}")), 400, "{query}");
        }
    }
}
