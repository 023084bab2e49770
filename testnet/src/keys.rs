//! The keys of a node, and their rotation. (protocol: sphinx 15)

use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::{PrivateKey, PublicKey};
use nym_proto::sphinx::{KeyRotation, ReplayTag};
use zeroize::Zeroizing;

use crate::epoch::HeldRotations;
use crate::replay::ReplayFilter;

/// Where a node's Sphinx keys come from: one per rotation.
#[derive(Clone)]
pub struct SphinxKeys(Source);

#[derive(Clone)]
enum Source {
    Derived(Zeroizing<[u8; 32]>),
    Fixed(PrivateKey),
}

impl SphinxKeys {
    /// Every rotation has a key of its own, derived from `seed`.
    #[must_use]
    pub fn derived(seed: [u8; 32]) -> Self {
        Self(Source::Derived(Zeroizing::new(seed)))
    }

    /// All rotations have the same key.
    #[must_use]
    pub fn fixed(key: PrivateKey) -> Self {
        Self(Source::Fixed(key))
    }

    /// The private key for a rotation.
    #[must_use]
    pub fn private(&self, rotation: u32) -> PrivateKey {
        match &self.0 {
            Source::Derived(seed) => {
                PrivateKey::generate(&mut Entropy::new(**seed).stream(Purpose::Other(rotation)))
            }
            Source::Fixed(key) => key.clone(),
        }
    }

    /// The public key for a rotation.
    #[must_use]
    pub fn public(&self, rotation: u32) -> PublicKey {
        self.private(rotation).public()
    }
}

impl core::fmt::Debug for SphinxKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SphinxKeys(<redacted>)")
    }
}

/// One key in use, with the packets seen under it.
#[derive(Debug)]
pub(crate) struct HeldKey {
    rotation: u32,
    key: PrivateKey,
    seen: ReplayFilter,
}

impl HeldKey {
    pub(crate) const fn private(&self) -> &PrivateKey {
        &self.key
    }

    /// Records a packet; false if it is a replay.
    pub(crate) fn record(&mut self, tag: ReplayTag) -> bool {
        self.seen.insert(tag)
    }

    fn has_parity(&self, rotation: KeyRotation) -> bool {
        match rotation {
            KeyRotation::Unknown => true,
            KeyRotation::Odd => self.rotation % 2 == 1,
            KeyRotation::Even => self.rotation.is_multiple_of(2),
        }
    }
}

/// The one or two keys a node accepts packets for.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: SphinxKeys,
    tags_max: usize,
    primary: HeldKey,
    secondary: Option<HeldKey>,
}

impl KeyRing {
    pub(crate) fn new(keys: SphinxKeys, held: HeldRotations, tags_max: usize) -> Self {
        let make = |rotation| HeldKey {
            rotation,
            key: keys.private(rotation),
            seen: ReplayFilter::new(tags_max),
        };
        Self { primary: make(held.primary), secondary: held.secondary.map(make), keys, tags_max }
    }

    pub(crate) fn held(&self) -> HeldRotations {
        HeldRotations {
            primary: self.primary.rotation,
            secondary: self.secondary.as_ref().map(|key| key.rotation),
        }
    }

    /// Holds exactly these keys from now on. A key that stays keeps its replay tags; a key that
    /// goes is destroyed together with them.
    pub(crate) fn hold(&mut self, held: HeldRotations) {
        if held == self.held() {
            return;
        }
        let fresh = Self::new(self.keys.clone(), held, self.tags_max);
        let old = core::mem::replace(self, fresh);
        for key in core::iter::once(old.primary).chain(old.secondary) {
            if key.rotation == self.primary.rotation {
                self.primary = key;
            } else if let Some(secondary) = &mut self.secondary
                && secondary.rotation == key.rotation
            {
                *secondary = key;
            }
        }
    }

    /// The keys to try for a packet with this rotation value, in order. (protocol: sphinx 13.1)
    pub(crate) fn candidates(
        &mut self,
        rotation: KeyRotation,
    ) -> impl Iterator<Item = &mut HeldKey> {
        core::iter::once(&mut self.primary)
            .chain(self.secondary.as_mut())
            .filter(move |key| key.has_parity(rotation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(primary: u32, secondary: Option<u32>) -> HeldRotations {
        HeldRotations { primary, secondary }
    }

    fn rotations(ring: &mut KeyRing, rotation: KeyRotation) -> Vec<u32> {
        ring.candidates(rotation).map(|key| key.rotation).collect()
    }

    #[test]
    fn the_rotation_value_of_a_packet_selects_the_key() {
        let mut ring = KeyRing::new(SphinxKeys::derived([1; 32]), held(4, Some(5)), 10);
        assert_eq!(rotations(&mut ring, KeyRotation::Unknown), [4, 5]);
        assert_eq!(rotations(&mut ring, KeyRotation::Odd), [5]);
        assert_eq!(rotations(&mut ring, KeyRotation::Even), [4]);
        ring.hold(held(5, None));
        assert_eq!(rotations(&mut ring, KeyRotation::Even), [0; 0]);
    }

    #[test]
    fn a_key_keeps_its_replay_tags_when_it_becomes_primary_and_loses_them_with_the_key() {
        let mut ring = KeyRing::new(SphinxKeys::derived([1; 32]), held(4, Some(5)), 10);
        let tag = ReplayTag([7; 32]);
        let record = |ring: &mut KeyRing| {
            ring.candidates(KeyRotation::Odd).next().map(|key| key.record(tag))
        };
        assert_eq!(record(&mut ring), Some(true));
        ring.hold(held(5, Some(4)));
        assert_eq!(record(&mut ring), Some(false));
        ring.hold(held(6, None));
        ring.hold(held(6, Some(5)));
        assert_eq!(record(&mut ring), Some(true));
    }

    #[test]
    fn keys_of_different_rotations_differ_unless_fixed() {
        let derived = SphinxKeys::derived([2; 32]);
        assert_ne!(derived.public(1), derived.public(2));
        let fixed = SphinxKeys::fixed(PrivateKey::from_bytes([3; 32]));
        assert_eq!(fixed.public(1), fixed.public(2));
    }
}
