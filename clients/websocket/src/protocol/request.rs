//! What programs ask of the client.

use core::fmt;

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::Lane;
use nym_proto::message::SenderTag;

use super::error::RequestError;
use super::frame::{Format, Frame};
use super::{REQUEST_BYTES_MAX, binary, text};

/// Something a program wants. (protocol: websocket 3)
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Send a message. Answered if the message names a connection.
    Send(Message),
    /// Tell the client's address.
    SelfAddress,
    /// Drop the lane of this connection. Not answered.
    ClosedConnection(u64),
    /// Tell how much waits in the lane of this connection.
    GetLaneQueueLength(u64),
}

/// A message a program wants sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub to: Addressee,
    /// The connection whose lane it queues in; none: the general lane. In the binary form 0 stands for
    /// none, so that `Some(0)` comes back as `None`.
    pub connection: Option<u64>,
    /// The program's own name for the message if it wants to be told what became of it.
    pub report: Option<u64>,
    /// The bytes to send.
    pub data: Bytes,
}

/// Where a message goes, and what it tells about its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addressee {
    /// To a known address; the recipient learns nothing about the sender.
    Plain(Recipient),
    /// To a known address, with single-use reply blocks.
    Anonymous {
        /// The recipient.
        recipient: Recipient,
        /// How many SURBs to attach.
        surbs: u32,
    },
    /// An answer to an anonymous correspondent.
    Reply(SenderTag),
}

impl Message {
    /// A message on the general lane, without a report.
    #[must_use]
    pub fn new(to: Addressee, data: impl Into<Bytes>) -> Self {
        Self { to, connection: None, report: None, data: data.into() }
    }

    /// The lane it queues in.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.connection.map_or(Lane::General, Lane::Connection)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("to", &self.to)
            .field("connection", &self.connection)
            .field("report", &self.report)
            .field("bytes", &self.data.len())
            .finish()
    }
}

impl Request {
    /// Reads a request in the form it came in. The message to send is not copied, unless its JSON form
    /// has escapes or is base64.
    pub fn decode(frame: &Frame) -> Result<Self, RequestError> {
        if frame.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLong(frame.len()));
        }
        match frame {
            Frame::Binary(bytes) => binary::decode_request(bytes.clone()),
            Frame::Text(text) => text::decode_request(text),
        }
    }

    /// Writes the request. `None`: it has no such form. There is no JSON for
    /// [`ClosedConnection`](Self::ClosedConnection) and
    /// [`GetLaneQueueLength`](Self::GetLaneQueueLength).
    #[must_use]
    pub fn encode(&self, format: Format) -> Option<Frame> {
        match format {
            Format::Binary => Some(Frame::Binary(binary::encode_request(self))),
            Format::Text => text::encode_request(self).map(|text| Frame::Text(text.into())),
        }
    }
}
