//! HKDF over HMAC-BLAKE3, which both the gateway protocol and the end-to-end cipher derive their
//! keys with. (protocol: gateway 3.1, messages 7.1)

use zeroize::Zeroizing;

/// Block length of the plain BLAKE3 hash inside HMAC.
const BLOCK: usize = 64;

/// HKDF-Extract with `salt`, then the first and only block of HKDF-Expand with an empty info.
pub(crate) fn derive<const N: usize>(salt: &[u8; N], secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let pseudorandom = hmac(salt, secret);
    hmac(&pseudorandom, &[1])
}

/// RFC 2104 over BLAKE3 in its plain hash mode. A key is at most one block.
fn hmac<const N: usize>(key: &[u8; N], message: &[u8]) -> Zeroizing<[u8; 32]> {
    const { assert!(N <= BLOCK) };
    let pad = |byte: u8| {
        let mut block = Zeroizing::new([byte; BLOCK]);
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let hash = |block: &[u8], data: &[u8]| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(block).update(data);
        Zeroizing::new(*hasher.finalize().as_bytes())
    };
    // the two constants are HMAC's own
    let inner = hash(&*pad(0x36), message);
    hash(&*pad(0x5c), &*inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &serde_json::Value) -> Vec<u8> {
        hex::decode(value.as_str().unwrap()).unwrap()
    }

    fn array(value: &serde_json::Value) -> [u8; 32] {
        bytes(value).try_into().unwrap()
    }

    #[test]
    fn hmac_and_extraction_give_the_values_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/sphinx.json")).unwrap();
        let vectors = &vectors["end_to_end_encryption"];
        let case = &vectors["hmac_blake3"];
        assert_eq!(hmac(&array(&case["key"]), &bytes(&case["data"]))[..], bytes(&case["mac"]));
        for case in vectors["forward"].as_array().unwrap() {
            let dh = array(&case["dh"]);
            assert_eq!(hmac(&[0; 32], &dh)[..], bytes(&case["hkdf_prk"]));
            assert_eq!(derive(&[0; 32], &dh)[..16], bytes(&case["key_16"]));
        }
    }
}
