//! The client's side. (protocol: gateway 6.3)

use super::{
    GATEWAY_MATERIAL, HandshakeError, HandshakePayload, HandshakeRandomness, INIT, SEALED, SUCCESS,
    check_signature, seal_signature,
};
use crate::entropy::Stream;
use crate::gateway::shared_key::SharedKey;
use crate::gateway::version::ProtocolVersion;
use crate::identity::{IdentityKey, IdentityKeyPair, PrivateKey, PublicKey};

/// Begins a registration.
#[derive(Debug)]
pub struct ClientHandshake;

impl ClientHandshake {
    /// Begins to register `identity` at the gateway with the given identity. The text is the
    /// first message.
    #[must_use]
    pub fn start(
        identity: &IdentityKeyPair,
        gateway: &IdentityKey,
        version: ProtocolVersion,
        stream: &mut Stream,
    ) -> (AwaitingMaterial, String) {
        Self::start_with(identity, gateway, version, HandshakeRandomness::draw(stream))
    }

    /// As [`start`](Self::start), with the randomness given.
    #[must_use]
    pub fn start_with(
        identity: &IdentityKeyPair,
        gateway: &IdentityKey,
        version: ProtocolVersion,
        randomness: HandshakeRandomness,
    ) -> (AwaitingMaterial, String) {
        let ephemeral = PrivateKey::from_bytes(randomness.ephemeral);
        let public = ephemeral.public();
        let mut data = Vec::with_capacity(INIT);
        data.extend_from_slice(identity.public().as_bytes());
        data.extend_from_slice(public.as_bytes());
        data.extend_from_slice(&randomness.salt);
        let text = HandshakePayload::text(version.get(), &data);
        let state = AwaitingMaterial {
            identity: identity.clone(),
            gateway: *gateway,
            version,
            ephemeral,
            public,
            randomness,
        };
        (state, text)
    }
}

/// The client has sent its first message and waits for the gateway's ephemeral key.
#[derive(Debug)]
pub struct AwaitingMaterial {
    identity: IdentityKeyPair,
    gateway: IdentityKey,
    version: ProtocolVersion,
    ephemeral: PrivateKey,
    public: PublicKey,
    randomness: HandshakeRandomness,
}

impl AwaitingMaterial {
    /// Takes the gateway's message and gives the text of the second message.
    pub fn handle(
        self,
        message: &HandshakePayload,
    ) -> Result<(AwaitingConfirmation, String), HandshakeError> {
        let stamp = ProtocolVersion::new(message.protocol_version)?;
        let data: &[u8; GATEWAY_MATERIAL] = message
            .data
            .as_slice()
            .try_into()
            .map_err(|_| HandshakeError::Malformed("the gateway's material has 124 bytes"))?;
        let (theirs, sealed) = split_material(data)?;
        let key = SharedKey::derive(&self.ephemeral, &theirs, &self.randomness.salt)
            .map_err(|_| HandshakeError::Malformed("an ephemeral key of low order"))?;
        check_signature(sealed, &self.gateway, &theirs, &self.public, &key)?;

        let mut data = Vec::with_capacity(SEALED);
        let nonce = &self.randomness.nonce;
        seal_signature(&self.identity, &self.public, &theirs, &key, nonce, &mut data);
        // from here on the client repeats the gateway's stamp (protocol: gateway 5.6)
        let text = HandshakePayload::text(stamp.get(), &data);
        let state = AwaitingConfirmation { key, version: self.version };
        Ok((state, text))
    }
}

/// The client has proved who it is and waits for the gateway's verdict.
#[derive(Debug)]
pub struct AwaitingConfirmation {
    key: SharedKey,
    version: ProtocolVersion,
}

impl AwaitingConfirmation {
    /// The key the gateway may hold from now on, whether or not its verdict arrives. Pushed
    /// messages that arrive before the `register` response are encrypted under it.
    /// (protocol: gateway 15.2)
    #[must_use]
    pub const fn shared_key(&self) -> &SharedKey {
        &self.key
    }

    /// Takes the gateway's verdict. After success the `register` response follows.
    pub fn handle(self, message: &HandshakePayload) -> Result<Established, HandshakeError> {
        match *message.data {
            [SUCCESS] => Ok(Established { shared_key: self.key, version: self.version }),
            [status] => Err(HandshakeError::Refused(status)),
            _ => Err(HandshakeError::Malformed("the gateway's verdict has 1 byte")),
        }
    }
}

/// Both sides hold the key; the `register` response is still to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Established {
    /// The key of this client at this gateway.
    pub shared_key: SharedKey,
    /// What the client proposed. The session's version follows from it and the `register`
    /// response by [`ProtocolVersion::client_session_registered`].
    pub version: ProtocolVersion,
}

fn split_material(
    data: &[u8; GATEWAY_MATERIAL],
) -> Result<(PublicKey, &[u8; SEALED]), HandshakeError> {
    let impossible = HandshakeError::Malformed("the gateway's material has 124 bytes");
    let (key, rest) = data.split_first_chunk().ok_or(impossible.clone())?;
    let sealed = rest.try_into().map_err(|_| impossible)?;
    Ok((PublicKey::from_bytes(*key), sealed))
}
