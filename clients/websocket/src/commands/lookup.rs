//! A look at the directory before there is a client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nym_client::settings::Settings;
use nym_proto::client::{Config, DirectoryLookup, LookupStep, Network};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::IdentityKey;
use nym_proto::topology::{Node, Topology};
use nym_shell::Clock;
use nym_shell::net::Edge;

use super::{latency, random_seed};

/// The network as it is now. Blocks.
pub(super) fn topology(
    config: &Config,
    edge: &Edge,
    patience: Duration,
) -> anyhow::Result<Arc<Topology>> {
    let bases = match &config.network {
        Network::Fixed(topology) => return Ok(Arc::clone(topology)),
        Network::Directory(bases) => bases.clone(),
    };
    let (clock, fetcher) = (Clock::start(), edge.fetcher());
    let until = Instant::now() + patience;
    let mut lookup =
        DirectoryLookup::new(bases, config.min_performance, random_seed()?, clock.now())?;
    let mut failure = None;
    loop {
        while let Some(step) = lookup.poll() {
            match step {
                LookupStep::Fetch { fetch, url } => {
                    let result = fetcher.get(&url);
                    lookup.fetched(clock.now(), Clock::unix_time(), fetch, result);
                }
                LookupStep::Failed { reason } => {
                    if failure.as_ref() != Some(&reason) {
                        nym_console::note!("The directory is of no use: {reason}. Trying again.");
                    }
                    failure = Some(reason);
                }
                LookupStep::Found(topology) => return Ok(topology),
                _ => {}
            }
        }
        let next = lookup.next_deadline().and_then(|at| clock.platform(at)).unwrap_or(until);
        if next >= until {
            let failure = failure.unwrap_or_else(|| "no answer".to_owned());
            bail!("the directory is of no use: {failure}; give another one with --nym-apis");
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        lookup.tick(clock.now());
    }
}

/// How a gateway is to be chosen.
pub(super) struct Choice<'a> {
    pub(super) given: Option<IdentityKey>,
    pub(super) by_latency: bool,
    /// Not these.
    pub(super) except: &'a [IdentityKey],
}

/// Chooses a gateway.
pub(super) fn choose(
    topology: &Topology,
    config: &Config,
    settings: &Settings,
    edge: &Edge,
    choice: &Choice<'_>,
) -> anyhow::Result<IdentityKey> {
    let candidates = topology.candidates(config.min_performance.gateway, settings.tls_policy());
    if let Some(given) = choice.given {
        if candidates.iter().any(|node| node.identity == given) {
            return Ok(given);
        }
        bail!("{}", not_usable(topology, settings, &given));
    }
    let free: Vec<&Node> =
        candidates.into_iter().filter(|node| !choice.except.contains(&node.identity)).collect();
    let mut stream = Entropy::new(random_seed()?).stream(Purpose::Link);
    let chosen = if choice.by_latency {
        latency::choose(&free, settings, edge, &mut stream)?
    } else {
        let index = stream.below(free.len() as u64);
        usize::try_from(index).ok().and_then(|index| free.get(index)).copied()
    };
    chosen.map(|node| node.identity).context(
        "the network lists no gateway that performs well enough and listens as asked for; \
         lower --minimum-gateway-performance, or leave --force-tls-gateway away",
    )
}

/// Why a gateway that was asked for cannot be used.
fn not_usable(topology: &Topology, settings: &Settings, gateway: &IdentityKey) -> String {
    match topology.node_by_identity(gateway) {
        None => format!(
            "gateway {gateway} is not in the network's list; check the key, or wait until it is listed again"
        ),
        Some(node) if !node.roles.entry => format!("node {gateway} is no gateway for clients"),
        Some(node) if settings.client.force_tls_gateway && node.entry.is_some() => {
            format!("gateway {gateway} has no TLS, and --force-tls-gateway asks for it")
        }
        Some(node) => format!(
            "gateway {gateway} performs at {} %, and at least {} % are asked for; lower --minimum-gateway-performance",
            node.performance, settings.debug.topology.minimum_gateway_performance
        ),
    }
}
