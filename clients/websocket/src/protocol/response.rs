//! What the client tells programs.

use core::fmt;

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::message::SenderTag;

use super::error::{ErrorKind, RequestError, ResponseError};
use super::frame::{Format, Frame};
use super::{RESPONSE_BYTES_MAX, binary, text};

/// Something a program is told. (protocol: websocket 4)
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Response {
    /// Something is wrong.
    Error {
        /// What kind of thing.
        kind: ErrorKind,
        /// The thing itself, for humans.
        message: String,
    },
    /// A message has arrived.
    Received(Delivered),
    /// The address of the client.
    SelfAddress(Recipient),
    /// How many packets wait in a lane.
    LaneQueueLength {
        /// The connection whose lane it is.
        connection: u64,
        /// The packets.
        packets: u64,
    },
    /// What became of a message about which a report was asked for.
    Report {
        /// The program's name for the message.
        id: u64,
        /// What became of it.
        status: Status,
        /// Why, for humans; empty if there is nothing to say.
        reason: String,
    },
}

/// A message that has arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The bytes that were sent.
    pub data: Bytes,
    /// By which to answer; none if the sender cannot be answered.
    pub tag: Option<SenderTag>,
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivered({} bytes, tag: {:?})", self.data.len(), self.tag)
    }
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Status {
    /// The recipient's gateway has acknowledged all of it.
    Acknowledged,
    /// Its time ran out.
    Expired,
    /// It was given up.
    Failed,
    /// It was not accepted for sending.
    Refused,
}

impl Status {
    const ALL: [Self; 4] = [Self::Acknowledged, Self::Expired, Self::Failed, Self::Refused];

    /// The status in the binary form.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Acknowledged => 0,
            Self::Expired => 1,
            Self::Failed => 2,
            Self::Refused => 3,
        }
    }

    /// The status with this byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.to_byte() == byte)
    }

    /// The status in the JSON form.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    /// The status with this text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.text() == text)
    }
}

impl Response {
    /// Reads a response in the form it came in. The message received is not copied, unless its JSON
    /// form has escapes or is base64.
    pub fn decode(frame: &Frame) -> Result<Self, ResponseError> {
        if frame.len() > RESPONSE_BYTES_MAX {
            return Err(ResponseError::TooLong(frame.len()));
        }
        match frame {
            Frame::Binary(bytes) => binary::decode_response(bytes.clone()),
            Frame::Text(text) => text::decode_response(text),
        }
    }

    /// Writes the response. Either form says all of it: a message that is no UTF-8 is in the JSON
    /// form as base64 beside the text.
    #[must_use]
    pub fn encode(&self, format: Format) -> Frame {
        match format {
            Format::Binary => Frame::Binary(binary::encode_response(self)),
            Format::Text => Frame::Text(text::encode_response(self).into()),
        }
    }
}

impl From<&RequestError> for Response {
    fn from(error: &RequestError) -> Self {
        Self::Error { kind: error.kind(), message: error.to_string() }
    }
}
