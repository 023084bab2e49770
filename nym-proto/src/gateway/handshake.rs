//! Registration: the handshake that makes a shared key. (protocol: gateway 6)
//!
//! Each side is a chain of states that consume each other. A state takes the peer's next
//! [`HandshakePayload`] and gives the next state and the text to send. A `handshakeError` from the
//! peer, a timeout ([`HANDSHAKE_MESSAGE_TIMEOUT`](super::HANDSHAKE_MESSAGE_TIMEOUT)) or a lost
//! connection ends a handshake: drop the state. Other frames are ignored meanwhile.

mod client;
mod gateway;

use serde::Deserialize;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::json::{TextError, Writer, members};
use super::shared_key::{DecryptionError, NONCE_SIZE, SharedKey, TAG_SIZE};
use super::version::VersionError;
use crate::entropy::Stream;
use crate::identity::{IdentityKey, IdentityKeyPair, PublicKey};

pub use client::{AwaitingConfirmation, AwaitingMaterial, ClientHandshake, Established};
pub use gateway::{AwaitingClientMaterial, GatewayHandshake, Registered};

/// Bytes of the client's first message: identity, ephemeral key, salt.
const INIT: usize = 80; // protocol: gateway 6.2
/// Bytes of the gateway's answer: ephemeral key, sealed signature.
const GATEWAY_MATERIAL: usize = 32 + SEALED; // protocol: gateway 6.2
/// Bytes of an encrypted signature, its tag and its nonce.
const SEALED: usize = 64 + TAG_SIZE + NONCE_SIZE; // protocol: gateway 6.2
/// The only content of the gateway's last message that means success.
const SUCCESS: u8 = 1; // protocol: gateway 6.2

/// Why a handshake failed. The peer is told only [`failure_text`](Self::failure_text).
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A message does not have the form it must have.
    #[error("malformed handshake message: {0}")]
    Malformed(&'static str),
    /// The gateway insists on a newer version.
    #[error(transparent)]
    UnsupportedVersion(#[from] VersionError),
    /// The peer's signature was not encrypted under the key that was agreed upon.
    #[error("the peer encrypted under another key")]
    Decryption,
    /// The peer does not have the identity it should have.
    #[error("the peer's signature is not its own")]
    InvalidSignature,
    /// The gateway ended the handshake with this status.
    #[error("the gateway refused the registration with status {0}")]
    Refused(u8),
    /// The peer gave up; its words are for humans.
    #[error("the peer gave the handshake up: {0}")]
    Remote(String),
}

impl HandshakeError {
    /// The text either side sends when it gives a handshake up. It is always the same, so that it
    /// does not reveal which check failed. (protocol: gateway 6.5)
    #[must_use]
    pub fn failure_text() -> String {
        Writer::new("handshakeError").member("message", "handshake failed").finish()
    }
}

/// One message of a handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandshakePayload {
    /// A stamp of the sender; 0 if it does not say.
    pub protocol_version: u8,
    /// The message.
    pub data: Vec<u8>,
}

impl HandshakePayload {
    fn text(protocol_version: u8, data: &[u8]) -> String {
        write(Writer::new("handshakePayload"), protocol_version, data).finish()
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        write(writer, self.protocol_version, &self.data)
    }

    pub(super) fn read_from_client(kind: &'static str, text: &str) -> Result<Self, TextError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            protocol_version: u8,
            data: Vec<u8>,
        }
        members(kind, text)
            .map(|wire: Wire| Self { protocol_version: wire.protocol_version, data: wire.data })
    }

    /// Gateways of the past may write `null` for the version. (protocol: gateway 10.2)
    pub(super) fn read_from_gateway(kind: &'static str, text: &str) -> Result<Self, TextError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            protocol_version: Option<u8>,
            data: Vec<u8>,
        }
        members(kind, text).map(|wire: Wire| Self {
            protocol_version: wire.protocol_version.unwrap_or(0),
            data: wire.data,
        })
    }
}

fn write(writer: Writer, protocol_version: u8, data: &[u8]) -> Writer {
    writer.member("protocol_version", &protocol_version).member("data", data)
}

/// Everything random in one side of one handshake. Must be fresh for each.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HandshakeRandomness {
    /// The ephemeral X25519 private key.
    pub ephemeral: [u8; 32],
    /// The salt of the key derivation; a gateway has no use for it.
    pub salt: [u8; 16],
    /// The nonce under which the own signature is encrypted.
    pub nonce: [u8; NONCE_SIZE],
}

impl HandshakeRandomness {
    /// Draws ephemeral key, salt and nonce, in this order.
    #[must_use]
    pub fn draw(stream: &mut Stream) -> Self {
        Self { ephemeral: stream.bytes(), salt: stream.bytes(), nonce: stream.bytes() }
    }
}

impl core::fmt::Debug for HandshakeRandomness {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HandshakeRandomness(<redacted>)")
    }
}

/// What a side signs: its own ephemeral key, then the peer's. (protocol: gateway 6.2)
fn signed_bytes(own: &PublicKey, peer: &PublicKey) -> [u8; 64] {
    let mut out = [0; 64];
    let bytes = own.as_bytes().iter().chain(peer.as_bytes());
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

/// Signs the ephemeral keys and appends ciphertext, tag and nonce to `out`.
fn seal_signature(
    identity: &IdentityKeyPair,
    own: &PublicKey,
    peer: &PublicKey,
    key: &SharedKey,
    nonce: &[u8; NONCE_SIZE],
    out: &mut Vec<u8>,
) {
    let mut signature = identity.sign(&signed_bytes(own, peer));
    let tag = key.seal_detached(nonce, &mut signature);
    out.extend_from_slice(&signature);
    out.extend_from_slice(&tag);
    out.extend_from_slice(nonce);
}

/// Decrypts and verifies what [`seal_signature`] made on the side of `signer`.
fn check_signature(
    sealed: &[u8; SEALED],
    signer: &IdentityKey,
    signers: &PublicKey,
    own: &PublicKey,
    key: &SharedKey,
) -> Result<(), HandshakeError> {
    let mut sealed = *sealed;
    let signature = match sealed.split_last_chunk_mut::<NONCE_SIZE>() {
        Some((sealed, nonce)) => key.open(nonce, sealed),
        None => Err(DecryptionError),
    };
    let signature = signature.map_err(|_| HandshakeError::Decryption)?;
    match <&[u8; 64]>::try_from(&*signature) {
        Ok(signature) if signer.has_signed(&signed_bytes(signers, own), signature) => Ok(()),
        _ => Err(HandshakeError::InvalidSignature),
    }
}

#[cfg(test)]
mod tests;
