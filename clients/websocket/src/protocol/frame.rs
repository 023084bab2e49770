//! Messages of the websocket, and the two forms they have.

use core::fmt;
use core::str::{FromStr, Utf8Error};

use bytes::Bytes;
use thiserror::Error;

/// One of the two forms of every request and response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Binary messages.
    Binary,
    /// Text messages with a JSON object each.
    Text,
}

/// This names no format.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0:?} is no format; there are `binary` and `text`")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "binary" => Ok(Self::Binary),
            "text" => Ok(Self::Text),
            other => Err(UnknownFormat(super::error::shortened(other))),
        }
    }
}

/// One message of the websocket. Ping, Pong and Close are the business of the websocket layer.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(Text),
}

impl Frame {
    /// The form the message has.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self {
            Self::Binary(_) => Format::Binary,
            Self::Text(_) => Format::Text,
        }
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        match self {
            Self::Binary(bytes) | Self::Text(Text(bytes)) => bytes,
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// True if it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.format(), self.len())
    }
}

/// UTF-8 in shared memory, so that what is cut out of it is not copied.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Text(Bytes);

impl Text {
    /// The text. Looks at every byte again, which is cheap beside what is done with them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The part of this memory that `part` is; a copy if it is none.
    pub(super) fn share(&self, part: &str) -> Bytes {
        let start = (part.as_ptr() as usize).checked_sub(self.0.as_ptr() as usize);
        let range = start.and_then(|start| Some(start..start.checked_add(part.len())?));
        match range {
            Some(range) if range.end <= self.0.len() => self.0.slice(range),
            _ => Bytes::copy_from_slice(part.as_bytes()),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        core::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf_8_are_no_text() {
        assert!(Text::try_from(Bytes::from_static(b"a\xff")).is_err());
        assert_eq!(Text::try_from(Bytes::from_static("ż".as_bytes())).unwrap().as_str(), "ż");
    }

    #[test]
    fn a_part_is_shared_and_a_foreign_text_is_copied() {
        let text = Text::from("hello");
        let part = text.share(&text.as_str()[1..3]);
        assert_eq!((part.as_ptr(), &part[..]), (text.as_str()[1..].as_ptr(), &b"el"[..]));
        assert_eq!(text.share("other")[..], b"other"[..]);
        assert!(text.share("").is_empty());
    }

    #[test]
    fn debug_output_shows_no_content() {
        let frame = Frame::Text("secret".into());
        assert_eq!(format!("{frame:?}"), "Text(6 bytes)");
    }

    #[test]
    fn an_unknown_format_is_named() {
        assert_eq!("text".parse(), Ok(Format::Text));
        assert!("xml".parse::<Format>().unwrap_err().to_string().contains("xml"));
    }
}
