//! A client in the simulation, and what it has done.

use std::collections::VecDeque;

use nym_proto::address::Recipient;
use nym_proto::client::{
    Change, Client, Delivery, Fact, MemoryStore, MessageId, Outcome, Registration, StopReason,
};
use nym_proto::time::{Instant, UnixTime};

use super::crashes::Origin;
use super::links::LinkKey;
use super::queue::AtClient;

/// A packet that a gateway pushed and that did not arrive, because the link was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostPush {
    /// When it was pushed.
    pub at: Instant,
    /// The gateway had stored messages for the client then, of which this may have been one. They
    /// are deleted when they have been written to the socket.
    pub was_stored: bool,
}

/// A client in the simulation: the machine, and everything it has said so far.
#[derive(Debug)]
pub struct SimClient {
    pub(super) machine: Client,
    pub(super) origin: Origin,
    pub(super) link: Option<LinkKey>,
    pub(super) timer: Option<Instant>,
    /// When it wants to be woken, by its own clock.
    pub(super) deadline: Option<Instant>,
    /// How far the clocks are off.
    pub(super) clock_ms: i64,
    pub(super) wall_ms: i64,
    /// Ticks at one instant.
    pub(super) ticks: (Instant, u32),
    pub(super) is_suspended: bool,
    pub(super) is_crashed: bool,
    /// Actions until it crashes.
    pub(super) crash_after: Option<u64>,
    pub(super) crashes: Vec<Instant>,
    /// What arrived while suspended.
    pub(super) backlog: VecDeque<AtClient>,
    pub(super) deliveries: Vec<(Instant, Delivery)>,
    pub(super) outcomes: Vec<(Instant, MessageId, Outcome)>,
    pub(super) facts: Vec<(Instant, Fact)>,
    pub(super) written: Vec<(Instant, usize)>,
    pub(super) lost_pushes: Vec<LostPush>,
    pub(super) store_losses: Vec<Instant>,
    pub(super) registration: Option<Registration>,
    pub(super) kept: MemoryStore,
    /// Changes that are kept too late.
    pub(super) late: Vec<Change>,
    /// What the client has done so far that has to be kept: SURBs made and used.
    pub(super) relied_on: (u64, u64),
    /// What a frame relied on and was not kept.
    pub(super) unkept: Option<String>,
    pub(super) address: Option<Recipient>,
    pub(super) stopped: Option<StopReason>,
    pub(super) writable: usize,
}

impl SimClient {
    pub(super) fn new(machine: Client, origin: Origin) -> Self {
        Self {
            machine,
            kept: origin.config.state.to_store(),
            late: Vec::new(),
            relied_on: (0, 0),
            unkept: None,
            registration: origin.config.state.registration().cloned(),
            origin,
            link: None,
            timer: None,
            deadline: None,
            clock_ms: 0,
            wall_ms: 0,
            ticks: (Instant::START, 0),
            is_suspended: false,
            is_crashed: false,
            crash_after: None,
            crashes: Vec::new(),
            backlog: VecDeque::new(),
            deliveries: Vec::new(),
            outcomes: Vec::new(),
            facts: Vec::new(),
            written: Vec::new(),
            lost_pushes: Vec::new(),
            store_losses: Vec::new(),
            address: None,
            stopped: None,
            writable: 0,
        }
    }

    /// What the client's own clock shows at an instant.
    pub(super) fn clock(&self, now: Instant) -> Instant {
        Instant::from_nanos(shifted(now.as_nanos(), self.clock_ms))
    }

    /// When the client's own clock shows this.
    pub(super) fn at_clock(&self, at: Instant) -> Instant {
        Instant::from_nanos(shifted(at.as_nanos(), -self.clock_ms))
    }

    /// What the client's wall clock shows.
    pub(super) fn wall(&self, unix_time: UnixTime) -> UnixTime {
        UnixTime::from_nanos(shifted(unix_time.as_nanos(), self.wall_ms))
    }

    /// The machine, for its getters.
    #[must_use]
    pub const fn machine(&self) -> &Client {
        &self.machine
    }

    /// The address, from the first time the client was ready.
    #[must_use]
    pub const fn address(&self) -> Option<Recipient> {
        self.address
    }

    /// True while the client is not there, see [`Sim::crash_client`](super::Sim::crash_client).
    #[must_use]
    pub const fn is_crashed(&self) -> bool {
        self.is_crashed
    }

    /// When the client crashed. What a crash excuses: messages it had accepted and not yet
    /// reported as ended have no outcome; messages to it of which any part was acknowledged before
    /// the crash may be lost, and so may those pushed to it between the crash and its gateway's
    /// learning of it.
    #[must_use]
    pub fn crashes(&self) -> &[Instant] {
        &self.crashes
    }

    /// True if the client is connected to its gateway.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.is_crashed && self.machine.connectivity().is_up()
    }

    /// Messages handed to the application, with the time. The application takes each at once.
    #[must_use]
    pub fn deliveries(&self) -> &[(Instant, Delivery)] {
        &self.deliveries
    }

    /// How messages ended, with the time.
    #[must_use]
    pub fn outcomes(&self) -> &[(Instant, MessageId, Outcome)] {
        &self.outcomes
    }

    /// How one message ended.
    #[must_use]
    pub fn outcome(&self, id: MessageId) -> Option<Outcome> {
        self.outcomes.iter().find(|(_, ended, _)| *ended == id).map(|(_, _, outcome)| *outcome)
    }

    /// What the client has reported, with the time.
    #[must_use]
    pub fn facts(&self) -> &[(Instant, Fact)] {
        &self.facts
    }

    /// When frames were written to the gateway, and their sizes in bytes.
    #[must_use]
    pub fn written(&self) -> &[(Instant, usize)] {
        &self.written
    }

    /// The packets the gateway pushed that were lost on the way, because the link was broken.
    /// Packets of acks are not counted, cover packets are: nobody can tell.
    #[must_use]
    pub fn lost_pushes(&self) -> &[LostPush] {
        &self.lost_pushes
    }

    /// When the gateway lost messages it had stored for this client.
    #[must_use]
    pub fn store_losses(&self) -> &[Instant] {
        &self.store_losses
    }

    /// What the client wanted kept.
    #[must_use]
    pub const fn kept(&self) -> &MemoryStore {
        &self.kept
    }

    /// What was not kept when a frame that relied on it was written.
    pub(super) fn unkept(&self) -> Option<&str> {
        self.unkept.as_deref()
    }

    /// The last registration the client wanted kept.
    #[must_use]
    pub const fn registration(&self) -> Option<&Registration> {
        self.registration.as_ref()
    }

    /// Why the client has stopped, if it has.
    #[must_use]
    pub const fn stopped(&self) -> Option<&StopReason> {
        self.stopped.as_ref()
    }

    /// How often the client has said that there is room again.
    #[must_use]
    pub const fn writable(&self) -> usize {
        self.writable
    }

    /// True while the client's machine sleeps.
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// Ticks the client has asked for at the present instant; a large number means that it spins.
    #[must_use]
    pub const fn ticks_at_once(&self) -> u32 {
        self.ticks.1
    }
}

fn shifted(nanos: u64, by_ms: i64) -> u64 {
    nanos.saturating_add_signed(by_ms.saturating_mul(1_000_000))
}
