//! What happens in a simulation, in order: as a hash, and line by line for whoever asks.

mod file;
mod hash;
mod record;

use core::fmt;
use core::time::Duration;

use nym_proto::time::Instant;

pub use self::file::{Difference, Ran, Replay, ReplayError, TracedRun, record, replay};
use self::hash::TraceHash;
pub(super) use self::record::{action, event};

/// Takes the fields of a record.
pub(super) trait Fields {
    fn word(&mut self, name: &'static str, value: u64);
    fn text(&mut self, name: &'static str, value: &str);
    /// Content: of any length, and nothing to look at.
    fn bytes(&mut self, name: &'static str, value: &[u8]);
}

/// The unit of traces.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Takes the lines of a trace, each one JSON object.
pub trait TraceSink: Send {
    /// One line, without its end. Times are in nanoseconds, content is given by its length and a
    /// hash.
    ///
    /// # Errors
    /// No more lines are wanted, and why.
    fn line(&mut self, line: &str) -> Result<(), String>;
}

/// What has happened so far.
pub(super) struct Trace {
    hash: TraceHash,
    sink: Option<Box<dyn TraceSink>>,
    line: Line,
    failure: Option<String>,
}

impl Trace {
    pub(super) const fn new() -> Self {
        Self { hash: TraceHash::new(), sink: None, line: Line(String::new()), failure: None }
    }

    /// Everything from now on goes there as well.
    pub(super) fn set_sink(&mut self, sink: Box<dyn TraceSink>) {
        self.sink = Some(sink);
    }

    /// Why the sink wants no more, if so.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes note of something.
    pub(super) fn note(
        &mut self,
        now: Instant,
        what: &'static str,
        fields: impl Fn(&mut dyn Fields),
    ) {
        self.hash.add(now.as_nanos());
        self.hash.add_bytes(what.as_bytes());
        fields(&mut self.hash);
        if let Some(sink) = &mut self.sink
            && self.failure.is_none()
        {
            self.line.begin(now, what);
            fields(&mut self.line);
            self.failure = sink.line(self.line.end()).err();
        }
    }

    /// The hash of everything so far.
    pub(super) const fn value(&self) -> u64 {
        self.hash.value()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x})", self.value())
    }
}

/// A record as a JSON object.
struct Line(String);

impl Line {
    fn begin(&mut self, now: Instant, what: &'static str) {
        self.0.clear();
        self.push(format_args!("{{\"at\":{},\"what\":\"{what}\"", now.as_nanos()));
    }

    fn end(&mut self) -> &str {
        self.0.push('}');
        &self.0
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        // writing to a string does not fail
        let _ = fmt::Write::write_fmt(&mut self.0, text);
    }
}

impl Fields for Line {
    fn word(&mut self, name: &'static str, value: u64) {
        self.push(format_args!(",\"{name}\":{value}"));
    }

    fn text(&mut self, name: &'static str, value: &str) {
        let value = serde_json::Value::from(value);
        self.push(format_args!(",\"{name}\":{value}"));
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        let (len, hash) = (value.len(), TraceHash::of(value));
        self.push(format_args!(",\"{name}\":\"{len}:{hash:016x}\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_json_object_whatever_is_in_it() {
        let mut line = Line(String::new());
        line.begin(Instant::from_nanos(5), "event");
        line.text("reason", "\"quoted\"\n");
        line.word("deadline", u64::MAX);
        line.bytes("frame", &[0; 100]);
        let value: serde_json::Value = serde_json::from_str(line.end()).unwrap();
        assert_eq!(value["reason"], "\"quoted\"\n");
        assert_eq!(value["deadline"], u64::MAX);
        assert!(value["frame"].as_str().unwrap().starts_with("100:"));
    }
}
