//! A mix node: peels, delays, forwards. (protocol: sphinx 13)

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::sphinx::{Frame, PacketPeeler, Peeled, SphinxPeeler};
use nym_proto::time::{Instant, UnixTime};

use crate::delay::DelayQueue;
use crate::epoch::{HeldRotations, WallClock};
use crate::keys::SphinxKeys;
use crate::relay::{self, Egress, KeySchedule, LinkId, Links, PacketStats, Unwrapper};

/// Longest delay a node applies; larger ones are cut down to it. (protocol: sphinx 13.1)
pub const DELAY_MAX: Duration = Duration::from_secs(10);

/// How a mix node is set up.
#[derive(Debug)]
pub struct MixConfig {
    /// All randomness of the node.
    pub seed: [u8; 32],
    /// Its Sphinx keys.
    pub keys: SphinxKeys,
    /// Which of them are in use.
    pub schedule: KeySchedule,
    /// Where it may forward to.
    pub egress: Egress,
    /// Probability with which a packet is dropped after its layer is removed.
    pub loss: f64,
    /// Capacities.
    pub limits: MixLimits,
}

/// Capacities of a mix node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MixLimits {
    /// Incoming connections.
    pub links_max: usize,
    /// Packets waiting for their delay to pass; up to 33 KB each.
    pub delayed_max: usize,
    /// Actions waiting to be polled; packets beyond are dropped.
    pub actions_max: usize,
    /// Replay tags remembered per key; 32 bytes each.
    pub replay_tags_max: usize,
}

impl Default for MixLimits {
    fn default() -> Self {
        Self { links_max: 1024, delayed_max: 16_384, actions_max: 16_384, replay_tags_max: 1 << 20 }
    }
}

/// Something that happened to a mix node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// Time has passed. Early, late and repeated ticks are harmless.
    Tick,
    /// What the wall clock shows now, to correct drift.
    Clock(UnixTime),
    /// Another node has connected.
    LinkOpened(LinkId),
    /// Bytes have arrived on a link; frames may be cut anywhere.
    LinkBytes {
        /// The link.
        link: LinkId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A link has ended.
    LinkClosed(LinkId),
}

/// Something a mix node wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send this frame to another node, over a connection the shell keeps.
    Forward {
        /// The node.
        next: NodeAddress,
        /// The frame with its header.
        frame: Bytes,
    },
    /// Close a link.
    CloseLink(LinkId),
}

/// The machine of a mix node. Randomness comes from the seed alone, time from the caller.
pub struct MixNode {
    now: Instant,
    links: Links,
    hop: Hop,
    actions: VecDeque<Action>,
    actions_max: usize,
}

/// What happens to one packet; apart from the links so that it can be used while they are read.
struct Hop {
    unwrapper: Unwrapper,
    waiting: DelayQueue<(NodeAddress, Bytes)>,
    egress: Egress,
    loss: f64,
    losses: Stream,
    stats: PacketStats,
}

impl MixNode {
    /// A node that begins at `now`, when the wall clock shows `unix_time`.
    #[must_use]
    pub fn new(config: MixConfig, now: Instant, unix_time: UnixTime) -> Self {
        Self::with_peeler(config, now, unix_time, Box::new(SphinxPeeler::default()))
    }

    /// A node with another implementation of the packet layer.
    #[must_use]
    pub fn with_peeler(
        config: MixConfig,
        now: Instant,
        unix_time: UnixTime,
        peeler: Box<dyn PacketPeeler>,
    ) -> Self {
        let MixConfig { seed, keys, schedule, egress, loss, limits } = config;
        let wall = WallClock::new(now, unix_time);
        let tags_max = limits.replay_tags_max;
        Self {
            now,
            links: Links::new(limits.links_max),
            hop: Hop {
                unwrapper: Unwrapper::new(peeler, keys, schedule, wall, now, tags_max),
                waiting: DelayQueue::new(limits.delayed_max),
                egress,
                loss,
                losses: Entropy::new(seed).stream(Purpose::Other(0)),
                stats: PacketStats::default(),
            },
            actions: VecDeque::new(),
            actions_max: limits.actions_max,
        }
    }

    /// Takes one event. A clock that jumps back is clamped.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        self.now = self.now.max(now);
        let now = self.now;
        if let Event::Clock(unix_time) = event {
            self.hop.unwrapper.set_wall(WallClock::new(now, unix_time));
        }
        self.hop.unwrapper.rotate(now);
        match event {
            Event::Tick | Event::Clock(_) => {}
            Event::LinkOpened(link) => {
                if !self.links.open(link) {
                    self.actions.push_back(Action::CloseLink(link));
                }
            }
            Event::LinkBytes { link, bytes } => {
                let hop = &mut self.hop;
                if !self.links.feed(link, bytes, |frame| hop.accept(now, frame)) {
                    hop.stats.bad_links += 1;
                    self.actions.push_back(Action::CloseLink(link));
                }
            }
            Event::LinkClosed(link) => self.links.close(link),
        }
        self.release();
    }

    /// The next thing to do, in the order of decision.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When the node wants a [`Event::Tick`]; at once while actions are queued.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.actions.is_empty() {
            return Some(self.now);
        }
        let rotation = self.hop.unwrapper.next_rotation(self.now);
        rotation.into_iter().chain(self.hop.waiting.next_due()).min()
    }

    /// Changes the probability of injected loss.
    pub fn set_loss(&mut self, loss: f64) {
        self.hop.loss = loss;
    }

    /// Changes which keys are held, now and later.
    pub fn set_schedule(&mut self, schedule: KeySchedule) {
        self.hop.unwrapper.set_schedule(schedule);
        self.hop.unwrapper.rotate(self.now);
    }

    /// The rotations whose keys are held.
    #[must_use]
    pub fn held_rotations(&self) -> HeldRotations {
        self.hop.unwrapper.held()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> PacketStats {
        self.hop.stats
    }

    /// Packets waiting for their delay to pass.
    #[must_use]
    pub fn delayed(&self) -> usize {
        self.hop.waiting.len()
    }

    fn release(&mut self) {
        while let Some((next, frame)) = self.hop.waiting.pop(self.now) {
            if self.actions.len() >= self.actions_max {
                self.hop.stats.overflowed += 1;
                continue;
            }
            self.hop.stats.forwarded += 1;
            self.actions.push_back(Action::Forward { next, frame });
        }
    }
}

impl core::fmt::Debug for MixNode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MixNode")
            .field("delayed", &self.delayed())
            .field("stats", &self.hop.stats)
            .finish_non_exhaustive()
    }
}

impl Hop {
    fn accept(&mut self, now: Instant, frame: Frame<'_>) {
        let Frame { size, rotation, packet } = frame;
        let (next, delay) = match self.unwrapper.peel(rotation, packet, &mut self.stats) {
            Some(Peeled::Forward { next, delay }) => (next, Duration::from(delay)),
            Some(Peeled::Final { .. }) => {
                self.stats.misrouted += 1;
                return;
            }
            None => return,
        };
        if self.losses.chance(self.loss) {
            self.stats.lost += 1;
        } else if !self.egress.allows(&next) {
            self.stats.denied += 1;
        } else {
            let frame = relay::frame(size, rotation, packet);
            let due = now + delay.min(DELAY_MAX);
            if self.waiting.push(due, (next, frame)).is_err() {
                self.stats.overflowed += 1;
            }
        }
    }
}
