//! Who does what in an epoch: the rewarded set.

use serde::Deserialize;
use serde_json::{Value, json};

use super::node::NodeId;

/// One of the three mixing layers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// The layer clients send to, through their gateway.
    One,
    /// The middle layer.
    Two,
    /// The layer in front of the egress gateway.
    Three,
}

impl Layer {
    /// The layers in the order of a route.
    pub const ALL: [Self; 3] = [Self::One, Self::Two, Self::Three];

    /// Number of the layer, 1 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

impl core::fmt::Display for Layer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// What the rewarded set assigns to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Mixing in a layer.
    Mix(Layer),
    /// Serving clients.
    EntryGateway,
    /// Serving clients and exit services.
    ExitGateway,
    /// In reserve.
    Standby,
}

/// The nodes assigned to each role in one epoch.
///
/// The decoder takes snake case and camel case names, and missing lists as empty.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RewardedSet {
    /// The epoch the assignment is for.
    #[serde(alias = "epochId")]
    pub epoch_id: u32,
    /// Nodes serving clients.
    #[serde(alias = "entryGateways")]
    pub entry_gateways: Vec<NodeId>,
    /// Nodes serving clients and exit services.
    #[serde(alias = "exitGateways")]
    pub exit_gateways: Vec<NodeId>,
    /// Mix nodes of layer 1.
    pub layer1: Vec<NodeId>,
    /// Mix nodes of layer 2.
    pub layer2: Vec<NodeId>,
    /// Mix nodes of layer 3.
    pub layer3: Vec<NodeId>,
    /// Nodes in reserve.
    pub standby: Vec<NodeId>,
}

impl RewardedSet {
    /// The nodes of a layer, as listed.
    #[must_use]
    pub fn layer(&self, layer: Layer) -> &[NodeId] {
        match layer {
            Layer::One => &self.layer1,
            Layer::Two => &self.layer2,
            Layer::Three => &self.layer3,
        }
    }

    /// True if some node serves clients.
    #[must_use]
    pub fn has_gateway(&self) -> bool {
        !(self.entry_gateways.is_empty() && self.exit_gateways.is_empty())
    }

    /// What a node is assigned to; the first match in the order layers, entry, exit, standby.
    /// Looks through the lists.
    #[must_use]
    pub fn role(&self, id: NodeId) -> Option<Role> {
        Layer::ALL
            .into_iter()
            .map(|layer| (self.layer(layer), Role::Mix(layer)))
            .chain([
                (self.entry_gateways.as_slice(), Role::EntryGateway),
                (self.exit_gateways.as_slice(), Role::ExitGateway),
                (self.standby.as_slice(), Role::Standby),
            ])
            .find_map(|(ids, role)| ids.contains(&id).then_some(role))
    }

    /// Entries of all lists together.
    #[must_use]
    pub fn len(&self) -> usize {
        [
            &self.entry_gateways,
            &self.exit_gateways,
            &self.layer1,
            &self.layer2,
            &self.layer3,
            &self.standby,
        ]
        .into_iter()
        .map(Vec::len)
        .sum()
    }

    /// True if nobody is assigned to anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "epoch_id": self.epoch_id,
            "entry_gateways": self.entry_gateways,
            "exit_gateways": self.exit_gateways,
            "layer1": self.layer1,
            "layer2": self.layer2,
            "layer3": self.layer3,
            "standby": self.standby,
        })
    }
}
