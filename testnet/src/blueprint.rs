//! The nodes of a network, all from one seed.

use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::topology::{Layer, NodeId};

use crate::gateway::GatewayKeys;
use crate::keys::SphinxKeys;

/// What a node is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeRole {
    /// Mixing in a layer.
    Mix(Layer),
    /// Serving clients.
    Gateway,
}

/// One node of a network: its number, its role and its keys.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// Number of the node.
    pub id: NodeId,
    /// What it is there for.
    pub role: NodeRole,
    /// Its identity.
    pub identity: IdentityKeyPair,
    /// Its Sphinx keys.
    pub sphinx: SphinxKeys,
    seed: [u8; 32],
}

impl NodePlan {
    /// The seed of the node's machine in its `run`-th run; a node that is restarted must not
    /// repeat itself.
    #[must_use]
    pub fn machine_seed(&self, run: u32) -> [u8; 32] {
        Entropy::new(self.seed).stream(Purpose::Other(run)).bytes()
    }

    /// The keys a gateway needs.
    #[must_use]
    pub fn gateway_keys(&self) -> GatewayKeys {
        GatewayKeys { identity: self.identity.clone(), sphinx: self.sphinx.clone() }
    }
}

/// All nodes of a network. The same seed and sizes give the same nodes, and a larger network
/// keeps the gateways of a smaller one.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The gateways.
    pub gateways: Vec<NodePlan>,
    /// The mix nodes, layer by layer.
    pub mixes: Vec<NodePlan>,
}

impl Blueprint {
    /// A network of `gateways` gateways and three layers of `mixes_per_layer` mix nodes.
    #[must_use]
    pub fn generate(seed: [u8; 32], gateways: u16, mixes_per_layer: u16) -> Self {
        let entropy = Entropy::new(seed);
        let plan = |id: NodeId, role| {
            let mut stream = entropy.stream(Purpose::Other(id));
            NodePlan {
                id,
                role,
                identity: IdentityKeyPair::generate(&mut stream),
                sphinx: SphinxKeys::derived(stream.bytes()),
                seed: stream.bytes(),
            }
        };
        // numbers of one kind never run into those of another
        let number = |kind: NodeId, i: u16| kind * 100_000 + NodeId::from(i) + 1;
        let gateways = (0..gateways).map(|i| plan(number(0, i), NodeRole::Gateway)).collect();
        let mixes = Layer::ALL.into_iter().flat_map(|layer| {
            let kind = NodeId::from(layer.number());
            (0..mixes_per_layer).map(move |i| (number(kind, i), NodeRole::Mix(layer)))
        });
        let mixes = mixes.map(|(id, role)| plan(id, role)).collect();
        Self { gateways, mixes }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_nodes_and_every_node_keys_of_its_own() {
        let keys = |blueprint: &Blueprint| {
            let nodes = blueprint.gateways.iter().chain(&blueprint.mixes);
            let keys = nodes.map(|node| (node.id, *node.identity.public(), node.sphinx.public(1)));
            keys.collect::<BTreeSet<_>>()
        };
        let small = Blueprint::generate([1; 32], 2, 2);
        let large = Blueprint::generate([1; 32], 3, 4);
        assert_eq!(keys(&small), keys(&Blueprint::generate([1; 32], 2, 2)));
        assert_eq!(keys(&small).len(), 8);
        assert!(keys(&small).is_subset(&keys(&large)));
        assert!(keys(&small).is_disjoint(&keys(&Blueprint::generate([2; 32], 2, 2))));
    }

    #[test]
    fn a_machine_gets_another_seed_in_every_run() {
        let node = &Blueprint::generate([1; 32], 1, 0).gateways[0];
        assert_ne!(node.machine_seed(0), node.machine_seed(1));
    }
}
