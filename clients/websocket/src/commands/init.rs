//! `init`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use nym_client::settings::{self, Settings};
use nym_proto::client::{Config, GatewayChoice, Shutdown, State};
use nym_proto::identity::{Identity, IdentityKey};
use nym_runtime_smol::{Client, generate_identity};
use nym_shell::net::Edge;
use nym_store::Profile;
use serde_json::json;

use super::book::{Book, Entry, noted};
use super::lookup::{Choice, choose, topology};
use super::place::Place;
use super::print;
use super::start::{options, start};
use crate::cli::InitArgs;

/// How long the directory and the gateway may take. Who asks for an identity waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(args: &InitArgs, directory: Option<&str>) -> anyhow::Result<()> {
    args.settings.check()?;
    let place = Place::new(&args.profile)?;
    refuse_existing(&place)?;
    let mut settings = place.settings(directory)?;
    args.settings.apply(&mut settings);
    args.gateway.apply(&mut settings);
    settings.server().context("the configuration cannot be used")?;
    let choice = Choice {
        given: args.gateway_id,
        by_latency: args.gateway.latency_based_selection,
        except: &[],
    };
    let created = create(&place, &settings, &choice, PATIENCE)?;
    settings::write(&place.config_file, &settings)?;
    report(&place, &settings, &created, args.output.is_json())
}

fn refuse_existing(place: &Place) -> anyhow::Result<()> {
    if Profile::exists(&place.folder) || place.config_file.exists() {
        bail!(
            "client {:?} exists already in {}; nothing was changed; choose another --id, or use it with: nym-client run --id {0}",
            place.id,
            place.folder.display()
        );
    }
    Ok(())
}

/// A client that was created.
pub(super) struct Created {
    pub(super) profile: Profile,
    gateway: IdentityKey,
    urls: Vec<String>,
    address: String,
}

/// Creates an identity, registers with a gateway, and only then keeps it: what fails leaves nothing behind.
pub(super) fn create(
    place: &Place,
    settings: &Settings,
    choice: &Choice<'_>,
    patience: Duration,
) -> anyhow::Result<Created> {
    let identity = generate_identity()?;
    let mut config = settings.config()?;
    nym_console::note!("Looking for the network.");
    let edge = Edge::new(&settings.net()?)?;
    let topology = topology(&config, &edge, patience)?;
    let gateway = choose(&topology, &config, settings, &edge, choice)?;
    nym_console::note!("Registering with gateway {gateway}.");
    config.gateway = GatewayChoice::Given(gateway);
    let registered = smol::block_on(register(config, &identity, settings, patience))?;
    let profile = Profile::create_with(&place.folder, &identity, &registered.state, Some(gateway))?;
    noted(place, &gateway, registered.urls.clone())?;
    let Registered { urls, address, .. } = registered;
    Ok(Created { profile, gateway, urls, address })
}

struct Registered {
    state: State,
    urls: Vec<String>,
    address: String,
}

/// Connects once, which registers.
async fn register(
    config: Config,
    identity: &Identity,
    settings: &Settings,
    patience: Duration,
) -> anyhow::Result<Registered> {
    let client = start(config, identity.clone(), &options(settings, None)?, patience).await?;
    let Some(state) = client.state() else {
        bail!("the client keeps its state elsewhere");
    };
    let (urls, address) = (client.gateway_urls(), client.address().to_string());
    end(client).await;
    Ok(Registered { state, urls, address })
}

/// Stops a client that has nothing to send.
pub(super) async fn end(client: Client) {
    // an error means that it has stopped already
    let _ = client.shutdown(Shutdown::Now).await;
}

fn report(
    place: &Place,
    settings: &Settings,
    created: &Created,
    is_json: bool,
) -> anyhow::Result<()> {
    let Created { profile, gateway, urls, address } = created;
    let identity = profile.identity();
    let (identity, encryption) = (identity.identity.public(), identity.encryption.public());
    let port = settings.socket.listening_port;
    let version = env!("CARGO_PKG_VERSION");
    let registration = Book::open(place).get(gateway).map(Entry::registration);
    let listener = urls.first();
    if is_json {
        let result = json!({
            "version": version,
            "id": place.id,
            "identity_key": identity.to_string(),
            "encryption_key": encryption.to_string(),
            "gateway_id": gateway.to_string(),
            "gateway_listener": listener,
            "fallback_listener": urls.get(1),
            "gateway_registration": registration,
            "address": address,
            "client_listening_port": port,
            "client_address": address,
        });
        return print(&result.to_string());
    }
    print(&format!(
        "Version: {version}\nID: {}\nIdentity key: {identity}\nEncryption: {encryption}\nGateway ID: {gateway}\n\
         Gateway: {}\nRegistered at: {}\nClient listening port: {port}\nAddress of this client: {address}",
        place.id,
        listener.map_or("-", String::as_str),
        registration.unwrap_or_default(),
    ))
}
