//! What a gateway is made from.

use nym_proto::gateway::CONNECTIONS_MAX;
use nym_proto::identity::IdentityKeyPair;

use super::store::StoreLimits;
use crate::keys::SphinxKeys;
use crate::relay::{Egress, KeySchedule};

/// How a gateway is set up.
#[derive(Debug)]
pub struct GatewayConfig {
    /// All randomness of the gateway. Must differ between two runs with the same store.
    pub seed: [u8; 32],
    /// Which Sphinx keys are in use.
    pub schedule: KeySchedule,
    /// Where it may forward to.
    pub egress: Egress,
    /// Refuse to grant bandwidth without credentials. Nobody can pay with credentials here.
    pub enforce_credentials: bool,
    /// Capacities.
    pub limits: GatewayLimits,
}

/// The long-term keys of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayKeys {
    /// Its identity.
    pub identity: IdentityKeyPair,
    /// Its Sphinx keys.
    pub sphinx: SphinxKeys,
}

/// Capacities of a gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GatewayLimits {
    /// Incoming connections from nodes.
    pub links_max: usize,
    /// WebSocket connections.
    pub connections_max: usize,
    /// Actions waiting to be polled; packets and pushes beyond are dropped or stored.
    pub actions_max: usize,
    /// Replay tags remembered per key; 32 bytes each.
    pub replay_tags_max: usize,
    /// Pushes to one client on their way to the socket; what exceeds them is stored.
    pub push_window: u64,
    /// What it remembers.
    pub store: StoreLimits,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            links_max: 1024,
            connections_max: CONNECTIONS_MAX,
            actions_max: 16_384,
            replay_tags_max: 1 << 20,
            push_window: 1024,
            store: StoreLimits::default(),
        }
    }
}
