//! The registrations of an upstream client. (protocol: client 15.3)

use std::path::Path;

use nym_proto::client::{Registration, State};
use nym_proto::gateway::SharedKey;
use nym_proto::identity::IdentityKey;
use nym_proto::time::UnixTime;
use rusqlite::Row;
use zeroize::Zeroizing;

use super::sqlite::Source;
use super::{Report, SourceError};

const KEY: &str = "derived_aes256_gcm_siv_key";
/// Tables that have held the shared keys, the current one first.
const KEY_TABLES: [&str; 2] = ["remote_gateway_details", "remote_gateway_shared_keys"];

/// Adds the registrations to the state. No file: there are none.
pub(super) fn import(
    path: &Path,
    scratch: &Path,
    now: UnixTime,
    state: &mut State,
    report: &mut Report,
) -> Result<(), SourceError> {
    let Some(source) = Source::open(path, scratch)? else {
        return Ok(());
    };
    let total = source.count("registered_gateway")?;
    for table in KEY_TABLES {
        // older files have keys of a kind that gateways do not accept any more, and nothing here
        if !source.has_column(table, KEY)? {
            continue;
        }
        let sql = format!(
            "SELECT gateway_id_bs58, {KEY}, strftime('%s', registration_timestamp) \
             FROM registered_gateway JOIN {table} USING (gateway_id_bs58)"
        );
        source.each(&sql, |row| {
            if let Some(registration) = registration(row, now)? {
                state.add_registration(registration);
            }
            Ok(())
        })?;
    }
    source.each("SELECT active_gateway_id_bs58 FROM active_gateway", |row| {
        report.active_gateway = identity(row, 0)?.or(report.active_gateway);
        Ok(())
    })?;
    report.registrations = state.registrations().count();
    report.registrations_left = total.saturating_sub(report.registrations);
    Ok(())
}

/// `None`: malformed.
fn registration(row: &Row<'_>, now: UnixTime) -> rusqlite::Result<Option<Registration>> {
    let key = row.get_ref(1)?.as_blob().ok().and_then(|key| key.try_into().ok());
    let (Some(gateway), Some(key)) = (identity(row, 0)?, key.map(Zeroizing::<[u8; 32]>::new))
    else {
        return Ok(None);
    };
    // the first authentication is the registration; when the last one was is not written
    let registered_at = row.get_ref(2)?.as_str().ok().and_then(|secs| secs.parse::<u64>().ok());
    let last_authentication =
        registered_at.unwrap_or(0).min(now.as_nanos() / UnixTime::from_secs(1).as_nanos());
    let shared_key = SharedKey::from_bytes(*key);
    Ok(Some(Registration { gateway, shared_key, last_authentication }))
}

/// `None`: null, or malformed.
fn identity(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<IdentityKey>> {
    Ok(row.get_ref(column)?.as_str().ok().and_then(|text| text.parse().ok()))
}
