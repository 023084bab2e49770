//! What happens at clients: events in, actions out.

use nym_proto::client::{Action, Change, ConnectionId, Delivery, Event, Fact, Refused, WsFrame};
use nym_proto::message::ACK_LEN;
use nym_proto::time::UnixTime;

use super::host::LostPush;
use super::links::LinkKey;
use super::queue::{AtClient, AtGateway, Item};
use super::{ClientIx, Sabotage, Sim, trace};

/// Pushes up to this size carry acks; packets are larger by far.
const ACK_PUSH_MAX: usize = 10 * ACK_LEN;

impl Sim {
    pub(super) fn wake_client(&mut self, client: usize) {
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

    pub(super) fn resume(&mut self, client: usize) {
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

    pub(super) fn at_client(&mut self, client: usize, what: AtClient) {
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

    pub(super) fn wall_of(&self, client: usize) -> UnixTime {
        self.clients[client].wall(self.unix_time())
    }

    pub(super) fn connection_of(&self, link: LinkKey) -> ConnectionId {
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

    pub(super) fn act(&mut self, client: usize, action: Action) {
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

    pub(super) fn keep_delivery(&mut self, client: usize, mut delivery: Delivery) {
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
    pub(super) fn is_sabotaged(&mut self, sabotage: Sabotage) -> bool {
        self.config.sabotage == Some(sabotage) && self.network.chance(0.1)
    }
}
