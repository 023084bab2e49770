//! The links between clients and their gateways.

use core::time::Duration;

use nym_proto::client::{ConnectionId, WsFrame};

use super::host::LostPush;
use super::links::{Link, LinkKey};
use super::queue::{AtClient, AtGateway, Item};
use super::{Sabotage, Sim};
use crate::gateway;

impl Sim {
    pub(super) fn connect(&mut self, client: usize, connection: ConnectionId, urls: &[String]) {
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

    pub(super) fn write(&mut self, client: usize, key: LinkKey, frame: WsFrame) {
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
    pub(super) fn break_off(&mut self, key: LinkKey) {
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

    pub(super) fn client_delay(&mut self) -> Duration {
        self.config.client_latency + self.network.up_to(self.config.client_jitter)
    }

    pub(super) fn send_gateway(&mut self, key: LinkKey, what: AtGateway) {
        let delay = self.client_delay();
        if let Some(link) = self.links.get_mut(key)
            && !link.up.is_silent
        {
            let at = link.up.arrival(self.now, delay);
            self.queue.push(at, Item::AtGateway { link: key, what });
        }
    }

    pub(super) fn at_gateway(&mut self, key: LinkKey, what: AtGateway) {
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

    pub(super) fn on_gateway(&mut self, action: gateway::Action) {
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
}
