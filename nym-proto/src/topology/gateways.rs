//! Choosing a gateway for the client itself. (protocol: client 4)

use super::node::{Node, TlsPolicy};
use super::snapshot::Topology;
use crate::entropy::Stream;
use crate::identity::IdentityKey;

/// How a client's own gateway is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GatewayChoice {
    /// The gateway with this identity, whatever its performance.
    Specified {
        /// Who it is.
        identity: IdentityKey,
        /// Which listeners count.
        tls: TlsPolicy,
    },
    /// Any candidate, all equally likely.
    Uniform {
        /// Least performance of a candidate, in percent.
        min_performance: u8,
        /// Which listeners count.
        tls: TlsPolicy,
    },
}

impl Topology {
    /// The nodes able to serve clients that have a usable listener, by ascending id.
    pub fn gateways(&self) -> impl Iterator<Item = &Node> {
        self.nodes()
            .iter()
            .filter(|node| is_gateway(node, TlsPolicy::Prefer))
    }

    /// The gateways a client may choose from, by ascending id: entry-capable, performing at least
    /// `min_performance` percent, and with a listener that `tls` allows. (protocol: client 4.1)
    #[must_use]
    pub fn candidates(&self, min_performance: u8, tls: TlsPolicy) -> Vec<&Node> {
        self.nodes()
            .iter()
            .filter(|node| node.performance >= min_performance && is_gateway(node, tls))
            .collect()
    }

    /// Chooses a gateway. Nothing is drawn from `stream` for a specified one.
    #[must_use]
    pub fn draw_gateway(&self, choice: GatewayChoice, stream: &mut Stream) -> Option<&Node> {
        match choice {
            GatewayChoice::Specified { identity, tls } => self
                .node_by_identity(&identity)
                .filter(|node| is_gateway(node, tls)),
            GatewayChoice::Uniform {
                min_performance,
                tls,
            } => {
                let candidates = self.candidates(min_performance, tls);
                candidates.get(stream.index(candidates.len())).copied()
            }
        }
    }
}

fn is_gateway(node: &Node, tls: TlsPolicy) -> bool {
    node.roles.entry
        && node
            .entry
            .as_ref()
            .is_some_and(|entry| entry.is_usable(tls))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{node, parts};
    use super::*;
    use crate::entropy::{Entropy, Purpose};

    #[test]
    fn candidates_have_the_performance_and_the_listener_asked_for() {
        let mut parts = parts(12);
        for node in &mut parts.nodes {
            node.performance = 49 + (node.id % 2) as u8;
        }
        parts.nodes[0].entry.as_mut().unwrap().hostname = None;
        parts.nodes[2].roles.entry = false;
        parts.nodes[4].entry = None;
        let topology = Topology::new(parts).unwrap();
        let ids = |tls| -> Vec<_> {
            let nodes = topology.candidates(50, tls);
            nodes.iter().map(|node| node.id).collect()
        };
        assert_eq!(ids(TlsPolicy::Prefer), [1, 7, 9, 11]);
        assert_eq!(ids(TlsPolicy::Require), [7, 9, 11]);
        assert_eq!(topology.gateways().count(), 10);
    }

    #[test]
    fn a_specified_gateway_must_be_known_and_have_a_listener() {
        let mut parts = parts(6);
        parts.nodes[1].entry = None;
        let topology = Topology::new(parts).unwrap();
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Link);
        let mut draw = |id| {
            let choice = GatewayChoice::Specified {
                identity: node(id).identity,
                tls: TlsPolicy::Prefer,
            };
            topology
                .draw_gateway(choice, &mut stream)
                .map(|node| node.id)
        };
        assert_eq!(draw(1), Some(1));
        assert_eq!(draw(2), None);
        assert_eq!(draw(77), None);
    }

    #[test]
    fn a_uniform_choice_reaches_every_candidate_and_none_if_there_is_none() {
        let topology = Topology::new(parts(6)).unwrap();
        let mut stream = Entropy::new([2; 32]).stream(Purpose::Link);
        let mut draw = |min_performance| {
            let choice = GatewayChoice::Uniform {
                min_performance,
                tls: TlsPolicy::Prefer,
            };
            topology
                .draw_gateway(choice, &mut stream)
                .map(|node| node.id)
        };
        let mut seen: Vec<_> = (0..200).filter_map(|_| draw(50)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
        assert_eq!(draw(101), None);
    }
}
