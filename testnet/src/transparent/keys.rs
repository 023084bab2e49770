//! Public halves of keys.

use core::cell::RefCell;

use nym_proto::identity::{PrivateKey, PublicKey};

/// Keys remembered.
const KEYS_MAX: usize = 16;

/// Remembers the public halves of private keys: they take curve arithmetic.
#[derive(Clone, Debug, Default)]
pub(super) struct PublicKeys(RefCell<Vec<(PrivateKey, PublicKey)>>);

impl PublicKeys {
    pub(super) fn public(&self, private: &PrivateKey) -> PublicKey {
        let mut keys = self.0.borrow_mut();
        let known = keys.iter().position(|(known, _)| known.as_bytes() == private.as_bytes());
        if let Some((_, public)) = known.and_then(|at| keys.get(at)) {
            return *public;
        }
        let public = private.public();
        if keys.len() >= KEYS_MAX {
            keys.remove(0);
        }
        keys.push((private.clone(), public));
        public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_keys_than_are_remembered_are_still_right() {
        let keys = PublicKeys::default();
        for _ in 0..2 {
            for n in 0..=KEYS_MAX as u8 {
                let key = PrivateKey::from_bytes([n; 32]);
                assert_eq!(keys.public(&key), key.public());
            }
        }
        assert!(keys.0.borrow().len() <= KEYS_MAX);
    }
}
