//! One thing happens after the other: events in, actions out, everything hashed.

use core::time::Duration;

use bytes::Bytes;
use nym_proto::time::Instant;

use super::nodes::NodeAction;
use super::queue::{AtClient, Item};
use super::{Sabotage, Sim};

impl Sim {
    /// Lets the next thing happen if it happens before or at `end`; else it is `end` now, and
    /// the answer is false.
    pub fn step(&mut self, end: Instant) -> bool {
        if self.queue.next_at().is_none_or(|at| at > end) {
            self.now = self.now.max(end);
            return false;
        }
        self.now = self.queue.next_at().map_or(self.now, |at| at.max(self.now));
        if let Some(item) = self.queue.pop() {
            self.happen(item);
        }
        true
    }

    pub(super) fn happen(&mut self, item: Item) {
        match item {
            Item::ClientTimer(client) => self.wake_client(client),
            Item::NodeTimer(node) => self.wake_node(node),
            Item::Resume(client) => self.resume(client),
            Item::Packet { from, to, frame } => {
                self.trace.note(self.now, "packet", |f| {
                    f.word("from", from as u64);
                    f.word("to", to as u64);
                    f.bytes("frame", &frame);
                });
                let now = self.now;
                self.nodes[to].packet(now, from, &frame);
                self.drain_node(to);
            }
            Item::AtGateway { link, what } => self.at_gateway(link, what),
            Item::AtClient { client, what } if self.clients[client].is_suspended => {
                self.clients[client].backlog.push_back(what);
            }
            Item::AtClient { client, what } => self.at_client(client, what),
            Item::Request { client, fetch, url } => {
                self.trace.note(self.now, "request", |f| {
                    f.word("client", client as u64);
                    f.text("url", &url);
                });
                let result = self.documents.respond(&url, self.unix_time());
                let what = AtClient::Fetched { fetch, result };
                let delay = self.config.directory_latency + self.documents.delay();
                self.send_client(self.now + delay, client, what);
            }
        }
    }

    pub(super) fn send_client(&mut self, at: Instant, client: usize, what: AtClient) {
        self.queue.push(at, Item::AtClient { client, what });
    }

    // ---- nodes -----------------------------------------------------------------------------

    pub(super) fn wake_node(&mut self, node: usize) {
        let now = self.now;
        let slot = &mut self.nodes[node];
        if slot.timer == Some(now) {
            slot.timer = None;
            slot.tick(now);
            self.drain_node(node);
        }
    }

    pub(super) fn drain_node(&mut self, node: usize) {
        while let Some(action) = self.nodes[node].poll_action() {
            match action {
                NodeAction::Forward { next, frame } => {
                    if let Some(to) = self.by_address.get(&next).copied() {
                        self.transmit(node, to, frame);
                    }
                }
                NodeAction::Client(action) => self.on_gateway(action),
            }
        }
        let slot = &mut self.nodes[node];
        let deadline = slot.next_deadline().map(|at| at.max(self.now));
        if slot.timer != deadline {
            slot.timer = deadline;
            if let Some(at) = deadline {
                self.queue.push(at, Item::NodeTimer(node));
            }
        }
    }

    /// A frame leaves for another node, and may get lost, doubled or held back on the way.
    pub(super) fn transmit(&mut self, from: usize, to: usize, frame: Bytes) {
        let link = self.config.node_links;
        let is_isolated = self.config.sabotage == Some(Sabotage::Isolate) && to == 0;
        if is_isolated && self.now.since(Instant::START) > Duration::from_secs(60) {
            return;
        }
        let luck = &mut self.network;
        let mut happens = |p: f64| p > 0.0 && luck.chance(p);
        if happens(link.loss) {
            return;
        }
        let copies = if happens(link.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            let mut at = self.now + link.latency;
            if !link.jitter.is_zero() {
                at += self.network.up_to(link.jitter);
            }
            if link.reordering > 0.0 && self.network.chance(link.reordering) {
                at += self.network.up_to(link.held_back);
            }
            self.queue.push(at, Item::Packet { from, to, frame: frame.clone() });
        }
    }
}
