//! One thing happens after the other: events in, actions out, everything hashed.

use core::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Action, Change, ConnectionId, Delivery, Event, Fact, Refused, WsFrame};
use nym_proto::message::ACK_LEN;
use nym_proto::time::{Instant, UnixTime};

use super::host::LostPush;
use super::links::{Link, LinkKey};
use super::nodes::NodeAction;
use super::queue::{AtClient, AtGateway, Item};
use super::{ClientIx, Sabotage, Sim, trace};
use crate::gateway;

/// Pushes up to this size carry acks; packets are larger by far.
const ACK_PUSH_MAX: usize = 10 * ACK_LEN;

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

    fn happen(&mut self, item: Item) {
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

    fn send_client(&mut self, at: Instant, client: usize, what: AtClient) {
        self.queue.push(at, Item::AtClient { client, what });
    }

    // ---- clients ---------------------------------------------------------------------------

    fn wake_client(&mut self, client: usize) {
        let host = &mut self.clients[client];
        if host.timer != Some(self.now) || host.is_suspended || host.is_crashed {
            return;
        }
        host.timer = None;
        let (at, ticks) = host.ticks;
        host.ticks = (self.now, if at == self.now { ticks + 1 } else { 1 });
        // only sending can fail
        let _ = self.client_event(client, Event::Tick);
    }

    fn resume(&mut self, client: usize) {
        let host = &mut self.clients[client];
        if !core::mem::take(&mut host.is_suspended) {
            return;
        }
        host.timer = None;
        let backlog = core::mem::take(&mut host.backlog);
        let unix_time = self.wall_of(client);
        let _ = self.client_event(client, Event::NetworkChanged { unix_time });
        for what in backlog {
            self.at_client(client, what);
        }
    }

    fn at_client(&mut self, client: usize, what: AtClient) {
        if self.clients[client].is_crashed {
            return self.lose(client, what);
        }
        let is_current = |sim: &Self, link: LinkKey| {
            sim.clients[client].link == Some(link)
                && sim.links.get(link).is_some_and(|link| !link.is_cut)
        };
        let event = match what {
            AtClient::Connected(link) if is_current(self, link) => Event::GatewayConnected {
                connection: self.connection_of(link),
                unix_time: self.wall_of(client),
            },
            AtClient::NotConnected(connection) => {
                Event::GatewayClosed { connection, reason: "connection refused".to_owned() }
            }
            AtClient::Frame { link, frame, .. } if is_current(self, link) => {
                Event::GatewayFrame { connection: self.connection_of(link), frame }
            }
            AtClient::Frame { frame, push, .. } => {
                return self.lose_push(client, &frame, push);
            }
            AtClient::Ping { link, payload } if is_current(self, link) => {
                return self.send_gateway(link, AtGateway::Pong(payload));
            }
            AtClient::Blocked(link) if is_current(self, link) => {
                Event::GatewayBlocked { connection: self.connection_of(link) }
            }
            AtClient::Writable(link) if is_current(self, link) => {
                Event::GatewayWritable { connection: self.connection_of(link) }
            }
            AtClient::Closed(link) if self.clients[client].link == Some(link) => {
                self.clients[client].link = None;
                let reason = "connection reset".to_owned();
                Event::GatewayClosed { connection: self.connection_of(link), reason }
            }
            AtClient::Fetched { fetch, result } => {
                Event::Fetched { fetch, result, unix_time: self.wall_of(client) }
            }
            _ => return,
        };
        let _ = self.client_event(client, event);
    }

    fn wall_of(&self, client: usize) -> UnixTime {
        self.clients[client].wall(self.unix_time())
    }

    fn connection_of(&self, link: LinkKey) -> ConnectionId {
        self.links.get(link).map_or(ConnectionId(u64::MAX), |link| link.connection)
    }

    /// Counts as lost what is still under way on connections that clients have given up: on a slow
    /// one it would not be noticed before the end of the run.
    pub(super) fn lose_what_is_under_way(&mut self) {
        let lost = self.queue.items().filter_map(|item| match item {
            Item::AtClient { client, what: AtClient::Frame { link, frame, push } }
                if self.clients[*client].link != Some(*link) =>
            {
                Some((*client, frame.clone(), *push))
            }
            _ => None,
        });
        for (client, frame, push) in lost.collect::<Vec<_>>() {
            self.lose_push(client, &frame, push);
        }
    }

    /// A pushed packet does not arrive.
    pub(super) fn lose_push(&mut self, client: usize, frame: &WsFrame, push: LostPush) {
        if matches!(frame, WsFrame::Binary(bytes) if bytes.len() > ACK_PUSH_MAX) {
            self.clients[client].lost_pushes.push(push);
        }
    }

    pub(super) fn client_event(&mut self, client: usize, event: Event) -> Result<(), Refused> {
        self.trace.note(self.now, "event", |f| {
            f.word("client", client as u64);
            trace::event(&event, f);
        });
        if self.clients[client].is_crashed {
            return self.missed(client, event);
        }
        let now = self.clients[client].clock(self.now);
        let result = self.clients[client].machine.handle(now, event);
        if let Err(refused) = &result {
            self.trace.note(self.now, "refused", |f| {
                f.word("client", client as u64);
                f.text("reason", &refused.reason.to_string());
            });
        }
        self.drain_client(client);
        result
    }

    pub(super) fn drain_client(&mut self, client: usize) {
        while let Some(action) = self.clients[client].machine.poll_action() {
            self.act(client, action);
            if self.is_last_action(client) {
                return self.crash_client(ClientIx(client));
            }
        }
        self.arm_client(client);
    }

    pub(super) fn arm_client(&mut self, client: usize) {
        let host = &mut self.clients[client];
        let deadline = host.deadline.map(|deadline| host.at_clock(deadline).max(self.now));
        if host.timer != deadline {
            host.timer = deadline;
            if let Some(at) = deadline {
                self.queue.push(at, Item::ClientTimer(client));
            }
        }
    }

    fn act(&mut self, client: usize, action: Action) {
        let now = self.now;
        self.trace.note(now, "action", |f| {
            f.word("client", client as u64);
            trace::action(&action, f);
        });
        let host = &mut self.clients[client];
        match action {
            Action::Write { connection, frame } => {
                self.check_records(client);
                let host = &mut self.clients[client];
                let late = core::mem::take(&mut host.late);
                host.kept.apply(&late);
                host.written.push((now, frame.len()));
                let link = host.link;
                if let Some(link) = link.filter(|link| self.connection_of(*link) == connection) {
                    self.write(client, link, frame);
                }
            }
            Action::Deliver(delivery) => {
                self.keep_delivery(client, delivery);
                let host = &mut self.clients[client];
                let taken = Event::Taken(1);
                self.trace.note(now, "event", |f| {
                    f.word("client", client as u64);
                    trace::event(&taken, f);
                });
                // polling goes on, so what this makes room for comes out
                let _ = host.machine.handle(host.clock(now), taken);
            }
            Action::Connect { connection, urls } => self.connect(client, connection, &urls),
            Action::Disconnect { connection } => self.disconnect(client, Some(connection)),
            Action::Fetch { fetch, url } => {
                let at = now + self.config.directory_latency;
                self.queue.push(at, Item::Request { client, fetch, url });
            }
            Action::Outcome { id, outcome } => {
                let is_kept = !self.is_sabotaged(Sabotage::SwallowOutcomes);
                if is_kept {
                    self.clients[client].outcomes.push((now, id, outcome));
                }
            }
            Action::Writable(_) => host.writable += 1,
            Action::Persist(changes) => {
                if self.config.sabotage == Some(Sabotage::KeepLate) {
                    host.late.extend_from_slice(&changes);
                } else {
                    host.kept.apply(&changes);
                }
                let registration = changes.iter().rev().find_map(Change::registration);
                host.registration = registration.or(host.registration.take());
            }
            Action::Report(fact) => {
                if let Fact::Address(address) = fact {
                    host.address = Some(address);
                }
                host.facts.push((now, fact));
            }
            Action::Stopped(reason) => {
                host.stopped = Some(reason);
            }
            Action::SetTimer(deadline) => host.deadline = deadline.map(|deadline| deadline.at),
            _ => {}
        }
    }

    fn keep_delivery(&mut self, client: usize, mut delivery: Delivery) {
        if self.is_sabotaged(Sabotage::Damage) {
            let mut data = delivery.data.to_vec();
            if let Some(byte) = data.last_mut() {
                *byte ^= 1;
            }
            delivery.data = data.into();
        }
        if self.is_sabotaged(Sabotage::DeliverTwice) {
            self.clients[client].deliveries.push((self.now, delivery.clone()));
        }
        self.clients[client].deliveries.push((self.now, delivery));
    }

    /// True one time in ten, if this is the sabotage asked for.
    fn is_sabotaged(&mut self, sabotage: Sabotage) -> bool {
        self.config.sabotage == Some(sabotage) && self.network.chance(0.1)
    }

    // ---- the links of clients --------------------------------------------------------------

    fn connect(&mut self, client: usize, connection: ConnectionId, urls: &[String]) {
        self.disconnect(client, None);
        let gateway = urls.iter().find_map(|url| self.by_url.get(url).copied());
        let Some(gateway) = gateway.filter(|gateway| self.nodes[*gateway].machine.is_some()) else {
            let at = self.now + self.config.client_latency;
            return self.send_client(at, client, AtClient::NotConnected(connection));
        };
        let link = self.links.add(Link::new(client, connection, gateway));
        self.clients[client].link = Some(link);
        self.send_gateway(link, AtGateway::Opened);
    }

    /// The client gives its connection up, or only the one with this name.
    pub(super) fn disconnect(&mut self, client: usize, connection: Option<ConnectionId>) {
        let Some(link) = self.clients[client].link else {
            return;
        };
        if connection.is_none_or(|connection| self.connection_of(link) == connection) {
            self.clients[client].link = None;
            self.send_gateway(link, AtGateway::Closed);
        }
    }

    fn write(&mut self, client: usize, key: LinkKey, frame: WsFrame) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.up.tears() {
            return self.break_off(key);
        }
        if link.fills(self.now) {
            let writable_at = link.up.written_at(self.now);
            self.send_client(self.now, client, AtClient::Blocked(key));
            self.send_client(writable_at, client, AtClient::Writable(key));
        }
        self.send_gateway(key, AtGateway::Frame(frame));
    }

    /// A link breaks in the middle of a message: both ends learn of it after what was under way.
    fn break_off(&mut self, key: LinkKey) {
        let delay = self.client_delay();
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        // what comes after the break gets nowhere
        (link.up.is_silent, link.down.is_silent) = (true, true);
        let client = link.client;
        let up = link.up.arrival(self.now, delay);
        let down = link.down.arrival(self.now, delay);
        self.queue.push(up, Item::AtGateway { link: key, what: AtGateway::Closed });
        self.send_client(down.max(up), client, AtClient::Closed(key));
    }

    fn client_delay(&mut self) -> Duration {
        self.config.client_latency + self.network.up_to(self.config.client_jitter)
    }

    fn send_gateway(&mut self, key: LinkKey, what: AtGateway) {
        let delay = self.client_delay();
        if let Some(link) = self.links.get_mut(key)
            && !link.up.is_silent
        {
            let at = link.up.arrival(self.now, delay);
            self.queue.push(at, Item::AtGateway { link: key, what });
        }
    }

    fn at_gateway(&mut self, key: LinkKey, what: AtGateway) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let (client, node) = (link.client, link.gateway);
        let connection = gateway::ConnectionId(key.0);
        let kind = what.name();
        let event = match what {
            AtGateway::Opened if !link.is_cut => {
                link.is_open = true;
                let delay = self.client_delay();
                if let Some(link) = self.links.get_mut(key)
                    && !link.down.is_silent
                {
                    let at = link.down.arrival(self.now, delay);
                    self.send_client(at, client, AtClient::Connected(key));
                }
                gateway::Event::ConnectionOpened(connection)
            }
            AtGateway::Closed if link.is_open => {
                (link.is_open, link.is_cut) = (false, true);
                if !link.down.is_silent {
                    // ignored by a client that has given the link up
                    self.queue
                        .push(self.now, Item::AtClient { client, what: AtClient::Closed(key) });
                }
                gateway::Event::ConnectionClosed(connection)
            }
            _ if link.is_cut || !link.is_open => return,
            AtGateway::Frame(frame) => {
                let Some(frame) = self.take_frame(node, frame) else {
                    return;
                };
                gateway::Event::ConnectionFrame { connection, frame }
            }
            AtGateway::Pong(ref payload) => gateway::Event::Pong { connection, payload },
            AtGateway::Flushed(marker) => gateway::Event::Flushed { connection, marker },
            AtGateway::Opened | AtGateway::Closed => return,
        };
        let now = self.now;
        self.trace.note(now, "at_gateway", |f| {
            f.word("link", key.0);
            f.text("kind", kind);
        });
        self.nodes[node].client_event(now, event);
        self.drain_node(node);
    }

    fn on_gateway(&mut self, action: gateway::Action) {
        let now = self.now;
        let delay = self.client_delay();
        let key = match &action {
            gateway::Action::Send { connection, .. }
            | gateway::Action::Ping { connection, .. }
            | gateway::Action::Flush { connection, .. }
            | gateway::Action::Close(connection) => LinkKey(connection.0),
            gateway::Action::Forward { .. } | gateway::Action::CloseLink(_) => return,
        };
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let (client, gateway) = (link.client, link.gateway);
        let address = self.clients[client].machine.address();
        let was_stored =
            address.is_some_and(|address| self.nodes[gateway].has_stored(&address.identity));
        let push = LostPush { at: now, was_stored };
        let is_push = matches!(&action, gateway::Action::Send { frame: WsFrame::Binary(_), .. });
        if let gateway::Action::Flush { marker, .. } = action {
            let at = link.down.written_at(now);
            let what = AtGateway::Flushed(marker);
            return self.queue.push(at, Item::AtGateway { link: key, what });
        }
        if link.down.is_silent || link.is_cut {
            if let gateway::Action::Send { frame, .. } = action {
                self.lose_push(client, &frame, push);
            }
            return;
        }
        if matches!(&action, gateway::Action::Send { .. }) && link.down.tears() {
            if let gateway::Action::Send { frame, .. } = action {
                self.lose_push(client, &frame, push);
            }
            return self.break_off(key);
        }
        let at = link.down.arrival(now, delay);
        if is_push && self.is_sabotaged(Sabotage::LosePushes) {
            return;
        }
        let what = match action {
            gateway::Action::Send { frame, .. } if self.hostile.contains_key(&gateway) => {
                return self.tamper(key, frame, push);
            }
            gateway::Action::Send { frame, .. } => AtClient::Frame { link: key, frame, push },
            gateway::Action::Ping { payload, .. } => AtClient::Ping { link: key, payload },
            _ => {
                if let Some(link) = self.links.get_mut(key) {
                    link.is_open = false;
                }
                AtClient::Closed(key)
            }
        };
        self.send_client(at, client, what);
    }

    // ---- nodes -----------------------------------------------------------------------------

    fn wake_node(&mut self, node: usize) {
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
    fn transmit(&mut self, from: usize, to: usize, frame: Bytes) {
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
