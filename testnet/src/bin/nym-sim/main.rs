//! `nym-sim`: runs whole networks in virtual time, one per seed, while things go wrong, and checks
//! that all promises hold.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod campaign;
#[cfg(feature = "plot")]
mod plot;
mod scenario;
mod speed;
mod trace;

use core::num::{NonZeroU64, NonZeroUsize};
use core::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use nym_testnet::sim::Suite;
use nym_testnet::sim::trace::TracedRun;

/// Simulates mixnets with faults, one per seed, and stops at the first broken promise.
#[derive(Parser)]
#[command(version, name = "nym-sim")]
struct Cli {
    /// The seeds, without the last number.
    #[arg(long, value_name = "A..B", value_parser = parse_range, default_value = "0..100",
          conflicts_with = "seed")]
    seeds: Range<u64>,
    /// One seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What packets are made of.
    #[arg(long, value_enum, default_value_t = Packets::Transparent)]
    suite: Packets,
    /// Print a hash of everything that happens for each seed; it is the same in every run.
    #[arg(long)]
    trace_hash: bool,
    /// Print the summary, and a violation, as one JSON object.
    #[arg(long)]
    json: bool,
    /// Print what was drawn from each seed; with one seed also what clients report, how messages end and
    /// what goes wrong, as it happens.
    #[arg(long)]
    show: bool,
    /// Run this many seeds at a time. The output is the same.
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Run the seeds that are multiples of N twice: both runs must have the same trace hash.
    #[arg(long, value_name = "N")]
    twice_every: Option<NonZeroU64>,
    /// Play a scenario with a name; 'list' shows them, 'all' plays them all.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["seeds", "speed", "jobs", "twice_every"])]
    scenario: Option<String>,
    /// Take away what the scenario needs: it must fail.
    #[arg(long, requires = "scenario")]
    spoil: bool,
    /// Write down what happens in the run of the one seed, or in the scenario: events and actions, a
    /// JSON object per line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "speed", "replay"])]
    trace: Option<PathBuf>,
    /// Run what a file of --trace is of again and compare, line by line.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "scenario", "speed"])]
    replay: Option<PathBuf>,
    /// Run the one seed and draw it: when client 0 sends, busy and idle, how long messages take, how
    /// many acks are waited for.
    #[cfg(feature = "plot")]
    #[arg(long, value_name = "FILE.svg", conflicts_with_all = ["seeds", "trace", "replay", "scenario", "speed"])]
    plot: Option<PathBuf>,
    /// Only measure: simulate 10 clients with default traffic for a minute, without faults.
    #[arg(long, conflicts_with_all = ["seeds", "trace_hash", "show"])]
    speed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Packets {
    /// Sphinx.
    Real,
    /// The same sizes, without curve arithmetic.
    Transparent,
}

impl Packets {
    const fn suite(self) -> Suite {
        match self {
            Self::Real => Suite::Real,
            Self::Transparent => Suite::Transparent,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    #[cfg(feature = "plot")]
    if let Some(path) = &cli.plot {
        return plot::draw(path, &cli);
    }
    if cli.speed {
        speed::measure(&cli);
        ExitCode::SUCCESS
    } else if let Some(path) = &cli.replay {
        trace::replay(path, &cli)
    } else if let Some(name) = &cli.scenario {
        scenario::play(name, &cli)
    } else if let Some(path) = &cli.trace {
        let (seed, suite) = (cli.seed.unwrap_or_default(), cli.suite.suite());
        let run = TracedRun { seed, suite, scenario: None, is_spoiled: false };
        trace::record(path, &run, &cli)
    } else {
        campaign::run_seeds(&cli)
    }
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    match parsed {
        Some(range) if !range.is_empty() => Ok(range),
        _ => Err("a range of seeds looks like 0..500".to_owned()),
    }
}
