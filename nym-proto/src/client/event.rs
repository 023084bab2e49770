//! What can happen to a client.

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::config::Tier;
use crate::address::Recipient;
use crate::message::SenderTag;
use crate::time::UnixTime;

/// Names one attempt to reach the gateway. Numbers are never reused within a run, so events of an
/// old connection that arrive late are recognised and ignored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// Names one directory request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FetchId(pub u64);

/// The caller's own name for a message it sends; comes back in the message's outcome. The core
/// does not interpret it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MessageId(pub u64);

/// A named FIFO of outgoing messages. Lanes share the outgoing stream fairly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Lane {
    /// The default lane.
    #[default]
    General,
    /// A lane of the application's own, for example one per proxied connection.
    Connection(u64),
}

/// One WebSocket message. Ping, Pong and Close are the business of the WebSocket layer, which
/// must answer a Ping within a second (protocol: gateway 2.4).
#[derive(Clone, PartialEq, Eq)]
pub enum WsFrame {
    /// A text frame: a control message.
    Text(String),
    /// A binary frame: sphinx traffic.
    Binary(Bytes),
}

impl WsFrame {
    /// Bytes of the frame's payload.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// True if the frame has no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for WsFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

/// Whom a message goes to, and what it tells about its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// To a known address; the recipient learns nothing about the sender.
    Plain(Recipient),
    /// To a known address, with single-use reply blocks: the recipient can answer without learning
    /// who sent it.
    Anonymous {
        /// The recipient.
        recipient: Recipient,
        /// How many SURBs to attach. 10 are usual; 0 is legal and sends the tag alone.
        surbs: u16,
    },
    /// An answer to an anonymous correspondent, through the SURBs it sent.
    Reply(SenderTag),
}

/// A message the application wants sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The caller's name for the message.
    pub id: MessageId,
    /// Where it goes.
    pub target: Target,
    /// The bytes. May be empty, except in a reply.
    pub data: Bytes,
    /// The lane it queues in.
    pub lane: Lane,
    /// Give up when one of its fragments was transmitted this often without an ack. `None`: the
    /// configured default.
    pub attempts_max: Option<u32>,
    /// Give up after this long. `None`: the configured default.
    pub expires_after: Option<Duration>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({}, {} bytes)", self.id.0, self.data.len())
    }
}

impl Outgoing {
    /// A message on the general lane with the default limits.
    #[must_use]
    pub fn new(id: MessageId, target: Target, data: Bytes) -> Self {
        Self { id, target, data, lane: Lane::General, attempts_max: None, expires_after: None }
    }
}

/// How to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// At once. What is unfinished ends as failed.
    Now,
    /// Accept nothing more, keep emitting until everything accepted has been acknowledged, but no
    /// longer than this. Who watches the link sees how long that takes.
    Drain(Duration),
    /// Accept nothing more and keep emitting for exactly this long, whether anything is left to
    /// send or not: the end of the frames says nothing about the application.
    After(Duration),
}

/// Why a directory document did not come.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, broken connection, or time-out.
    #[error("directory unreachable: {0}")]
    Unreachable(String),
    /// The server answered with a status other than 200.
    #[error("directory answered with status {0}")]
    Status(u16),
    /// The answer was longer than the shell accepts.
    #[error("directory answer longer than {0} bytes")]
    TooLong(usize),
}

/// Something that happened outside. Handed to [`Client::handle`](super::Client::handle) together
/// with the time it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Time has passed. Early, late and repeated ticks are harmless.
    Tick,
    /// The WebSocket asked for by [`Action::Connect`](super::Action::Connect) is open.
    GatewayConnected {
        /// The number given in the action.
        connection: ConnectionId,
        /// The wall clock now.
        unix_time: UnixTime,
    },
    /// A WebSocket message arrived from the gateway.
    GatewayFrame {
        /// The connection it came on.
        connection: ConnectionId,
        /// The message.
        frame: WsFrame,
    },
    /// The socket does not take more for now: what is written waits in the shell. Slots of the
    /// schedule pass unused until [`Event::GatewayWritable`].
    GatewayBlocked {
        /// The connection that is blocked.
        connection: ConnectionId,
    },
    /// The shell has handed everything to the socket and takes more.
    GatewayWritable {
        /// The connection that takes more.
        connection: ConnectionId,
    },
    /// The connection could not be opened, or has ended.
    GatewayClosed {
        /// The number given in the action.
        connection: ConnectionId,
        /// For humans.
        reason: String,
    },
    /// The directory document asked for by [`Action::Fetch`](super::Action::Fetch) came, or did
    /// not.
    Fetched {
        /// The number given in the action.
        fetch: FetchId,
        /// The body of the answer.
        result: Result<Bytes, FetchError>,
        /// The wall clock now.
        unix_time: UnixTime,
    },
    /// The application sends a message.
    Send(Outgoing),
    /// The user wants another rate of emission. It changes at an instant that is drawn, within a minute,
    /// and no sooner than ten minutes after the change before; [`Fact::Tier`](super::Fact::Tier) tells
    /// when.
    SetTier(Tier),
    /// The application drops a lane: its unfinished messages end as failed.
    CloseLane(Lane),
    /// The application has taken this many delivered messages, which makes room for more.
    Taken(u32),
    /// The platform resumed from sleep, or the network changed: look at the connection and the
    /// directory at once.
    NetworkChanged {
        /// The wall clock now.
        unix_time: UnixTime,
    },
    /// Changes of [`Action::Persist`](super::Action::Persist) could not be kept. The client stops
    /// before it writes another frame: what it did next might break its word after a crash.
    NotKept {
        /// For humans.
        reason: String,
    },
    /// The application wants to stop.
    Shutdown(Shutdown),
}

/// A message was not accepted. Hands it back.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why.
    pub reason: RefusedReason,
    /// The message, untouched.
    pub message: Box<Outgoing>,
}

/// Why a message was not accepted. Only [`Full`](Self::Full) passes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RefusedReason {
    /// Not now: the queue is full. [`Action::Writable`](super::Action::Writable) tells when to try
    /// again.
    #[error("the outgoing queue is full; try again when there is room")]
    Full,
    /// Never: the message is larger than the limit.
    #[error("the message has {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// Bytes of the message.
        bytes: usize,
        /// Largest size accepted, in bytes.
        max: usize,
    },
    /// Never: more SURBs than a message may carry.
    #[error("a message may carry at most {max} SURBs, not {surbs}")]
    TooManySurbs {
        /// SURBs asked for.
        surbs: u16,
        /// Largest number accepted.
        max: u16,
    },
    /// Never: a reply must carry at least one byte. (protocol: messages 4.2)
    #[error("an empty reply cannot be received by anybody")]
    EmptyReply,
    /// No message with this sender tag has arrived, so there are no SURBs to reply with.
    #[error("no SURBs are known for this sender tag")]
    UnknownTag,
    /// A message with this id is still unfinished.
    #[error("a message with this id is still unfinished")]
    DuplicateId,
    /// The client is shutting down or has stopped.
    #[error("the client is shutting down")]
    ShuttingDown,
}
