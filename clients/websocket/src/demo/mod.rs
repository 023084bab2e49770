//! `nym-client demo`: two people talk through a mixnet that runs inside this process.

mod bob;
mod conversation;
mod report;
mod screen;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nym_proto::client::{Config, GatewayChoice, Network, Traffic};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_testnet::loopback::{Loopback, LoopbackConfig};

use self::conversation::Figures;
use self::report::Report;
use self::screen::Screen;
use crate::cli::DemoArgs;
use crate::commands::{print, random_seed};

/// Streams of the demo's own randomness.
const NETWORK_SEED: Purpose = Purpose::Other(1);
const ALICE_SEED: Purpose = Purpose::Other(2);
const BOB_SEED: Purpose = Purpose::Other(3);
const FILE: Purpose = Purpose::Other(4);

/// Without loss everything must be over after this, and ...
const PATIENCE: Duration = Duration::from_secs(60);
/// ... a second more for so many bytes of the file: a quarter of what the main stream carries.
const BYTES_PER_SECOND: u64 = 20_000;
/// Mix nodes between a transmission and its ack.
const HOPS_THERE_AND_BACK: i32 = 6;
/// Longest wait for an ack where mix nodes drop packets at random. The usual one makes room on a
/// crowded way; here a longer wait would only make the demo longer.
const ACK_WAIT_WITH_LOSS: Duration = Duration::from_secs(2);

/// Runs the demo and prints its report. Fails if anything did not arrive intact.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => random_seed()?,
    };
    let entropy = Entropy::new(seed);
    let screen = Screen::new(args.json);
    let started = Instant::now();
    let network = start_network(args, &entropy)?;
    screen.network(&network)?;
    let deadline = started + patience(args);
    let parts = conversation::Parts {
        alice: Party::new(args, &entropy, ALICE_SEED, &network, 0)?,
        bob: Party::new(args, &entropy, BOB_SEED, &network, 1)?,
        file: file(args.size, &entropy),
        deadline,
    };
    let mut figures = Figures::default();
    let result = conversation::run(parts, &screen, &mut figures);
    let elapsed = started.elapsed();
    let report = Report { figures, seed, file_size: args.size, elapsed, network: network.stats() };
    let printed =
        if args.json { print(&report.to_json().to_string()) } else { screen.summary(&report) };
    result?;
    printed?;
    match report.failure() {
        Some(failure) => bail!(failure),
        None => Ok(()),
    }
}

/// What one of the two starts with.
pub(crate) struct Party {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) seed: [u8; 32],
}

impl Party {
    fn new(
        args: &DemoArgs,
        entropy: &Entropy,
        purpose: Purpose,
        network: &Loopback,
        gateway: usize,
    ) -> anyhow::Result<Self> {
        let mut stream = entropy.stream(purpose);
        let gateways = network.gateways();
        let gateway = gateways.get(gateway).context("the network has too few gateways")?.identity;
        let mut config = Config::new(Network::Directory(vec![network.directory_url()]));
        config.gateway = GatewayChoice::Given(gateway);
        if args.loss > 0.0 {
            config.acks.wait_max = ACK_WAIT_WITH_LOSS;
        }
        if args.no_cover {
            config.traffic = Traffic::on_demand();
        }
        Ok(Self { config, identity: Identity::generate(&mut stream), seed: stream.bytes() })
    }
}

/// How long the demo may take: in proportion to the transmissions a packet needs on average.
fn patience(args: &DemoArgs) -> Duration {
    let transmissions = (1.0 - args.loss).powi(-HOPS_THERE_AND_BACK);
    (PATIENCE + Duration::from_secs(args.size / BYTES_PER_SECOND)).mul_f64(transmissions)
}

fn start_network(args: &DemoArgs, entropy: &Entropy) -> anyhow::Result<Loopback> {
    let seed = entropy.stream(NETWORK_SEED).bytes();
    let config = LoopbackConfig { seed, loss: args.loss, ..LoopbackConfig::default() };
    Loopback::start(config).context("the embedded network could not be started")
}

fn file(size: u64, entropy: &Entropy) -> Vec<u8> {
    let mut file = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    entropy.stream(FILE).fill(&mut file);
    file
}
