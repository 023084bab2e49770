//! What can be wrong with a message, and the codes by which programs are told.

use nym_proto::address::RecipientError;
use nym_proto::message::SenderTagError;
use thiserror::Error;

use super::{REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX};

/// The code of an error response. (protocol: websocket 5)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A request without a byte.
    EmptyRequest,
    /// A request that ends too early.
    TooShortRequest,
    /// No request begins like this.
    UnknownRequest,
    /// A request whose content is wrong.
    MalformedRequest,
    /// A response without a byte. Like all that concern responses, never sent.
    EmptyResponse,
    /// A response that ends too early.
    TooShortResponse,
    /// No response begins like this.
    UnknownResponse,
    /// A response whose content is wrong.
    MalformedResponse,
    /// The request was understood but could not be carried out.
    Other,
}

impl ErrorKind {
    const ALL: [Self; 9] = [
        Self::EmptyRequest,
        Self::TooShortRequest,
        Self::UnknownRequest,
        Self::MalformedRequest,
        Self::EmptyResponse,
        Self::TooShortResponse,
        Self::UnknownResponse,
        Self::MalformedResponse,
        Self::Other,
    ];

    /// The code in the binary form.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::EmptyRequest => 0x01,
            Self::TooShortRequest => 0x02,
            Self::UnknownRequest => 0x03,
            Self::MalformedRequest => 0x04,
            Self::EmptyResponse => 0x80,
            Self::TooShortResponse => 0x81,
            Self::UnknownResponse => 0x82,
            Self::MalformedResponse => 0x83,
            Self::Other => 0xff,
        }
    }

    /// The kind with this code.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_byte() == byte)
    }

    /// What stands for the code in the JSON form.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::EmptyRequest => "received request contained no data",
            Self::TooShortRequest => "received request did not contain enough data",
            Self::UnknownRequest => "unknown request type",
            Self::MalformedRequest => "malformed request",
            Self::EmptyResponse => "received response contained no data",
            Self::TooShortResponse => "received response did not contain enough data",
            Self::UnknownResponse => "unknown response type",
            Self::MalformedResponse => "malformed response",
            Self::Other => "other",
        }
    }

    /// Takes the kind off the front of the JSON form: what is left is the detail. A text that
    /// begins with no kind is of the kind `Other` as a whole.
    #[must_use]
    pub(super) fn split(text: &str) -> (Self, &str) {
        let (front, detail) = text.split_once(':').unwrap_or_default();
        match Self::ALL.into_iter().find(|kind| kind.text() == front) {
            Some(kind) => (kind, detail),
            None => (Self::Other, text),
        }
    }
}

/// Why a request was refused. Its text is the detail of the error response.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A binary request without a byte.
    #[error("no data provided")]
    Empty,
    /// No binary request begins with this byte.
    #[error("{0} does not correspond to any valid request tag")]
    UnknownTag(u8),
    /// The request is longer than [`REQUEST_BYTES_MAX`].
    #[error("the request has {0} bytes, at most {REQUEST_BYTES_MAX} are read")]
    TooLong(usize),
    /// The bytes of a binary request do not add up.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A text request is not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No text request has this type.
    #[error("unknown type {0:?}; there are `send`, `sendAnonymous`, `reply` and `selfAddress`")]
    UnknownType(String),
    /// The address cannot be used.
    #[error("malformed recipient {value:?}: {error}")]
    Recipient {
        /// The address, shortened if it is long.
        value: String,
        /// What is wrong with it.
        error: RecipientError,
    },
    /// The sender tag is none.
    #[error("malformed sender tag {value:?}: {error}")]
    SenderTag {
        /// The tag, shortened if it is long.
        value: String,
        /// What is wrong with it.
        error: SenderTagError,
    },
    /// A report is asked for about something that is not sent.
    #[error("there are reports about messages only; {0} is no tag of a request that sends one")]
    NotReportable(u8),
}

impl RequestError {
    /// The code programs are told.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty => ErrorKind::EmptyRequest,
            Self::UnknownTag(_) => ErrorKind::UnknownRequest,
            Self::Layout(LayoutError::TooShort { .. }) => ErrorKind::TooShortRequest,
            _ => ErrorKind::MalformedRequest,
        }
    }
}

/// Why a program refuses a response.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A binary response without a byte.
    #[error("no data provided")]
    Empty,
    /// No binary response begins with this byte.
    #[error("{0} does not correspond to any valid response tag")]
    UnknownTag(u8),
    /// The response is longer than [`RESPONSE_BYTES_MAX`].
    #[error("the response has {0} bytes, at most {RESPONSE_BYTES_MAX} are read")]
    TooLong(usize),
    /// The bytes of a binary response do not add up.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A text response is not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// No text response has this type.
    #[error("unknown type {0:?}")]
    UnknownType(String),
    /// The address cannot be used.
    #[error("malformed address {value:?}: {error}")]
    Address {
        /// The address, shortened if it is long.
        value: String,
        /// What is wrong with it.
        error: RecipientError,
    },
    /// The sender tag is none.
    #[error("malformed sender tag {value:?}: {error}")]
    SenderTag {
        /// The tag, shortened if it is long.
        value: String,
        /// What is wrong with it.
        error: SenderTagError,
    },
    /// A byte that stands for one of a few things stands for none of them.
    #[error("{value} is no {what}")]
    BadByte {
        /// What it should be.
        what: &'static str,
        /// The byte.
        value: u8,
    },
    /// The text of an error or a report is not UTF-8.
    #[error("the text is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    /// No report has this status.
    #[error("unknown status {0:?}")]
    UnknownStatus(String),
}

impl ResponseError {
    /// The code for this error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Empty => ErrorKind::EmptyResponse,
            Self::UnknownTag(_) => ErrorKind::UnknownResponse,
            Self::Layout(LayoutError::TooShort { .. }) => ErrorKind::TooShortResponse,
            _ => ErrorKind::MalformedResponse,
        }
    }
}

/// How the bytes of a binary message do not add up.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// It ends before its fixed part does.
    #[error("not enough data provided to recover '{what}': {len} bytes, at least {min}")]
    TooShort {
        /// The message.
        what: &'static str,
        /// Bytes it has.
        len: usize,
        /// Bytes it has at least.
        min: usize,
    },
    /// It does not have the one size it can have.
    #[error("The received {what} has invalid length: {len} bytes instead of {expected}")]
    Size {
        /// The message.
        what: &'static str,
        /// Bytes it has.
        len: usize,
        /// Bytes it must have.
        expected: usize,
    },
    /// The length it states is not that of what follows.
    #[error("{what} len has inconsistent length. specified: {stated} got: {len}")]
    Length {
        /// What the length is of.
        what: &'static str,
        /// Bytes stated.
        stated: u64,
        /// Bytes there are.
        len: usize,
    },
}

/// How a text is not the JSON it should be.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is no JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, but no object.
    #[error("expected a JSON object")]
    NotAnObject,
    /// A field is missing.
    #[error("missing field `{0}`")]
    Missing(&'static str),
    /// A field is there twice.
    #[error("duplicate field `{0}`")]
    Repeated(&'static str),
    /// Two fields are there of which one is meant.
    #[error("field `{0}` beside `{1}`, give one of them")]
    Both(&'static str, &'static str),
    /// A field has a wrong value.
    #[error("field `{name}`: expected {expected}, not {value}")]
    Field {
        /// The field.
        name: &'static str,
        /// What its value should be.
        expected: &'static str,
        /// What it is, as JSON, shortened if it is long.
        value: String,
    },
}

/// A value for an error: whole if it is not longer than an address.
pub(super) fn shortened(value: &str) -> String {
    const CHARS_MAX: usize = 140;
    match value.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts_lead_back_to_their_kind() {
        let known = (0..=255).filter_map(ErrorKind::from_byte).count();
        assert_eq!(known, ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_byte(kind.to_byte()), Some(kind));
            let text = format!("{}:a:b", kind.text());
            assert_eq!(ErrorKind::split(&text), (kind, "a:b"));
        }
        assert_eq!(ErrorKind::split("no: colon"), (ErrorKind::Other, "no: colon"));
        assert_eq!(ErrorKind::split(""), (ErrorKind::Other, ""));
    }

    #[test]
    fn long_values_are_shortened_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = "ż".repeat(1000);
        assert_eq!(shortened(&long), "ż".repeat(140) + "…");
    }
}
