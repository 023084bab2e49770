//! A run written down, and run again to see that everything is the same.
//!
//! The first line says what was run. What follows is everything that happened, and the last line how
//! it ended. Neither recording nor comparing holds more than a line in memory.

use core::fmt;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nym_proto::limits::Limits;
use serde_json::{Value, json};

use super::TraceSink;
use crate::sim::Suite;
use crate::sim::campaign::Scenario;
use crate::sim::model::Violation;
use crate::sim::scenarios::{Named, Options};

/// The form of the files. Another one has another number.
const FORM: u64 = 1;

/// What a trace is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TracedRun {
    /// The seed.
    pub seed: u64,
    /// What packets are made of.
    pub suite: Suite,
    /// The scenario. `None`: everything is drawn from the seed.
    pub scenario: Option<&'static str>,
    /// The scenario is spoiled.
    pub is_spoiled: bool,
}

/// The trace hash of a run in which all rules held, or the rule that did not.
pub type Ran = Result<u64, Violation>;

/// The first place where a run is not what was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The line, from 1.
    pub line: u64,
    /// What it says; `None`: the trace has ended.
    pub recorded: Option<String>,
    /// What happened instead; `None`: the run has ended.
    pub happened: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, recorded, happened } = self;
        let recorded = recorded.as_deref().unwrap_or("nothing: the trace ends");
        let happened = happened.as_deref().unwrap_or("nothing: the run ends");
        write!(f, "line {line} differs\nrecorded: {recorded}\nhappened: {happened}")
    }
}

/// A run that was run again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What was run.
    pub run: TracedRun,
    /// The version of the program that recorded it.
    pub version: String,
    /// Lines that are the same.
    pub lines: u64,
    /// What became of it.
    pub ran: Ran,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// Why a trace cannot be run again.
#[derive(Debug)]
pub enum ReplayError {
    /// It cannot be read.
    Io(std::io::Error),
    /// Its first line does not say what was run.
    Header(String),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the trace cannot be read: {error}"),
            Self::Header(line) => write!(f, "this line does not say what was run: {line}"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl TracedRun {
    fn start(&self, sink: Box<dyn TraceSink>) -> Ran {
        let Self { seed, suite, scenario, is_spoiled } = *self;
        match scenario.and_then(Named::find) {
            Some(named) => {
                let options = Options { seed, suite, is_spoiled };
                named.play(options, Some(sink)).map(|played| played.trace_hash)
            }
            None => Scenario::draw(seed, suite).run_traced(sink).map(|report| report.trace_hash),
        }
    }

    /// Everything that is needed to run it again, and what was drawn from the seed.
    fn header(&self) -> String {
        let mut value = json!({
            "nym_sim_trace": FORM,
            "version": env!("CARGO_PKG_VERSION"),
            "seed": self.seed,
            "suite": self.suite.name(),
        });
        match self.scenario {
            Some(name) => {
                value["scenario"] = name.into();
                value["is_spoiled"] = self.is_spoiled.into();
            }
            None => value["drawn"] = drawn(&Scenario::draw(self.seed, self.suite)),
        }
        value.to_string()
    }

    fn parse(header: &str) -> Option<(Self, String)> {
        let value: Value = serde_json::from_str(header).ok()?;
        let suite = Suite::from_name(value["suite"].as_str()?)?;
        let scenario = match value.get("scenario") {
            Some(name) => Some(Named::find(name.as_str()?)?.name),
            None => None,
        };
        let is_spoiled = value["is_spoiled"].as_bool().unwrap_or_default();
        let run = Self { seed: value["seed"].as_u64()?, suite, scenario, is_spoiled };
        let is_known = value["nym_sim_trace"] == FORM;
        is_known.then_some((run, value["version"].as_str()?.to_owned()))
    }
}

/// What was drawn, as far as it tells runs apart at a glance.
fn drawn(scenario: &Scenario) -> Value {
    let kinds: Vec<_> = scenario.plan.kinds.iter().map(|kind| format!("{kind:?}")).collect();
    let Limits { outbox_messages_max, outbox_bytes_max, inbox_bytes_max, surbs_max, .. } =
        scenario.limits;
    json!({
        "clients": scenario.clients.len(),
        "gateways": scenario.sim.gateways,
        "mixes_per_layer": scenario.sim.mixes_per_layer,
        "faults": kinds,
        "faults_for_nanos": super::nanos(scenario.duration),
        "limits": {
            "outbox_messages_max": outbox_messages_max,
            "outbox_bytes_max": outbox_bytes_max,
            "inbox_bytes_max": inbox_bytes_max,
            "surbs_max": surbs_max,
        },
    })
}

/// The last line.
fn footer(ran: &Ran) -> String {
    let value = match ran {
        Ok(trace_hash) => json!({ "end": format!("{trace_hash:016x}") }),
        Err(violation) => json!({
            "end": format!("{:?}", violation.rule),
            "at": violation.at.as_nanos(),
        }),
    };
    value.to_string()
}

/// Runs and writes everything down.
///
/// # Errors
/// Writing failed; the run goes on without.
pub fn record(run: &TracedRun, out: impl Write + Send + 'static) -> std::io::Result<Ran> {
    let recorder = Arc::new(Mutex::new(Recorder { out, error: None }));
    lock(&recorder).write(&run.header());
    let ran = run.start(Box::new(Arc::clone(&recorder)));
    let mut recorder = lock(&recorder);
    recorder.write(&footer(&ran));
    match recorder.error.take() {
        Some(error) => Err(error),
        None => recorder.out.flush().map(|()| ran),
    }
}

/// Runs what a trace is of and compares, line by line, up to the first difference.
///
/// # Errors
/// The trace cannot be read, or is none.
pub fn replay(mut input: impl BufRead + Send + 'static) -> Result<Replay, ReplayError> {
    let mut first = String::new();
    input.read_line(&mut first).map_err(ReplayError::Io)?;
    let first = first.trim_end();
    let Some((run, version)) = TracedRun::parse(first) else {
        return Err(ReplayError::Header(first.chars().take(200).collect()));
    };
    let mut comparer = Comparer { input, lines: 0, error: None, difference: None };
    comparer.compare(Some(first.to_owned()), Some(&run.header()));
    let comparer = Arc::new(Mutex::new(comparer));
    let ran = run.start(Box::new(Arc::clone(&comparer)));
    let mut comparer = lock(&comparer);
    comparer.next(Some(&footer(&ran)));
    comparer.next(None);
    let Comparer { lines, error, difference, .. } = &mut *comparer;
    match error.take() {
        Some(error) => Err(ReplayError::Io(error)),
        None => Ok(Replay { run, version, lines: *lines, ran, difference: difference.take() }),
    }
}

fn lock<T>(shared: &Arc<Mutex<T>>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Recorder<W> {
    out: W,
    error: Option<std::io::Error>,
}

impl<W: Write> Recorder<W> {
    fn write(&mut self, line: &str) {
        if self.error.is_none() {
            self.error = writeln!(self.out, "{line}").err();
        }
    }
}

impl<W: Write + Send> TraceSink for Arc<Mutex<Recorder<W>>> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut recorder = lock(self);
        recorder.write(line);
        recorder.error.as_ref().map_or(Ok(()), |error| Err(error.to_string()))
    }
}

struct Comparer<R> {
    input: R,
    lines: u64,
    error: Option<std::io::Error>,
    difference: Option<Difference>,
}

impl<R: BufRead> Comparer<R> {
    /// Compares what happens next.
    fn next(&mut self, happened: Option<&str>) {
        if self.error.is_some() || self.difference.is_some() {
            return;
        }
        let mut line = String::new();
        match self.input.read_line(&mut line) {
            Err(error) => self.error = Some(error),
            Ok(0) => self.compare(None, happened),
            Ok(_) => self.compare(Some(line.trim_end_matches('\n').to_owned()), happened),
        }
    }

    fn compare(&mut self, recorded: Option<String>, happened: Option<&str>) {
        if recorded.as_deref() == happened {
            self.lines += u64::from(happened.is_some());
        } else {
            let happened = happened.map(str::to_owned);
            self.difference = Some(Difference { line: self.lines + 1, recorded, happened });
        }
    }
}

impl<R: BufRead + Send> TraceSink for Arc<Mutex<Comparer<R>>> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut comparer = lock(self);
        comparer.next(Some(line));
        match (&comparer.difference, &comparer.error) {
            (None, None) => Ok(()),
            (Some(difference), _) => Err(difference.to_string()),
            (None, Some(error)) => Err(error.to_string()),
        }
    }
}
