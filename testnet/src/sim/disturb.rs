//! What can be made to go wrong.

use core::time::Duration;
use std::collections::BTreeSet;

use super::links::{DEAD_LINK_TIMEOUT, Link, LinkKey, Ways};
use super::queue::{AtClient, AtGateway, Item};
use super::{ClientIx, DirectoryMode, NodeIx, NodeLinks, Sim};
use crate::gateway::GatewayStore;

impl Sim {
    /// Cuts the client's connection: both ends are told, what is under way is lost.
    pub fn cut(&mut self, client: ClientIx) {
        if let Some(link) = self.clients[client.0].link {
            self.cut_link(link);
        }
    }

    /// The client's connection goes silent. Nobody is told; the gateway finds out by itself
    /// after two minutes, the client has to find out with its own means. The next connection
    /// works.
    pub fn silence(&mut self, client: ClientIx, ways: Ways) {
        let Some(key) = self.clients[client.0].link else {
            return;
        };
        if let Some(link) = self.links.get_mut(key) {
            link.up.is_silent |= ways != Ways::Down;
            link.down.is_silent |= ways != Ways::Up;
            let at = self.now + DEAD_LINK_TIMEOUT;
            self.queue.push(at, Item::AtGateway { link: key, what: AtGateway::Closed });
        }
    }

    /// Nothing moves on the client's connection for this long, in one direction or both, and the
    /// sockets fill up. Then all of it arrives.
    pub fn stall(&mut self, client: ClientIx, ways: Ways, time: Duration) {
        let now = self.now;
        if let Some(link) = self.link_mut(client) {
            link.stall(now, ways, time);
        }
    }

    /// The reader at the end of the client's connection is slow: it takes one message per `gap`,
    /// for this long, and what is written meanwhile piles up.
    pub fn slow(&mut self, client: ClientIx, ways: Ways, gap: Duration, time: Duration) {
        let now = self.now;
        if let Some(link) = self.link_mut(client) {
            link.slow(now, ways, gap, time);
        }
    }

    /// The client's connection breaks in the middle of a message, after `after` more of them:
    /// those arrive, the torn one does not, and both ends learn of the end only then.
    pub fn tear(&mut self, client: ClientIx, ways: Ways, after: usize) {
        if let Some(link) = self.link_mut(client) {
            link.tear(ways, after);
        }
    }

    /// Puts a client's clocks off, by these many milliseconds each from now on: the monotonic one
    /// and the wall clock. Zero puts them right again.
    pub fn set_clocks(&mut self, client: ClientIx, monotonic_ms: i64, wall_ms: i64) {
        let host = &mut self.clients[client.0];
        (host.clock_ms, host.wall_ms) = (monotonic_ms, wall_ms);
        if !host.is_suspended {
            self.arm_client(client.0);
        }
    }

    /// The bandwidth a gateway has granted its clients is used up, and it refuses to grant more;
    /// or it grants again.
    pub fn set_grants(&mut self, gateway: NodeIx, grants: bool) {
        let index = self.node_index(gateway);
        self.nodes[index].set_grants(grants);
    }

    /// The client's machine sleeps for this long: nothing happens to the client until it wakes
    /// up and finds that its clock has jumped. Its connection lives, unless it is cut meanwhile.
    pub fn suspend(&mut self, client: ClientIx, time: Duration) {
        self.clients[client.0].is_suspended = true;
        self.queue.push(self.now + time, Item::Resume(client.0));
    }

    /// Ends a node at once. What it holds is lost, except the memory of a gateway; connections to
    /// a gateway are reset.
    pub fn crash(&mut self, node: NodeIx) {
        let index = self.node_index(node);
        self.nodes[index].crash();
        for link in self.links.of_gateway(index) {
            self.cut_link(link);
        }
    }

    /// Starts a node that has crashed. A gateway without its memory knows no clients and has no
    /// messages for them.
    pub fn restart(&mut self, node: NodeIx, with_memory: bool) {
        let index = self.node_index(node);
        if self.nodes[index].machine.is_some() {
            return;
        }
        if !with_memory {
            let store = core::mem::replace(&mut self.nodes[index].store, GatewayStore::new());
            let identity = *self.nodes[index].plan.identity.public();
            for client in &mut self.clients {
                let is_ours = client.address.filter(|address| address.gateway == identity);
                if is_ours.is_some_and(|address| store.messages_for(&address.identity) > 0) {
                    client.store_losses.push(self.now);
                }
            }
        }
        self.start_node(index);
    }

    /// True if a node runs.
    #[must_use]
    pub fn is_running(&self, node: NodeIx) -> bool {
        self.nodes[self.node_index(node)].machine.is_some()
    }

    /// Changes how frames travel from node to node.
    pub fn set_node_links(&mut self, links: NodeLinks) {
        self.config.node_links = links;
    }

    /// How frames travel from node to node.
    #[must_use]
    pub const fn node_links(&self) -> NodeLinks {
        self.config.node_links
    }

    /// Changes how the directory answers.
    pub fn set_directory(&mut self, mode: DirectoryMode) {
        self.documents.mode = mode;
    }

    /// The directory lists all nodes but these from now on. They keep running.
    pub fn hide(&mut self, nodes: &[NodeIx]) {
        let identities = nodes.iter().map(|node| {
            let index = self.node_index(*node);
            *self.nodes[index].plan.identity.public()
        });
        let hidden: BTreeSet<_> = identities.collect();
        self.documents.hide(&hidden);
    }

    /// The gateway a client uses, once the client has an address.
    #[must_use]
    pub fn gateway_of(&self, client: ClientIx) -> Option<NodeIx> {
        let identity = self.clients[client.0].address?.gateway;
        let gateways = &self.nodes[..usize::from(self.config.gateways)];
        let index = gateways.iter().position(|node| *node.plan.identity.public() == identity)?;
        Some(NodeIx::Gateway(index))
    }

    /// Begins to run a node.
    pub(super) fn start_node(&mut self, index: usize) {
        let (now, unix_time, epochs) = (self.now, self.unix_time(), self.epochs);
        self.nodes[index].start(now, unix_time, epochs, self.config.suite);
        self.drain_node(index);
    }

    fn link_mut(&mut self, client: ClientIx) -> Option<&mut Link> {
        let key = self.clients[client.0].link?;
        self.links.get_mut(key)
    }

    pub(super) fn node_index(&self, node: NodeIx) -> usize {
        match node {
            NodeIx::Gateway(index) => index,
            NodeIx::Mix(index) => usize::from(self.config.gateways) + index,
        }
    }

    fn cut_link(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let client = link.client;
        link.is_cut = true;
        // a client whose link is silent does not hear of its end either
        let is_told = !link.down.is_silent;
        self.queue.push(self.now, Item::AtGateway { link: key, what: AtGateway::Closed });
        if is_told {
            self.queue.push(self.now, Item::AtClient { client, what: AtClient::Closed(key) });
        }
    }
}
