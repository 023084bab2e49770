//! What happens to a gateway, and what it says to do.

use bytes::Bytes;
use nym_proto::address::NodeAddress;
use nym_proto::client::WsFrame;
use nym_proto::time::UnixTime;

use crate::relay::LinkId;

/// Names one WebSocket connection of a client. Numbers are never reused within a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// Something that happened to a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// Time has passed. Early, late and repeated ticks are harmless.
    Tick,
    /// What the wall clock shows now, to correct drift.
    Clock(UnixTime),
    /// Another node has connected.
    LinkOpened(LinkId),
    /// Bytes have arrived from another node; frames may be cut anywhere.
    LinkBytes {
        /// The link.
        link: LinkId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A link has ended.
    LinkClosed(LinkId),
    /// A client has finished the WebSocket upgrade.
    ConnectionOpened(ConnectionId),
    /// A client has sent a text or binary message.
    ConnectionFrame {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        frame: WsFrame,
    },
    /// A client has sent a Pong. (Pings are answered by the WebSocket layer.)
    Pong {
        /// The connection.
        connection: ConnectionId,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Everything up to a marker has been written to the socket.
    Flushed {
        /// The connection.
        connection: ConnectionId,
        /// The marker of an [`Action::Flush`].
        marker: u64,
    },
    /// A connection has ended, or its client has sent Close.
    ConnectionClosed(ConnectionId),
}

/// Something a gateway wants done.
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
    /// Send a message to a client.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The message.
        frame: WsFrame,
    },
    /// Send a Ping.
    Ping {
        /// The connection.
        connection: ConnectionId,
        /// Its payload.
        payload: [u8; 8],
    },
    /// Report [`Event::Flushed`] when everything before this has been written to the socket.
    Flush {
        /// The connection.
        connection: ConnectionId,
        /// To be reported.
        marker: u64,
    },
    /// Write what was sent before, without waiting long, and drop the connection.
    Close(ConnectionId),
}
