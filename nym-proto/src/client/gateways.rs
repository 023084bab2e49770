//! Which topology and which gateway the client uses. (protocol: client 3, 4)

use std::sync::Arc;

use super::session::Gateway;
use super::{Client, Fact, GatewayChoice, Network, SessionFailure, StopReason};
use crate::entropy::Stream;
use crate::topology::{Node, Topology};

impl Client {
    pub(super) fn on_unusable(&mut self, failure: SessionFailure) {
        let failed = self.own_gateway.take().map(|(node, _)| node.identity);
        self.unusable.extend(failed);
        self.was_up = false;
        if matches!(self.config.gateway, GatewayChoice::Given(_)) || !self.choose_gateway() {
            self.stop(StopReason::NoGateway(failure));
        }
    }

    /// Refuses a network in which no message could ever be sent.
    pub(super) fn check_network(&self) -> Result<(), StopReason> {
        match &self.config.network {
            Network::Fixed(topology) => topology.check_routable().map_err(StopReason::Unroutable),
            Network::Directory(bases) if bases.is_empty() => {
                Err(StopReason::BadDirectory(String::new()))
            }
            Network::Directory(bases) => match bases.iter().find(|base| !is_base_url(base)) {
                Some(base) => Err(StopReason::BadDirectory(base.clone())),
                None => Ok(()),
            },
        }
    }

    pub(super) fn install_topology(&mut self, topology: Arc<Topology>, refused: usize) {
        let topology = self.pin_gateway(topology);
        let (epoch, nodes) = (topology.epoch(), topology.nodes().len());
        self.topology = Some(topology);
        self.report(Fact::Topology { epoch, nodes, refused });
        if self.session.gateway().is_some() {
            self.refresh_gateway();
        } else if !self.choose_gateway() {
            self.report(Fact::NoGateway);
            match (&self.config.network, self.config.gateway) {
                // it may be listed again before long
                (Network::Directory(_), _) => self.directory.look_again(self.now),
                (Network::Fixed(_), GatewayChoice::Given(identity)) => {
                    self.stop(StopReason::UnknownGateway(identity));
                }
                (Network::Fixed(_), GatewayChoice::Random) => self.stop(StopReason::NoCandidate),
            }
        }
    }

    /// The gateway may listen elsewhere now.
    fn refresh_gateway(&mut self) {
        let Some((node, _)) = &self.own_gateway else {
            return;
        };
        let urls = node.entry.as_ref().map(|entry| entry.urls(self.config.tls)).unwrap_or_default();
        if !urls.is_empty() {
            let identity = node.identity;
            self.session.use_gateway(self.now, Gateway { identity, urls });
        }
    }

    /// Keeps the last known details of our gateway if a new topology does not list it. They serve
    /// messages for the rest of the rotation, and cover for ever. (protocol: client 3.7)
    fn pin_gateway(&mut self, topology: Arc<Topology>) -> Arc<Topology> {
        self.is_unlisted = false;
        let Some((node, rotation_id)) = &mut self.own_gateway else {
            return topology;
        };
        if let Some(fresh) = topology.node_by_identity(&node.identity) {
            *node = fresh.clone();
            *rotation_id = topology.rotation_id();
            return topology;
        }
        self.is_unlisted = true;
        Arc::new(topology.with_node(node.clone()))
    }

    /// True if messages sent now, and their acks, can arrive. Otherwise they wait, and slots carry cover.
    pub(super) fn can_route(&self, topology: &Topology) -> bool {
        let is_current = |(_, rotation_id): &(Node, u32)| *rotation_id == topology.rotation_id();
        self.own_gateway.as_ref().is_some_and(is_current) && !self.is_topology_expired()
    }

    /// True if the keys of the topology are known to be no longer valid.
    pub(super) fn is_topology_expired(&self) -> bool {
        let is_over = |topology: &Arc<Topology>| {
            !self.replies.is_rotation_alive(self.now, topology.rotation_id())
        };
        self.topology.as_ref().is_some_and(is_over)
    }

    /// Chooses a gateway and connects to it. False if there is none to choose.
    fn choose_gateway(&mut self) -> bool {
        let Some(topology) = self.topology.clone() else {
            return true;
        };
        let kept = self.session.known_gateway();
        let node = match self.config.gateway {
            GatewayChoice::Given(identity) => topology.node_by_identity(&identity).cloned(),
            GatewayChoice::Random => {
                let mut candidates =
                    topology.candidates(self.config.min_performance, self.config.tls);
                candidates.retain(|node| !self.unusable.contains(&node.identity));
                let kept =
                    kept.and_then(|k| candidates.iter().find(|node| node.identity == k).copied());
                let drawn = draw_weighted(&candidates, &mut self.streams.link);
                kept.or(drawn).cloned()
            }
        };
        let Some(node) = node else { return false };
        let urls = node.entry.as_ref().map(|entry| entry.urls(self.config.tls)).unwrap_or_default();
        if urls.is_empty() {
            return false;
        }
        let gateway = Gateway { identity: node.identity, urls };
        self.own_gateway = Some((node, topology.rotation_id()));
        self.session.use_gateway(self.now, gateway);
        true
    }
}

/// A gateway, drawn with a probability in proportion to its performance.
fn draw_weighted<'a>(candidates: &[&'a Node], stream: &mut Stream) -> Option<&'a Node> {
    let weight = |node: &Node| u64::from(node.performance.max(1));
    let mut left = stream.below(candidates.iter().map(|node| weight(node)).sum());
    for node in candidates {
        match left.checked_sub(weight(node)) {
            Some(rest) => left = rest,
            None => return Some(node),
        }
    }
    None
}

/// True for `http://` and `https://` URLs with a host.
fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty())
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}
