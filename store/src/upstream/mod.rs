//! Taking over the folder of an upstream client. (protocol: client 9.9, 15)
//!
//! The keys, the registrations with their shared keys and the active gateway come over, so that the
//! client keeps its address and need not register again; and of the conversations what the core can
//! express. The upstream client must not run any more: two clients with one identity take each
//! other's messages. Its folder is only read.

mod gateways;
mod replies;
mod sqlite;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nym_proto::client::State;
use nym_proto::identity::IdentityKey;
use nym_proto::time::UnixTime;
use thiserror::Error;

use self::sqlite::SourceError;
use crate::error::at;
use crate::keys::{self, Modes};
use crate::{Profile, StoreError, private};

/// Copies of databases that have a log beside them, removed at the end.
const SCRATCH: &str = "import.tmp";
const GATEWAYS: &str = "gateways_registrations.sqlite";
const REPLIES: &str = "persistent_reply_store.sqlite";

/// Why a folder cannot be taken over. Nothing was made then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The keys cannot be read, or the profile cannot be made.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registrations cannot be read. Without them the client may come to have another address.
    #[error(
        "{}: {reason}; to import without the registrations, copy the folder without this file and import the copy",
        path.display()
    )]
    Registrations {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What came over, and what did not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Registrations taken over.
    pub registrations: usize,
    /// Registrations left: without a shared key of the current kind, or malformed.
    pub registrations_left: usize,
    /// The gateway that is active.
    pub active_gateway: Option<IdentityKey>,
    /// SURBs of correspondents taken over.
    pub surbs: usize,
    /// SURBs left: out of date, or malformed.
    pub surbs_left: usize,
    /// Tags towards recipients taken over. Only old files have some.
    pub tags: usize,
    /// Tags left, being malformed.
    pub tags_left: usize,
    /// Keys of SURBs given out, which are all left: it is not written to whom they were given. Replies
    /// that still come through these SURBs cannot be read.
    pub reply_keys_left: usize,
    /// Why nothing of the conversations could be read.
    pub replies_left: Option<String>,
}

/// Makes a profile in `to` of the upstream client in `from`, which is the client's folder or the `data`
/// folder in it, and opens it.
///
/// # Errors
/// Key files that are missing or damaged, registrations that cannot be read, and those of
/// [`Profile::create`]. Conversations that cannot be taken over are no error, see [`Report`].
pub fn import(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
) -> Result<(Profile, Report), ImportError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    if Profile::exists(to) {
        return Err(StoreError::Exists(to.to_owned()).into());
    }
    let data = match from.join("data") {
        data if data.is_dir() => data,
        _ if from.is_dir() => from.to_owned(),
        data => return Err(StoreError::NotFound(data).into()),
    };
    let identity = keys::read(&data, Modes::Ignore)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = UnixTime::from_secs(now);
    let (mut state, mut report) = (State::new(), Report::default());
    let scratch = Scratch::new(to)?;
    let path = data.join(GATEWAYS);
    gateways::import(&path, scratch.path(), now, &mut state, &mut report).map_err(|error| {
        ImportError::Registrations { path: path.clone(), reason: error.to_string() }
    })?;
    let path = data.join(REPLIES);
    if let Err(error) = replies::import(&path, scratch.path(), now, &mut state, &mut report) {
        report.replies_left = Some(error.to_string());
    }
    drop(scratch);
    let profile = Profile::create_with(to, &identity, &state, report.active_gateway)?;
    Ok((profile, report))
}

/// A private folder in the new profile's folder, removed when dropped.
struct Scratch {
    dir: PathBuf,
    path: PathBuf,
}

impl Scratch {
    fn new(dir: &Path) -> Result<Self, StoreError> {
        private::create_dir_all(dir)?;
        let path = dir.join(SCRATCH);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
        private::create_dir(&path)?;
        Ok(Self { dir: dir.to_owned(), path })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        // goes only if it is empty, which means that the import has failed
        let _ = std::fs::remove_dir(&self.dir);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
