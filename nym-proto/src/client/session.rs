//! The connection to the gateway: connect, register or authenticate, ready, lost, back off.
//! (protocol: gateway 5 to 8, 15)

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::action::{Connectivity, Registration, SessionFailure};
use super::event::{ConnectionId, WsFrame};
use crate::entropy::Stream;
use crate::gateway::{
    AuthenticateRequest, AwaitingConfirmation, AwaitingMaterial, CLAIM_BELOW, ClientHandshake,
    ClientText, GatewayText, HandshakeError, ProtocolVersion, SharedKey, next_timestamp, open_push,
};
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::time::{Instant, UnixTime};

/// From asking for a connection until it must be ready.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// For each answer before the session is ready, and for claims. protocol: gateway 15.3
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A ready session with requests unanswered and nothing received for this long is dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// The same, while there is reason to doubt the connection.
const SILENCE_SUSPECT: Duration = Duration::from_secs(3);
/// Pause after a failure: doubled each time up to the maximum, with full jitter on top of half.
const BACK_OFF_MIN: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// Pause before the second attempt to authenticate; the clock must reach the next second.
/// protocol: gateway 15.2
const AUTHENTICATE_AGAIN: Duration = Duration::from_millis(1500);
/// Undecryptable frames in a row before the connection is given up. protocol: gateway 15.2
const BAD_FRAMES_MAX: u32 = 16;

/// Characters kept of an error text from outside.
const WORDS_MAX: usize = 200;

/// What the session wants done, or has to tell.
#[derive(Debug)]
pub(super) enum SessionOutput {
    Connect {
        connection: ConnectionId,
        urls: Vec<String>,
    },
    Write {
        connection: ConnectionId,
        frame: WsFrame,
    },
    Disconnect {
        connection: ConnectionId,
    },
    Connectivity(Connectivity),
    /// The gateway holds this registration.
    Registered(Registration),
    /// Frames flow from now on.
    Up,
    /// Frames stop flowing.
    Down,
    Failed {
        failure: SessionFailure,
        retry_in: Duration,
    },
    /// This gateway cannot be used at all.
    Unusable(SessionFailure),
    /// A pushed message, decrypted.
    Push(BytesMut),
    GatewayError(String),
    BadFrame,
}

/// What the next text frame from the gateway answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Request {
    Forward,
    Claim,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it per client")]
enum State {
    /// No gateway chosen, or stopped.
    Idle,
    BackOff {
        until: Instant,
    },
    Connecting {
        deadline: Instant,
    },
    Version {
        deadline: Instant,
    },
    Material {
        handshake: AwaitingMaterial,
        version: ProtocolVersion,
        deadline: Instant,
    },
    Confirmation {
        handshake: AwaitingConfirmation,
        version: ProtocolVersion,
        deadline: Instant,
    },
    Registering {
        key: SharedKey,
        version: ProtocolVersion,
        deadline: Instant,
    },
    Authenticating {
        key: SharedKey,
        version: ProtocolVersion,
        timestamp: u64,
        deadline: Instant,
    },
    Ready(Box<Ready>),
}

#[derive(Debug)]
struct Ready {
    key: SharedKey,
    version: ProtocolVersion,
    outstanding: VecDeque<Request>,
    is_claiming: bool,
    last_received: Instant,
    /// How long the gateway may be silent while something is outstanding.
    patience: Duration,
    /// Since when something is outstanding.
    waiting_since: Option<Instant>,
    bad_frames: u32,
}

/// A gateway to talk to.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    pub(super) identity: IdentityKey,
    pub(super) urls: Vec<String>,
}

/// The key and version packets are sealed with while the session is ready.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) connection: ConnectionId,
    pub(super) key: &'a SharedKey,
    pub(super) version: ProtocolVersion,
    pub(super) nonce: [u8; 12],
}

#[derive(Debug)]
pub(super) struct Session {
    identity: IdentityKeyPair,
    stream: Stream,
    jitter: Stream,
    requests_max: usize,
    gateway: Option<Gateway>,
    registration: Option<Registration>,
    connection: ConnectionId,
    state: State,
    failures: u32,
    refusals: u32,
    has_been_ready: bool,
    bandwidth: i64,
    clock: Clock,
    outputs: Vec<SessionOutput>,
}

/// Relates the two clocks.
#[derive(Clone, Copy, Debug)]
struct Clock {
    at: Instant,
    unix: UnixTime,
}

impl Clock {
    fn unix(&self, now: Instant) -> UnixTime {
        self.unix + now.since(self.at)
    }
}

impl Session {
    pub(super) fn new(
        identity: IdentityKeyPair,
        registration: Option<Registration>,
        requests_max: usize,
        now: Instant,
        unix: UnixTime,
        (stream, jitter): (Stream, Stream),
    ) -> Self {
        Self {
            identity,
            stream,
            jitter,
            requests_max,
            gateway: None,
            registration,
            connection: ConnectionId(0),
            state: State::Idle,
            failures: 0,
            refusals: 0,
            has_been_ready: false,
            bandwidth: 0,
            clock: Clock { at: now, unix },
            outputs: Vec::new(),
        }
    }

    /// What has been decided, in order.
    pub(super) fn outputs(&mut self) -> Vec<SessionOutput> {
        core::mem::take(&mut self.outputs)
    }

    pub(super) fn set_clock(&mut self, now: Instant, unix: UnixTime) {
        self.clock = Clock { at: now, unix };
    }

    /// The gateway in use.
    pub(super) const fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_ref()
    }

    /// Uses this gateway from now on. Connects if it is another one than before.
    pub(super) fn use_gateway(&mut self, now: Instant, gateway: Gateway) {
        let is_new = self
            .gateway
            .as_ref()
            .is_none_or(|old| old.identity != gateway.identity);
        if is_new {
            self.registration = self
                .registration
                .take()
                .filter(|r| r.gateway == gateway.identity);
            self.drop_connection();
            (self.failures, self.refusals, self.has_been_ready) = (0, 0, false);
        }
        self.gateway = Some(gateway);
        if is_new {
            self.connect(now);
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// True if this is the connection in use.
    pub(super) fn is_current(&self, connection: ConnectionId) -> bool {
        self.connection == connection
    }

    pub(super) const fn bandwidth(&self) -> i64 {
        self.bandwidth
    }

    /// What a packet is sealed with and sent on, with a fresh nonce. `None` unless ready.
    pub(super) fn link(&mut self) -> Option<Link<'_>> {
        let State::Ready(ready) = &self.state else {
            return None;
        };
        let nonce = self.stream.bytes();
        Some(Link {
            connection: self.connection,
            key: &ready.key,
            version: ready.version,
            nonce,
        })
    }

    /// A packet was written on the link.
    pub(super) fn forwarded(&mut self, now: Instant) {
        if let State::Ready(ready) = &mut self.state {
            ready.expect(now, Request::Forward);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Idle => None,
            State::BackOff { until } => Some(*until),
            State::Connecting { deadline }
            | State::Version { deadline }
            | State::Material { deadline, .. }
            | State::Confirmation { deadline, .. }
            | State::Registering { deadline, .. }
            | State::Authenticating { deadline, .. } => Some(*deadline),
            State::Ready(ready) => ready.dead_at(),
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        match self.state {
            State::BackOff { .. } => self.connect(now),
            _ => self.fail(now, SessionFailure::Timeout),
        }
    }

    /// The network may have changed: do not wait for the end of a pause, and doubt a connection
    /// that seems to work.
    pub(super) fn hurry(&mut self, now: Instant) {
        match &mut self.state {
            State::BackOff { until } => {
                *until = now;
                self.failures = 0;
            }
            State::Ready(ready) => {
                ready.patience = SILENCE_SUSPECT;
                ready.last_received = now;
            }
            _ => {}
        }
        self.tick(now);
    }

    pub(super) fn connected(&mut self, now: Instant, connection: ConnectionId) {
        if connection != self.connection || !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        self.state = State::Version {
            deadline: now + ANSWER_TIMEOUT,
        };
        self.outputs
            .push(SessionOutput::Connectivity(Connectivity::Authenticating));
        self.write_text(&ClientText::SupportedProtocol);
    }

    pub(super) fn closed(&mut self, now: Instant, connection: ConnectionId, reason: String) {
        if connection != self.connection
            || matches!(self.state, State::Idle | State::BackOff { .. })
        {
            return;
        }
        self.fail(now, SessionFailure::Closed(shortened(reason)));
    }

    /// Ends the session for good, with a Close frame.
    pub(super) fn stop(&mut self) {
        self.drop_connection();
        self.gateway = None;
        self.state = State::Idle;
    }

    pub(super) fn frame(&mut self, now: Instant, connection: ConnectionId, frame: WsFrame) {
        if connection != self.connection {
            return;
        }
        match frame {
            WsFrame::Text(text) => self.text(now, &text),
            WsFrame::Binary(bytes) => self.binary(now, bytes),
        }
    }

    fn binary(&mut self, now: Instant, frame: Bytes) {
        let key = match &mut self.state {
            State::Ready(ready) => {
                ready.heard(now);
                &ready.key
            }
            // stored messages may come before the answer: protocol: gateway 20, pitfall 9
            State::Registering { key, .. } | State::Authenticating { key, .. } => key,
            State::Confirmation { handshake, .. } => handshake.shared_key(),
            _ => return,
        };
        match open_push(key, BytesMut::from(frame)) {
            Ok(message) => {
                if let State::Ready(ready) = &mut self.state {
                    ready.bad_frames = 0;
                }
                self.outputs.push(SessionOutput::Push(message));
            }
            Err(_) => self.bad_frame(now),
        }
    }

    fn text(&mut self, now: Instant, text: &str) {
        let Ok(message) = GatewayText::decode(text) else {
            // whatever it was, it was the answer to a request
            self.answered(now);
            self.bad_frame(now);
            return;
        };
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Version { deadline } => self.on_version(now, deadline, message),
            State::Material {
                handshake,
                version,
                deadline,
            } => {
                self.on_material(now, (handshake, version, deadline), message);
            }
            State::Confirmation {
                handshake,
                version,
                deadline,
            } => {
                self.on_confirmation(now, (handshake, version, deadline), message);
            }
            State::Registering { key, version, .. } => self.on_register(now, key, version, message),
            State::Authenticating {
                key,
                version,
                timestamp,
                ..
            } => {
                self.on_authenticate(now, (key, version, timestamp), message);
            }
            State::Ready(ready) => {
                self.state = State::Ready(ready);
                self.on_answer(now, message);
            }
            other => self.state = other,
        }
    }

    fn on_version(&mut self, now: Instant, deadline: Instant, message: GatewayText) {
        let GatewayText::SupportedProtocol { version } = message else {
            self.state = State::Version { deadline };
            self.fail(now, SessionFailure::Protocol);
            return;
        };
        let Ok(version) = ProtocolVersion::client_proposal(version) else {
            self.unusable(now, SessionFailure::Incompatible);
            return;
        };
        let Some(gateway) = self.gateway.as_ref().map(|gateway| gateway.identity) else {
            return;
        };
        let deadline = now + ANSWER_TIMEOUT;
        // refused twice with the stored key: the gateway has forgotten it. protocol: gateway 15.2
        match self.registration.clone().filter(|_| self.refusals < 2) {
            Some(registration) => {
                let timestamp =
                    next_timestamp(self.clock.unix(now), Some(registration.last_authentication));
                let key = registration.shared_key.clone();
                let nonce = self.stream.bytes();
                let request =
                    AuthenticateRequest::new(&self.identity, &key, version, timestamp, nonce);
                // a timestamp counts as used once it has left. protocol: gateway 7.4
                self.registered(Registration {
                    last_authentication: timestamp,
                    ..registration
                });
                self.write_text(&ClientText::Authenticate(request));
                self.state = State::Authenticating {
                    key,
                    version,
                    timestamp,
                    deadline,
                };
            }
            None => {
                let (handshake, text) =
                    ClientHandshake::start(&self.identity, &gateway, version, &mut self.stream);
                self.write(WsFrame::Text(text));
                self.state = State::Material {
                    handshake,
                    version,
                    deadline,
                };
            }
        }
    }

    fn on_material(
        &mut self,
        now: Instant,
        (handshake, version, deadline): (AwaitingMaterial, ProtocolVersion, Instant),
        message: GatewayText,
    ) {
        match message {
            GatewayText::Handshake(payload) => match handshake.handle(&payload) {
                Ok((handshake, text)) => {
                    self.write(WsFrame::Text(text));
                    let deadline = now + ANSWER_TIMEOUT;
                    self.state = State::Confirmation {
                        handshake,
                        version,
                        deadline,
                    };
                }
                Err(error) => self.handshake_failed(now, &error),
            },
            GatewayText::HandshakeError { message } | GatewayText::Error { message } => {
                self.refused(now, message);
            }
            _ => {
                self.state = State::Material {
                    handshake,
                    version,
                    deadline,
                }
            }
        }
    }

    fn on_confirmation(
        &mut self,
        now: Instant,
        (handshake, version, deadline): (AwaitingConfirmation, ProtocolVersion, Instant),
        message: GatewayText,
    ) {
        match message {
            GatewayText::Handshake(payload) => match handshake.handle(&payload) {
                Ok(established) => {
                    let key = established.shared_key;
                    self.state = State::Registering {
                        key,
                        version,
                        deadline: now + ANSWER_TIMEOUT,
                    };
                }
                Err(error) => self.handshake_failed(now, &error),
            },
            GatewayText::HandshakeError { message } | GatewayText::Error { message } => {
                self.refused(now, message);
            }
            _ => {
                self.state = State::Confirmation {
                    handshake,
                    version,
                    deadline,
                }
            }
        }
    }

    fn on_register(
        &mut self,
        now: Instant,
        key: SharedKey,
        version: ProtocolVersion,
        message: GatewayText,
    ) {
        match message {
            GatewayText::Register {
                protocol_version,
                status: true,
                ..
            } => {
                let Some(gateway) = self.gateway.as_ref().map(|g| g.identity) else {
                    return;
                };
                let last_authentication = self.clock.unix(now).as_secs();
                self.registered(Registration {
                    gateway,
                    shared_key: key.clone(),
                    last_authentication,
                });
                self.bandwidth = 0;
                self.ready(
                    now,
                    key,
                    version.client_session_registered(protocol_version),
                );
            }
            GatewayText::Error { message } => self.refused(now, message),
            _ => self.fail(now, SessionFailure::Protocol),
        }
    }

    fn on_authenticate(
        &mut self,
        now: Instant,
        (key, version, _timestamp): (SharedKey, ProtocolVersion, u64),
        message: GatewayText,
    ) {
        match message {
            GatewayText::Authenticate {
                protocol_version,
                status: true,
                bandwidth_remaining,
                ..
            } => {
                let Ok(version) = version.client_session_authenticated(protocol_version) else {
                    self.unusable(now, SessionFailure::Incompatible);
                    return;
                };
                self.bandwidth = bandwidth_remaining;
                self.ready(now, key, version);
            }
            GatewayText::Authenticate { .. } => {
                self.refused(now, "authentication refused".to_owned())
            }
            GatewayText::Error { message } => self.refused(now, message),
            _ => self.fail(now, SessionFailure::Protocol),
        }
    }

    fn ready(&mut self, now: Instant, key: SharedKey, version: ProtocolVersion) {
        (self.failures, self.refusals, self.has_been_ready) = (0, 0, true);
        self.state = State::Ready(Box::new(Ready {
            key,
            version,
            outstanding: VecDeque::new(),
            is_claiming: false,
            last_received: now,
            patience: SILENCE_MAX,
            waiting_since: None,
            bad_frames: 0,
        }));
        self.outputs
            .push(SessionOutput::Connectivity(Connectivity::Ready));
        self.claim_if_low(now);
        self.outputs.push(SessionOutput::Up);
    }

    fn on_answer(&mut self, now: Instant, message: GatewayText) {
        let request = self.answered(now);
        match message {
            GatewayText::Send {
                remaining_bandwidth,
                ..
            } => self.bandwidth = remaining_bandwidth,
            GatewayText::Bandwidth {
                available_total, ..
            } => self.bandwidth = available_total,
            GatewayText::OutOfBandwidth { available, .. } => self.bandwidth = available,
            GatewayText::Error { message } => {
                self.outputs
                    .push(SessionOutput::GatewayError(shortened(message)));
            }
            _ => {}
        }
        if request == Some(Request::Claim) {
            // a refused claim is not repeated in this session
            let is_granted = self.bandwidth >= CLAIM_BELOW;
            if let State::Ready(ready) = &mut self.state {
                ready.is_claiming = !is_granted;
            }
        }
        self.claim_if_low(now);
    }

    /// One more request is answered: answers come in the order of requests. (protocol: gateway 8.2)
    fn answered(&mut self, now: Instant) -> Option<Request> {
        let State::Ready(ready) = &mut self.state else {
            return None;
        };
        ready.heard(now);
        let request = ready.outstanding.pop_front();
        ready.waiting_since = (!ready.outstanding.is_empty()).then_some(now);
        request
    }

    fn claim_if_low(&mut self, now: Instant) {
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        if self.bandwidth < CLAIM_BELOW && !ready.is_claiming {
            ready.is_claiming = true;
            ready.expect(now, Request::Claim);
            self.write_text(&ClientText::ClaimFreeBandwidth);
        }
    }

    fn bad_frame(&mut self, now: Instant) {
        self.outputs.push(SessionOutput::BadFrame);
        if let State::Ready(ready) = &mut self.state {
            ready.bad_frames += 1;
            if ready.bad_frames >= BAD_FRAMES_MAX {
                self.fail(now, SessionFailure::Protocol);
            }
        }
    }

    fn connect(&mut self, now: Instant) {
        let Some(gateway) = &self.gateway else { return };
        self.connection = ConnectionId(self.connection.0 + 1);
        self.state = State::Connecting {
            deadline: now + CONNECT_TIMEOUT,
        };
        self.outputs
            .push(SessionOutput::Connectivity(Connectivity::Connecting));
        self.outputs.push(SessionOutput::Connect {
            connection: self.connection,
            urls: gateway.urls.clone(),
        });
    }

    fn registered(&mut self, registration: Registration) {
        self.registration = Some(registration.clone());
        self.outputs.push(SessionOutput::Registered(registration));
    }

    fn handshake_failed(&mut self, now: Instant, error: &HandshakeError) {
        if let HandshakeError::Remote(message) = error {
            self.refused(now, message.clone());
            return;
        }
        self.write(WsFrame::Text(HandshakeError::failure_text()));
        match error {
            HandshakeError::Decryption | HandshakeError::InvalidSignature => {
                self.unusable(now, SessionFailure::WrongIdentity);
            }
            HandshakeError::UnsupportedVersion(_) => {
                self.unusable(now, SessionFailure::Incompatible)
            }
            _ => self.fail(now, SessionFailure::Protocol),
        }
    }

    fn refused(&mut self, now: Instant, message: String) {
        self.refusals = self.refusals.saturating_add(1);
        self.fail(now, SessionFailure::Refused(shortened(message)));
        if self.refusals == 1 && self.registration.is_some() {
            self.state = State::BackOff {
                until: now + AUTHENTICATE_AGAIN,
            };
        }
        if self.refusals > 2 && self.registration.is_some() {
            // registering anew was refused too: an old session lingers. Authentication evicts it.
            self.refusals = 0;
        }
    }

    /// A failure that will not go away by itself. A gateway that worked before gets the benefit of
    /// the doubt.
    fn unusable(&mut self, now: Instant, failure: SessionFailure) {
        if self.has_been_ready {
            self.fail(now, failure);
            return;
        }
        self.drop_connection();
        self.gateway = None;
        self.outputs.push(SessionOutput::Unusable(failure));
    }

    fn fail(&mut self, now: Instant, failure: SessionFailure) {
        self.drop_connection();
        let pause = BACK_OFF_MIN
            .saturating_mul(1 << self.failures.min(7))
            .min(BACK_OFF_MAX);
        let retry_in = pause / 2 + self.jitter.up_to(pause / 2);
        self.failures = self.failures.saturating_add(1);
        self.state = State::BackOff {
            until: now + retry_in,
        };
        self.outputs
            .push(SessionOutput::Failed { failure, retry_in });
    }

    fn drop_connection(&mut self) {
        let was_ready = self.is_ready();
        let was_open = !matches!(self.state, State::Idle | State::BackOff { .. });
        // the number is used up even if the state was taken out while an answer was handled
        if self.connection.0 > 0 && (was_open || self.gateway.is_some()) {
            self.outputs.push(SessionOutput::Disconnect {
                connection: self.connection,
            });
            self.connection = ConnectionId(self.connection.0 + 1);
        }
        self.state = State::Idle;
        if was_ready {
            self.outputs.push(SessionOutput::Down);
        }
        self.outputs
            .push(SessionOutput::Connectivity(Connectivity::Offline));
    }

    fn write_text(&mut self, text: &ClientText) {
        self.write(WsFrame::Text(text.encode()));
    }

    fn write(&mut self, frame: WsFrame) {
        self.outputs.push(SessionOutput::Write {
            connection: self.connection,
            frame,
        });
    }

    /// True if so many requests are unanswered that no more packet may be sent.
    pub(super) fn is_choked(&self) -> bool {
        matches!(&self.state, State::Ready(ready) if ready.outstanding.len() >= self.requests_max)
    }
}

impl Ready {
    fn expect(&mut self, now: Instant, request: Request) {
        self.outstanding.push_back(request);
        self.waiting_since.get_or_insert(now);
    }

    fn heard(&mut self, now: Instant) {
        self.last_received = now;
        self.patience = SILENCE_MAX;
    }

    fn dead_at(&self) -> Option<Instant> {
        self.waiting_since
            .map(|since| since.max(self.last_received) + self.patience)
    }
}

/// Words from outside, cut to what is worth keeping.
fn shortened(mut words: String) -> String {
    if let Some((end, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(end);
    }
    words
}
