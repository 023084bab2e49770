//! What all text frames have in common: one JSON object with a string member `type`.
//! (protocol: gateway 4)

use core::fmt::{Display, Write as _};
use std::borrow::Cow;

use serde::Deserialize;
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
        writer.0.push_str("{\"type\":");
        writer.quoted(kind);
        writer
    }

    pub(super) fn number(mut self, name: &str, value: impl Display) -> Self {
        self.name(name);
        self.push_number(value);
        self
    }

    pub(super) fn boolean(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.quoted(value);
        self
    }

    /// A byte string as an array of numbers.
    pub(super) fn bytes(mut self, name: &str, value: &[u8]) -> Self {
        self.name(name);
        self.0.reserve(4 * value.len() + 2);
        self.0.push('[');
        for (i, &byte) in value.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            self.push_number(byte);
        }
        self.0.push(']');
        self
    }

    /// A value that is JSON already.
    pub(super) fn raw(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0.push_str(value);
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// Names of members need no escaping: they are ours.
    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn push_number(&mut self, value: impl Display) {
        // writing to a String cannot fail
        let _ = write!(self.0, "{value}");
    }

    fn quoted(&mut self, text: &str) {
        self.0.push('"');
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                '\u{8}' => self.0.push_str("\\b"),
                '\u{c}' => self.0.push_str("\\f"),
                c if c < ' ' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_strings_equal_those_of_a_json_library(text: String) {
            let written = Writer::new(&text).finish();
            let expected = format!("{{\"type\":{}}}", serde_json::Value::String(text));
            prop_assert_eq!(written, expected);
        }
    }

    #[test]
    fn control_characters_are_escaped_as_a_json_library_does() {
        let text: String = (0..0x80u8).map(char::from).collect();
        let expected = serde_json::Value::String(text.clone()).to_string();
        assert!(Writer::new(&text).finish().contains(&expected));
    }

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
