//! The key a client and its gateway share. (protocol: gateway 3)

use core::fmt;

use aes_gcm_siv::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::hkdf_blake3;
use crate::identity::{KeyError, PrivateKey, PublicKey, base58_array};

/// Bytes of an encryption nonce.
pub const NONCE_SIZE: usize = 12; // protocol: gateway 18
/// Bytes of an authentication tag.
pub const TAG_SIZE: usize = 16; // protocol: gateway 18

/// The key agreement gave nothing: the peer's ephemeral key has low order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the peer's ephemeral key has low order")]
pub struct DegenerateKey;

/// A ciphertext does not belong to this key and nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not encrypted under the shared key")]
pub struct DecryptionError;

/// The 32-byte AES-256-GCM-SIV key of one client at one gateway.
///
/// It is made by a registration, serves every purpose in both directions, and outlives
/// connections. It is wiped on drop, never printed, and compares in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharedKey([u8; 32]);

impl SharedKey {
    /// Derives the key from an ephemeral key of ours, the peer's, and the initiator's salt.
    /// (protocol: gateway 3.2)
    pub fn derive(
        own: &PrivateKey,
        peer: &PublicKey,
        salt: &[u8; 16],
    ) -> Result<Self, DegenerateKey> {
        let agreed = own.agree(peer).ok_or(DegenerateKey)?;
        Ok(Self(*hkdf_blake3::derive(salt, &agreed)))
    }

    /// Takes the 32 bytes of a key.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key. Handle with care.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the base58 form. (protocol: gateway 3.3)
    pub fn from_base58(text: &str) -> Result<Self, KeyError> {
        base58_array(text).map(Self)
    }

    /// The base58 form. Handle with care.
    #[must_use]
    pub fn to_base58(&self) -> Zeroizing<String> {
        Zeroizing::new(bs58::encode(&self.0).into_string())
    }

    /// Encrypts `buffer` in place and returns the tag. `nonce` must be fresh. (protocol: gateway 3.4)
    #[must_use]
    pub fn seal_detached(&self, nonce: &[u8; NONCE_SIZE], buffer: &mut [u8]) -> [u8; TAG_SIZE] {
        let sealed =
            self.cipher().encrypt_inout_detached(&Nonce::from(*nonce), &[], (&mut *buffer).into());
        match sealed {
            Ok(tag) => tag.into(),
            // only a buffer beyond 64 GiB gets here; its plaintext must not leave
            Err(_) => {
                buffer.zeroize();
                [0; TAG_SIZE]
            }
        }
    }

    /// Encrypts `buffer` in place and appends the tag. `nonce` must be fresh.
    pub fn seal(&self, nonce: &[u8; NONCE_SIZE], buffer: &mut Vec<u8>) {
        let tag = self.seal_detached(nonce, buffer);
        buffer.extend_from_slice(&tag);
    }

    /// Decrypts `buffer` in place against a tag that stands elsewhere.
    pub fn open_detached(
        &self,
        nonce: &[u8; NONCE_SIZE],
        buffer: &mut [u8],
        tag: &[u8; TAG_SIZE],
    ) -> Result<(), DecryptionError> {
        self.cipher()
            .decrypt_inout_detached(&Nonce::from(*nonce), &[], buffer.into(), &Tag::from(*tag))
            .map_err(|_| DecryptionError)
    }

    /// Decrypts `buffer`, ciphertext and tag, in place and returns the part that holds the
    /// plaintext. After an error the content of `buffer` is undefined.
    pub fn open<'a>(
        &self,
        nonce: &[u8; NONCE_SIZE],
        buffer: &'a mut [u8],
    ) -> Result<&'a mut [u8], DecryptionError> {
        let (text, tag) = buffer.split_last_chunk_mut::<TAG_SIZE>().ok_or(DecryptionError)?;
        self.open_detached(nonce, text, tag)?;
        Ok(text)
    }

    fn cipher(&self) -> Aes256GcmSiv {
        Aes256GcmSiv::new(&self.0.into())
    }
}

impl PartialEq for SharedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SharedKey {}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_nothing_else_does(
            key: [u8; 32],
            nonce: [u8; 12],
            text: Vec<u8>,
            flip: (usize, u8),
        ) {
            let key = SharedKey::from_bytes(key);
            let mut sealed = text.clone();
            key.seal(&nonce, &mut sealed);
            let mut copy = sealed.clone();
            prop_assert_eq!(key.open(&nonce, &mut copy), Ok(&mut text.clone()[..]));

            let at = flip.0 % sealed.len();
            sealed[at] ^= 1 << (flip.1 % 8);
            prop_assert_eq!(key.open(&nonce, &mut sealed), Err(DecryptionError));
        }

        #[test]
        fn arbitrary_bytes_do_not_open(key: [u8; 32], nonce: [u8; 12], mut bytes: Vec<u8>) {
            let key = SharedKey::from_bytes(key);
            prop_assert_eq!(key.open(&nonce, &mut bytes), Err(DecryptionError));
        }
    }

    #[test]
    fn both_sides_derive_the_same_key_and_low_order_peers_get_none() {
        let (a, b) = (PrivateKey::from_bytes([1; 32]), PrivateKey::from_bytes([2; 32]));
        let salt = [3; 16];
        let one = SharedKey::derive(&a, &b.public(), &salt);
        assert!(one.is_ok());
        assert_eq!(one, SharedKey::derive(&b, &a.public(), &salt));
        let low = PublicKey::from_bytes([0; 32]);
        assert_eq!(SharedKey::derive(&a, &low, &salt), Err(DegenerateKey));
    }

    #[test]
    fn a_shared_key_does_not_show_in_debug_output() {
        let key = SharedKey::from_bytes([7; 32]);
        assert_eq!(format!("{key:?}"), "SharedKey(<redacted>)");
    }

    #[test]
    fn the_base58_form_reads_back_and_must_have_32_bytes() {
        let key = SharedKey::from_bytes([7; 32]);
        assert_eq!(SharedKey::from_base58(&key.to_base58()), Ok(key));
        assert_eq!(SharedKey::from_base58("11"), Err(KeyError::Length(2)));
    }
}
