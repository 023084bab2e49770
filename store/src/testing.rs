//! What the tests share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nym_proto::client::{Change, Registration, State};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::SharedKey;
use nym_proto::identity::{Identity, IdentityKeyPair};

use crate::Profile;

/// A folder of its own, removed at the end.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("nym-store-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join("data").join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.file(crate::database::NAME)
    }

    pub(crate) fn create(&self) -> Profile {
        Profile::create(&self.0, &identity(1)).unwrap()
    }

    /// Names in a folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn identity(seed: u8) -> Identity {
    Identity::generate(&mut Entropy::new([seed; 32]).stream(Purpose::Identity))
}

pub(crate) fn registration(seed: u8, last_authentication: u64) -> Registration {
    Registration {
        gateway: *IdentityKeyPair::from_seed(&[seed; 32]).public(),
        shared_key: SharedKey::from_bytes([seed; 32]),
        last_authentication,
    }
}

/// What a client says when it authenticates.
pub(crate) fn authenticates(registration: Registration) -> Change {
    let store = State::from(registration).to_store();
    let (key, value) = store.iter().next().unwrap();
    Change::put(key, value.to_vec())
}

pub(crate) fn is_same(one: &Identity, other: &Identity) -> bool {
    one.identity.seed() == other.identity.seed()
        && one.encryption.as_bytes() == other.encryption.as_bytes()
        && one.ack == other.ack
}
