//! How a connection becomes a session: registration, authentication, takeover.
//! (protocol: gateway 6.4, 7.2, 14.3)

use nym_proto::client::WsFrame;
use nym_proto::gateway::{
    AuthenticateRequest, Authenticated, AwaitingClientMaterial, ClientText, GatewayHandshake,
    GatewayText, HANDSHAKE_MESSAGE_TIMEOUT, HandshakeError, HandshakePayload,
    INITIAL_MESSAGE_TIMEOUT, PROBE_PONG_TIMEOUT, ProtocolVersion, SharedKey,
};
use nym_proto::identity::IdentityKey;
use nym_proto::time::UnixTime;

use super::session::{Probe, Pushes, Session, State};
use super::{Action, ConnectionId, Inner};

/// Frames kept while an authentication waits for the verdict on an older session.
const HELD_FRAMES_MAX: usize = 16;

impl Inner {
    pub(super) fn handle_initial(&mut self, connection: ConnectionId, frame: WsFrame) {
        let WsFrame::Text(text) = frame else {
            self.stats.bad_frames += 1;
            return self.refuse(connection, "binary frames need a session");
        };
        match ClientText::decode(&text) {
            Ok(ClientText::SupportedProtocol) => {
                let version = ProtocolVersion::CURRENT.get();
                self.respond(connection, &GatewayText::SupportedProtocol { version });
                self.set_deadline(connection, Some(self.now + INITIAL_MESSAGE_TIMEOUT));
            }
            Ok(ClientText::Handshake(init) | ClientText::HandshakeInit(init)) => {
                self.begin_registration(connection, &init);
            }
            Ok(ClientText::Authenticate(request)) => self.authenticate(connection, request),
            Ok(_) => self.refuse(connection, "this request needs a session"),
            Err(_) => {
                self.stats.bad_frames += 1;
                self.refuse(connection, "not a request");
            }
        }
    }

    fn begin_registration(&mut self, connection: ConnectionId, init: &HandshakePayload) {
        match GatewayHandshake::client(init) {
            Err(_) => return self.refuse(connection, "not a client identity"),
            Ok(client) if self.active.contains_key(client.as_bytes()) => {
                return self.refuse(connection, "this client has a session; authenticate instead");
            }
            Ok(_) => {}
        }
        match GatewayHandshake::accept(&self.identity, init, &mut self.handshakes) {
            Ok((state, text)) => {
                self.send_text(connection, text);
                self.set_state(connection, State::Handshake(Box::new(state)));
                self.set_deadline(connection, Some(self.now + HANDSHAKE_MESSAGE_TIMEOUT));
            }
            Err(_) => self.fail_handshake(connection),
        }
    }

    /// Other frames than handshake messages are ignored. (protocol: gateway 6.5)
    pub(super) fn handle_handshake(&mut self, connection: ConnectionId, frame: WsFrame) {
        let WsFrame::Text(text) = frame else { return };
        match ClientText::decode(&text) {
            Ok(ClientText::Handshake(message)) => {
                match self.set_state(connection, State::Initial) {
                    Some(State::Handshake(state)) => {
                        self.finish_registration(connection, *state, &message);
                    }
                    _ => self.fail_handshake(connection),
                }
            }
            Ok(ClientText::HandshakeError { .. }) => self.fail_handshake(connection),
            _ => {}
        }
    }

    fn finish_registration(
        &mut self,
        connection: ConnectionId,
        state: AwaitingClientMaterial,
        message: &HandshakePayload,
    ) {
        let Ok((registered, verdict)) = state.handle(message) else {
            return self.fail_handshake(connection);
        };
        // two registrations of one client may have run side by side
        let client = registered.client;
        let clients_max = self.limits.store.clients_max;
        if self.active.contains_key(client.as_bytes())
            || !self.store.register(client, registered.shared_key.clone(), clients_max)
        {
            return self.fail_handshake(connection);
        }
        self.stats.registrations += 1;
        self.send_text(connection, verdict);
        // before the stored messages, for clients that cannot take those yet
        // (protocol: gateway 6.4)
        let response = GatewayText::Register {
            protocol_version: registered.version.get(),
            status: true,
            upgrade_mode: false,
        };
        self.respond(connection, &response);
        let start = self.unix_time();
        self.publish(connection, client, registered.shared_key, start);
        self.push_stored(connection, u64::MAX);
    }

    fn authenticate(&mut self, connection: ConnectionId, request: AuthenticateRequest) {
        let Some(authenticated) = self.check(request) else {
            return self.refuse(connection, "authentication failed");
        };
        let Some(&old) = self.active.get(authenticated.client().as_bytes()) else {
            return self.finish_authentication(connection, authenticated);
        };
        let payload = self.nonces.bytes();
        let Some(session) = self.session_mut(old) else {
            return self.finish_authentication(connection, authenticated);
        };
        if !authenticated.is_newer_than(session.start) || session.probe.is_some() {
            return self.refuse(connection, "this client has a session");
        }
        session.probe = Some(Probe { payload, challenger: connection });
        self.actions.push_back(Action::Ping { connection: old, payload });
        self.set_deadline(old, Some(self.now + PROBE_PONG_TIMEOUT));
        let held = Default::default();
        self.set_state(connection, State::Waiting { authenticated, held });
        // the verdict on the old session ends the wait
        self.set_deadline(connection, None);
    }

    fn check(&self, request: AuthenticateRequest) -> Option<Authenticated> {
        let verified = request.verify(self.unix_time()).ok()?;
        let record = self.store.client(verified.client())?;
        verified.authenticate(&record.key, record.last_authentication).ok()
    }

    fn finish_authentication(&mut self, connection: ConnectionId, authenticated: Authenticated) {
        let client = *authenticated.client();
        let now = self.unix_time();
        let Some(record) = self.store.client_mut(&client) else {
            return self.refuse(connection, "authentication failed");
        };
        record.last_authentication = Some(authenticated.timestamp());
        let bandwidth_remaining = record.bandwidth.on_authenticate(now);
        let key = record.key.clone();
        self.stats.authentications += 1;
        self.publish(connection, client, key, authenticated.session_start());
        self.push_stored(connection, u64::MAX);
        let response = GatewayText::Authenticate {
            protocol_version: authenticated.version().get(),
            status: true,
            bandwidth_remaining,
            upgrade_mode: false,
        };
        self.respond(connection, &response);
    }

    fn publish(
        &mut self,
        connection: ConnectionId,
        client: IdentityKey,
        key: SharedKey,
        start: UnixTime,
    ) {
        let session = Session { client, key, start, probe: None, pushes: Pushes::default() };
        self.set_state(connection, State::Active(Box::new(session)));
        self.set_deadline(connection, None);
        self.active.insert(*client.as_bytes(), connection);
    }

    /// Keeps a frame until the connection is a session or is refused.
    pub(super) fn hold(&mut self, connection: ConnectionId, frame: WsFrame) {
        let state = self.connections.get_mut(&connection).map(|connection| &mut connection.state);
        if let Some(State::Waiting { held, .. }) = state {
            if held.len() < HELD_FRAMES_MAX {
                held.push_back(frame);
            } else {
                self.refuse(connection, "too many requests before the session is open");
            }
        }
    }

    pub(super) fn accept_pong(&mut self, connection: ConnectionId, payload: &[u8]) {
        let Some(session) = self.session_mut(connection) else {
            return;
        };
        if let Some(probe) = session.probe.take_if(|probe| probe.payload == payload) {
            self.set_deadline(connection, None);
            self.refuse(probe.challenger, "this client has a session");
        }
    }

    /// A deadline has passed: of a message that did not come, or of a probe.
    pub(super) fn expire(&mut self, connection: ConnectionId) {
        match self.connections.get(&connection).map(|connection| &connection.state) {
            Some(State::Initial) => self.refuse(connection, "no request in time"),
            Some(State::Handshake(_)) => self.fail_handshake(connection),
            Some(State::Active(_)) => self.end_probe(connection),
            Some(State::Waiting { .. }) | None => {}
        }
    }

    /// The client did not answer on its old connection: the new one takes over. If that one has
    /// gone, the old one may stay.
    fn end_probe(&mut self, connection: ConnectionId) {
        let challenger = match self.session_mut(connection) {
            Some(Session { probe: Some(probe), .. }) => probe.challenger,
            _ => return,
        };
        if self.connections.contains_key(&challenger) {
            self.stats.evictions += 1;
            self.actions.push_back(Action::Close(connection));
            self.forget(connection);
        } else if let Some(session) = self.session_mut(connection) {
            session.probe = None;
        }
    }

    /// The connection is gone. Its session ends, unless another connection has taken it over;
    /// whoever waited for it comes in.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.set_deadline(connection, None);
        let Some(old) = self.connections.remove(&connection) else {
            return;
        };
        let State::Active(session) = old.state else {
            return;
        };
        if self.active.get(session.client.as_bytes()) == Some(&connection) {
            self.active.remove(session.client.as_bytes());
        }
        if let Some(probe) = session.probe {
            self.admit(probe.challenger);
        }
    }

    fn admit(&mut self, connection: ConnectionId) {
        if !matches!(
            self.connections.get(&connection),
            Some(waiting) if matches!(waiting.state, State::Waiting { .. })
        ) {
            return;
        }
        if let Some(State::Waiting { authenticated, held }) =
            self.set_state(connection, State::Initial)
        {
            self.finish_authentication(connection, authenticated);
            for frame in held {
                self.accept_frame(connection, frame);
            }
        }
    }

    fn set_state(&mut self, connection: ConnectionId, state: State) -> Option<State> {
        let connection = self.connections.get_mut(&connection)?;
        Some(core::mem::replace(&mut connection.state, state))
    }

    fn fail_handshake(&mut self, connection: ConnectionId) {
        self.send_text(connection, HandshakeError::failure_text());
        self.refuse(connection, "registration failed");
    }

    /// Says that it failed and drops the connection. (protocol: gateway 14.7)
    fn refuse(&mut self, connection: ConnectionId, message: &str) {
        if !self.connections.contains_key(&connection) {
            return;
        }
        self.stats.refusals += 1;
        self.respond_error(connection, message);
        self.actions.push_back(Action::Close(connection));
        self.forget(connection);
    }
}
