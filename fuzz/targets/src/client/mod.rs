//! A client in the middle of everything: any events in any order from a shell, an application,
//! a gateway that knows the shared key, and a correspondent.

pub mod bob;
mod contract;
mod documents;
pub mod gateway;
mod seeds;
mod setup;
mod steps;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use nym_proto::address::Recipient;
use nym_proto::client::{
    Action, Client, Connectivity, DeliveryOrigin, Event, Fact, FetchError, FetchId, MemoryStore,
    MessageId, Outcome, Outgoing, RefusedReason, Shutdown, Target, WsFrame,
};
use nym_proto::gateway::{ForwardRequest, GatewayText, seal_push_with};
use nym_proto::message::SenderTag;
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::transparent::TransparentBuilder;

use self::bob::Bob;
use self::contract::Contract;
use self::documents::document;
use self::gateway::FakeGateway;
use self::setup::{HELPFUL, MUST_RECOVER, config, start};
use crate::input::Input;
use crate::net::{self, Arrived, Walker};

pub use seeds::{client_seeds, replies_seeds};

/// Steps of one run.
const STEPS_MAX: usize = 150;
/// Ticks of one run: each may make a packet.
const TICKS_MAX: u32 = 400;
/// Packets under way that are remembered.
const UNDER_WAY_MAX: usize = 128;

/// Any events.
pub fn any_events(data: &[u8]) {
    run(data, steps::ALL);
}

/// Events around SURBs and replies, in a client that is connected.
pub fn replies(data: &[u8]) {
    run(data, steps::REPLIES);
}

fn run(data: &[u8], palette: &[steps::Step]) {
    let mut input = Input::new(data);
    let mut world = World::new(input.byte());
    world.settle();
    for _ in 0..STEPS_MAX {
        if input.is_empty() || world.contract.is_stopped {
            break;
        }
        let step = palette[input.below(palette.len())];
        world.take(step, &mut input);
    }
    world.finish();
}

pub(crate) struct World {
    head: u8,
    client: Client,
    contract: Contract,
    now: Instant,
    ticks: u32,
    gateway: FakeGateway,
    packets: TransparentBuilder,
    walker: Walker,
    bob: Bob,
    /// Packets the client has sent, with the ack each one carries.
    under_way: VecDeque<Arrived>,
    fetches: VecDeque<(FetchId, String)>,
    /// What the client wants kept.
    kept: MemoryStore,
    /// Crashes so far.
    crashes: u8,
    tags: Vec<SenderTag>,
    next_message: u64,
    /// The bytes of messages to Bob.
    sent: BTreeMap<MessageId, Bytes>,
    /// Bytes the client may deliver, and how often.
    offered: BTreeMap<Bytes, usize>,
    /// The bytes of messages to the client itself.
    to_itself: BTreeSet<Bytes>,
    /// The gateway answers as it should.
    is_helpful: bool,
    /// Actions are polled after each step.
    is_drained: bool,
    /// The client was sent what nobody but a fuzzer sends: what it delivers is not known.
    is_wild: bool,
    /// The directory has lied.
    is_lost: bool,
}

impl World {
    fn new(head: u8) -> Self {
        let (kept, now) = (config(head).state.to_store(), Instant::START);
        let (client, contract) = start(head, &kept, now, 0);
        Self {
            head,
            client,
            contract,
            now,
            ticks: 0,
            gateway: FakeGateway::new(),
            packets: TransparentBuilder::new(),
            walker: Walker::new(),
            bob: Bob::new(),
            under_way: VecDeque::new(),
            fetches: VecDeque::new(),
            kept,
            crashes: 0,
            tags: Vec::new(),
            next_message: 0,
            sent: BTreeMap::new(),
            offered: BTreeMap::new(),
            to_itself: BTreeSet::new(),
            is_helpful: head & HELPFUL != 0,
            is_drained: true,
            is_wild: false,
            is_lost: false,
        }
    }

    fn unix_time(&self) -> UnixTime {
        UnixTime::from_secs(net::UNIX_START) + self.now.since(Instant::START)
    }

    fn address(&self) -> Recipient {
        let alice = net::alice();
        let gateway = *net::node_identity(0).public();
        let (identity, encryption) = (*alice.identity.public(), alice.encryption.public());
        Recipient { identity, encryption, gateway }
    }

    /// Hands an event over, and does what the client wants unless nobody drains it.
    fn event(&mut self, event: Event) -> bool {
        let is_accepted = self.contract.handle(&mut self.client, self.now, event);
        if self.is_drained {
            self.settle();
        }
        is_accepted
    }

    /// Does what the client wants until it wants nothing more.
    fn settle(&mut self) {
        for _ in 0..200 {
            let actions = self.contract.drain(&mut self.client);
            if actions.iter().all(|action| matches!(action, Action::SetTimer(_))) {
                return;
            }
            let events: Vec<Event> =
                actions.into_iter().flat_map(|action| self.carry_out(action)).collect();
            for event in events {
                self.contract.handle(&mut self.client, self.now, event);
            }
        }
        panic!("the client always wants something");
    }

    /// The client ends in the middle of carrying out its actions, and another one starts from what
    /// was kept.
    fn crash(&mut self, actions: u8) {
        for _ in 0..actions {
            let Some(action) = self.client.poll_action() else { break };
            let _ = self.carry_out(action);
        }
        self.crashes = self.crashes.wrapping_add(1);
        (self.client, self.contract) = start(self.head, &self.kept, self.now, self.crashes);
        // nobody will tell what became of its messages
        self.sent.clear();
        self.fetches.clear();
        if self.is_drained {
            self.settle();
        }
    }

    /// Does one thing the client wants; what comes of it at once.
    fn carry_out(&mut self, action: Action) -> Vec<Event> {
        match action {
            Action::Connect { connection, .. } => {
                self.gateway.forget_handshake();
                let unix_time = self.unix_time();
                let opened = Event::GatewayConnected { connection, unix_time };
                if self.is_helpful { vec![opened] } else { Vec::new() }
            }
            Action::Write { connection, frame } => {
                let is_current = self.contract.connection() == Some(connection);
                let texts = match frame {
                    WsFrame::Text(text) if self.is_helpful && is_current => {
                        self.gateway.answer(&text)
                    }
                    WsFrame::Binary(bytes) if is_current => self.forward(bytes),
                    _ => Vec::new(),
                };
                let event = |text| Event::GatewayFrame { connection, frame: WsFrame::Text(text) };
                texts.into_iter().map(event).collect()
            }
            Action::Fetch { fetch, url } => {
                if self.is_helpful {
                    vec![self.fetched(fetch, document(&url, net::EPOCH))]
                } else {
                    self.fetches.push_back((fetch, url));
                    self.fetches.truncate(64);
                    Vec::new()
                }
            }
            Action::Deliver(delivery) => {
                // replies are for Bob, who is expected to receive them
                if let DeliveryOrigin::Anonymous(tag) = delivery.origin
                    && !self.to_itself.contains(&delivery.data)
                {
                    self.tags.push(tag);
                    self.tags.truncate(16);
                }
                let known = self.offered.get_mut(&delivery.data).filter(|count| **count > 0);
                match known {
                    Some(count) => *count -= 1,
                    None => assert!(self.is_wild, "delivered what was not sent, or twice"),
                }
                Vec::new()
            }
            Action::Outcome { id, outcome } => {
                let sent = self.sent.remove(&id);
                if let (Some(data), Outcome::Acknowledged { .. }, false) =
                    (sent, outcome, self.is_wild)
                {
                    assert!(self.bob.received.contains(&data), "acknowledged and not received");
                }
                Vec::new()
            }
            Action::Persist(changes) => {
                self.kept.apply(&changes);
                Vec::new()
            }
            Action::Report(Fact::LoopHealth(health)) => {
                assert!(health.returned + health.lost <= health.sent, "{health:?}");
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// A packet at the gateway. Packets under a key the gateway does not have are none.
    fn forward(&mut self, frame: Bytes) -> Vec<String> {
        let request =
            ForwardRequest::open_with(&self.packets, &self.gateway.key, BytesMut::from(frame));
        let Ok(request) = request else {
            return Vec::new();
        };
        let arrived = self.walker.walk(request.first_hop, request.into_packet());
        if !self.is_lost && !self.is_wild {
            assert!(arrived.is_some(), "a packet that some node drops");
        }
        self.under_way.extend(arrived);
        if self.under_way.len() > UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        let answer = GatewayText::Send { remaining_bandwidth: 1 << 40, upgrade_mode: false };
        if self.is_helpful { vec![answer.encode()] } else { Vec::new() }
    }

    fn fetched(&self, fetch: FetchId, body: Option<Vec<u8>>) -> Event {
        let result = body.map(Bytes::from).ok_or(FetchError::Status(404));
        Event::Fetched { fetch, result, unix_time: self.unix_time() }
    }

    /// The gateway pushes something.
    fn push(&mut self, message: &[u8]) {
        let Some(connection) = self.contract.connection() else {
            return;
        };
        let nonce = self.gateway.stream.bytes();
        let frame =
            WsFrame::Binary(seal_push_with(&self.packets, &self.gateway.key, nonce, message));
        self.event(Event::GatewayFrame { connection, frame });
    }

    /// One packet of the client arrives: at Bob, or at the client itself, and its ack comes back.
    fn arrive(&mut self, index: usize, is_acked: bool) {
        let Some(arrived) = self.under_way.remove(index) else {
            return;
        };
        if self.bob.is(&arrived.destination) {
            self.bob.receive(self.now, &arrived.message);
        } else {
            self.push(&arrived.message);
        }
        if let (Some((first, packet)), true) = (arrived.ack, is_acked) {
            let ack = self.walker.walk(first, packet);
            if let Some(ack) = ack {
                self.push(&ack.message);
            }
        }
    }

    fn send(&mut self, mut message: Outgoing) -> bool {
        let (id, data) = (message.id, message.data.clone());
        message.data = data.clone();
        // a plain message to somebody else than Bob is never received
        let is_to_bob = match &message.target {
            Target::Plain(to) | Target::Anonymous { recipient: to, .. } => *to == net::recipient(),
            Target::Reply(_) => true,
        };
        let fresh = is_to_bob && !self.sent.contains_key(&id);
        if fresh {
            self.sent.insert(id, data.clone());
        }
        let is_accepted = self.event(Event::Send(message));
        if is_accepted && !is_to_bob {
            self.offer(&data);
            self.to_itself.insert(data);
        }
        if fresh && !is_accepted {
            self.sent.remove(&id);
        }
        is_accepted
    }

    fn run_deadlines(&mut self, count: u32) {
        for _ in 0..count {
            let Some(deadline) = self.client.next_deadline() else {
                return;
            };
            if self.ticks >= TICKS_MAX {
                return;
            }
            self.ticks += 1;
            self.now = self.now.max(deadline.at);
            self.event(Event::Tick);
        }
    }

    /// Brings everything in order, and the run to its end.
    fn finish(&mut self) {
        self.is_drained = true;
        self.settle();
        if self.head & MUST_RECOVER != 0 && !self.is_wild && !self.is_lost {
            self.recover();
        }
        for message in &self.bob.received {
            let is_known = message.len() < 8 || self.sent_before(message);
            assert!(is_known, "Bob got what nobody sent");
        }
        self.event(Event::Shutdown(Shutdown::Now));
        assert!(self.contract.is_stopped);
        assert_eq!(self.client.connectivity(), Connectivity::Closed);
        assert_eq!(self.client.next_deadline(), None);
        let message =
            Outgoing::new(MessageId(u64::MAX), Target::Plain(net::recipient()), Bytes::new());
        let refused = self.client.handle(self.now, Event::Send(message));
        assert!(refused.is_err_and(|refused| refused.reason == RefusedReason::ShuttingDown));
        assert_eq!(self.client.poll_action(), None);
    }

    /// True of the bytes [`steps`] makes for messages.
    fn sent_before(&self, message: &[u8]) -> bool {
        let number = message.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        number.is_some_and(|number| number <= self.next_message)
            && *message == steps::content(number.unwrap_or_default(), message.len())
    }

    /// Once everything works, the client is ready again.
    fn recover(&mut self) {
        self.is_helpful = true;
        for (fetch, url) in core::mem::take(&mut self.fetches) {
            let event = self.fetched(fetch, document(&url, net::EPOCH));
            self.event(event);
        }
        for _ in 0..200 {
            if let Some(connection) = self.contract.connection() {
                self.event(Event::GatewayWritable { connection });
            }
            if self.contract.is_stopped || self.client.connectivity().is_up() {
                return;
            }
            self.now += Duration::from_secs(5);
            self.event(Event::Tick);
        }
        panic!("the client does not recover: {:?}", self.client);
    }
}
