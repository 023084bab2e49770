//! From an open connection to a ready session: version, registration or authentication.
//! (protocol: gateway 5 to 7)

use core::time::Duration;

use super::ready::Ready;
use super::{ANSWER_TIMEOUT, Session, SessionOutput, State, shortened};
use crate::client::action::{Connectivity, Registration, SessionFailure};
use crate::client::event::WsFrame;
use crate::gateway::{
    AuthenticateRequest, AwaitingConfirmation, AwaitingMaterial, ClientHandshake, ClientText,
    GatewayText, HandshakeError, ProtocolVersion, SharedKey, next_timestamp,
};
use crate::time::Instant;

/// Pause before the second attempt to authenticate; the clock must reach the next second.
/// protocol: gateway 15.2
const AUTHENTICATE_AGAIN: Duration = Duration::from_millis(1500);
/// Seconds a timestamp may be ahead of the gateway's clock. protocol: gateway 7.4
const CLOCK_SKEW_MAX: u64 = 120;

impl Session {
    pub(super) fn on_version(&mut self, now: Instant, deadline: Instant, message: GatewayText) {
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
                self.registered(Registration { last_authentication: timestamp, ..registration });
                self.write_text(&ClientText::Authenticate(request));
                self.state = State::Authenticating { key, version, deadline };
            }
            None => {
                let (handshake, text) =
                    ClientHandshake::start(&self.identity, &gateway, version, &mut self.stream);
                self.write(WsFrame::Text(text));
                self.state = State::Material { handshake, version, deadline };
            }
        }
    }

    pub(super) fn on_material(
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
                    self.state = State::Confirmation { handshake, version, deadline };
                }
                Err(error) => self.handshake_failed(now, &error),
            },
            GatewayText::HandshakeError { message } | GatewayText::Error { message } => {
                self.refused(now, message);
            }
            _ => self.state = State::Material { handshake, version, deadline },
        }
    }

    pub(super) fn on_confirmation(
        &mut self,
        now: Instant,
        (handshake, version, deadline): (AwaitingConfirmation, ProtocolVersion, Instant),
        message: GatewayText,
    ) {
        match message {
            GatewayText::Handshake(payload) => match handshake.handle(&payload) {
                Ok(established) => {
                    let key = established.shared_key;
                    // the gateway may hold the key from now on, whether or not it gets to say so.
                    // protocol: gateway 15.2
                    self.refusals = 0;
                    self.registered_with(now, &key);
                    self.state =
                        State::Registering { key, version, deadline: now + ANSWER_TIMEOUT };
                }
                Err(error) => self.handshake_failed(now, &error),
            },
            GatewayText::HandshakeError { message } | GatewayText::Error { message } => {
                self.refused(now, message);
            }
            _ => self.state = State::Confirmation { handshake, version, deadline },
        }
    }

    pub(super) fn on_register(
        &mut self,
        now: Instant,
        key: SharedKey,
        version: ProtocolVersion,
        message: GatewayText,
    ) {
        match message {
            GatewayText::Register { protocol_version, status: true, upgrade_mode } => {
                self.registered_with(now, &key);
                self.bandwidth = 0;
                let version = version.client_session_registered(protocol_version);
                self.ready(now, key, version, upgrade_mode);
            }
            GatewayText::Error { message } => self.refused(now, message),
            _ => self.fail(now, SessionFailure::Protocol),
        }
    }

    pub(super) fn on_authenticate(
        &mut self,
        now: Instant,
        key: SharedKey,
        version: ProtocolVersion,
        message: GatewayText,
    ) {
        match message {
            GatewayText::Authenticate {
                protocol_version,
                status: true,
                bandwidth_remaining,
                upgrade_mode,
            } => {
                let Ok(version) = version.client_session_authenticated(protocol_version) else {
                    self.unusable(now, SessionFailure::Incompatible);
                    return;
                };
                self.bandwidth = bandwidth_remaining;
                self.ready(now, key, version, upgrade_mode);
            }
            GatewayText::Authenticate { .. } => {
                self.refused(now, "authentication refused".to_owned())
            }
            GatewayText::Error { message } => self.refused(now, message),
            _ => self.fail(now, SessionFailure::Protocol),
        }
    }

    fn ready(
        &mut self,
        now: Instant,
        key: SharedKey,
        version: ProtocolVersion,
        is_unmetered: bool,
    ) {
        (self.refusals, self.has_been_ready) = (0, true);
        self.state = State::Ready(Box::new(Ready::new(now, key, version, is_unmetered)));
        self.outputs.push(SessionOutput::Connectivity(Connectivity::Ready));
        self.claim_if_low(now);
        self.outputs.push(SessionOutput::Up);
    }

    /// A new key. The current second counts as used, and a later one of an authentication before
    /// does so still, unless it is too late to be accepted. protocol: gateway 6.4, 7.4
    fn registered_with(&mut self, now: Instant, key: &SharedKey) {
        let Some(gateway) = self.gateway.as_ref().map(|gateway| gateway.identity) else {
            return;
        };
        let current = self.clock.unix(now).as_secs();
        let before = self.registration.as_ref().map_or(0, |old| old.last_authentication);
        let is_plausible = before <= current.saturating_add(CLOCK_SKEW_MAX);
        let last_authentication = if is_plausible { before.max(current) } else { current };
        self.registered(Registration { gateway, shared_key: key.clone(), last_authentication });
    }

    fn registered(&mut self, registration: Registration) {
        self.registration = Some(registration.clone());
        self.outputs.push(SessionOutput::Registered(registration));
        self.forget_oldest();
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

    pub(super) fn refused(&mut self, now: Instant, message: String) {
        self.refusals = self.refusals.saturating_add(1);
        let is_first = self.refusals == 1 && self.registration.is_some();
        let pause = is_first.then_some(AUTHENTICATE_AGAIN);
        self.fail_for(now, SessionFailure::Refused(shortened(message)), pause);
        if self.refusals > 2 && self.registration.is_some() {
            // registering anew was refused too: an old session lingers. Authentication evicts it.
            self.refusals = 0;
        }
    }

    /// A failure that will not go away by itself. A gateway that worked before gets the benefit of
    /// the doubt.
    pub(super) fn unusable(&mut self, now: Instant, failure: SessionFailure) {
        if self.has_been_ready {
            self.fail(now, failure);
            return;
        }
        self.drop_connection();
        self.gateway = None;
        self.outputs.push(SessionOutput::Unusable(failure));
    }
}
