use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{FailReason, WaitingFor};
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::message::SenderTag;

use super::*;
use crate::protocol::REQUEST_BYTES_MAX;
use crate::protocol::frame::Text;
use crate::protocol::response::Delivered;

const START: Instant = Instant::from_nanos(1_000_000_000_000);
const TAG: SenderTag = SenderTag::from_bytes([7; 16]);

fn later(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

fn address() -> Recipient {
    let key = *IdentityKeyPair::from_seed(&[1; 32]).public();
    let encryption = PrivateKey::from_bytes([2; 32]).public();
    Recipient { identity: key, encryption, gateway: key }
}

fn plain(data: &'static str) -> Message {
    Message::new(Addressee::Plain(address()), data)
}

fn on_lane(connection: u64) -> Message {
    Message { connection: Some(connection), ..plain("x") }
}

fn with_report(report: u64) -> Message {
    Message { report: Some(report), ..plain("x") }
}

fn delivery(number: u64) -> Event {
    let data = Bytes::copy_from_slice(&number.to_be_bytes());
    Event::Delivery { number, message: Delivered { data, tag: Some(TAG) } }
}

/// A conversation, and what it does at once.
struct Rig(Conversation);

impl Rig {
    fn new() -> Self {
        Self(Conversation::new(Settings::default(), None, START))
    }

    fn pushing(format: Format) -> Self {
        Self(Conversation::new(Settings::default(), Some(format), START))
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.at(START, event)
    }

    fn at(&mut self, now: Instant, event: Event) -> Vec<Action> {
        self.0.handle(now, event);
        core::iter::from_fn(|| self.0.poll_action()).collect()
    }

    fn asks(&mut self, format: Format, request: Request) -> Vec<Action> {
        self.on(Event::Frame(request.encode(format).unwrap()))
    }

    fn sends(&mut self, format: Format, message: Message) -> SendId {
        match &self.asks(format, Request::Send(message))[..] {
            [Action::Send { id, .. }] => *id,
            other => panic!("{other:?}"),
        }
    }

    fn sends_accepted(&mut self, message: Message) -> SendId {
        let id = self.sends(Format::Binary, message);
        assert_eq!(self.on(Event::Accepted(id)), []);
        id
    }
}

/// The only thing to do is to write this.
fn written(actions: &[Action]) -> (Format, Response) {
    match actions {
        [Action::Write(frame)] => (frame.format(), Response::decode(frame).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn error(actions: &[Action]) -> (Format, ErrorKind, String) {
    match written(actions) {
        (format, Response::Error { kind, message }) => (format, kind, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_have_the_form_of_their_request() {
    let mut rig = Rig::pushing(Format::Text);
    for format in [Format::Binary, Format::Text, Format::Binary] {
        assert_eq!(rig.asks(format, Request::SelfAddress), [Action::AskAddress]);
        let answer = written(&rig.on(Event::Address(address())));
        assert_eq!(answer, (format, Response::SelfAddress(address())));
    }
}

#[test]
fn a_message_without_a_connection_is_not_answered() {
    let mut rig = Rig::new();
    let request = Request::Send(Message::new(Addressee::Reply(TAG), "hello"));
    let actions = rig.asks(Format::Text, request);
    let (target, data) = (Target::Reply(TAG), Bytes::from_static(b"hello"));
    let send = Action::Send { id: SendId(1), target, lane: Lane::General, data };
    assert_eq!(actions, [send]);
    assert_eq!(rig.on(Event::Accepted(SendId(1))), []);
    assert!(rig.0.is_reading());
}

#[test]
fn a_message_with_a_connection_is_answered_with_what_waits_in_its_lane() {
    for (format, connection) in [(Format::Binary, 9), (Format::Text, 9), (Format::Text, 0)] {
        let mut rig = Rig::new();
        let id = rig.sends(format, on_lane(connection));
        let measure = Action::AskLaneLen(Lane::Connection(connection));
        assert_eq!(rig.on(Event::Accepted(id)), [measure]);
        let answer = written(&rig.on(Event::LaneLen(12)));
        assert_eq!(answer, (format, Response::LaneQueueLength { connection, packets: 12 }));
    }
}

#[test]
fn lanes_are_measured_and_closed_on_request() {
    let mut rig = Rig::new();
    let measure = rig.asks(Format::Binary, Request::GetLaneQueueLength(3));
    assert_eq!(measure, [Action::AskLaneLen(Lane::Connection(3))]);
    written(&rig.on(Event::LaneLen(0)));
    let close = rig.asks(Format::Binary, Request::ClosedConnection(3));
    assert_eq!(close, [Action::CloseLane(Lane::Connection(3))]);
}

#[test]
fn requests_are_worked_on_one_after_the_other() {
    let mut rig = Rig::new();
    let id = rig.sends(Format::Binary, plain("x"));
    assert!(!rig.0.is_reading());
    assert_eq!(rig.asks(Format::Text, Request::SelfAddress), []);
    assert_eq!(rig.on(Event::Accepted(SendId(99))), [], "another message");
    assert_eq!(rig.on(Event::Address(address())), [], "not asked for yet");
    assert_eq!(rig.on(Event::Accepted(id)), [Action::AskAddress]);
    assert_eq!(written(&rig.on(Event::Address(address()))).0, Format::Text);
    assert!(rig.0.is_reading());
}

#[test]
fn more_requests_than_can_wait_end_the_connection() {
    let mut rig = Rig::new();
    rig.sends(Format::Binary, plain("x"));
    for _ in 0..FRAMES_WAITING_MAX {
        assert_eq!(rig.asks(Format::Binary, Request::SelfAddress), []);
    }
    let end = [Action::Close(CloseReason::Overrun)];
    assert_eq!(rig.asks(Format::Binary, Request::SelfAddress), end);
    assert_eq!(rig.asks(Format::Binary, Request::SelfAddress), []);
}

#[test]
fn an_error_is_answered_in_the_form_of_the_request_and_ends_nothing() {
    let mut rig = Rig::new();
    let (format, kind, text) = error(&rig.on(Event::Frame(Frame::Text(Text::from("hello")))));
    assert_eq!((format, kind), (Format::Text, ErrorKind::MalformedRequest));
    assert!(text.contains("line 1"), "{text}");
    let (format, kind, _) = error(&rig.on(Event::Frame(Frame::Binary(Bytes::new()))));
    assert_eq!((format, kind), (Format::Binary, ErrorKind::EmptyRequest));
    assert!(rig.0.is_reading());
}

#[test]
fn the_old_request_for_the_address_is_answered_unless_switched_off() {
    let old = || Event::Frame(Frame::Binary(Bytes::from_static(&[2])));
    assert_eq!(Rig::new().on(old()), [Action::AskAddress]);
    let settings = Settings { answers_old_self_address: false, ..Settings::default() };
    let mut strict = Rig(Conversation::new(settings, None, START));
    assert_eq!(error(&strict.on(old())).1, ErrorKind::TooShortRequest);
}

#[test]
fn a_refused_message_is_an_error_that_names_the_recipient_and_the_reason() {
    let mut rig = Rig::new();
    let id = rig.sends(Format::Text, on_lane(4));
    let reason = RefusedReason::TooLarge { bytes: 99, max: 10 };
    let (format, kind, text) = error(&rig.on(Event::Refused(id, reason)));
    assert_eq!((format, kind), (Format::Text, ErrorKind::Other));
    assert!(text.contains(&address().to_string()) && text.contains("99"), "{text}");

    let id = rig.sends(Format::Binary, with_report(5));
    let (_, report) = written(&rig.on(Event::Refused(id, RefusedReason::UnknownTag)));
    let is_refused = |r| matches!(r, Response::Report { id: 5, status: Status::Refused, .. });
    assert!(is_refused(report));
    assert!(rig.0.is_reading());
}

#[test]
fn more_surbs_than_a_message_can_carry_are_refused() {
    let mut rig = Rig::new();
    let to = Addressee::Anonymous { recipient: address(), surbs: 65_536 };
    let request = Request::Send(Message::new(to, "x"));
    let (_, kind, text) = error(&rig.asks(Format::Binary, request));
    assert_eq!(kind, ErrorKind::Other);
    assert!(text.contains("65536"), "{text}");
}

#[test]
fn what_becomes_of_a_message_is_told_if_it_was_asked_for_or_is_bad() {
    let acknowledged =
        Outcome::Acknowledged { fragments: 1, retransmissions: 0, took: Duration::ZERO };
    let expired = Outcome::Expired { waiting_for: WaitingFor::RecipientGateway };
    let mut rig = Rig::new();

    let id = rig.sends_accepted(plain("x"));
    assert_eq!(rig.on(Event::Outcome(id, acknowledged)), []);
    let id = rig.sends_accepted(plain("x"));
    let (_, kind, text) = error(&rig.on(Event::Outcome(id, expired)));
    assert_eq!(kind, ErrorKind::Other);
    assert!(text.contains("gateway is not in the topology"), "{text}");
    assert_eq!(rig.on(Event::Outcome(id, expired)), [], "told once");

    for (outcome, expected) in [
        (acknowledged, Status::Acknowledged),
        (expired, Status::Expired),
        (Outcome::Failed(FailReason::Shutdown), Status::Failed),
    ] {
        let id = rig.sends_accepted(with_report(8));
        let (_, response) = written(&rig.on(Event::Outcome(id, outcome)));
        let Response::Report { id: 8, status, reason } = response else { panic!("{response:?}") };
        assert_eq!((status, reason.is_empty()), (expected, status == Status::Acknowledged));
    }
}

#[test]
fn a_program_that_drops_its_lane_is_not_told_that_the_messages_failed() {
    let mut rig = Rig::new();
    let id = rig.sends(Format::Binary, on_lane(4));
    rig.on(Event::Accepted(id));
    written(&rig.on(Event::LaneLen(1)));
    rig.asks(Format::Binary, Request::ClosedConnection(4));
    assert_eq!(rig.on(Event::Outcome(id, Outcome::Failed(FailReason::LaneClosed))), []);
}

#[test]
fn messages_are_held_back_until_the_program_has_spoken() {
    let mut rig = Rig::new();
    assert!(!rig.0.wants_delivery());
    rig.asks(Format::Text, Request::SelfAddress);
    assert!(!rig.0.wants_delivery(), "the answer comes first");
    rig.on(Event::Address(address()));
    assert!(rig.0.wants_delivery());
    assert_eq!(written(&rig.on(delivery(1))).0, Format::Text);
}

#[test]
fn a_program_that_says_nothing_gets_messages_in_the_binary_form_after_a_while() {
    let mut rig = Rig::new();
    assert_eq!(rig.0.next_deadline(), Some(later(150)));
    rig.at(later(149), Event::Tick);
    assert!(!rig.0.wants_delivery());
    rig.at(later(150), Event::Tick);
    assert!(rig.0.wants_delivery());
    assert_eq!(rig.0.next_deadline(), None);
    assert_eq!(written(&rig.on(delivery(1))).0, Format::Binary);
}

#[test]
fn a_program_can_fix_the_form_of_what_is_pushed() {
    for format in [Format::Binary, Format::Text] {
        let mut rig = Rig::pushing(format);
        assert!(rig.0.wants_delivery());
        assert_eq!(written(&rig.on(delivery(1))).0, format);
        for spoken in [Format::Binary, Format::Text] {
            rig.sends(spoken, plain("x"));
            assert!(rig.0.wants_delivery(), "even while a message waits to be accepted");
            assert_eq!(written(&rig.on(delivery(1))).0, format);
            let id = SendId(if spoken == Format::Binary { 1 } else { 2 });
            rig.on(Event::Accepted(id));
        }
    }
}

#[test]
fn pushed_messages_follow_the_form_of_the_last_request() {
    let mut rig = Rig::new();
    for format in [Format::Text, Format::Binary, Format::Text] {
        let id = rig.sends(format, plain("x"));
        rig.on(Event::Accepted(id));
        assert_eq!(written(&rig.on(delivery(1))).0, format);
    }
    // a request that is none counts too
    rig.on(Event::Frame(Frame::Binary(Bytes::new())));
    assert_eq!(written(&rig.on(delivery(1))).0, Format::Binary);
}

#[test]
fn a_message_is_delivered_when_the_socket_has_taken_it() {
    let mut rig = Rig::pushing(Format::Binary);
    rig.on(delivery(5));
    rig.asks(Format::Binary, Request::SelfAddress);
    rig.on(Event::Address(address()));
    rig.on(delivery(6));
    assert_eq!(rig.on(Event::Written), [Action::Delivered(5)]);
    assert_eq!(rig.on(Event::Written), [], "an answer");
    assert_eq!(rig.on(Event::Written), [Action::Delivered(6)]);
    assert_eq!(rig.on(Event::Written), [], "nothing was written");
}

#[test]
fn a_program_that_does_not_read_gets_no_more_and_is_not_read_from() {
    let mut rig = Rig::pushing(Format::Binary);
    let mut pushed = 0;
    while rig.0.wants_delivery() {
        rig.on(delivery(pushed));
        pushed += 1;
    }
    assert_eq!(pushed, 16);
    let mut answers = 0;
    while rig.0.is_reading() {
        rig.on(Event::Frame(Frame::Binary(Bytes::new())));
        answers += 1;
    }
    assert_eq!(answers, 16);
    rig.on(Event::Written);
    assert!(rig.0.wants_delivery() && !rig.0.is_reading());
}

#[test]
fn large_messages_wait_for_each_other() {
    let mut rig = Rig::pushing(Format::Binary);
    let message = Delivered { data: vec![0; 2 << 20].into(), tag: None };
    rig.on(Event::Delivery { number: 1, message });
    assert!(!rig.0.wants_delivery());
    rig.on(Event::Written);
    assert!(rig.0.wants_delivery());
}

#[test]
fn a_program_that_takes_nothing_for_too_long_is_disconnected() {
    let mut rig = Rig::pushing(Format::Binary);
    rig.at(later(0), delivery(1));
    rig.at(later(10), delivery(2));
    assert_eq!(rig.0.next_deadline(), Some(later(30_000)));
    assert_eq!(rig.at(later(29_000), Event::Written), [Action::Delivered(1)]);
    assert_eq!(rig.0.next_deadline(), Some(later(59_000)));
    assert_eq!(rig.at(later(58_999), Event::Tick), []);
    assert_eq!(rig.at(later(59_000), Event::Tick), [Action::Close(CloseReason::Stalled)]);
    assert_eq!(rig.0.next_deadline(), None);
    assert!(!rig.0.is_reading() && !rig.0.wants_delivery() && !rig.0.is_finished());
}

#[test]
fn a_message_too_long_to_be_read_is_answered_before_the_connection_ends() {
    let mut rig = Rig::new();
    let actions = rig.on(Event::TooLong(REQUEST_BYTES_MAX + 1));
    let (answer, end) = actions.split_at(1);
    assert!(error(answer).2.contains(&(REQUEST_BYTES_MAX + 1).to_string()));
    assert_eq!(end, [Action::Close(CloseReason::TooLong)]);
    assert_eq!(CloseReason::TooLong.code(), 1009);
}

#[test]
fn what_was_asked_for_before_the_end_is_done_and_nothing_is_written() {
    let mut rig = Rig::new();
    let id = rig.sends(Format::Binary, on_lane(1));
    rig.asks(Format::Binary, Request::Send(plain("second")));
    assert_eq!(rig.on(Event::Ended), []);
    assert!(rig.0.has_ended() && !rig.0.is_finished());
    assert_eq!(rig.on(Event::Accepted(id)), [Action::AskLaneLen(Lane::Connection(1))]);
    let [Action::Send { id, .. }] = rig.on(Event::LaneLen(1))[..] else { panic!() };
    assert_eq!(rig.on(Event::Refused(id, RefusedReason::ShuttingDown)), []);
    assert!(rig.0.is_finished());
    assert_eq!(rig.asks(Format::Binary, Request::SelfAddress), []);
}

#[test]
fn messages_that_never_end_are_forgotten_at_last() {
    let mut rig = Rig::new();
    let first = rig.sends_accepted(with_report(1));
    for _ in 0..4096 {
        rig.sends_accepted(plain("x"));
    }
    let outcome = Outcome::Failed(FailReason::Shutdown);
    assert_eq!(rig.on(Event::Outcome(first, outcome)), []);
    error(&rig.on(Event::Outcome(SendId(2), outcome)));
}
