//! What stands in text messages under encryption.

use nym_gateway_requests::{ClientRequest, SensitiveServerResponse, SharedSymmetricKey};
use nym_peers_conformance::gateway_texts::{keys, words};
use nym_proto::gateway::{
    ClientText, EncryptedText, GatewayText, InnerRequest, InnerResponse, SessionType,
};
use nym_statistics_common::types::SessionType as TheirSession;
use proptest::prelude::*;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

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

/// What stands under encryption: valid, with other values, or rubbish.
fn inner_text() -> impl Strategy<Value = String> {
    let words = words();
    let names = vec!["ForgetMe", "RememberMe", "ForgetMeAck", "RememberMeAck", "Other"];
    let body = prop_oneof![
        3 => (words.value(), words.value()).prop_map(|(a, b)| format!("{{\"client\":{a},\"stats\":{b}}}")),
        1 => Just("{\"client\":true,\"stats\":false}".to_owned()),
        1 => Just("{\"session_type\":\"Native\"}".to_owned()),
        1 => "[A-Z][a-z0-9]{1,6}".prop_map(|name| format!("{{\"session_type\":\"{name}\"}}")),
        1 => Just("{}".to_owned()),
        3 => words.value(),
    ];
    let tagged = (prop::sample::select(names.clone()), body)
        .prop_map(|(name, body)| format!("{{\"{name}\":{body}}}"));
    let bare = prop::sample::select(names).prop_map(|name| format!("\"{name}\""));
    prop_oneof![6 => tagged, 1 => bare, 1 => words.any_text()]
}
