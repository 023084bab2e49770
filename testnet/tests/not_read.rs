//! The programs of this crate when nobody reads what they print.
#![cfg(feature = "loopback")]

use std::process::{Command, Output, Stdio};

use nym_console::NOT_READ;

const SIM: &str = env!("CARGO_BIN_EXE_nym-sim");
const TESTNET: &str = env!("CARGO_BIN_EXE_nym-testnet");

/// The writing end of a pipe whose reading end has been closed.
fn not_read() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn without_reader(program: &str, line: &str) -> Output {
    let mut command = Command::new(program);
    command.args(line.split_whitespace()).stdout(not_read()).output().unwrap()
}

#[test]
fn a_program_whose_results_nobody_reads_ends_quietly() {
    for (program, line) in [
        (SIM, "--scenario list"),
        (SIM, "--scenario list --json"),
        (SIM, "--seeds 0..3 --trace-hash --jobs 2"),
        (SIM, "--seed 1 --show"),
        (TESTNET, "run"),
        (TESTNET, "run --json"),
    ] {
        let output = without_reader(program, line);
        assert_eq!(output.status.code(), Some(NOT_READ.into()), "{line}: {output:?}");
        assert!(output.stderr.is_empty(), "{line}: {output:?}");
    }
}

#[test]
fn help_nobody_reads_is_no_error() {
    for program in [SIM, TESTNET] {
        let output = without_reader(program, "--help");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_program_whose_errors_nobody_reads_has_its_usual_status() {
    for (program, line, status) in [
        (SIM, "--scenario nonesuch", 2),
        (SIM, "--replay /no/such/file", 1),
        (TESTNET, "run --topology-out /no/such/folder/file", 1),
    ] {
        let mut command = Command::new(program);
        let output = command.args(line.split_whitespace()).stderr(not_read()).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{line}");
    }
}
