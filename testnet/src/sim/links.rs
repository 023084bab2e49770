//! Links between clients and gateways: ordered streams of WebSocket messages that can be cut, go
//! silent, or stall.

use core::time::Duration;
use std::collections::BTreeMap;

use nym_proto::client::ConnectionId;
use nym_proto::time::Instant;

/// Names a link; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct LinkKey(pub(super) u64);

/// After this long the operating system of the gateway gives up a connection whose other end does
/// not answer.
pub(super) const DEAD_LINK_TIMEOUT: Duration = Duration::from_secs(120);
/// Messages a client can write into a stalled link before it is told that the socket is full.
const SOCKET_BUFFER: usize = 8;

/// One direction of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    /// When the last message arrives.
    last_arrival: Instant,
    stalled_until: Instant,
    /// Nothing arrives any more, and nobody is told.
    pub(super) is_silent: bool,
}

impl Direction {
    const NEW: Self =
        Self { last_arrival: Instant::START, stalled_until: Instant::START, is_silent: false };

    /// When what is written at `now` has been handed to the socket.
    pub(super) fn written_at(&self, now: Instant) -> Instant {
        now.max(self.stalled_until)
    }

    /// When a message written at `now` arrives: never before the one before it.
    pub(super) fn arrival(&mut self, now: Instant, latency: Duration) -> Instant {
        self.last_arrival = self.last_arrival.max(self.written_at(now) + latency);
        self.last_arrival
    }
}

/// One link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: usize,
    /// The client's name for it.
    pub(super) connection: ConnectionId,
    pub(super) gateway: usize,
    pub(super) up: Direction,
    pub(super) down: Direction,
    /// The gateway knows of it.
    pub(super) is_open: bool,
    /// Whatever is under way is lost.
    pub(super) is_cut: bool,
    /// Written while stalled.
    backlog: usize,
}

impl Link {
    pub(super) const fn new(client: usize, connection: ConnectionId, gateway: usize) -> Self {
        Self {
            client,
            connection,
            gateway,
            up: Direction::NEW,
            down: Direction::NEW,
            is_open: false,
            is_cut: false,
            backlog: 0,
        }
    }

    pub(super) fn stall(&mut self, now: Instant, time: Duration) {
        let until = now + time;
        self.up.stalled_until = self.up.stalled_until.max(until);
        self.down.stalled_until = self.down.stalled_until.max(until);
        self.backlog = 0;
    }

    /// The client writes a message. True if this fills its socket.
    pub(super) fn fills(&mut self, now: Instant) -> bool {
        if self.up.stalled_until <= now {
            return false;
        }
        self.backlog += 1;
        self.backlog == SOCKET_BUFFER
    }
}

/// All links there ever were.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: BTreeMap<LinkKey, Link>,
    next: u64,
}

impl Links {
    pub(super) fn add(&mut self, link: Link) -> LinkKey {
        let key = LinkKey(self.next);
        self.next += 1;
        self.links.insert(key, link);
        key
    }

    pub(super) fn get(&self, key: LinkKey) -> Option<&Link> {
        self.links.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: LinkKey) -> Option<&mut Link> {
        self.links.get_mut(&key)
    }

    /// The links of a gateway that are not cut.
    pub(super) fn of_gateway(&self, gateway: usize) -> Vec<LinkKey> {
        let alive = self.links.iter().filter(|(_, link)| link.gateway == gateway && !link.is_cut);
        alive.map(|(key, _)| *key).collect()
    }
}
