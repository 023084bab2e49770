//! One WebSocket connection and what it has become. (protocol: gateway 14.1)

use std::collections::VecDeque;

use nym_proto::client::WsFrame;
use nym_proto::gateway::{Authenticated, AwaitingClientMaterial, SharedKey};
use nym_proto::identity::IdentityKey;
use nym_proto::time::{Instant, UnixTime};

use super::ConnectionId;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) state: State,
    pub(super) deadline: Option<Instant>,
}

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody has said who it is.
    Initial,
    /// A registration waits for the client's proof.
    Handshake(Box<AwaitingClientMaterial>),
    /// An authentication waits for the verdict on the client's older session.
    Waiting {
        authenticated: Authenticated,
        /// Frames that came meanwhile.
        held: VecDeque<WsFrame>,
    },
    /// A session.
    Active(Box<Session>),
}

/// An established session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: IdentityKey,
    pub(super) key: SharedKey,
    pub(super) start: UnixTime,
    pub(super) probe: Option<Probe>,
    pub(super) pushes: Pushes,
}

/// A question whether the client is still there. (protocol: gateway 14.3)
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) payload: [u8; 8],
    /// The connection that waits for the answer.
    pub(super) challenger: ConnectionId,
}

/// What has been pushed to a client, and how much of it has reached the socket.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    pushed: u64,
    flushed: u64,
    /// Stored messages below this id have been pushed.
    pub(super) stored_end: u64,
    /// Pages on their way to the socket: the count of pushes they end with, and the id they end
    /// before.
    pages: VecDeque<(u64, u64)>,
}

/// Pushes after which the shell is asked to say when they are written.
const MARK_EVERY: u64 = 32;

impl Pushes {
    /// Counts one push. Returns a marker if one is due.
    pub(super) fn push(&mut self) -> Option<u64> {
        self.pushed += 1;
        self.pushed.is_multiple_of(MARK_EVERY).then_some(self.pushed)
    }

    /// The stored messages below id `end` have been pushed; returns the marker behind them.
    pub(super) fn end_page(&mut self, end: u64) -> u64 {
        self.stored_end = end;
        self.pages.push_back((self.pushed, end));
        self.pushed
    }

    /// Everything up to a marker is written. Returns the id below which stored messages are done
    /// with.
    pub(super) fn flush(&mut self, marker: u64) -> Option<u64> {
        self.flushed = self.flushed.max(marker.min(self.pushed));
        let mut done = None;
        while let Some((_, end)) = self.pages.pop_front_if(|(at, _)| *at <= self.flushed) {
            done = Some(end);
        }
        done
    }

    /// Pushes on their way to the socket.
    pub(super) const fn in_flight(&self) -> u64 {
        self.pushed - self.flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_done_when_a_marker_behind_it_is_written() {
        let mut pushes = Pushes::default();
        for _ in 0..3 {
            assert_eq!(pushes.push(), None);
        }
        assert_eq!(pushes.end_page(17), 3);
        pushes.push();
        assert_eq!(pushes.end_page(18), 4);
        assert_eq!(pushes.flush(2), None);
        assert_eq!(pushes.flush(3), Some(17));
        assert_eq!((pushes.flush(1000), pushes.in_flight()), (Some(18), 0));
    }
}
