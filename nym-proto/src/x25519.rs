//! X25519 by way of the Edwards form of the curve, where multiplication is faster.
//!
//! A clamped secret is a multiple of 8. So the X25519 function is `8 * (secret / 8 * point)`, and only
//! the u coordinate of the result counts: it is the same for both points with the u of the key.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use zeroize::Zeroizing;

/// X25519 of a secret, clamped here, and any 32 bytes as the other side's key; in constant time for
/// all secrets.
pub(crate) fn x25519(secret: &[u8; 32], key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let key = MontgomeryPoint(*key);
    match key.to_edwards(0) {
        Some(point) => eightfold(&Zeroizing::new(point * *eighth_of_clamped(secret))),
        // the u of a point on the twist, which has no Edwards form here
        None => Zeroizing::new(key.mul_clamped(*secret).0),
    }
}

/// The u coordinate of `8 * point`.
pub(crate) fn eightfold(point: &EdwardsPoint) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Zeroizing::new(point.mul_by_cofactor()).to_montgomery().0)
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
    use curve25519_dalek::constants::EIGHT_TORSION;
    use proptest::prelude::*;
    use x25519_dalek::{PublicKey, StaticSecret};

    use super::*;

    fn oracle(secret: [u8; 32], key: [u8; 32]) -> [u8; 32] {
        StaticSecret::from(secret).diffie_hellman(&PublicKey::from(key)).to_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Half of all keys are on the twist.
        #[test]
        fn any_key_gives_what_the_ladder_gives(secret: [u8; 32], key: [u8; 32]) {
            prop_assert_eq!(*x25519(&secret, &key), oracle(secret, key));
        }

        #[test]
        fn so_does_one_with_a_part_of_small_order(
            secret: [u8; 32], private: [u8; 32], torsion in 0usize..8, top: bool,
        ) {
            let point = EdwardsPoint::mul_base_clamped(private) + EIGHT_TORSION[torsion];
            let mut key = point.to_montgomery().0;
            key[31] |= u8::from(top) << 7;
            prop_assert_eq!(*x25519(&secret, &key), oracle(secret, key));
        }

        #[test]
        fn so_does_one_next_to_zero_or_the_prime(secret: [u8; 32], low in 0u8..40, is_high: bool) {
            let mut key = [0_u8; 32];
            if is_high {
                key = [0xff; 32];
                key[31] = 0x7f;
            }
            key[0] = key[0].wrapping_sub(20).wrapping_add(low);
            prop_assert_eq!(*x25519(&secret, &key), oracle(secret, key));
        }
    }
}
