//! What is known of the messages of a run.

use bytes::Bytes;
use nym_proto::client::Outcome;
use nym_proto::message::SenderTag;
use nym_proto::time::Instant;

use crate::sim::ClientIx;

/// How a message was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Without a way to answer.
    Plain,
    /// With SURBs.
    Anonymous,
    /// With a SURB of the recipient.
    Reply,
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who sent it.
    pub from: ClientIx,
    /// Who gets it.
    pub to: ClientIx,
    /// How it was sent.
    pub manner: Manner,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// When and how it ended.
    pub outcome: Option<(Instant, Outcome)>,
    /// When it was delivered, and under which tag.
    pub delivered: Option<(Instant, Option<SenderTag>)>,
    pub(super) data: Bytes,
}

impl Sent {
    /// True if it has ended acknowledged.
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        matches!(self.outcome, Some((_, Outcome::Acknowledged { .. })))
    }
}

/// What became of the messages of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Accepted.
    pub accepted: u64,
    /// Delivered.
    pub delivered: u64,
    /// Ended acknowledged.
    pub acknowledged: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Acknowledged and not delivered, a push having been lost with a broken connection.
    pub lost_with_connection: u64,
    /// Acknowledged and not delivered, the gateway having lost its memory.
    pub lost_with_memory: u64,
    /// Acknowledged and not delivered, the recipient having crashed with a part of it.
    pub lost_with_recipient: u64,
    /// Acknowledged and not delivered, the recipient having dropped incomplete messages to stay within
    /// limits that are smaller than usual.
    pub lost_for_room: u64,
    /// Without an outcome, the sender having crashed.
    pub forgotten: u64,
}
