//! Which topology and which gateway the client uses. (protocol: client 3, 4)

use core::time::Duration;
use std::sync::Arc;

use super::session::Gateway;
use super::{Client, Fact, GatewayChoice, Network, SessionFailure, StopReason};
use crate::entropy::Stream;
use crate::identity::IdentityKey;
use crate::topology::{Node, TlsPolicy, Topology};

/// How long a gateway is tried that has never accepted the client.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    /// The gateway cannot be used. One of a fixed topology, or one that was asked for and speaks another
    /// version, is final; otherwise the directory may have lied, and is asked again.
    pub(super) fn on_unusable(&mut self, failure: SessionFailure) {
        let failed = self.own_gateway.take().map(|(node, _)| node.identity);
        self.unusable.extend(failed);
        self.was_up = false;
        let is_random = self.config.gateway == GatewayChoice::Random;
        if is_random && self.choose_gateway(None) {
            return;
        }
        let is_final = matches!(self.config.network, Network::Fixed(_))
            || (!is_random && failure != SessionFailure::WrongIdentity);
        if is_final {
            return self.stop(StopReason::NoGateway(failure));
        }
        self.unusable.clear();
        let retry_in = self.directory.look_again(self.now);
        self.report(Fact::ConnectionFailed { failure, retry_in });
    }

    /// Refuses a network in which no message could ever be sent.
    pub(super) fn check_network(&self) -> Result<(), StopReason> {
        match &self.config.network {
            Network::Fixed(topology) => topology.check_routable().map_err(StopReason::Unroutable),
            Network::Directory(bases) => check_bases(bases),
        }
    }

    pub(super) fn install_topology(&mut self, topology: Arc<Topology>, refused: usize) {
        let topology = self.pin_gateway(topology);
        let (epoch, nodes) = (topology.epoch(), topology.nodes().len());
        self.topology = Some(topology);
        self.topology_at = self.now;
        self.report(Fact::Topology { epoch, nodes, refused });
        if self.session.gateway().is_some() {
            self.refresh_gateway();
        } else if !self.choose_gateway(None) {
            if !self.is_unlisted {
                self.report(Fact::NoGateway);
            }
            match (&self.config.network, self.config.gateway) {
                // it may be listed again before long
                (Network::Directory(_), _) => {
                    self.directory.look_again(self.now);
                }
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

    /// Replaces a gateway that has been away for too long. One that has never accepted the client is
    /// replaced without being asked to: no address is lost with it.
    pub(super) fn watch_gateway(&mut self) {
        let is_lost = !self.session.is_ready() || self.is_unlisted;
        let Some(gateway) = self.session.gateway().map(|gateway| gateway.identity) else {
            return;
        };
        if !is_lost {
            self.gateway_lost_at = None;
            return;
        }
        let since = *self.gateway_lost_at.get_or_insert(self.now);
        let after = self.now.since(since);
        let patience = match self.session.is_registered() {
            true => self.config.fail_over,
            false => Some(FIRST_PATIENCE),
        };
        // without an answer from the directory it may be our own link that is dead
        let is_online =
            self.topology_at > since || matches!(self.config.network, Network::Fixed(_));
        let is_free = self.config.gateway == GatewayChoice::Random;
        if is_free && is_online && patience.is_some_and(|patience| after >= patience) {
            self.fail_over(gateway, after);
        }
    }

    fn fail_over(&mut self, gateway: IdentityKey, after: Duration) {
        self.gateway_lost_at = None;
        if self.choose_gateway(Some(gateway)) {
            self.was_up = false;
            self.is_unlisted = false;
            self.replies.moved(self.now);
            self.report(Fact::FailedOver { after });
        }
    }

    /// True if the gateway of an earlier run, which the directory does not list now, may come back: its
    /// address is known to others.
    fn waits_for_kept_gateway(&mut self) -> bool {
        let since = *self.gateway_lost_at.get_or_insert(self.now);
        let is_over =
            self.config.fail_over.is_some_and(|patience| self.now.since(since) >= patience);
        self.is_unlisted = matches!(self.config.network, Network::Directory(_)) && !is_over;
        self.is_unlisted
    }

    fn draw_gateway(&mut self, topology: &Topology, not_this: Option<IdentityKey>) -> Option<Node> {
        let mut candidates =
            topology.candidates(self.config.min_performance.gateway, self.config.tls);
        candidates.retain(|node| {
            !self.unusable.contains(&node.identity) && Some(node.identity) != not_this
        });
        draw_weighted(&candidates, &mut self.streams.link).cloned()
    }

    /// Chooses a gateway, other than `not_this`, and connects to it. False if there is none to choose.
    fn choose_gateway(&mut self, not_this: Option<IdentityKey>) -> bool {
        let Some(topology) = self.topology.clone() else {
            return true;
        };
        let kept = self.session.known_gateway();
        let kept = kept.filter(|kept| not_this.is_none() && !self.unusable.contains(kept));
        let node = match self.config.gateway {
            GatewayChoice::Given(identity) => topology.node_by_identity(&identity).cloned(),
            GatewayChoice::Random => match kept.map(|kept| topology.node_by_identity(&kept)) {
                Some(None) if self.waits_for_kept_gateway() => return false,
                Some(Some(node)) if has_urls(node, self.config.tls) => Some(node.clone()),
                _ => self.draw_gateway(&topology, not_this),
            },
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

fn has_urls(node: &Node, tls: TlsPolicy) -> bool {
    node.entry.as_ref().is_some_and(|entry| !entry.urls(tls).is_empty())
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

/// Refuses what cannot be the base URLs of directories.
pub(super) fn check_bases(bases: &[String]) -> Result<(), StopReason> {
    if bases.is_empty() {
        return Err(StopReason::BadDirectory(String::new()));
    }
    match bases.iter().find(|base| !is_base_url(base)) {
        Some(base) => Err(StopReason::BadDirectory(base.clone())),
        None => Ok(()),
    }
}

/// True for `http://` and `https://` URLs with a host.
fn is_base_url(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty())
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}
