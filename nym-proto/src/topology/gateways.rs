//! Choosing a gateway for the client itself. (protocol: client 4)

use super::node::{Node, TlsPolicy};
use super::snapshot::Topology;

impl Topology {
    /// The nodes able to serve clients that have a usable listener, by ascending id.
    pub fn gateways(&self) -> impl Iterator<Item = &Node> {
        self.nodes().iter().filter(|node| is_gateway(node, TlsPolicy::Prefer))
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
}

fn is_gateway(node: &Node, tls: TlsPolicy) -> bool {
    node.roles.entry && node.entry.as_ref().is_some_and(|entry| entry.is_usable(tls))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::parts;
    use super::*;

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
}
