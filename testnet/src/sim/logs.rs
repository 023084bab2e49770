//! What a shell would log about the clients of a simulation, and what must not be in it.
//!
//! Every fact goes through the formatting of the shells, under a subscriber of our own. Lines at
//! INFO and above are searched for whatever would tell who talks to whom.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use nym_proto::client::Fact;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Shorter words say nothing about anybody.
const WORD_MIN: usize = 16;

/// A line at INFO or above.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// True if it is an error.
    pub is_error: bool,
    /// Message and fields.
    pub text: String,
}

/// What the shells would log about a fact, at INFO and above.
#[must_use]
pub fn lines_of(fact: &Fact) -> Vec<Line> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let capture = Capture { lines: Arc::clone(&lines) };
    tracing::subscriber::with_default(capture, || nym_shell::log_fact(fact));
    core::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Keys, addresses and tags, as texts print them.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Adds the words of a text.
    pub fn add(&mut self, text: &str) {
        self.0.extend(words(text).map(str::to_owned));
    }

    /// Adds bytes, as hexadecimal and as base58 print them.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let mut hex = String::new();
        for byte in bytes {
            // writing to a string does not fail
            let _ = write!(hex, "{byte:02x}");
        }
        self.add(&hex);
        self.add(&hex.to_uppercase());
        self.add(&nym_proto::identity::PublicKey::from_bytes(pad(bytes)).to_string());
    }

    /// A word of the text that is one of them, or a part of one.
    #[must_use]
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        words(text).find(|word| {
            self.0.iter().any(|secret| secret.contains(word) || word.contains(secret.as_str()))
        })
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() >= WORD_MIN)
}

fn pad(bytes: &[u8]) -> [u8; 32] {
    let mut padded = [0; 32];
    padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    padded
}

struct Capture {
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if !self.enabled(event.metadata()) {
            return;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        let is_error = *event.metadata().level() == Level::ERROR;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(Line { is_error, text: text.0 });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // writing to a string does not fail
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use nym_proto::client::SessionFailure;

    use super::*;

    #[test]
    fn what_is_logged_at_info_is_seen_and_what_is_logged_below_is_not() {
        let retry_in = Duration::from_secs(1);
        let failure = SessionFailure::Refused("TheGatewayTellsTooMuch".to_owned());
        let lines = lines_of(&Fact::ConnectionFailed { failure, retry_in });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].is_error && lines[0].text.contains("refused"), "{lines:?}");
        assert!(!lines[0].text.contains("TooMuch"));
    }

    #[test]
    fn a_secret_is_found_in_every_form_it_is_printed_in() {
        let key = [0xab; 32];
        let mut secrets = Secrets::default();
        secrets.add_bytes(&key);
        let base58 = nym_proto::identity::PublicKey::from_bytes(key).to_string();
        let hex = "ab".repeat(32);
        for text in [&base58, &hex, &base58[..20], &hex.to_uppercase()] {
            assert!(secrets.find(&format!("peer={text:?} gone")).is_some(), "{text}");
        }
        assert_eq!(secrets.find("a line that says internationalisation_of_nothing"), None);
    }
}
