//! What a client wants done.

use core::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::LoopHealth;
use super::config::Tier;
use super::event::{ConnectionId, FetchId, Lane, MessageId, WsFrame};
use super::state::Change;
use crate::address::Recipient;
use crate::gateway::SharedKey;
use crate::identity::IdentityKey;
use crate::message::SenderTag;
use crate::time::Instant;
use crate::topology::Unroutable;

/// Something the shell has to do. Actions come out of
/// [`Client::poll_action`](super::Client::poll_action) in the order they were decided.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Open a WebSocket to the first of these URLs that can be reached, then report
    /// [`Event::GatewayConnected`](super::Event::GatewayConnected) or
    /// [`Event::GatewayClosed`](super::Event::GatewayClosed) with the same number. Any other
    /// connection is obsolete.
    Connect {
        /// Names the connection.
        connection: ConnectionId,
        /// `ws://` or `wss://` URLs, best first.
        urls: Vec<String>,
    },
    /// Send one WebSocket message. One message, one write, no coalescing.
    Write {
        /// The connection to write to.
        connection: ConnectionId,
        /// The message.
        frame: WsFrame,
    },
    /// Send a Close frame and drop the connection without waiting for the answer.
    Disconnect {
        /// The connection to drop.
        connection: ConnectionId,
    },
    /// GET a document and report [`Event::Fetched`](super::Event::Fetched).
    Fetch {
        /// Names the request.
        fetch: FetchId,
        /// An `http://` or `https://` URL.
        url: String,
    },
    /// Hand a message to the application.
    Deliver(Delivery),
    /// A message the application sent has ended. Comes exactly once per accepted message.
    Outcome {
        /// The caller's name for the message.
        id: MessageId,
        /// How it ended.
        outcome: Outcome,
    },
    /// After a message in this lane was refused as not fitting now: the lane is at most half full,
    /// and there is room for the smallest message refused. `None`: the same may hold for any lane of
    /// those that were refused while 256 others waited already.
    Writable(Option<Lane>),
    /// Keep these changes where they survive a restart, all of them or none, or at least in this
    /// order. They must be durable before the next [`Write`](Self::Write) or
    /// [`Deliver`](Self::Deliver) is carried out; until then they may be collected with those of
    /// later actions and made durable together.
    Persist(Vec<Change>),
    /// Something worth knowing happened.
    Report(Fact),
    /// Call [`Client::handle`](super::Client::handle) with [`Event::Tick`](super::Event::Tick) at
    /// this time. Replaces the previous timer. For event loops that prefer to be told; the same
    /// value as [`Client::next_deadline`](super::Client::next_deadline).
    SetTimer(Option<Deadline>),
    /// The client has ended; nothing comes after this.
    Stopped(StopReason),
}

/// When the client wants to be woken, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Why; for humans and for tests.
    pub why: Wakeup,
}

/// Why a client wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Wakeup {
    /// Actions are waiting to be polled.
    Actions,
    /// The next slot of the emission schedule.
    Slot,
    /// What the next slot carries is to be built.
    Prepare,
    /// An ack is overdue.
    Ack,
    /// A time-out or the end of a pause of the gateway connection.
    Session,
    /// A directory refresh or its time-out.
    Directory,
    /// A message expires, a stale set or SURB is dropped, SURBs are asked for again.
    Housekeeping,
    /// The end of the drain.
    Shutdown,
}

/// A message for the application.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The bytes the sender sent.
    pub data: Bytes,
    /// How the message came.
    pub origin: DeliveryOrigin,
}

impl core::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Delivery({} bytes)", self.data.len())
    }
}

/// How a delivered message came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryOrigin {
    /// From somebody who says nothing about itself.
    Plain,
    /// From somebody who can be answered under this tag.
    Anonymous(SenderTag),
    /// An answer, through a SURB of ours, from the correspondent we gave that SURB to.
    Reply(Recipient),
}

/// How a sent message ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The recipient's gateway has acknowledged every fragment. It says nothing about the
    /// recipient having read it. (protocol: client 7.1)
    Acknowledged {
        /// Fragments of the message.
        fragments: u32,
        /// Transmissions beyond the first of each fragment.
        retransmissions: u32,
        /// From acceptance to the last ack.
        took: Duration,
    },
    /// Its time ran out.
    Expired {
        /// What it still needed.
        waiting_for: WaitingFor,
    },
    /// It was given up.
    Failed(FailReason),
}

/// How far a message is that has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Fragments of the message.
    pub fragments: u32,
    /// Of these, transmitted at least once.
    pub transmitted: u32,
    /// Of these, acknowledged.
    pub acknowledged: u32,
    /// Transmissions beyond the first of each fragment.
    pub retransmissions: u32,
}

/// Why a message was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FailReason {
    /// A fragment was transmitted as often as allowed without an ack.
    #[error("no ack after {0} transmissions")]
    TooManyAttempts(u32),
    /// The correspondent sent no more SURBs.
    #[error("the correspondent sent no SURBs to reply with")]
    NoSurbs,
    /// The application closed the lane.
    #[error("the lane was closed")]
    LaneClosed,
    /// The client stopped.
    #[error("the client was shut down")]
    Shutdown,
}

/// What an unfinished message needs next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum WaitingFor {
    /// Every fragment was transmitted; acks are missing.
    #[error("acks are missing")]
    Acks,
    /// Fragments wait for their turn.
    #[error("it had not been sent in full")]
    Slots,
    /// There is no topology.
    #[error("the network is not known")]
    Topology,
    /// The client's own gateway is away.
    #[error("the gateway could not be reached")]
    Gateway,
    /// The topology does not list the recipient's gateway.
    #[error("the recipient's gateway is not in the topology")]
    RecipientGateway,
    /// The recipient's gateway loses everything, while others do not.
    #[error("the recipient's gateway does not answer")]
    RecipientGatewayReply,
    /// The correspondent's SURBs are used up.
    #[error("the correspondent sent no SURBs to reply with")]
    Surbs,
}

/// What a client keeps about its registration with a gateway.
#[derive(Clone, PartialEq, Debug)]
pub struct Registration {
    /// The gateway.
    pub gateway: IdentityKey,
    /// The key shared with it.
    pub shared_key: SharedKey,
    /// Timestamp of the last authentication, in whole seconds since the Unix epoch; the next one
    /// must be later. (protocol: gateway 7.4)
    pub last_authentication: u64,
}

/// Where the connection to the gateway stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Connectivity {
    /// Not connected, waiting for the directory or for the end of a pause.
    #[default]
    Offline,
    /// A connection is being opened.
    Connecting,
    /// Version, registration or authentication are being exchanged.
    Authenticating,
    /// Frames flow.
    Ready,
    /// Frames flow, but something is wrong: see [`Degradation`].
    Degraded,
    /// The client has stopped.
    Closed,
}

impl Connectivity {
    /// True if frames flow.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

/// What is wrong although the client works. Several can be at once. Emission goes on whatever they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Error)]
#[non_exhaustive]
pub enum Degradation {
    /// The gateway has not answered for a while. If it stays silent the connection is given up.
    #[error("the gateway does not answer")]
    GatewaySilent,
    /// The topology does not list our gateway: nobody may be able to reach the client. Its last known
    /// details serve on until keys rotate; after that messages wait.
    #[error("the topology does not list the gateway of the client")]
    GatewayUnlisted,
    /// The gateway refuses packets or bandwidth. The client asks again from time to time.
    #[error("the gateway grants no bandwidth")]
    OutOfBandwidth,
    /// The keys of the topology are no longer valid and no newer one is to be had: messages wait.
    #[error("the topology is too old to be used")]
    TopologyExpired,
    /// Less than half of the cover packets came back: packets are dropped somewhere.
    #[error("most cover packets do not come back")]
    LoopLoss,
}

impl Degradation {
    pub(super) const ALL: [Self; 5] = [
        Self::GatewaySilent,
        Self::GatewayUnlisted,
        Self::OutOfBandwidth,
        Self::TopologyExpired,
        Self::LoopLoss,
    ];
}

/// Something worth knowing. Holds no recipient, tag, route or key of a correspondent.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// The state of the connection changed.
    Connectivity(Connectivity),
    /// Something is wrong. Comes before the state becomes [`Connectivity::Degraded`].
    Degraded(Degradation),
    /// It is right again.
    Recovered(Degradation),
    /// How the cover packets of the last window fared.
    LoopHealth(LoopHealth),
    /// The client has an address: the gateway is chosen and has accepted the client. Comes once
    /// per gateway.
    Address(Recipient),
    /// Frames leave at the rate of this tier from now on.
    Tier(Tier),
    /// The gateway was away for too long: the client uses another one, and has another address as soon
    /// as that one has accepted it.
    FailedOver {
        /// How long it was away.
        after: Duration,
    },
    /// Connecting to the gateway failed; the client tries again after the pause.
    ConnectionFailed {
        /// What went wrong.
        failure: SessionFailure,
        /// How long the client waits.
        retry_in: Duration,
    },
    /// The gateway answered a request with an error.
    GatewayError(String),
    /// A frame from the gateway could not be understood and was dropped.
    BadFrame,
    /// The client began with the state of an earlier run.
    Restored {
        /// Entries in use.
        entries: usize,
        /// Entries that were too old, or too many.
        expired: usize,
        /// Entries that were not understood: damaged, or of another version.
        skipped: usize,
    },
    /// The topology has no gateway the client may use. With a directory the client looks again.
    NoGateway,
    /// A new topology is in use.
    Topology {
        /// Its epoch.
        epoch: u32,
        /// Its nodes.
        nodes: usize,
        /// Nodes of the directory's answer that were refused.
        refused: usize,
    },
    /// The directory could not be read; the client tries again after the pause and keeps the last
    /// topology.
    DirectoryFailed {
        /// For humans.
        reason: String,
        /// How long the client waits.
        retry_in: Duration,
    },
    /// The number of recipients' gateways that lose everything sent to them, while others do not,
    /// has changed. What goes to them is only probed until one answers.
    RecipientGatewaysUnreachable {
        /// How many there are now.
        gateways: usize,
    },
    /// A complete message could not be delivered because the application does not take its
    /// messages; it is lost.
    DeliveryDropped {
        /// Size of the message.
        bytes: usize,
    },
    /// Incomplete messages were dropped, being stale or because memory ran out.
    ReassemblyDropped {
        /// Number of fragment sets.
        sets: usize,
    },
    /// A complete message could not be understood and was dropped.
    BadMessage,
}

/// Why a connection attempt or a session ended.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SessionFailure {
    /// The connection could not be opened or was lost.
    #[error("connection closed: {0}")]
    Closed(String),
    /// The gateway did not answer in time.
    #[error("the gateway did not answer in time")]
    Timeout,
    /// The gateway speaks no version we speak.
    #[error("the gateway speaks an incompatible protocol version")]
    Incompatible,
    /// The gateway could not prove to be the one with the expected identity key.
    #[error("the gateway could not prove its identity")]
    WrongIdentity,
    /// The gateway refused the client.
    #[error("the gateway refused the client: {0}")]
    Refused(String),
    /// The gateway's answer makes no sense.
    #[error("the gateway sent something unexpected")]
    Protocol,
}

/// Why a client ended.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum StopReason {
    /// The application asked for it.
    #[error("shut down as asked")]
    Requested,
    /// The shell could not keep what has to survive a crash.
    #[error("what has to survive a crash could not be kept: {0}")]
    NotKept(String),
    /// No gateway can be used.
    #[error("no usable gateway: {0}")]
    NoGateway(SessionFailure),
    /// No gateway of the fixed topology may be used.
    #[error("the topology has no gateway that performs well enough and listens as asked for")]
    NoCandidate,
    /// No message could be sent through the fixed topology.
    #[error("the topology cannot be used: {0}")]
    Unroutable(Unroutable),
    /// This is no base URL of a directory.
    #[error("'{0}' is no base URL of a directory; give one that begins with http:// or https://")]
    BadDirectory(String),
    /// The gateway asked for is not in the topology, or does not listen as asked for.
    #[error("gateway {0} is not in the topology, or does not listen as the TLS policy asks")]
    UnknownGateway(IdentityKey),
}
