//! Multiples of node keys: the expensive part of every header. (protocol: sphinx 3)

use core::fmt;
use std::collections::BTreeMap;

use curve25519_dalek::edwards::EdwardsBasepointTable;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::BasepointTable as _;
use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};
use zeroize::Zeroizing;

use crate::identity::PublicKey;
use crate::x25519::{eighth_of_clamped, u_of, x25519};

/// Multiplications after which the table of a key pays: making one takes as long as some thirty
/// multiplications with it save.
pub(super) const TABLE_AFTER: u32 = 32;
/// After this many multiplications, keys that were not used since the last time are forgotten.
const ROUND: u32 = 32_768;
/// Keys remembered; more than that are multiplied without memory.
const KEYS_MAX: usize = 2048;
/// Tables kept by default, 30 KB each.
pub(super) const TABLES_MAX: usize = 64;

/// Bytes of all of it; nodes of trees are half full or better.
pub(crate) const MULTIPLES_BYTES_MAX: usize =
    TABLES_MAX * size_of::<EdwardsBasepointTable>() + 2 * KEYS_MAX * size_of::<(PublicKey, Key)>();

/// What is remembered of the keys of nodes, so that multiplying them gets faster the more it is done.
/// How often a key was used decides; which packets it was used for does not matter.
pub(super) struct Multiples {
    tables_max: usize,
    tables: usize,
    keys: BTreeMap<PublicKey, Key>,
    /// Multiplications of this round.
    done: u32,
}

struct Key {
    form: Form,
    /// Multiplications, in this round and in the one before.
    uses: u32,
    uses_before: u32,
}

/// Eight times a key.
enum Form {
    /// Not on the curve but on its twist: no honest key.
    Twist,
    Point(EdwardsPoint),
    Table(Box<EdwardsBasepointTable>),
}

impl Multiples {
    pub(super) const fn new(tables_max: usize) -> Self {
        Self { tables_max, tables: 0, keys: BTreeMap::new(), done: 0 }
    }

    /// `eighth * 8 * key`, in constant time. `None` for a key that is not on the curve but on its twist,
    /// where scalars are not what they are here.
    pub(super) fn multiply(
        &mut self,
        eighth: &Scalar,
        key: &PublicKey,
    ) -> Option<Zeroizing<EdwardsPoint>> {
        self.done += 1;
        if self.done >= ROUND {
            self.end_round();
        }
        let known = match self.keys.contains_key(key) || self.keys.len() < KEYS_MAX {
            true => self.keys.entry(*key).or_insert_with(|| Key::new(key)),
            false => &mut Key::new(key),
        };
        known.uses = known.uses.saturating_add(1);
        let pays = known.uses.saturating_add(known.uses_before) >= TABLE_AFTER;
        if let Form::Point(point) = &known.form
            && pays
            && self.tables < self.tables_max
        {
            known.form = Form::Table(Box::new(EdwardsBasepointTable::create(point)));
            self.tables += 1;
        }
        match &known.form {
            Form::Twist => None,
            Form::Point(point) => Some(Zeroizing::new(point * eighth)),
            Form::Table(table) => Some(Zeroizing::new(table.mul_base(eighth))),
        }
    }

    /// X25519 with a key that may come again.
    pub(super) fn x25519(&mut self, secret: &[u8; 32], key: &PublicKey) -> Zeroizing<[u8; 32]> {
        match self.multiply(&eighth_of_clamped(secret), key) {
            Some(product) => u_of(&product),
            None => x25519(secret, key.as_bytes()),
        }
    }

    /// Forgets what was not used in this round.
    fn end_round(&mut self) {
        self.done = 0;
        self.keys.retain(|_, key| key.uses > 0);
        for key in self.keys.values_mut() {
            (key.uses, key.uses_before) = (0, key.uses);
        }
        let tables = self.keys.values().filter(|key| matches!(key.form, Form::Table(_)));
        self.tables = tables.count();
    }
}

impl Key {
    fn new(key: &PublicKey) -> Self {
        // the sign does not matter: only the u coordinate of the product does
        let point = MontgomeryPoint(*key.as_bytes()).to_edwards(0);
        let form = point.map_or(Form::Twist, |point| Form::Point(point.mul_by_cofactor()));
        Self { form, uses: 0, uses_before: 0 }
    }
}

impl fmt::Debug for Multiples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiples")
            .field("keys", &self.keys.len())
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::PrivateKey;

    fn keys(count: u8) -> Vec<PublicKey> {
        (1..=count).map(|n| PrivateKey::from_bytes([n; 32]).public()).collect()
    }

    fn use_times(multiples: &mut Multiples, key: &PublicKey, times: u32) {
        for _ in 0..times {
            multiples.multiply(&Scalar::ONE, key).unwrap();
        }
    }

    #[test]
    fn a_key_gets_a_table_when_it_is_used_often_and_there_is_room() {
        let (mut multiples, keys) = (Multiples::new(2), keys(3));
        use_times(&mut multiples, &keys[0], TABLE_AFTER - 1);
        assert_eq!(multiples.tables, 0);
        for key in &keys {
            use_times(&mut multiples, key, TABLE_AFTER);
        }
        assert_eq!((multiples.tables, multiples.keys.len()), (2, 3));
    }

    #[test]
    fn what_is_not_used_for_a_round_is_forgotten_and_makes_room() {
        let (mut multiples, keys) = (Multiples::new(1), keys(2));
        use_times(&mut multiples, &keys[0], TABLE_AFTER);
        multiples.end_round();
        assert_eq!((multiples.tables, multiples.keys.len()), (1, 1));
        use_times(&mut multiples, &keys[1], TABLE_AFTER);
        assert_eq!((multiples.tables, multiples.keys.len()), (1, 2));
        multiples.end_round();
        assert_eq!((multiples.tables, multiples.keys.len()), (0, 1));
        use_times(&mut multiples, &keys[1], 1);
        assert_eq!(multiples.tables, 1);
    }

    #[test]
    fn no_more_keys_are_remembered_than_there_is_room_for() {
        let mut multiples = Multiples::new(1);
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Other(1));
        for _ in 0..KEYS_MAX + 10 {
            let key = PrivateKey::from_bytes(stream.bytes()).public();
            multiples.multiply(&Scalar::ONE, &key).unwrap();
        }
        assert_eq!(multiples.keys.len(), KEYS_MAX);
    }

    #[test]
    fn a_key_on_the_twist_is_left_to_others_and_one_of_low_order_gives_zero() {
        let mut multiples = Multiples::new(1);
        let twist = PublicKey::from_bytes([2; 32]);
        assert!(MontgomeryPoint([2; 32]).to_edwards(0).is_none());
        assert!(multiples.multiply(&Scalar::ONE, &twist).is_none());
        let low = PublicKey::from_bytes([0; 32]);
        assert_eq!(*u_of(&multiples.multiply(&Scalar::ONE, &low).unwrap()), [0; 32]);
    }
}
