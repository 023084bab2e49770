use std::sync::atomic::{AtomicU32, Ordering};

use nym_proto::client::Change;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::SharedKey;
use nym_proto::identity::IdentityKeyPair;
use nym_shell::Store as _;

use super::*;

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
        self.0.join(DATA).join(name)
    }

    fn state(&self) -> PathBuf {
        self.file(database::NAME)
    }

    fn create(&self) -> Profile {
        Profile::create(&self.0, &identity(1)).unwrap()
    }

    /// Names in a folder, sorted.
    fn names(&self, folder: &str) -> Vec<String> {
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
fn authenticates(registration: Registration) -> Change {
    let store = State::from(registration).to_store();
    let (key, value) = store.iter().next().unwrap();
    Change::put(key, value.to_vec())
}

fn is_same(one: &Identity, other: &Identity) -> bool {
    one.identity.seed() == other.identity.seed()
        && one.encryption.as_bytes() == other.encryption.as_bytes()
        && one.ack == other.ack
}

#[test]
fn a_profile_opens_again_with_the_same_keys_and_what_was_applied() {
    let place = Place::new();
    assert!(!Profile::exists(place.dir()));
    let profile = place.create();
    assert!(Profile::exists(place.dir()));
    assert_eq!(profile.active_gateway().unwrap(), None);
    profile.store().apply(&[authenticates(registration(3, 7))]).unwrap();
    drop(profile);
    let profile = Profile::open(place.dir()).unwrap();
    assert!(is_same(profile.identity(), &identity(1)));
    assert_eq!(profile.registrations().unwrap(), [registration(3, 7)]);
    assert_eq!(profile.state().unwrap().registration(), Some(&registration(3, 7)));
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(3, 7).gateway));
}

#[test]
fn the_gateway_set_is_active_until_the_client_uses_another() {
    let place = Place::new();
    let profile = place.create();
    let mut store = profile.store();
    store.apply(&[authenticates(registration(3, 7)), authenticates(registration(4, 9))]).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(4, 0).gateway));
    profile.set_active_gateway(&registration(3, 0).gateway).unwrap();
    drop((profile, store));
    let profile = Profile::open(place.dir()).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(3, 0).gateway));
    let first = profile.state().unwrap().registration().cloned();
    assert_eq!(first.map(|first| first.gateway), Some(registration(3, 0).gateway));
    profile.store().apply(&[authenticates(registration(4, 10))]).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(4, 0).gateway));
    // one without a registration may be set as well
    profile.set_active_gateway(&registration(9, 0).gateway).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(9, 0).gateway));
    assert_eq!(profile.state().unwrap().registration(), Some(&registration(4, 10)));
}

#[test]
fn a_second_user_of_a_profile_is_told_which_process_has_it() {
    let place = Place::new();
    let profile = place.create();
    let error = Profile::open(place.dir()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    // the store alone keeps the profile in use
    let store = profile.store();
    drop(profile);
    assert!(matches!(Profile::open(place.dir()), Err(StoreError::InUse { .. })));
    drop(store);
    Profile::open(place.dir()).unwrap();
}
