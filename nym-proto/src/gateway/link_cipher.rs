//! The seam of the encryption between client and gateway.

use super::shared_key::{DecryptionError, NONCE_SIZE, SharedKey, TAG_SIZE};
use crate::sphinx::SphinxBuilder;

/// Encrypts binary frames between a client and its gateway. Handshakes, authentication and texts
/// are not part of it. Unless a suite says otherwise, it is the cipher of the protocol,
/// AES-256-GCM-SIV. (protocol: gateway 3.4)
pub trait LinkCipher: Send {
    /// Encrypts `body` in place and returns the tag. `nonce` must be fresh.
    fn seal_frame(
        &self,
        key: &SharedKey,
        nonce: &[u8; NONCE_SIZE],
        body: &mut [u8],
    ) -> [u8; TAG_SIZE] {
        key.seal_detached(nonce, body)
    }

    /// Decrypts `body` in place.
    ///
    /// # Errors
    /// It was not encrypted under this key and nonce.
    fn open_frame(
        &self,
        key: &SharedKey,
        nonce: &[u8; NONCE_SIZE],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE],
    ) -> Result<(), DecryptionError> {
        key.open_detached(nonce, body, tag)
    }
}

/// The cipher of the protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcmSiv;

impl LinkCipher for GcmSiv {}

/// Real packets travel over really encrypted links.
impl LinkCipher for SphinxBuilder {}
