//! Text frames from the gateway to the client. (protocol: gateway 10.2)

use serde::{Deserialize, Serialize};

use super::encrypted::EncryptedText;
use super::handshake::HandshakePayload;
use super::json::{TextError, Writer, kind, members, shortened};

/// A text frame a gateway sends.
///
/// Once a session is established every text frame answers the oldest request that is still
/// unanswered, whatever it says and whether or not it can be read. (protocol: gateway 8.2)
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GatewayText {
    /// The newest version the gateway speaks.
    SupportedProtocol {
        /// Any number; see [`ProtocolVersion::client_proposal`](super::ProtocolVersion::client_proposal).
        version: u8,
    },
    /// A message of the registration handshake.
    Handshake(HandshakePayload),
    /// The gateway gives a handshake up.
    HandshakeError {
        /// For humans.
        message: String,
    },
    /// The end of a registration.
    Register {
        /// The version the gateway adopted; 0 if it does not say.
        protocol_version: u8,
        /// False means failure.
        status: bool,
        /// The gateway does not charge for the time being.
        upgrade_mode: bool,
    },
    /// The end of an authentication.
    Authenticate {
        /// The version the gateway adopted; 0 if it does not say.
        protocol_version: u8,
        /// False means failure.
        status: bool,
        /// The client's balance in bytes.
        bandwidth_remaining: i64,
        /// The gateway does not charge for the time being.
        upgrade_mode: bool,
    },
    /// The answer to a claim.
    Bandwidth {
        /// The client's balance in bytes.
        available_total: i64,
        /// The gateway does not charge for the time being.
        upgrade_mode: bool,
    },
    /// A packet was accepted for forwarding.
    Send {
        /// The client's balance in bytes, after the packet was paid.
        remaining_bandwidth: i64,
        /// The gateway does not charge for the time being.
        upgrade_mode: bool,
    },
    /// A response that only the client can read. (protocol: gateway 13)
    Encrypted(EncryptedText),
    /// A request failed.
    Error {
        /// For humans.
        message: String,
    },
    /// A packet was not forwarded because the client cannot pay for it.
    OutOfBandwidth {
        /// Price of the packet in bytes.
        required: i64,
        /// The client's balance in bytes.
        available: i64,
    },
    /// A ticket was spent before.
    TicketReplay,
    /// A response of a type this version does not know. It answers a request like any other.
    Unknown {
        /// The type, cut to 64 characters.
        name: String,
    },
}

const SUPPORTED_PROTOCOL: &str = "supportedProtocol";
const HANDSHAKE: &str = "handshakePayload";
const HANDSHAKE_ERROR: &str = "handshakeError";
const REGISTER: &str = "register";
const AUTHENTICATE: &str = "authenticate";
const BANDWIDTH: &str = "bandwidth";
const SEND: &str = "send";
const ENCRYPTED: &str = "encryptedResponse";
const ERROR: &str = "error";
const TYPED_ERROR: &str = "typedError";

impl GatewayText {
    /// The text of the frame.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::SupportedProtocol { version } => {
                Writer::new(SUPPORTED_PROTOCOL).member("version", version)
            }
            Self::Handshake(payload) => payload.write(Writer::new(HANDSHAKE)),
            Self::HandshakeError { message } => {
                Writer::new(HANDSHAKE_ERROR).member("message", message)
            }
            Self::Register { protocol_version, status, upgrade_mode } => Writer::new(REGISTER)
                .member("protocol_version", protocol_version)
                .member("status", status)
                .member("upgrade_mode", upgrade_mode),
            Self::Authenticate { protocol_version, status, bandwidth_remaining, upgrade_mode } => {
                Writer::new(AUTHENTICATE)
                    .member("protocol_version", protocol_version)
                    .member("status", status)
                    .member("bandwidth_remaining", bandwidth_remaining)
                    .member("upgrade_mode", upgrade_mode)
            }
            Self::Bandwidth { available_total, upgrade_mode } => Writer::new(BANDWIDTH)
                .member("available_total", available_total)
                .member("upgrade_mode", upgrade_mode),
            Self::Send { remaining_bandwidth, upgrade_mode } => Writer::new(SEND)
                .member("remaining_bandwidth", remaining_bandwidth)
                .member("upgrade_mode", upgrade_mode),
            Self::Encrypted(text) => text.write(Writer::new(ENCRYPTED)),
            Self::Error { message } => Writer::new(ERROR).member("message", message),
            Self::OutOfBandwidth { required, available } => {
                let (required, available) = (*required, *available);
                Writer::new(TYPED_ERROR)
                    .member("error", &Detail::OutOfBandwidth { required, available })
            }
            Self::TicketReplay => Writer::new(TYPED_ERROR).member("error", &Detail::TicketReplay),
            Self::Unknown { name } => Writer::new(name),
        }
        .finish()
    }

    /// Reads the text of a frame. After an error the frame still counts as a response.
    pub fn decode(text: &str) -> Result<Self, TextError> {
        Ok(match &*kind(text)? {
            SUPPORTED_PROTOCOL => Self::SupportedProtocol {
                version: members::<SupportedProtocol>(SUPPORTED_PROTOCOL, text)?.version,
            },
            HANDSHAKE => Self::Handshake(HandshakePayload::read_from_gateway(HANDSHAKE, text)?),
            HANDSHAKE_ERROR => {
                Self::HandshakeError { message: members::<Message>(HANDSHAKE_ERROR, text)?.message }
            }
            REGISTER => members::<Register>(REGISTER, text)?.into(),
            AUTHENTICATE => members::<Authenticate>(AUTHENTICATE, text)?.into(),
            BANDWIDTH => {
                let bandwidth: Bandwidth = members(BANDWIDTH, text)?;
                Self::Bandwidth {
                    available_total: bandwidth.available_total,
                    upgrade_mode: bandwidth.upgrade_mode,
                }
            }
            SEND => {
                let send: Send = members(SEND, text)?;
                Self::Send {
                    remaining_bandwidth: send.remaining_bandwidth,
                    upgrade_mode: send.upgrade_mode,
                }
            }
            ENCRYPTED => Self::Encrypted(EncryptedText::read(ENCRYPTED, text)?),
            ERROR => Self::Error { message: members::<Message>(ERROR, text)?.message },
            TYPED_ERROR => match members::<TypedError>(TYPED_ERROR, text)?.error {
                Detail::TicketReplay => Self::TicketReplay,
                Detail::OutOfBandwidth { required, available } => {
                    Self::OutOfBandwidth { required, available }
                }
            },
            other => Self::Unknown { name: shortened(other) },
        })
    }
}

#[derive(Deserialize)]
struct SupportedProtocol {
    version: u8,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

// `protocol_version` was nullable up to version 5 (protocol: gateway 10.2)
#[derive(Deserialize)]
struct Register {
    #[serde(default)]
    protocol_version: Option<u8>,
    status: bool,
    #[serde(default)]
    upgrade_mode: bool,
}

impl From<Register> for GatewayText {
    fn from(wire: Register) -> Self {
        Self::Register {
            protocol_version: wire.protocol_version.unwrap_or(0),
            status: wire.status,
            upgrade_mode: wire.upgrade_mode,
        }
    }
}

#[derive(Deserialize)]
struct Authenticate {
    #[serde(default)]
    protocol_version: Option<u8>,
    status: bool,
    bandwidth_remaining: i64,
    #[serde(default)]
    upgrade_mode: bool,
}

impl From<Authenticate> for GatewayText {
    fn from(wire: Authenticate) -> Self {
        Self::Authenticate {
            protocol_version: wire.protocol_version.unwrap_or(0),
            status: wire.status,
            bandwidth_remaining: wire.bandwidth_remaining,
            upgrade_mode: wire.upgrade_mode,
        }
    }
}

#[derive(Deserialize)]
struct Bandwidth {
    available_total: i64,
    #[serde(default)]
    upgrade_mode: bool,
}

#[derive(Deserialize)]
struct Send {
    remaining_bandwidth: i64,
    #[serde(default)]
    upgrade_mode: bool,
}

#[derive(Deserialize)]
struct TypedError {
    error: Detail,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Detail {
    TicketReplay,
    OutOfBandwidth { required: i64, available: i64 },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_gateway_text() -> impl Strategy<Value = GatewayText> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            any::<u8>().prop_map(|version| GatewayText::SupportedProtocol { version }),
            (any::<u8>(), bytes()).prop_map(|(protocol_version, data)| {
                GatewayText::Handshake(HandshakePayload { protocol_version, data })
            }),
            any::<String>().prop_map(|message| GatewayText::HandshakeError { message }),
            any::<(u8, bool, bool)>().prop_map(|(protocol_version, status, upgrade_mode)| {
                GatewayText::Register { protocol_version, status, upgrade_mode }
            }),
            any::<(u8, bool, i64, bool)>().prop_map(
                |(protocol_version, status, bandwidth_remaining, upgrade_mode)| {
                    GatewayText::Authenticate {
                        protocol_version,
                        status,
                        bandwidth_remaining,
                        upgrade_mode,
                    }
                }
            ),
            any::<(i64, bool)>().prop_map(|(available_total, upgrade_mode)| {
                GatewayText::Bandwidth { available_total, upgrade_mode }
            }),
            any::<(i64, bool)>().prop_map(|(remaining_bandwidth, upgrade_mode)| {
                GatewayText::Send { remaining_bandwidth, upgrade_mode }
            }),
            (bytes(), bytes()).prop_map(|(ciphertext, nonce)| {
                GatewayText::Encrypted(EncryptedText { ciphertext, nonce })
            }),
            any::<String>().prop_map(|message| GatewayText::Error { message }),
            any::<(i64, i64)>().prop_map(|(required, available)| GatewayText::OutOfBandwidth {
                required,
                available,
            }),
            Just(GatewayText::TicketReplay),
            // no known type has a capital letter in front
            "[A-Z][a-zA-Z]{0,20}".prop_map(|name| GatewayText::Unknown { name }),
        ]
    }

    proptest! {
        #[test]
        fn every_gateway_text_reads_back(message in any_gateway_text()) {
            prop_assert_eq!(GatewayText::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn a_truncated_gateway_text_is_refused(message in any_gateway_text(), at: usize) {
            let text = message.encode();
            let at = (0..at % text.len() + 1).rfind(|&at| text.is_char_boundary(at)).unwrap();
            prop_assert!(GatewayText::decode(&text[..at]).is_err());
        }

        #[test]
        fn a_gateway_text_with_a_bit_flipped_is_refused_or_means_what_it_encodes_to(
            message in any_gateway_text(),
            at: usize,
            bit in 0..8u8,
        ) {
            let mut bytes = message.encode().into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(decoded) = GatewayText::decode(&String::from_utf8_lossy(&bytes)) {
                prop_assert_eq!(GatewayText::decode(&decoded.encode()), Ok(decoded));
            }
        }

        #[test]
        fn arbitrary_text_never_panics_the_decoder(text: String) {
            prop_assert!(GatewayText::decode(&text).is_err());
        }
    }

    #[test]
    fn a_null_version_from_a_gateway_counts_as_missing() {
        let text = "{\"type\":\"register\",\"protocol_version\":null,\"status\":true}";
        let expected =
            GatewayText::Register { protocol_version: 0, status: true, upgrade_mode: false };
        assert_eq!(GatewayText::decode(text), Ok(expected));
    }
}
