//! X25519 by way of the Edwards form of the curve, where multiplication is faster.
//!
//! A clamped secret is a multiple of 8. So the X25519 function is `secret / 8 * (8 * point)`, and only
//! the u coordinate of the result counts: it is the same for both points with the u of the key. What is
//! multiplied is in the prime-order subgroup, where factors count modulo its order.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use zeroize::Zeroizing;

/// X25519 of a secret, clamped here, and any 32 bytes as the other side's key; in constant time for
/// all secrets.
pub(crate) fn x25519(secret: &[u8; 32], key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    native::x25519(secret, key).unwrap_or_else(|| portable(secret, key))
}

/// The public key of a secret.
pub(crate) fn public(secret: &[u8; 32]) -> [u8; 32] {
    native::public(secret).unwrap_or_else(|| MontgomeryPoint::mul_base_clamped(*secret).0)
}

/// The public keys of several secrets.
pub(crate) fn publics<'a>(secrets: impl Iterator<Item = &'a [u8; 32]> + Clone) -> Vec<[u8; 32]> {
    let keys: Option<_> = secrets.clone().map(native::public).collect();
    keys.unwrap_or_else(|| portable_publics(secrets))
}

fn portable_publics<'a>(secrets: impl Iterator<Item = &'a [u8; 32]>) -> Vec<[u8; 32]> {
    let points = secrets.map(|secret| EdwardsPoint::mul_base_clamped(*secret));
    let points = Zeroizing::new(points.collect::<Vec<_>>());
    EdwardsPoint::to_montgomery_batch(&points).into_iter().map(|key| key.0).collect()
}

fn portable(secret: &[u8; 32], key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let key = MontgomeryPoint(*key);
    match key.to_edwards(0) {
        Some(point) => u_of(&Zeroizing::new(point.mul_by_cofactor() * *eighth_of_clamped(secret))),
        // the u of a point on the twist, which has no Edwards form here
        None => Zeroizing::new(key.mul_clamped(*secret).0),
    }
}

/// The functions of `graviola`, which take three fifths and half of the time; `None` if the processor
/// lacks an instruction.
#[cfg(all(feature = "graviola", target_arch = "x86_64"))]
mod native {
    use graviola::key_agreement::x25519::{PublicKey, StaticPrivateKey};
    use zeroize::Zeroizing;

    pub(super) fn x25519(secret: &[u8; 32], key: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = private(secret)?.diffie_hellman(&PublicKey::from_array(key));
        // the only error is a result of zero
        Some(Zeroizing::new(shared.map_or([0; 32], |shared| shared.0)))
    }

    pub(super) fn public(secret: &[u8; 32]) -> Option<[u8; 32]> {
        Some(private(secret)?.public_key().as_bytes())
    }

    fn private(secret: &[u8; 32]) -> Option<StaticPrivateKey> {
        is_supported().then(|| StaticPrivateKey::from_array(secret))
    }

    /// What the crate insists on. The answers of the processor are kept by the standard library.
    fn is_supported() -> bool {
        is_x86_feature_detected!("adx")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("avx")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("pclmulqdq")
    }
}

#[cfg(not(all(feature = "graviola", target_arch = "x86_64")))]
mod native {
    use zeroize::Zeroizing;

    pub(super) fn x25519(_: &[u8; 32], _: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        None
    }

    pub(super) fn public(_: &[u8; 32]) -> Option<[u8; 32]> {
        None
    }
}

/// The u coordinate of a point.
pub(crate) fn u_of(point: &EdwardsPoint) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(point.to_montgomery().0)
}

/// An eighth of the clamped secret, a whole number below the order of the group's prime part.
pub(crate) fn eighth_of_clamped(secret: &[u8; 32]) -> Zeroizing<Scalar> {
    let mut bytes = Zeroizing::new(clamp_integer(*secret));
    let mut carry = 0;
    for byte in bytes.iter_mut().rev() {
        (*byte, carry) = (*byte >> 3 | carry, *byte << 5);
    }
    Zeroizing::new(Scalar::from_bytes_mod_order(*bytes))
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{EIGHT_TORSION, X25519_BASEPOINT};
    use proptest::prelude::*;
    use x25519_dalek::{PublicKey, StaticSecret};

    use super::*;

    fn oracle(secret: [u8; 32], key: [u8; 32]) -> [u8; 32] {
        StaticSecret::from(secret).diffie_hellman(&PublicKey::from(key)).to_bytes()
    }

    /// Both ways of doing it, which agree.
    fn x25519(secret: &[u8; 32], key: &[u8; 32]) -> [u8; 32] {
        let result = *super::x25519(secret, key);
        assert_eq!(*portable(secret, key), result);
        result
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Half of all keys are on the twist.
        #[test]
        fn any_key_gives_what_the_ladder_gives(secret: [u8; 32], key: [u8; 32]) {
            prop_assert_eq!(x25519(&secret, &key), oracle(secret, key));
        }

        #[test]
        fn so_does_one_with_a_part_of_small_order(
            secret: [u8; 32], private: [u8; 32], torsion in 0usize..8, top: bool,
        ) {
            let point = EdwardsPoint::mul_base_clamped(private) + EIGHT_TORSION[torsion];
            let mut key = point.to_montgomery().0;
            key[31] |= u8::from(top) << 7;
            prop_assert_eq!(x25519(&secret, &key), oracle(secret, key));
        }

        #[test]
        fn public_keys_are_those_of_the_ladder(secrets in prop::collection::vec(any::<[u8; 32]>(), 0..4)) {
            let expected: Vec<_> = secrets.iter().map(|secret| oracle(*secret, X25519_BASEPOINT.0)).collect();
            prop_assert_eq!(publics(secrets.iter()), expected.clone());
            let alone: Vec<_> = secrets.iter().map(public).collect();
            prop_assert_eq!(alone, expected.clone());
            prop_assert_eq!(portable_publics(secrets.iter()), expected);
        }

        #[test]
        fn so_does_one_next_to_zero_or_the_prime(secret: [u8; 32], low in 0u8..40, is_high: bool) {
            let mut key = [0_u8; 32];
            if is_high {
                key = [0xff; 32];
                key[31] = 0x7f;
            }
            key[0] = key[0].wrapping_sub(20).wrapping_add(low);
            prop_assert_eq!(x25519(&secret, &key), oracle(secret, key));
        }
    }
}
