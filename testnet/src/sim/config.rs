//! How a simulation is set up.

use core::time::Duration;

use crate::epoch::EpochClock;

/// What packets are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Suite {
    /// Sphinx, as on the network.
    Real,
    /// The same sizes and no cryptography per packet: [`transparent`](crate::transparent).
    /// Handshakes, authentication and the encryption of replies stay as they are.
    #[default]
    Transparent,
}

impl Suite {
    /// Its name on the command line and in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Transparent => "transparent",
        }
    }

    /// The suite of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Real, Self::Transparent].into_iter().find(|suite| suite.name() == name)
    }
}

/// How frames travel from node to node. Each is drawn for itself, so jitter reorders.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NodeLinks {
    /// Least time under way.
    pub latency: Duration,
    /// Most that is added to it, evenly distributed.
    pub jitter: Duration,
    /// Probability of being lost.
    pub loss: f64,
    /// Probability of arriving twice.
    pub duplication: f64,
    /// Probability of being held back ...
    pub reordering: f64,
    /// ... for at most this long.
    pub held_back: Duration,
}

impl Default for NodeLinks {
    /// 10 ms and nothing else.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            held_back: Duration::ZERO,
        }
    }
}

/// A rule broken on purpose, to see that whoever watches the simulation notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// One push in ten does not arrive although its link works.
    LosePushes,
    /// Every tenth delivery comes twice.
    DeliverTwice,
    /// Every tenth delivery has a flipped bit.
    Damage,
    /// Every tenth outcome is not reported.
    SwallowOutcomes,
    /// Clients hold more than they may: the limits are taken to be smaller than they are.
    Hoard,
    /// Log lines name their client.
    Blab,
    /// What clients want kept is kept only when they have written another frame.
    KeepLate,
    /// Nothing gets to the first gateway from other nodes after a minute.
    Isolate,
}

/// How a simulation is set up.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// All randomness there is.
    pub seed: u64,
    /// Number of gateways.
    pub gateways: u16,
    /// Number of mix nodes in each of the three layers.
    pub mixes_per_layer: u16,
    /// What packets are made of.
    pub suite: Suite,
    /// Length of an epoch.
    pub epoch_length: Duration,
    /// Epochs after which Sphinx keys change.
    pub validity_epochs: u32,
    /// Time between a client and its gateway, one way.
    pub client_latency: Duration,
    /// Most that is added to it; order is kept.
    pub client_jitter: Duration,
    /// How frames travel from node to node.
    pub node_links: NodeLinks,
    /// Time between a client and the directory, one way.
    pub directory_latency: Duration,
    /// A rule to break, for testing tests.
    pub sabotage: Option<Sabotage>,
}

impl Default for SimConfig {
    /// Two gateways, two mix nodes per layer, transparent packets, epochs as on the main network.
    fn default() -> Self {
        Self {
            seed: 0,
            gateways: 2,
            mixes_per_layer: 2,
            suite: Suite::default(),
            epoch_length: EpochClock::LENGTH,
            validity_epochs: EpochClock::VALIDITY_EPOCHS,
            client_latency: Duration::from_millis(10),
            client_jitter: Duration::ZERO,
            node_links: NodeLinks::default(),
            directory_latency: Duration::from_millis(50),
            sabotage: None,
        }
    }
}
