//! Control requests that only the gateway can read, and their answers. (protocol: gateway 13)

use serde::Deserialize;
use thiserror::Error;

use super::json::{TextError, Writer, members};
use super::shared_key::{NONCE_SIZE, SharedKey};

/// Why an encrypted request or response could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EncryptedTextError {
    /// The nonce does not have 12 bytes.
    #[error("a nonce has {NONCE_SIZE} bytes, this one has {0}")]
    Nonce(usize),
    /// It was not encrypted under the shared key.
    #[error("not encrypted under the shared key")]
    Decryption,
    /// The plaintext is nothing this crate knows.
    #[error("unknown or malformed content")]
    Content,
}

/// What travels: an `encryptedRequest` or `encryptedResponse` without its name.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct EncryptedText {
    /// Ciphertext and tag.
    pub ciphertext: Vec<u8>,
    /// Nonce; 12 bytes if it is valid.
    pub nonce: Vec<u8>,
}

/// A request inside an `encryptedRequest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[non_exhaustive]
pub enum InnerRequest {
    /// Asks the gateway to forget this client.
    ForgetMe {
        /// Delete stored messages, bandwidth and the shared key.
        client: bool,
        /// Delete statistics; gateways ignore it.
        stats: bool,
    },
    /// Tags the session in the gateway's statistics.
    RememberMe {
        /// What kind of client this is.
        session_type: SessionType,
    },
}

/// Kinds of clients in a gateway's statistics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
pub enum SessionType {
    /// A VPN client.
    Vpn,
    /// A mixnet client of unspecified kind.
    Mixnet,
    /// A client in a browser.
    Wasm,
    /// The native websocket client.
    Native,
    /// The SOCKS5 client.
    Socks5,
    /// Not known.
    Unknown,
}

/// A response inside an `encryptedResponse`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[non_exhaustive]
pub enum InnerResponse {
    /// The answer to [`InnerRequest::ForgetMe`].
    ForgetMeAck {},
    /// The answer to [`InnerRequest::RememberMe`].
    RememberMeAck {},
}

impl EncryptedText {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer.member("ciphertext", &self.ciphertext).member("nonce", &self.nonce)
    }

    pub(super) fn read(kind: &'static str, text: &str) -> Result<Self, TextError> {
        members(kind, text)
    }

    fn seal(key: &SharedKey, nonce: [u8; NONCE_SIZE], plaintext: String) -> Self {
        let mut ciphertext = plaintext.into_bytes();
        key.seal(&nonce, &mut ciphertext);
        Self { ciphertext, nonce: nonce.to_vec() }
    }

    fn open<T: for<'de> Deserialize<'de>>(self, key: &SharedKey) -> Result<T, EncryptedTextError> {
        let Self { mut ciphertext, nonce } = self;
        let nonce = <[u8; NONCE_SIZE]>::try_from(nonce)
            .map_err(|nonce| EncryptedTextError::Nonce(nonce.len()))?;
        let plaintext =
            key.open(&nonce, &mut ciphertext).map_err(|_| EncryptedTextError::Decryption)?;
        serde_json::from_slice(plaintext).map_err(|_| EncryptedTextError::Content)
    }
}

impl InnerRequest {
    /// Encrypts the request; `nonce` must be fresh.
    #[must_use]
    pub fn seal(&self, key: &SharedKey, nonce: [u8; NONCE_SIZE]) -> EncryptedText {
        EncryptedText::seal(key, nonce, self.to_json())
    }

    /// Decrypts and reads a request.
    pub fn open(text: EncryptedText, key: &SharedKey) -> Result<Self, EncryptedTextError> {
        text.open(key)
    }

    fn to_json(self) -> String {
        match self {
            Self::ForgetMe { client, stats } => {
                format!("{{\"ForgetMe\":{{\"client\":{client},\"stats\":{stats}}}}}")
            }
            Self::RememberMe { session_type } => {
                format!("{{\"RememberMe\":{{\"session_type\":\"{}\"}}}}", session_type.name())
            }
        }
    }
}

impl SessionType {
    const fn name(self) -> &'static str {
        match self {
            Self::Vpn => "Vpn",
            Self::Mixnet => "Mixnet",
            Self::Wasm => "Wasm",
            Self::Native => "Native",
            Self::Socks5 => "Socks5",
            Self::Unknown => "Unknown",
        }
    }
}

impl InnerResponse {
    /// Encrypts the response; `nonce` must be fresh.
    #[must_use]
    pub fn seal(&self, key: &SharedKey, nonce: [u8; NONCE_SIZE]) -> EncryptedText {
        let plaintext = match self {
            Self::ForgetMeAck {} => "{\"ForgetMeAck\":{}}",
            Self::RememberMeAck {} => "{\"RememberMeAck\":{}}",
        };
        EncryptedText::seal(key, nonce, plaintext.to_owned())
    }

    /// Decrypts and reads a response.
    pub fn open(text: EncryptedText, key: &SharedKey) -> Result<Self, EncryptedTextError> {
        text.open(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_request() -> impl Strategy<Value = InnerRequest> {
        let session = proptest::sample::select(vec![
            SessionType::Vpn,
            SessionType::Mixnet,
            SessionType::Wasm,
            SessionType::Native,
            SessionType::Socks5,
            SessionType::Unknown,
        ]);
        prop_oneof![
            any::<(bool, bool)>()
                .prop_map(|(client, stats)| InnerRequest::ForgetMe { client, stats }),
            session.prop_map(|session_type| InnerRequest::RememberMe { session_type }),
        ]
    }

    proptest! {
        #[test]
        fn encrypted_requests_read_back_and_notice_every_flipped_bit(
            request in any_request(),
            key: [u8; 32],
            nonce: [u8; 12],
            flip: (usize, u8),
        ) {
            let key = SharedKey::from_bytes(key);
            let mut text = request.seal(&key, nonce);
            prop_assert_eq!(InnerRequest::open(text.clone(), &key), Ok(request));
            let at = flip.0 % text.ciphertext.len();
            text.ciphertext[at] ^= 1 << (flip.1 % 8);
            let error = EncryptedTextError::Decryption;
            prop_assert_eq!(InnerRequest::open(text, &key), Err(error));
        }

        #[test]
        fn truncated_and_arbitrary_encrypted_texts_are_refused(
            request in any_request(),
            key: [u8; 32],
            ciphertext: Vec<u8>,
            nonce: Vec<u8>,
            cut in 1..30usize,
        ) {
            let key = SharedKey::from_bytes(key);
            let mut text = request.seal(&key, [1; 12]);
            text.ciphertext.truncate(text.ciphertext.len().saturating_sub(cut));
            prop_assert!(InnerRequest::open(text, &key).is_err());
            let arbitrary = EncryptedText { ciphertext, nonce };
            prop_assert!(InnerRequest::open(arbitrary.clone(), &key).is_err());
            prop_assert!(InnerResponse::open(arbitrary, &key).is_err());
        }

        #[test]
        fn arbitrary_content_under_the_right_key_never_panics(content: Vec<u8>) {
            let key = SharedKey::from_bytes([1; 32]);
            let mut ciphertext = content;
            key.seal(&[2; 12], &mut ciphertext);
            let text = EncryptedText { ciphertext, nonce: vec![2; 12] };
            let error = EncryptedTextError::Content;
            prop_assert_eq!(InnerRequest::open(text, &key), Err(error));
        }
    }

    #[test]
    fn unknown_inner_requests_are_refused() {
        let key = SharedKey::from_bytes([1; 32]);
        for content in [
            "{\"UpgradeKey\":{}}",
            "{\"ForgetMe\":{\"client\":true}}",
            "{\"RememberMe\":{\"session_type\":\"mixnet\"}}",
            "{\"ForgetMe\":{\"client\":true,\"stats\":true},\"RememberMe\":{}}",
            "\"ForgetMe\"",
            "{}",
        ] {
            let text = EncryptedText::seal(&key, [0; 12], content.to_owned());
            let error = EncryptedTextError::Content;
            assert_eq!(InnerRequest::open(text, &key), Err(error), "{content}");
        }
    }
}
