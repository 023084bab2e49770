//! A client whose keys both sides hold.

use nym_crypto::asymmetric::{ed25519, x25519};
use nym_proto::address::Recipient;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::{Identity, IdentityKey};
use nym_sphinx::acknowledgements::AckKey;
use nym_sphinx::addressing::clients::Recipient as TheirRecipient;

use crate::convert::{their_identity_pair, their_private_key, their_recipient};

/// Keys and address of one client.
pub struct Person {
    pub keys: Identity,
    pub address: Recipient,
}

impl Person {
    /// A client of `gateway`.
    pub fn new(seed: u8, gateway: IdentityKey) -> Self {
        let keys = Identity::generate(&mut Entropy::new([seed; 32]).stream(Purpose::Identity));
        let address = Recipient {
            identity: *keys.identity.public(),
            encryption: keys.encryption.public(),
            gateway,
        };
        Self { keys, address }
    }

    pub fn their_address(&self) -> TheirRecipient {
        their_recipient(&self.address)
    }

    pub fn their_identity(&self) -> ed25519::KeyPair {
        their_identity_pair(&self.keys.identity)
    }

    pub fn their_encryption_key(&self) -> x25519::PrivateKey {
        their_private_key(&self.keys.encryption)
    }

    pub fn their_ack_key(&self) -> AckKey {
        AckKey::try_from_bytes(self.keys.ack.as_bytes()).unwrap()
    }
}
