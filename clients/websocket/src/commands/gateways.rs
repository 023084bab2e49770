//! `list-gateways`, `add-gateway` and `switch-gateway`.

use anyhow::{Context as _, bail};
use nym_proto::client::{Change, GatewayChoice, Registration, State};
use nym_proto::identity::IdentityKey;
use nym_shell::Store as _;
use nym_shell::net::Edge;
use nym_store::Profile;
use serde_json::{Value, json};

use super::book::{Book, Entry, noted};
use super::init::{PATIENCE, end};
use super::lookup::{Choice, choose, topology};
use super::place::Place;
use super::print;
use super::start::{options, start};
use crate::cli::{AddGatewayArgs, ListGatewaysArgs, SwitchGatewayArgs};

pub(super) fn list(args: &ListGatewaysArgs) -> anyhow::Result<()> {
    let place = Place::new(&args.profile)?;
    let profile = place.open()?;
    let (book, active) = (Book::open(&place), profile.active_gateway()?);
    let gateways = registered(&profile)?;
    if args.output.is_json() {
        let entries = gateways.iter().map(|gateway| as_json(gateway, &book, active));
        return print(&Value::from_iter(entries).to_string());
    }
    if gateways.is_empty() {
        return print("The client is registered with no gateway yet.");
    }
    for gateway in &gateways {
        let entry = book.get(gateway).cloned().unwrap_or_default();
        let mark = if active == Some(*gateway) { "active" } else { "-" };
        let urls = if entry.urls.is_empty() { "-".to_owned() } else { entry.urls.join(", ") };
        print(&format!("{gateway}  {mark:6}  registered {}  {urls}", entry.registration()))?;
    }
    Ok(())
}

fn as_json(gateway: &IdentityKey, book: &Book, active: Option<IdentityKey>) -> Value {
    let entry = book.get(gateway);
    let url = |index: usize| entry.and_then(|entry| entry.urls.get(index));
    json!({
        "registration": entry.map(Entry::registration),
        "identity": gateway.to_string(),
        "active": active == Some(*gateway),
        "typ": "remote",
        "endpoint": url(0),
        "fallback_endpoint": url(1),
    })
}

pub(super) fn registered(profile: &Profile) -> anyhow::Result<Vec<IdentityKey>> {
    Ok(profile.registrations()?.iter().map(|registration| registration.gateway).collect())
}

pub(super) fn add(args: &AddGatewayArgs, directory: Option<&str>) -> anyhow::Result<()> {
    let place = Place::new(&args.profile)?;
    let profile = place.open()?;
    let mut settings = place.settings(directory)?;
    args.network.apply(&mut settings);
    args.gateway.apply(&mut settings);
    let known = registered(&profile)?;
    if let Some(gateway) = args.gateway_id.filter(|gateway| known.contains(gateway)) {
        bail!(
            "the client is registered with gateway {gateway} already; to use it: nym-client switch-gateway --id {} --gateway-id {gateway}",
            place.id
        );
    }
    let mut config = settings.config()?;
    nym_console::note!("Looking for the network.");
    let edge = Edge::new(&settings.net()?)?;
    let topology = topology(&config, &edge, PATIENCE)?;
    let choice = Choice {
        given: args.gateway_id,
        by_latency: args.gateway.latency_based_selection,
        except: &known,
    };
    let gateway = choose(&topology, &config, &settings, &edge, &choice)?;
    nym_console::note!("Registering with gateway {gateway}.");
    let active = profile.active_gateway()?;
    config.gateway = GatewayChoice::Given(gateway);
    // without the conversations, which have nothing to do there unless the gateway becomes active
    let identity = profile.identity().clone();
    let (registration, urls) = smol::block_on(async {
        let client = start(config, identity, &options(&settings, None)?, PATIENCE).await?;
        let (registration, urls) = (client.registration(), client.gateway_urls());
        end(client).await;
        anyhow::Ok((registration.context("the gateway gave no registration")?, urls))
    })?;
    keep(&profile, registration)?;
    noted(&place, &gateway, urls)?;
    match active {
        Some(active) if !args.set_active => profile.set_active_gateway(&active)?,
        _ => profile.set_active_gateway(&gateway)?,
    }
    let active = profile.active_gateway()?;
    if args.output.is_json() {
        return print(&as_json(&gateway, &Book::open(&place), active).to_string());
    }
    let use_of_it = if active == Some(gateway) {
        "It is used from now on: the address of the client has changed."
    } else {
        "The client goes on with the one it had."
    };
    print(&format!("Registered with gateway {gateway}. {use_of_it}"))
}

fn keep(profile: &Profile, registration: Registration) -> anyhow::Result<()> {
    let entries = State::from(registration).to_store();
    let changes: Vec<_> =
        entries.iter().map(|(key, value)| Change::put(key, value.to_vec())).collect();
    profile.store().apply(&changes).context("the registration cannot be kept")
}

pub(super) fn switch(args: &SwitchGatewayArgs) -> anyhow::Result<()> {
    let place = Place::new(&args.profile)?;
    let profile = place.open()?;
    let gateway = args.gateway_id;
    if !registered(&profile)?.contains(&gateway) {
        bail!(
            "the client is not registered with gateway {gateway}; to register: nym-client add-gateway --id {} --gateway-id {gateway}",
            place.id
        );
    }
    profile.set_active_gateway(&gateway)?;
    print(&format!("The client uses gateway {gateway} from now on. Its address changes with it."))
}
