//! A gateway: the last hop of packets for its clients, and the first of theirs.
//! (protocol: gateway 14)
//!
//! The machine takes bytes and time and says what to do; it never waits. Its
//! [`GatewayStore`] is what outlives it.

mod admission;
mod config;
mod delivery;
mod event;
mod requests;
mod session;
mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use nym_proto::client::WsFrame;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    GatewayText, GcmSiv, INITIAL_MESSAGE_TIMEOUT, LinkCipher, STORED_MESSAGE_PURGE_INTERVAL,
};
use nym_proto::identity::{IdentityKey, IdentityKeyPair};
use nym_proto::sphinx::{PacketPeeler, SphinxPeeler};
use nym_proto::time::{Instant, UnixTime};

pub use self::config::{GatewayConfig, GatewayKeys, GatewayLimits};
pub use self::event::{Action, ConnectionId, Event};
use self::session::{Connection, Session, State};
pub use self::store::{GatewayStore, StoreLimits};
use crate::epoch::{HeldRotations, WallClock};
use crate::relay::{Egress, KeySchedule, Links, PacketStats, Unwrapper};

/// What happened at a gateway. All counters since the machine was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GatewayStats {
    /// Packets from other nodes; forwarded ones are acks.
    pub packets: PacketStats,
    /// Packets of clients handed to their first hop.
    pub requests: u64,
    /// Packets of clients refused for lack of bandwidth.
    pub out_of_bandwidth: u64,
    /// Messages pushed to clients, stored ones included.
    pub delivered: u64,
    /// Messages stored for absent or slow clients.
    pub stored: u64,
    /// Messages dropped because the store was full.
    pub store_full: u64,
    /// Frames of clients that could not be understood.
    pub bad_frames: u64,
    /// Registrations completed.
    pub registrations: u64,
    /// Authentications completed.
    pub authentications: u64,
    /// Registrations and authentications refused.
    pub refusals: u64,
    /// Sessions ended because the client came back on another connection.
    pub evictions: u64,
}

/// The machine of a gateway. Randomness comes from the seed alone, time from the caller.
pub struct Gateway {
    links: Links,
    inner: Inner,
}

/// Everything but the links, so that it can be used while they are read.
struct Inner {
    now: Instant,
    unwrapper: Unwrapper,
    cipher: Box<dyn LinkCipher>,
    egress: Egress,
    enforce_credentials: bool,
    limits: GatewayLimits,
    identity: IdentityKeyPair,
    handshakes: Stream,
    nonces: Stream,
    store: GatewayStore,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The deadlines of connections.
    timers: BTreeSet<(Instant, ConnectionId)>,
    /// The session of each client that has one.
    active: BTreeMap<[u8; 32], ConnectionId>,
    next_purge: Instant,
    actions: VecDeque<Action>,
    stats: GatewayStats,
}

impl Gateway {
    /// A gateway that begins at `now`, when the wall clock shows `unix_time`.
    #[must_use]
    pub fn new(
        config: GatewayConfig,
        keys: GatewayKeys,
        store: GatewayStore,
        now: Instant,
        unix_time: UnixTime,
    ) -> Self {
        let packets = (Box::new(SphinxPeeler::default()) as _, Box::new(GcmSiv) as _);
        Self::with_packets(config, keys, store, now, unix_time, packets)
    }

    /// A gateway with other packets than the network's, and other encryption of links.
    #[must_use]
    pub fn with_packets(
        config: GatewayConfig,
        keys: GatewayKeys,
        store: GatewayStore,
        now: Instant,
        unix_time: UnixTime,
        (peeler, cipher): (Box<dyn PacketPeeler>, Box<dyn LinkCipher>),
    ) -> Self {
        let GatewayConfig { seed, schedule, egress, enforce_credentials, limits } = config;
        let entropy = Entropy::new(seed);
        let wall = WallClock::new(now, unix_time);
        let tags_max = limits.replay_tags_max;
        Self {
            links: Links::new(limits.links_max),
            inner: Inner {
                now,
                unwrapper: Unwrapper::new(peeler, keys.sphinx, schedule, wall, now, tags_max),
                cipher,
                egress,
                enforce_credentials,
                limits,
                identity: keys.identity,
                handshakes: entropy.stream(Purpose::Other(0)),
                nonces: entropy.stream(Purpose::Other(1)),
                store,
                connections: BTreeMap::new(),
                timers: BTreeSet::new(),
                active: BTreeMap::new(),
                next_purge: now + STORED_MESSAGE_PURGE_INTERVAL,
                actions: VecDeque::new(),
                stats: GatewayStats::default(),
            },
        }
    }

    /// Stops the gateway and keeps its memory. Stored messages whose writing was not confirmed
    /// are still in it.
    #[must_use]
    pub fn into_store(self) -> GatewayStore {
        self.inner.store
    }

    /// Takes one event. A clock that jumps back is clamped.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        let inner = &mut self.inner;
        inner.now = inner.now.max(now);
        if let Event::Clock(unix_time) = event {
            inner.unwrapper.set_wall(WallClock::new(inner.now, unix_time));
        }
        inner.tick();
        match event {
            Event::Tick | Event::Clock(_) => {}
            Event::LinkOpened(link) => {
                if !self.links.open(link) {
                    inner.actions.push_back(Action::CloseLink(link));
                }
            }
            Event::LinkBytes { link, bytes } => {
                if !self.links.feed(link, bytes, |frame| inner.accept_packet(frame)) {
                    inner.stats.packets.bad_links += 1;
                    inner.actions.push_back(Action::CloseLink(link));
                }
            }
            Event::LinkClosed(link) => self.links.close(link),
            Event::ConnectionOpened(connection) => inner.open(connection),
            Event::ConnectionFrame { connection, frame } => inner.accept_frame(connection, frame),
            Event::Pong { connection, payload } => inner.accept_pong(connection, payload),
            Event::Flushed { connection, marker } => inner.accept_flush(connection, marker),
            Event::ConnectionClosed(connection) => inner.forget(connection),
        }
    }

    /// The next thing to do, in the order of decision.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.inner.actions.pop_front()
    }

    /// When the gateway wants a [`Event::Tick`]; at once while actions are queued.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let inner = &self.inner;
        if !inner.actions.is_empty() {
            return Some(inner.now);
        }
        let connection = inner.timers.first().map(|(at, _)| *at);
        let rotation = inner.unwrapper.next_rotation(inner.now);
        [Some(inner.next_purge), connection, rotation].into_iter().flatten().min()
    }

    /// Changes which keys are held, now and later.
    pub fn set_schedule(&mut self, schedule: KeySchedule) {
        self.inner.unwrapper.set_schedule(schedule);
        self.inner.unwrapper.rotate(self.inner.now);
    }

    /// Whether bandwidth needs credentials from now on; see [`GatewayConfig`].
    pub fn set_enforce_credentials(&mut self, enforce: bool) {
        self.inner.enforce_credentials = enforce;
    }

    /// What clients were granted is used up: they have to claim anew.
    pub fn expire_bandwidth(&mut self) {
        self.inner.store.expire_bandwidth();
    }

    /// Takes the messages stored for a client, as if they had been delivered.
    pub(crate) fn take_stored(&mut self, client: &IdentityKey) -> Vec<Bytes> {
        self.inner.store.take(client)
    }

    /// The rotations whose keys are held.
    #[must_use]
    pub fn held_rotations(&self) -> HeldRotations {
        self.inner.unwrapper.held()
    }

    /// The gateway's identity.
    #[must_use]
    pub fn identity(&self) -> &IdentityKey {
        self.inner.identity.public()
    }

    /// What the gateway remembers.
    #[must_use]
    pub fn store(&self) -> &GatewayStore {
        &self.inner.store
    }

    /// True if a client has a session.
    #[must_use]
    pub fn has_session(&self, client: &IdentityKey) -> bool {
        self.inner.active.contains_key(client.as_bytes())
    }

    /// Number of sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.inner.active.len()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> GatewayStats {
        self.inner.stats
    }
}

impl core::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Gateway")
            .field("identity", self.identity())
            .field("connections", &self.inner.connections.len())
            .field("stats", &self.inner.stats)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn unix_time(&self) -> UnixTime {
        self.unwrapper.wall().unix_time(self.now)
    }

    /// Does what is due: keys, purge, deadlines of connections.
    fn tick(&mut self) {
        self.unwrapper.rotate(self.now);
        if self.next_purge <= self.now {
            self.next_purge = self.now + STORED_MESSAGE_PURGE_INTERVAL;
            self.store.purge(self.unix_time());
        }
        while let Some(&(at, connection)) = self.timers.first()
            && at <= self.now
        {
            self.set_deadline(connection, None);
            self.expire(connection);
        }
    }

    fn open(&mut self, connection: ConnectionId) {
        if self.connections.len() >= self.limits.connections_max {
            self.actions.push_back(Action::Close(connection));
            return;
        }
        let fresh = Connection { state: State::Initial, deadline: None };
        self.connections.insert(connection, fresh);
        self.set_deadline(connection, Some(self.now + INITIAL_MESSAGE_TIMEOUT));
    }

    /// Frames are processed strictly one at a time. (protocol: gateway 8.2)
    fn accept_frame(&mut self, connection: ConnectionId, frame: WsFrame) {
        match self.connections.get(&connection).map(|connection| &connection.state) {
            None => {}
            Some(State::Initial) => self.handle_initial(connection, frame),
            Some(State::Handshake(_)) => self.handle_handshake(connection, frame),
            Some(State::Waiting { .. }) => self.hold(connection, frame),
            Some(State::Active(_)) => self.handle_request(connection, frame),
        }
    }

    fn session_mut(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        match self.connections.get_mut(&connection).map(|connection| &mut connection.state) {
            Some(State::Active(session)) => Some(session),
            _ => None,
        }
    }

    fn set_deadline(&mut self, id: ConnectionId, deadline: Option<Instant>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            if let Some(old) = core::mem::replace(&mut connection.deadline, deadline) {
                self.timers.remove(&(old, id));
            }
            if let Some(new) = deadline {
                self.timers.insert((new, id));
            }
        }
    }

    fn send_text(&mut self, connection: ConnectionId, text: String) {
        self.actions.push_back(Action::Send { connection, frame: WsFrame::Text(text) });
    }

    fn respond(&mut self, connection: ConnectionId, text: &GatewayText) {
        self.send_text(connection, text.encode());
    }

    fn respond_error(&mut self, connection: ConnectionId, message: &str) {
        let message = message.to_owned();
        self.respond(connection, &GatewayText::Error { message });
    }
}
