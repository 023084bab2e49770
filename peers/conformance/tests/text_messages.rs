//! Every text message between client and gateway: written by one side and read by the other, and texts
//! of any content.

use nym_gateway_requests::{
    BandwidthResponse, ClientControlRequest, ClientRequest, RegistrationHandshake, SendResponse,
    SensitiveServerResponse, ServerResponse, SharedSymmetricKey, SimpleGatewayRequestsError,
};
use nym_peers_conformance::convert::their_identity_pair;
use nym_proto::gateway::{
    ClientText, EncryptedText, GatewayText, HandshakePayload, InnerRequest, InnerResponse,
    SessionType, SharedKey, TEXT_MAX, Token,
};
use nym_proto::identity::IdentityKeyPair;
use nym_statistics_common::types::SessionType as TheirSession;
use proptest::prelude::*;
use serde_json::Value;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn requests_have_the_same_text_and_are_read_by_both(values in values()) {
        for (ours, theirs) in requests(&values) {
            let text = serde_json::to_string(&theirs).unwrap();
            // of messages no longer sent we write the type alone
            if !matches!(ours, ClientText::Retired(_)) {
                prop_assert_eq!(&ours.encode(), &text);
                let read = ClientControlRequest::try_from(ours.encode()).unwrap();
                prop_assert_eq!(serde_json::to_string(&read).unwrap(), text.clone());
            }
            prop_assert_eq!(ClientText::decode(&text).unwrap(), ours);
        }
    }

    #[test]
    fn responses_have_the_same_text_and_are_read_by_both(values in values()) {
        for (ours, theirs) in responses(&values) {
            let text = serde_json::to_string(&theirs).unwrap();
            prop_assert_eq!(&ours.encode(), &text);
            prop_assert_eq!(GatewayText::decode(&text).unwrap(), ours);
            prop_assert_eq!(ServerResponse::try_from(text).unwrap(), theirs);
        }
    }

    #[test]
    fn messages_of_a_handshake_have_the_same_text_in_both_directions(values in values()) {
        let Values { byte, data, text: message, .. } = values;
        let payload = HandshakePayload { protocol_version: byte, data: data.clone() };
        let theirs = String::from(RegistrationHandshake::new_payload(data.clone(), byte));
        prop_assert_eq!(ClientText::Handshake(payload.clone()).encode(), theirs.clone());
        prop_assert_eq!(GatewayText::Handshake(payload.clone()).encode(), theirs.clone());
        prop_assert_eq!(ClientText::decode(&theirs).unwrap(), ClientText::Handshake(payload.clone()));
        prop_assert_eq!(GatewayText::decode(&theirs).unwrap(), GatewayText::Handshake(payload));
        let theirs = theirs.parse::<RegistrationHandshake>();
        let is_same = matches!(theirs, Ok(RegistrationHandshake::HandshakePayload {
            protocol_version, data: read,
        }) if protocol_version == byte && read == data);
        prop_assert!(is_same);

        let theirs = String::from(RegistrationHandshake::new_error(message.clone()));
        let ours = ClientText::HandshakeError { message: message.clone() };
        prop_assert_eq!(ours.encode(), theirs.clone());
        prop_assert_eq!(ClientText::decode(&theirs).unwrap(), ours);
        let ours = GatewayText::HandshakeError { message };
        prop_assert_eq!(ours.encode(), theirs.clone());
        prop_assert_eq!(GatewayText::decode(&theirs).unwrap(), ours);
    }

    #[test]
    fn encrypted_requests_and_responses_are_read_by_both(key: [u8; 32], nonce: [u8; 12], client: bool, stats: bool) {
        let (ours, theirs) = keys(key);
        let sessions = [
            (SessionType::Vpn, TheirSession::Vpn),
            (SessionType::Mixnet, TheirSession::Mixnet),
            (SessionType::Wasm, TheirSession::Wasm),
            (SessionType::Native, TheirSession::Native),
            (SessionType::Socks5, TheirSession::Socks5),
            (SessionType::Unknown, TheirSession::Unknown),
        ];
        let mut requests: Vec<_> = sessions.into_iter().map(|(ours, theirs)| {
            (InnerRequest::RememberMe { session_type: ours }, ClientRequest::RememberMe { session_type: theirs })
        }).collect();
        requests.push((InnerRequest::ForgetMe { client, stats }, ClientRequest::ForgetMe { client, stats }));
        for (our_request, their_request) in requests {
            let expected = serde_json::to_string(&their_request).unwrap();
            let sealed = our_request.seal(&ours, nonce);
            let read = ClientRequest::decrypt(&sealed.ciphertext, &sealed.nonce, &theirs).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), expected.clone());
            // the same nonce gives the same bytes
            let nonce = SharedSymmetricKey::validate_aead_nonce(&nonce).unwrap();
            prop_assert_eq!(theirs.encrypt(expected.as_bytes(), &nonce).unwrap(), sealed.ciphertext);

            let text = serde_json::to_string(&their_request.encrypt(&theirs).unwrap()).unwrap();
            let ClientText::Encrypted(sealed) = ClientText::decode(&text).unwrap() else {
                panic!("{text}");
            };
            prop_assert_eq!(InnerRequest::open(sealed, &ours).unwrap(), our_request);
        }
        for (our_response, their_response) in [
            (InnerResponse::ForgetMeAck {}, SensitiveServerResponse::ForgetMeAck {}),
            (InnerResponse::RememberMeAck {}, SensitiveServerResponse::RememberMeAck {}),
        ] {
            let expected = serde_json::to_string(&their_response).unwrap();
            let sealed = our_response.seal(&ours, nonce);
            let read = SensitiveServerResponse::decrypt(&sealed.ciphertext, &sealed.nonce, &theirs).unwrap();
            prop_assert_eq!(serde_json::to_string(&read).unwrap(), expected);
            let text = serde_json::to_string(&their_response.encrypt(&theirs).unwrap()).unwrap();
            let GatewayText::Encrypted(sealed) = GatewayText::decode(&text).unwrap() else {
                panic!("{text}");
            };
            prop_assert_eq!(InnerResponse::open(sealed, &ours).unwrap(), our_response);
        }
    }

    #[test]
    fn anything_under_encryption_is_read_alike(key: [u8; 32], nonce in prop::collection::vec(any::<u8>(), 11..14), plaintext in inner_text(), bit in 0..2000usize) {
        let (ours, theirs) = keys(key);
        let ciphertext = match SharedSymmetricKey::validate_aead_nonce(&nonce) {
            Ok(nonce) => theirs.encrypt(plaintext.as_bytes(), &nonce).unwrap(),
            Err(_) => vec![0; 40],
        };
        let mut damaged = ciphertext.clone();
        if let Some(byte) = damaged.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        for ciphertext in [ciphertext, damaged, Vec::new(), vec![1; 15]] {
            let sealed = EncryptedText { ciphertext: ciphertext.clone(), nonce: nonce.clone() };
            let our_request = InnerRequest::open(sealed.clone(), &ours).ok();
            let their_request = ClientRequest::decrypt(&ciphertext, &nonce, &theirs).ok();
            prop_assert_eq!(our_request.is_some(), their_request.is_some(), "{}", plaintext);
            if let (Some(ours), Some(theirs)) = (our_request, their_request) {
                prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            }
            let our_response = InnerResponse::open(sealed, &ours).ok();
            let their_response = SensitiveServerResponse::decrypt(&ciphertext, &nonce, &theirs).ok();
            prop_assert_eq!(our_response.is_some(), their_response.is_some(), "{}", plaintext);
            if let (Some(ours), Some(theirs)) = (our_response, their_response) {
                prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20 * CASES) })]

    #[test]
    fn any_text_is_the_same_request_for_both_or_none(text in any_text()) {
        compare_requests(&text);
    }

    #[test]
    fn any_text_is_the_same_response_for_both_or_none(text in any_text()) {
        compare_responses(&text);
    }
}

/// Intended difference: members of messages that are only ever refused are not read.
#[test]
fn requests_of_the_past_are_known_by_their_type() {
    for kind in ["authenticate", "bandwidthCredential", "bandwidthCredentialV2"] {
        let text = format!(r#"{{"type":"{kind}"}}"#);
        assert!(matches!(ClientText::decode(&text), Ok(ClientText::Retired(_))));
        assert!(ClientControlRequest::try_from(text).is_err());
    }
}

/// Intended difference: every text of a gateway answers a request, so one of a type we do not know
/// must be told from one that cannot be read.
#[test]
fn responses_of_unknown_types_are_responses_to_us() {
    let text = r#"{"type":"somethingNew","x":1}"#;
    assert!(matches!(GatewayText::decode(text), Ok(GatewayText::Unknown { .. })));
    assert!(ServerResponse::try_from(text.to_owned()).is_err());
}

/// Intended difference: older gateways may write `null` for a version.
#[test]
fn a_version_that_is_null_is_missing_to_us() {
    for text in [
        r#"{"type":"register","protocol_version":null,"status":true}"#,
        r#"{"type":"authenticate","protocol_version":null,"status":true,"bandwidth_remaining":1}"#,
        r#"{"type":"handshakePayload","protocol_version":null,"data":[1]}"#,
    ] {
        assert!(GatewayText::decode(text).is_ok());
        assert!(!is_response_of_theirs(text));
        assert!(GatewayText::decode(&text.replace("null", "0")).is_ok());
        assert!(is_response_of_theirs(&text.replace("null", "0")));
    }
    // from a client it is an error to both
    let text = r#"{"type":"handshakePayload","protocol_version":null,"data":[1]}"#;
    assert!(ClientText::decode(text).is_err() && !is_request_of_theirs(text));
}

/// Intended difference: a message is a JSON object; theirs also reads an array of its members' values.
#[test]
fn an_array_is_no_message_to_us() {
    let text = r#"["error","message"]"#;
    assert!(GatewayText::decode(text).is_err());
    assert!(ServerResponse::try_from(text.to_owned()).is_ok());
}

/// Intended difference: what cannot be a valid authentication is refused when it is read, not when it
/// is checked.
#[test]
fn sizes_in_an_authentication_are_looked_at_early() {
    let text = authentication();
    assert!(ClientText::decode(&text).is_ok() && is_request_of_theirs(&text));
    let mut json: Value = serde_json::from_str(&text).unwrap();
    for member in ["nonce", "addressCiphertext"] {
        let old = json[member].take();
        for other in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAA"] {
            json[member] = other.into();
            assert!(ClientText::decode(&json.to_string()).is_err());
            assert!(is_request_of_theirs(&json.to_string()));
        }
        json[member] = old;
    }
}

/// Intended difference: values nobody reads are skipped, whatever they are.
#[test]
fn values_of_unknown_members_are_not_looked_at_by_us() {
    for value in [r#""\ud800""#, "1e999"] {
        let text = format!(r#"{{"type":"error","message":"a","other":{value}}}"#);
        assert!(GatewayText::decode(&text).is_ok(), "{text}");
        assert!(ServerResponse::try_from(text).is_err());
    }
}

/// Intended difference: longer texts than any honest one are not read.
#[test]
fn texts_of_more_than_a_megabyte_are_refused_by_us() {
    let text = format!(r#"{{"type":"error","message":"{}"}}"#, "a".repeat(TEXT_MAX));
    assert!(GatewayText::decode(&text).is_err());
    assert!(ServerResponse::try_from(text).is_ok());
}

fn compare_requests(text: &str) {
    let ours = ClientText::decode(text);
    let theirs = ClientControlRequest::try_from(text.to_owned())
        .map(|request| serde_json::to_string(&request).unwrap());
    // one type of ours stands for two of theirs
    let theirs = theirs.or_else(|_| text.parse::<RegistrationHandshake>().map(String::from));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(meaning(&ours.encode()), meaning(&theirs), "{text}"),
        (Err(_), Err(_)) => {}
        (Ok(ClientText::Retired(_)), Err(_)) => {}
        (Ok(_), Err(_)) => assert!(has_odd_value(text), "only ours reads {text}"),
        (Err(_), Ok(theirs)) => {
            let is_early = theirs.starts_with(r#"{"type":"authenticateV2""#);
            assert!(is_early || is_array(text), "only theirs reads {text}");
        }
    }
}

fn compare_responses(text: &str) {
    let ours = GatewayText::decode(text);
    let theirs = ServerResponse::try_from(text.to_owned())
        .map(|response| serde_json::to_string(&response).unwrap());
    let theirs = theirs.or_else(|_| text.parse::<RegistrationHandshake>().map(String::from));
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(meaning(&ours.encode()), meaning(&theirs), "{text}"),
        (Err(_), Err(_)) | (Ok(GatewayText::Unknown { .. }), Err(_)) => {}
        (Ok(_), Err(_)) => {
            let is_null = text.contains("null") && text.contains("protocol_version");
            assert!(is_null || has_odd_value(text), "only ours reads {text}");
        }
        (Err(_), Ok(_)) => assert!(is_array(text), "only theirs reads {text}"),
    }
}

fn is_request_of_theirs(text: &str) -> bool {
    ClientControlRequest::try_from(text.to_owned()).is_ok()
        || text.parse::<RegistrationHandshake>().is_ok()
}

fn is_response_of_theirs(text: &str) -> bool {
    ServerResponse::try_from(text.to_owned()).is_ok()
        || text.parse::<RegistrationHandshake>().is_ok()
}

/// True for texts with values that only whoever looks at them refuses.
fn has_odd_value(text: &str) -> bool {
    text.contains("\\ud800") || text.contains("1e999")
}

fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

/// A message in a form that is the same for the same meaning.
fn meaning(text: &str) -> Value {
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

fn keys(key: [u8; 32]) -> (SharedKey, SharedSymmetricKey) {
    (SharedKey::from_bytes(key), SharedSymmetricKey::try_from_bytes(&key).unwrap())
}

/// What the members of messages are filled with.
#[derive(Clone, Debug)]
struct Values {
    byte: u8,
    data: Vec<u8>,
    other: Vec<u8>,
    text: String,
    amounts: [i64; 2],
    flags: [bool; 2],
}

fn values() -> impl Strategy<Value = Values> {
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
fn requests(values: &Values) -> Vec<(ClientText, ClientControlRequest)> {
    use nym_proto::gateway::Retired;
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
fn responses(values: &Values) -> Vec<(GatewayText, ServerResponse)> {
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

fn authentication() -> String {
    let (_, key) = keys([5; 32]);
    let identity = their_identity_pair(&IdentityKeyPair::from_seed(&[6; 32]));
    let request = ClientControlRequest::new_authenticate_v2(&key, &identity, 6).unwrap();
    serde_json::to_string(&request).unwrap()
}

/// Messages of both directions with members missing, doubled, added or of another value; then some
/// with a character changed; then rubbish.
fn any_text() -> impl Strategy<Value = String> {
    let damaged = (message(), any::<prop::sample::Index>(), "[\\[\\]{}\",:0-9a-z\\\\ -]{0,2}")
        .prop_map(|(text, at, patch)| {
            let mut characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            characters.splice(at..=at, patch.chars());
            characters.into_iter().collect()
        });
    let array =
        prop::collection::vec(value(), 0..4).prop_map(|values| format!("[{}]", values.join(",")));
    let tagged = (kind(), prop::collection::vec(value(), 0..3))
        .prop_map(|(kind, values)| format!("[{}]", [vec![kind], values].concat().join(",")));
    prop_oneof![8 => message(), 3 => damaged, 1 => array, 1 => tagged, 1 => any::<String>()]
}

fn message() -> impl Strategy<Value = String> {
    let member = (prop::sample::select(MEMBERS.to_vec()), value());
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..5u8, member), 0..3);
    let whitespace = prop::sample::select(vec!["", " ", "\n\t "]);
    (prop::sample::select(valid_messages()), changes, kind(), prop::bool::weighted(0.1), whitespace)
        .prop_map(|(text, changes, kind, other_kind, space)| {
            let json: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
            let mut members: Vec<(String, String)> =
                json.into_iter().map(|(name, value)| (name, value.to_string())).collect();
            for (at, change, (name, value)) in changes {
                if members.is_empty() {
                    break;
                }
                let at = at.index(members.len());
                match change {
                    0 => drop(members.remove(at)),
                    1 => members.push(members[at].clone()),
                    2 => members.insert(at, (name.to_owned(), value)),
                    _ => members[at].1 = value,
                }
            }
            if other_kind && let Some(member) = members.iter_mut().find(|member| member.0 == "type")
            {
                member.1 = kind;
            }
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
                .collect();
            format!("{space}{{{}}}{space}", members.join(","))
        })
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

fn kind() -> impl Strategy<Value = String> {
    prop::sample::select(KINDS.to_vec()).prop_map(|kind| format!("\"{kind}\""))
}

/// A JSON value, of those that readers are known to take differently.
fn value() -> impl Strategy<Value = String> {
    let tricky = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "255",
        "256",
        "1.0",
        "1e2",
        "1e999",
        "6",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551616",
        "\"\"",
        "\"a\"",
        "\"1\"",
        "\"\\u0041\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"ticket_replay\"",
        "{\"ticket_replay\":null}",
        "{\"ticket_replay\":1}",
        "\"out_of_bandwidth\"",
        "{\"out_of_bandwidth\":{\"required\":1,\"available\":-2}}",
        "{\"out_of_bandwidth\":[1,2]}",
        "{\"out_of_bandwidth\":{\"required\":1}}",
        "{\"out_of_bandwidth\":{\"required\":1,\"available\":2,\"x\":3}}",
        "{}",
        "{\"a\":1}",
        "[]",
        "[0]",
        "[1,2,3]",
        "[256]",
        "[-1]",
        "[1.0]",
        "[\"a\"]",
        "[null]",
        "[[1]]",
        "[1,2,3,4,5,6,7,8,9,10,11,12]",
    ];
    let numbers = prop::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| format!("{bytes:?}"));
    prop_oneof![
        8 => prop::sample::select(tricky.map(str::to_owned).to_vec()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => numbers,
        1 => any::<String>().prop_map(|text| Value::String(text).to_string()),
    ]
}

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

/// What stands under encryption: valid, with other values, or rubbish.
fn inner_text() -> impl Strategy<Value = String> {
    let names = vec!["ForgetMe", "RememberMe", "ForgetMeAck", "RememberMeAck", "Other"];
    let body = prop_oneof![
        3 => (value(), value()).prop_map(|(a, b)| format!("{{\"client\":{a},\"stats\":{b}}}")),
        1 => Just("{\"client\":true,\"stats\":false}".to_owned()),
        1 => Just("{\"session_type\":\"Native\"}".to_owned()),
        1 => "[A-Z][a-z0-9]{1,6}".prop_map(|name| format!("{{\"session_type\":\"{name}\"}}")),
        1 => Just("{}".to_owned()),
        3 => value(),
    ];
    let tagged = (prop::sample::select(names.clone()), body)
        .prop_map(|(name, body)| format!("{{\"{name}\":{body}}}"));
    let bare = prop::sample::select(names).prop_map(|name| format!("\"{name}\""));
    prop_oneof![6 => tagged, 1 => bare, 1 => any_text()]
}
