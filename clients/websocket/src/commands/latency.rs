//! Choosing a gateway by how far it is. (protocol: client 4.2)
//!
//! Only a few gateways are measured: measuring all would tell all of them that a client starts here. The time
//! a TCP connection takes is measured, and the draw is weighted, so that the choice says little about
//! where the client is.

use std::time::{Duration, Instant};

use anyhow::bail;
use nym_client::settings::Settings;
use nym_proto::entropy::Stream;
use nym_proto::topology::Node;
use nym_shell::net::{Deadline, Edge, Endpoint};

/// Gateways that are measured.
const SAMPLES: usize = 8;
/// A gateway that takes longer is not chosen.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// Shorter times count as this one, so that the nearest is not always chosen.
const LATENCY_MIN: Duration = Duration::from_millis(5);

/// Measures some of the candidates and draws one with a probability in proportion to one over its
/// latency. `None` if there are none.
pub(super) fn choose<'a>(
    candidates: &[&'a Node],
    settings: &Settings,
    edge: &Edge,
    stream: &mut Stream,
) -> anyhow::Result<Option<&'a Node>> {
    let sample = sample(candidates, stream);
    if sample.is_empty() {
        return Ok(None);
    }
    nym_console::note!("Measuring {} gateways.", sample.len());
    let measured: Vec<_> = sample
        .into_iter()
        .filter_map(|node| {
            let urls = node.entry.as_ref()?.urls(settings.tls_policy());
            Some((node, latency(urls.first()?, edge)?.max(LATENCY_MIN)))
        })
        .collect();
    if measured.is_empty() {
        bail!(
            "none of the gateways that were measured could be reached; leave --latency-based-selection away"
        );
    }
    Ok(draw(&measured, stream))
}

fn sample<'a>(candidates: &[&'a Node], stream: &mut Stream) -> Vec<&'a Node> {
    let mut left = candidates.to_vec();
    let mut sample = Vec::new();
    while sample.len() < SAMPLES && !left.is_empty() {
        let index = usize::try_from(stream.below(left.len() as u64)).unwrap_or_default();
        sample.push(left.swap_remove(index));
    }
    sample
}

fn latency(url: &str, edge: &Edge) -> Option<Duration> {
    let endpoint = Endpoint::parse(url).ok()?;
    let started = Instant::now();
    edge.connect(&endpoint, Deadline::after(CONNECT_TIMEOUT)).ok()?;
    Some(started.elapsed())
}

fn draw<'a>(measured: &[(&'a Node, Duration)], stream: &mut Stream) -> Option<&'a Node> {
    const SCALE: u128 = 1_000_000_000_000;
    let weight = |latency: &Duration| {
        u64::try_from(SCALE / latency.as_nanos().max(1)).unwrap_or(u64::MAX / SAMPLES as u64)
    };
    let mut left = stream.below(measured.iter().map(|(_, latency)| weight(latency)).sum());
    for (node, latency) in measured {
        match left.checked_sub(weight(latency)) {
            Some(rest) => left = rest,
            None => return Some(node),
        }
    }
    None
}
