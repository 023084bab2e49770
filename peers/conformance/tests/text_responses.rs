//! Text messages of gateways: written by one side and read by the other, and texts of any content.

use nym_gateway_requests::{RegistrationHandshake, ServerResponse};
use nym_peers_conformance::gateway_texts::{Values, meaning, responses, values, words};
use nym_peers_conformance::texts::{has_odd_value, is_array};
use nym_proto::gateway::{ClientText, GatewayText, HandshakePayload, TEXT_MAX};
use proptest::prelude::*;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

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
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20 * CASES) })]

    #[test]
    fn any_text_is_the_same_response_for_both_or_none(text in words().any_text()) {
        compare_responses(&text);
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
}

/// Intended difference: a message is a JSON object; theirs also reads an array of its members' values.
#[test]
fn an_array_is_no_message_to_us() {
    let text = r#"["error","message"]"#;
    assert!(GatewayText::decode(text).is_err());
    assert!(ServerResponse::try_from(text.to_owned()).is_ok());
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

fn is_response_of_theirs(text: &str) -> bool {
    ServerResponse::try_from(text.to_owned()).is_ok()
        || text.parse::<RegistrationHandshake>().is_ok()
}
