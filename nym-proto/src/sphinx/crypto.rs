//! The primitives of the packet layer. (protocol: sphinx 1, 3, 7.1)
//!
//! Everything works in place or on fixed arrays; nothing allocates.

use aes::Aes128;
use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use ctr::Ctr64BE;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Length of the expanded shared secret of one hop. (protocol: sphinx 3)
pub(super) const SECRET_SIZE: usize = 288;
/// Length of a payload key.
pub(super) const PAYLOAD_KEY_SIZE: usize = 192;
/// Length of the seed of a payload key.
pub(super) const SEED_SIZE: usize = 16;
/// Length of a slot of the header. (protocol: sphinx 4)
pub(super) const SLOT_SIZE: usize = 60;
/// Length of the encrypted routing information.
pub(super) const BETA_SIZE: usize = SLOT_SIZE * super::HOPS_MAX;
/// Length of the key stream over a header: all slots and the one a hop appends.
pub(super) const STREAM_SIZE: usize = BETA_SIZE + SLOT_SIZE;
/// Shortest payload the wide-block cipher takes. (protocol: sphinx 7.1)
pub(super) const PAYLOAD_MIN: usize = BLOCK_LEFT + 1;

// protocol: sphinx 3
const SECRET_INFO: &[u8] =
    b"Dwste mou enan moxlo arketa makru kai ena upomoxlio gia na ton topothetisw kai tha kinisw thn gh.";
const PAYLOAD_KEY_SALT: &[u8] = b"sphinx-payload-key-V01-CS01-HKDF:SHA256-SALT";
const PAYLOAD_KEY_INFO: &[u8] = b"sphinx-payload-key-V01-CS01-HKDF:SHA256-INFO";

const BLOCK_LEFT: usize = 32;
const MARK: u8 = 1;

/// The part of `N` bytes at offset `AT`.
pub(super) fn part<const AT: usize, const N: usize, const L: usize>(bytes: &[u8; L]) -> &[u8; N] {
    const { assert!(AT + N <= L) };
    match bytes.split_at(AT).1.first_chunk() {
        Some(part) => part,
        // not reached: the assertion above bounds the part
        None => const { &[0; N] },
    }
}

/// XORs `with` into `into`, as far as the shorter one goes.
pub(super) fn xor(into: &mut [u8], with: &[u8]) {
    for (a, b) in into.iter_mut().zip(with) {
        *a ^= b;
    }
}

fn hkdf<const N: usize>(salt: &[u8], key: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32) };
    let mut out = Zeroizing::new([0; N]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), key).expand(info, out.as_mut_slice());
    debug_assert!(expanded.is_ok(), "the only error is an overlong output");
    out
}

/// Expands the secret shared with one hop.
pub(super) fn expand(shared: &[u8; 32]) -> Zeroizing<[u8; SECRET_SIZE]> {
    hkdf(&[], shared, SECRET_INFO)
}

/// Key of the stream that encrypts the header.
pub(super) fn stream_key(secret: &[u8; SECRET_SIZE]) -> &[u8; 16] {
    part::<0, 16, _>(secret)
}

/// Key of the header's MAC.
pub(super) fn mac_key(secret: &[u8; SECRET_SIZE]) -> &[u8; 16] {
    part::<16, 16, _>(secret)
}

/// Payload key of versions up to 258; later versions use its beginning as a seed.
pub(super) fn full_payload_key(secret: &[u8; SECRET_SIZE]) -> &[u8; PAYLOAD_KEY_SIZE] {
    part::<32, PAYLOAD_KEY_SIZE, _>(secret)
}

/// Factor between this hop's public element and the next one's.
pub(super) fn blinding_factor(secret: &[u8; SECRET_SIZE]) -> &[u8; 32] {
    part::<224, 32, _>(secret)
}

/// Name of the packet at this hop.
pub(super) fn replay_tag(secret: &[u8; SECRET_SIZE]) -> &[u8; 32] {
    part::<256, 32, _>(secret)
}

/// True for the versions whose hops use the full payload key. (protocol: sphinx 2)
pub(super) const fn has_full_payload_keys(version: u16) -> bool {
    matches!(version, 1 | 257 | 258)
}

/// The payload key that belongs to a seed.
pub(super) fn payload_key_of(seed: &[u8; SEED_SIZE]) -> Zeroizing<[u8; PAYLOAD_KEY_SIZE]> {
    hkdf(PAYLOAD_KEY_SALT, seed, PAYLOAD_KEY_INFO)
}

/// XORs the header key stream into `data`, from the stream's beginning.
pub(super) fn apply_stream(key: &[u8; 16], data: &mut [u8]) {
    Ctr64BE::<Aes128>::new(key.into(), &[0; 16].into()).apply_keystream(data);
}

/// MAC over the encrypted routing information.
pub(super) fn header_mac(key: &[u8; 16], beta: &[u8; BETA_SIZE]) -> [u8; 16] {
    // HMAC fills a short key up with zeros; a full-length one cannot be refused
    let mut padded = [0; 64];
    padded[..16].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&padded.into());
    padded.zeroize();
    mac.update(beta);
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    *part::<0, 16, _>(&tag)
}

/// A block of 32 bytes or fewer, which the wide-block cipher does not take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ShortBlock;

/// Encrypts `block` as a whole, in place.
pub(super) fn lioness_encrypt(
    key: &[u8; PAYLOAD_KEY_SIZE],
    block: &mut [u8],
) -> Result<(), ShortBlock> {
    let (left, right) = halves(block)?;
    lioness_stream(part::<0, 32, _>(key), left, right);
    lioness_hash(part::<32, 64, _>(key), left, right);
    lioness_stream(part::<96, 32, _>(key), left, right);
    lioness_hash(part::<128, 64, _>(key), left, right);
    Ok(())
}

/// Undoes [`lioness_encrypt`].
pub(super) fn lioness_decrypt(
    key: &[u8; PAYLOAD_KEY_SIZE],
    block: &mut [u8],
) -> Result<(), ShortBlock> {
    let (left, right) = halves(block)?;
    lioness_hash(part::<128, 64, _>(key), left, right);
    lioness_stream(part::<96, 32, _>(key), left, right);
    lioness_hash(part::<32, 64, _>(key), left, right);
    lioness_stream(part::<0, 32, _>(key), left, right);
    Ok(())
}

fn halves(block: &mut [u8]) -> Result<(&mut [u8; BLOCK_LEFT], &mut [u8]), ShortBlock> {
    match block.split_first_chunk_mut() {
        Some((left, right)) if !right.is_empty() => Ok((left, right)),
        _ => Err(ShortBlock),
    }
}

/// `right ^= ChaCha20(left ^ key)`
fn lioness_stream(key: &[u8; 32], left: &[u8; BLOCK_LEFT], right: &mut [u8]) {
    let mut key = Zeroizing::new(*key);
    xor(key.as_mut_slice(), left);
    ChaCha20::new((&*key).into(), &[0; 12].into()).apply_keystream(right);
}

/// `left ^= BLAKE2b-256(key, right)`
fn lioness_hash(key: &[u8; 64], left: &mut [u8; BLOCK_LEFT], right: &[u8]) {
    let mut mac = Blake2bMac::<U32>::new(key.into());
    mac.update(right);
    let digest: [u8; 32] = mac.finalize().into_bytes().into();
    xor(left, &digest);
}

/// Writes leading zeros, mark and trailing zeros around the plaintext of `plaintext_len` bytes
/// that stands behind the leading zeros. False if it does not fit. (protocol: sphinx 7.2)
pub(super) fn pad(payload: &mut [u8], plaintext_len: usize) -> bool {
    let Some((zeros, rest)) = payload.split_first_chunk_mut::<{ super::PAYLOAD_ZEROS }>() else {
        return false;
    };
    let Some([mark, tail @ ..]) = rest.get_mut(plaintext_len..) else {
        return false;
    };
    *zeros = [0; _];
    *mark = MARK;
    tail.fill(0);
    true
}

/// Length of the plaintext inside a padded payload, where it stands behind the leading zeros.
/// What follows the last mark is not looked at.
pub(super) fn unpad(payload: &[u8]) -> Option<usize> {
    let (zeros, rest) = payload.split_first_chunk::<{ super::PAYLOAD_ZEROS }>()?;
    if *zeros != [0; _] {
        return None;
    }
    rest.iter().rposition(|&byte| byte == MARK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../vectors/sphinx.json")).unwrap()
    }

    /// Reads hexadecimal text, or a description like `192 bytes of 0x2a`.
    fn bytes(value: &Value) -> Vec<u8> {
        let text = value.as_str().unwrap();
        match text.split_once(" bytes of 0x") {
            Some((count, byte)) => hex::decode(byte.repeat(count.parse().unwrap())).unwrap(),
            None => hex::decode(text).unwrap(),
        }
    }

    fn array<const N: usize>(value: &Value) -> [u8; N] {
        bytes(value).try_into().unwrap()
    }

    fn list(value: &Value) -> &[Value] {
        let list = value.as_array().unwrap();
        assert!(!list.is_empty());
        list
    }

    #[test]
    fn secrets_expand_as_the_vectors_say() {
        let v = &vectors()["primitives"]["expand_shared_secret"];
        assert_eq!(SECRET_INFO, v["info_utf8"].as_str().unwrap().as_bytes());
        let expanded = expand(&array(&v["shared_secret"]));
        assert_eq!(expanded.as_slice(), bytes(&v["output_288"]));
    }

    #[test]
    fn payload_keys_derive_as_the_vectors_say() {
        let v = &vectors()["primitives"]["payload_key"];
        assert_eq!(PAYLOAD_KEY_SALT, v["salt_utf8"].as_str().unwrap().as_bytes());
        assert_eq!(PAYLOAD_KEY_INFO, v["info_utf8"].as_str().unwrap().as_bytes());
        let key = payload_key_of(&array(&v["seed"]));
        assert_eq!(key.as_slice(), bytes(&v["output_192"]));
    }

    #[test]
    fn the_header_stream_and_mac_match_the_vectors() {
        let v = &vectors()["primitives"];
        let mut stream = [0; STREAM_SIZE];
        let case = &v["aes128_ctr64be_stream"];
        assert_eq!(array(&case["iv"]), [0; 16]);
        apply_stream(&array(&case["key"]), &mut stream);
        assert_eq!(stream, array(&case["output_360"]));
        let case = &v["header_mac"];
        let mac = header_mac(&array(&case["key"]), &array(&case["data_300"]));
        assert_eq!(mac, array(&case["mac_16"]));
    }

    #[test]
    fn the_stream_counter_wraps_at_64_bits() {
        let case = &vectors()["primitives"]["aes128_ctr64be_counter_wrap"];
        let (key, iv) = (array::<16>(&case["key"]), array::<16>(&case["iv"]));
        let mut out = [0; 48];
        Ctr64BE::<Aes128>::new(&key.into(), &iv.into()).apply_keystream(&mut out);
        assert_eq!(out, array(&case["output_48"]));
    }

    #[test]
    fn scalars_are_clamped_when_used() {
        let case = &vectors()["primitives"]["x25519_clamping"];
        let key = crate::identity::PrivateKey::from_bytes(array(&case["scalar"]));
        let base = crate::identity::PublicKey::from_bytes(array(&case["u"]));
        assert_eq!(*key.agree(&base).unwrap(), array(&case["result"]));
        assert_eq!(*key.public().as_bytes(), array(&case["result"]));
    }

    #[test]
    fn payload_padding_matches_the_vectors() {
        for case in list(&vectors()["primitives"]["payload_padding"]) {
            let message = bytes(&case["message"]);
            let size = case["size"].as_u64().unwrap() as usize;
            let mut payload = vec![0xaa; size];
            payload[16..16 + message.len()].copy_from_slice(&message);
            assert!(pad(&mut payload, message.len()));
            assert_eq!(payload, bytes(&case["padded"]));
            assert_eq!(unpad(&payload), Some(message.len()));
        }
    }

    #[test]
    fn every_round_of_the_wide_block_cipher_matches_the_vectors() {
        for case in list(&vectors()["lioness"]["cases"]) {
            let key: [u8; PAYLOAD_KEY_SIZE] = array(&case["key"]);
            let (plaintext, ciphertext) = (bytes(&case["plaintext"]), bytes(&case["ciphertext"]));
            let mut block = plaintext.clone();
            lioness_encrypt(&key, &mut block).unwrap();
            assert_eq!(block, ciphertext);
            lioness_decrypt(&key, &mut block).unwrap();
            assert_eq!(block, plaintext);

            let rounds = case["after_each_round"].as_array();
            let mut block = plaintext;
            for (i, after) in rounds.into_iter().flatten().enumerate() {
                let (left, right) = halves(&mut block).unwrap();
                match i {
                    0 => lioness_stream(part::<0, 32, _>(&key), left, right),
                    1 => lioness_hash(part::<32, 64, _>(&key), left, right),
                    2 => lioness_stream(part::<96, 32, _>(&key), left, right),
                    _ => lioness_hash(part::<128, 64, _>(&key), left, right),
                }
                assert_eq!(block, bytes(after), "round {i}");
            }
        }
    }

    #[test]
    fn blocks_of_32_bytes_or_fewer_are_refused() {
        let refused = vectors();
        let refused = list(&refused["lioness"]["rejected_block_lengths"]);
        for length in refused.iter().map(|n| n.as_u64().unwrap()).chain(0..=32) {
            let mut block = vec![0; length as usize];
            assert_eq!(lioness_encrypt(&[0; 192], &mut block), Err(ShortBlock));
            assert_eq!(lioness_decrypt(&[0; 192], &mut block), Err(ShortBlock));
        }
    }

    proptest! {
        #[test]
        fn decryption_undoes_encryption(
            key: [u8; 32],
            block in prop::collection::vec(any::<u8>(), 33..300),
        ) {
            let mut long = [0; PAYLOAD_KEY_SIZE];
            for chunk in long.chunks_mut(32) {
                chunk.copy_from_slice(&key);
            }
            let mut work = block.clone();
            lioness_encrypt(&long, &mut work).unwrap();
            prop_assert_ne!(&work, &block);
            lioness_decrypt(&long, &mut work).unwrap();
            prop_assert_eq!(work, block);
        }

        #[test]
        fn unpadding_returns_what_was_padded(
            plaintext in prop::collection::vec(any::<u8>(), 0..80),
            spare in 0usize..50,
        ) {
            let mut payload = vec![0xcc; plaintext.len() + 17 + spare];
            payload[16..16 + plaintext.len()].copy_from_slice(&plaintext);
            prop_assert!(pad(&mut payload, plaintext.len()));
            let len = unpad(&payload).unwrap();
            prop_assert_eq!(&payload[16..16 + len], plaintext.as_slice());
        }

        #[test]
        fn padding_refuses_what_does_not_fit(size in 0usize..100, extra in 0usize..100) {
            let mut payload = vec![7; size];
            prop_assert!(!pad(&mut payload, (size + extra).saturating_sub(16)));
            prop_assert_eq!(payload, vec![7; size]);
        }

        #[test]
        fn unpadding_any_bytes_stays_inside_them(
            payload in prop::collection::vec(0u8..3, 0..40),
        ) {
            if let Some(len) = unpad(&payload) {
                prop_assert_eq!(payload[16 + len], MARK);
            }
        }
    }
}
