//! End-to-end encryption of fragments. (protocol: messages 7)
//!
//! A buffer is `prefix (32) || fragment`. The prefix tells the recipient the key: it is an
//! ephemeral public key, or the digest of a reply key. There is no authentication tag: a wrong key
//! gives noise, which the fragment parser then judges.

use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use thiserror::Error;
use zeroize::Zeroizing;

use super::reply::{ReplyDigest, ReplyKey};
use crate::entropy::Stream;
use crate::hkdf_blake3;
use crate::identity::{PrivateKey, PublicKey};
use crate::sphinx::SphinxBuilder;

/// Bytes in front of the encrypted fragment. (protocol: messages 7.2)
pub const CIPHER_PREFIX: usize = 32;

/// Why a fragment was not encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The buffer is shorter than the prefix.
    #[error("a buffer of {0} bytes has no room for the prefix of {CIPHER_PREFIX}")]
    Buffer(usize),
    /// The recipient's key has low order.
    #[error("the recipient's encryption key has low order")]
    Degenerate,
}

/// The build seam of end-to-end encryption: whoever builds packets also encrypts what they carry
/// for the recipient, and opens what arrives. Replies are not part of it.
pub trait FragmentCipher: Send {
    /// As [`seal`].
    ///
    /// # Errors
    /// As [`seal`].
    fn seal_fragment(
        &mut self,
        recipient_key: &PublicKey,
        buffer: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), SealError>;

    /// As [`open`].
    fn open_fragment<'a>(&self, private: &PrivateKey, buffer: &'a mut [u8])
    -> Option<&'a mut [u8]>;
}

impl FragmentCipher for SphinxBuilder {
    fn seal_fragment(
        &mut self,
        recipient_key: &PublicKey,
        buffer: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), SealError> {
        let ephemeral = PrivateKey::generate(stream);
        let shared = self.agree(&ephemeral, recipient_key);
        seal_under(&ephemeral.public(), shared, buffer)
    }

    fn open_fragment<'a>(
        &self,
        private: &PrivateKey,
        buffer: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        open(private, buffer)
    }
}

/// Encrypts the fragment in `buffer`, which stands after [`CIPHER_PREFIX`] bytes, for the holder of
/// `recipient_key`, under an ephemeral key drawn from `stream` (32 bytes). Leaves the fragment as
/// it is on error.
pub fn seal(
    recipient_key: &PublicKey,
    buffer: &mut [u8],
    stream: &mut Stream,
) -> Result<(), SealError> {
    seal_with(&PrivateKey::generate(stream), recipient_key, buffer)
}

/// [`seal`] with a given ephemeral key, which must not be used for anything else.
pub fn seal_with(
    ephemeral: &PrivateKey,
    recipient_key: &PublicKey,
    buffer: &mut [u8],
) -> Result<(), SealError> {
    seal_under(&ephemeral.public(), ephemeral.agree(recipient_key), buffer)
}

/// Encrypts under what the ephemeral key and the recipient's agree on.
fn seal_under(
    ephemeral: &PublicKey,
    shared: Option<Zeroizing<[u8; 32]>>,
    buffer: &mut [u8],
) -> Result<(), SealError> {
    let (prefix, fragment) = split(buffer)?;
    let shared = shared.ok_or(SealError::Degenerate)?;
    let key = fragment_key(&shared).ok_or(SealError::Degenerate)?;
    *prefix = *ephemeral.as_bytes();
    apply(&key, &[0; 16], fragment);
    Ok(())
}

/// Encrypts the fragment in `buffer` under the key that came with a SURB. A key serves one packet.
pub fn seal_reply(key: &ReplyKey, buffer: &mut [u8]) -> Result<(), SealError> {
    let (prefix, fragment) = split(buffer)?;
    *prefix = *key.digest().as_bytes();
    apply(key.as_bytes(), &[0; 16], fragment);
    Ok(())
}

/// Decrypts a delivered push that is no reply, in place, and returns the fragment. `None` if it is
/// shorter than the prefix, or if the prefix is a key of low order.
pub fn open<'a>(private: &PrivateKey, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (prefix, fragment) = split(buffer).ok()?;
    let key = fragment_key(&*private.agree(&PublicKey::from_bytes(*prefix))?)?;
    apply(&key, &[0; 16], fragment);
    Some(fragment)
}

/// The digest a delivered push begins with if it is a reply: its first 32 bytes. `None` if it is
/// shorter.
#[must_use]
pub fn reply_digest_of(buffer: &[u8]) -> Option<ReplyDigest> {
    buffer.first_chunk().map(|bytes| ReplyDigest::from_bytes(*bytes))
}

/// Decrypts a delivered reply in place and returns the fragment. `None` if it is shorter than the
/// prefix. Whether `key` is the right one is the caller's knowledge ([`reply_digest_of`]).
pub fn open_reply<'a>(key: &ReplyKey, buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let (_, fragment) = split(buffer).ok()?;
    apply(key.as_bytes(), &[0; 16], fragment);
    Some(fragment)
}

/// XORs `bytes` with the AES-128 key stream, the counter being the whole IV as a big-endian number.
pub(super) fn apply(key: &[u8; 16], iv: &[u8; 16], bytes: &mut [u8]) {
    ctr::Ctr128BE::<aes::Aes128>::new(key.into(), iv.into()).apply_keystream(bytes);
}

fn split(buffer: &mut [u8]) -> Result<(&mut [u8; CIPHER_PREFIX], &mut [u8]), SealError> {
    let len = buffer.len();
    buffer.split_first_chunk_mut().ok_or(SealError::Buffer(len))
}

/// HKDF over HMAC-BLAKE3 without salt and info, cut to 16 bytes. (protocol: messages 7.1)
fn fragment_key(shared: &[u8; 32]) -> Option<Zeroizing<[u8; 16]>> {
    // no salt is a salt of zeros
    let block = hkdf_blake3::derive(&[0; 32], shared);
    block.first_chunk().copied().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};

    #[test]
    fn agreement_and_key_derivation_give_the_values_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../vectors/sphinx.json")).unwrap();
        let vectors = &vectors["end_to_end_encryption"];
        let bytes = |value: &serde_json::Value| hex::decode(value.as_str().unwrap()).unwrap();
        let array = |value| <[u8; 32]>::try_from(bytes(value)).unwrap();

        for case in vectors["forward"].as_array().unwrap() {
            let private = PrivateKey::from_bytes(array(&case["recipient_private_key"]));
            let public = PublicKey::from_bytes(array(&case["ephemeral_public_key"]));
            let dh = private.agree(&public).unwrap();
            assert_eq!(dh[..], bytes(&case["dh"]));
            let key = fragment_key(&private.agree(&public).unwrap()).unwrap();
            assert_eq!(key[..], bytes(&case["key_16"]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_sealed_opens_with_the_private_key_alone(
            seed: [u8; 32],
            fragment in prop::collection::vec(any::<u8>(), 16..200),
        ) {
            let mut stream = Entropy::new(seed).stream(Purpose::Packets);
            let private = PrivateKey::generate(&mut stream);
            let mut buffer = [&[0; CIPHER_PREFIX][..], &fragment[..]].concat();
            seal(&private.public(), &mut buffer, &mut stream).unwrap();

            let mut other = buffer.clone();
            prop_assert_ne!(&open(&PrivateKey::generate(&mut stream), &mut other).unwrap()[..], &fragment[..]);
            prop_assert_eq!(&open(&private, &mut buffer).unwrap()[..], &fragment[..]);
        }

        #[test]
        fn a_reply_names_its_key_and_opens_with_it(
            key: [u8; 16],
            fragment in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let key = ReplyKey::from_bytes(key);
            let mut buffer = [&[0; CIPHER_PREFIX][..], &fragment[..]].concat();
            seal_reply(&key, &mut buffer).unwrap();

            prop_assert_eq!(reply_digest_of(&buffer), Some(key.digest()));
            prop_assert_eq!(&open_reply(&key, &mut buffer).unwrap()[..], &fragment[..]);
        }

        #[test]
        fn buffers_of_any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            let long = bytes.len() >= CIPHER_PREFIX;
            let mut buffer = bytes.clone();
            let _ = open(&PrivateKey::from_bytes([7; 32]), &mut buffer);
            prop_assert_eq!(reply_digest_of(&bytes).is_some(), long);
            let key = ReplyKey::from_bytes([1; 16]);
            prop_assert_eq!(open_reply(&key, &mut buffer).is_some(), long);
            prop_assert_eq!(seal_reply(&key, &mut buffer).is_ok(), long);
        }
    }

    #[test]
    fn a_recipient_key_of_low_order_is_refused_and_the_fragment_stays() {
        let mut buffer = [5; 40];
        let ephemeral = PrivateKey::from_bytes([9; 32]);
        let result = seal_with(&ephemeral, &PublicKey::from_bytes([0; 32]), &mut buffer);
        assert_eq!(result, Err(SealError::Degenerate));
        assert_eq!(buffer, [5; 40]);
        assert!(open(&ephemeral, &mut [0; 40]).is_none());
    }
}
