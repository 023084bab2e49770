//! A whole mixnet in virtual time: one thread, one seed, no sockets.
//!
//! [`Sim`] joins the machines that run on real sockets elsewhere (clients, gateways, mix nodes
//! and the directory) by a simulated network. Time passes only as fast as there is something to
//! do, and the same seed and the same calls give the same run, bit for bit. An application's test
//! needs ten lines:
//!
//! ```
//! use std::time::Duration;
//! use nym_testnet::sim::{Sim, SimConfig};
//!
//! let mut sim = Sim::new(SimConfig { seed: 7, ..SimConfig::default() });
//! let alice = sim.add_client(|_| {});
//! let bob = sim.add_client(|config| config.traffic.main_interval = Duration::from_millis(50));
//! assert!(sim.run_until(Duration::from_secs(30), |sim| sim.are_ready()));
//!
//! let id = sim.send_anonymous(alice, bob, "how are you?").unwrap();
//! assert!(sim.run_until(Duration::from_secs(30), |sim| sim.is_acknowledged(alice, id)));
//! sim.run_for(Duration::from_secs(1));
//! sim.reply(bob, "fine").unwrap();
//! assert!(sim.run_until(Duration::from_secs(30), |sim| sim.has_received(alice, b"fine")));
//! ```
//!
//! Things go wrong when told to:
//!
//! * connections of clients are cut ([`Sim::cut`]), break in the middle of a message
//!   ([`Sim::tear`]), go silent, stall or are read slowly in one direction or both
//!   ([`Sim::silence`], [`Sim::stall`], [`Sim::slow`]);
//! * clients sleep ([`Sim::suspend`]), their clocks jump ([`Sim::set_clocks`]), and they crash at any
//!   action and come back with what they kept ([`Sim::crash_client_after`], [`Sim::restart_client`]);
//! * nodes crash ([`Sim::crash`], [`Sim::restart`]), frames between them get lost, doubled, late
//!   ([`Sim::set_node_links`]), gateways grant no bandwidth ([`Sim::set_grants`]);
//! * the directory fails or lies ([`Sim::set_directory`]), or leaves nodes out ([`Sim::hide`]);
//! * gateways mean harm ([`Sim::corrupt`]), and so do people who send packets
//!   ([`Sim::add_hostile_sender`], [`Sim::attack`]).
//!
//! [`campaign`] draws all of this from a seed ([`faults::Kind`]) and checks what the network does
//! against a [`model`] ([`model::Rule`]).

pub mod campaign;
mod clients;
mod config;
mod crashes;
mod disturb;
mod documents;
mod draw;
pub mod faults;
mod host;
mod hostile_directory;
pub mod hostile_gateway;
pub mod hostile_sender;
mod links;
pub mod logs;
pub mod model;
mod nodes;
mod queue;
pub mod scenarios;
mod step;
pub mod trace;
mod uplinks;
mod watched;

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use nym_proto::address::NodeAddress;
use nym_proto::client::{
    Client, Config, DeliveryOrigin, Event, MessageId, Network, Outcome, Outgoing, PacketSuite,
    Parts, Refused, Target,
};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::Identity;
use nym_proto::sphinx::SphinxBuilder;
use nym_proto::time::{Instant, UnixTime};

pub use self::config::{NodeLinks, Sabotage, SimConfig, Suite};
use self::crashes::Origin;
pub use self::documents::DirectoryMode;
use self::documents::Documents;
pub use self::host::{LostPush, SimClient};
use self::hostile_gateway::HostileGateway;
use self::hostile_sender::HostileSender;
use self::links::Links;
pub use self::links::Ways;
use self::nodes::Node;
use self::queue::Queue;
use self::trace::{Trace, TraceSink};
pub use self::watched::Pending;
use crate::blueprint::Blueprint;
use crate::directory::ListedNode;
use crate::epoch::EpochClock;
use crate::transparent::TransparentBuilder;

/// What the wall clock shows when the simulation begins.
const UNIX_START: UnixTime = UnixTime::from_secs(1_767_225_600);
const WS_PORT: u16 = 9000;
const MIX_PORT: u16 = 1789;

/// Names a client of a simulation: they are numbered from 0 in the order they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientIx(pub usize);

/// Names a node of a simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeIx {
    /// A gateway, from 0.
    Gateway(usize),
    /// A mix node, from 0, layer by layer.
    Mix(usize),
}

/// Why a convenience of [`Sim`] could not send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// The recipient has no address yet: it was never ready.
    NoAddress,
    /// Nobody anonymous has written to this client.
    NobodyToAnswer,
    /// The client does not accept the message.
    Refused(Refused),
}

/// A simulated network.
#[derive(Debug)]
pub struct Sim {
    config: SimConfig,
    now: Instant,
    epochs: EpochClock,
    entropy: Entropy,
    /// Luck of frames under way.
    network: Stream,
    /// Gateways that mean harm, and what they draw from.
    hostile: BTreeMap<usize, HostileGateway>,
    mischief: Stream,
    senders: Vec<HostileSender>,
    queue: Queue,
    trace: Trace,
    clients: Vec<SimClient>,
    /// Gateways first.
    nodes: Vec<Node>,
    by_address: BTreeMap<NodeAddress, usize>,
    by_url: BTreeMap<String, usize>,
    links: Links,
    documents: Documents,
    next_message: u64,
}

impl Sim {
    /// A network without clients. All nodes run.
    #[must_use]
    pub fn new(config: SimConfig) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&config.seed.to_le_bytes());
        let entropy = Entropy::new(seed);
        let stream = |n| entropy.stream(Purpose::Other(n));
        let epochs = EpochClock::new(UNIX_START, config.epoch_length, config.validity_epochs);
        let blueprint =
            Blueprint::generate(stream(0).bytes(), config.gateways, config.mixes_per_layer);
        let plans: Vec<_> = blueprint.gateways.into_iter().chain(blueprint.mixes).collect();
        let mut by_address = BTreeMap::new();
        let mut by_url = BTreeMap::new();
        let mut listed = Vec::new();
        for (i, plan) in plans.iter().enumerate() {
            let is_gateway = i < usize::from(config.gateways);
            let address = address(i, is_gateway);
            by_address.insert(NodeAddress::new(address), i);
            if is_gateway {
                by_url.insert(format!("ws://{}:{WS_PORT}", address.ip()), i);
            }
            listed.push(ListedNode::new(plan, address, is_gateway.then_some(WS_PORT)));
        }
        let mut sim = Self {
            now: Instant::START,
            epochs,
            network: stream(1),
            hostile: BTreeMap::new(),
            mischief: stream(3),
            senders: Vec::new(),
            queue: Queue::default(),
            trace: Trace::new(),
            clients: Vec::new(),
            nodes: plans.into_iter().map(Node::new).collect(),
            by_address,
            by_url,
            links: Links::default(),
            documents: Documents::new(listed, epochs, stream(2)),
            next_message: 0,
            entropy,
            config,
        };
        for node in 0..sim.nodes.len() {
            sim.start_node(node);
        }
        sim
    }

    /// Adds a client that finds the network through the directory; `change` may change its
    /// configuration. It begins to connect at once.
    pub fn add_client(&mut self, change: impl FnOnce(&mut Config)) -> ClientIx {
        self.add_client_with(change, |parts| parts)
    }

    /// As [`add_client`](Self::add_client), and `wrap` may replace or wrap what the client is made
    /// of: to watch the packets it builds, or to break something on purpose.
    pub fn add_client_with(
        &mut self,
        change: impl FnOnce(&mut Config),
        wrap: impl FnOnce(Parts) -> Parts,
    ) -> ClientIx {
        let index = self.clients.len();
        let mut stream = self.entropy.stream(Purpose::Other(1000 + index as u32));
        let mut config = Config::new(Network::Directory(vec![Documents::base_url()]));
        change(&mut config);
        let identity = Identity::generate(&mut stream);
        let builder = self.builder();
        let (now, unix_time) = (self.now, self.unix_time());
        let seed = stream.bytes();
        let parts = wrap(Parts { builder, ..Parts::default() });
        let origin = Origin { config: config.clone(), identity: identity.clone(), seeds: stream };
        let machine = Client::with_parts(config, identity, seed, now, unix_time, parts);
        self.clients.push(SimClient::new(machine, origin));
        self.drain_client(index);
        ClientIx(index)
    }

    fn builder(&self) -> Box<dyn PacketSuite> {
        match self.config.suite {
            Suite::Real => Box::new(SphinxBuilder::new()),
            Suite::Transparent => Box::new(TransparentBuilder::new()),
        }
    }

    /// What everything is drawn from.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.config.seed
    }

    // ---- time ------------------------------------------------------------------------------

    /// Time since the beginning of the simulation.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The wall clock.
    #[must_use]
    pub fn unix_time(&self) -> UnixTime {
        UNIX_START + self.now.since(Instant::START)
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until the condition holds, but no longer than `time`. Returns whether it holds.
    pub fn run_until(&mut self, time: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + time;
        loop {
            if condition(self) {
                return true;
            }
            if !self.step(end) {
                return condition(self);
            }
        }
    }

    // ---- what the application does ---------------------------------------------------------

    /// Hands a client any event: for what has no method of its own.
    ///
    /// # Errors
    /// For [`Event::Send`]: the message was not accepted.
    pub fn event(&mut self, client: ClientIx, event: Event) -> Result<(), Refused> {
        self.client_event(client.0, event)
    }

    /// Sends a message; the simulation numbers them.
    ///
    /// # Errors
    /// The client does not accept the message.
    pub fn send(
        &mut self,
        from: ClientIx,
        target: Target,
        data: impl Into<Bytes>,
    ) -> Result<MessageId, Refused> {
        let id = MessageId(self.next_message);
        self.next_message += 1;
        self.event(from, Event::Send(Outgoing::new(id, target, data.into())))?;
        Ok(id)
    }

    /// Sends a message that says nothing about its sender and cannot be answered.
    ///
    /// # Errors
    /// The recipient has no address, or the client does not accept the message.
    pub fn send_plain(
        &mut self,
        from: ClientIx,
        to: ClientIx,
        data: impl Into<Bytes>,
    ) -> Result<MessageId, SendError> {
        let recipient = self.client(to).address().ok_or(SendError::NoAddress)?;
        self.send(from, Target::Plain(recipient), data).map_err(SendError::Refused)
    }

    /// Sends a message with 10 SURBs.
    ///
    /// # Errors
    /// The recipient has no address, or the client does not accept the message.
    pub fn send_anonymous(
        &mut self,
        from: ClientIx,
        to: ClientIx,
        data: impl Into<Bytes>,
    ) -> Result<MessageId, SendError> {
        let recipient = self.client(to).address().ok_or(SendError::NoAddress)?;
        let target = Target::Anonymous { recipient, surbs: 10 };
        self.send(from, target, data).map_err(SendError::Refused)
    }

    /// Answers the last anonymous message the client has received.
    ///
    /// # Errors
    /// There is none, or the client does not accept the message.
    pub fn reply(
        &mut self,
        from: ClientIx,
        data: impl Into<Bytes>,
    ) -> Result<MessageId, SendError> {
        let origins = self.client(from).deliveries().iter().rev().map(|(_, d)| d.origin);
        let tag = origins.filter_map(|origin| match origin {
            DeliveryOrigin::Anonymous(tag) => Some(tag),
            _ => None,
        });
        let tag = tag.into_iter().next().ok_or(SendError::NobodyToAnswer)?;
        self.send(from, Target::Reply(tag), data).map_err(SendError::Refused)
    }

    // ---- what can be seen ------------------------------------------------------------------

    /// Number of clients.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A client.
    ///
    /// # Panics
    /// There is no such client.
    #[must_use]
    pub fn client(&self, client: ClientIx) -> &SimClient {
        &self.clients[client.0]
    }

    /// True if all clients are connected.
    #[must_use]
    pub fn are_ready(&self) -> bool {
        self.clients.iter().all(SimClient::is_ready)
    }

    /// True if the client has received exactly these bytes as a message.
    #[must_use]
    pub fn has_received(&self, client: ClientIx, data: &[u8]) -> bool {
        self.client(client).deliveries().iter().any(|(_, delivery)| delivery.data == data)
    }

    /// True if a message has ended acknowledged.
    #[must_use]
    pub fn is_acknowledged(&self, client: ClientIx, id: MessageId) -> bool {
        matches!(self.client(client).outcome(id), Some(Outcome::Acknowledged { .. }))
    }

    /// True if clients are to be found to hold too much.
    pub(crate) fn is_hoarding(&self) -> bool {
        self.config.sabotage == Some(Sabotage::Hoard)
    }

    /// True if log lines are to tell too much.
    pub(crate) fn is_blabbing(&self) -> bool {
        self.config.sabotage == Some(Sabotage::Blab)
    }

    /// From now on everything that happens goes to the sink as well, line by line.
    pub fn trace_to(&mut self, sink: Box<dyn TraceSink>) {
        self.trace.set_sink(sink);
    }

    /// Why the sink of the trace wants no more lines, if it does not.
    #[must_use]
    pub fn trace_failure(&self) -> Option<&str> {
        self.trace.failure()
    }

    /// A hash of everything that has happened, in order: all events and actions of clients, packets
    /// at nodes and faults, with their times and contents. Equal for equal seeds and calls, on every
    /// machine, whatever compiled it.
    #[must_use]
    pub const fn trace_hash(&self) -> u64 {
        self.trace.value()
    }
}

/// Both address families are in use, so that frames have two sizes.
fn address(i: usize, is_gateway: bool) -> SocketAddr {
    let [high, low] = (i as u16).to_be_bytes();
    if is_gateway || i.is_multiple_of(2) {
        ([10, 0, high, low], MIX_PORT).into()
    } else {
        ([0xfd00, 0, 0, 0, 0, 0, 0, i as u16], MIX_PORT).into()
    }
}
