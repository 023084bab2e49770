//! The snapshot of the network that routes are drawn from.

use std::collections::BTreeMap;

use thiserror::Error;

use super::node::{NODES_MAX, Node, NodeId};
use super::rewarded::{Layer, RewardedSet};
use crate::identity::IdentityKey;
use crate::sphinx::KeyRotation;
use crate::time::UnixTime;

/// The rotation id of a topology that does not know its rotation. (protocol: sphinx 15)
pub const ROTATION_UNKNOWN: u32 = u32::MAX;

/// Why parts make no topology.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// There are more nodes, or more assignments, than [`NODES_MAX`].
    #[error("{0} nodes are more than the {NODES_MAX} a topology may hold")]
    TooManyNodes(usize),
}

/// Why no route can be drawn from a topology.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Unroutable {
    /// No assigned node of a layer is known.
    #[error("no known node in layer {0}")]
    EmptyLayer(Layer),
    /// The rewarded set lists neither entry nor exit gateways.
    #[error("no gateway in the rewarded set")]
    NoGateway,
}

/// What a topology is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopologyParts {
    /// Epoch the data describes.
    pub epoch: u32,
    /// Key rotation the Sphinx keys of the nodes belong to; [`ROTATION_UNKNOWN`] if not known.
    pub rotation_id: u32,
    /// When the directory refreshed the data.
    pub refreshed_at: Option<UnixTime>,
    /// Assignment of roles.
    pub rewarded: RewardedSet,
    /// Details of nodes. Of several with one id the last counts.
    pub nodes: Vec<Node>,
}

/// An immutable snapshot of the network. It is meant to live in an `Arc`.
///
/// Holds at most [`NODES_MAX`] nodes and as many assignments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    epoch: u32,
    rotation_id: u32,
    refreshed_at: Option<UnixTime>,
    rewarded: RewardedSet,
    /// By ascending id.
    nodes: Vec<Node>,
    /// Positions in `nodes`, by ascending identity, then id.
    by_identity: Vec<u32>,
    /// Per layer, positions in `nodes` of the assigned nodes that are known, ascending.
    layers: [Vec<u32>; 3],
}

impl Topology {
    /// Puts the parts together. An unroutable topology is allowed;
    /// [`check_routable`](Self::check_routable) tells.
    ///
    /// The keys are taken as they are: a degenerate one is refused when a packet is built.
    ///
    /// # Errors
    /// More than [`NODES_MAX`] nodes or assignments.
    pub fn new(parts: TopologyParts) -> Result<Self, TopologyError> {
        for count in [parts.nodes.len(), parts.rewarded.len()] {
            if count > NODES_MAX {
                return Err(TopologyError::TooManyNodes(count));
            }
        }
        let unique: BTreeMap<NodeId, Node> =
            parts.nodes.into_iter().map(|node| (node.id, node)).collect();
        let nodes: Vec<Node> = unique.into_values().collect();
        let mut identities: Vec<(IdentityKey, u32)> =
            (0..).zip(&nodes).map(|(position, node)| (node.identity, position)).collect();
        identities.sort_unstable();
        let layers = Layer::ALL.map(|layer| positions(&nodes, parts.rewarded.layer(layer)));
        Ok(Self {
            epoch: parts.epoch,
            rotation_id: parts.rotation_id,
            refreshed_at: parts.refreshed_at,
            rewarded: parts.rewarded,
            nodes,
            by_identity: identities.into_iter().map(|(_, position)| position).collect(),
            layers,
        })
    }

    /// This topology with one more node that has no role in the epoch, for example the client's own
    /// gateway when the directory no longer lists it. A full topology stays as it is.
    #[must_use]
    pub fn with_node(&self, node: Node) -> Self {
        let mut nodes = vec![node];
        // of two nodes with one id the listed one stays
        nodes.extend_from_slice(&self.nodes);
        Self::new(TopologyParts {
            epoch: self.epoch,
            rotation_id: self.rotation_id,
            refreshed_at: self.refreshed_at,
            rewarded: self.rewarded.clone(),
            nodes,
        })
        .unwrap_or_else(|_| self.clone())
    }

    /// The epoch the topology describes.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The key rotation all Sphinx keys belong to; [`ROTATION_UNKNOWN`] if not known.
    #[must_use]
    pub const fn rotation_id(&self) -> u32 {
        self.rotation_id
    }

    /// The parity to announce with packets and SURBs built on this topology.
    #[must_use]
    pub const fn rotation(&self) -> KeyRotation {
        KeyRotation::of_id(self.rotation_id)
    }

    /// When the directory refreshed the data, if it said so.
    #[must_use]
    pub const fn refreshed_at(&self) -> Option<UnixTime> {
        self.refreshed_at
    }

    /// The assignment of roles, including nodes whose details are not known.
    #[must_use]
    pub const fn rewarded(&self) -> &RewardedSet {
        &self.rewarded
    }

    /// All known nodes, by ascending id.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with the given number.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        let position = self.nodes.binary_search_by_key(&id, |node| node.id).ok()?;
        self.nodes.get(position)
    }

    /// The node with the given identity; of several, the one with the highest id, which is the
    /// latest registration.
    #[must_use]
    pub fn node_by_identity(&self, identity: &IdentityKey) -> Option<&Node> {
        let after = self.by_identity.partition_point(|&position| {
            self.at(position).is_some_and(|node| node.identity <= *identity)
        });
        let position = *self.by_identity.get(after.checked_sub(1)?)?;
        self.at(position).filter(|node| node.identity == *identity)
    }

    /// The known nodes assigned to a layer, by ascending id.
    pub fn layer(&self, layer: Layer) -> impl Iterator<Item = &Node> {
        self.layer_positions(layer).iter().filter_map(|&position| self.at(position))
    }

    /// What keeps routes from being drawn, if anything. (protocol: client 3.3)
    ///
    /// # Errors
    /// A layer without a known node, or a rewarded set without gateways.
    pub fn check_routable(&self) -> Result<(), Unroutable> {
        for layer in Layer::ALL {
            if self.layer_positions(layer).is_empty() {
                return Err(Unroutable::EmptyLayer(layer));
            }
        }
        if self.rewarded.has_gateway() { Ok(()) } else { Err(Unroutable::NoGateway) }
    }

    /// True if every layer has a known node and the rewarded set has a gateway.
    #[must_use]
    pub fn is_routable(&self) -> bool {
        self.check_routable().is_ok()
    }

    pub(super) fn layer_positions(&self, layer: Layer) -> &[u32] {
        let [one, two, three] = &self.layers;
        match layer {
            Layer::One => one,
            Layer::Two => two,
            Layer::Three => three,
        }
    }

    pub(super) fn at(&self, position: u32) -> Option<&Node> {
        self.nodes.get(position as usize)
    }
}

/// Where the nodes with the given ids stand, ascending, each once; unknown ids are left out.
fn positions(nodes: &[Node], ids: &[NodeId]) -> Vec<u32> {
    let mut found: Vec<u32> = ids
        .iter()
        .filter_map(|id| nodes.binary_search_by_key(id, |node| node.id).ok())
        .filter_map(|position| u32::try_from(position).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{node, parts};
    use super::*;

    #[test]
    fn a_later_node_with_the_same_id_replaces_the_earlier() {
        let mut parts = parts(6);
        let mut other = node(1);
        other.performance = 7;
        parts.nodes.push(other);
        let topology = Topology::new(parts).unwrap();
        assert_eq!(topology.nodes().len(), 6);
        assert_eq!(topology.node(1).unwrap().performance, 7);
    }

    #[test]
    fn every_node_is_found_by_its_identity_and_no_other_is() {
        let topology = Topology::new(parts(9)).unwrap();
        for id in 1..=9 {
            assert_eq!(topology.node_by_identity(&node(id).identity).unwrap().id, id);
        }
        assert!(topology.node_by_identity(&node(10).identity).is_none());
    }

    #[test]
    fn of_two_nodes_with_one_identity_the_later_registration_is_found() {
        let mut parts = parts(6);
        let twin = Node { id: 50, ..node(2) };
        parts.nodes.push(twin);
        let topology = Topology::new(parts).unwrap();
        assert_eq!(topology.node_by_identity(&node(2).identity).unwrap().id, 50);
    }

    #[test]
    fn layers_skip_unknown_nodes_and_count_repeated_ones_once() {
        let mut parts = parts(6);
        parts.rewarded.layer2 = vec![999, 2, 2, 5];
        let topology = Topology::new(parts).unwrap();
        let ids: Vec<_> = topology.layer(Layer::Two).map(|node| node.id).collect();
        assert_eq!(ids, [2, 5]);
    }

    #[test]
    fn a_topology_without_a_layer_or_without_gateways_is_not_routable() {
        let mut no_layer = parts(6);
        no_layer.rewarded.layer3 = vec![999];
        let no_layer = Topology::new(no_layer).unwrap();
        assert_eq!(no_layer.check_routable(), Err(Unroutable::EmptyLayer(Layer::Three)));
        let mut no_gateway = parts(6);
        no_gateway.rewarded.entry_gateways.clear();
        no_gateway.rewarded.exit_gateways.clear();
        let no_gateway = Topology::new(no_gateway).unwrap();
        assert_eq!(no_gateway.check_routable(), Err(Unroutable::NoGateway));
        assert!(Topology::new(parts(6)).unwrap().is_routable());
    }

    #[test]
    fn more_nodes_than_the_bound_are_refused() {
        let mut parts = parts(6);
        parts.nodes = vec![node(1); NODES_MAX + 1];
        assert_eq!(Topology::new(parts), Err(TopologyError::TooManyNodes(NODES_MAX + 1)));
    }
}
