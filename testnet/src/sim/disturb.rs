//! What can be made to go wrong.

use core::time::Duration;
use std::collections::BTreeSet;

use nym_proto::address::Recipient;
use nym_proto::client::WsFrame;
use nym_proto::entropy::Purpose;

use super::host::LostPush;
use super::hostile_gateway::{HostileGateway, Malice, Mischief};
use super::hostile_sender::{Attack, HostileSender};
use super::links::{DEAD_LINK_TIMEOUT, Link, LinkKey, Ways};
use super::queue::{AtClient, AtGateway, Item};
use super::trace::{Fields, nanos};
use super::{ClientIx, DirectoryMode, NodeIx, NodeLinks, Sim};
use crate::gateway::GatewayStore;

impl Sim {
    /// Takes note of something that goes wrong, or right again.
    pub(super) fn note_fault(&mut self, name: &'static str, fields: impl Fn(&mut dyn Fields)) {
        self.trace.note(self.now, "fault", |f| {
            f.text("fault", name);
            fields(f);
        });
    }

    /// Cuts the client's connection: both ends are told, what is under way is lost.
    pub fn cut(&mut self, client: ClientIx) {
        self.note_fault("cut", |f| f.word("client", client.0 as u64));
        if let Some(link) = self.clients[client.0].link {
            self.cut_link(link);
        }
    }

    /// The client's connection goes silent. Nobody is told; the gateway finds out by itself
    /// after two minutes, the client has to find out with its own means. The next connection
    /// works.
    pub fn silence(&mut self, client: ClientIx, ways: Ways) {
        self.note_fault("silence", |f| on_link(client, ways, f));
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
        self.note_fault("stall", |f| {
            on_link(client, ways, f);
            f.word("time", nanos(time));
        });
        let now = self.now;
        if let Some(link) = self.link_mut(client) {
            link.stall(now, ways, time);
        }
    }

    /// The reader at the end of the client's connection is slow: it takes one message per `gap`,
    /// for this long, and what is written meanwhile piles up.
    pub fn slow(&mut self, client: ClientIx, ways: Ways, gap: Duration, time: Duration) {
        self.note_fault("slow", |f| {
            on_link(client, ways, f);
            f.word("gap", nanos(gap));
            f.word("time", nanos(time));
        });
        let now = self.now;
        if let Some(link) = self.link_mut(client) {
            link.slow(now, ways, gap, time);
        }
    }

    /// The client's connection breaks in the middle of a message, after `after` more of them:
    /// those arrive, the torn one does not, and both ends learn of the end only then.
    pub fn tear(&mut self, client: ClientIx, ways: Ways, after: usize) {
        self.note_fault("tear", |f| {
            on_link(client, ways, f);
            f.word("after", after as u64);
        });
        if let Some(link) = self.link_mut(client) {
            link.tear(ways, after);
        }
    }

    /// Puts a client's clocks off, by these many milliseconds each from now on: the monotonic one
    /// and the wall clock. Zero puts them right again.
    pub fn set_clocks(&mut self, client: ClientIx, monotonic_ms: i64, wall_ms: i64) {
        self.note_fault("clocks", |f| {
            f.word("client", client.0 as u64);
            f.text("monotonic_ms", &monotonic_ms.to_string());
            f.text("wall_ms", &wall_ms.to_string());
        });
        let host = &mut self.clients[client.0];
        (host.clock_ms, host.wall_ms) = (monotonic_ms, wall_ms);
        if !host.is_suspended {
            self.arm_client(client.0);
        }
    }

    /// The bandwidth a gateway has granted its clients is used up, and it refuses to grant more;
    /// or it grants again.
    pub fn set_grants(&mut self, gateway: NodeIx, grants: bool) {
        self.note_fault("grants", |f| {
            on_node(gateway, f);
            f.word("grants", u64::from(grants));
        });
        let index = self.node_index(gateway);
        self.nodes[index].set_grants(grants);
    }

    /// The client's machine sleeps for this long: nothing happens to the client until it wakes
    /// up and finds that its clock has jumped. Its connection lives, unless it is cut meanwhile.
    pub fn suspend(&mut self, client: ClientIx, time: Duration) {
        self.note_fault("suspend", |f| {
            f.word("client", client.0 as u64);
            f.word("time", nanos(time));
        });
        self.clients[client.0].is_suspended = true;
        self.queue.push(self.now + time, Item::Resume(client.0));
    }

    /// Ends a node at once. What it holds is lost, except the memory of a gateway; connections to
    /// a gateway are reset.
    pub fn crash(&mut self, node: NodeIx) {
        self.note_fault("crash", |f| on_node(node, f));
        let index = self.node_index(node);
        self.nodes[index].crash();
        for link in self.links.of_gateway(index) {
            self.cut_link(link);
        }
    }

    /// Starts a node that has crashed. A gateway without its memory knows no clients and has no
    /// messages for them.
    pub fn restart(&mut self, node: NodeIx, with_memory: bool) {
        self.note_fault("restart", |f| {
            on_node(node, f);
            f.word("with_memory", u64::from(with_memory));
        });
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

    /// A gateway means harm from now on, or behaves again.
    pub fn corrupt(&mut self, gateway: NodeIx, malice: Option<Malice>) {
        self.note_fault("corrupt", |f| {
            on_node(gateway, f);
            f.text("chance", &malice.as_ref().map_or(0.0, |malice| malice.chance).to_string());
        });
        let index = self.node_index(gateway);
        match malice {
            Some(malice) => {
                let hostile = HostileGateway::new(malice, self.builder());
                self.hostile.insert(index, hostile);
            }
            None => {
                self.hostile.remove(&index);
            }
        }
    }

    /// How often a gateway that means harm has done what so far.
    #[must_use]
    pub fn mischief(&self, gateway: NodeIx) -> Vec<(Mischief, u64)> {
        let hostile = self.hostile.get(&self.node_index(gateway));
        let done = hostile.into_iter().flat_map(|hostile| hostile.done);
        Mischief::ALL.into_iter().zip(done).filter(|(_, times)| *times > 0).collect()
    }

    /// A message for a client leaves a gateway that means harm.
    pub(super) fn tamper(&mut self, key: LinkKey, frame: WsFrame, push: LostPush) {
        let delay = self.config.client_latency;
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let (client, gateway) = (link.client, link.gateway);
        let Some(hostile) = self.hostile.get_mut(&gateway) else {
            return;
        };
        let address = self.clients[client].machine.address();
        let shared = address.and_then(|address| self.nodes[gateway].shared_key(&address.identity));
        let tampered = hostile.tamper(frame.clone(), shared.as_ref(), &mut self.mischief);
        for (frame, late, is_overtaken) in tampered.frames {
            let at = if is_overtaken {
                self.now + delay + late
            } else {
                link.down.arrival(self.now, delay + late)
            };
            let what = AtClient::Frame { link: key, frame, push };
            self.queue.push(at, Item::AtClient { client, what });
        }
        if tampered.is_lost {
            self.lose_push(client, &frame, push);
        }
    }

    /// A message of a client arrives at a gateway, which may mean harm.
    pub(super) fn take_frame(&mut self, gateway: usize, frame: WsFrame) -> Option<WsFrame> {
        match self.hostile.get_mut(&gateway) {
            Some(hostile) => hostile.take(frame, &mut self.mischief),
            None => Some(frame),
        }
    }

    /// Adds somebody who means harm, with an address at a gateway. It never connects: what is
    /// written to it waits at the gateway, where it finds it.
    pub fn add_hostile_sender(&mut self, gateway: NodeIx) -> usize {
        let identity = *self.nodes[self.node_index(gateway)].plan.identity.public();
        let stream = self.entropy.stream(Purpose::Other(900 + self.senders.len() as u32));
        let builder = self.builder();
        self.senders.push(HostileSender::new(identity, builder, stream));
        self.senders.len() - 1
    }

    /// The address of a hostile sender.
    #[must_use]
    pub fn hostile_address(&self, sender: usize) -> Option<Recipient> {
        self.senders.get(sender).map(|sender| sender.address)
    }

    /// Messages of hostile senders that may be delivered, as often as they were sent.
    #[must_use]
    pub fn hostile_messages(&self) -> u64 {
        self.senders.iter().map(|sender| sender.composed).sum()
    }

    /// What a hostile sender has done.
    #[must_use]
    pub fn attacks(&self, sender: usize) -> &[Attack] {
        self.senders.get(sender).map_or(&[], |sender| &sender.done)
    }

    /// A hostile sender attacks a client, if the client has an address.
    pub fn attack(&mut self, sender: usize, victim: ClientIx, attack: Attack) {
        self.note_fault("attack", |f| {
            f.word("client", victim.0 as u64);
            f.word("attack", attack as u64);
        });
        let (now, unix_time) = (self.now, self.unix_time());
        let (Some(topology), Some(victim)) =
            (self.documents.topology(unix_time), self.clients[victim.0].address)
        else {
            return;
        };
        if sender >= self.senders.len() {
            return;
        }
        let mut hostile = self.senders.swap_remove(sender);
        let own = hostile.address;
        let gateway =
            self.nodes.iter().position(|node| *node.plan.identity.public() == own.gateway);
        for message in
            gateway.map(|at| self.nodes[at].take_stored(&own.identity)).unwrap_or_default()
        {
            hostile.read(now, message.to_vec());
        }
        for (to, frame) in hostile.attack(attack, &topology, &victim) {
            if let (Some(from), Some(to)) = (gateway, self.by_address.get(&to).copied()) {
                let at = now + self.network.up_to(Duration::from_secs(2));
                self.queue.push(at, Item::Packet { from, to, frame });
            }
        }
        self.senders.push(hostile);
        let last = self.senders.len() - 1;
        self.senders.swap(sender, last);
    }

    /// True if a node runs.
    #[must_use]
    pub fn is_running(&self, node: NodeIx) -> bool {
        self.nodes[self.node_index(node)].machine.is_some()
    }

    /// Changes how frames travel from node to node.
    pub fn set_node_links(&mut self, links: NodeLinks) {
        self.note_fault("node_links", |f| {
            f.word("latency", nanos(links.latency));
            f.word("jitter", nanos(links.jitter));
            f.text("loss", &links.loss.to_string());
            f.text("duplication", &links.duplication.to_string());
            f.text("reordering", &links.reordering.to_string());
            f.word("held_back", nanos(links.held_back));
        });
        self.config.node_links = links;
    }

    /// How frames travel from node to node.
    #[must_use]
    pub const fn node_links(&self) -> NodeLinks {
        self.config.node_links
    }

    /// Changes how the directory answers.
    pub fn set_directory(&mut self, mode: DirectoryMode) {
        self.note_fault("directory", |f| f.text("mode", mode.name()));
        self.documents.mode = mode;
    }

    /// The directory lists all nodes but these from now on. They keep running.
    pub fn hide(&mut self, nodes: &[NodeIx]) {
        self.note_fault("hide", |f| nodes.iter().for_each(|node| on_node(*node, f)));
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

fn on_link(client: ClientIx, ways: Ways, f: &mut dyn Fields) {
    f.word("client", client.0 as u64);
    let ways = match ways {
        Ways::Up => "up",
        Ways::Down => "down",
        Ways::Both => "both",
    };
    f.text("ways", ways);
}

fn on_node(node: NodeIx, f: &mut dyn Fields) {
    match node {
        NodeIx::Gateway(index) => f.word("gateway", index as u64),
        NodeIx::Mix(index) => f.word("mix", index as u64),
    }
}
