//! The connection to the gateway: connect, register or authenticate, ready, lost, back off.
//! (protocol: gateway 5 to 8, 15)

mod admission;
mod ready;

use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::action::{Connectivity, Registration, SessionFailure};
use super::event::{ConnectionId, WsFrame};
use crate::entropy::Stream;
use crate::gateway::{
    AwaitingConfirmation, AwaitingMaterial, ClientText, GatewayText, LinkCipher, ProtocolVersion,
    SharedKey, open_push_with,
};
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::limits::Limits;
use crate::time::{Instant, UnixTime};

use self::ready::Ready;

/// From asking for a connection until it must be ready.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// For each answer before the session is ready, and for claims. protocol: gateway 15.3
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failure: doubled each time up to the maximum, with full jitter on top of half.
const BACK_OFF_MIN: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

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
    /// There are too many registrations; the one with this gateway is given up.
    Forgotten(IdentityKey),
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
        deadline: Instant,
    },
    Ready(Box<Ready>),
}

/// A gateway to talk to.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    pub(super) identity: IdentityKey,
    pub(super) urls: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Session {
    identity: IdentityKeyPair,
    stream: Stream,
    jitter: Stream,
    requests_max: usize,
    gateway: Option<Gateway>,
    /// With the gateway in use ...
    registration: Option<Registration>,
    /// ... and with others.
    registrations: Vec<Registration>,
    registrations_max: usize,
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
        limits: &Limits,
        now: Instant,
        unix: UnixTime,
        (stream, jitter): (Stream, Stream),
    ) -> Self {
        Self {
            identity,
            stream,
            jitter,
            requests_max: limits.gateway_requests_max,
            gateway: None,
            registration: None,
            registrations: Vec::new(),
            registrations_max: limits.registrations_max,
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

    /// The wall clock.
    pub(super) fn unix_time(&self, now: Instant) -> UnixTime {
        self.clock.unix(now)
    }

    /// A registration of an earlier run. To be called before a gateway is used.
    pub(super) fn restore(&mut self, registration: Registration) {
        self.registrations.push(registration);
        self.forget_oldest();
    }

    /// The gateway, other than the one in use, to which the client was connected last.
    pub(super) fn known_gateway(&self) -> Option<IdentityKey> {
        let latest = self.registrations.iter().max_by_key(|kept| kept.last_authentication);
        latest.map(|registration| registration.gateway)
    }

    fn forget_oldest(&mut self) {
        let others_max = self.registrations_max.saturating_sub(self.registration.iter().len());
        while self.registrations.len() > others_max {
            let kept = self.registrations.iter().enumerate();
            let Some((oldest, _)) = kept.min_by_key(|(_, kept)| kept.last_authentication) else {
                break;
            };
            let forgotten = self.registrations.swap_remove(oldest);
            self.outputs.push(SessionOutput::Forgotten(forgotten.gateway));
        }
    }

    /// The gateway in use.
    pub(super) const fn gateway(&self) -> Option<&Gateway> {
        self.gateway.as_ref()
    }

    /// Uses this gateway from now on. Connects if it is another one than before.
    pub(super) fn use_gateway(&mut self, now: Instant, gateway: Gateway) {
        let is_new = self.gateway.as_ref().is_none_or(|old| old.identity != gateway.identity);
        if is_new {
            self.registrations.extend(self.registration.take());
            let kept = self.registrations.iter().position(|r| r.gateway == gateway.identity);
            self.registration = kept.map(|index| self.registrations.swap_remove(index));
            self.drop_connection();
            (self.failures, self.refusals, self.has_been_ready) = (0, 0, false);
        }
        self.gateway = Some(gateway);
        if is_new {
            self.connect(now);
        }
    }

    /// True if the gateway in use has accepted the client, now or in an earlier run.
    pub(super) const fn is_registered(&self) -> bool {
        self.registration.is_some()
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
                ready.doubt(now);
            }
            _ => {}
        }
        self.tick(now);
    }

    pub(super) fn connected(&mut self, now: Instant, connection: ConnectionId) {
        if connection != self.connection || !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        self.state = State::Version { deadline: now + ANSWER_TIMEOUT };
        self.outputs.push(SessionOutput::Connectivity(Connectivity::Authenticating));
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

    pub(super) fn frame(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        frame: WsFrame,
        cipher: &dyn LinkCipher,
    ) {
        if connection != self.connection {
            return;
        }
        match frame {
            WsFrame::Text(text) => self.text(now, &text),
            WsFrame::Binary(bytes) => self.binary(now, bytes, cipher),
        }
    }

    fn binary(&mut self, now: Instant, frame: Bytes, cipher: &dyn LinkCipher) {
        let key = match &self.state {
            State::Ready(ready) => &ready.key,
            // stored messages may come before the answer: protocol: gateway 20, pitfall 9
            State::Registering { key, .. } | State::Authenticating { key, .. } => key,
            State::Confirmation { handshake, .. } => handshake.shared_key(),
            _ => return,
        };
        match open_push_with(cipher, key, BytesMut::from(frame)) {
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
            let is_answer = matches!(
                self.state,
                State::Version { .. } | State::Registering { .. } | State::Authenticating { .. }
            );
            if is_answer {
                self.fail(now, SessionFailure::Protocol);
            }
            return;
        };
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Version { deadline } => self.on_version(now, deadline, message),
            State::Material { handshake, version, deadline } => {
                self.on_material(now, (handshake, version, deadline), message);
            }
            State::Confirmation { handshake, version, deadline } => {
                self.on_confirmation(now, (handshake, version, deadline), message);
            }
            State::Registering { key, version, .. } => self.on_register(now, key, version, message),
            State::Authenticating { key, version, .. } => {
                self.on_authenticate(now, key, version, message);
            }
            State::Ready(ready) => {
                self.state = State::Ready(ready);
                self.on_answer(now, message);
            }
            other => self.state = other,
        }
    }

    fn connect(&mut self, now: Instant) {
        let Some(gateway) = &self.gateway else { return };
        self.connection = ConnectionId(self.connection.0 + 1);
        self.state = State::Connecting { deadline: now + CONNECT_TIMEOUT };
        self.outputs.push(SessionOutput::Connectivity(Connectivity::Connecting));
        self.outputs.push(SessionOutput::Connect {
            connection: self.connection,
            urls: gateway.urls.clone(),
        });
    }

    fn fail(&mut self, now: Instant, failure: SessionFailure) {
        self.fail_for(now, failure, None);
    }

    /// As [`fail`](Self::fail), with another pause than the one that is due.
    fn fail_for(&mut self, now: Instant, failure: SessionFailure, pause: Option<Duration>) {
        if matches!(&self.state, State::Ready(ready) if ready.is_stable(now)) {
            self.failures = 0;
        }
        self.drop_connection();
        let due = BACK_OFF_MIN.saturating_mul(1 << self.failures.min(7)).min(BACK_OFF_MAX);
        let retry_in = pause.unwrap_or_else(|| due / 2 + self.jitter.up_to(due / 2));
        self.failures = self.failures.saturating_add(1);
        self.state = State::BackOff { until: now + retry_in };
        self.outputs.push(SessionOutput::Failed { failure, retry_in });
    }

    fn drop_connection(&mut self) {
        let was_ready = self.is_ready();
        let was_open = !matches!(self.state, State::Idle | State::BackOff { .. });
        // the number is used up even if the state was taken out while an answer was handled
        if self.connection.0 > 0 && (was_open || self.gateway.is_some()) {
            self.outputs.push(SessionOutput::Disconnect { connection: self.connection });
            self.connection = ConnectionId(self.connection.0 + 1);
        }
        self.state = State::Idle;
        if was_ready {
            self.outputs.push(SessionOutput::Down);
        }
        self.outputs.push(SessionOutput::Connectivity(Connectivity::Offline));
    }

    fn write_text(&mut self, text: &ClientText) {
        self.write(WsFrame::Text(text.encode()));
    }

    fn write(&mut self, frame: WsFrame) {
        self.outputs.push(SessionOutput::Write { connection: self.connection, frame });
    }
}

/// Words from outside, cut to what is worth keeping.
fn shortened(mut words: String) -> String {
    if let Some((end, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(end);
    }
    words
}
