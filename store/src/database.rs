//! The database file: what it holds, how it is read, written and replaced.
//!
//! ```text
//! table entries  the core's entries, as they are
//! table about    magic           "nym-store"
//!                format          version (4, big-endian)
//!                identity        the identity key of the client it belongs to (32)
//!                active_gateway  its identity key (32); absent: none yet
//! ```

use std::io;
use std::path::{Path, PathBuf};

use nym_proto::client::{Change, MemoryStore};
use nym_proto::identity::IdentityKey;
use nym_shell::Store;
use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, Table,
    TableDefinition, TableError,
};
use zeroize::Zeroizing;

use crate::error::{StoreError, at};
use crate::filled::Filled;
use crate::guard::contained;
use crate::image::Image;
use crate::lock::Lock;
use crate::private::{self, Kept};

/// The file in the data folder.
pub(crate) const NAME: &str = "state.redb";
/// The next one, until it is whole.
const NEXT: &str = "state.redb.new";
/// Largest file that is read, in bytes.
pub(crate) const FILE_MAX: u64 = 1 << 30;
/// Memory for pages of the file, in bytes.
const CACHE: usize = 16 << 20;

/// What every redb file begins with.
const REDB: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const MAGIC: &[u8] = b"nym-store";
const FORMAT: u32 = 1;

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const ABOUT_MAGIC: &str = "magic";
const ABOUT_FORMAT: &str = "format";
const ABOUT_IDENTITY: &str = "identity";
const ABOUT_ACTIVE: &str = "active_gateway";

type About<'txn> = Table<'txn, &'static str, &'static [u8]>;
type Entries<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// All that a database holds.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) entries: MemoryStore,
    pub(crate) active: Option<IdentityKey>,
}

/// The database of a profile in use.
pub(crate) struct Disk {
    db: Database,
    path: PathBuf,
    /// The database has panicked and is not to be used again.
    is_broken: bool,
    // let go of last
    _lock: Lock,
}

impl Disk {
    /// Reads the file in this folder and writes it anew, without what was erased.
    pub(crate) fn open(
        data: &Path,
        identity: &IdentityKey,
        lock: Lock,
    ) -> Result<Self, StoreError> {
        let content = read(data, identity)?;
        let db = replace(data, identity, &content)?;
        Ok(Self { db, path: data.join(NAME), is_broken: false, _lock: lock })
    }

    /// What the database holds now.
    pub(crate) fn content(&mut self) -> Result<Content, StoreError> {
        let path = self.path.clone();
        self.run(|db| content(&db.begin_read().map_err(redb::Error::from)?, Take::All))
            .map_err(at(&path))
    }

    /// The gateway in use last, or set since.
    pub(crate) fn active_gateway(&mut self) -> Result<Option<IdentityKey>, StoreError> {
        let path = self.path.clone();
        self.run(|db| active(&db.begin_read().map_err(redb::Error::from)?)).map_err(at(&path))
    }

    pub(crate) fn set_active_gateway(&mut self, gateway: &IdentityKey) -> Result<(), StoreError> {
        let path = self.path.clone();
        self.run(|db| {
            write(db, |about, _| {
                about.insert(ABOUT_ACTIVE, gateway.as_bytes().as_slice())?;
                Ok(())
            })
            .map_err(Failure::from)
        })
        .map_err(at(&path))
    }

    /// Runs what may panic on a file damaged since it was opened.
    fn run<T>(&mut self, run: impl FnOnce(&Database) -> Result<T, Failure>) -> io::Result<T> {
        if self.is_broken {
            return Err(io::Error::other("the database was found damaged before"));
        }
        match contained(|| run(&self.db)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(io::Error::other(failure.to_string())),
            Err(panicked) => {
                self.is_broken = true;
                Err(io::Error::other(panicked))
            }
        }
    }
}

impl Store for Disk {
    /// One transaction, on the disk when this returns: one `fdatasync`.
    fn apply(&mut self, changes: &[Change]) -> io::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.run(|db| {
            write(db, |about, entries| {
                for change in changes {
                    put(entries, change)?;
                    // kept before each authentication: this gateway is in use now
                    if let Some(registration) = change.registration() {
                        about.insert(ABOUT_ACTIVE, registration.gateway.as_bytes().as_slice())?;
                    }
                }
                Ok(())
            })
            .map_err(Failure::from)
        })
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What is wrong with a database, before it is known which file it is.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it is something else")]
    Foreign,
    #[error("it has format {0}")]
    Newer(u32),
    #[error("it belongs to another identity")]
    OfAnother,
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Redb(#[from] redb::Error),
}

impl Failure {
    fn of(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Foreign => StoreError::StateForeign(path),
            Self::Newer(version) => StoreError::StateNewer { path, version, known: FORMAT },
            Self::OfAnother => StoreError::StateOfAnother(path),
            Self::Damaged(reason) => StoreError::StateDamaged { path, reason },
            Self::Redb(error) => StoreError::StateDamaged { path, reason: error.to_string() },
        }
    }
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => Self::Redb(error.into()),
            _ => Self::Foreign,
        }
    }
}

/// Reads the database in this folder. The file is left as it is.
pub(crate) fn read(data: &Path, identity: &IdentityKey) -> Result<Content, StoreError> {
    let path = data.join(NAME);
    let bytes = bytes(&path)?;
    if !bytes.starts_with(REDB) {
        return Err(match REDB.starts_with(&bytes) {
            true => Failure::Damaged("cut short".into()).of(&path),
            false => StoreError::StateForeign(path),
        });
    }
    let parsed =
        contained(|| parse(bytes, identity)).map_err(|panic| Failure::Damaged(panic.to_string()));
    parsed.flatten().map_err(|failure| failure.of(&path))
}

fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    match private::read(path, FILE_MAX) {
        Ok(Some(bytes)) => {
            private::check(path, Kept::Secret)?;
            Ok(bytes)
        }
        Ok(None) => {
            let size = std::fs::metadata(path).map_err(at(path))?.len();
            Err(StoreError::StateTooLarge { path: path.to_owned(), size })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::StateMissing(path.to_owned()))
        }
        Err(error) => Err(at(path)(error)),
    }
}

fn parse(bytes: Zeroizing<Vec<u8>>, identity: &IdentityKey) -> Result<Content, Failure> {
    let backend = Image::new(bytes);
    let mut db = builder().create_with_backend(backend).map_err(redb::Error::from)?;
    // a file that a crash left is repaired by now; what does not verify yet is damage
    if !db.check_integrity().map_err(redb::Error::from)? {
        return Err(Failure::Damaged("it was closed, and does not verify".into()));
    }
    let txn = db.begin_read().map_err(redb::Error::from)?;
    check_about(&txn, identity)?;
    content(&txn, Take::All)
}

fn check_about(txn: &ReadTransaction, identity: &IdentityKey) -> Result<(), Failure> {
    let about = txn.open_table(ABOUT)?;
    let entry = |name| about.get(name).map_err(|error| Failure::Redb(error.into()));
    if entry(ABOUT_MAGIC)?.is_none_or(|magic| magic.value() != MAGIC) {
        return Err(Failure::Foreign);
    }
    let format = entry(ABOUT_FORMAT)?.and_then(|value| value.value().try_into().ok());
    match format.map(u32::from_be_bytes) {
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => return Err(Failure::Newer(newer)),
        _ => return Err(Failure::Damaged("it does not tell its format".into())),
    }
    match entry(ABOUT_IDENTITY)?.is_some_and(|owner| owner.value() == identity.as_bytes()) {
        true => Ok(()),
        false => Err(Failure::OfAnother),
    }
}

/// Which entries are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    All,
    /// Registrations that are whole, up to the first page that cannot be read.
    Registrations,
}

fn content(txn: &ReadTransaction, take: Take) -> Result<Content, Failure> {
    let mut entries = MemoryStore::new();
    let table = txn.open_table(ENTRIES)?;
    for entry in table.iter().map_err(redb::Error::from)? {
        let (key, value) = match entry {
            Ok(entry) => entry,
            Err(_) if take == Take::Registrations => break,
            Err(error) => return Err(Failure::Redb(error.into())),
        };
        let value = Zeroizing::new(value.value().to_vec());
        let change = Change::put(key.value(), value);
        if take == Take::All || change.registration().is_some() {
            entries.apply(&[change]);
        }
    }
    Ok(Content { entries, active: active(txn)? })
}

fn active(txn: &ReadTransaction) -> Result<Option<IdentityKey>, Failure> {
    let about = txn.open_table(ABOUT)?;
    let Some(value) = about.get(ABOUT_ACTIVE).map_err(redb::Error::from)? else {
        return Ok(None);
    };
    let key = value.value().try_into().ok().and_then(|bytes| IdentityKey::from_bytes(bytes).ok());
    key.map(Some).ok_or_else(|| Failure::Damaged("the active gateway is no key".into()))
}

/// What can be read of a damaged database and be trusted: each registration has a checksum of its own.
/// Conversations are left: an older state of them would use SURBs twice.
pub(crate) fn salvage(data: &Path, identity: &IdentityKey) -> Content {
    for check_on_open in [true, false] {
        let salvaged = contained(|| {
            let backend = Image::new(bytes(&data.join(NAME)).ok()?);
            let mut builder = builder();
            builder.set_check_integrity_on_open(check_on_open);
            let db = builder.create_with_backend(backend).ok()?;
            let txn = db.begin_read().ok()?;
            check_about(&txn, identity).ok()?;
            content(&txn, Take::Registrations).ok()
        });
        if let Ok(Some(content)) = salvaged {
            return content;
        }
    }
    Content::default()
}

/// Puts a database with this content in place of the one in this folder, at once.
pub(crate) fn replace(
    data: &Path,
    identity: &IdentityKey,
    content: &Content,
) -> Result<Database, StoreError> {
    let (next, path) = (data.join(NEXT), data.join(NAME));
    private::remove_file(&next)?;
    let db = create(&next, identity, content)?;
    std::fs::rename(&next, &path).map_err(at(&path))?;
    private::sync_dir(data)?;
    Ok(db)
}

fn create(path: &Path, identity: &IdentityKey, content: &Content) -> Result<Database, StoreError> {
    let file = private::options().create_new(true).open(path).map_err(at(path))?;
    let created =
        FileBackend::new(file).and_then(|file| builder().create_with_backend(Filled::new(file)));
    let db = created.map_err(|error| at(path)(io::Error::other(error)))?;
    let filled = write(&db, |about, entries| {
        about.insert(ABOUT_MAGIC, MAGIC)?;
        about.insert(ABOUT_FORMAT, FORMAT.to_be_bytes().as_slice())?;
        about.insert(ABOUT_IDENTITY, identity.as_bytes().as_slice())?;
        if let Some(gateway) = &content.active {
            about.insert(ABOUT_ACTIVE, gateway.as_bytes().as_slice())?;
        }
        for (key, value) in content.entries.iter() {
            entries.insert(key, value)?;
        }
        Ok(())
    });
    filled.map_err(|error| at(path)(io::Error::other(error)))?;
    Ok(db)
}

/// One transaction.
fn write(
    db: &Database,
    fill: impl FnOnce(&mut About<'_>, &mut Entries<'_>) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    fill(&mut txn.open_table(ABOUT)?, &mut txn.open_table(ENTRIES)?)?;
    txn.commit()?;
    Ok(())
}

fn put(entries: &mut Entries<'_>, change: &Change) -> Result<(), redb::Error> {
    match change.value() {
        Some(value) => drop(entries.insert(change.key(), value)?),
        None => drop(entries.remove(change.key())?),
    }
    Ok(())
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

#[cfg(test)]
#[path = "database_tests.rs"]
mod tests;
