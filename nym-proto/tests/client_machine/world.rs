//! A whole network in one value and virtual time: clients are the machine under test, gateways
//! answer at once, and packets are walked through all their hops when they are sent.

mod gateway;
mod seen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::client::{
    Action, Client, Config, ConnectionId, Delivery, Event, Fact, Lane, MemoryStore, MessageId,
    Network, Outcome, Outgoing, Refused, Registration, StopReason, Target, Traffic, WsFrame,
};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{FRAME_PREFIX, ForwardRequest, GatewayText, seal_push};
use nym_proto::identity::{Identity, IdentityKeyPair, PrivateKey};
use nym_proto::message::{FragmentPlan, SetId, fragment_room, seal, split_final, write_padded};
use nym_proto::sphinx::{HEADER_SIZE, PacketPeeler, PacketSize, Peeled, SphinxPeeler};
use nym_proto::time::{Instant, UnixTime};
use nym_proto::topology::{Entry, Node, RewardedSet, SupportedRoles, Topology, TopologyParts};

use self::gateway::{Conn, Gateway};
use self::seen::Seen;

const UNIX_START: UnixTime = UnixTime::from_secs(1_767_225_600);
/// One way between a client and its gateway.
pub const LINK: Duration = Duration::from_millis(5);

pub struct Host {
    pub machine: Client,
    pub address: Option<Recipient>,
    pub written: Vec<(Instant, usize)>,
    pub actions: Vec<String>,
    pub delivered: Vec<Delivery>,
    pub outcomes: Vec<(MessageId, Outcome)>,
    pub facts: Vec<Fact>,
    pub registration: Option<Registration>,
    /// What it wanted kept.
    pub kept: MemoryStore,
    pub stopped: Option<StopReason>,
    pub writable: Vec<Option<Lane>>,
    /// Whether delivered messages are reported as taken.
    pub takes: bool,
    /// Actions it will still carry out before it crashes.
    pub crash_after: Option<usize>,
    pub is_crashed: bool,
    conn: Option<(ConnectionId, usize, Conn)>,
    seed: [u8; 32],
}

enum Arrival {
    ToClient { client: usize, event: Event },
    ToGateway { client: usize, connection: ConnectionId, frame: WsFrame },
    Push { gateway: usize, destination: [u8; 32], message: Bytes },
}

pub struct World {
    pub now: Instant,
    pub hosts: Vec<Host>,
    pub gateways: Vec<Gateway>,
    pub topology: Arc<Topology>,
    /// Probability that a hop drops a packet.
    pub loss: f64,
    /// Time between two nodes.
    pub latency: Duration,
    sphinx_keys: BTreeMap<NodeAddress, (PrivateKey, Option<usize>)>,
    queue: BTreeMap<(Instant, u64), Arrival>,
    sequence: u64,
    stream: Stream,
    raw: Vec<u8>,
    pub seen: Seen,
}

impl World {
    pub fn new(seed: u8) -> Self {
        let mut stream = Entropy::new([seed; 32]).stream(Purpose::Other(1));
        let mut sphinx_keys = BTreeMap::new();
        let mut nodes = Vec::new();
        let gateways: Vec<Gateway> = (0..2).map(|_| Gateway::new(&mut stream)).collect();
        for id in 0..8u32 {
            let address: NodeAddress = match id % 2 {
                // both address families, so that frames have two sizes
                0 => format!("10.0.0.{}:1789", id + 1).parse::<std::net::SocketAddr>(),
                _ => format!("[fd00::{id}]:1789").parse::<std::net::SocketAddr>(),
            }
            .unwrap()
            .into();
            let key = PrivateKey::generate(&mut stream);
            let gateway = (id < 2).then_some(id as usize);
            let identity = match gateway {
                Some(index) => *gateways[index].identity.public(),
                None => *IdentityKeyPair::generate(&mut stream).public(),
            };
            nodes.push(Node {
                id,
                identity,
                sphinx_key: key.public(),
                mix_host: address,
                entry: gateway.map(|index| Entry {
                    hostname: None,
                    ip_addresses: vec![std::net::IpAddr::from([10, 0, 1, index as u8])],
                    ws_port: 9000,
                    wss_port: None,
                }),
                roles: SupportedRoles { mixnode: id >= 2, entry: id < 2, exit: false },
                performance: 100,
            });
            sphinx_keys.insert(address, (key, gateway));
        }
        let rewarded = RewardedSet {
            epoch_id: 7,
            entry_gateways: vec![0, 1],
            layer1: vec![2, 3],
            layer2: vec![4, 5],
            layer3: vec![6, 7],
            ..RewardedSet::default()
        };
        let topology = Topology::new(TopologyParts {
            epoch: 7,
            rotation_id: 3,
            refreshed_at: None,
            rewarded,
            nodes,
        })
        .unwrap();
        Self {
            now: Instant::from_nanos(1_000_000),
            hosts: Vec::new(),
            gateways,
            topology: Arc::new(topology),
            loss: 0.0,
            latency: Duration::from_millis(1),
            sphinx_keys,
            queue: BTreeMap::new(),
            sequence: 0,
            stream,
            raw: Vec::new(),
            seen: Seen::default(),
        }
    }

    pub fn config(&self, gateway: usize) -> Config {
        let mut config = Config::new(Network::Fixed(self.topology.clone()));
        config.gateway =
            nym_proto::client::GatewayChoice::Given(*self.gateways[gateway].identity.public());
        config
    }

    /// Adds a client and starts it.
    pub fn add(&mut self, config: Config, seed: u8) -> usize {
        let identity = Identity::generate(&mut Entropy::new([seed; 32]).stream(Purpose::Identity));
        let machine = Client::new(config, identity, [seed; 32], self.now, self.unix());
        self.hosts.push(Host {
            machine,
            address: None,
            written: Vec::new(),
            actions: Vec::new(),
            delivered: Vec::new(),
            outcomes: Vec::new(),
            facts: Vec::new(),
            registration: None,
            kept: MemoryStore::new(),
            stopped: None,
            writable: Vec::new(),
            takes: true,
            crash_after: None,
            is_crashed: false,
            conn: None,
            seed: [seed; 32],
        });
        let index = self.hosts.len() - 1;
        self.drain(index);
        index
    }

    /// Adds a client for each gateway and waits until both are ready.
    pub fn with_two_clients(seed: u8) -> Self {
        let mut world = Self::new(seed);
        world.add(world.config(0), seed.wrapping_add(1));
        world.add(world.config(1), seed.wrapping_add(2));
        world.run_for(Duration::from_secs(1));
        assert!(world.hosts.iter().all(|host| host.address.is_some()), "not ready after a second");
        world
    }

    /// As [`config`](Self::config), but frames leave only when there is something to send, so that
    /// there is little to compute.
    pub fn quiet_config(&self, gateway: usize) -> Config {
        Config { traffic: Traffic::without_cover(), ..self.config(gateway) }
    }

    /// Two clients as [`with_two_clients`](Self::with_two_clients) adds them, without cover.
    pub fn without_cover(seed: u8) -> Self {
        let mut world = Self::new(seed);
        for client in 0..2 {
            world.add(world.quiet_config(client), seed.wrapping_add(1 + client as u8));
        }
        world.run_for(Duration::from_secs(1));
        world
    }

    pub fn address(&self, client: usize) -> Recipient {
        self.hosts[client].address.unwrap()
    }

    pub fn unix(&self) -> UnixTime {
        UNIX_START + self.now.since(Instant::START)
    }

    pub fn send(
        &mut self,
        client: usize,
        id: u64,
        target: Target,
        data: impl Into<Bytes>,
    ) -> Result<(), Refused> {
        self.event_with_result(
            client,
            Event::Send(Outgoing::new(MessageId(id), target, data.into())),
        )
    }

    pub fn event(&mut self, client: usize, event: Event) {
        self.event_with_result(client, event).unwrap();
    }

    /// Starts a crashed client again, from what it had kept, with another seed.
    pub fn restart(&mut self, client: usize, mut config: Config, seed: u8) {
        let (now, unix) = (self.now, self.unix());
        let host = &mut self.hosts[client];
        assert!(host.is_crashed, "only a crashed client is restarted");
        (host.is_crashed, host.conn) = (false, None);
        config.state = host.kept.state();
        let first = host.seed;
        let identity = Identity::generate(&mut Entropy::new(first).stream(Purpose::Identity));
        host.machine = Client::new(config, identity, [seed; 32], now, unix);
        self.queue.retain(
            |_, arrival| !matches!(arrival, Arrival::ToClient { client: to, .. } if *to == client),
        );
        self.drain(client);
    }

    pub fn event_with_result(&mut self, client: usize, event: Event) -> Result<(), Refused> {
        if self.hosts[client].is_crashed {
            return Ok(());
        }
        let result = self.hosts[client].machine.handle(self.now, event);
        self.drain(client);
        result
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Runs until the condition holds; panics if it does not within `time`.
    pub fn run_until_true(
        &mut self,
        time: Duration,
        what: &str,
        condition: impl FnMut(&Self) -> bool,
    ) {
        let end = self.now + time;
        assert!(self.run_until(end, condition), "not within {time:?}: {what}");
    }

    fn run_until(&mut self, end: Instant, mut condition: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if condition(self) {
                return true;
            }
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let tick = (0..self.hosts.len())
                .filter(|i| !self.hosts[*i].is_crashed)
                .filter_map(|i| self.hosts[i].machine.next_deadline().map(|d| (d.at, i)))
                .min();
            let at = [arrival, tick.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(at) = at.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            if arrival == Some(at) {
                let (_, arrival) = self.queue.pop_first().unwrap();
                self.arrive(arrival);
            } else if let Some((_, client)) = tick {
                self.event(client, Event::Tick);
            }
        }
        self.now = end;
        condition(self)
    }

    /// Cuts the client's connection.
    pub fn cut(&mut self, client: usize) {
        if let Some((connection, ..)) = self.hosts[client].conn.take() {
            self.event(client, Event::GatewayClosed { connection, reason: "cut".into() });
        }
    }

    /// The gateway's `register` that is under way is lost, and the connection with it.
    pub fn lose_next_register(&mut self, client: usize) {
        let is_register = |arrival: &Arrival| {
            matches!(arrival, Arrival::ToClient {
                client: to, event: Event::GatewayFrame { frame: WsFrame::Text(text), .. }
            } if *to == client && text.contains("\"register\""))
        };
        let key = self.queue.iter().find(|(_, arrival)| is_register(arrival)).map(|(key, _)| *key);
        self.queue.remove(&key.unwrap()).unwrap();
        self.run_for(2 * LINK);
        self.cut(client);
    }

    /// The gateway's end of the client's connection disappears; the client is not told.
    pub fn vanish(&mut self, client: usize) {
        self.hosts[client].conn = None;
    }

    /// The client's socket takes no more, or takes more again.
    pub fn block(&mut self, client: usize, is_blocked: bool) {
        if let Some((connection, ..)) = self.hosts[client].conn {
            self.event(
                client,
                match is_blocked {
                    true => Event::GatewayBlocked { connection },
                    false => Event::GatewayWritable { connection },
                },
            );
        }
    }

    /// The client's connection.
    pub fn connection(&self, client: usize) -> ConnectionId {
        self.hosts[client].conn.as_ref().unwrap().0
    }

    /// Delivers a serialised message to a client as a third party would send it: encrypted to its
    /// address, in one packet.
    pub fn send_raw(&mut self, to: &Recipient, message: &[u8]) {
        let plan = FragmentPlan::new(message.len(), PacketSize::Regular);
        let ids = SetId::draw_distinct(plan.sets(), &mut self.stream);
        let (header, range) = plan.place(0, &ids).unwrap();
        let mut buffer = vec![0; 32 + fragment_room(PacketSize::Regular)];
        let at = header.encode(&mut buffer[32..]);
        write_padded(&[message], range.start, &mut buffer[32 + at..]);
        self.raw.clone_from(&buffer);
        self.send_raw_again(to);
    }

    /// The fragment sent last with [`send_raw`](Self::send_raw) comes in another packet.
    pub fn send_raw_again(&mut self, to: &Recipient) {
        let mut buffer = self.raw.clone();
        seal(&to.encryption, &mut buffer, &mut self.stream).unwrap();
        let gateway =
            self.gateways.iter().position(|g| *g.identity.public() == to.gateway).unwrap();
        self.deliver(gateway, *to.identity.as_bytes(), buffer.into());
    }

    /// Sends the client a frame as if it came from its gateway.
    pub fn inject(&mut self, client: usize, frame: WsFrame) {
        if let Some((connection, ..)) = self.hosts[client].conn {
            self.event(client, Event::GatewayFrame { connection, frame });
        }
    }

    /// Seals a push for the client, as its gateway would.
    pub fn push(&mut self, client: usize, message: &[u8]) {
        if let Some((_, _, Conn::Active { key, .. })) = &self.hosts[client].conn {
            let frame = seal_push(key, self.stream.bytes(), message);
            self.inject(client, WsFrame::Binary(frame));
        }
    }

    fn drain(&mut self, client: usize) {
        while let Some(action) = self.hosts[client].machine.poll_action() {
            let host = &mut self.hosts[client];
            if let Some(left) = &mut host.crash_after {
                if *left == 0 {
                    (host.is_crashed, host.crash_after) = (true, None);
                    return;
                }
                *left -= usize::from(!matches!(action, Action::SetTimer(_)));
            }
            host.actions.push(format!("{:?} {action:?}", self.now));
            match action {
                Action::Connect { connection, urls } => self.connect(client, connection, &urls),
                Action::Write { connection, frame } => {
                    host.written.push((self.now, frame.len()));
                    let arrival = Arrival::ToGateway { client, connection, frame };
                    self.schedule(LINK, arrival);
                }
                Action::Disconnect { connection } => {
                    host.conn.take_if(|(current, ..)| *current == connection);
                }
                Action::Deliver(delivery) => {
                    host.delivered.push(delivery);
                    if host.takes {
                        host.machine.handle(self.now, Event::Taken(1)).unwrap();
                    }
                }
                Action::Outcome { id, outcome } => host.outcomes.push((id, outcome)),
                Action::Writable(lane) => host.writable.push(lane),
                Action::Persist(changes) => {
                    host.kept.apply(&changes);
                    let registration =
                        changes.iter().rev().find_map(|change| change.registration());
                    host.registration = registration.or(host.registration.take());
                }
                Action::Report(fact) => {
                    if let Fact::Address(address) = fact {
                        host.address = Some(address);
                    }
                    host.facts.push(fact);
                }
                Action::Stopped(reason) => host.stopped = Some(reason),
                Action::Fetch { .. } => panic!("nothing to fetch with a fixed topology"),
                _ => {}
            }
        }
    }

    fn schedule(&mut self, after: Duration, arrival: Arrival) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), arrival);
    }

    fn connect(&mut self, client: usize, connection: ConnectionId, urls: &[String]) {
        let gateway =
            (0..2).find(|index| urls.contains(&format!("ws://10.0.1.{index}:9000"))).unwrap();
        let event = if self.gateways[gateway].is_up {
            self.hosts[client].conn = Some((connection, gateway, Conn::Init));
            Event::GatewayConnected { connection, unix_time: self.unix() }
        } else {
            Event::GatewayClosed { connection, reason: "refused".into() }
        };
        self.schedule(LINK, Arrival::ToClient { client, event });
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::ToClient { client, event } => self.event(client, event),
            Arrival::ToGateway { client, connection, frame } => {
                let is_current =
                    self.hosts[client].conn.as_ref().is_some_and(|(c, ..)| *c == connection);
                if is_current {
                    self.at_gateway(client, frame);
                }
            }
            Arrival::Push { gateway, destination, message } => {
                self.deliver(gateway, destination, message)
            }
        }
    }

    fn at_gateway(&mut self, client: usize, frame: WsFrame) {
        let (connection, gateway, conn) = self.hosts[client].conn.take().unwrap();
        let (conn, answers) = match (conn, frame) {
            (Conn::Active { client: id, key }, WsFrame::Binary(bytes)) => {
                let nonce = bytes[2..FRAME_PREFIX].to_vec();
                let request = ForwardRequest::open(&key, BytesMut::from(bytes)).unwrap();
                let first_hop = request.first_hop;
                let packet = request.into_packet();
                self.seen.frame(*key.as_bytes(), nonce, &packet[..HEADER_SIZE]);
                self.walk(first_hop, packet, Duration::ZERO);
                let remaining_bandwidth = self.gateways[gateway].balance;
                let answer = GatewayText::Send { remaining_bandwidth, upgrade_mode: false };
                (Conn::Active { client: id, key }, vec![answer.encode()])
            }
            (conn, WsFrame::Text(text)) => {
                self.gateways[gateway].answer(conn, &text, &mut self.stream)
            }
            (conn, WsFrame::Binary(_)) => (conn, vec![]),
        };
        let activated = match &conn {
            Conn::Active { client, .. } => Some(*client.as_bytes()),
            _ => None,
        };
        self.hosts[client].conn = Some((connection, gateway, conn));
        for text in answers {
            let event = Event::GatewayFrame { connection, frame: WsFrame::Text(text) };
            self.schedule(LINK, Arrival::ToClient { client, event });
        }
        let Some(id) = activated else { return };
        let stored = std::mem::take(&mut self.gateways[gateway].stored);
        let (mine, others) = stored.into_iter().partition(|(destination, _)| *destination == id);
        self.gateways[gateway].stored = others;
        for (destination, message) in mine {
            self.deliver(gateway, destination, message);
        }
    }

    /// Takes a packet through all its hops at once and schedules what comes out.
    fn walk(&mut self, first: NodeAddress, mut packet: BytesMut, mut elapsed: Duration) {
        let peeler = SphinxPeeler::default();
        let mut at = first;
        loop {
            if self.loss > 0.0 && self.stream.chance(self.loss) {
                return;
            }
            let (key, gateway) = self.sphinx_keys.get(&at).unwrap();
            let opened = peeler.open(key, &packet).unwrap();
            match peeler.peel(opened, &mut packet).unwrap() {
                Peeled::Forward { next, delay } => {
                    elapsed += Duration::from(delay) + self.latency;
                    at = next;
                }
                Peeled::Final { destination, plaintext } => {
                    let gateway = gateway.unwrap();
                    let plaintext = &packet[plaintext];
                    let message = if packet.len() == PacketSize::Ack.packet_len() {
                        Bytes::copy_from_slice(plaintext)
                    } else {
                        let (ack_to, ack, message) = split_final(plaintext).unwrap();
                        self.seen.content(message);
                        let message = Bytes::copy_from_slice(message);
                        let ack = BytesMut::from(ack);
                        self.walk(ack_to, ack, elapsed);
                        message
                    };
                    self.schedule(elapsed, Arrival::Push { gateway, destination, message });
                    return;
                }
            }
        }
    }

    fn deliver(&mut self, gateway: usize, destination: [u8; 32], message: Bytes) {
        let target = self.hosts.iter().position(|host| {
            matches!(&host.conn, Some((_, at, Conn::Active { client, .. }))
                if *at == gateway && *client.as_bytes() == destination)
        });
        let Some(client) = target else {
            self.gateways[gateway].stored.push((destination, message));
            return;
        };
        let Some((connection, _, Conn::Active { key, .. })) = &self.hosts[client].conn else {
            return;
        };
        let connection = *connection;
        let frame = WsFrame::Binary(seal_push(key, self.stream.bytes(), &message));
        let event = Event::GatewayFrame { connection, frame };
        self.schedule(LINK, Arrival::ToClient { client, event });
    }

    /// The client's seed, for making it again.
    pub fn seed(&self, client: usize) -> [u8; 32] {
        self.hosts[client].seed
    }
}
