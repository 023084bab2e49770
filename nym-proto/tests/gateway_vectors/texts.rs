//! Text frames.

use nym_proto::gateway::{
    ClientText, EncryptedText, GatewayText, HandshakePayload, InnerRequest, InnerResponse, Retired,
    SharedKey, Token,
};
use serde_json::Value;

use crate::is_deliberate;
use crate::support::{array, bytes, list, object, text, vectors};

#[test]
fn encrypted_requests_are_made_and_read_as_recorded() {
    for case in list(&vectors(), "encrypted_requests") {
        let (key, expected) = encrypted(case);
        let request = InnerRequest::open(expected.clone(), &key).unwrap();
        let sealed = request.seal(&key, array(case, "nonce"));
        assert_eq!(sealed, expected);
        let message = ClientText::Encrypted(sealed);
        assert_eq!(message.encode(), text(case, "text"));
        assert_eq!(ClientText::decode(text(case, "text")), Ok(message));
    }
}

#[test]
fn encrypted_responses_are_made_and_read_as_recorded() {
    for case in list(&vectors(), "encrypted_responses") {
        let (key, expected) = encrypted(case);
        let response = InnerResponse::open(expected.clone(), &key).unwrap();
        let sealed = response.seal(&key, array(case, "nonce"));
        assert_eq!(sealed, expected);
        let message = GatewayText::Encrypted(sealed);
        assert_eq!(message.encode(), text(case, "text"));
        assert_eq!(GatewayText::decode(text(case, "text")), Ok(message));
    }
}

#[test]
fn canonical_requests_read_and_write_as_recorded() {
    for (name, line) in object(&vectors()["json_requests"]) {
        let line = line.as_str().unwrap();
        let expected = canonical_request(name);
        assert_eq!(ClientText::decode(line), Ok(expected.clone()), "{name}");
        // retired requests are recognised by their name alone and not written again
        if !matches!(expected, ClientText::Retired(_)) {
            assert_eq!(expected.encode(), line);
        }
    }
}

#[test]
fn canonical_responses_read_and_write_as_recorded() {
    for (name, line) in object(&vectors()["json_responses"]) {
        let line = line.as_str().unwrap();
        let expected = canonical_response(name);
        assert_eq!(GatewayText::decode(line), Ok(expected.clone()), "{name}");
        assert_eq!(expected.encode(), line);
    }
}

#[test]
fn requests_are_read_or_refused_as_recorded() {
    for case in list(&vectors(), "json_request_parsing") {
        let line = text(case, "text");
        let decoded = ClientText::decode(line);
        assert_eq!(decoded.is_ok(), case["accepted"] == true, "{line}");
        let name = match decoded {
            Ok(ClientText::Handshake(_) | ClientText::HandshakeInit(_)) => {
                "RegisterHandshakeInitRequest"
            }
            Ok(ClientText::SupportedProtocol) => "SupportedProtocol",
            Ok(ClientText::ClaimFreeBandwidth) => "ClaimFreeTestnetBandwidth",
            Ok(ClientText::EcashCredential { .. }) => "EcashCredential",
            Ok(ClientText::Encrypted(_)) => "EncryptedRequest",
            Ok(ClientText::UpgradeModeJwt { .. }) => "UpgradeModeJWT",
            Ok(ClientText::Retired(Retired::Authenticate)) => "Authenticate",
            Ok(other) => panic!("{other:?}"),
            Err(_) => "",
        };
        assert_eq!(name, text(case, "name"), "{line}");
    }
}

#[test]
fn responses_are_read_or_refused_as_recorded() {
    for case in list(&vectors(), "json_response_parsing") {
        let line = text(case, "text");
        let decoded = GatewayText::decode(line);
        let agrees = decoded.is_ok() == (case["accepted"] == true);
        let differs = is_deliberate("json_response_parsing", line);
        assert_eq!(agrees, !differs, "{line}");
        if let (Ok(decoded), Some(parsed)) = (decoded, case["parsed"].as_str()) {
            assert_eq!(decoded.encode(), parsed);
        }
    }
}

#[test]
fn handshake_messages_are_read_or_refused_as_recorded() {
    for case in list(&vectors(), "json_handshake_parsing") {
        let line = text(case, "text");
        let accepted = case["accepted"] == true;
        // of what a decoder reads, the handshake takes only these
        let by_gateway = matches!(
            ClientText::decode(line),
            Ok(ClientText::Handshake(_) | ClientText::HandshakeError { .. })
        );
        assert_eq!(by_gateway, accepted, "{line}");
        let by_client = matches!(
            GatewayText::decode(line),
            Ok(GatewayText::Handshake(_) | GatewayText::HandshakeError { .. })
        );
        let differs = is_deliberate("json_handshake_parsing", line);
        assert_eq!(by_client == accepted, !differs, "{line}");
    }
}

fn canonical_request(name: &str) -> ClientText {
    let payload = HandshakePayload { protocol_version: 6, data: vec![1, 2, 255] };
    match name {
        "claimFreeTestnetBandwidth" => ClientText::ClaimFreeBandwidth,
        "ecashCredential" => {
            ClientText::EcashCredential { enc_credential: vec![9, 8, 7], nonce: (0..12).collect() }
        }
        "encryptedRequest" => {
            ClientText::Encrypted(EncryptedText { ciphertext: vec![1, 2, 3], nonce: vec![0; 12] })
        }
        "handshakeError" => ClientText::HandshakeError { message: "example failure".to_owned() },
        "handshakePayload" => ClientText::Handshake(payload),
        "registerHandshakeInitRequest" => ClientText::HandshakeInit(payload),
        "supportedProtocol" => ClientText::SupportedProtocol,
        "upgradeModeJWT" => {
            ClientText::UpgradeModeJwt { token: Token::new("aaa.bbb.ccc".to_owned()) }
        }
        "legacy_authenticate" => ClientText::Retired(Retired::Authenticate),
        "legacy_bandwidthCredential" => ClientText::Retired(Retired::BandwidthCredential),
        "legacy_bandwidthCredentialV2" => ClientText::Retired(Retired::BandwidthCredentialV2),
        other => panic!("{other}"),
    }
}

fn canonical_response(name: &str) -> GatewayText {
    match name {
        "authenticate" => GatewayText::Authenticate {
            protocol_version: 6,
            status: true,
            bandwidth_remaining: -5,
            upgrade_mode: false,
        },
        "bandwidth" => {
            GatewayText::Bandwidth { available_total: 68_719_476_736, upgrade_mode: false }
        }
        "encryptedResponse" => {
            GatewayText::Encrypted(EncryptedText { ciphertext: vec![1, 2, 3], nonce: vec![0; 12] })
        }
        "error" => GatewayText::Error { message: "example failure".to_owned() },
        "register" => {
            GatewayText::Register { protocol_version: 6, status: true, upgrade_mode: true }
        }
        "send" => GatewayText::Send { remaining_bandwidth: 68_719_474_323, upgrade_mode: false },
        "supportedProtocol" => GatewayText::SupportedProtocol { version: 6 },
        "typedError_out_of_bandwidth" => {
            GatewayText::OutOfBandwidth { required: 2413, available: 17 }
        }
        "typedError_ticket_replay" => GatewayText::TicketReplay,
        other => panic!("{other}"),
    }
}

/// Key and outer message of an encrypted request or response, whose plaintext is checked.
fn encrypted(case: &Value) -> (SharedKey, EncryptedText) {
    let key = SharedKey::from_bytes(array(case, "shared_key"));
    let mut plaintext = bytes(case, "ciphertext");
    let opened = key.open(&array(case, "nonce"), &mut plaintext).unwrap();
    assert_eq!(*opened, *text(case, "plaintext_json").as_bytes());
    let text = EncryptedText { ciphertext: bytes(case, "ciphertext"), nonce: bytes(case, "nonce") };
    (key, text)
}
