//! Why a profile cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a profile cannot be made, opened or written. Names the file and says what can be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A profile is to be made where there is one.
    #[error("{} exists already; choose another name, or move the folder away to begin anew", .0.display())]
    Exists(PathBuf),
    /// There is no profile.
    #[error("{} does not exist; create the client first", .0.display())]
    NotFound(PathBuf),
    /// Another process uses the profile. Two clients with one identity take each other's messages.
    #[error(
        "{} is in use by {}; stop it first, as two clients with one identity take each other's messages",
        dir.display(), Process(*pid)
    )]
    InUse {
        /// The profile.
        dir: PathBuf,
        /// The process that uses it, if it says so.
        pid: Option<u32>,
    },
    /// Others than the owner may read or change a secret.
    #[error("{} has mode {mode:03o}, which lets others at it; run: chmod {remedy:03o} {}", path.display(), path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The permissions it should have.
        remedy: u32,
    },
    /// A key file is missing or not what it should be. It was not changed.
    #[error("{}: {fault}; put the right file back from a backup", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// The keys are there but the database is not.
    #[error(
        "{} is missing; put it back from a backup, or recover the profile: \
         that keeps the keys and begins with an empty state", .0.display()
    )]
    StateMissing(PathBuf),
    /// The database is damaged. It was not changed.
    #[error(
        "{} is damaged ({reason}) and was left as it is; put it back from a backup, or recover the profile: \
         that keeps the damaged file beside it, keeps the keys, and begins with an empty state", path.display()
    )]
    StateDamaged {
        /// The database.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// The file in place of the database is something else. It was not changed.
    #[error("{} is not the state of a client and was left as it is; put the right file back, or recover the profile", .0.display())]
    StateForeign(PathBuf),
    /// The database belongs to other keys than those beside it. It was not changed.
    #[error(
        "{} belongs to another identity than the keys beside it; put back what belongs together, or recover the \
         profile to keep these keys and begin with an empty state", .0.display()
    )]
    StateOfAnother(PathBuf),
    /// The database was written by a later version of this program. It was not changed.
    #[error("{} has format {version}, and this program knows formats up to {known}; use the newer program", path.display())]
    StateNewer {
        /// The database.
        path: PathBuf,
        /// Its format.
        version: u32,
        /// The newest format this program knows.
        known: u32,
    },
    /// The database is larger than any client makes it. It was not changed.
    #[error("{} has {size} bytes, more than any client keeps; recover the profile to begin with an empty state", path.display())]
    StateTooLarge {
        /// The database.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
}

struct Process(Option<u32>);

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// What is wrong with a key file.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// It does not exist.
    #[error("the file is missing")]
    Missing,
    /// It is not one PEM block of base64.
    #[error("not a PEM file")]
    NotPem,
    /// It holds something else.
    #[error("it should hold {expected:?} and holds {found:?}")]
    Label {
        /// The label it should have.
        expected: &'static str,
        /// The label it has.
        found: String,
    },
    /// It is protected with a passphrase.
    #[error("the key is encrypted with a passphrase, which is not supported; store it without one")]
    Encrypted,
    /// The key has another length.
    #[error("the key should have {expected} bytes and has {found}")]
    Length {
        /// Bytes of such a key.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The public key does not belong to the private key beside it.
    #[error("the public key does not belong to the private key in {0}")]
    Mismatch(&'static str),
}

/// Says which file an error of the operating system is about.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    |source| StoreError::Io { path: path.to_owned(), source }
}
