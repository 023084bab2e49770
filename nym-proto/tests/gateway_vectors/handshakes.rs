//! Both sides of every recorded handshake, each against the recorded texts of the other.

use nym_proto::gateway::{
    ClientHandshake, ClientText, GatewayHandshake, GatewayText, HandshakeError, HandshakePayload,
    HandshakeRandomness, ProtocolVersion, SharedKey, VersionError,
};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey};
use serde_json::Value;

use crate::is_deliberate;
use crate::support::{array, bytes, list, text, uint, vectors};

type Outcome = Result<(SharedKey, ProtocolVersion), HandshakeError>;

#[test]
fn the_client_sends_and_concludes_what_is_recorded() {
    for case in list(&vectors(), "handshakes") {
        let name = text(case, "name");
        let outcome = client_run(case);
        if name == "client_proposes_6_gateway_answers_3" {
            assert!(is_deliberate("handshakes", name));
            assert_eq!(outcome.unwrap().1, ProtocolVersion::CURRENT);
        } else {
            check_outcome(name, outcome, &case["client_result"]);
        }
    }
}

#[test]
fn the_gateway_sends_and_concludes_what_is_recorded() {
    for case in list(&vectors(), "handshakes") {
        let name = text(case, "name");
        check_outcome(name, gateway_run(case), &case["gateway_result"]);
    }
}

fn check_outcome(name: &str, outcome: Outcome, expected: &Value) {
    match outcome {
        Ok((key, version)) => {
            assert_eq!(expected["ok"], true, "{name}");
            assert_eq!(key.as_bytes()[..], bytes(expected, "shared_key"), "{name}");
            let negotiated = uint(expected, "negotiated_protocol");
            assert_eq!(u64::from(version.get()), negotiated, "{name}");
        }
        Err(error) => {
            assert_eq!(recorded_name(&error), text(expected, "error"), "{name}");
        }
    }
}

/// Drives a client with the recorded messages of the gateway.
fn client_run(case: &Value) -> Outcome {
    let name = text(case, "name");
    let messages = list(case, "messages");
    let identity = IdentityKeyPair::from_seed(&array(case, "client_identity_private"));
    let public = bytes(case, "client_identity_public");
    assert_eq!(identity.public().as_bytes()[..], public);
    let gateway = array(case, "client_expects_gateway_identity");
    let gateway = IdentityKey::from_bytes(gateway).unwrap();
    let proposal = uint(case, "client_proposes") as u8;
    let version = ProtocolVersion::new(proposal).unwrap_or_else(|_| {
        assert!(is_deliberate("handshakes", name), "{name}");
        ProtocolVersion::CURRENT
    });

    let randomness = randomness(case, "client", "client_material");
    let (state, sent) = ClientHandshake::start_with(&identity, &gateway, version, randomness);
    if version.get() == proposal {
        compare(&sent, &messages[0], name == "init_without_salt_64_bytes");
    } else {
        assert_eq!(payload_of_client(&sent).data, bytes(&messages[0], "payload"));
    }

    let (state, sent) = state.handle(&gateway_payload(&messages[1])?)?;
    compare(&sent, &messages[2], name == "client_ciphertext_bit_flipped");
    let pending = state.shared_key().as_bytes();
    assert_eq!(pending[..], bytes(case, "shared_key"), "{name}");

    let verdict = gateway_payload(&messages[3])?;
    let established = state.handle(&verdict)?;
    // the `register` response carries the version of the gateway's stamps
    let session = established.version.client_session_registered(verdict.protocol_version);
    Ok((established.shared_key, session))
}

/// Drives a gateway with the recorded messages of the client.
fn gateway_run(case: &Value) -> Outcome {
    let name = text(case, "name");
    let messages = list(case, "messages");
    let identity = IdentityKeyPair::from_seed(&array(case, "gateway_identity_private"));
    let public = bytes(case, "gateway_identity_public");
    assert_eq!(identity.public().as_bytes()[..], public);

    let mut init = client_payload(&messages[0])?;
    // some cases simulate a gateway that adopts something else than the client proposes
    init.protocol_version = uint(case, "gateway_input_protocol") as u8;
    let client = GatewayHandshake::client(&init)?;
    assert_eq!(client.as_bytes()[..], bytes(case, "client_identity_public"));
    let randomness = randomness(case, "gateway", "gateway_material");
    let (state, sent) = GatewayHandshake::accept_with(&identity, &init, randomness)?;
    let tampered = [
        "gateway_ciphertext_bit_flipped",
        "gateway_material_legacy_96_bytes",
        "gateway_material_stamped_7",
    ];
    compare(&sent, &messages[1], tampered.contains(&name));

    let (registered, sent) = state.handle(&client_payload(&messages[2])?)?;
    assert_eq!(registered.client, client);
    let tampered = name.starts_with("finalization_status");
    compare(&sent, &messages[3], tampered);
    Ok((registered.shared_key, registered.version))
}

/// The recorded text is the one as delivered, so a tampered one differs from what was sent.
fn compare(sent: &str, recorded: &Value, is_tampered: bool) {
    assert_eq!(recorded["text"].as_str() == Some(sent), !is_tampered, "{sent} {recorded}");
}

/// The name the vectors give to an error.
fn recorded_name(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Malformed("the gateway's material has 124 bytes") => "MalformedResponse",
        HandshakeError::Malformed("the first message has 80 bytes") => "MalformedRequest",
        HandshakeError::UnsupportedVersion(VersionError::TooNew(7)) => "UnsupportedProtocol",
        HandshakeError::Decryption => "KeyUsageFailure(AeadFailure(Error))",
        HandshakeError::InvalidSignature => "InvalidSignature",
        HandshakeError::Refused(0 | 2) => "HandshakeFailure",
        HandshakeError::Remote(_) => "RemoteError",
        other => panic!("{other}"),
    }
}

/// The recorded randomness of one side. The nonce stands in the message of the given kind; where
/// there is none or it was cut off, it does not matter.
fn randomness(case: &Value, side: &str, kind: &str) -> HandshakeRandomness {
    let ephemeral = array(case, &format!("{side}_ephemeral_private"));
    let public = bytes(case, &format!("{side}_ephemeral_public"));
    let derived = PrivateKey::from_bytes(ephemeral).public();
    assert_eq!(derived.as_bytes()[..], public);
    let sealed = list(case, "messages").iter().find(|message| message["kind"] == kind);
    HandshakeRandomness {
        ephemeral,
        salt: array(case, "salt"),
        nonce: sealed.map_or([0; 12], |message| array(&message["fields"], "nonce")),
    }
}

/// A message of the gateway as the client reads it.
fn gateway_payload(message: &Value) -> Result<HandshakePayload, HandshakeError> {
    assert_eq!(message["from"], "gateway");
    if message["json_type"] == "handshakeError" {
        return Err(HandshakeError::Remote(String::new()));
    }
    match GatewayText::decode(text(message, "text")) {
        Ok(GatewayText::Handshake(payload)) => Ok(checked(message, payload)),
        other => panic!("{other:?}"),
    }
}

/// A message of the client as the gateway reads it.
fn client_payload(message: &Value) -> Result<HandshakePayload, HandshakeError> {
    assert_eq!(message["from"], "client");
    if message["json_type"] == "handshakeError" {
        return Err(HandshakeError::Remote(String::new()));
    }
    Ok(checked(message, payload_of_client(text(message, "text"))))
}

fn payload_of_client(text: &str) -> HandshakePayload {
    match ClientText::decode(text) {
        Ok(ClientText::Handshake(payload)) => payload,
        other => panic!("{other:?}"),
    }
}

fn checked(message: &Value, payload: HandshakePayload) -> HandshakePayload {
    assert_eq!(payload.data, bytes(message, "payload"));
    assert_eq!(payload.data.len() as u64, uint(message, "payload_len"));
    let stamp = u64::from(payload.protocol_version);
    assert_eq!(stamp, uint(message, "protocol_version"));
    payload
}
