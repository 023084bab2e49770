//! `run`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nym_client::server::{Ended, Server};
use nym_client::settings::{Settings, SocketType};
use nym_proto::client::{Config, Fact, GatewayChoice, Shutdown, StopReason};
use nym_proto::identity::{Identity, IdentityKey};
use nym_runtime_smol::{Client, generate_identity};
use nym_store::Profile;
use nym_testnet::loopback::{Loopback, LoopbackConfig};
use serde_json::json;
use smol::future::FutureExt as _;

use super::book::noted;
use super::gateways::registered;
use super::init::create;
use super::lookup::Choice;
use super::place::Place;
use super::signals::Interruptions;
use super::start::{Watch, options, start};
use super::{print, random_seed};
use crate::cli::RunArgs;

/// What a client runs with.
struct Setup {
    settings: Settings,
    config: Config,
    identity: Identity,
    /// `None` on the embedded network.
    kept: Option<(Place, Profile)>,
    network: Option<Loopback>,
}

pub(super) fn run(args: &RunArgs, directory: Option<&str>) -> anyhow::Result<()> {
    args.settings.check()?;
    let setup = if args.testnet { on_testnet(args)? } else { kept(args, directory)? };
    let server = smol::block_on(listen(&setup.settings))?;
    smol::block_on(serve(setup, server, args.output.is_json()))
}

/// A client on an embedded network, which ends with it.
fn on_testnet(args: &RunArgs) -> anyhow::Result<Setup> {
    let network = testnet()?;
    let mut settings = Settings::default();
    args.settings.apply(&mut settings);
    settings.client.nym_api_urls = vec![network.directory_url()];
    let config = settings.config()?;
    let identity = generate_identity()?;
    Ok(Setup { settings, config, identity, kept: None, network: Some(network) })
}

/// Starts a network inside this process, with keys nobody knows.
pub(super) fn testnet() -> anyhow::Result<Loopback> {
    Loopback::start(LoopbackConfig { seed: random_seed()?, ..LoopbackConfig::default() })
        .context("the embedded network could not be started")
}

/// The client of a profile, which is created if it does not exist.
fn kept(args: &RunArgs, directory: Option<&str>) -> anyhow::Result<Setup> {
    let place = Place::new(&args.profile)?;
    let mut settings = place.settings(directory)?;
    args.settings.apply(&mut settings);
    let profile = if Profile::exists(&place.folder) {
        place.open()?
    } else {
        if let Some(gateway) = args.gateway {
            bail!(
                "there is no client {:?} yet; to create it with gateway {gateway}: nym-client init --id {0} --gateway {gateway}",
                place.id
            );
        }
        nym_console::note!(
            "There is no client {:?} yet; creating it in {}.",
            place.id,
            place.folder.display()
        );
        let choice = Choice { given: None, by_latency: false, except: &[] };
        create(&place, &settings, &choice, settings.network.start_timeout.0)?.profile
    };
    let mut config = settings.config()?;
    config.state = profile.state()?;
    config.gateway = gateway(args.gateway, &profile, config.fail_over)?;
    let identity = profile.identity().clone();
    Ok(Setup { settings, config, identity, kept: Some((place, profile)), network: None })
}

/// The active gateway, which is replaced only by a client that may fail over.
fn gateway(
    given: Option<IdentityKey>,
    profile: &Profile,
    fail_over: Option<Duration>,
) -> anyhow::Result<GatewayChoice> {
    if let Some(given) = given {
        if !registered(profile)?.contains(&given) {
            bail!(
                "the client is not registered with gateway {given}; to register, see: nym-client add-gateway --help"
            );
        }
        return Ok(GatewayChoice::Given(given));
    }
    Ok(match profile.active_gateway()? {
        Some(active) if fail_over.is_none() => GatewayChoice::Given(active),
        _ => GatewayChoice::Random,
    })
}

async fn listen(settings: &Settings) -> anyhow::Result<Option<Server>> {
    let server = settings.server().context("the configuration cannot be used")?;
    if settings.socket.socket_type == SocketType::None {
        return Ok(None);
    }
    let address = SocketAddr::new(settings.socket.host, settings.socket.listening_port);
    if !address.ip().is_loopback() && server.access.token.is_none() {
        nym_console::note!(
            "Listening on {address}: whoever can reach it can read and send messages. Set access_token_file."
        );
    }
    let server = Server::bind(address, server).await.with_context(|| {
        format!("cannot listen on {address}; is a client running already? choose another --port")
    })?;
    Ok(Some(server))
}

async fn serve(setup: Setup, server: Option<Server>, is_json: bool) -> anyhow::Result<()> {
    let Setup { settings, config, identity, kept, network } = setup;
    let mut interruptions = Interruptions::watch()?;
    let store = kept.as_ref().map(|(_, profile)| profile.store());
    let options = options(&settings, store)?;
    nym_console::note!("Connecting.");
    let starting = async {
        start(config, identity, &options, settings.network.start_timeout.0).await.map(Some)
    };
    let interrupted = async {
        interruptions.next().await;
        Ok(None)
    };
    let Some(client) = starting.or(interrupted).await? else {
        nym_console::note!("Interrupted.");
        return Ok(());
    };
    note_gateway(&client, kept.as_ref())?;
    announce(&client, server.as_ref(), network.as_ref(), is_json)?;
    let watching = watch(&client, kept.as_ref());
    let working = work(&client, server, &mut interruptions, settings.client.drain_timeout.0);
    let ended = async { Some(working.await) };
    let result = ended.or(async {
        watching.await;
        // the other one says why
        std::future::pending().await
    });
    result.await.unwrap_or(Ok(()))
}

/// Tells what happens, and notes a gateway that has replaced another.
async fn watch(client: &Client, kept: Option<&(Place, Profile)>) {
    let (events, mut watch) = (client.events(), Watch::connected());
    while let Some(fact) = events.next().await {
        watch.tell(&fact);
        if matches!(fact, Fact::Address(_))
            && let Err(error) = note_gateway(client, kept)
        {
            nym_console::note!("The gateway could not be noted: {error:#}.");
        }
    }
}

fn note_gateway(client: &Client, kept: Option<&(Place, Profile)>) -> anyhow::Result<()> {
    let Some((place, _)) = kept else { return Ok(()) };
    noted(place, &client.address().gateway, client.gateway_urls())
}

const ENDED_EARLY: &str = "the client ended early";

/// How serving programs came to its end.
enum End {
    InOrder,
    AtOnce,
    ClientStopped,
}

/// Serves programs until the first interruption, then stops in order; at the second one, at once.
async fn work(
    client: &Client,
    server: Option<Server>,
    interruptions: &mut Interruptions,
    drain: Duration,
) -> anyhow::Result<()> {
    let (stop, stopped) = smol::channel::bounded(1);
    let serving = async {
        let ended = match server {
            Some(server) => server.run(client.clone(), stopped).await,
            None => until_stopped(client, stopped).await,
        };
        match ended {
            Ended::Stopped => End::InOrder,
            Ended::ClientStopped => End::ClientStopped,
        }
    };
    let stopping = async {
        interruptions.next().await;
        nym_console::note!(
            "Stopping; what is queued is sent, for at most {}. Interrupt again to stop at once.",
            humantime::format_duration(drain)
        );
        stop.close();
        let late = async {
            smol::Timer::after(drain).await;
            End::InOrder
        };
        let again = async {
            interruptions.next().await;
            End::AtOnce
        };
        late.or(again).await
    };
    match serving.or(stopping).await {
        End::InOrder => {}
        End::AtOnce => return client.shutdown(Shutdown::Now).await.context(ENDED_EARLY),
        End::ClientStopped => return Err(stop_reason(client)),
    }
    let draining = client.shutdown(Shutdown::Drain(drain));
    let at_once = async {
        interruptions.next().await;
        client.shutdown(Shutdown::Now).await
    };
    draining.or(at_once).await.context(ENDED_EARLY)
}

/// Without a socket there is nobody to take messages.
async fn until_stopped(client: &Client, stopped: smol::channel::Receiver<()>) -> Ended {
    let stop = async {
        let _ = stopped.recv().await;
        Ended::Stopped
    };
    let ended = async {
        while client.recv().await.is_ok() {
            nym_console::note!("A message was thrown away: the socket is disabled.");
        }
        Ended::ClientStopped
    };
    stop.or(ended).await
}

fn stop_reason(client: &Client) -> anyhow::Error {
    match client.stop_reason() {
        Some(reason @ StopReason::NotKept(_)) => {
            anyhow!(reason).context("the client has stopped; is the disk full?")
        }
        Some(reason) => anyhow!(reason).context("the client has stopped"),
        None => anyhow!("the client ended without a reason"),
    }
}

fn announce(
    client: &Client,
    server: Option<&Server>,
    network: Option<&Loopback>,
    is_json: bool,
) -> anyhow::Result<()> {
    let address = client.address();
    let websocket = server.map(|server| format!("ws://{}", server.address()));
    let directory = network.map(Loopback::directory_url);
    if is_json {
        let ready = json!({
            "address": address.to_string(),
            "client_address": address.to_string(),
            "gateway_id": address.gateway.to_string(),
            "websocket": websocket,
            "directory": directory,
        });
        return print(&ready.to_string());
    }
    print(&format!("Address of this client: {address}"))?;
    if let Some(directory) = directory {
        print(&format!(
            "Embedded network: {directory}\n  for a second client: nym-client run --id second --nym-apis {directory} --port 1978"
        ))?;
    }
    match websocket {
        Some(websocket) => print(&format!("Listening on: {websocket}")),
        None => print("The socket is disabled."),
    }
}
