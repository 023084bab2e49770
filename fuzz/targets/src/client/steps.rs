//! What can happen to the client.

use core::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    ConnectionId, Event, FetchError, FetchId, Lane, MessageId, Outgoing, Shutdown, Target, WsFrame,
};
use nym_proto::gateway::GatewayText;
use nym_proto::message::{PLAIN_HEAD, REPLY_DATA_HEAD, RepliableKind, SenderTag, surb_request};
use nym_proto::time::{Instant, UnixTime};

use super::{World, document};
use crate::input::Input;
use crate::net;

/// A kind of step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Deadlines,
    Advance,
    ClockBack,
    Connected,
    GatewaySays,
    GatewaySaysAnything,
    PushAnything,
    FrameAnything,
    Blocked,
    Writable,
    Closed,
    Fetched,
    SendPlain,
    SendAnonymous,
    SendReply,
    CloseLane,
    Taken,
    NetworkChanged,
    Drain,
    StopDraining,
    StartDraining,
    Helpful,
    Arrive,
    ArriveAll,
    Lose,
    LoseAck,
    BobPlain,
    BobRepliable,
    BobReplies,
    BobAsks,
    BobSendsAnything,
    BobRepliesAnything,
    Early,
    Crash,
}

pub(crate) const ALL: &[Step] = &[
    Step::Deadlines,
    Step::Advance,
    Step::ClockBack,
    Step::Connected,
    Step::GatewaySays,
    Step::GatewaySaysAnything,
    Step::PushAnything,
    Step::FrameAnything,
    Step::Blocked,
    Step::Writable,
    Step::Closed,
    Step::Fetched,
    Step::SendPlain,
    Step::SendAnonymous,
    Step::SendReply,
    Step::CloseLane,
    Step::Taken,
    Step::NetworkChanged,
    Step::Drain,
    Step::StopDraining,
    Step::StartDraining,
    Step::Helpful,
    Step::Arrive,
    Step::ArriveAll,
    Step::Lose,
    Step::LoseAck,
    Step::BobPlain,
    Step::BobRepliable,
    Step::BobReplies,
    Step::BobAsks,
    Step::BobSendsAnything,
    Step::BobRepliesAnything,
    Step::Early,
    Step::Crash,
];

pub(crate) const REPLIES: &[Step] = &[
    Step::Deadlines,
    Step::Advance,
    Step::SendAnonymous,
    Step::SendReply,
    Step::Arrive,
    Step::ArriveAll,
    Step::Lose,
    Step::LoseAck,
    Step::BobRepliable,
    Step::BobReplies,
    Step::BobAsks,
    Step::BobSendsAnything,
    Step::BobRepliesAnything,
    Step::Taken,
    Step::Crash,
];

/// The bytes of message number `number`: its number, then what nobody else has.
pub(crate) fn content(number: u64, len: usize) -> Bytes {
    let mut data = number.to_le_bytes().to_vec();
    data.resize(len.max(8), (number as u8).wrapping_mul(37));
    data.into()
}

impl World {
    pub(super) fn take(&mut self, step: Step, input: &mut Input<'_>) {
        match step {
            Step::Deadlines => self.run_deadlines(1 + u32::from(input.byte() % 32)),
            Step::Advance => {
                // from a nanosecond to years
                let shift = input.byte() % 56;
                let nanos = (1 << shift) + u64::from(input.byte()) * ((1 << shift) / 256);
                if self.now.as_nanos() < 1 << 60 {
                    self.now += Duration::from_nanos(nanos);
                }
                self.event(Event::Tick);
            }
            Step::ClockBack => {
                let earlier = self.now.as_nanos() >> (1 + input.byte() % 63);
                self.at(Instant::from_nanos(earlier), Event::Tick);
            }
            Step::Crash => self.crash(input.byte() % 16),
            Step::Early => drop(self.event(Event::Tick)),
            Step::Taken => drop(self.event(Event::Taken(input.byte().into()))),
            Step::NetworkChanged => {
                let unix_time = self.any_unix_time(input);
                self.event(Event::NetworkChanged { unix_time });
            }
            Step::Drain => {
                let within = Duration::from_secs(input.byte().into());
                self.event(Event::Shutdown(Shutdown::Drain(within)));
            }
            Step::StopDraining => self.is_drained = false,
            Step::StartDraining => {
                self.is_drained = true;
                self.settle();
            }
            Step::Helpful => self.is_helpful = input.flag(),
            Step::Connected | Step::Closed | Step::Blocked | Step::Writable => {
                self.link(step, input)
            }
            Step::GatewaySays
            | Step::GatewaySaysAnything
            | Step::PushAnything
            | Step::FrameAnything => self.gateway_says(step, input),
            Step::Fetched => self.directory_says(input),
            Step::SendPlain | Step::SendAnonymous | Step::SendReply => {
                self.application(step, input)
            }
            Step::CloseLane => drop(self.event(Event::CloseLane(lane(input)))),
            Step::Arrive => {
                let index = input.below(self.under_way.len());
                self.arrive(index, true);
            }
            Step::ArriveAll => {
                for _ in 0..self.under_way.len() {
                    self.arrive(0, true);
                }
            }
            Step::Lose => drop(self.under_way.pop_front()),
            Step::LoseAck => self.arrive(0, false),
            _ => self.bob_does(step, input),
        }
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.contract.handle(&mut self.client, at, event);
        if self.is_drained {
            self.settle();
        }
    }

    fn any_unix_time(&self, input: &mut Input<'_>) -> UnixTime {
        if input.flag() { UnixTime::from_nanos(input.long()) } else { self.unix_time() }
    }

    /// Mostly the connection there is, sometimes one there was or never was.
    fn any_connection(&self, input: &mut Input<'_>) -> ConnectionId {
        match input.byte() {
            0..200 => self.contract.last_connection(),
            other => ConnectionId(other.into()),
        }
    }

    fn link(&mut self, step: Step, input: &mut Input<'_>) {
        let connection = self.any_connection(input);
        let event = match step {
            Step::Connected => {
                let unix_time = self.any_unix_time(input);
                Event::GatewayConnected { connection, unix_time }
            }
            Step::Blocked => Event::GatewayBlocked { connection },
            Step::Writable => Event::GatewayWritable { connection },
            _ => {
                self.contract.connection_ended(connection);
                Event::GatewayClosed { connection, reason: "cut".into() }
            }
        };
        self.event(event);
    }

    fn gateway_says(&mut self, step: Step, input: &mut Input<'_>) {
        let connection = self.any_connection(input);
        let frame = match step {
            Step::GatewaySays => WsFrame::Text(known_text(input)),
            Step::GatewaySaysAnything => {
                WsFrame::Text(String::from_utf8_lossy(input.chunk()).into_owned())
            }
            Step::FrameAnything => WsFrame::Binary(Bytes::copy_from_slice(input.chunk())),
            _ => {
                self.is_wild = true;
                let message = input.chunk();
                return self.push(message);
            }
        };
        self.is_wild |= step != Step::GatewaySays;
        self.event(Event::GatewayFrame { connection, frame });
    }

    fn directory_says(&mut self, input: &mut Input<'_>) {
        let known = self.fetches.pop_front();
        let (fetch, url) = known.unwrap_or((FetchId(input.byte().into()), String::new()));
        let event = match input.byte() % 4 {
            0 => self.fetched(fetch, document(&url, net::EPOCH)),
            1 => {
                self.is_lost = true;
                let epoch = u32::from(input.byte());
                self.fetched(fetch, document(&url, epoch))
            }
            2 => {
                self.is_lost = true;
                let mut body = document(&url, net::EPOCH).unwrap_or_default();
                input.damage(&mut body);
                self.fetched(fetch, Some(body))
            }
            _ => {
                let result = Err(FetchError::Unreachable("no route".into()));
                Event::Fetched { fetch, result, unix_time: self.any_unix_time(input) }
            }
        };
        self.event(event);
    }

    fn application(&mut self, step: Step, input: &mut Input<'_>) {
        let number = self.next_message;
        self.next_message += 1;
        let recipient = if input.byte() < 230 { net::recipient() } else { self.address() };
        let target = match step {
            Step::SendPlain => Target::Plain(recipient),
            Step::SendAnonymous => {
                Target::Anonymous { recipient, surbs: u16::from(input.byte()) % 50 }
            }
            _ => {
                let tag = self.tags.get(input.below(self.tags.len())).copied();
                Target::Reply(tag.unwrap_or_else(|| SenderTag::from_bytes([input.byte(); 16])))
            }
        };
        let len = match input.byte() {
            0 => 0,
            len @ 1..128 => usize::from(len),
            len => usize::from(len - 127) * 600,
        };
        let data = if len == 0 { Bytes::new() } else { content(number, len) };
        // now and then a name that is in use
        let id = if input.byte() < 240 { number } else { number / 2 };
        let mut message = Outgoing::new(MessageId(id), target, data);
        message.lane = lane(input);
        let manner = input.byte();
        message.attempts_max = (manner & 1 == 1).then(|| input.byte().into());
        message.expires_after =
            (manner & 2 == 2).then(|| Duration::from_millis(u64::from(input.byte()) * 100));
        if manner & 4 == 4 {
            message.expires_after = Some(Duration::MAX);
        }
        self.send(message);
    }

    fn bob_does(&mut self, step: Step, input: &mut Input<'_>) {
        let number = self.next_message;
        self.next_message += 1;
        let alice = self.address();
        let len = 8 + usize::from(input.byte()) * 20;
        let data = content(number, len);
        let pushes = match step {
            Step::BobPlain => {
                self.offer(&data);
                self.bob.pack(&alice, &[&PLAIN_HEAD[..], &data].concat())
            }
            Step::BobRepliable => {
                let (tag, count) = (input.byte() % 6, input.byte() % 40);
                let kind = match input.byte() % 4 {
                    0 => RepliableKind::AdditionalSurbs,
                    1 => RepliableKind::Heartbeat,
                    _ => {
                        self.offer(&data);
                        RepliableKind::Data
                    }
                };
                let message = self.bob.repliable(tag, kind, count, &data);
                self.bob.pack(&alice, &message)
            }
            Step::BobReplies => {
                self.offer(&data);
                self.bob.pack_reply(&[&REPLY_DATA_HEAD[..], &data].concat())
            }
            Step::BobAsks => {
                let request = surb_request(&net::recipient(), input.word());
                if input.flag() {
                    self.bob.pack_reply(&request)
                } else {
                    self.bob.pack(&alice, &request)
                }
            }
            Step::BobRepliesAnything => {
                self.is_wild = true;
                self.bob.pack_reply(input.chunk())
            }
            _ => {
                self.is_wild = true;
                self.bob.pack(&alice, input.chunk())
            }
        };
        // in order, backwards, with one missing, or twice
        let manner = input.byte();
        let mut pushes = pushes;
        if manner & 1 == 1 {
            pushes.reverse();
        }
        if manner & 2 == 2 {
            pushes.pop();
        }
        for push in &pushes {
            self.push(push);
        }
        if manner & 4 == 4 {
            pushes.iter().for_each(|push| self.push(push));
        }
    }

    pub(super) fn offer(&mut self, data: &Bytes) {
        *self.offered.entry(data.clone()).or_default() += 1;
    }
}

fn lane(input: &mut Input<'_>) -> Lane {
    match input.byte() % 4 {
        0 => Lane::General,
        lane => Lane::Connection(lane.into()),
    }
}

fn known_text(input: &mut Input<'_>) -> String {
    let (a, b) = (input.byte(), input.flag());
    let amount = i64::from(input.word() as i32) << (a % 32);
    let text = match input.byte() % 10 {
        0 => GatewayText::SupportedProtocol { version: a },
        1 => GatewayText::Register { protocol_version: a, status: b, upgrade_mode: false },
        2 => GatewayText::Authenticate {
            protocol_version: a,
            status: b,
            bandwidth_remaining: amount,
            upgrade_mode: false,
        },
        3 => GatewayText::Bandwidth { available_total: amount, upgrade_mode: b },
        4 => GatewayText::Send { remaining_bandwidth: amount, upgrade_mode: b },
        5 => GatewayText::Error { message: "no".into() },
        6 => GatewayText::OutOfBandwidth { required: amount, available: -amount },
        7 => GatewayText::TicketReplay,
        8 => GatewayText::HandshakeError { message: "no".into() },
        _ => GatewayText::Unknown { name: "fromTheFuture".into() },
    };
    text.encode()
}
