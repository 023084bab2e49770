//! `doctor`: whether the mixnet can be used, step by step.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use nym_client::settings::Settings;
use nym_proto::client::{
    Config, DeliveryOrigin, Fact, GatewayChoice, Network, Outcome, Stats, Traffic,
};
use nym_proto::identity::IdentityKey;
use nym_proto::topology::Topology;
use nym_runtime_smol::{Client, Starting, generate_identity};
use nym_shell::net::{Deadline, Edge, Endpoint};
use nym_store::{Profile, StoreError};
use smol::future::FutureExt as _;

use self::report::Report;
use super::init::end;
use super::lookup::{self, Choice, choose};
use super::place::Place;
use super::run::testnet;
use super::start::options;
use crate::cli::DoctorArgs;

/// How long the directory and the gateway may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long something may take to come back through the mixnet. A lost packet is sent again after some
/// seconds.
const MIXNET_PATIENCE: Duration = Duration::from_secs(60);
/// How often a counter is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The steps that need a client.
const CLIENT_STEPS: [&str; 5] =
    ["authentication", "cover", "ack", "message to self", "reply through a SURB"];

pub(super) fn run(args: &DoctorArgs, directory: Option<&str>) -> anyhow::Result<()> {
    let mut report = Report::new(args.output.is_json());
    let network = if args.testnet { Some(testnet()?) } else { None };
    let url = network.as_ref().map(|network| network.directory_url());
    examine(args, directory, url, &mut report)?;
    report.finish()?;
    if report.is_good() { Ok(()) } else { bail!("a step failed") }
}

/// What is examined.
struct Patient {
    settings: Settings,
    config: Config,
    /// The gateway of the profile, if there is one.
    gateway: Option<IdentityKey>,
}

fn examine(
    args: &DoctorArgs,
    directory: Option<&str>,
    testnet: Option<String>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let found = configuration(args, directory, testnet);
    let remedy =
        "Mend what is named; `nym-client show --effective` prints the whole configuration.";
    let Some(mut patient) = report.note("configuration", started, found, remedy)? else {
        return skip(report, &["directory", "gateway"]);
    };
    let started = Instant::now();
    let found = topology(&patient);
    let remedy = "Check the network connection, a proxy, the clock, and the URL in nym_api_urls.";
    let Some((edge, topology)) = report.note("directory", started, found, remedy)? else {
        return skip(report, &["gateway"]);
    };
    let started = Instant::now();
    let found = gateway(&mut patient, &edge, &topology);
    let remedy = "It may be down: wait, or use another one (nym-client add-gateway). A firewall may block its port.";
    if report.note("gateway", started, found, remedy)?.is_none() {
        return skip(report, &[]);
    }
    smol::block_on(with_client(patient, report))
}

fn skip(report: &mut Report, further: &[&'static str]) -> anyhow::Result<()> {
    further.iter().chain(&CLIENT_STEPS).try_for_each(|name| report.skip(name))
}

fn configuration(
    args: &DoctorArgs,
    directory: Option<&str>,
    testnet: Option<String>,
) -> anyhow::Result<(Patient, String)> {
    let place = Place::new(&args.profile)?;
    let is_testnet = testnet.is_some();
    let mut settings = if is_testnet { Settings::default() } else { place.settings(directory)? };
    args.network.apply(&mut settings);
    if let Some(url) = testnet {
        settings.client.nym_api_urls = vec![url];
    }
    settings.server()?;
    let mut config = settings.config()?;
    // what is examined is the network, not what the client makes of it
    config.traffic = Traffic::default();
    let (gateway, what) = match Profile::open(&place.folder) {
        _ if is_testnet => (None, "the embedded network".to_owned()),
        Ok(profile) => (profile.active_gateway()?, format!("client {:?} is whole", place.id)),
        Err(StoreError::NotFound(_)) => (None, "there is no client yet".to_owned()),
        Err(StoreError::InUse { .. }) => (None, format!("client {:?} is running", place.id)),
        Err(error) => return Err(error.into()),
    };
    Ok((Patient { settings, config, gateway }, what))
}

fn topology(patient: &Patient) -> anyhow::Result<((Edge, Arc<Topology>), String)> {
    let edge = Edge::new(&patient.settings.net()?)?;
    let topology = lookup::topology(&patient.config, &edge, PATIENCE)?;
    let (nodes, gateways) = (topology.nodes().len(), topology.gateways().count());
    let source = match &patient.config.network {
        Network::Fixed(_) => "the topology file",
        Network::Directory(_) => "the directory",
    };
    let epoch = topology.epoch();
    let what = format!("{source} lists {nodes} nodes, {gateways} of them gateways, epoch {epoch}");
    Ok(((edge, topology), what))
}

/// Chooses the gateway and sees whether it can be reached at all.
fn gateway(
    patient: &mut Patient,
    edge: &Edge,
    topology: &Topology,
) -> anyhow::Result<((), String)> {
    let settings = &patient.settings;
    let choice = Choice { given: patient.gateway, by_latency: false, except: &[] };
    let gateway = choose(topology, &patient.config, settings, edge, &choice)?;
    patient.config.gateway = GatewayChoice::Given(gateway);
    let node = topology.node_by_identity(&gateway).context("the gateway is not listed")?;
    let urls = node.entry.as_ref().map(|entry| entry.urls(settings.tls_policy()));
    let url = urls.as_ref().and_then(|urls| urls.first()).context("it has no listener")?;
    let deadline = Deadline::after(settings.network.dial_timeout.0);
    edge.connect(&Endpoint::parse(url)?, deadline)
        .with_context(|| format!("gateway {gateway}, {url}"))?;
    Ok(((), format!("gateway {gateway} answers at {url}")))
}

async fn with_client(patient: Patient, report: &mut Report) -> anyhow::Result<()> {
    let started = Instant::now();
    let found = connect(patient).await;
    let remedy = "The gateway may be overloaded, or of a version this client does not speak: try another one.";
    let Some(client) = report.note(CLIENT_STEPS[0], started, found, remedy)? else {
        return CLIENT_STEPS[1..].iter().try_for_each(|name| report.skip(name));
    };
    let examined = through_the_mixnet(&client, report).await;
    end(client).await;
    examined
}

async fn connect(patient: Patient) -> anyhow::Result<(Client, String)> {
    let identity = generate_identity()?;
    let options = options(&patient.settings, None)?;
    let starting = nym_runtime_smol::start(patient.config, identity, &options).await?;
    let failure = async { Err(first_failure(&starting).await) };
    let ready = async { Ok(starting.ready().await?) };
    let client: Client = ready.or(failure).or(late(PATIENCE)).await?;
    Ok((client, "the gateway has registered and accepted a new identity".to_owned()))
}

/// The first thing that goes wrong. A doctor does not try again.
async fn first_failure(starting: &Starting) -> anyhow::Error {
    let events = starting.events();
    while let Some(fact) = events.next().await {
        match fact {
            Fact::ConnectionFailed { failure, .. } => return anyhow!(failure),
            Fact::GatewayError(text) => return anyhow!("the gateway reports: {text:?}"),
            _ => {}
        }
    }
    anyhow!("the client ended early")
}

async fn through_the_mixnet(client: &Client, report: &mut Report) -> anyhow::Result<()> {
    let lost = "Packets are lost on the way: mix nodes may be down. Waiting an hour for the next epoch may help.";
    let [_, cover, ack, message, reply] = CLIENT_STEPS;
    for (name, what, count) in [
        (cover, "a cover packet came back to this client", cover_received as fn(&Stats) -> u64),
        (ack, "an ack of a packet of this client came back", acks_received),
    ] {
        let started = Instant::now();
        let found = grows(client, count).await.map(|()| ((), what.to_owned()));
        report.note(name, started, found, lost)?;
    }
    let started = Instant::now();
    let found = to_myself(client).or(late(MIXNET_PATIENCE)).await;
    report.note(message, started, found, lost)?;
    let started = Instant::now();
    let found = through_a_surb(client).or(late(MIXNET_PATIENCE)).await;
    report.note(reply, started, found, lost)?;
    Ok(())
}

fn cover_received(stats: &Stats) -> u64 {
    stats.cover_received
}

fn acks_received(stats: &Stats) -> u64 {
    stats.cover_acks_received + stats.acks_received
}

/// Waits until a counter is no longer zero.
async fn grows(client: &Client, count: fn(&Stats) -> u64) -> anyhow::Result<()> {
    let grown = async {
        while count(&client.stats()) == 0 {
            smol::Timer::after(LOOK).await;
        }
        Ok(())
    };
    grown.or(late(MIXNET_PATIENCE)).await
}

async fn late<T>(patience: Duration) -> anyhow::Result<T> {
    smol::Timer::after(patience).await;
    Err(anyhow!("nothing within {} s", patience.as_secs()))
}

const MESSAGE: &[u8] = b"a message to myself";
const ANSWER: &[u8] = b"an answer to myself";

async fn to_myself(client: &Client) -> anyhow::Result<((), String)> {
    let receipt = client.send(client.address(), MESSAGE).await?;
    let message = client.recv().await?;
    if message.data != MESSAGE {
        bail!("another message arrived than the one that was sent");
    }
    match receipt.outcome().await? {
        Outcome::Acknowledged { took, retransmissions, .. } => {
            let millis = took.as_millis();
            Ok((
                (),
                format!(
                    "arrived, acknowledged after {millis} ms, {retransmissions} packets were repeated"
                ),
            ))
        }
        other => Err(anyhow!("it arrived but was not acknowledged: {other:?}")),
    }
}

async fn through_a_surb(client: &Client) -> anyhow::Result<((), String)> {
    /// As many as are usual.
    const SURBS: u16 = 10;
    client.send_anonymous(client.address(), SURBS, MESSAGE).await?;
    let message = client.recv().await?;
    let DeliveryOrigin::Anonymous(tag) = message.origin else {
        bail!("the message came without a sender tag");
    };
    client.reply(tag, ANSWER).await?;
    let answer = client.recv().await?;
    if answer.data != ANSWER || !matches!(answer.origin, DeliveryOrigin::Reply(_)) {
        bail!("another message arrived than the answer");
    }
    Ok(((), "an anonymous message arrived, and so did the answer to it".to_owned()))
}
