//! A ready session: packets out, answers in, bandwidth, signs of life. (protocol: gateway 8, 11)

use core::time::Duration;
use std::collections::VecDeque;

use super::{Session, SessionOutput, State, shortened};
use crate::client::action::SessionFailure;
use crate::client::event::ConnectionId;
use crate::gateway::{ClientText, GatewayText, ProtocolVersion, SharedKey, UPGRADE_MODE_FLOOR};
use crate::time::Instant;

/// A ready session in which no request was answered for this long, though some wait, is dead. Pushes
/// are no sign of life: they depend on who writes to the client, and the end of a connection must not.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// The same, while there is reason to doubt the connection.
const SILENCE_SUSPECT: Duration = Duration::from_secs(3);
/// A session whose answers come later than this is of no use, however many come: what is sent now arrives
/// as late. Another connection does not have the queue that holds them up.
const LATENESS_MAX: Duration = Duration::from_secs(60);
/// A gateway that leaves what is outstanding without an answer for this long is reported as silent.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// Undecryptable frames in a row before the connection is given up. protocol: gateway 15.2
const BAD_FRAMES_MAX: u32 = 16;
/// A session that lasted this long has worked: the next pause is a short one again.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// A link that leaves requests unanswered for longer may be dead: what is lost on it should not be
/// anything that is used up by sending.
const ANSWER_EXPECTED: Duration = Duration::from_secs(2);
/// More bandwidth is claimed below this balance, in bytes: half of a mixnet entry ticket, so that a
/// refusal has hours to be mended. protocol: client 13.4
const CLAIM_AT: i64 = 100_000_000;
/// Pause after a claim that has not helped: doubled each time up to the maximum, with jitter on top.
const CLAIM_AGAIN: Duration = Duration::from_secs(60);
const CLAIM_AGAIN_MAX: Duration = Duration::from_secs(1800);

/// The connection packets leave on, and the key they are sealed with while the session is ready.
#[derive(Debug)]
pub(in crate::client) struct Link<'a> {
    pub(in crate::client) connection: ConnectionId,
    pub(in crate::client) key: &'a SharedKey,
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
    /// With the time each was sent.
    outstanding: VecDeque<(Request, Instant)>,
    /// Lateness from before this is not the connection's doing.
    late_from: Instant,
    is_claiming: bool,
    /// When bandwidth may be claimed next.
    claim_from: Instant,
    /// Claims in a row that did not help.
    vain_claims: u32,
    is_claim_refused: bool,
    /// The last packet was refused for want of bandwidth.
    is_refusing: bool,
    /// The gateway does not meter for now. protocol: gateway 12
    is_unmetered: bool,
    since: Instant,
    /// How long the gateway may leave what is outstanding without an answer.
    patience: Duration,
    /// Since when something is outstanding and nothing was answered.
    waiting_since: Option<Instant>,
    pub(super) bad_frames: u32,
}

impl Ready {
    pub(super) const fn new(
        now: Instant,
        key: SharedKey,
        version: ProtocolVersion,
        is_unmetered: bool,
    ) -> Self {
        Self {
            key,
            version,
            outstanding: VecDeque::new(),
            late_from: now,
            is_claiming: false,
            claim_from: now,
            vain_claims: 0,
            is_claim_refused: false,
            is_refusing: false,
            is_unmetered,
            since: now,
            patience: SILENCE_MAX,
            waiting_since: None,
            bad_frames: 0,
        }
    }

    /// There is reason to believe that the connection is dead.
    pub(super) fn doubt(&mut self, now: Instant) {
        if self.patience > SILENCE_SUSPECT {
            self.waiting_since = self.waiting_since.map(|_| now);
            self.patience = SILENCE_SUSPECT;
            self.late_from = now;
        }
    }

    /// True if the session has lasted for a while.
    pub(super) fn is_stable(&self, now: Instant) -> bool {
        now.since(self.since) >= STABLE_AFTER
    }

    fn expect(&mut self, now: Instant, request: Request) {
        self.outstanding.push_back((request, now));
        self.waiting_since.get_or_insert(now);
    }

    pub(super) fn dead_at(&self) -> Option<Instant> {
        let silent = self.waiting_since.map(|since| since + self.patience);
        let oldest = self.outstanding.front().map(|(_, sent)| *sent);
        let late = oldest.map(|sent| sent.max(self.late_from) + LATENESS_MAX);
        silent.into_iter().chain(late).min()
    }
}

impl Session {
    /// What a packet is sealed with and sent on, with a fresh nonce. `None` unless ready.
    pub(in crate::client) fn link(&mut self) -> Option<Link<'_>> {
        let State::Ready(ready) = &self.state else {
            return None;
        };
        let nonce = self.stream.bytes();
        Some(Link { connection: self.connection, key: &ready.key, nonce })
    }

    /// The version packets are framed in. `None` unless ready.
    pub(in crate::client) const fn version(&self) -> Option<ProtocolVersion> {
        match &self.state {
            State::Ready(ready) => Some(ready.version),
            _ => None,
        }
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

    /// True if the gateway has not answered for a while.
    pub(in crate::client) fn is_silent(&self, now: Instant) -> bool {
        let State::Ready(ready) = &self.state else {
            return false;
        };
        ready.waiting_since.is_some_and(|since| since + SILENT_AFTER <= now)
    }

    /// True if the gateway refuses packets for want of bandwidth, or refuses more bandwidth.
    pub(in crate::client) fn is_out_of_bandwidth(&self) -> bool {
        matches!(&self.state, State::Ready(ready) if ready.is_refusing || ready.is_claim_refused)
    }

    pub(super) fn on_answer(&mut self, now: Instant, message: GatewayText) {
        let request = self.answered(now);
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        let is_grant = matches!(message, GatewayText::Bandwidth { .. });
        match message {
            GatewayText::Send { remaining_bandwidth, upgrade_mode } => {
                self.bandwidth = remaining_bandwidth;
                (ready.is_unmetered, ready.is_refusing) = (upgrade_mode, false);
            }
            GatewayText::Bandwidth { available_total, upgrade_mode } => {
                self.bandwidth = available_total;
                ready.is_unmetered = upgrade_mode;
            }
            GatewayText::OutOfBandwidth { available, .. } => {
                self.bandwidth = available;
                (ready.is_unmetered, ready.is_refusing) = (false, true);
            }
            GatewayText::Error { message } => {
                self.outputs.push(SessionOutput::GatewayError(shortened(message)));
            }
            _ => {}
        }
        if request == Some(Request::Claim) {
            self.claimed(now, is_grant);
        }
        self.claim_if_low(now);
    }

    fn claimed(&mut self, now: Instant, is_grant: bool) {
        let needs_more = self.needs_bandwidth();
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        (ready.is_claiming, ready.is_claim_refused) = (false, !is_grant);
        if !needs_more {
            (ready.claim_from, ready.vain_claims) = (now, 0);
            return;
        }
        let due = CLAIM_AGAIN.saturating_mul(1 << ready.vain_claims.min(5)).min(CLAIM_AGAIN_MAX);
        ready.claim_from = now + due + self.jitter.up_to(due / 2);
        ready.vain_claims = ready.vain_claims.saturating_add(1);
    }

    fn needs_bandwidth(&self) -> bool {
        let is_unmetered = matches!(&self.state, State::Ready(ready) if ready.is_unmetered);
        self.bandwidth < if is_unmetered { UPGRADE_MODE_FLOOR } else { CLAIM_AT }
    }

    /// One more request is answered: answers come in the order of requests. (protocol: gateway 8.2)
    pub(super) fn answered(&mut self, now: Instant) -> Option<Request> {
        let State::Ready(ready) = &mut self.state else {
            return None;
        };
        ready.patience = SILENCE_MAX;
        let request = ready.outstanding.pop_front().map(|(request, _)| request);
        ready.waiting_since = (!ready.outstanding.is_empty()).then_some(now);
        request
    }

    /// Claims bandwidth in good time. Packets never wait for it, and as all of them cost the same, the
    /// time follows from the number of slots and not from what they carried. (protocol: client 17.4)
    pub(super) fn claim_if_low(&mut self, now: Instant) {
        let needs_more = self.needs_bandwidth();
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        if needs_more && !ready.is_claiming && ready.claim_from <= now {
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
