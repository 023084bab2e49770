//! `nym-client`: a Nym mixnet client for programs of any language.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod commands;
mod demo;

use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_log(cli.verbose);
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            nym_console::note!("An error occurred: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to the standard error. `RUST_LOG` (targets and levels) decides what is logged, else the
/// number of `-v`.
fn init_log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::ERROR,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let targets = wanted.unwrap_or_else(|| Targets::new().with_default(level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
}
