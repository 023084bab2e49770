//! What the program does.

mod book;
mod build_info;
mod doctor;
mod env_file;
mod gateways;
mod import;
mod init;
mod latency;
mod lookup;
mod place;
mod recover;
mod run;
mod show;
mod signals;
mod start;

use anyhow::Context as _;

use crate::cli::{Cli, Command};
use crate::demo;

/// Does what the command line asks for.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let directory = env_file::directory(cli.config_env_file.as_deref())?;
    let directory = directory.as_deref();
    match cli.command {
        Command::Init(args) => init::run(&args, directory),
        Command::Run(args) => run::run(&args, directory),
        Command::ListGateways(args) => gateways::list(&args),
        Command::AddGateway(args) => gateways::add(&args, directory),
        Command::SwitchGateway(args) => gateways::switch(&args),
        Command::Show(args) => show::run(&args),
        Command::ImportIdentity(args) => import::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Doctor(args) => doctor::run(&args, directory),
        Command::Demo(args) => demo::run(&args),
        Command::BuildInfo(args) => build_info::run(&args),
    }
}

/// 32 bytes that nobody knows.
pub(crate) fn random_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("the operating system gives no randomness")?;
    Ok(seed)
}

/// Writes a line to the standard output. Ends the program if nobody reads it.
pub(crate) fn print(line: &str) -> anyhow::Result<()> {
    nym_console::print(line).context("cannot write to the standard output")
}
