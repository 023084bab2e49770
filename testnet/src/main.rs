//! `nym-testnet`: runs an embedded Nym network on the loopback interface.

use core::fmt::Write as _;
use core::time::Duration;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use async_signal::{Signal, Signals};
use clap::{Parser, Subcommand};
use futures_lite::StreamExt as _;
use nym_testnet::loopback::{Loopback, LoopbackConfig};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// An embedded Nym network for tests.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run gateways, mix nodes and a directory on 127.0.0.1 until interrupted.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// Number of gateways.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    gateways: u16,
    /// Number of mix nodes in each of the three layers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    mixes_per_layer: u16,
    /// 32 bytes in hexadecimal that determine all keys and all randomness. Random by default.
    #[arg(long, value_name = "HEX", value_parser = parse_seed)]
    seed: Option<[u8; 32]>,
    /// Probability with which a mix node drops a packet, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = parse_probability)]
    loss: f64,
    /// Length of an epoch in seconds; Sphinx keys rotate every 24 epochs.
    #[arg(long, value_name = "N", default_value_t = 3600,
          value_parser = clap::value_parser!(u64).range(1..))]
    epoch_secs: u64,
    /// Port of the directory; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    directory_port: u16,
    /// Print where everything listens as one JSON object.
    #[arg(long)]
    json: bool,
    /// Write the network as a topology file, for clients that do not ask a directory.
    #[arg(long, value_name = "FILE")]
    topology_out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse().ok());
    let targets = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(targets);
    tracing_subscriber::registry().with(lines).init();
    match Cli::parse().command {
        Command::Run(run) => run.run(),
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
        .context("the network cannot be started")?;
        if let Some(path) = &self.topology_out {
            std::fs::write(path, network.topology().to_file())
                .with_context(|| format!("cannot write the topology to {}", path.display()))?;
        }
        let text = if self.json { as_json(&network, &seed) } else { as_text(&network, &seed) };
        // whoever started the network may read no further than this
        let mut out = std::io::stdout();
        writeln!(out, "{text}").and_then(|()| out.flush()).context("cannot write to stdout")?;
        smol::block_on(interruptions.next());
        Ok(())
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
        .map_err(|_| format!("a seed has 64 hexadecimal digits, this has {}", text.len()))?;
    Ok(seed)
}

fn parse_probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("a probability is a number from 0 to 1".to_owned()),
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
