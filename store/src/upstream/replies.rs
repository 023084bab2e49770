//! The conversations of an upstream client. (protocol: client 9.9)

use std::path::Path;

use nym_proto::address::Recipient;
use nym_proto::client::State;
use nym_proto::message::{ReplySurb, SenderTag};
use nym_proto::sphinx::KeyRotation;
use nym_proto::time::UnixTime;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::sqlite::Source;
use super::{Report, SourceError};

/// SURBs are of no use after this. (protocol: client 9.9)
const DAY: u64 = 24 * 3600;

/// Adds what can be expressed to the state. No file: there is nothing.
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
    report.reply_keys_left = source.count("reply_key")?;
    report.surbs_left = source.count("reply_surb")?;
    if let Some(flushed_at) = flushed_at(&source)?.filter(|at| now.since(*at).as_secs() < DAY) {
        let taken = surbs(&source, flushed_at, state)?;
        report.surbs = taken;
        report.surbs_left = report.surbs_left.saturating_sub(taken);
    }
    // files of older clients only
    if source.has_column("sender_tag", "tag")? {
        report.tags_left = source.count("sender_tag")?;
        report.tags = tags(&source, now, state)?;
        report.tags_left = report.tags_left.saturating_sub(report.tags);
    }
    Ok(())
}

/// When the file was written. `None`: not to its end, or the client went on without writing it, so that
/// SURBs in it may have been used.
fn flushed_at(source: &Source) -> Result<Option<UnixTime>, SourceError> {
    let column = match source.has_column("status", "previous_flush_timestamp")? {
        true => "previous_flush_timestamp",
        false => "previous_flush",
    };
    let sql = format!(
        "SELECT flush_in_progress, client_in_use, \
         iif(typeof({column}) = 'integer', {column}, CAST(strftime('%s', {column}) AS INTEGER)) \
         FROM status"
    );
    let mut flushed_at = None;
    source.each(&sql, |row| {
        let is_whole = is_zero(row.get_ref(0)?) && is_zero(row.get_ref(1)?);
        let at = row.get_ref(2)?.as_i64().ok().and_then(|secs| u64::try_from(secs).ok());
        flushed_at = at.filter(|at| is_whole && *at > 0).map(UnixTime::from_secs);
        Ok(())
    })?;
    Ok(flushed_at)
}

fn is_zero(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Integer(0))
}

fn surbs(source: &Source, at: UnixTime, state: &mut State) -> Result<usize, SourceError> {
    let rotation = match source.has_column("reply_surb", "encoded_key_rotation")? {
        true => "reply_surb.encoded_key_rotation",
        false => "0",
    };
    let sql = format!(
        "SELECT tag, reply_surb, {rotation} FROM reply_surb \
         JOIN reply_surb_sender ON reply_surb_sender.id = reply_surb_sender_id"
    );
    let mut taken = 0;
    source.each(&sql, |row| {
        let surb = row.get_ref(1)?.as_blob().ok().and_then(|surb| ReplySurb::decode(surb).ok());
        let stamp = row.get_ref(2)?.as_i64().ok().and_then(|byte| u8::try_from(byte).ok());
        let stamp = stamp.and_then(KeyRotation::from_byte);
        if let (Some(tag), Some(surb), Some(stamp)) = (tag(row, 0)?, surb, stamp) {
            state.add_surb(at, tag, stamp, &surb);
            taken += 1;
        }
        Ok(())
    })?;
    Ok(taken)
}

fn tags(source: &Source, now: UnixTime, state: &mut State) -> Result<usize, SourceError> {
    let mut taken = 0;
    source.each("SELECT recipient, tag FROM sender_tag", |row| {
        let recipient = row.get_ref(0)?.as_blob().ok();
        let recipient = recipient.and_then(|bytes| Recipient::from_bytes(bytes).ok());
        if let (Some(recipient), Some(tag)) = (recipient, tag(row, 1)?) {
            state.add_contact(now, recipient, tag);
            taken += 1;
        }
        Ok(())
    })?;
    Ok(taken)
}

/// `None`: malformed.
fn tag(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<SenderTag>> {
    let bytes = row.get_ref(column)?.as_blob().ok().and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.map(SenderTag::from_bytes))
}
