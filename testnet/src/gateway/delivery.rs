//! From the mixnet to the client: the final hop, pushing, storing. (protocol: gateway 14.4, 14.5)

use bytes::Bytes;
use nym_proto::client::WsFrame;
use nym_proto::gateway::{STORED_MESSAGE_PAGE, seal_push_with};
use nym_proto::message::split_final;
use nym_proto::sphinx::{Frame, KeyRotation, PacketSize, Peeled};

use super::session::State;
use super::{Action, ConnectionId, Inner};
use crate::relay;

impl Inner {
    pub(super) fn accept_packet(&mut self, frame: Frame<'_>) {
        let Frame { size, rotation, packet } = frame;
        match self.unwrapper.peel(rotation, packet, &mut self.stats.packets) {
            Some(Peeled::Final { destination, plaintext }) => match packet.get(plaintext) {
                Some(plaintext) => self.accept_final(size, rotation, destination, plaintext),
                None => self.stats.packets.malformed += 1,
            },
            Some(Peeled::Forward { .. }) => self.stats.packets.misrouted += 1,
            None => {}
        }
    }

    /// The size class alone decides what the plaintext is. The message goes first, then the ack.
    fn accept_final(
        &mut self,
        size: PacketSize,
        rotation: KeyRotation,
        destination: [u8; 32],
        plaintext: &[u8],
    ) {
        if size == PacketSize::Ack {
            return self.deliver(destination, plaintext);
        }
        let Ok((first_hop, ack, message)) = split_final(plaintext) else {
            self.stats.packets.malformed += 1;
            return;
        };
        self.deliver(destination, message);
        if self.forward(first_hop, relay::frame(PacketSize::Ack, rotation, ack)) {
            self.stats.packets.forwarded += 1;
        }
    }

    /// Pushes a message into the client's session, or stores it. Messages stored earlier go
    /// first.
    fn deliver(&mut self, destination: [u8; 32], message: &[u8]) {
        if let Some(connection) = self.live_session(destination) {
            self.push(connection, message);
            return;
        }
        let now = self.unix_time();
        let data = Bytes::copy_from_slice(message);
        if self.store.keep(destination, data, now, &self.limits.store) {
            self.stats.stored += 1;
        } else {
            self.stats.store_full += 1;
        }
    }

    /// The session of the client, if it can take a message now.
    fn live_session(&mut self, destination: [u8; 32]) -> Option<ConnectionId> {
        let connection = *self.active.get(&destination)?;
        let pushes = &self.session_mut(connection)?.pushes;
        let (stored_end, in_flight) = (pushes.stored_end, pushes.in_flight());
        let is_free = in_flight < self.limits.push_window
            && self.actions.len() < self.limits.actions_max
            && !self.store.has_waiting(&destination, stored_end);
        is_free.then_some(connection)
    }

    fn push(&mut self, connection: ConnectionId, message: &[u8]) {
        let nonce = self.nonces.bytes();
        let Some(State::Active(session)) =
            self.connections.get_mut(&connection).map(|connection| &mut connection.state)
        else {
            return;
        };
        let frame = seal_push_with(self.cipher.as_ref(), &session.key, nonce, message);
        let frame = WsFrame::Binary(frame);
        let marker = session.pushes.push();
        self.stats.delivered += 1;
        self.actions.push_back(Action::Send { connection, frame });
        if let Some(marker) = marker {
            self.actions.push_back(Action::Flush { connection, marker });
        }
    }

    /// Pushes stored messages page by page until nothing is left or `window` pushes are on their
    /// way. A page is deleted when it has been written.
    pub(super) fn push_stored(&mut self, connection: ConnectionId, window: u64) {
        loop {
            let Some(session) = self.session_mut(connection) else {
                return;
            };
            if session.pushes.in_flight() >= window {
                return;
            }
            let (client, first) = (session.client, session.pushes.stored_end);
            let page: Vec<(u64, Bytes)> = self
                .store
                .waiting(&client, first)
                .take(STORED_MESSAGE_PAGE)
                .map(|message| (message.id, message.data.clone()))
                .collect();
            let Some(&(last, _)) = page.last() else {
                return;
            };
            for (_, message) in &page {
                self.push(connection, message);
            }
            if let Some(session) = self.session_mut(connection) {
                let marker = session.pushes.end_page(last + 1);
                self.actions.push_back(Action::Flush { connection, marker });
            }
        }
    }

    pub(super) fn accept_flush(&mut self, connection: ConnectionId, marker: u64) {
        let Some(session) = self.session_mut(connection) else {
            return;
        };
        let client = session.client;
        if let Some(end) = session.pushes.flush(marker) {
            self.store.drop_below(&client, end);
        }
        self.push_stored(connection, self.limits.push_window);
    }
}
