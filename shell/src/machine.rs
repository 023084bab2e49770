//! The state machine as a driver sees it.

use nym_proto::address::Recipient;
use nym_proto::client::{
    Action, Client, Connectivity, Deadline, Event, Lane, MessageId, Progress, Refused, Stats,
};
use nym_proto::time::Instant;

/// What a [`Driver`](crate::Driver) needs of the state machine it drives. Implemented by
/// [`Client`]; other implementations serve tests.
pub trait Machine {
    /// See [`Client::handle`].
    fn handle(&mut self, now: Instant, event: Event) -> Result<(), Refused>;
    /// See [`Client::poll_action`].
    fn poll_action(&mut self) -> Option<Action>;
    /// See [`Client::next_deadline`].
    fn next_deadline(&self) -> Option<Deadline>;
    /// See [`Client::address`].
    fn address(&self) -> Option<Recipient>;
    /// See [`Client::connectivity`].
    fn connectivity(&self) -> Connectivity;
    /// See [`Client::stats`].
    fn stats(&self) -> &Stats;
    /// See [`Client::lane_len`].
    fn lane_len(&self, lane: Lane) -> usize;
    /// See [`Client::lane_bytes`].
    fn lane_bytes(&self, lane: Lane) -> usize;
    /// See [`Client::progress`].
    fn progress(&self, id: MessageId) -> Option<Progress>;
}

impl Machine for Client {
    fn handle(&mut self, now: Instant, event: Event) -> Result<(), Refused> {
        Client::handle(self, now, event)
    }

    fn poll_action(&mut self) -> Option<Action> {
        Client::poll_action(self)
    }

    fn next_deadline(&self) -> Option<Deadline> {
        Client::next_deadline(self)
    }

    fn address(&self) -> Option<Recipient> {
        Client::address(self)
    }

    fn connectivity(&self) -> Connectivity {
        Client::connectivity(self)
    }

    fn stats(&self) -> &Stats {
        Client::stats(self)
    }

    fn lane_len(&self, lane: Lane) -> usize {
        Client::lane_len(self, lane)
    }

    fn lane_bytes(&self, lane: Lane) -> usize {
        Client::lane_bytes(self, lane)
    }

    fn progress(&self, id: MessageId) -> Option<Progress> {
        Client::progress(self, id)
    }
}
