//! Text frames from the client to the gateway. (protocol: gateway 10.1)

use core::fmt;

use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::authenticate::AuthenticateRequest;
use super::encrypted::EncryptedText;
use super::handshake::HandshakePayload;
use super::json::{TextError, Writer, kind, members, shortened};

/// A text frame a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ClientText {
    /// Asks for the newest version the gateway speaks.
    SupportedProtocol,
    /// A message of the registration handshake; the first one starts a registration.
    Handshake(HandshakePayload),
    /// The other name of the first handshake message. Gateways accept it, clients do not send it.
    HandshakeInit(HandshakePayload),
    /// The client gives a handshake up.
    HandshakeError {
        /// For humans.
        message: String,
    },
    /// Opens a session with a shared key that both sides have.
    Authenticate(AuthenticateRequest),
    /// Asks for bandwidth without paying.
    ClaimFreeBandwidth,
    /// Pays with a ticket, encrypted under the shared key. (protocol: gateway 11.5)
    EcashCredential {
        /// Ciphertext and tag.
        enc_credential: Vec<u8>,
        /// Nonce of the encryption; 12 bytes if it is valid.
        nonce: Vec<u8>,
    },
    /// Tells the gateway that the network is being upgraded. (protocol: gateway 12)
    UpgradeModeJwt {
        /// A signed token.
        token: Token,
    },
    /// A request that only the gateway can read. (protocol: gateway 13)
    Encrypted(EncryptedText),
    /// A request of the past. Gateways answer it with an error; its members are not read.
    Retired(Retired),
}

/// Requests of the past. (protocol: gateway 10.1)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Retired {
    /// `authenticate`
    Authenticate,
    /// `bandwidthCredential`
    BandwidthCredential,
    /// `bandwidthCredentialV2`
    BandwidthCredentialV2,
}

/// A token that speaks for whoever holds it; redacted in `Debug`, wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Token(String);

impl Token {
    /// Takes a token as it is.
    #[must_use]
    pub const fn new(token: String) -> Self {
        Self(token)
    }

    /// The token. Handle with care.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(<redacted>)")
    }
}

const SUPPORTED_PROTOCOL: &str = "supportedProtocol";
const HANDSHAKE: &str = "handshakePayload";
const HANDSHAKE_INIT: &str = "registerHandshakeInitRequest";
const HANDSHAKE_ERROR: &str = "handshakeError";
const AUTHENTICATE: &str = "authenticateV2";
const CLAIM: &str = "claimFreeTestnetBandwidth";
const ECASH: &str = "ecashCredential";
const JWT: &str = "upgradeModeJWT";
const ENCRYPTED: &str = "encryptedRequest";

impl ClientText {
    /// The text of the frame.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::SupportedProtocol => Writer::new(SUPPORTED_PROTOCOL),
            Self::Handshake(payload) => payload.write(Writer::new(HANDSHAKE)),
            Self::HandshakeInit(payload) => payload.write(Writer::new(HANDSHAKE_INIT)),
            Self::HandshakeError { message } => {
                Writer::new(HANDSHAKE_ERROR).member("message", message)
            }
            Self::Authenticate(request) => request.write(Writer::new(AUTHENTICATE)),
            Self::ClaimFreeBandwidth => Writer::new(CLAIM),
            // older gateways know the nonce only by this name
            Self::EcashCredential { enc_credential, nonce } => {
                Writer::new(ECASH).member("enc_credential", enc_credential).member("iv", nonce)
            }
            Self::UpgradeModeJwt { token } => Writer::new(JWT).member("token", token.as_str()),
            Self::Encrypted(text) => text.write(Writer::new(ENCRYPTED)),
            Self::Retired(retired) => Writer::new(retired.name()),
        }
        .finish()
    }

    /// Reads the text of a frame.
    pub fn decode(text: &str) -> Result<Self, TextError> {
        #[derive(Deserialize)]
        struct Credential {
            enc_credential: Vec<u8>,
            #[serde(rename = "iv", alias = "nonce")]
            nonce: Vec<u8>,
        }
        #[derive(Deserialize)]
        struct Jwt {
            token: String,
        }
        #[derive(Deserialize)]
        struct Message {
            message: String,
        }
        Ok(match &*kind(text)? {
            SUPPORTED_PROTOCOL => Self::SupportedProtocol,
            HANDSHAKE => Self::Handshake(HandshakePayload::read_from_client(HANDSHAKE, text)?),
            HANDSHAKE_INIT => {
                Self::HandshakeInit(HandshakePayload::read_from_client(HANDSHAKE_INIT, text)?)
            }
            HANDSHAKE_ERROR => {
                Self::HandshakeError { message: members::<Message>(HANDSHAKE_ERROR, text)?.message }
            }
            AUTHENTICATE => Self::Authenticate(AuthenticateRequest::read(AUTHENTICATE, text)?),
            CLAIM => Self::ClaimFreeBandwidth,
            ECASH => {
                let Credential { enc_credential, nonce } = members(ECASH, text)?;
                Self::EcashCredential { enc_credential, nonce }
            }
            JWT => Self::UpgradeModeJwt { token: Token(members::<Jwt>(JWT, text)?.token) },
            ENCRYPTED => Self::Encrypted(EncryptedText::read(ENCRYPTED, text)?),
            other => Self::Retired(
                Retired::ALL
                    .into_iter()
                    .find(|retired| retired.name() == other)
                    .ok_or_else(|| TextError::UnknownType(shortened(other)))?,
            ),
        })
    }
}

impl Retired {
    const ALL: [Self; 3] =
        [Self::Authenticate, Self::BandwidthCredential, Self::BandwidthCredentialV2];

    const fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::BandwidthCredential => "bandwidthCredential",
            Self::BandwidthCredentialV2 => "bandwidthCredentialV2",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::authenticate::tests::any_authenticate_request;

    fn any_client_text() -> impl Strategy<Value = ClientText> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        let payload = || {
            (any::<u8>(), bytes())
                .prop_map(|(protocol_version, data)| HandshakePayload { protocol_version, data })
        };
        prop_oneof![
            Just(ClientText::SupportedProtocol),
            payload().prop_map(ClientText::Handshake),
            payload().prop_map(ClientText::HandshakeInit),
            any::<String>().prop_map(|message| ClientText::HandshakeError { message }),
            any_authenticate_request().prop_map(ClientText::Authenticate),
            Just(ClientText::ClaimFreeBandwidth),
            (bytes(), bytes()).prop_map(|(enc_credential, nonce)| ClientText::EcashCredential {
                enc_credential,
                nonce,
            }),
            any::<String>()
                .prop_map(|token| ClientText::UpgradeModeJwt { token: Token::new(token) }),
            (bytes(), bytes()).prop_map(|(ciphertext, nonce)| {
                ClientText::Encrypted(EncryptedText { ciphertext, nonce })
            }),
            proptest::sample::select(&Retired::ALL[..]).prop_map(ClientText::Retired),
        ]
    }

    proptest! {
        #[test]
        fn every_client_text_reads_back(message in any_client_text()) {
            prop_assert_eq!(ClientText::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn a_truncated_client_text_is_refused(message in any_client_text(), at: usize) {
            let text = message.encode();
            let at = (0..at % text.len() + 1).rfind(|&at| text.is_char_boundary(at)).unwrap();
            prop_assert!(ClientText::decode(&text[..at]).is_err());
        }

        #[test]
        fn a_client_text_with_a_bit_flipped_is_refused_or_means_what_it_encodes_to(
            message in any_client_text(),
            at: usize,
            bit in 0..8u8,
        ) {
            let mut bytes = message.encode().into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(decoded) = ClientText::decode(&String::from_utf8_lossy(&bytes)) {
                prop_assert_eq!(ClientText::decode(&decoded.encode()), Ok(decoded));
            }
        }

        #[test]
        fn arbitrary_text_never_panics_the_decoder(text: String) {
            prop_assert!(ClientText::decode(&text).is_err());
        }
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        let text = ClientText::decode("{\"type\":\"upgradeModeJWT\",\"token\":\"hush\"}").unwrap();
        assert!(!format!("{text:?}").contains("hush"));
    }

    #[test]
    fn an_unknown_type_is_named_but_not_at_length() {
        let text = format!("{{\"type\":\"{}\"}}", "x".repeat(1000));
        let expected = TextError::UnknownType("x".repeat(64));
        assert_eq!(ClientText::decode(&text), Err(expected));
    }
}
