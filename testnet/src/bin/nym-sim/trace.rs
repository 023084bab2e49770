//! A run written down, and run again.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use nym_testnet::sim::trace::{self, Ran, TracedRun};

use super::Cli;

/// Runs a seed, or plays a scenario, and writes down what happens.
pub(super) fn record(path: &Path, run: &TracedRun, cli: &Cli) -> ExitCode {
    let seed = run.seed;
    let out = File::create(path).map(|file| BufWriter::with_capacity(1 << 20, file));
    match out.and_then(|out| trace::record(run, out)) {
        Ok(ran) => {
            let path = path.display();
            if cli.json {
                nym_console::out!("{}", json!({ "trace": path.to_string(), "ended": ended(&ran) }));
            } else {
                nym_console::out!("seed {seed}: {}", ended(&ran));
                nym_console::out!(
                    "replay: cargo run --release -p nym-testnet --bin nym-sim -- --replay {path}"
                );
            }
            if ran.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            nym_console::note!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// Runs again what was written down. Fails at the first difference; that the run broke a rule, then
/// and now, is no difference.
pub(super) fn replay(path: &Path, cli: &Cli) -> ExitCode {
    let input = File::open(path).map_err(trace::ReplayError::Io);
    let replay = match input.and_then(|file| trace::replay(BufReader::with_capacity(1 << 20, file)))
    {
        Ok(replay) => replay,
        Err(error) => {
            nym_console::note!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let difference = replay.difference.as_ref();
    if cli.json {
        nym_console::out!(
            "{}",
            json!({
                "seed": replay.run.seed,
                "suite": replay.run.suite.name(),
                "version": replay.version,
                "lines": replay.lines,
                "ended": difference.is_none().then(|| ended(&replay.ran)),
                "difference": difference.map(|difference| json!({
                    "line": difference.line,
                    "recorded": difference.recorded,
                    "happened": difference.happened,
                })),
            })
        );
    } else {
        nym_console::out!("seed {}, recorded by version {}", replay.run.seed, replay.version);
        match difference {
            Some(difference) => nym_console::out!("{difference}"),
            None => {
                nym_console::out!("all {} lines are the same; {}", replay.lines, ended(&replay.ran))
            }
        }
    }
    if difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ended(ran: &Ran) -> String {
    match ran {
        Ok(trace_hash) => format!("all rules held, trace hash {trace_hash:016x}"),
        Err(violation) => {
            let (rule, at, detail) = (violation.rule, violation.at, &violation.detail);
            format!("it breaks the rule {rule:?} at {at:?}: {detail}")
        }
    }
}
