//! What local programs say to the native client, and what becomes of it. (protocol: websocket)

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use nym_client::protocol::conversation::{self, SendId};
use nym_client::protocol::programs::{Action, Event, ProgramId, Programs, Settings};
use nym_client::protocol::{
    Addressee, Delivered, ErrorKind, Format, Frame, Message, Query, Receive, Request, Response,
    Status,
};
use nym_proto::client::{Delivery, DeliveryOrigin, FailReason, Outcome, RefusedReason};
use nym_proto::message::SenderTag;
use nym_proto::time::Instant;

use crate::input::{Input, Script};
use crate::net;

const BINARY: u8 = 0;
const TEXT: u8 = 1;
const PROGRAMS: u8 = 2;

/// Whatever can be read can be written, and reads back as the same; and whatever programs do, every
/// message that arrives is given to one of them or was pushed out by newer ones.
pub fn run(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 3 {
        BINARY => frame(&Frame::Binary(Bytes::copy_from_slice(rest))),
        TEXT => frame(&Frame::Text(String::from_utf8_lossy(rest).into_owned().into())),
        _ => programs(Input::new(rest)),
    }
}

fn frame(frame: &Frame) {
    match Request::decode(frame) {
        Ok(request) => {
            let again = request.encode(frame.format()).unwrap();
            assert_eq!(Request::decode(&again), Ok(request));
        }
        Err(error) => {
            let answer = Response::from(&error);
            for format in [Format::Binary, Format::Text] {
                assert_eq!(Response::decode(&answer.encode(format)).as_ref(), Ok(&answer));
            }
        }
    }
    if let Ok(response) = Response::decode(frame) {
        for format in [Format::Binary, Format::Text] {
            assert_eq!(Response::decode(&response.encode(format)).as_ref(), Ok(&response));
        }
    }
    if let Frame::Text(text) = frame {
        let _ = Query::parse(text.as_str());
    }
}

/// A program as its socket sees it.
#[derive(Default)]
struct Socket {
    is_connected: bool,
    gets_copies: bool,
    is_closing: bool,
    has_ended: bool,
    /// Frames not taken yet: the message that has arrived, if it is one.
    waiting: VecDeque<Option<u32>>,
}

struct Model {
    programs: Programs,
    now: Instant,
    sockets: BTreeMap<ProgramId, Socket>,
    arrived: u32,
    given: BTreeSet<u32>,
    lost: usize,
}

const MAILBOX_BYTES_MAX: usize = 4096;

fn programs(mut input: Input<'_>) {
    let settings = Settings {
        programs_max: 1 + input.below(3),
        mailbox_bytes_max: MAILBOX_BYTES_MAX,
        copies_bytes_max: 2048,
        ..Settings::default()
    };
    let mut model = Model {
        programs: Programs::new(settings),
        now: Instant::from_nanos(1 << 40),
        sockets: BTreeMap::new(),
        arrived: 0,
        given: BTreeSet::new(),
        lost: 0,
    };
    while !input.is_empty() {
        let event = model.draw(&mut input);
        model.handle(event);
    }
    model.finish();
}

impl Model {
    fn draw(&mut self, input: &mut Input<'_>) -> Event {
        let kind = input.below(10);
        let id = ProgramId(input.below(6) as u64);
        let event = match kind {
            0 => {
                let target =
                    input.one_of(["/", "/?format=text", "/?format=binary&receive=copy", ""]);
                return match target {
                    "" => Event::Accepted(id),
                    target => Event::Connected(id, Query::parse(target).unwrap()),
                };
            }
            1 => {
                let mut data = self.arrived.to_be_bytes().to_vec();
                data.resize(4 + 4 * input.below(256), 0);
                self.arrived += 1;
                let origin = DeliveryOrigin::Anonymous(SenderTag::from_bytes([9; 16]));
                return Event::Arrived(Delivery { data: data.into(), origin });
            }
            2 => {
                self.now += Duration::from_millis(input.short().into());
                return Event::Tick;
            }
            3 | 4 => conversation::Event::Written,
            5 => {
                let bytes = input.chunk();
                conversation::Event::Frame(if input.flag() {
                    Frame::Text(String::from_utf8_lossy(bytes).into_owned().into())
                } else {
                    Frame::Binary(Bytes::copy_from_slice(bytes))
                })
            }
            6 => conversation::Event::Accepted(SendId(input.below(8) as u64)),
            7 => match input.below(4) {
                0 => conversation::Event::LaneLen(input.word() as usize),
                1 => conversation::Event::Address(net::recipient()),
                2 => conversation::Event::TooLong(input.word() as usize),
                _ => {
                    let id = SendId(input.below(8) as u64);
                    conversation::Event::Refused(id, RefusedReason::UnknownTag)
                }
            },
            8 => {
                let outcome = Outcome::Failed(FailReason::NoSurbs);
                conversation::Event::Outcome(SendId(input.below(8) as u64), outcome)
            }
            _ => conversation::Event::Ended,
        };
        Event::Program(id, event)
    }

    fn handle(&mut self, event: Event) {
        match &event {
            Event::Accepted(id) if !self.sockets.contains_key(id) => {
                self.sockets.insert(*id, Socket::default());
            }
            // numbers are never reused
            Event::Accepted(_) => return,
            Event::Connected(id, query) => match self.sockets.get_mut(id) {
                Some(socket) if !socket.is_connected && !socket.is_closing && !socket.has_ended => {
                    socket.is_connected = true;
                    socket.gets_copies = query.receive == Receive::Copy;
                }
                _ => return,
            },
            Event::Program(id, event) => {
                // nothing comes from a program that is gone
                let Some(socket) = self.sockets.get_mut(id).filter(|socket| !socket.has_ended)
                else {
                    return;
                };
                match event {
                    conversation::Event::Ended => socket.has_ended = true,
                    conversation::Event::Written => match socket.waiting.pop_front() {
                        None => return,
                        Some(Some(number)) if !socket.gets_copies => {
                            assert!(self.given.insert(number), "{number} is given twice");
                        }
                        Some(_) => {}
                    },
                    _ => {}
                }
            }
            _ => {}
        }
        self.programs.handle(self.now, event);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.programs.poll_action() {
            let (id, action) = match action {
                Action::Program(id, action) => (id, action),
                Action::Lost { messages, .. } => {
                    self.lost += messages;
                    continue;
                }
            };
            let socket = self.sockets.get_mut(&id).unwrap();
            match action {
                conversation::Action::Write(frame) => {
                    assert!(!socket.is_closing && !socket.has_ended);
                    let number = match Response::decode(&frame).unwrap() {
                        Response::Received(Delivered { data, .. }) => {
                            Some(u32::from_be_bytes(*data.first_chunk().unwrap()))
                        }
                        _ => None,
                    };
                    socket.waiting.push_back(number);
                }
                conversation::Action::Close(_) => {
                    assert!(!socket.is_closing && !socket.has_ended);
                    socket.is_closing = true;
                }
                conversation::Action::Delivered(_) => panic!("nobody else's business"),
                _ => {}
            }
        }
        // what is lent can be beyond the limit: 16 messages of 1 KiB
        assert!(self.programs.waiting_bytes() <= MAILBOX_BYTES_MAX + 32 * (1024 + 128));
        if let Some(at) = self.programs.next_deadline() {
            let late = at <= self.now;
            if late {
                self.programs.handle(self.now, Event::Tick);
                assert!(self.programs.next_deadline().is_none_or(|at| at > self.now));
                self.drain();
            }
        }
    }

    /// Everybody leaves, and one more takes everything that is left.
    fn finish(mut self) {
        let ids: Vec<ProgramId> = self.sockets.keys().copied().collect();
        for id in ids {
            self.handle(Event::Program(id, conversation::Event::Ended));
        }
        let last = ProgramId(u64::MAX);
        assert!(self.programs.has_room());
        self.handle(Event::Accepted(last));
        self.handle(Event::Connected(last, Query::parse("/?format=text").unwrap()));
        while self.sockets.get(&last).is_some_and(|socket| !socket.waiting.is_empty()) {
            self.handle(Event::Program(last, conversation::Event::Written));
        }
        assert_eq!((self.programs.waiting(), self.programs.waiting_bytes()), (0, 0));
        assert_eq!(self.given.len() + self.lost, self.arrived as usize);
    }
}

/// Requests and responses of every kind in both forms, and two programs that take turns.
pub fn seeds() -> Vec<Vec<u8>> {
    let recipient = net::recipient();
    let tag = SenderTag::from_bytes([7; 16]);
    let message = |to, connection, report| {
        let data = Bytes::from_static(b"hi \"there\"");
        Request::Send(Message { to, connection, report, data })
    };
    let requests = [
        message(Addressee::Plain(recipient), None, None),
        message(Addressee::Anonymous { recipient, surbs: 10 }, Some(7), None),
        message(Addressee::Reply(tag), Some(0), Some(1)),
        Request::SelfAddress,
        Request::ClosedConnection(1),
        Request::GetLaneQueueLength(2),
    ];
    let bytes = Bytes::from_static(b"f\xffo");
    let responses = [
        Response::Error { kind: ErrorKind::Other, message: "no".into() },
        Response::Received(Delivered { data: bytes.clone(), tag: None }),
        Response::Received(Delivered { data: bytes, tag: Some(tag) }),
        Response::SelfAddress(recipient),
        Response::LaneQueueLength { connection: 1, packets: 2 },
        Response::Report { id: 1, status: Status::Expired, reason: "late".into() },
    ];
    let mut frames = Vec::new();
    for format in [Format::Binary, Format::Text] {
        frames.extend(requests.iter().filter_map(|request| request.encode(format)));
        frames.extend(responses.iter().map(|response| response.encode(format)));
    }
    let seed = |frame: &Frame| {
        let mode = if frame.format() == Format::Text { TEXT } else { BINARY };
        Script::new().byte(mode).raw(frame.as_bytes()).finish()
    };
    let mut seeds: Vec<Vec<u8>> = frames.iter().map(seed).collect();
    seeds.push(two_programs(&requests[1]));
    seeds
}

/// A message arrives, A connects and sends, B connects and is refused, A leaves, B gets what is left.
fn two_programs(request: &Request) -> Vec<u8> {
    let frame = request.encode(Format::Text).unwrap();
    let arrives = |script: Script| script.byte(1).byte(0).byte(3);
    let accepts = |script: Script, id| script.byte(0).byte(id).byte(3);
    let connects = |script: Script, id| accepts(script, id).byte(0).byte(id).byte(1);
    let mut script = Script::new().byte(PROGRAMS).byte(0);
    script = connects(arrives(script), 1);
    script = script.byte(5).byte(1).chunk(frame.as_bytes()).byte(1);
    script = script.byte(6).byte(1).byte(1);
    script = script.byte(7).byte(1).byte(0).word(3);
    script = connects(arrives(script), 2);
    script = script.byte(3).byte(1).byte(8).byte(1).byte(1).byte(9).byte(1);
    connects(script, 3).byte(2).byte(0).short(60_000).finish()
}
