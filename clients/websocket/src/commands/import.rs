//! `import-identity`.

use std::path::Path;

use anyhow::Context as _;
use nym_client::settings::{self, Settings};
use nym_store::upstream;
use serde_json::json;
use toml::Table;

use super::place::Place;
use super::print;
use crate::cli::ImportIdentityArgs;

pub(super) fn run(args: &ImportIdentityArgs) -> anyhow::Result<()> {
    let place = Place::new(&args.profile)?;
    let (_profile, report) = upstream::import(&args.from, &place.folder)
        .with_context(|| format!("{} cannot be taken over", args.from.display()))?;
    let imported = settings_of(&args.from);
    if let Some(settings) = &imported
        && !place.config_file.exists()
    {
        settings::write(&place.config_file, settings)?;
    }
    let gateway = report.active_gateway.map(|gateway| gateway.to_string());
    if args.output.is_json() {
        let result = json!({
            "id": place.id,
            "gateway_id": gateway,
            "registrations": report.registrations,
            "registrations_left": report.registrations_left,
            "surbs": report.surbs,
            "surbs_left": report.surbs_left,
            "tags": report.tags,
            "tags_left": report.tags_left,
            "reply_keys_left": report.reply_keys_left,
            "conversations_error": report.replies_left,
            "configuration": imported.is_some(),
        });
        return print(&result.to_string());
    }
    print(&format!(
        "Identity: taken over as client {:?}\nGateways: {} taken over, {} left\nActive gateway: {}\n\
         SURBs of correspondents: {} taken over, {} left\nTags towards recipients: {} taken over, {} left\n\
         Keys of SURBs given out: {} left; answers that still come through these cannot be read\n\
         Configuration: {}",
        place.id,
        report.registrations,
        report.registrations_left,
        gateway.as_deref().unwrap_or("none; one is chosen at the first start"),
        report.surbs,
        report.surbs_left,
        report.tags,
        report.tags_left,
        report.reply_keys_left,
        if imported.is_some() { "port, host and directories taken over" } else { "the defaults" },
    ))?;
    if let Some(error) = report.replies_left {
        nym_console::note!("The conversations could not be read: {error}.");
    }
    nym_console::note!(
        "Do not start the other client again with this identity: each would take messages of the other."
    );
    Ok(())
}

/// What is taken over of the configuration: where the client listens and which directories it asks.
fn settings_of(folder: &Path) -> Option<Settings> {
    let text = std::fs::read_to_string(folder.join("config").join("config.toml")).ok()?;
    let table: Table = text.parse().ok()?;
    let mut settings = Settings::default();
    let section = |name: &str| table.get(name).and_then(|section| section.as_table());
    if let Some(socket) = section("socket") {
        let port = socket.get("listening_port").and_then(|port| port.as_integer());
        if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
            settings.socket.listening_port = port;
        }
        let host = socket.get("host").and_then(|host| host.as_str());
        if let Some(host) = host.and_then(|host| host.parse().ok()) {
            settings.socket.host = host;
        }
    }
    let urls = section("client").and_then(|client| client.get("nym_api_urls")?.as_array());
    let urls: Vec<_> =
        urls.into_iter().flatten().filter_map(|url| url.as_str().map(str::to_owned)).collect();
    if !urls.is_empty() {
        settings.client.nym_api_urls = urls;
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_listens_and_whom_it_asks_is_taken_over() {
        let folder = std::env::temp_dir().join(format!("nym-client-import-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("config")).unwrap();
        let text = "[client]\nversion = '1.1.76'\nid = 'a'\nnym_api_urls = ['http://a/api/']\n\
             [socket]\nsocket_type = 'WebSocket'\nlistening_port = 2001\nhost = '127.0.0.2'\n[debug.traffic]\naverage_packet_delay = '15ms'\n";
        std::fs::write(folder.join("config/config.toml"), text).unwrap();
        let settings = settings_of(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(settings.socket.listening_port, 2001);
        assert_eq!(settings.socket.host.to_string(), "127.0.0.2");
        assert_eq!(settings.client.nym_api_urls, ["http://a/api/"]);
        assert!(settings_of(&folder).is_none());
    }
}
