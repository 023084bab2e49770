//! Gateways and mix nodes in the simulation.

use std::collections::BTreeSet;

use bytes::Bytes;
use nym_proto::address::NodeAddress;
use nym_proto::gateway::{GcmSiv, LinkCipher, SharedKey};
use nym_proto::identity::IdentityKey;
use nym_proto::sphinx::{PacketPeeler, SphinxPeeler};
use nym_proto::time::{Instant, UnixTime};

use super::Suite;
use crate::blueprint::{NodePlan, NodeRole};
use crate::epoch::EpochClock;
use crate::gateway::{self, Gateway, GatewayConfig, GatewayLimits, GatewayStore};
use crate::mixnode::{self, MixConfig, MixLimits, MixNode};
use crate::relay::{Egress, KeySchedule, LinkId};
use crate::transparent::{TransparentBuilder, TransparentPeeler};

/// A node, running or not.
pub(super) struct Node {
    pub(super) plan: NodePlan,
    pub(super) machine: Option<Machine>,
    /// Of a gateway that is down.
    pub(super) store: GatewayStore,
    pub(super) timer: Option<Instant>,
    /// A gateway grants bandwidth without credentials.
    grants: bool,
    runs: u32,
    /// Nodes that have a connection to this one.
    connected: BTreeSet<LinkId>,
}

pub(super) enum Machine {
    Gateway(Box<Gateway>),
    Mix(Box<MixNode>),
}

/// What a node wants done.
pub(super) enum NodeAction {
    Forward { next: NodeAddress, frame: Bytes },
    Client(gateway::Action),
}

impl Node {
    pub(super) fn new(plan: NodePlan) -> Self {
        Self {
            plan,
            machine: None,
            store: GatewayStore::new(),
            timer: None,
            grants: true,
            runs: 0,
            connected: BTreeSet::new(),
        }
    }

    /// Starts the node with what is in its store.
    pub(super) fn start(
        &mut self,
        now: Instant,
        unix_time: UnixTime,
        epochs: EpochClock,
        suite: Suite,
    ) {
        let (peeler, cipher): (Box<dyn PacketPeeler>, Box<dyn LinkCipher>) = match suite {
            Suite::Real => (Box::new(SphinxPeeler::default()), Box::new(GcmSiv)),
            Suite::Transparent => {
                (Box::new(TransparentPeeler::new()), Box::new(TransparentBuilder::new()))
            }
        };
        let seed = self.plan.machine_seed(self.runs);
        let schedule = KeySchedule::Epochs(epochs);
        self.runs += 1;
        self.machine = Some(match self.plan.role {
            NodeRole::Gateway => {
                let config = GatewayConfig {
                    seed,
                    schedule,
                    egress: Egress::Open,
                    enforce_credentials: !self.grants,
                    limits: GatewayLimits::default(),
                };
                let (keys, store) = (self.plan.gateway_keys(), core::mem::take(&mut self.store));
                let packets = (peeler, cipher);
                let gateway = Gateway::with_packets(config, keys, store, now, unix_time, packets);
                Machine::Gateway(Box::new(gateway))
            }
            NodeRole::Mix(_) => {
                let config = MixConfig {
                    seed,
                    keys: self.plan.sphinx.clone(),
                    schedule,
                    egress: Egress::Open,
                    loss: 0.0,
                    limits: MixLimits::default(),
                };
                Machine::Mix(Box::new(MixNode::with_peeler(config, now, unix_time, peeler)))
            }
        });
    }

    /// Ends the node at once. A gateway's memory is kept.
    pub(super) fn crash(&mut self) {
        if let Some(Machine::Gateway(gateway)) = self.machine.take() {
            self.store = gateway.into_store();
        }
        self.connected.clear();
        self.timer = None;
    }

    /// A gateway's clients have used up what they were granted, and get no more; or do again.
    pub(super) fn set_grants(&mut self, grants: bool) {
        self.grants = grants;
        if let Some(Machine::Gateway(gateway)) = &mut self.machine {
            gateway.set_enforce_credentials(!grants);
            if !grants {
                gateway.expire_bandwidth();
            }
        }
    }

    pub(super) fn packet(&mut self, now: Instant, from: usize, bytes: &[u8]) {
        let link = LinkId(from as u64);
        let is_new = self.machine.is_some() && self.connected.insert(link);
        match &mut self.machine {
            Some(Machine::Gateway(gateway)) => {
                if is_new {
                    gateway.handle(now, gateway::Event::LinkOpened(link));
                }
                gateway.handle(now, gateway::Event::LinkBytes { link, bytes });
            }
            Some(Machine::Mix(mix)) => {
                if is_new {
                    mix.handle(now, mixnode::Event::LinkOpened(link));
                }
                mix.handle(now, mixnode::Event::LinkBytes { link, bytes });
            }
            None => {}
        }
    }

    /// The key a gateway shares with a client.
    pub(super) fn shared_key(&self, client: &IdentityKey) -> Option<SharedKey> {
        match &self.machine {
            Some(Machine::Gateway(gateway)) => {
                gateway.store().client(client).map(|record| record.key.clone())
            }
            Some(Machine::Mix(_)) | None => None,
        }
    }

    /// Takes the messages stored for somebody out of a running gateway.
    pub(super) fn take_stored(&mut self, client: &IdentityKey) -> Vec<Bytes> {
        match &mut self.machine {
            Some(Machine::Gateway(gateway)) => gateway.take_stored(client),
            Some(Machine::Mix(_)) | None => Vec::new(),
        }
    }

    /// True if messages are stored for this client.
    pub(super) fn has_stored(&self, client: &IdentityKey) -> bool {
        match &self.machine {
            Some(Machine::Gateway(gateway)) => gateway.store().messages_for(client) > 0,
            Some(Machine::Mix(_)) | None => self.store.messages_for(client) > 0,
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        match &mut self.machine {
            Some(Machine::Gateway(gateway)) => gateway.handle(now, gateway::Event::Tick),
            Some(Machine::Mix(mix)) => mix.handle(now, mixnode::Event::Tick),
            None => {}
        }
    }

    pub(super) fn client_event(&mut self, now: Instant, event: gateway::Event<'_>) {
        if let Some(Machine::Gateway(gateway)) = &mut self.machine {
            gateway.handle(now, event);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<NodeAction> {
        loop {
            match &mut self.machine {
                Some(Machine::Gateway(gateway)) => match gateway.poll_action()? {
                    gateway::Action::Forward { next, frame } => {
                        return Some(NodeAction::Forward { next, frame });
                    }
                    // opened anew by the next packet
                    gateway::Action::CloseLink(link) => self.connected.remove(&link),
                    other => return Some(NodeAction::Client(other)),
                },
                Some(Machine::Mix(mix)) => match mix.poll_action()? {
                    mixnode::Action::Forward { next, frame } => {
                        return Some(NodeAction::Forward { next, frame });
                    }
                    mixnode::Action::CloseLink(link) => self.connected.remove(&link),
                },
                None => return None,
            };
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.machine.as_ref()? {
            Machine::Gateway(gateway) => gateway.next_deadline(),
            Machine::Mix(mix) => mix.next_deadline(),
        }
    }
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.plan.id)
            .field("is_running", &self.machine.is_some())
            .finish_non_exhaustive()
    }
}
