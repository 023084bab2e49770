//! What is worth knowing about the gateways a client is registered with: nothing secret, and nothing
//! the client needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use nym_proto::identity::IdentityKey;
use nym_shell::Clock;
use serde::{Deserialize, Serialize};

use super::place::Place;

/// A gateway as it is noted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When the client registered, in seconds since the Unix epoch.
    pub(crate) registered_at: u64,
    /// Where the gateway listens, best first.
    pub(crate) urls: Vec<String>,
}

impl Entry {
    /// As of now.
    pub(crate) fn now(urls: Vec<String>) -> Self {
        Self { registered_at: Clock::unix_time().as_secs(), urls }
    }

    /// When the client registered, as RFC 3339 has it.
    pub(crate) fn registration(&self) -> String {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(self.registered_at);
        humantime::format_rfc3339_seconds(at).to_string()
    }
}

/// The file with all entries.
pub(crate) struct Book {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

impl Book {
    /// Reads the file. One that cannot be read counts as empty.
    pub(crate) fn open(place: &Place) -> Self {
        let path = place.folder.join("data").join("gateways.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self { path, entries: toml::from_str(&text).unwrap_or_default() }
    }

    pub(crate) fn get(&self, gateway: &IdentityKey) -> Option<&Entry> {
        self.entries.get(&gateway.to_string())
    }

    /// Notes a gateway. The time of the first registration stays.
    pub(crate) fn note(&mut self, gateway: &IdentityKey, entry: Entry) -> anyhow::Result<()> {
        let noted = self.entries.entry(gateway.to_string()).or_insert_with(|| entry.clone());
        noted.urls = entry.urls;
        let text = toml::to_string(&self.entries).context("the gateways cannot be noted")?;
        std::fs::write(&self.path, text)
            .with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

/// What is told of a client's own gateway.
pub(crate) fn noted(place: &Place, gateway: &IdentityKey, urls: Vec<String>) -> anyhow::Result<()> {
    let mut book = Book::open(place);
    match book.get(gateway) {
        Some(entry) if entry.urls == urls => Ok(()),
        _ => book.note(gateway, Entry::now(urls)),
    }
}
