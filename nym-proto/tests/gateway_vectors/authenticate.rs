//! Authentication requests.

use nym_proto::gateway::{
    AuthenticateError, AuthenticateRequest, ClientText, ProtocolVersion, SharedKey, TextError,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::time::UnixTime;
use serde_json::Value;

use crate::is_deliberate;
use crate::support::{array, bytes, list, text, uint, vectors};

#[test]
fn requests_are_made_read_and_accepted_as_recorded() {
    for case in list(&vectors(), "authenticate_v2") {
        let identity = IdentityKeyPair::from_seed(&array(case, "client_identity_private"));
        let public = identity.public().as_bytes();
        assert_eq!(public[..], bytes(case, "client_identity_public"));
        assert_eq!(public[..], bytes(case, "address"));
        let key = SharedKey::from_bytes(array(case, "shared_key"));
        let version = ProtocolVersion::new(uint(case, "protocol_version") as u8).unwrap();
        let timestamp = uint(case, "request_unix_timestamp");
        let nonce = array(case, "nonce");

        let request = AuthenticateRequest::new(&identity, &key, version, timestamp, nonce);
        let message = ClientText::Authenticate(request.clone());
        assert_eq!(message.encode(), text(case, "text"));
        assert_eq!(ClientText::decode(text(case, "text")), Ok(message));
        let mut ciphertext = public.to_vec();
        key.seal(&nonce, &mut ciphertext);
        assert_eq!(ciphertext, bytes(case, "address_ciphertext"));
        let signed = bytes(case, "signed_plaintext");
        assert_eq!(identity.sign(&signed)[..], bytes(case, "signature"));

        let verified = request.verify(UnixTime::from_secs(timestamp)).unwrap();
        assert_eq!(text(case, "verify_with_other_key"), "MalformedCiphertext");
        let other = SharedKey::from_bytes([0; 32]);
        let refused = verified.clone().authenticate(&other, None);
        assert_eq!(refused, Err(AuthenticateError::Ciphertext));
        let authenticated = verified.authenticate(&key, None).unwrap();
        assert_eq!(authenticated.version(), version);
        assert_eq!(authenticated.client(), identity.public());
    }
}

#[test]
fn tampered_requests_fail_the_recorded_check() {
    for case in list(&vectors(), "authenticate_v2_tampered") {
        let name = text(case, "name");
        let key = SharedKey::from_bytes(array(case, "shared_key"));
        let request = match ClientText::decode(text(case, "text")) {
            Ok(ClientText::Authenticate(request)) => request,
            Err(TextError::Malformed { .. }) => {
                assert!(is_deliberate("authenticate_v2_tampered", name), "{name}");
                continue;
            }
            other => panic!("{name}: {other:?}"),
        };
        assert!(!is_deliberate("authenticate_v2_tampered", name), "{name}");

        let verified = request.clone().verify(UnixTime::from_secs(request.timestamp()));
        // the check of the ciphertext is out of reach once that of the signature has failed
        let outcome = match text(case, "signature_check") {
            "ok" => verified.unwrap().authenticate(&key, None),
            "InvalidSignature" => {
                assert_eq!(verified, Err(AuthenticateError::Signature), "{name}");
                continue;
            }
            other => panic!("{name}: {other}"),
        };
        match text(case, "ciphertext_check") {
            "ok" => assert!(outcome.is_ok(), "{name}"),
            "MalformedCiphertext" => {
                assert_eq!(outcome, Err(AuthenticateError::Ciphertext), "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn the_timestamp_window_is_as_recorded() {
    const NOW: u64 = 1_767_225_600;
    for case in list(&vectors(), "authenticate_v2_skew") {
        assert_eq!(uint(case, "max_skew_seconds"), 120);
        let offset = case["offset_seconds"].as_i64().unwrap();
        let timestamp = NOW.checked_add_signed(offset).unwrap();
        let outcome = request_at(timestamp).verify(UnixTime::from_secs(NOW));
        match text(case, "result") {
            "ok" => assert!(outcome.is_ok(), "{offset}"),
            "ExcessiveTimestampSkew" => {
                assert_eq!(outcome, Err(AuthenticateError::Skew(timestamp)));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn reused_timestamps_are_refused_as_recorded() {
    for case in list(&vectors(), "authenticate_v2_reuse") {
        let (previous, received) = (uint(case, "previous"), uint(case, "received"));
        let request = request_at(received);
        let verified = request.verify(UnixTime::from_secs(received)).unwrap();
        let outcome = verified.authenticate(&SharedKey::from_bytes([2; 32]), Some(previous));
        match text(case, "result") {
            "ok" => assert!(outcome.is_ok()),
            "RequestReuse" => {
                let error = AuthenticateError::Reuse { previous, received };
                assert_eq!(outcome, Err(error));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn variations_of_the_text_are_read_or_refused_as_recorded() {
    let file = vectors();
    let original = text(&list(&file, "authenticate_v2")[0], "text");
    for case in list(&file, "json_authenticate_v2_parsing") {
        let variant = text(case, "variant");
        let message = varied(serde_json::from_str(original).unwrap(), variant);
        let outcome = ClientText::decode(&message.to_string());
        assert_eq!(outcome.is_ok(), case["accepted"] == true, "{variant}");
    }
}

fn varied(mut message: Value, variant: &str) -> Value {
    match variant {
        "unchanged" => {}
        "protocolVersion missing" => {
            let removed = message.as_object_mut().unwrap().remove("protocolVersion");
            assert!(removed.is_some());
        }
        "addressCiphertext url-safe alphabet" => {
            let old = text(&message, "addressCiphertext");
            let new = old.replace('+', "-").replace('/', "_");
            assert_ne!(old, new);
            message["addressCiphertext"] = new.into();
        }
        "clientIdentity as base58 string" => {
            let seed = IdentityKeyPair::from_seed(&[1; 32]);
            message["clientIdentity"] = seed.public().to_string().into();
        }
        "requestSignature 63 bytes" => {
            let removed = message["requestSignature"].as_array_mut().unwrap().pop();
            assert!(removed.is_some());
        }
        "requestUnixTimestamp as string" => {
            let number = uint(&message, "requestUnixTimestamp");
            message["requestUnixTimestamp"] = number.to_string().into();
        }
        "extra field" => message["extra"] = true.into(),
        other => panic!("{other}"),
    }
    message
}

fn request_at(timestamp: u64) -> AuthenticateRequest {
    AuthenticateRequest::new(
        &IdentityKeyPair::from_seed(&[1; 32]),
        &SharedKey::from_bytes([2; 32]),
        ProtocolVersion::CURRENT,
        timestamp,
        [3; 12],
    )
}
