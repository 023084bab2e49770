//! Text messages of clients: written by one side and read by the other, and texts of any content.

use nym_gateway_requests::{ClientControlRequest, RegistrationHandshake};
use nym_peers_conformance::gateway_texts::{authentication, meaning, requests, values, words};
use nym_peers_conformance::texts::{has_odd_value, is_array};
use nym_proto::gateway::ClientText;
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
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20 * CASES) })]

    #[test]
    fn any_text_is_the_same_request_for_both_or_none(text in words().any_text()) {
        compare_requests(&text);
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

#[test]
fn a_version_that_is_null_is_an_error_to_both() {
    let text = r#"{"type":"handshakePayload","protocol_version":null,"data":[1]}"#;
    assert!(ClientText::decode(text).is_err() && !is_request_of_theirs(text));
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

fn is_request_of_theirs(text: &str) -> bool {
    ClientControlRequest::try_from(text.to_owned()).is_ok()
        || text.parse::<RegistrationHandshake>().is_ok()
}
