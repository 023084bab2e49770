//! What all text frames have in common: one JSON object with a string member `type`.
//! (protocol: gateway 4)

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::constants::WEBSOCKET_MESSAGE_MAX;

/// Longest text frame that is looked at, in bytes. (protocol: gateway 2.2)
pub const TEXT_MAX: usize = WEBSOCKET_MESSAGE_MAX;

/// Why a text frame was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TextError {
    /// The text is longer than [`TEXT_MAX`].
    #[error("a text frame of {0} bytes, at most {TEXT_MAX} are read")]
    TooLong(usize),
    /// The text is not one JSON object with exactly one string member `type`.
    #[error("not a JSON object with a `type`")]
    NotAMessage,
    /// No request has this type.
    #[error("unknown type {0:?}")]
    UnknownType(String),
    /// A member of a known message is missing, doubled, of the wrong type or out of range.
    #[error("malformed {kind} at line {line}, column {column}")]
    Malformed {
        /// The type of the message.
        kind: &'static str,
        /// Where reading stopped, counted from 1; 0 if a value has the wrong size.
        line: usize,
        /// Where reading stopped, counted from 1; 0 if a value has the wrong size.
        column: usize,
    },
}

/// The `type` of the message in `text`.
pub(super) fn kind(text: &str) -> Result<Cow<'_, str>, TextError> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    if text.len() > TEXT_MAX {
        return Err(TextError::TooLong(text.len()));
    }
    // a derived struct would also read itself from an array
    if !text.trim_ascii_start().starts_with('{') {
        return Err(TextError::NotAMessage);
    }
    serde_json::from_str::<Kind<'_>>(text).map(|kind| kind.kind).map_err(|_| TextError::NotAMessage)
}

/// The members of the message in `text`, whose type is `kind`.
pub(super) fn members<'a, T: Deserialize<'a>>(
    kind: &'static str,
    text: &'a str,
) -> Result<T, TextError> {
    // serde's own texts quote the value they stumble over, which may be a secret
    serde_json::from_str(text).map_err(|error| TextError::Malformed {
        kind,
        line: error.line(),
        column: error.column(),
    })
}

/// A name sent by a peer, cut to a length that can be logged.
pub(super) fn shortened(name: &str) -> String {
    const CHARS_MAX: usize = 64;
    name.chars().take(CHARS_MAX).collect()
}

/// Writes one message, member by member in the order of the calls.
pub(super) struct Writer(String);

impl Writer {
    pub(super) fn new(kind: &str) -> Self {
        let mut writer = Self(String::with_capacity(96));
        writer.0.push('{');
        writer.json("type");
        writer.0.push(':');
        writer.json(kind);
        writer
    }

    /// Byte strings are written as arrays of numbers.
    pub(super) fn member<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.0.push(',');
        self.json(name);
        self.0.push(':');
        self.json(value);
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        let written = serde_json::to_string(value).map(|json| self.0.push_str(&json));
        debug_assert!(written.is_ok(), "only maps and foreign types can fail to be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_beyond_a_mebibyte_are_refused_unread() {
        let text = " ".repeat(TEXT_MAX + 1);
        assert_eq!(kind(&text), Err(TextError::TooLong(TEXT_MAX + 1)));
    }

    #[test]
    fn an_array_or_a_doubled_type_is_no_message() {
        for text in ["[\"send\"]", "{\"type\":\"a\",\"type\":\"a\"}", "{\"type\":1}", "", "{"] {
            assert_eq!(kind(text), Err(TextError::NotAMessage), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_or_skipped_without_recursion() {
        let text = format!("{{\"type\":\"send\",\"x\":{}", "[".repeat(500_000));
        assert_eq!(kind(&text), Err(TextError::NotAMessage));
    }

    #[test]
    fn a_parse_error_does_not_echo_the_value_it_met() {
        #[derive(Deserialize, Debug)]
        #[expect(dead_code, reason = "only its parse error is looked at")]
        struct Members {
            token: u8,
        }
        let error = members::<Members>("test", "{\"token\":\"secret\"}").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
