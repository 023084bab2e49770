//! The gateway's side. (protocol: gateway 6.4)

use super::{
    GATEWAY_MATERIAL, HandshakeError, HandshakePayload, HandshakeRandomness, INIT, SEALED, SUCCESS,
    check_signature, seal_signature,
};
use crate::entropy::Stream;
use crate::gateway::shared_key::SharedKey;
use crate::gateway::version::ProtocolVersion;
use crate::identity::{IdentityKey, IdentityKeyPair, PrivateKey, PublicKey};

/// Answers a registration.
#[derive(Debug)]
pub struct GatewayHandshake;

impl GatewayHandshake {
    /// Who claims to register, to look for a live session before the handshake begins.
    pub fn client(init: &HandshakePayload) -> Result<IdentityKey, HandshakeError> {
        let bytes =
            init.data.first_chunk().ok_or(HandshakeError::Malformed("no client identity"))?;
        IdentityKey::from_bytes(*bytes)
            .map_err(|_| HandshakeError::Malformed("the client identity is no key"))
    }

    /// Takes the client's first message, whatever its version stamp. The text is the answer.
    pub fn accept(
        identity: &IdentityKeyPair,
        init: &HandshakePayload,
        stream: &mut Stream,
    ) -> Result<(AwaitingClientMaterial, String), HandshakeError> {
        Self::accept_with(identity, init, HandshakeRandomness::draw(stream))
    }

    /// As [`accept`](Self::accept), with the randomness given.
    pub fn accept_with(
        identity: &IdentityKeyPair,
        init: &HandshakePayload,
        randomness: HandshakeRandomness,
    ) -> Result<(AwaitingClientMaterial, String), HandshakeError> {
        let client = Self::client(init)?;
        let version = ProtocolVersion::gateway_registration(init.protocol_version);
        let (theirs, salt) = split_init(&init.data)?;
        let ephemeral = PrivateKey::from_bytes(randomness.ephemeral);
        let public = ephemeral.public();
        let key = SharedKey::derive(&ephemeral, &theirs, salt)
            .map_err(|_| HandshakeError::Malformed("an ephemeral key of low order"))?;

        let mut data = Vec::with_capacity(GATEWAY_MATERIAL);
        data.extend_from_slice(public.as_bytes());
        let nonce = &randomness.nonce;
        seal_signature(identity, &public, &theirs, &key, nonce, &mut data);
        let text = HandshakePayload::text(version.get(), &data);
        let state = AwaitingClientMaterial { client, version, public, theirs, key };
        Ok((state, text))
    }
}

/// The gateway has sent its ephemeral key and waits for the client's proof.
#[derive(Debug)]
pub struct AwaitingClientMaterial {
    client: IdentityKey,
    version: ProtocolVersion,
    public: PublicKey,
    theirs: PublicKey,
    key: SharedKey,
}

impl AwaitingClientMaterial {
    /// Who is registering; not proved yet.
    #[must_use]
    pub const fn client(&self) -> &IdentityKey {
        &self.client
    }

    /// Takes the client's proof and gives the text of the verdict, which is success.
    pub fn handle(
        self,
        message: &HandshakePayload,
    ) -> Result<(Registered, String), HandshakeError> {
        let sealed: &[u8; SEALED] = message
            .data
            .as_slice()
            .try_into()
            .map_err(|_| HandshakeError::Malformed("the client's material has 92 bytes"))?;
        check_signature(sealed, &self.client, &self.theirs, &self.public, &self.key)?;
        let text = HandshakePayload::text(self.version.get(), &[SUCCESS]);
        let registered =
            Registered { client: self.client, shared_key: self.key, version: self.version };
        Ok((registered, text))
    }
}

/// A client that proved who it is; the gateway stores its key and sends `register`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// The client.
    pub client: IdentityKey,
    /// The key it shares with this gateway from now on.
    pub shared_key: SharedKey,
    /// The version to put into the `register` response: the client's stamp, at most the current
    /// version.
    pub version: ProtocolVersion,
}

/// The ephemeral key and the salt of the first message. The identity is read elsewhere.
fn split_init(data: &[u8]) -> Result<(PublicKey, &[u8; 16]), HandshakeError> {
    let wrong = HandshakeError::Malformed("the first message has 80 bytes");
    let data: &[u8; INIT] = data.try_into().map_err(|_| wrong.clone())?;
    let (rest, salt) = data.split_last_chunk().ok_or(wrong.clone())?;
    let ephemeral = rest.last_chunk().ok_or(wrong)?;
    Ok((PublicKey::from_bytes(*ephemeral), salt))
}
