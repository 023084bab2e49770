//! The keys of a client and of the nodes it talks to.
//!
//! Text form of every key is base58 (Bitcoin alphabet, no checksum), and decoding yields exactly
//! 32 bytes. Secrets are wiped on drop and never printed. (protocol: messages 1)

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy::Stream;
use crate::x25519;

/// Why a key was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not base58.
    #[error("not base58 text")]
    Base58,
    /// The key does not have 32 bytes.
    #[error("a key has 32 bytes, this one has {0}")]
    Length(usize),
    /// The bytes are no point of the Ed25519 curve.
    #[error("not a point of the Ed25519 curve")]
    NotAPoint,
    /// The X25519 key has low order or lies on the twist, so that anybody or nobody could share a
    /// secret with its owner.
    #[error("an X25519 key of low order or on the twist")]
    Degenerate,
}

pub(crate) fn base58_array<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    // base58 needs at most 1.4 characters a byte; longer text cannot fit and is not decoded
    if text.len() > N * 2 {
        return Err(KeyError::Length(text.len()));
    }
    let bytes = bs58::decode(text).into_vec().map_err(|_| KeyError::Base58)?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| KeyError::Length(length))
}

/// An Ed25519 public key: names a client at its gateway, or a gateway. 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityKey([u8; 32]);

impl IdentityKey {
    /// Takes 32 bytes that must be a point of the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        Ok(Self(bytes))
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// True if `signature` is this key's signature over `message` (the ordinary, cofactorless
    /// check).
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        use ed25519_dalek::Verifier as _;
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| {
            key.verify(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
        })
    }
}

impl fmt::Display for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(&self.0).into_string())
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKey({self})")
    }
}

impl FromStr for IdentityKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(base58_array(text)?)
    }
}

/// An X25519 public key. 32 bytes, any value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes the 32 bytes of a key; every value is accepted (see [`PublicKey::is_degenerate`]).
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// True if the key has low order or lies on the twist of the curve. No honest key does.
    #[must_use]
    pub fn is_degenerate(&self) -> bool {
        use curve25519_dalek::traits::IsIdentity as _;
        match curve25519_dalek::MontgomeryPoint(self.0).to_edwards(0) {
            None => true,
            Some(point) => point.mul_by_cofactor().is_identity(),
        }
    }

    /// This key if it is a usable one.
    pub fn checked(self) -> Result<Self, KeyError> {
        if self.is_degenerate() { Err(KeyError::Degenerate) } else { Ok(self) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(&self.0).into_string())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        base58_array(text).map(Self)
    }
}

/// An X25519 private key. Stored as given, clamped at each use.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PrivateKey([u8; 32]);

impl PrivateKey {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws a new key.
    #[must_use]
    pub fn generate(stream: &mut Stream) -> Self {
        Self(stream.bytes())
    }

    /// The 32 bytes of the key. Handle with care.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(x25519::public(&self.0))
    }

    /// X25519 with a peer's public key. `None` if the result is all zero, which only a degenerate
    /// key produces.
    #[must_use]
    pub fn agree(&self, peer: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        contributory(x25519::x25519(&self.0, &peer.0))
    }
}

/// The shared secret unless it is all zero.
pub(crate) fn contributory(secret: Zeroizing<[u8; 32]>) -> Option<Zeroizing<[u8; 32]>> {
    let is_zero: bool = secret.ct_eq(&[0; 32]).into();
    (!is_zero).then_some(secret)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(<redacted>)")
    }
}

/// An Ed25519 key pair.
#[derive(Clone)]
pub struct IdentityKeyPair {
    signing: SigningKey,
    public: IdentityKey,
}

impl IdentityKeyPair {
    /// The pair that belongs to a 32-byte seed (the private key of RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let public = IdentityKey(signing.verifying_key().to_bytes());
        Self { signing, public }
    }

    /// Draws a new pair.
    #[must_use]
    pub fn generate(stream: &mut Stream) -> Self {
        Self::from_seed(&Zeroizing::new(stream.bytes()))
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &IdentityKey {
        &self.public
    }

    /// The 32-byte seed. Handle with care.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// Signs `message` (deterministic).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for IdentityKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKeyPair({}, <redacted>)", self.public)
    }
}

/// The key under which a client seals the content of its own acks; known to nobody else. 16 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AckKey([u8; 16]);

impl AckKey {
    /// Takes the 16 bytes of a key.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the key. Handle with care.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for AckKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for AckKey {}

impl fmt::Debug for AckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AckKey(<redacted>)")
    }
}

/// All long-term keys of one client.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Signs registrations and authentications; its public half is the client's name.
    pub identity: IdentityKeyPair,
    /// Decrypts fragments that are no replies.
    pub encryption: PrivateKey,
    /// Seals the content of acks.
    pub ack: AckKey,
}

impl Identity {
    /// Draws a new identity: identity pair, encryption key, ack key, in this order.
    #[must_use]
    pub fn generate(stream: &mut Stream) -> Self {
        Self {
            identity: IdentityKeyPair::generate(stream),
            encryption: PrivateKey::generate(stream),
            ack: AckKey(stream.bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};

    #[test]
    fn the_eight_low_order_keys_and_a_twist_key_are_degenerate() {
        let mut zero = [0; 32];
        assert!(PublicKey::from_bytes(zero).is_degenerate());
        zero[0] = 1;
        assert!(PublicKey::from_bytes(zero).is_degenerate());
        // u = 2 has no y on the curve: it is on the twist
        zero[0] = 2;
        assert!(PublicKey::from_bytes(zero).is_degenerate());
        zero[0] = 9;
        assert!(!PublicKey::from_bytes(zero).is_degenerate());
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let identity = Identity::generate(&mut Entropy::new([3; 32]).stream(Purpose::Identity));
        let text = format!("{identity:?}");
        assert_eq!(text.matches("redacted").count(), 3);
        let seed = bs58::encode(&*identity.identity.seed()).into_string();
        assert!(!text.contains(&seed));
    }

    #[test]
    fn a_signature_verifies_only_over_its_own_message() {
        let pair = IdentityKeyPair::from_seed(&[5; 32]);
        let signature = pair.sign(b"one");
        assert!(pair.public().has_signed(b"one", &signature));
        assert!(!pair.public().has_signed(b"two", &signature));
    }

    #[test]
    fn agreement_with_a_low_order_key_yields_nothing() {
        let private = PrivateKey::from_bytes([9; 32]);
        assert!(private.agree(&PublicKey::from_bytes([0; 32])).is_none());
    }

    #[test]
    fn overlong_base58_text_is_refused_before_decoding() {
        let text = "1".repeat(1000);
        assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Length(1000)));
    }

    proptest! {
        #[test]
        fn keys_survive_their_text_form(seed: [u8; 32]) {
            let identity = *IdentityKeyPair::from_seed(&seed).public();
            prop_assert_eq!(identity.to_string().parse(), Ok(identity));
            let public = PrivateKey::from_bytes(seed).public();
            prop_assert_eq!(public.to_string().parse(), Ok(public));
        }

        #[test]
        fn any_text_is_a_key_that_prints_the_same_or_an_error(text in ".{0,60}") {
            if let Ok(key) = text.parse::<PublicKey>() {
                prop_assert_eq!(key.to_string(), text.clone());
            }
            if let Ok(key) = text.parse::<IdentityKey>() {
                prop_assert_eq!(key.to_string(), text);
            }
        }

        #[test]
        fn a_key_cut_short_is_refused(seed: [u8; 32], cut in 0usize..32) {
            let text = bs58::encode(&seed[..cut]).into_string();
            prop_assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Length(cut)));
        }

        #[test]
        fn a_flipped_bit_gives_another_key_or_none(seed: [u8; 32], bit in 0usize..256) {
            let key = *IdentityKeyPair::from_seed(&seed).public();
            let mut bytes = *key.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(IdentityKey::from_bytes(bytes), Ok(key));
        }
    }
}
