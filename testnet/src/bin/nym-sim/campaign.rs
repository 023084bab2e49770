//! Many seeds, one after the other or several at a time.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use nym_proto::time::Instant as SimInstant;
use nym_testnet::sim::campaign::{Report, Scenario};
use nym_testnet::sim::model::{Rule, Tally, Violation};
use nym_testnet::sim::trace::TraceSink;

use super::Cli;

/// Everything added up.
#[derive(Default)]
struct Summary {
    runs: u64,
    client_seconds: f64,
    longest_recovery: f64,
    tally: Tally,
    kinds: BTreeMap<String, u64>,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        let Report { tally, .. } = report;
        self.runs += 1;
        self.client_seconds += report.client_seconds;
        self.longest_recovery = self.longest_recovery.max(report.recovery.as_secs_f64());
        self.tally.accepted += tally.accepted;
        self.tally.delivered += tally.delivered;
        self.tally.acknowledged += tally.acknowledged;
        self.tally.failed += tally.failed;
        self.tally.lost_with_connection += tally.lost_with_connection;
        self.tally.lost_with_memory += tally.lost_with_memory;
        self.tally.lost_with_recipient += tally.lost_with_recipient;
        self.tally.lost_for_room += tally.lost_for_room;
        self.tally.forgotten += tally.forgotten;
        for kind in &report.kinds {
            *self.kinds.entry(format!("{kind:?}")).or_default() += 1;
        }
    }
}

/// Runs all seeds and prints what came out.
pub(super) fn run_seeds(cli: &Cli) -> ExitCode {
    let seeds = cli.seed.map_or(cli.seeds.clone(), |seed| seed..seed.saturating_add(1));
    let begun = Instant::now();
    let (summary, violation) = campaign(cli, seeds, begun);
    let seconds = begun.elapsed().as_secs_f64();
    let replay = violation.as_ref().map(|(seed, violation)| replay(*seed, cli, violation));
    if cli.json {
        nym_console::out!("{}", as_json(&summary, seconds, violation.as_ref(), replay.as_deref()));
    } else {
        print_text(&summary, seconds, violation.as_ref(), replay.as_deref());
    }
    if violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What came out of a seed.
type Ran = Result<Report, Violation>;

/// Runs all seeds, several at a time if asked for. What is printed has the order of the seeds, and
/// the first violation is that of the lowest seed, however many run at a time.
fn campaign(cli: &Cli, seeds: Range<u64>, begun: Instant) -> (Summary, Option<(u64, Violation)>) {
    let (mut summary, mut violation) = (Summary::default(), None);
    let all = seeds.end.saturating_sub(seeds.start);
    let mut shown = begun;
    let mut next = seeds.start;
    let mut early = BTreeMap::new();
    let (from_here, is_over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    thread::scope(|scope| {
        let (results, arrivals) = mpsc::channel();
        for _ in 0..cli.jobs.get() {
            let results = results.clone();
            let (from_here, is_over, seeds) = (&from_here, &is_over, &seeds);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = from_here.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        break;
                    }
                    let ran = run(seed, cli);
                    // seeds below this one have been begun already
                    is_over.fetch_or(ran.is_err(), Ordering::Relaxed);
                    if results.send((seed, ran)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        for (seed, ran) in arrivals {
            early.insert(seed, ran);
            while let Some(ran) = early.remove(&next).filter(|_| violation.is_none()) {
                match ran {
                    Ok(report) => tell(cli, &report, &mut summary),
                    Err(broken) => violation = Some((next, broken)),
                }
                next += 1;
            }
            if shown.elapsed().as_secs() >= 2 {
                shown = Instant::now();
                let speed = summary.client_seconds / begun.elapsed().as_secs_f64();
                nym_console::note!(
                    "{} of {all} seeds, {speed:.0} client-seconds per second",
                    summary.runs
                );
            }
        }
    });
    (summary, violation)
}

fn tell(cli: &Cli, report: &Report, summary: &mut Summary) {
    if cli.show && cli.seed.is_none() {
        nym_console::out!("{:#?}", Scenario::draw(report.seed, cli.suite.suite()));
    }
    if cli.trace_hash {
        nym_console::out!("{} {:016x}", report.seed, report.trace_hash);
    }
    summary.add(report);
}

/// Prints what clients report and what goes wrong, as it happens.
struct Shown;

impl TraceSink for Shown {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let is_telling = [r#""action":"report""#, r#""action":"outcome""#, r#""what":"fault""#];
        if is_telling.iter().any(|kind| line.contains(kind)) {
            nym_console::out!("{line}");
        }
        Ok(())
    }
}

/// Runs one seed, or runs it twice and compares.
fn run(seed: u64, cli: &Cli) -> Ran {
    let scenario = Scenario::draw(seed, cli.suite.suite());
    let report = if cli.show && cli.seed.is_some() {
        nym_console::out!("{scenario:#?}");
        scenario.run_traced(Box::new(Shown))?
    } else {
        scenario.run()?
    };
    if cli.twice_every.is_some_and(|every| seed.is_multiple_of(every.get())) {
        let again = scenario.run()?.trace_hash;
        if again != report.trace_hash {
            let detail = format!("trace hashes {:016x} and {again:016x}", report.trace_hash);
            return Err(Violation { rule: Rule::Repeatable, at: SimInstant::START, detail });
        }
    }
    Ok(report)
}

/// The command that shows a violation again. That two runs differ shows only in two runs.
fn replay(seed: u64, cli: &Cli, violation: &Violation) -> String {
    let suite = cli.suite.suite().name();
    let twice = if violation.rule == Rule::Repeatable { " --twice-every 1" } else { "" };
    format!(
        "cargo run --release -p nym-testnet --bin nym-sim -- --seed {seed} --suite {suite}{twice}"
    )
}

fn print_text(
    summary: &Summary,
    seconds: f64,
    violation: Option<&(u64, Violation)>,
    replay: Option<&str>,
) {
    let Summary { runs, client_seconds, longest_recovery, tally, kinds, .. } = summary;
    let speed = client_seconds / seconds.max(f64::MIN_POSITIVE);
    nym_console::out!("{runs} seeds in {seconds:.1} s in which all rules held");
    nym_console::out!("{client_seconds:.0} client-seconds simulated, {speed:.0} per second");
    nym_console::out!(
        "{} messages accepted: {} acknowledged, {} ended otherwise, {} forgotten in a crash; {} delivered",
        tally.accepted,
        tally.acknowledged,
        tally.failed,
        tally.forgotten,
        tally.delivered
    );
    nym_console::out!(
        "acknowledged and not delivered: {} lost with a connection, {} with a gateway's memory, {} with a \
         recipient that crashed, {} to make room",
        tally.lost_with_connection,
        tally.lost_with_memory,
        tally.lost_with_recipient,
        tally.lost_for_room
    );
    nym_console::out!("longest recovery after the last fault: {longest_recovery:.1} s");
    let kinds: Vec<_> = kinds.iter().map(|(kind, runs)| format!("{kind} {runs}")).collect();
    nym_console::out!("seeds per kind of fault: {}", kinds.join(", "));
    if let (Some((seed, Violation { rule, at, detail })), Some(replay)) = (violation, replay) {
        nym_console::out!(
            "\nseed {seed} breaks the rule {rule:?} at {at:?}:\n{detail}\nreplay: {replay}"
        );
    }
}

fn as_json(
    summary: &Summary,
    seconds: f64,
    violation: Option<&(u64, Violation)>,
    replay: Option<&str>,
) -> serde_json::Value {
    let Summary { runs, client_seconds, longest_recovery, tally, kinds, .. } = summary;
    let violation = violation.map(|(seed, violation)| {
        serde_json::json!({
            "seed": seed,
            "rule": format!("{:?}", violation.rule),
            "at_secs": violation.at.as_nanos() as f64 / 1e9,
            "detail": violation.detail,
            "replay": replay,
        })
    });
    serde_json::json!({
        "seeds": runs,
        "seconds": seconds,
        "client_seconds": client_seconds,
        "client_seconds_per_second": client_seconds / seconds.max(f64::MIN_POSITIVE),
        "longest_recovery_secs": longest_recovery,
        "messages": {
            "accepted": tally.accepted,
            "delivered": tally.delivered,
            "acknowledged": tally.acknowledged,
            "failed": tally.failed,
            "lost_with_connection": tally.lost_with_connection,
            "lost_with_memory": tally.lost_with_memory,
            "lost_with_recipient": tally.lost_with_recipient,
            "lost_for_room": tally.lost_for_room,
            "forgotten": tally.forgotten,
        },
        "seeds_per_kind_of_fault": kinds,
        "violation": violation,
    })
}
