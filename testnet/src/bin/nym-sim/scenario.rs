//! Scenarios with a name.

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use nym_testnet::sim::model::Violation;
use nym_testnet::sim::scenarios::{ALL, Named, Options, Played};
use nym_testnet::sim::trace::TracedRun;

use super::{Cli, trace};

/// The seed of scenarios unless another one is given.
const SEED: u64 = 1;

/// Plays the scenario of this name, or all, or lists them.
pub(super) fn play(name: &str, cli: &Cli) -> ExitCode {
    let named = Named::find(name);
    match (name, named) {
        ("list", _) => list(cli),
        (_, Some(named)) => match &cli.trace {
            Some(path) => {
                let Options { seed, suite, is_spoiled } = options(cli);
                let run = TracedRun { seed, suite, scenario: Some(named.name), is_spoiled };
                trace::record(path, &run, cli)
            }
            None => play_each(&[named], cli),
        },
        ("all", None) => play_each(&ALL, cli),
        (_, None) => {
            nym_console::note!("there is no scenario '{name}'; '--scenario list' shows them");
            ExitCode::from(2)
        }
    }
}

fn options(cli: &Cli) -> Options {
    let seed = cli.seed.unwrap_or(SEED);
    Options { seed, suite: cli.suite.suite(), is_spoiled: cli.spoil }
}

fn list(cli: &Cli) -> ExitCode {
    if cli.json {
        let all = ALL.map(|named| json!({ "name": named.name, "about": named.about }));
        nym_console::out!("{}", Value::from(all.to_vec()));
    } else {
        for Named { name, about, .. } in ALL {
            nym_console::out!("{name}\n    {about}");
        }
    }
    ExitCode::SUCCESS
}

fn play_each(scenarios: &[Named], cli: &Cli) -> ExitCode {
    let mut is_good = true;
    for named in scenarios {
        let begun = Instant::now();
        let played = named.play(options(cli), None);
        is_good &= played.as_ref().is_ok_and(Played::is_good);
        let seconds = begun.elapsed().as_secs_f64();
        if cli.json {
            nym_console::out!("{}", as_json(named, &played, seconds, cli));
        } else {
            print_text(named, &played, seconds, cli);
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_text(named: &Named, played: &Result<Played, Violation>, seconds: f64, cli: &Cli) {
    nym_console::out!("{}: {}", named.name, named.about);
    match played {
        Ok(played) => {
            for check in &played.checks {
                let mark = if check.holds { "ok  " } else { "FAIL" };
                nym_console::out!("  {mark} {}: {}", check.promise, check.measured);
            }
            let virtual_seconds = played.time.as_secs_f64();
            nym_console::out!(
                "  all rules held for {virtual_seconds:.0} s, simulated in {seconds:.1} s"
            );
            if cli.trace_hash {
                nym_console::out!("  trace hash {:016x}", played.trace_hash);
            }
        }
        Err(Violation { rule, at, detail }) => {
            nym_console::out!("  FAIL the rule {rule:?} is broken at {at:?}: {detail}");
        }
    }
}

fn as_json(named: &Named, played: &Result<Played, Violation>, seconds: f64, cli: &Cli) -> Value {
    let Options { seed, suite, is_spoiled } = options(cli);
    let mut value = json!({
        "scenario": named.name,
        "seed": seed,
        "suite": suite.name(),
        "is_spoiled": is_spoiled,
        "is_good": played.as_ref().is_ok_and(Played::is_good),
        "seconds": seconds,
    });
    match played {
        Ok(played) => {
            let checks = played.checks.iter().map(|check| {
                json!({
                    "promise": check.promise,
                    "measured": check.measured,
                    "holds": check.holds,
                })
            });
            value["checks"] = checks.collect();
            value["virtual_seconds"] = played.time.as_secs_f64().into();
            value["trace_hash"] = format!("{:016x}", played.trace_hash).into();
        }
        Err(Violation { rule, at, detail }) => {
            value["violation"] = json!({
                "rule": format!("{rule:?}"),
                "at_secs": at.as_nanos() as f64 / 1e9,
                "detail": detail,
            });
        }
    }
    value
}
