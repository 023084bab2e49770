use core::time::Duration;

use bytes::Bytes;
use nym_proto::message::SenderTag;

use super::*;
use crate::protocol::frame::{Format, Frame};
use crate::protocol::request::{Addressee, Message, Request};
use crate::protocol::response::Response;

const START: Instant = Instant::from_nanos(1_000_000_000_000);
const A: ProgramId = ProgramId(1);
const B: ProgramId = ProgramId(2);
const C: ProgramId = ProgramId(3);

struct Rig(Programs);

impl Rig {
    fn new(programs_max: usize) -> Self {
        let settings = Settings { programs_max, mailbox_bytes_max: 8000, ..Settings::default() };
        Self(Programs::new(Settings { copies_bytes_max: 8000, ..settings }))
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.0.handle(START, event);
        core::iter::from_fn(|| self.0.poll_action()).collect()
    }

    fn accepts(&mut self, id: ProgramId) -> Vec<Action> {
        self.on(Event::Accepted(id))
    }

    fn connects(&mut self, id: ProgramId, target: &str) -> Vec<Action> {
        assert_eq!(self.accepts(id), []);
        self.on(Event::Connected(id, Query::parse(target).unwrap()))
    }

    fn of(&mut self, id: ProgramId, event: conversation::Event) -> Vec<Action> {
        self.on(Event::Program(id, event))
    }

    fn arrives(&mut self, text: &str) -> Vec<Action> {
        let data = Bytes::copy_from_slice(text.as_bytes());
        self.on(Event::Arrived(Delivery { data, origin: DeliveryOrigin::Plain }))
    }

    /// The socket takes everything at once.
    fn takes(&mut self, id: ProgramId, frames: usize) {
        (0..frames).for_each(|_| drop(self.of(id, conversation::Event::Written)));
    }
}

fn close(id: ProgramId, reason: CloseReason) -> Action {
    Action::Program(id, conversation::Action::Close(reason))
}

/// Who is given which message.
fn given(actions: &[Action]) -> Vec<(ProgramId, String)> {
    let message = |action: &Action| match action {
        Action::Program(id, conversation::Action::Write(frame)) => match Response::decode(frame) {
            Ok(Response::Received(message)) => {
                Some((*id, String::from_utf8_lossy(&message.data).into_owned()))
            }
            _ => None,
        },
        _ => None,
    };
    actions.iter().filter_map(message).collect()
}

fn to(id: ProgramId, texts: &[&str]) -> Vec<(ProgramId, String)> {
    texts.iter().map(|text| (id, (*text).to_owned())).collect()
}

#[test]
fn a_second_program_is_refused_and_the_first_does_not_notice() {
    let mut rig = Rig::new(1);
    assert!(rig.0.has_room());
    rig.connects(A, "/?format=text");
    assert!(!rig.0.has_room());
    assert_eq!(rig.accepts(B), [close(B, CloseReason::Full)]);
    assert_eq!(rig.of(B, conversation::Event::Ended), []);
    assert_eq!(given(&rig.arrives("x")), to(A, &["x"]));
    rig.of(A, conversation::Event::Ended);
    assert!(rig.0.has_room());
}

#[test]
fn a_handshake_holds_no_place_and_who_finishes_first_gets_it() {
    let mut rig = Rig::new(1);
    rig.arrives("x");
    assert_eq!((rig.accepts(A), rig.accepts(B), rig.accepts(C)), (vec![], vec![], vec![]));
    rig.of(C, conversation::Event::Ended);
    let query = Query { format: Some(Format::Text), ..Query::default() };
    assert_eq!(given(&rig.on(Event::Connected(B, query))), to(B, &["x"]));
    assert_eq!(rig.on(Event::Connected(A, query)), [close(A, CloseReason::Full)]);
    assert_eq!(rig.on(Event::Connected(C, query)), [], "its connection is gone");
}

#[test]
fn a_handshake_is_given_up_after_a_while() {
    let mut rig = Rig::new(1);
    rig.accepts(A);
    let at = rig.0.next_deadline().unwrap();
    assert_eq!(at, START + Duration::from_secs(5));
    rig.0.handle(at, Event::Tick);
    assert_eq!(rig.0.poll_action(), Some(close(A, CloseReason::Handshake)));
    assert_eq!(rig.0.next_deadline(), None);
    assert_eq!(rig.on(Event::Connected(A, Query::default())), []);
}

#[test]
fn many_handshakes_keep_nobody_out() {
    let mut rig = Rig::new(1);
    for id in 100..132 {
        assert_eq!(rig.accepts(ProgramId(id)), []);
    }
    assert_eq!(rig.accepts(A), [close(ProgramId(100), CloseReason::Handshake)]);
    rig.on(Event::Connected(A, Query::default()));
    assert!(rig.0.is_reading(A));
}

#[test]
fn what_arrived_before_is_given_to_the_first_that_connects_in_order() {
    let mut rig = Rig::new(1);
    for text in ["a", "b", "c"] {
        assert_eq!(rig.arrives(text), []);
    }
    assert_eq!(given(&rig.connects(A, "/?format=binary")), to(A, &["a", "b", "c"]));
    assert_eq!(given(&rig.arrives("d")), to(A, &["d"]));
    rig.takes(A, 4);
    assert_eq!((rig.0.waiting(), rig.0.waiting_bytes()), (0, 0));
}

#[test]
fn without_a_format_it_waits_for_the_first_word_or_a_moment() {
    let mut rig = Rig::new(1);
    rig.arrives("a");
    assert_eq!(rig.connects(A, "/"), []);
    let at = rig.0.next_deadline().unwrap();
    assert_eq!(at, START + Duration::from_millis(150));
    rig.0.handle(at, Event::Tick);
    let actions: Vec<Action> = core::iter::from_fn(|| rig.0.poll_action()).collect();
    assert_eq!(given(&actions), to(A, &["a"]));
    assert_eq!(rig.0.next_deadline(), Some(at + Duration::from_secs(30)));
}

#[test]
fn what_the_socket_had_not_taken_is_given_to_the_next_program() {
    let mut rig = Rig::new(1);
    rig.connects(A, "/?format=text");
    for text in ["a", "b", "c"] {
        assert_eq!(given(&rig.arrives(text)), to(A, &[text]));
    }
    rig.takes(A, 1);
    rig.of(A, conversation::Event::Ended);
    assert_eq!(rig.0.waiting(), 2);
    assert_eq!(given(&rig.connects(B, "/?format=text")), to(B, &["b", "c"]));
}

#[test]
fn of_several_programs_the_one_connected_for_longest_receives() {
    let mut rig = Rig::new(3);
    rig.connects(B, "/?format=text");
    rig.connects(A, "/?format=text");
    assert_eq!(given(&rig.arrives("x")), to(B, &["x"]));
    assert_eq!(given(&rig.of(B, conversation::Event::Ended)), to(A, &["x"]), "it was not taken");
    assert_eq!(given(&rig.arrives("y")), to(A, &["y"]));
}

#[test]
fn copies_take_nothing_away() {
    let mut rig = Rig::new(3);
    rig.arrives("early");
    assert_eq!(given(&rig.connects(A, "/?format=text&receive=copy")), []);
    assert_eq!(given(&rig.arrives("x")), to(A, &["x"]));
    rig.takes(A, 1);
    assert_eq!(rig.0.waiting(), 2);
    assert_eq!(given(&rig.connects(B, "/?format=text")), to(B, &["early", "x"]));
    assert_eq!(given(&rig.arrives("y")), [to(A, &["y"]), to(B, &["y"])].concat());
    rig.takes(B, 3);
    assert_eq!(rig.0.waiting(), 0);
}

#[test]
fn a_program_that_does_not_take_its_copies_is_disconnected_and_others_do_not_notice() {
    let mut rig = Rig::new(2);
    rig.connects(A, "/?format=text&receive=copy");
    rig.connects(B, "/?format=text");
    let mut closed = false;
    for _ in 0..200 {
        let actions = rig.arrives("x");
        assert!(given(&actions).contains(&(B, "x".to_owned())));
        rig.takes(B, 1);
        closed |= actions.contains(&close(A, CloseReason::Stalled));
    }
    assert!(closed);
}

#[test]
fn with_nobody_there_the_oldest_messages_make_room_and_that_is_said() {
    let mut rig = Rig::new(1);
    let lost = |actions: Vec<Action>| match actions[..] {
        [] => 0,
        [Action::Lost { messages, bytes: 872 }] => messages,
        ref other => panic!("{other:?}"),
    };
    let text = "x".repeat(872);
    let total: usize = (0..20).map(|_| lost(rig.arrives(&text))).sum();
    assert_eq!((rig.0.waiting(), total), (8, 12));
    assert_eq!(rig.0.waiting_bytes(), 8000);
}

#[test]
fn a_program_that_sends_and_leaves_has_sent_and_holds_no_slot() {
    let mut rig = Rig::new(1);
    rig.connects(A, "/");
    let request =
        Request::Send(Message::new(Addressee::Reply(SenderTag::from_bytes([1; 16])), "x"));
    let frame: Frame = request.encode(Format::Text).unwrap();
    let actions = rig.of(A, conversation::Event::Frame(frame));
    let [Action::Program(A, conversation::Action::Send { id, .. })] = actions[..] else {
        panic!("{actions:?}");
    };
    rig.of(A, conversation::Event::Ended);
    assert!(rig.0.has_room());
    rig.connects(C, "/?format=text");
    rig.of(A, conversation::Event::Accepted(id));
    assert_eq!(rig.0.programs.len(), 1);
    assert_eq!(given(&rig.arrives("y")), to(C, &["y"]));
}

#[test]
fn at_the_end_everybody_goes_and_nobody_is_let_in() {
    let mut rig = Rig::new(3);
    rig.connects(A, "/?format=text");
    rig.accepts(B);
    let mut actions = rig.on(Event::Shutdown);
    actions.sort_by_key(|action| format!("{action:?}"));
    assert_eq!(actions, [close(A, CloseReason::Shutdown), close(B, CloseReason::Shutdown)]);
    assert_eq!(rig.accepts(C), [close(C, CloseReason::Shutdown)]);
    assert_eq!(rig.arrives("x"), []);
    assert_eq!((rig.of(A, conversation::Event::Ended), rig.0.waiting()), (vec![], 1));
}

#[test]
fn events_of_programs_that_are_not_there_are_ignored() {
    let mut rig = Rig::new(1);
    rig.arrives("x");
    assert_eq!(rig.of(A, conversation::Event::Written), []);
    assert_eq!(rig.of(A, conversation::Event::Ended), []);
    rig.connects(A, "/");
    assert_eq!(rig.accepts(A), [], "a number that is in use");
    assert_eq!(rig.on(Event::Connected(A, Query::parse("/?format=text").unwrap())), []);
    assert!(!rig.0.is_reading(B) && rig.0.is_reading(A));
}
