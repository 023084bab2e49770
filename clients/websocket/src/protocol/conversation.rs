//! One program and the client: requests one after the other, answers, and what is pushed.

mod event;
mod outgoing;
mod sent;

use core::time::Duration;
use std::collections::VecDeque;

use nym_proto::client::{Lane, Outcome, RefusedReason, Target};
use nym_proto::time::Instant;

pub use self::event::{Action, CloseReason, Event, SendId};
use self::outgoing::Outgoing;
use self::sent::{Ending, Sent, SentMessages};
use super::error::{ErrorKind, RequestError};
use super::frame::{Format, Frame};
use super::request::{Addressee, Message, Request};
use super::response::{Response, Status};

/// Frames that can wait behind an unfinished request. A shell that reads only while
/// [`Conversation::is_reading`] never has one wait.
const FRAMES_WAITING_MAX: usize = 4;

/// What the pre-2022 binary protocol has for [`Request::SelfAddress`]. No reply is so short, and the
/// answer has the same bytes. (protocol: websocket 3.1)
const OLD_SELF_ADDRESS: &[u8] = &[0x02];

/// How a client treats programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How long messages wait for a new program to say something, so that its form is known. Without a
    /// word it gets them in the binary form.
    pub grace: Duration,
    /// A program that has not taken what was written to it for so long is disconnected.
    pub stalled_after: Duration,
    /// Whether the single byte `02` is answered with the address.
    pub answers_old_self_address: bool,
    /// Whether a program is told of messages that were given up although it asked for no report.
    pub tells_failures: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(150),
            stalled_after: Duration::from_secs(30),
            answers_old_self_address: true,
            tells_failures: true,
        }
    }
}

/// The connection of one program, from the end of the websocket handshake on.
///
/// Hand in what happens with [`handle`](Self::handle), carry out what
/// [`poll_action`](Self::poll_action) gives, in order, and call again at
/// [`next_deadline`](Self::next_deadline). Read from the program only while
/// [`is_reading`](Self::is_reading), and hand in a message for it only while
/// [`wants_delivery`](Self::wants_delivery).
///
/// What a program asked for before its connection ended is still carried out; the conversation can be
/// dropped when it [`is_finished`](Self::is_finished).
#[derive(Debug)]
pub struct Conversation {
    settings: Settings,
    /// The form of what is pushed, as asked for in the URL.
    pushed: Option<Format>,
    /// The form of the last message of the program.
    spoken: Option<Format>,
    opens_at: Instant,
    is_open: bool,
    waiting: VecDeque<Frame>,
    step: Step,
    sent: SentMessages,
    outgoing: Outgoing,
    actions: VecDeque<Action>,
    life: Life,
}

/// What the request being worked on needs.
#[derive(Debug)]
enum Step {
    /// There is none.
    Idle,
    /// A verdict on a message.
    Accept(SendId, Format, Sent),
    /// The length of a lane.
    Measure(u64, Format),
    /// The address.
    Address(Format),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Connected,
    /// The end of the connection is asked for.
    Closing,
    Ended,
}

impl Conversation {
    /// A program has connected. `format`: the form it wants pushed messages to have.
    #[must_use]
    pub fn new(settings: Settings, format: Option<Format>, now: Instant) -> Self {
        Self {
            settings,
            pushed: format,
            spoken: None,
            opens_at: now + settings.grace,
            is_open: format.is_some() || settings.grace.is_zero(),
            waiting: VecDeque::new(),
            step: Step::Idle,
            sent: SentMessages::default(),
            outgoing: Outgoing::default(),
            actions: VecDeque::new(),
            life: Life::Connected,
        }
    }

    /// Takes in what happened. Events that fit nothing are ignored.
    pub fn handle(&mut self, now: Instant, event: Event) {
        self.is_open |= now >= self.opens_at;
        match event {
            Event::Frame(frame) => self.handle_frame(frame),
            Event::TooLong(len) => self.handle_too_long(now, len),
            Event::Accepted(id) => self.handle_accepted(id),
            Event::Refused(id, reason) => self.handle_refused(now, id, reason),
            Event::Outcome(id, outcome) => self.handle_outcome(now, id, outcome),
            Event::LaneLen(packets) => self.handle_lane_len(now, packets),
            Event::Address(address) => {
                if let Step::Address(format) = self.step {
                    self.step = Step::Idle;
                    self.write(now, format, &Response::SelfAddress(address));
                }
            }
            Event::Delivery { number, message } => {
                if self.life == Life::Connected {
                    let frame = Response::Received(message).encode(self.push_format());
                    self.outgoing.push(now, Some(number), frame.len());
                    self.actions.push_back(Action::Write(frame));
                }
            }
            Event::Written if self.life == Life::Ended => {}
            Event::Written => {
                let delivery = self.outgoing.handle_written(now);
                self.actions.extend(delivery.map(Action::Delivered));
            }
            Event::Ended => self.life = Life::Ended,
            Event::Tick => {}
        }
        self.work_off(now);
        if self.stalls_at().is_some_and(|at| now >= at) {
            self.close(CloseReason::Stalled);
        }
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let opens_at = (self.life == Life::Connected && !self.is_open).then_some(self.opens_at);
        opens_at.into_iter().chain(self.stalls_at()).min()
    }

    /// True if the next message of the program can be read. While a request waits, further ones wait in
    /// the program's socket: this is the back-pressure a program feels.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.life == Life::Connected
            && self.waiting.is_empty()
            && matches!(self.step, Step::Idle)
            && self.outgoing.has_room_for_answers()
    }

    /// True if a message that has arrived can be handed in: the form is known, and the program takes
    /// what it is given. An answer that is about to come is not overtaken.
    #[must_use]
    pub fn wants_delivery(&self) -> bool {
        self.life == Life::Connected
            && self.is_open
            && matches!(self.step, Step::Idle | Step::Accept(..))
            && self.outgoing.has_room_for_deliveries()
    }

    /// True until the connection has ended or its end is asked for.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.life == Life::Connected
    }

    /// True if the connection has ended, though not all the program asked for may be done.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.life == Life::Ended
    }

    /// True if the connection has ended and everything the program asked for is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.life == Life::Ended
            && self.waiting.is_empty()
            && matches!(self.step, Step::Idle)
            && self.actions.is_empty()
    }

    /// Asks for the end of the connection.
    pub fn close(&mut self, reason: CloseReason) {
        if self.life == Life::Connected {
            self.life = Life::Closing;
            self.actions.push_back(Action::Close(reason));
        }
    }

    // ---- requests ----------------------------------------------------------------------------

    fn handle_frame(&mut self, frame: Frame) {
        if self.life != Life::Connected {
            return;
        }
        if self.waiting.len() < FRAMES_WAITING_MAX {
            self.waiting.push_back(frame);
        } else {
            self.close(CloseReason::Overrun);
        }
    }

    fn handle_too_long(&mut self, now: Instant, len: usize) {
        let error = RequestError::TooLong(len);
        self.write(now, self.push_format(), &Response::from(&error));
        self.close(CloseReason::TooLong);
    }

    /// Works on what waits until something is needed from outside.
    fn work_off(&mut self, now: Instant) {
        while matches!(self.step, Step::Idle) {
            let Some(frame) = self.waiting.pop_front() else {
                return;
            };
            let format = frame.format();
            self.spoken = Some(format);
            self.is_open = true;
            match self.read(&frame) {
                Ok(request) => self.begin(now, format, request),
                Err(error) => self.write(now, format, &Response::from(&error)),
            }
        }
    }

    fn read(&self, frame: &Frame) -> Result<Request, RequestError> {
        match frame {
            Frame::Binary(bytes)
                if self.settings.answers_old_self_address && bytes == OLD_SELF_ADDRESS =>
            {
                Ok(Request::SelfAddress)
            }
            frame => Request::decode(frame),
        }
    }

    fn begin(&mut self, now: Instant, format: Format, request: Request) {
        match request {
            Request::Send(message) => self.begin_send(now, format, message),
            Request::SelfAddress => {
                self.step = Step::Address(format);
                self.actions.push_back(Action::AskAddress);
            }
            Request::ClosedConnection(id) => {
                let lane = Lane::Connection(id);
                self.sent.handle_closed(lane);
                self.actions.push_back(Action::CloseLane(lane));
            }
            Request::GetLaneQueueLength(id) => self.measure(id, format),
        }
    }

    fn begin_send(&mut self, now: Instant, format: Format, message: Message) {
        let lane = message.lane();
        let Message { to, connection, report, data } = message;
        let target = match to {
            Addressee::Plain(recipient) => Ok(Target::Plain(recipient)),
            Addressee::Anonymous { recipient, surbs } => match u16::try_from(surbs) {
                Ok(surbs) => Ok(Target::Anonymous { recipient, surbs }),
                Err(_) => Err(surbs),
            },
            Addressee::Reply(tag) => Ok(Target::Reply(tag)),
        };
        let sent = Sent { to, connection, report, is_dropped: false };
        match target {
            Ok(target) => {
                let id = self.sent.next_id();
                self.step = Step::Accept(id, format, sent);
                self.actions.push_back(Action::Send { id, target, lane, data });
            }
            Err(surbs) => {
                let reason = format!("a message may carry at most {} SURBs, not {surbs}", u16::MAX);
                self.refuse(now, format, &sent, reason);
            }
        }
    }

    fn handle_accepted(&mut self, accepted: SendId) {
        match core::mem::replace(&mut self.step, Step::Idle) {
            Step::Accept(id, format, sent) if id == accepted => {
                let connection = sent.connection;
                self.sent.insert(id, sent);
                // protocol: websocket 3.3
                if let Some(connection) = connection {
                    self.measure(connection, format);
                }
            }
            other => self.step = other,
        }
    }

    fn handle_refused(&mut self, now: Instant, refused: SendId, reason: RefusedReason) {
        match core::mem::replace(&mut self.step, Step::Idle) {
            Step::Accept(id, format, sent) if id == refused => {
                self.refuse(now, format, &sent, reason.to_string());
            }
            other => self.step = other,
        }
    }

    fn refuse(&mut self, now: Instant, format: Format, sent: &Sent, reason: String) {
        let response = match sent.report {
            Some(id) => Response::Report { id, status: Status::Refused, reason },
            None => Response::Error {
                kind: ErrorKind::Other,
                message: format!("message to {} refused: {reason}", sent.name()),
            },
        };
        self.write(now, format, &response);
    }

    fn measure(&mut self, connection: u64, format: Format) {
        self.step = Step::Measure(connection, format);
        self.actions.push_back(Action::AskLaneLen(Lane::Connection(connection)));
    }

    fn handle_lane_len(&mut self, now: Instant, packets: usize) {
        if let Step::Measure(connection, format) = self.step {
            self.step = Step::Idle;
            let packets = u64::try_from(packets).unwrap_or(u64::MAX);
            self.write(now, format, &Response::LaneQueueLength { connection, packets });
        }
    }

    // ---- what is written ---------------------------------------------------------------------

    fn handle_outcome(&mut self, now: Instant, id: SendId, outcome: Outcome) {
        let Some(sent) = self.sent.remove(id) else {
            return;
        };
        let ending = Ending::from(outcome);
        let response = match (sent.report, ending) {
            (Some(id), Ending { status, reason }) => Response::Report { id, status, reason },
            (None, Ending { status: Status::Acknowledged, .. }) => return,
            (None, _) if sent.is_dropped || !self.settings.tells_failures => return,
            (None, Ending { reason, .. }) => Response::Error {
                kind: ErrorKind::Other,
                message: format!("message to {} not delivered: {reason}", sent.name()),
            },
        };
        self.write(now, self.push_format(), &response);
    }

    /// The form of what nobody asked for.
    fn push_format(&self) -> Format {
        self.pushed.or(self.spoken).unwrap_or(Format::Binary)
    }

    fn write(&mut self, now: Instant, format: Format, response: &Response) {
        if self.life == Life::Connected {
            let frame = response.encode(format);
            self.outgoing.push(now, None, frame.len());
            self.actions.push_back(Action::Write(frame));
        }
    }

    fn stalls_at(&self) -> Option<Instant> {
        let since = self.outgoing.waits_since().filter(|_| self.life == Life::Connected)?;
        Some(since + self.settings.stalled_after)
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
