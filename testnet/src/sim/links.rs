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

/// The directions of a link that something happens to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ways {
    /// From the client to the gateway.
    Up,
    /// From the gateway to the client.
    Down,
    /// Both.
    Both,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    /// When the last message arrives.
    last_arrival: Instant,
    stalled_until: Instant,
    /// Until then the other end takes one message per `gap`.
    slow_until: Instant,
    gap: Duration,
    /// When the slow reader has taken everything.
    free_at: Instant,
    /// After this many more messages the link breaks in the middle of one.
    tears_after: Option<usize>,
    /// Nothing arrives any more, and nobody is told.
    pub(super) is_silent: bool,
}

impl Direction {
    const NEW: Self = Self {
        last_arrival: Instant::START,
        stalled_until: Instant::START,
        slow_until: Instant::START,
        gap: Duration::ZERO,
        free_at: Instant::START,
        tears_after: None,
        is_silent: false,
    };

    /// When what is written at `now` has been handed to the socket.
    pub(super) fn written_at(&self, now: Instant) -> Instant {
        now.max(self.stalled_until).max(self.free_at)
    }

    /// When a message written at `now` arrives: never before the one before it.
    pub(super) fn arrival(&mut self, now: Instant, latency: Duration) -> Instant {
        if self.slow_until > now {
            self.free_at = self.written_at(now) + self.gap;
        }
        self.last_arrival = self.last_arrival.max(self.written_at(now) + latency);
        self.last_arrival
    }

    /// Counts a message. True if the link breaks in the middle of it.
    pub(super) fn tears(&mut self) -> bool {
        match self.tears_after.take() {
            Some(0) => true,
            left => {
                self.tears_after = left.map(|left| left - 1);
                false
            }
        }
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

    /// What is written arrives when the stall is over.
    pub(super) fn stall(&mut self, now: Instant, ways: Ways, time: Duration) {
        let until = now + time;
        self.each(ways, |way| way.stalled_until = way.stalled_until.max(until));
        self.backlog = 0;
    }

    /// The reader takes one message per `gap`, for a while.
    pub(super) fn slow(&mut self, now: Instant, ways: Ways, gap: Duration, time: Duration) {
        let until = now + time;
        self.each(ways, |way| (way.slow_until, way.gap) = (until, gap));
        self.backlog = 0;
    }

    /// The link breaks in the middle of a message.
    pub(super) fn tear(&mut self, ways: Ways, after: usize) {
        self.each(ways, |way| way.tears_after = Some(after));
    }

    fn each(&mut self, ways: Ways, mut change: impl FnMut(&mut Direction)) {
        if ways != Ways::Down {
            change(&mut self.up);
        }
        if ways != Ways::Up {
            change(&mut self.down);
        }
    }

    /// The client writes a message. True if this fills its socket.
    pub(super) fn fills(&mut self, now: Instant) -> bool {
        if self.up.written_at(now) <= now {
            self.backlog = 0;
            return false;
        }
        self.backlog += 1;
        let is_full = self.backlog == SOCKET_BUFFER;
        if is_full {
            self.backlog = 0;
        }
        is_full
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
