//! What the tests share.

use std::path::PathBuf;

use nym_proto::client::{Change, Registration, State};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::SharedKey;
use nym_proto::identity::{Identity, IdentityKeyPair};

pub(crate) use self::support::Place;
use crate::Profile;

#[path = "../tests/support/mod.rs"]
mod support;

impl Place {
    pub(crate) fn state(&self) -> PathBuf {
        self.file(crate::database::NAME)
    }

    pub(crate) fn create(&self) -> Profile {
        Profile::create(self.dir(), &identity(1)).unwrap()
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
