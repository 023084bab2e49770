//! `show`.

use std::net::SocketAddr;

use nym_proto::address::Recipient;
use serde_json::json;

use super::place::Place;
use super::print;
use crate::cli::ShowArgs;

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<()> {
    let place = Place::new(&args.profile)?;
    let settings = place.settings(None)?;
    if args.effective {
        return if args.output.is_json() {
            print(&serde_json::to_string(&settings)?)
        } else {
            print(settings.effective().trim_end())
        };
    }
    let profile = place.open()?;
    let identity = profile.identity();
    let gateway = profile.active_gateway()?;
    let address = gateway.map(|gateway| {
        let (identity, encryption) = (*identity.identity.public(), identity.encryption.public());
        Recipient { identity, encryption, gateway }.to_string()
    });
    let (folder, config) = (place.folder.display(), place.config_file.display());
    let socket = SocketAddr::new(settings.socket.host, settings.socket.listening_port);
    let websocket = format!("ws://{socket}");
    if args.output.is_json() {
        let shown = json!({
            "id": place.id,
            "folder": folder.to_string(),
            "config": config.to_string(),
            "identity_key": identity.identity.public().to_string(),
            "encryption_key": identity.encryption.public().to_string(),
            "gateway_id": gateway.map(|gateway| gateway.to_string()),
            "address": address,
            "websocket": websocket,
        });
        return print(&shown.to_string());
    }
    let unknown = || "none yet; it comes with the first gateway".to_owned();
    print(&format!(
        "ID: {}\nFolder: {folder}\nConfiguration: {config}\nIdentity key: {}\nEncryption: {}\n\
         Gateway ID: {}\nWebsocket: {websocket}\nAddress of this client: {}",
        place.id,
        identity.identity.public(),
        identity.encryption.public(),
        gateway.map_or_else(unknown, |gateway| gateway.to_string()),
        address.unwrap_or_else(unknown),
    ))
}
