//! The client state machine: events in, actions out.
//!
//! [`Client`] holds one part for each concern and passes between them; the parts do not know each
//! other. See the crate documentation for the run loop.

mod accept;
mod acks;
mod action;
mod condition;
mod config;
mod directory;
mod emit;
mod event;
mod gateways;
mod health;
mod inbox;
mod lookup;
mod outbox;
mod outgoing;
mod pacer;
mod receive;
mod replies;
mod restore;
mod schedule;
mod session;
mod slot;
mod state;
mod stats;
mod suite;
mod upkeep;
mod usage;
mod view;
mod work;

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

pub use action::*;
pub use config::*;
pub use event::*;
pub use health::{LoopHealth, RoundTrip};
pub use lookup::{DirectoryLookup, LookupStep};
pub use pacer::{Pacer, Poisson};
pub use state::{Change, MemoryStore, State};
pub use stats::Stats;
pub use suite::PacketSuite;
pub use usage::Usage;

use self::acks::Acks;
use self::directory::Directory;
use self::health::Health;
use self::inbox::Inbox;
use self::outbox::Outbox;
use self::replies::Replies;
use self::schedule::Schedule;
use self::session::Session;
use self::slot::NextSlot;
use self::state::Journal;
use crate::entropy::{Entropy, Purpose, Stream};
use crate::identity::{Identity, IdentityKey, PublicKey};
use crate::sphinx::{PacketSize, SphinxBuilder};
use crate::time::{Instant, UnixTime};
use crate::topology::{Node, Topology};

/// How often what is stale is looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A client that is called this much later than it asked for has slept. Longer than a busy machine
/// makes a shell late.
const ASLEEP: Duration = Duration::from_secs(10);
/// Hops of a route that delay.
const MIX_HOPS: u32 = 3;

/// A mixnet client as a pure state machine.
///
/// Hand it events with [`handle`](Self::handle), do what [`poll_action`](Self::poll_action) says,
/// and call [`handle`](Self::handle) with [`Event::Tick`] at [`next_deadline`](Self::next_deadline).
pub struct Client {
    config: Config,
    identity: Identity,
    /// The public half of its encryption key, which takes curve arithmetic to find.
    encryption: PublicKey,
    builder: Box<dyn PacketSuite>,
    streams: Streams,
    now: Instant,
    schedule: Schedule,
    next_slot: NextSlot,
    /// There was nothing to build for the last slot that was prepared.
    is_slot_empty: bool,
    outbox: Outbox,
    acks: Acks,
    inbox: Inbox,
    replies: Replies,
    session: Session,
    directory: Directory,
    topology: Option<Arc<Topology>>,
    /// Last known details of our gateway, with the rotation its key belongs to.
    own_gateway: Option<(Node, u32)>,
    /// When the topology in use came.
    topology_at: Instant,
    /// The topology does not list our gateway.
    is_unlisted: bool,
    /// Since when our gateway cannot be used, or is not listed.
    gateway_lost_at: Option<Instant>,
    /// Gateways that turned out unusable.
    unusable: Vec<IdentityKey>,
    health: Health,
    /// What the session says; what is told adds what is wrong.
    link_state: Connectivity,
    degradations: BTreeSet<Degradation>,
    connectivity: Connectivity,
    is_blocked: bool,
    was_up: bool,
    drain_until: Option<Instant>,
    /// Whether the drain ends when there is nothing left to send.
    ends_early: bool,
    is_stopped: bool,
    next_housekeeping: Instant,
    announced: Option<Deadline>,
    actions: VecDeque<Action>,
    /// Frames among the actions.
    writes_queued: usize,
    /// Changes of the state among the actions.
    changes_queued: usize,
    stats: Stats,
    /// What is to be kept and belongs to no concern of its own.
    journal: Journal,
}

/// What a client is made of besides its configuration. The default is what it is meant to be; tests
/// put others in place.
pub struct Parts {
    /// Makes packets.
    pub builder: Box<dyn PacketSuite>,
    /// Paces the emission clock.
    pub pacer: Box<dyn Pacer>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { builder: Box::new(SphinxBuilder::new()), pacer: Box::new(Poisson) }
    }
}

impl core::fmt::Debug for Parts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts").field("pacer", &self.pacer).finish_non_exhaustive()
    }
}

/// The streams of randomness that are not owned by one concern.
struct Streams {
    routes: Stream,
    delays: Stream,
    packets: Stream,
    link: Stream,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("connectivity", &self.connectivity)
            .field("now", &self.now)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. It begins to act at once: poll its first actions.
    ///
    /// `seed` is all the randomness of the run and must come from a cryptographic source and be
    /// used once. `now` and `unix_time` are the two clocks at this moment.
    #[must_use]
    pub fn new(
        config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
        unix_time: UnixTime,
    ) -> Self {
        Self::with_builder(config, identity, seed, now, unix_time, Box::new(SphinxBuilder::new()))
    }

    /// As [`new`](Self::new), with other packets than the network's.
    #[must_use]
    pub fn with_builder(
        config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
        unix_time: UnixTime,
        builder: Box<dyn PacketSuite>,
    ) -> Self {
        let parts = Parts { builder, ..Parts::default() };
        Self::with_parts(config, identity, seed, now, unix_time, parts)
    }

    /// As [`new`](Self::new), with other parts, for tests: what is promised about traffic holds
    /// with [`Parts::default`] only.
    #[must_use]
    pub fn with_parts(
        mut config: Config,
        identity: Identity,
        seed: [u8; 32],
        now: Instant,
        unix_time: UnixTime,
        parts: Parts,
    ) -> Self {
        let Parts { builder, pacer } = parts;
        let entropy = Entropy::new(seed);
        if config.traffic.packet_size == PacketSize::Ack {
            // acks carry no fragments
            config.traffic.packet_size = PacketSize::Regular;
        }
        let (bases, fixed) = match &config.network {
            Network::Directory(bases) => (bases.clone(), None),
            Network::Fixed(topology) => (Vec::new(), Some(topology.clone())),
        };
        let session_streams = (entropy.stream(Purpose::Gateway), entropy.stream(Purpose::Backoff));
        let route_delay = config.traffic.hop_delay.saturating_mul(MIX_HOPS);
        let health = Health::new(route_delay, config.limits.loops_max);
        let mut client = Self {
            schedule: Schedule::new(
                &config.traffic,
                (entropy.stream(Purpose::Schedule), entropy.stream(Purpose::Tiers)),
                pacer,
            ),
            next_slot: NextSlot::Open,
            is_slot_empty: false,
            outbox: Outbox::new(
                &config.limits,
                config.traffic.packet_size,
                entropy.stream(Purpose::Identifiers),
            ),
            acks: Acks::new(
                config.acks,
                config.traffic.main_interval,
                entropy.stream(Purpose::Acks),
            ),
            inbox: Inbox::new(&config.limits),
            replies: Replies::new(config.replies, &config.limits, entropy.stream(Purpose::Tags)),
            session: Session::new(
                identity.identity.clone(),
                &config.limits,
                now,
                unix_time,
                session_streams,
            ),
            directory: Directory::new(
                bases,
                config.min_performance,
                now,
                entropy.stream(Purpose::Directory),
            ),
            streams: Streams {
                routes: entropy.stream(Purpose::Routes),
                delays: entropy.stream(Purpose::Delays),
                packets: entropy.stream(Purpose::Packets),
                link: entropy.stream(Purpose::Link),
            },
            config,
            encryption: identity.encryption.public(),
            identity,
            builder,
            now,
            topology: None,
            own_gateway: None,
            topology_at: now,
            is_unlisted: false,
            gateway_lost_at: None,
            unusable: Vec::new(),
            health,
            link_state: Connectivity::Offline,
            degradations: BTreeSet::new(),
            connectivity: Connectivity::Offline,
            is_blocked: false,
            was_up: false,
            drain_until: None,
            ends_early: false,
            is_stopped: false,
            next_housekeeping: now + HOUSEKEEPING,
            announced: None,
            actions: VecDeque::new(),
            writes_queued: 0,
            changes_queued: 0,
            stats: Stats::default(),
            journal: Journal::default(),
        };
        let state = core::mem::take(&mut client.config.state);
        client.restore(state, unix_time);
        if let Err(reason) = client.check_network() {
            client.stop(reason);
            return client;
        }
        if let Some(topology) = fixed {
            client.install_topology(topology, 0);
        }
        client.directory.tick(now);
        client.pass_on();
        client.persist();
        client
    }

    /// Takes an event that happened at `now`. Does a bounded amount of work and never blocks.
    /// A clock that jumps back is taken to stand still.
    ///
    /// # Errors
    /// Only for [`Event::Send`]: the message was not accepted and comes back.
    pub fn handle(&mut self, now: Instant, event: Event) -> Result<(), Refused> {
        self.now = self.now.max(now);
        let now = self.now;
        if self.is_stopped {
            return match event {
                Event::Send(message) => {
                    Err(Refused { reason: RefusedReason::ShuttingDown, message: Box::new(message) })
                }
                _ => Ok(()),
            };
        }
        if self.link_deadline().is_some_and(|due| due + ASLEEP <= now) {
            self.look_around(now);
        }
        let is_tick = matches!(event, Event::Tick);
        let result = match event {
            Event::Send(message) => self.accept(message),
            other => {
                self.dispatch(now, other);
                Ok(())
            }
        };
        self.work(is_tick);
        result
    }

    fn dispatch(&mut self, now: Instant, event: Event) {
        match event {
            Event::Tick | Event::Send(_) => {}
            Event::GatewayConnected { connection, unix_time } => {
                self.session.set_clock(now, unix_time);
                self.session.connected(now, connection);
            }
            Event::GatewayFrame { connection, frame } => {
                self.stats.bytes_received += frame.len() as u64;
                self.session.frame(now, connection, frame, self.builder.as_ref());
            }
            Event::GatewayBlocked { connection } => self.set_blocked(connection, true),
            Event::GatewayWritable { connection } => self.set_blocked(connection, false),
            Event::GatewayClosed { connection, reason } => {
                self.session.closed(now, connection, reason)
            }
            Event::Fetched { fetch, result, unix_time } => {
                self.session.set_clock(now, unix_time);
                self.directory.fetched(now, fetch, result, unix_time);
            }
            Event::CloseLane(lane) => {
                for key in self.outbox.in_lane(lane) {
                    self.end(key, Outcome::Failed(FailReason::LaneClosed));
                }
            }
            Event::SetTier(tier) => self.schedule.set_tier(now, tier),
            Event::Taken(messages) => {
                self.inbox.taken(messages, self.config.limits.delivery_window)
            }
            Event::NetworkChanged { unix_time } => {
                self.session.set_clock(now, unix_time);
                self.look_around(now);
            }
            Event::NotKept { reason } => {
                self.actions.retain(|action| !matches!(action, Action::Write { .. }));
                self.writes_queued = 0;
                self.stop(StopReason::NotKept(reason));
            }
            Event::Shutdown(Shutdown::Now) => self.stop(StopReason::Requested),
            Event::Shutdown(Shutdown::Drain(within)) => self.drain(now + within, true),
            Event::Shutdown(Shutdown::After(time)) => self.drain(now + time, false),
        }
    }

    /// The next action, in the order they were decided. `None` until something happens again.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            match &action {
                Action::Write { .. } => {
                    self.writes_queued = self.writes_queued.saturating_sub(1);
                }
                Action::Persist(changes) => {
                    self.changes_queued = self.changes_queued.saturating_sub(changes.len());
                }
                _ => {}
            }
            return Some(action);
        }
        if self.is_stopped {
            return None;
        }
        if let Some(delivery) = self.inbox.poll_delivery() {
            self.stats.messages_delivered += 1;
            return Some(Action::Deliver(delivery));
        }
        let deadline = self.next_deadline();
        if deadline != self.announced {
            self.announced = deadline;
            return Some(Action::SetTimer(deadline));
        }
        None
    }

    /// When the client wants to be woken next, and why. Changes with events only.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline> {
        if !self.actions.is_empty() || (!self.is_stopped && self.inbox.has_delivery()) {
            return Some(Deadline { at: self.now, why: Wakeup::Actions });
        }
        if self.is_stopped {
            return None;
        }
        let housekeeping = self.needs_housekeeping().then_some(self.next_housekeeping);
        let mut first: Option<Deadline> = None;
        let mut consider = |at: Option<Instant>, why| {
            if let Some(at) = at
                && first.is_none_or(|first| at < first.at)
            {
                first = Some(Deadline { at, why });
            }
        };
        consider(self.schedule.deadline(), Wakeup::Slot);
        consider(self.prepare_at(), Wakeup::Prepare);
        consider(self.acks.deadline(), Wakeup::Ack);
        consider(self.session.deadline(), Wakeup::Session);
        consider(self.directory.deadline(), Wakeup::Directory);
        consider(self.outbox.next_expiry(), Wakeup::Housekeeping);
        consider(self.inbox.next_expiry(), Wakeup::Housekeeping);
        consider(housekeeping, Wakeup::Housekeeping);
        consider(self.drain_until, Wakeup::Shutdown);
        first
    }
}
