//! The blocking face of a handle.

use std::time::{Duration, Instant};

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{
    Connectivity, Delivery, Fact, Lane, MessageId, Outcome, Progress, Registration, Shutdown,
    State, Stats, StopReason, Target, Tier,
};
use nym_proto::message::SenderTag;
use nym_shell::{Closed, Handle, LaneUsage, SendError, SendOptions};

use crate::block_on::{block_on, block_on_until};

/// A client, as its application holds it. Clones are handles to the same client, which is shut down
/// at once when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Handle,
}

impl Client {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// The address others reach this client at.
    #[must_use]
    pub fn address(&self) -> Recipient {
        self.handle.address()
    }

    /// Where the connection to the gateway stands.
    #[must_use]
    pub fn connectivity(&self) -> Connectivity {
        self.handle.connectivity()
    }

    /// Counters. The last ones stay readable after the client has stopped.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle.stats()
    }

    /// The registration with the gateway, as it is kept.
    #[must_use]
    pub fn registration(&self) -> Option<Registration> {
        self.handle.registration()
    }

    /// Why the client has stopped; `None` while it runs.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.handle.stop_reason()
    }

    /// Sends to a known address; the recipient learns nothing about the sender.
    ///
    /// Returns when the client has accepted the message, which it does as soon as there is room for
    /// it in its lane and in the outbox. Lanes do not wait for each other.
    pub fn send(&self, recipient: Recipient, data: impl Into<Bytes>) -> Result<Receipt, SendError> {
        block_on(self.handle.send(recipient, data)).map(Receipt)
    }

    /// Sends to a known address with `surbs` single-use reply blocks, so that the recipient can
    /// answer without learning who sent. 10 are usual. Otherwise like [`Client::send`].
    pub fn send_anonymous(
        &self,
        recipient: Recipient,
        surbs: u16,
        data: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        block_on(self.handle.send_anonymous(recipient, surbs, data)).map(Receipt)
    }

    /// Answers an anonymous correspondent. Otherwise like [`Client::send`].
    pub fn reply(&self, tag: SenderTag, data: impl Into<Bytes>) -> Result<Receipt, SendError> {
        block_on(self.handle.reply(tag, data)).map(Receipt)
    }

    /// Sends with a choice of lane and limits. Otherwise like [`Client::send`].
    pub fn send_with(
        &self,
        target: Target,
        data: impl Into<Bytes>,
        options: SendOptions,
    ) -> Result<Receipt, SendError> {
        block_on(self.handle.send_with(target, data, options)).map(Receipt)
    }

    /// Waits for the next message. Messages that arrived before the client stopped are still
    /// handed out.
    pub fn recv(&self) -> Result<Delivery, Closed> {
        block_on(self.handle.recv())
    }

    /// Like [`Client::recv`], but `None` if nothing came in time.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Result<Delivery, Closed>> {
        block_on_until(self.handle.recv(), Instant::now().checked_add(timeout))
    }

    /// The next message if there is one already.
    #[must_use]
    pub fn try_recv(&self) -> Option<Delivery> {
        self.handle.try_recv()
    }

    /// What happens to the client, from its start on. All callers share one queue; when it is full
    /// the oldest fact makes way.
    #[must_use]
    pub fn events(&self) -> Events {
        Queue(self.handle.events())
    }

    /// What to pass as [`Config::state`](nym_proto::client::Config::state) next time, as of now.
    /// `None` if it is kept elsewhere, in [`Options::store`](crate::Options).
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.handle.state()
    }

    /// How many packets wait in a lane.
    pub fn lane_len(&self, lane: Lane) -> Result<usize, Closed> {
        block_on(self.handle.lane_len(lane))
    }

    /// What a lane holds.
    pub fn lane(&self, lane: Lane) -> Result<LaneUsage, Closed> {
        block_on(self.handle.lane(lane))
    }

    /// How far a message is. `None` once it has ended.
    pub fn progress(&self, id: MessageId) -> Result<Option<Progress>, Closed> {
        block_on(self.handle.progress(id))
    }

    /// Drops a lane: its unfinished messages end as failed.
    pub fn close_lane(&self, lane: Lane) -> Result<(), Closed> {
        block_on(self.handle.close_lane(lane))
    }

    /// Tells the client that the platform resumed from sleep or that the network changed.
    pub fn network_changed(&self) -> Result<(), Closed> {
        block_on(self.handle.network_changed())
    }

    /// Asks for another rate of emission. It changes within a minute, at an instant that is drawn, and no
    /// sooner than ten minutes after the change before.
    pub fn set_tier(&self, tier: Tier) -> Result<(), Closed> {
        block_on(self.handle.set_tier(tier))
    }

    /// Stops the client and waits until it has stopped and its connection is closed. Succeeds if it
    /// has stopped already; fails if it ended without a reason, which is a bug.
    pub fn shutdown(&self, how: Shutdown) -> Result<(), Closed> {
        block_on(self.handle.shutdown(how))
    }
}

/// Promises the outcome of an accepted message. Dropping it does not affect the message.
#[derive(Debug)]
pub struct Receipt(nym_shell::Receipt);

impl Receipt {
    /// The message's name, unique within the client.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.0.id()
    }

    /// Waits until the message has ended; the outcome is handed out once. Fails only if the client
    /// ended without a reason, which is a bug.
    pub fn outcome(&self) -> Result<Outcome, Closed> {
        block_on(self.0.outcome())
    }

    /// Like [`Receipt::outcome`], but `None` if the message has not ended in time.
    pub fn outcome_timeout(&self, timeout: Duration) -> Option<Result<Outcome, Closed>> {
        block_on_until(self.0.outcome(), Instant::now().checked_add(timeout))
    }

    /// The outcome if the message has ended. It is handed out once.
    #[must_use]
    pub fn try_outcome(&self) -> Option<Outcome> {
        self.0.try_outcome()
    }
}

/// Facts of a client, oldest first. See [`Client::events`].
pub type Events = Queue<Fact>;

/// A bounded queue from the client to the application in which new entries replace the oldest when
/// it is full. Clones share the entries: each goes to one taker. As an iterator it waits for each
/// entry and ends with the client.
#[derive(Clone, Debug)]
pub struct Queue<T>(nym_shell::Queue<T>);

impl<T> Queue<T> {
    /// The next entry; `None` when none came in time, or when the client has ended and all have
    /// been taken.
    #[must_use]
    pub fn next_timeout(&self, timeout: Duration) -> Option<T> {
        block_on_until(self.0.next(), Instant::now().checked_add(timeout)).flatten()
    }

    /// The next entry if there is one already.
    #[must_use]
    pub fn try_next(&self) -> Option<T> {
        self.0.try_next()
    }

    /// How many entries made way for newer ones since the start.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

impl<T> Iterator for Queue<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        block_on(self.0.next())
    }
}
