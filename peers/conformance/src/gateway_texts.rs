//! The text messages between client and gateway: each as one of ours and one of theirs, and texts that are
//! almost messages.

use nym_gateway_requests::{
    BandwidthResponse, ClientControlRequest, RegistrationHandshake, SendResponse, ServerResponse,
    SharedSymmetricKey, SimpleGatewayRequestsError,
};
use nym_proto::gateway::{
    ClientText, EncryptedText, GatewayText, HandshakePayload, Retired, SharedKey, Token,
};
use nym_proto::identity::IdentityKeyPair;
use proptest::prelude::*;
use serde_json::Value;

use crate::convert::their_identity_pair;
use crate::texts::Words;

/// What the members of messages are filled with.
#[derive(Clone, Debug)]
pub struct Values {
    pub byte: u8,
    pub data: Vec<u8>,
    pub other: Vec<u8>,
    pub text: String,
    pub amounts: [i64; 2],
    pub flags: [bool; 2],
}

pub fn values() -> impl Strategy<Value = Values> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..100);
    (any::<u8>(), bytes(), bytes(), any::<String>(), any::<[i64; 2]>(), any::<[bool; 2]>())
        .prop_map(|(byte, data, other, text, amounts, flags)| Values {
            byte,
            data,
            other,
            text,
            amounts,
            flags,
        })
}

/// Every request, as one of ours and one of theirs. Authentications have a test of their own.
pub fn requests(values: &Values) -> Vec<(ClientText, ClientControlRequest)> {
    let Values { byte: protocol_version, data, other, text, .. } = values.clone();
    vec![
        (ClientText::SupportedProtocol, ClientControlRequest::SupportedProtocol {}),
        (ClientText::ClaimFreeBandwidth, ClientControlRequest::ClaimFreeTestnetBandwidth),
        (
            ClientText::HandshakeInit(HandshakePayload { protocol_version, data: data.clone() }),
            ClientControlRequest::RegisterHandshakeInitRequest {
                protocol_version,
                data: data.clone(),
            },
        ),
        (
            ClientText::EcashCredential { enc_credential: data.clone(), nonce: other.clone() },
            ClientControlRequest::EcashCredential {
                enc_credential: data.clone(),
                nonce: other.clone(),
            },
        ),
        (
            ClientText::UpgradeModeJwt { token: Token::new(text.clone()) },
            ClientControlRequest::UpgradeModeJWT { token: text.clone() },
        ),
        (
            ClientText::Encrypted(EncryptedText { ciphertext: data.clone(), nonce: other.clone() }),
            ClientControlRequest::EncryptedRequest {
                ciphertext: data.clone(),
                nonce: other.clone(),
            },
        ),
        (
            ClientText::Retired(Retired::Authenticate),
            ClientControlRequest::Authenticate {
                protocol_version: Some(protocol_version),
                address: text.clone(),
                enc_address: text.clone(),
                iv: text,
            },
        ),
        (
            ClientText::Retired(Retired::BandwidthCredential),
            ClientControlRequest::BandwidthCredential {
                enc_credential: data.clone(),
                iv: other.clone(),
            },
        ),
        (
            ClientText::Retired(Retired::BandwidthCredentialV2),
            ClientControlRequest::BandwidthCredentialV2 { enc_credential: data, iv: other },
        ),
    ]
}

/// Every response, as one of ours and one of theirs.
pub fn responses(values: &Values) -> Vec<(GatewayText, ServerResponse)> {
    let Values { byte: protocol_version, data, other, text, amounts, flags } = values.clone();
    let ([amount, available], [status, upgrade_mode]) = (amounts, flags);
    vec![
        (
            GatewayText::SupportedProtocol { version: protocol_version },
            ServerResponse::SupportedProtocol { version: protocol_version },
        ),
        (
            GatewayText::Register { protocol_version, status, upgrade_mode },
            ServerResponse::Register { protocol_version, status, upgrade_mode },
        ),
        (
            GatewayText::Authenticate {
                protocol_version,
                status,
                bandwidth_remaining: amount,
                upgrade_mode,
            },
            ServerResponse::Authenticate {
                protocol_version,
                status,
                bandwidth_remaining: amount,
                upgrade_mode,
            },
        ),
        (
            GatewayText::Bandwidth { available_total: amount, upgrade_mode },
            ServerResponse::Bandwidth(BandwidthResponse { available_total: amount, upgrade_mode }),
        ),
        (
            GatewayText::Send { remaining_bandwidth: amount, upgrade_mode },
            ServerResponse::Send(SendResponse { remaining_bandwidth: amount, upgrade_mode }),
        ),
        (
            GatewayText::Encrypted(EncryptedText {
                ciphertext: data.clone(),
                nonce: other.clone(),
            }),
            ServerResponse::EncryptedResponse { ciphertext: data, nonce: other },
        ),
        (GatewayText::Error { message: text.clone() }, ServerResponse::Error { message: text }),
        (
            GatewayText::OutOfBandwidth { required: amount, available },
            ServerResponse::TypedError {
                error: SimpleGatewayRequestsError::OutOfBandwidth { required: amount, available },
            },
        ),
        (
            GatewayText::TicketReplay,
            ServerResponse::TypedError { error: SimpleGatewayRequestsError::TicketReplay },
        ),
    ]
}

/// An authentication of theirs.
pub fn authentication() -> String {
    let (_, key) = keys([5; 32]);
    let identity = their_identity_pair(&IdentityKeyPair::from_seed(&[6; 32]));
    let request = ClientControlRequest::new_authenticate_v2(&key, &identity, 6).unwrap();
    serde_json::to_string(&request).unwrap()
}

/// The key of a session on both sides.
pub fn keys(key: [u8; 32]) -> (SharedKey, SharedSymmetricKey) {
    (SharedKey::from_bytes(key), SharedSymmetricKey::try_from_bytes(&key).unwrap())
}

/// A message in a form that is the same for the same meaning.
pub fn meaning(text: &str) -> Value {
    let mut json: Value = serde_json::from_str(text).unwrap();
    match json["type"].as_str().unwrap() {
        "handshakePayload" => json["type"] = "registerHandshakeInitRequest".into(),
        "authenticate" if json.get("status").is_none() => json = "authenticate".into(),
        "bandwidthCredential" => json = "bandwidthCredential".into(),
        "bandwidthCredentialV2" => json = "bandwidthCredentialV2".into(),
        _ => {}
    }
    json
}

/// What [`Words::any_text`] makes texts for both directions of.
pub fn words() -> Words {
    Words { valid: valid_messages(), members: &MEMBERS, kinds: &KINDS, values: &VALUES }
}

const MEMBERS: [&str; 20] = [
    "type",
    "protocol_version",
    "protocolVersion",
    "data",
    "message",
    "status",
    "upgrade_mode",
    "bandwidth_remaining",
    "available_total",
    "remaining_bandwidth",
    "ciphertext",
    "nonce",
    "iv",
    "enc_credential",
    "token",
    "version",
    "error",
    "requestSignature",
    "clientIdentity",
    "other",
];

const KINDS: [&str; 22] = [
    "supportedProtocol",
    "handshakePayload",
    "registerHandshakeInitRequest",
    "handshakeError",
    "authenticateV2",
    "claimFreeTestnetBandwidth",
    "ecashCredential",
    "upgradeModeJWT",
    "encryptedRequest",
    "authenticate",
    "bandwidthCredential",
    "bandwidthCredentialV2",
    "register",
    "bandwidth",
    "send",
    "encryptedResponse",
    "error",
    "typedError",
    "upgradeModeJwt",
    "Send",
    "",
    "unknown",
];

/// Values that only these messages have.
const VALUES: [&str; 16] = [
    "6",
    "\"ticket_replay\"",
    "{\"ticket_replay\":null}",
    "{\"ticket_replay\":1}",
    "\"out_of_bandwidth\"",
    "{\"out_of_bandwidth\":{\"required\":1,\"available\":-2}}",
    "{\"out_of_bandwidth\":[1,2]}",
    "{\"out_of_bandwidth\":{\"required\":1}}",
    "{\"out_of_bandwidth\":{\"required\":1,\"available\":2,\"x\":3}}",
    "[1.0]",
    "[\"a\"]",
    "[1,2,3,4,5,6,7,8,9,10,11,12]",
    "[1,2,3,4,5,6,7,8,9,10,11]",
    "[0,0,0,0,0,0,0,0,0,0,0,0,0]",
    "[6,256]",
    "[1,2,3,4,5,6,7,8,9,10,11,-12]",
];

fn valid_messages() -> Vec<String> {
    let values = Values {
        byte: 6,
        data: vec![1, 2, 3],
        other: vec![9; 12],
        text: "text \"\\\u{1}é".into(),
        amounts: [7, -3],
        flags: [true, false],
    };
    let requests = requests(&values).into_iter().map(|(_, theirs)| serde_json::to_string(&theirs));
    let responses =
        responses(&values).into_iter().map(|(_, theirs)| serde_json::to_string(&theirs));
    let mut texts: Vec<String> = requests.chain(responses).map(Result::unwrap).collect();
    texts.push(RegistrationHandshake::new_payload(vec![1, 2], 5).into());
    texts.push(RegistrationHandshake::new_error("no").into());
    texts.push(authentication());
    texts
}
