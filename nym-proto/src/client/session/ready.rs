//! A ready session: packets out, answers in, bandwidth, signs of life. (protocol: gateway 8, 11)

use core::time::Duration;
use std::collections::VecDeque;

use super::{Session, SessionOutput, State, shortened};
use crate::client::action::SessionFailure;
use crate::client::event::ConnectionId;
use crate::gateway::{CLAIM_BELOW, ClientText, GatewayText, ProtocolVersion, SharedKey};
use crate::time::Instant;

/// A ready session in which no request was answered for this long, though some wait, is dead. Pushes
/// are no sign of life: they depend on who writes to the client, and the end of a connection must not.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// The same, while there is reason to doubt the connection.
const SILENCE_SUSPECT: Duration = Duration::from_secs(3);
/// Undecryptable frames in a row before the connection is given up. protocol: gateway 15.2
const BAD_FRAMES_MAX: u32 = 16;
/// A session that lasted this long has worked: the next pause is a short one again.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// A link that leaves requests unanswered for longer may be dead: what is lost on it should not be
/// anything that is used up by sending.
const ANSWER_EXPECTED: Duration = Duration::from_secs(2);
/// Pause after a claim that was not granted.
const CLAIM_AGAIN: Duration = Duration::from_secs(60);

/// The key and version packets are sealed with while the session is ready.
#[derive(Debug)]
pub(in crate::client) struct Link<'a> {
    pub(in crate::client) connection: ConnectionId,
    pub(in crate::client) key: &'a SharedKey,
    pub(in crate::client) version: ProtocolVersion,
    pub(in crate::client) nonce: [u8; 12],
}

/// What the next text frame from the gateway answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Request {
    Forward,
    Claim,
}

/// What a ready session keeps.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) key: SharedKey,
    pub(super) version: ProtocolVersion,
    outstanding: VecDeque<Request>,
    is_claiming: bool,
    /// When bandwidth may be claimed next.
    claim_from: Instant,
    since: Instant,
    /// How long the gateway may leave what is outstanding without an answer.
    patience: Duration,
    /// Since when something is outstanding and nothing was answered.
    waiting_since: Option<Instant>,
    pub(super) bad_frames: u32,
}

impl Ready {
    pub(super) const fn new(now: Instant, key: SharedKey, version: ProtocolVersion) -> Self {
        Self {
            key,
            version,
            outstanding: VecDeque::new(),
            is_claiming: false,
            claim_from: now,
            since: now,
            patience: SILENCE_MAX,
            waiting_since: None,
            bad_frames: 0,
        }
    }

    /// There is reason to believe that the connection is dead.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.waiting_since = self.waiting_since.map(|_| now);
        self.patience = SILENCE_SUSPECT;
    }

    /// True if the session has lasted for a while.
    pub(super) fn is_stable(&self, now: Instant) -> bool {
        now.since(self.since) >= STABLE_AFTER
    }

    fn expect(&mut self, now: Instant, request: Request) {
        self.outstanding.push_back(request);
        self.waiting_since.get_or_insert(now);
    }

    pub(super) fn dead_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + self.patience)
    }
}

impl Session {
    /// What a packet is sealed with and sent on, with a fresh nonce. `None` unless ready.
    pub(in crate::client) fn link(&mut self) -> Option<Link<'_>> {
        let State::Ready(ready) = &self.state else {
            return None;
        };
        let nonce = self.stream.bytes();
        Some(Link { connection: self.connection, key: &ready.key, version: ready.version, nonce })
    }

    /// A packet was written on the link.
    pub(in crate::client) fn forwarded(&mut self, now: Instant) {
        if let State::Ready(ready) = &mut self.state {
            ready.expect(now, Request::Forward);
        }
    }

    /// True while the gateway answers what it is sent.
    pub(in crate::client) fn is_answering(&self, now: Instant) -> bool {
        matches!(&self.state, State::Ready(ready)
            if ready.waiting_since.is_none_or(|since| now.since(since) < ANSWER_EXPECTED))
    }

    /// Requests without an answer.
    pub(in crate::client) fn unanswered(&self) -> usize {
        match &self.state {
            State::Ready(ready) => ready.outstanding.len(),
            _ => 0,
        }
    }

    /// True if so many requests are unanswered that no more packet may be sent.
    pub(in crate::client) fn is_choked(&self) -> bool {
        matches!(&self.state, State::Ready(ready) if ready.outstanding.len() >= self.requests_max)
    }

    pub(super) fn on_answer(&mut self, now: Instant, message: GatewayText) {
        let request = self.answered(now);
        match message {
            GatewayText::Send { remaining_bandwidth, .. } => self.bandwidth = remaining_bandwidth,
            GatewayText::Bandwidth { available_total, .. } => self.bandwidth = available_total,
            GatewayText::OutOfBandwidth { available, .. } => self.bandwidth = available,
            GatewayText::Error { message } => {
                self.outputs.push(SessionOutput::GatewayError(shortened(message)));
            }
            _ => {}
        }
        if request == Some(Request::Claim) {
            let is_granted = self.bandwidth >= CLAIM_BELOW;
            if let State::Ready(ready) = &mut self.state {
                ready.is_claiming = false;
                ready.claim_from = if is_granted { now } else { now + CLAIM_AGAIN };
            }
        }
        self.claim_if_low(now);
    }

    /// One more request is answered: answers come in the order of requests. (protocol: gateway 8.2)
    pub(super) fn answered(&mut self, now: Instant) -> Option<Request> {
        let State::Ready(ready) = &mut self.state else {
            return None;
        };
        ready.patience = SILENCE_MAX;
        let request = ready.outstanding.pop_front();
        ready.waiting_since = (!ready.outstanding.is_empty()).then_some(now);
        request
    }

    pub(super) fn claim_if_low(&mut self, now: Instant) {
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        if self.bandwidth < CLAIM_BELOW && !ready.is_claiming && ready.claim_from <= now {
            ready.is_claiming = true;
            ready.expect(now, Request::Claim);
            self.write_text(&ClientText::ClaimFreeBandwidth);
        }
    }

    pub(super) fn bad_frame(&mut self, now: Instant) {
        self.outputs.push(SessionOutput::BadFrame);
        if let State::Ready(ready) = &mut self.state {
            ready.bad_frames += 1;
            if ready.bad_frames >= BAD_FRAMES_MAX {
                self.fail(now, SessionFailure::Protocol);
            }
        }
    }
}
