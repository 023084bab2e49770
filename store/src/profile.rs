//! The folder of one client.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nym_proto::client::{MemoryStore, Registration, State};
use nym_proto::identity::{Identity, IdentityKey};
use nym_shell::SharedStore;

use crate::database::{self, Content, Disk};
use crate::error::{StoreError, at};
use crate::keys::{self, Modes};
use crate::lock::Lock;
use crate::private::{self, Kept};

const DATA: &str = "data";
/// The data of a new profile, until it is whole.
const NEXT: &str = "data.new";
/// Damaged files put aside within one second.
const ASIDE_MAX: u64 = 100;

/// A client's keys and state, in use by this process until this and the last [`store`](Self::store)
/// are dropped.
///
/// Beside `data` and `lock` the folder is the caller's, for example for a configuration file.
#[derive(Debug)]
pub struct Profile {
    dir: PathBuf,
    identity: Identity,
    disk: Arc<Mutex<Disk>>,
}

impl Profile {
    /// True if there is a profile in this folder, whole or damaged.
    #[must_use]
    pub fn exists(dir: impl AsRef<Path>) -> bool {
        // what cannot be looked at is there
        !matches!(dir.as_ref().join(DATA).symlink_metadata(),
            Err(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Makes a profile for this identity and opens it. The folder is made if need be. A crash leaves
    /// all of the profile or none of it.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is a profile, which is left alone; otherwise those of
    /// [`open`](Self::open).
    pub fn create(dir: impl AsRef<Path>, identity: &Identity) -> Result<Self, StoreError> {
        Self::create_with(dir, identity, &State::new(), None)
    }

    /// Like [`create`](Self::create), with a state and a gateway to begin with.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn create_with(
        dir: impl AsRef<Path>,
        identity: &Identity,
        state: &State,
        active_gateway: Option<IdentityKey>,
    ) -> Result<Self, StoreError> {
        let dir = dir.as_ref();
        if Self::exists(dir) {
            return Err(StoreError::Exists(dir.join(DATA)));
        }
        private::create_dir_all(dir)?;
        let lock = Lock::take(dir)?;
        if Self::exists(dir) {
            return Err(StoreError::Exists(dir.join(DATA)));
        }
        let (next, data) = (dir.join(NEXT), dir.join(DATA));
        match std::fs::remove_dir_all(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&next)(error)),
            _ => {}
        }
        private::create_dir(&next)?;
        keys::write(&next, identity)?;
        let content = Content { entries: state.to_store(), active: active_gateway };
        drop(database::replace(&next, identity.identity.public(), &content)?);
        std::fs::rename(&next, &data).map_err(at(&data))?;
        private::sync_dir(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            private::sync_dir(parent)?;
        }
        Self::open_locked(dir, lock)
    }

    /// Opens the profile in this folder and makes sure that no other process uses it, that it is private
    /// and that nothing is damaged. What is wrong is left as it is.
    ///
    /// # Errors
    /// See [`StoreError`]. No error leads to another identity or to an empty state.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        let dir = dir.as_ref();
        let lock = lock_existing(dir)?;
        Self::open_locked(dir, lock)
    }

    fn open_locked(dir: &Path, lock: Lock) -> Result<Self, StoreError> {
        let data = dir.join(DATA);
        private::check(&data, Kept::Folder)?;
        let identity = keys::read(&data, Modes::Check)?;
        let disk = Disk::open(&data, identity.identity.public(), lock)?;
        let disk = Arc::new(Mutex::new(disk));
        Ok(Self { dir: dir.to_owned(), identity, disk })
    }

    /// Begins with a new state where [`open`](Self::open) finds the old one damaged, foreign, of other keys, too
    /// large or missing. The identity stays. The file is kept beside the new one, as `state.redb.damaged-` and the Unix
    /// time. Registrations and the active gateway are taken over if they can be read, so that the address
    /// stays; conversations are not. `None`: nothing is wrong with the state, and nothing was done.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) that are not about a damaged state.
    pub fn recover(dir: impl AsRef<Path>) -> Result<Option<Recovered>, StoreError> {
        let dir = dir.as_ref();
        let lock = lock_existing(dir)?;
        let data = dir.join(DATA);
        private::check(&data, Kept::Folder)?;
        let identity = *keys::read(&data, Modes::Check)?.identity.public();
        match database::read(&data, &identity) {
            Ok(_) => return Ok(None),
            Err(
                StoreError::StateDamaged { .. }
                | StoreError::StateForeign(_)
                | StoreError::StateOfAnother(_)
                | StoreError::StateTooLarge { .. }
                | StoreError::StateMissing(_),
            ) => {}
            Err(error) => return Err(error),
        }
        let content = database::salvage(&data, &identity);
        let kept_aside = keep_aside(&data)?;
        drop(database::replace(&data, &identity, &content)?);
        drop(lock);
        Ok(Some(Recovered { kept_aside, registrations: content.entries.len() }))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The keys.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What is kept, for [`Config::state`](nym_proto::client::Config::state). The registration with the
    /// [`active_gateway`](Self::active_gateway), if there is one, counts as the one used last.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn state(&self) -> Result<State, StoreError> {
        let content = self.disk().content()?;
        let mut state = content.entries.state();
        if let Some(gateway) = &content.active {
            state.prefer(gateway);
        }
        Ok(state)
    }

    /// Everything that is kept, as the core wrote it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn entries(&self) -> Result<MemoryStore, StoreError> {
        Ok(self.disk().content()?.entries)
    }

    /// All registrations, in order of the gateways' keys.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn registrations(&self) -> Result<Vec<Registration>, StoreError> {
        Ok(self.entries()?.state().registrations().cloned().collect())
    }

    /// The gateway the client was connected to last, or that was set since. It need not have a
    /// registration yet. `None` in a new profile.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn active_gateway(&self) -> Result<Option<IdentityKey>, StoreError> {
        self.disk().active_gateway()
    }

    /// Sets the gateway to begin with next time. On the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn set_active_gateway(&self, gateway: &IdentityKey) -> Result<(), StoreError> {
        self.disk().set_active_gateway(gateway)
    }

    /// Where a client keeps its state, for [`Options::store`](nym_shell::Options::store). Each call of
    /// [`apply`](nym_shell::Store::apply) is one transaction and waits for the disk once.
    #[must_use]
    pub fn store(&self) -> SharedStore {
        self.disk.clone().into()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Profile::recover`] did.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// Where the old file is now. `None`: there was none.
    pub kept_aside: Option<PathBuf>,
    /// Registrations taken over.
    pub registrations: usize,
}

fn lock_existing(dir: &Path) -> Result<Lock, StoreError> {
    if !Profile::exists(dir) {
        return Err(StoreError::NotFound(dir.join(DATA)));
    }
    Lock::take(dir)
}

/// Gives the database a second name, under which it stays when another takes its place.
fn keep_aside(data: &Path) -> Result<Option<PathBuf>, StoreError> {
    let path = data.join(database::NAME);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for second in now..=now.saturating_add(ASIDE_MAX) {
        let aside = data.join(format!("{}.damaged-{second}", database::NAME));
        match std::fs::hard_link(&path, &aside) {
            Ok(()) => return Ok(Some(aside)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // no hard links here
            Err(_) if !aside.exists() => {
                std::fs::rename(&path, &aside).map_err(at(&path))?;
                return Ok(Some(aside));
            }
            Err(error) => return Err(at(&aside)(error)),
        }
    }
    Err(at(&path)(io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
