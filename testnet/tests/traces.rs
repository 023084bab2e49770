//! Runs written down and run again.

use std::io::{BufReader, Cursor, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nym_testnet::sim::Suite;
use nym_testnet::sim::campaign::Scenario;
use nym_testnet::sim::trace::{Replay, TracedRun, record, replay};

/// A file that is not there.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The seed of a short run with faults, and its trace.
fn recorded() -> (TracedRun, String) {
    let has_faults = |seed: &u64| {
        let drawn = Scenario::draw(*seed, Suite::Transparent);
        let is_short = drawn.clients.len() == 2 && drawn.duration < Duration::from_secs(60);
        is_short && !drawn.plan.faults.is_empty()
    };
    let seed = (0..).find(has_faults).unwrap();
    let run = TracedRun { seed, suite: Suite::Transparent, scenario: None, is_spoiled: false };
    let trace = trace_of(&run);
    (run, trace)
}

fn trace_of(run: &TracedRun) -> String {
    let out = Memory::default();
    record(run, out.clone()).unwrap().unwrap();
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn replayed(trace: String) -> Replay {
    replay(BufReader::new(Cursor::new(trace))).unwrap()
}

#[test]
fn a_trace_is_the_same_when_its_run_is_run_again_and_a_changed_one_is_not() {
    let (run, trace) = recorded();
    let lines = trace.lines().count() as u64;
    let same = replayed(trace.clone());
    assert_eq!((same.run, same.lines, same.difference), (run, lines, None));
    assert!(same.ran.is_ok());

    let middle = trace.len() / 2;
    let mut changed = trace.clone().into_bytes();
    let at = middle + changed[middle..].iter().position(u8::is_ascii_digit).unwrap();
    changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
    let difference = replayed(String::from_utf8(changed.clone()).unwrap()).difference.unwrap();
    let line = changed[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    assert_eq!(difference.line, line);
    assert_ne!(difference.recorded, difference.happened);

    let cut: String = trace.lines().take(100).map(|line| format!("{line}\n")).collect();
    let difference = replayed(cut).difference.unwrap();
    assert_eq!((difference.line, difference.recorded), (101, None));

    let difference = replayed(format!("{trace}{{}}\n")).difference.unwrap();
    assert_eq!((difference.line, difference.happened), (lines + 1, None));
}

#[test]
fn the_trace_of_a_scenario_is_the_same_when_it_is_played_again() {
    let (suite, scenario) = (Suite::Transparent, Some("gateway-crash-in-upload"));
    let run = TracedRun { seed: 3, suite, scenario, is_spoiled: false };
    let same = replayed(trace_of(&run));
    assert_eq!((same.run, same.difference), (run, None));
}

#[test]
fn the_first_line_says_what_was_run_and_every_line_is_json() {
    let (run, trace) = recorded();
    let lines = trace.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> = lines.collect::<Result<_, _>>().unwrap();
    assert_eq!(lines[0]["seed"], run.seed);
    assert_eq!(lines[0]["suite"], "transparent");
    for what in ["event", "action", "packet", "fault", "request", "at_gateway"] {
        assert!(lines.iter().any(|line| line["what"] == what), "{what}");
    }
    assert!(lines.iter().all(|line| line["action"] != "unknown" && line["fact"] != "unknown"));
}

#[test]
fn what_is_no_trace_is_refused() {
    for text in ["", "{}", "{\"nym_sim_trace\":2,\"seed\":1,\"suite\":\"real\",\"version\":\"1\"}"]
    {
        assert!(replay(BufReader::new(Cursor::new(text.to_owned()))).is_err(), "{text}");
    }
}
