//! What happens to a conversation, and what it wants done.

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{Lane, Outcome, RefusedReason, Target};
use thiserror::Error;

use crate::protocol::REQUEST_BYTES_MAX;
use crate::protocol::frame::Frame;
use crate::protocol::response::Delivered;

/// Names a message within its conversation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SendId(pub u64);

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The program sent a message.
    Frame(Frame),
    /// The program sent a message of so many bytes, more than [`REQUEST_BYTES_MAX`], and nothing after it
    /// can be read.
    TooLong(usize),
    /// The message of [`Action::Send`] was accepted.
    Accepted(SendId),
    /// The message of [`Action::Send`] was not accepted.
    Refused(SendId, RefusedReason),
    /// An accepted message has ended.
    Outcome(SendId, Outcome),
    /// The answer to [`Action::AskLaneLen`]: packets.
    LaneLen(usize),
    /// The answer to [`Action::AskAddress`].
    Address(Recipient),
    /// A message for the program has arrived.
    Delivery {
        /// Names it until [`Action::Delivered`].
        number: u64,
        /// The message.
        message: Delivered,
    },
    /// The socket has taken one more of the frames of [`Action::Write`].
    Written,
    /// The connection has ended, for whatever reason.
    Ended,
    /// Time has passed.
    Tick,
}

/// Something to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Write a message to the program, and report [`Event::Written`] when the socket has taken it.
    Write(Frame),
    /// Send a message, and report [`Event::Accepted`] or [`Event::Refused`], then
    /// [`Event::Outcome`].
    Send {
        /// Names it.
        id: SendId,
        /// Where it goes.
        target: Target,
        /// The lane it queues in.
        lane: Lane,
        /// Its bytes.
        data: Bytes,
    },
    /// Drop a lane.
    CloseLane(Lane),
    /// Report [`Event::LaneLen`] of this lane.
    AskLaneLen(Lane),
    /// Report [`Event::Address`].
    AskAddress,
    /// The program has the message with this number: it need not be kept any longer.
    Delivered(u64),
    /// Write what is to be written, close the connection, and report [`Event::Ended`].
    Close(CloseReason),
}

/// Why the client ends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// As many programs as allowed are connected already.
    #[error("another program is connected")]
    Full,
    /// The client ends.
    #[error("the client is shutting down")]
    Shutdown,
    /// The websocket handshake took too long, or too many others went on.
    #[error("the websocket handshake was not finished in time")]
    Handshake,
    /// A message was too long to be read.
    #[error("messages may have at most {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    /// The program does not read what is written to it.
    #[error("the program does not read what is written to it")]
    Stalled,
    /// More requests were handed in than can wait.
    #[error("too many requests at once")]
    Overrun,
}

impl CloseReason {
    /// The status code of the Close frame.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Shutdown => 1001,
            Self::Full => 1013,
            Self::TooLong => 1009,
            Self::Handshake | Self::Stalled | Self::Overrun => 1008,
        }
    }
}
