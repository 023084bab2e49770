//! Authentication with a shared key: requests of each side before the gateway of the other.

use std::time::Duration;

use nym_gateway_requests::text_request::authenticate::AuthenticateRequest as TheirRequest;
use nym_gateway_requests::{ClientControlRequest, ServerResponse, SharedSymmetricKey};
use nym_peers_conformance::convert::their_identity_pair;
use nym_peers_conformance::our_gateway::{OurGateway, unix_secs};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    AuthenticateRequest, ClientHandshake, ClientText, GatewayText, ProtocolVersion, SharedKey,
    TIMESTAMP_SKEW_MAX,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::time::UnixTime;
use serde_json::Value;
use time::OffsetDateTime;

const RANDOM_CASES: u32 = 1000;
/// What their gateways are set to.
const THEIR_SKEW_MAX: Duration = Duration::from_secs(120);

#[test]
fn requests_of_ours_pass_all_checks_of_theirs() {
    assert_eq!(TIMESTAMP_SKEW_MAX, THEIR_SKEW_MAX);
    for number in 0..RANDOM_CASES {
        let case = Case::new(number);
        for version in 4..=6 {
            let text = case.our_request(version, unix_secs());
            assert!(case.their_verdict(&text));
            let theirs = their_request(&text).unwrap();
            assert_eq!(theirs.content.protocol_version, version);
            assert_eq!(theirs.content.client_identity.to_bytes(), *case.client.public().as_bytes());
        }
    }
}

#[test]
fn requests_of_theirs_pass_all_checks_of_ours_and_have_the_same_bytes() {
    for number in 0..RANDOM_CASES {
        let case = Case::new(number);
        for version in 4..=6 {
            let text = case.their_request(version);
            assert!(case.our_verdict(&text));
            // with their time and nonce, ours comes out the same
            let theirs = their_request(&text).unwrap().content;
            let nonce = theirs.nonce.try_into().unwrap();
            let ours = AuthenticateRequest::new(
                &case.client,
                &case.key,
                ProtocolVersion::new(version).unwrap(),
                theirs.request_unix_timestamp,
                nonce,
            );
            assert_eq!(ClientText::Authenticate(ours).encode(), text);
        }
    }
}

#[test]
fn a_client_of_theirs_has_a_session_at_our_gateway() {
    let mut gateway = OurGateway::new();
    let client = IdentityKeyPair::from_seed(&[21; 32]);
    let key = register(&mut gateway, &client);
    let their_key = SharedSymmetricKey::try_from_bytes(key.as_bytes()).unwrap();
    for version in 4..=6 {
        // a second request within the same second is one too many
        let connection = gateway.connect();
        let text = request_text(&their_key, &client, version);
        let answer = gateway.text(connection, text);
        let response = ServerResponse::try_from(answer.texts[0].clone()).unwrap();
        match response {
            ServerResponse::Authenticate { protocol_version, status, .. } => {
                assert!(status && protocol_version == version);
            }
            other => panic!("{other:?}"),
        }
        gateway.disconnect(connection);
        let connection = gateway.connect();
        std::thread::sleep(Duration::from_millis(1100));
        let answer = gateway.text(connection, request_text(&their_key, &client, 6));
        assert!(!answer.is_closed, "{answer:?}");
        gateway.disconnect(connection);
        let connection = gateway.connect();
        let again = gateway.text(connection, request_text(&their_key, &client, 6));
        let response = ServerResponse::try_from(again.texts[0].clone()).unwrap();
        assert!(again.is_closed && response.is_error(), "{response:?}");
        std::thread::sleep(Duration::from_millis(1100));
    }
}

#[test]
fn versions_that_are_too_old_or_new_are_refused_by_our_gateway() {
    // which versions a gateway serves is not for their library to say
    for version in 0..=u8::MAX {
        let case = Case::new(version.into());
        assert_eq!(case.our_verdict(&case.their_request(version)), (4..=6).contains(&version));
    }
}

#[test]
fn timestamps_out_of_the_window_are_refused_by_both() {
    let case = Case::new(1);
    // the clock moves while this runs, so the very border is left out
    for (offset, is_in_time) in [
        (-1_000_000i64, false),
        (-130, false),
        (-123, false),
        (-117, true),
        (-60, true),
        (0, true),
        (60, true),
        (117, true),
        (123, false),
        (130, false),
        (1_000_000, false),
    ] {
        let text = case.our_request(6, unix_secs().strict_add_signed(offset));
        assert_eq!(case.our_verdict(&text), is_in_time, "{offset}");
        assert_eq!(case.their_verdict(&text), is_in_time, "{offset}");
    }
    for timestamp in [0, 1, u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1, 253_402_300_799] {
        let text = case.our_request(6, timestamp);
        assert!(!case.our_verdict(&text) && !case.their_verdict(&text), "{timestamp}");
    }
}

#[test]
fn a_timestamp_used_before_is_refused_by_both() {
    let case = Case::new(2);
    let now = unix_secs();
    for previous in [now - 1, now, now + 1] {
        let text = case.our_request(6, now);
        let ClientText::Authenticate(request) = ClientText::decode(&text).unwrap() else {
            panic!("{text}");
        };
        let verified = request.verify(UnixTime::from_secs(now)).unwrap();
        let ours = verified.authenticate(&case.key, Some(previous));
        let before = OffsetDateTime::from_unix_timestamp(previous as i64).unwrap();
        let theirs = their_request(&text).unwrap().ensure_timestamp_not_reused(before);
        assert_eq!((ours.is_ok(), theirs.is_ok()), (previous < now, previous < now));
    }
}

#[test]
fn a_request_changed_anywhere_is_refused_by_both() {
    let mut stream = Entropy::new([0x61; 32]).stream(Purpose::Other(0));
    for number in 0..RANDOM_CASES {
        let case = Case::new(number);
        let text = match stream.chance(0.5) {
            true => case.our_request(6, unix_secs()),
            false => case.their_request(6),
        };
        let mut json: Value = serde_json::from_str(&text).unwrap();
        let members = [
            "protocolVersion",
            "clientIdentity",
            "addressCiphertext",
            "nonce",
            "requestUnixTimestamp",
            "requestSignature",
        ];
        change(&mut json[members[stream.index(members.len())]], &mut stream);
        let text = json.to_string();
        assert!(!case.our_verdict(&text), "{text}");
        assert!(!case.their_verdict(&text), "{text}");
    }
}

#[test]
fn a_request_under_another_key_or_identity_is_refused_by_both() {
    let (case, other) = (Case::new(3), Case::new(4));
    for text in [other.our_request(6, unix_secs()), other.their_request(6)] {
        assert!(!case.our_verdict(&text) && !case.their_verdict(&text));
        assert!(other.our_verdict(&text) && other.their_verdict(&text));
    }
    let mixed = Case { client: case.client.clone(), ..Case::new(4) };
    for text in [mixed.our_request(6, unix_secs()), mixed.their_request(6)] {
        assert!(!case.our_verdict(&text) && !case.their_verdict(&text));
    }
}

/// One client with its key.
struct Case {
    number: u32,
    client: IdentityKeyPair,
    key: SharedKey,
}

impl Case {
    fn new(number: u32) -> Self {
        let mut stream = Entropy::new([0x62; 32]).stream(Purpose::Other(number));
        let client = IdentityKeyPair::generate(&mut stream);
        Self { number, client, key: SharedKey::from_bytes(stream.bytes()) }
    }

    fn our_request(&self, version: u8, timestamp: u64) -> String {
        let mut stream = Entropy::new([0x63; 32]).stream(Purpose::Other(self.number));
        let version = ProtocolVersion::new(version).unwrap();
        let nonce = stream.bytes();
        let request = AuthenticateRequest::new(&self.client, &self.key, version, timestamp, nonce);
        ClientText::Authenticate(request).encode()
    }

    fn their_request(&self, version: u8) -> String {
        request_text(&self.their_key(), &self.client, version)
    }

    fn their_key(&self) -> SharedSymmetricKey {
        SharedSymmetricKey::try_from_bytes(self.key.as_bytes()).unwrap()
    }

    /// Whether a gateway that knows this client and its key accepts a request.
    fn our_verdict(&self, text: &str) -> bool {
        let Ok(ClientText::Authenticate(request)) = ClientText::decode(text) else {
            return false;
        };
        let Ok(verified) = request.verify(UnixTime::from_secs(unix_secs())) else {
            return false;
        };
        verified.client() == self.client.public() && verified.authenticate(&self.key, None).is_ok()
    }

    fn their_verdict(&self, text: &str) -> bool {
        let Some(request) = their_request(text) else {
            return false;
        };
        let is_served = (4..=6).contains(&request.content.protocol_version);
        is_served
            && request.verify_timestamp(THEIR_SKEW_MAX).is_ok()
            && request.verify_signature().is_ok()
            && request.content.client_identity.to_bytes() == *self.client.public().as_bytes()
            && request.verify_ciphertext(&self.their_key()).is_ok()
    }
}

fn request_text(key: &SharedSymmetricKey, client: &IdentityKeyPair, version: u8) -> String {
    let keys = their_identity_pair(client);
    let request = ClientControlRequest::new_authenticate_v2(key, &keys, version).unwrap();
    request.try_into().unwrap()
}

fn their_request(text: &str) -> Option<TheirRequest> {
    match ClientControlRequest::try_from(text.to_owned()) {
        Ok(ClientControlRequest::AuthenticateV2(request)) => Some(*request),
        _ => None,
    }
}

/// Registers at our gateway and leaves.
fn register(gateway: &mut OurGateway, client: &IdentityKeyPair) -> SharedKey {
    let connection = gateway.connect();
    let mut stream = Entropy::new([0x64; 32]).stream(Purpose::Other(0));
    let identity = *gateway.identity.public();
    let version = ProtocolVersion::CURRENT;
    let (state, text) = ClientHandshake::start(client, &identity, version, &mut stream);
    let payload = |text: &str| match GatewayText::decode(text) {
        Ok(GatewayText::Handshake(payload)) => payload,
        other => panic!("{other:?}"),
    };
    let answer = gateway.text(connection, text);
    let (state, text) = state.handle(&payload(&answer.texts[0])).unwrap();
    let answer = gateway.text(connection, text);
    let established = state.handle(&payload(&answer.texts[0])).unwrap();
    gateway.disconnect(connection);
    established.shared_key
}

/// Changes one bit of a number, of one number in a list, or of base64 text.
fn change(value: &mut Value, stream: &mut Stream) {
    match value {
        Value::Number(number) => {
            *value = (number.as_u64().unwrap() ^ (1 << stream.index(8))).into();
        }
        Value::Array(items) => {
            let at = stream.index(items.len());
            let byte = items[at].as_u64().unwrap() ^ (1 << stream.index(8));
            items[at] = byte.into();
        }
        Value::String(text) => {
            let at = stream.index(text.len());
            let old = text.as_bytes()[at];
            let new = if old == b'A' { "B" } else { "A" };
            text.replace_range(at..=at, new);
        }
        other => panic!("{other}"),
    }
}
