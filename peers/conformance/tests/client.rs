//! The whole client machine, at a gateway made of the published crates, and in conversation with a
//! correspondent who sends and reads with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nym_peers_conformance::content::{Content, Surbs};
use nym_peers_conformance::convert::their_rotation;
use nym_peers_conformance::network::{Network, Packet};
use nym_peers_conformance::our_gateway::unix_secs;
use nym_peers_conformance::ours::Push;
use nym_peers_conformance::person::Person;
use nym_peers_conformance::their_gateway::TheirGateway;
use nym_peers_conformance::theirs;
use nym_proto::client::{
    Action, Client, Config, ConnectionId, Connectivity, Delivery, DeliveryOrigin, Event, Fact,
    GatewayChoice, MessageId, Outcome, Outgoing, Target, Traffic, WsFrame,
};
use nym_proto::message::{AckId, SenderTag};
use nym_proto::sphinx::PacketSize;
use nym_proto::time::{Instant, UnixTime};
use nym_sphinx::anonymous_replies::requests::{RepliableMessage, ReplyMessage};
use nym_sphinx::anonymous_replies::{ReplySurb, ReplySurbWithKeyRotation, SurbEncryptionKey};
use nym_sphinx::message::NymMessage;

const LINK: Duration = Duration::from_millis(5);
const TAG: [u8; 16] = [0x17; 16];

#[test]
fn messages_of_the_client_reach_a_correspondent_of_theirs_and_are_acknowledged() {
    let network = Network::new();
    let mut world = World::new(&network, Traffic::without_cover());
    assert_eq!((world.gateway.registrations, world.gateway.authentications), (1, 0));
    for (id, len) in [0, 1, 1601, 1602, 1603, 10_000, 300_000].into_iter().enumerate() {
        let data = vec![id as u8; len];
        world.send(id as u64, Target::Plain(world.carol.address), &data);
        world.run_until("a message", |world| !world.received.is_empty());
        assert_eq!(world.received.pop(), Some(Push::Message(Content::Plain(data))));
        world.run_until("its acks", |world| !world.outcomes.is_empty());
        let (done, outcome) = world.outcomes.pop().unwrap();
        assert_eq!(done, MessageId(id as u64));
        assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
    }
}

#[test]
fn messages_of_a_correspondent_of_theirs_are_delivered() {
    let network = Network::new();
    let mut world = World::new(&network, Traffic::without_cover());
    for size in
        [PacketSize::Regular, PacketSize::Extended8, PacketSize::Extended16, PacketSize::Extended32]
    {
        for len in [0, 1, 1602, 20_000, 300_000] {
            let data = vec![len as u8; len];
            world.carol_sends(NymMessage::new_plain(data.clone()), size);
            world.run_until("a message", |world| !world.delivered.is_empty());
            let delivery = world.delivered.pop().unwrap();
            assert_eq!((&delivery.data[..], delivery.origin), (&data[..], DeliveryOrigin::Plain));
        }
    }
}

#[test]
fn a_correspondent_of_theirs_replies_to_the_client() {
    let network = Network::new();
    let mut world = World::new(&network, Traffic::without_cover());
    let recipient = world.carol.address;
    world.send(1, Target::Anonymous { recipient, surbs: 15 }, b"who am I?");
    world.run_until("a message", |world| !world.received.is_empty());
    let Some(Push::Message(Content::Data { surbs, data, .. })) = world.received.pop() else {
        panic!("no SURBs");
    };
    assert_eq!(data, b"who am I?");
    assert_eq!(surbs.surbs.len(), 15);
    let mut surbs = their_surbs(&surbs);

    // one reply of several packets, then a request for more
    let answer = vec![7; 10_000];
    let reply = NymMessage::new_reply(ReplyMessage::new_data_message(answer.clone()));
    world.carol_replies(surbs.drain(..7).collect(), reply);
    world.run_until("a reply", |world| !world.delivered.is_empty());
    let delivery = world.delivered.pop().unwrap();
    assert_eq!(
        (&delivery.data[..], delivery.origin),
        (&answer[..], DeliveryOrigin::Reply(recipient))
    );

    let address = world.carol.their_address();
    let request = NymMessage::new_additional_surbs_request(address, 30);
    world.carol_replies(surbs.drain(..1).collect(), request);
    world.run_until("SURBs", |world| !world.received.is_empty());
    let Some(Push::Message(Content::AdditionalSurbs { surbs: more, .. })) = world.received.pop()
    else {
        panic!("no SURBs");
    };
    assert_eq!(more.surbs.len(), 30);
    let reply = NymMessage::new_reply(ReplyMessage::new_data_message(b"thanks".to_vec()));
    world.carol_replies(their_surbs(&more).drain(..1).collect(), reply);
    world.run_until("a reply", |world| !world.delivered.is_empty());
    assert_eq!(&world.delivered.pop().unwrap().data[..], b"thanks");
}

#[test]
fn the_client_replies_to_an_anonymous_correspondent_of_theirs() {
    let network = Network::new();
    let mut world = World::new(&network, Traffic::without_cover());
    world.carol_sends_repliable(b"hello", 20);
    world.run_until("a message", |world| !world.delivered.is_empty());
    let delivery = world.delivered.pop().unwrap();
    let tag = SenderTag::from_bytes(TAG);
    assert_eq!(
        (&delivery.data[..], delivery.origin),
        (&b"hello"[..], DeliveryOrigin::Anonymous(tag))
    );

    world.send(1, Target::Reply(tag), b"short");
    world.run_until("a reply", |world| !world.received.is_empty());
    assert_eq!(world.received.pop(), Some(Push::Reply(Content::Reply(b"short".to_vec()))));

    // more packets than there are SURBs: the client asks for more
    let long = vec![3; 40_000];
    world.send(2, Target::Reply(tag), &long);
    let mut requested = 0;
    for _ in 0..20 {
        world.run_until("a request or the reply", |world| !world.received.is_empty());
        match world.received.pop() {
            Some(Push::Reply(Content::SurbRequest { recipient, amount })) => {
                assert_eq!(recipient, world.alice.address.to_bytes());
                requested += 1;
                world.carol_sends_surbs(amount.try_into().unwrap());
            }
            Some(Push::Reply(Content::Reply(data))) => {
                assert_eq!(data, long);
                assert!(requested > 0);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("no reply");
}

#[test]
fn the_client_authenticates_when_it_comes_back() {
    let network = Network::new();
    let mut world = World::new(&network, Traffic::without_cover());
    for again in 1..4 {
        world.cut();
        world.run_until("a session", |world| world.gateway.authentications == again);
        world.run_until("ready", |world| world.is_ready);
        world.send(again.into(), Target::Plain(world.carol.address), b"back");
        world.run_until("a message", |world| !world.received.is_empty());
        assert_eq!(world.received.pop(), Some(Push::Message(Content::Plain(b"back".to_vec()))));
    }
    assert_eq!(world.gateway.registrations, 1);
}

#[test]
fn cover_of_the_client_is_cover_to_them() {
    let network = Network::new();
    let mut world = World::new(&network, Traffic::default());
    let end = world.now + Duration::from_secs(20);
    world.run_until("20 seconds", |world| world.now >= end);
    assert!(world.cover > 800, "{}", world.cover);
    assert!(world.received.is_empty());
}

struct World<'a> {
    network: &'a Network,
    alice: &'static Person,
    carol: &'static Person,
    client: Client,
    gateway: TheirGateway,
    connection: Option<ConnectionId>,
    now: Instant,
    queue: BTreeMap<(Instant, u64), Arrival>,
    sequence: u64,
    sender: theirs::Sender<'a>,
    receiver: theirs::Receiver<'a>,
    /// What carol received, fragments left out.
    received: Vec<Push>,
    delivered: Vec<Delivery>,
    outcomes: Vec<(MessageId, Outcome)>,
    is_ready: bool,
    /// Cover packets of the client.
    cover: u32,
}

enum Arrival {
    AtClient(Event),
    Push { destination: [u8; 32], message: Vec<u8> },
}

impl<'a> World<'a> {
    /// A client that is ready.
    fn new(network: &'a Network, traffic: Traffic) -> Self {
        let alice: &'static Person = Box::leak(Box::new(Person::new(1, network.gateway(0))));
        let carol: &'static Person = Box::leak(Box::new(Person::new(3, network.gateway(1))));
        let topology = Arc::new(network.topology.clone());
        let mut config = Config::new(nym_proto::client::Network::Fixed(topology));
        config.gateway = GatewayChoice::Given(network.gateway(0));
        config.traffic = traffic;
        let (now, unix) = (Instant::START, UnixTime::from_secs(unix_secs()));
        let mut world = Self {
            network,
            alice,
            carol,
            client: Client::new(config, alice.keys.clone(), [9; 32], now, unix),
            gateway: TheirGateway::new(&network.gateways[0]),
            connection: None,
            now,
            queue: BTreeMap::new(),
            sequence: 0,
            sender: theirs::Sender::new(network, carol, 1),
            receiver: theirs::Receiver::new(carol),
            received: Vec::new(),
            delivered: Vec::new(),
            outcomes: Vec::new(),
            is_ready: false,
            cover: 0,
        };
        world.drain();
        world.run_until("ready", |world| world.is_ready);
        world
    }

    fn send(&mut self, id: u64, target: Target, data: &[u8]) {
        let data = Bytes::copy_from_slice(data);
        self.event(Event::Send(Outgoing::new(MessageId(id), target, data)));
    }

    fn carol_sends(&mut self, message: NymMessage, size: PacketSize) {
        for sent in self.sender.send(self.alice, message, size) {
            self.walk(sent.packet);
        }
    }

    fn carol_sends_repliable(&mut self, data: &[u8], surbs: usize) {
        let surbs = self.carols_surbs(surbs);
        let message = RepliableMessage::new_data(data.to_vec(), TAG.into(), surbs);
        self.carol_sends(NymMessage::new_repliable(message), PacketSize::Regular);
    }

    fn carol_sends_surbs(&mut self, count: usize) {
        let surbs = self.carols_surbs(count);
        let message = RepliableMessage::new_additional_surbs(TAG.into(), surbs);
        self.carol_sends(NymMessage::new_repliable(message), PacketSize::Regular);
    }

    fn carols_surbs(&mut self, count: usize) -> Vec<ReplySurbWithKeyRotation> {
        let surbs = self.sender.make_surbs(count);
        let key = |surb: &ReplySurbWithKeyRotation| {
            SurbEncryptionKey::try_from_bytes(surb.encryption_key().as_bytes()).unwrap()
        };
        self.receiver.expect(surbs.iter().map(key));
        surbs
    }

    fn carol_replies(&mut self, surbs: Vec<ReplySurbWithKeyRotation>, message: NymMessage) {
        for sent in self.sender.reply(surbs, message, PacketSize::Regular) {
            self.walk(sent.packet);
        }
    }

    /// The connection between client and gateway ends.
    fn cut(&mut self) {
        self.is_ready = false;
        self.gateway.disconnect();
        let connection = self.connection.take().unwrap();
        self.event(Event::GatewayClosed { connection, reason: "cut".into() });
    }

    fn run_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_secs(90);
        while !condition(self) {
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let tick = self.client.next_deadline().map(|deadline| deadline.at);
            let at = [arrival, tick].into_iter().flatten().min().unwrap();
            assert!(at <= end, "not within 90 s: {what}");
            self.now = self.now.max(at);
            if arrival == Some(at) {
                let (_, arrival) = self.queue.pop_first().unwrap();
                self.arrive(arrival);
            } else {
                self.event(Event::Tick);
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::AtClient(event) => self.event(event),
            Arrival::Push { destination, message } => {
                if destination == *self.carol.address.identity.as_bytes() {
                    match self.receiver.receive(&message) {
                        Push::Fragment | Push::Ack(AckId::Fragment(_)) => {}
                        push => self.received.push(push),
                    }
                    return;
                }
                assert_eq!(destination, *self.alice.address.identity.as_bytes());
                // what she sends to herself is cover, which theirs must know as such
                if message.len() > 21 && self.is_cover(&message) {
                    self.cover += 1;
                }
                if let Some(connection) = self.connection {
                    let frame = self.gateway.push(message);
                    self.event(Event::GatewayFrame { connection, frame });
                }
            }
        }
    }

    fn is_cover(&self, message: &[u8]) -> bool {
        use nym_sphinx::receiver::{MessageReceiver as _, SphinxMessageReceiver};
        let mut buffer = message.to_vec();
        SphinxMessageReceiver::new()
            .recover_plaintext_from_regular_packet(&self.alice.their_encryption_key(), &mut buffer)
            .is_ok_and(|fragment| nym_sphinx::cover::is_cover(fragment))
    }

    fn event(&mut self, event: Event) {
        self.client.handle(self.now, event).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.client.poll_action() {
            match action {
                Action::Connect { connection, urls } => {
                    assert_eq!(urls, ["ws://10.0.0.1:9000"]);
                    self.connection = Some(connection);
                    let unix_time =
                        UnixTime::from_secs(unix_secs()) + self.now.since(Instant::START);
                    self.schedule(
                        LINK,
                        Arrival::AtClient(Event::GatewayConnected { connection, unix_time }),
                    );
                }
                Action::Write { connection, frame } => self.write(connection, frame),
                Action::Disconnect { .. } => {
                    self.connection = None;
                    self.gateway.disconnect();
                }
                Action::Deliver(delivery) => {
                    self.delivered.push(delivery);
                    self.client.handle(self.now, Event::Taken(1)).unwrap();
                }
                Action::Outcome { id, outcome } => self.outcomes.push((id, outcome)),
                Action::Report(Fact::Connectivity(connectivity)) => {
                    self.is_ready = connectivity == Connectivity::Ready;
                }
                Action::Report(Fact::Address(address)) => assert_eq!(address, self.alice.address),
                Action::Stopped(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    }

    fn write(&mut self, connection: ConnectionId, frame: WsFrame) {
        assert_eq!(self.connection, Some(connection));
        let (answers, packet) = self.gateway.handle(frame);
        for text in answers {
            let frame = WsFrame::Text(text);
            self.schedule(2 * LINK, Arrival::AtClient(Event::GatewayFrame { connection, frame }));
        }
        if let Some(packet) = packet {
            self.walk(packet);
        }
    }

    fn walk(&mut self, packet: Packet) {
        let arrived = self.network.walk(packet);
        let mut after = LINK + arrived.delay;
        let (destination, message) = (arrived.destination, arrived.message);
        self.schedule(after, Arrival::Push { destination, message });
        if let Some(ack) = arrived.ack {
            let arrived = self.network.walk(ack);
            after += arrived.delay;
            let (destination, message) = (arrived.destination, arrived.message);
            self.schedule(after, Arrival::Push { destination, message });
        }
    }

    fn schedule(&mut self, after: Duration, arrival: Arrival) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), arrival);
    }
}

fn their_surbs(surbs: &Surbs) -> Vec<ReplySurbWithKeyRotation> {
    let rotation = their_rotation(surbs.rotation);
    let surb = |bytes: &Vec<u8>| ReplySurb::from_bytes(bytes).unwrap().with_key_rotation(rotation);
    surbs.surbs.iter().map(surb).collect()
}
