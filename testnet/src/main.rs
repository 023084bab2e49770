//! `nym-testnet`: runs an embedded Nym network on the loopback interface.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use core::fmt::Write as _;
use core::time::Duration;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use async_signal::{Signal, Signals};
use clap::{Parser, Subcommand};
use futures_lite::StreamExt as _;
use nym_testnet::loopback::{Loopback, LoopbackConfig};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// An embedded Nym network for tests.
///
/// What is logged to the standard error: `RUST_LOG`, targets and levels. Warnings by default.
#[derive(Parser)]
#[command(name = "nym-testnet", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run gateways, mix nodes and a directory on 127.0.0.1 until interrupted.
    ///
    /// Prints where they listen and the seed, which makes the same keys again. Ports, except that of
    /// the directory, are free ones and differ from run to run. Nothing is kept on disk.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// Number of gateways.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = parse_count)]
    gateways: u16,
    /// Number of mix nodes in each of the three layers.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = parse_count)]
    mixes_per_layer: u16,
    /// 32 bytes in hexadecimal that determine all keys and all randomness. Random by default.
    #[arg(long, value_name = "HEX", value_parser = parse_seed)]
    seed: Option<[u8; 32]>,
    /// Probability with which a mix node drops a packet, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parse_probability,
          allow_negative_numbers = true)]
    loss: f64,
    /// Length of an epoch in seconds; Sphinx keys rotate every 24 epochs.
    #[arg(long, value_name = "N", default_value_t = 3600,
          value_parser = clap::value_parser!(u64).range(1..))]
    epoch_secs: u64,
    /// Port of the directory; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    directory_port: u16,
    /// Print where everything listens as one JSON object on one line.
    #[arg(long)]
    json: bool,
    /// Write the network as a topology file, for clients that do not ask a directory.
    #[arg(long, value_name = "FILE")]
    topology_out: Option<PathBuf>,
}

/// More would not find open files and ports enough on an ordinary system.
const COUNT_MAX: u16 = 1000;

fn main() -> ExitCode {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let targets = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
    let result = match Cli::parse().command {
        Command::Run(run) => run.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            nym_console::note!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Run {
    fn run(self) -> anyhow::Result<()> {
        // before the network starts, so that no interruption is missed
        let mut interruptions = interruptions()?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let network = Loopback::start(LoopbackConfig {
            gateways: self.gateways,
            mixes_per_layer: self.mixes_per_layer,
            seed,
            loss: self.loss,
            epoch_length: Duration::from_secs(self.epoch_secs),
            directory_port: self.directory_port,
            ..LoopbackConfig::default()
        })
        .map_err(|error| self.not_started(&error))?;
        if let Some(path) = &self.topology_out {
            std::fs::write(path, network.topology().to_file())
                .with_context(|| format!("cannot write the topology to {}", path.display()))?;
        }
        let text = if self.json { as_json(&network, &seed) } else { as_text(&network, &seed) };
        // whoever started the network may read no further than this
        nym_console::print(text).context("cannot write to the standard output")?;
        smol::block_on(interruptions.next());
        Ok(())
    }

    fn not_started(&self, error: &std::io::Error) -> anyhow::Error {
        if error.kind() == ErrorKind::AddrInUse && self.directory_port != 0 {
            anyhow!(
                "port {} of 127.0.0.1 is in use; give another --directory-port, or 0 for any free one",
                self.directory_port
            )
        } else {
            anyhow!(
                "the network cannot be started: {error}; it needs two sockets for each gateway and \
                 one for each mix node"
            )
        }
    }
}

fn interruptions() -> anyhow::Result<Signals> {
    #[cfg(unix)]
    let signals = [Signal::Int, Signal::Term];
    #[cfg(not(unix))]
    let signals = [Signal::Int];
    Signals::new(signals).context("cannot watch for interruptions")
}

fn random_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    match getrandom::fill(&mut seed) {
        Ok(()) => Ok(seed),
        Err(error) => bail!("the system gives no randomness ({error}); pass --seed"),
    }
}

fn parse_seed(text: &str) -> Result<[u8; 32], String> {
    let mut seed = [0; 32];
    hex::decode_to_slice(text, &mut seed)
        .map_err(|_| "a seed has 64 hexadecimal digits and nothing else".to_owned())?;
    Ok(seed)
}

fn parse_count(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        _ => Err(format!("a number from 1 to {COUNT_MAX} is expected")),
    }
}

fn parse_probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("a probability is a number from 0 to 1; try 0.05".to_owned()),
    }
}

fn as_json(network: &Loopback, seed: &[u8; 32]) -> String {
    let gateways = network.gateways().into_iter().map(|gateway| {
        serde_json::json!({
            "identity": gateway.identity.to_string(),
            "ws": gateway.ws_url,
            "mix": gateway.mix_address.to_string(),
        })
    });
    let mixes = network.mixes().into_iter().map(|mix| {
        serde_json::json!({
            "layer": mix.layer.number(),
            "identity": mix.identity.to_string(),
            "mix": mix.address.to_string(),
        })
    });
    serde_json::json!({
        "directory": network.directory_url(),
        "gateways": gateways.collect::<Vec<_>>(),
        "mixes": mixes.collect::<Vec<_>>(),
        "seed": hex::encode(seed),
    })
    .to_string()
}

fn as_text(network: &Loopback, seed: &[u8; 32]) -> String {
    let mut text = format!("directory  {}\n", network.directory_url());
    for gateway in network.gateways() {
        // writing to a string does not fail
        let _ = writeln!(
            text,
            "gateway    {}  {}  mix {}",
            gateway.identity, gateway.ws_url, gateway.mix_address
        );
    }
    for mix in network.mixes() {
        let _ = writeln!(text, "layer {}    {}  mix {}", mix.layer, mix.identity, mix.address);
    }
    let _ = write!(text, "seed       {}\nInterrupt to stop.", hex::encode(seed));
    text
}
