//! Authentication: a gateway's checks of what a client, or somebody else, sends.
//! (protocol: gateway 7)

use core::time::Duration;

use nym_proto::gateway::{
    AuthenticateError, AuthenticateRequest, ClientText, ProtocolVersion, SharedKey,
    TIMESTAMP_SKEW_MAX,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::time::UnixTime;

use crate::input::{Input, Script};

const NOW: u64 = 1_767_225_600;

fn identity() -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[31; 32])
}

fn key() -> SharedKey {
    SharedKey::from_bytes([32; 32])
}

fn text(version: u8, timestamp: u64) -> String {
    let version = ProtocolVersion::new(version).unwrap();
    let request = AuthenticateRequest::new(&identity(), &key(), version, timestamp, [4; 12]);
    ClientText::Authenticate(request).encode()
}

/// A request that is accepted under [`run`]'s defaults.
pub(crate) fn valid_text() -> String {
    text(6, NOW)
}

/// Accepts exactly what the client said, recently, once, and under the right key.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let now = UnixTime::from_secs(NOW);
    if input.flag() {
        // somebody without the keys
        let text = String::from_utf8_lossy(input.rest());
        if let Ok(ClientText::Authenticate(request)) = ClientText::decode(&text) {
            let is_copy = decode(&text_of(&request)).as_ref() == Some(&request);
            let accepted = request.verify(now).and_then(|it| it.authenticate(&key(), None));
            assert!(accepted.is_err() || is_copy);
        }
        return;
    }
    let version = input.one_of([6, 5, 7]);
    let offset = i64::from(input.short() as i16);
    let timestamp = NOW.checked_add_signed(offset).unwrap_or(0);
    let previous = input.flag().then(|| NOW.wrapping_add_signed(i64::from(input.short() as i16)));
    let is_key_right = !input.flag();
    let Ok(version) = ProtocolVersion::new(version) else {
        return;
    };
    let valid = text(version.get(), timestamp);
    let mut damaged = valid.clone().into_bytes();
    input.damage(&mut damaged);
    let original = decode(&valid).unwrap();
    let Some(request) = decode(&String::from_utf8_lossy(&damaged)) else {
        assert_ne!(damaged, valid.as_bytes());
        return;
    };
    let is_same = request == original;
    let key = if is_key_right { key() } else { SharedKey::from_bytes([33; 32]) };
    let verdict = request.verify(now).and_then(|request| request.authenticate(&key, previous));
    let is_recent = Duration::from_secs(offset.unsigned_abs()) < TIMESTAMP_SKEW_MAX;
    let is_new = previous.is_none_or(|previous| timestamp > previous);
    match verdict {
        Ok(accepted) => {
            assert!(is_same && is_key_right && is_new);
            assert!(Duration::from_secs(offset.unsigned_abs()) <= TIMESTAMP_SKEW_MAX);
            assert_eq!(accepted.client(), identity().public());
            assert_eq!(accepted.timestamp(), timestamp);
            assert_eq!(accepted.version(), version);
        }
        Err(AuthenticateError::Version(_)) => assert!(!is_same || version.get() < 5),
        Err(_) => assert!(!is_same || !is_recent || !is_key_right || !is_new),
    }
}

fn decode(text: &str) -> Option<AuthenticateRequest> {
    match ClientText::decode(text) {
        Ok(ClientText::Authenticate(request)) => Some(request),
        _ => None,
    }
}

/// What the genuine client would say at the same time, under the same version.
fn text_of(request: &AuthenticateRequest) -> String {
    match ProtocolVersion::new(request.version()) {
        Ok(version) => text(version.get(), request.timestamp()),
        Err(_) => String::new(),
    }
}

/// Requests that are accepted, late, old, damaged, and none at all.
pub fn seeds() -> Vec<Vec<u8>> {
    let request = |offset: i16| Script::new().byte(0).byte(0).short(offset as u16);
    vec![
        request(0).byte(0).byte(0).finish(),
        request(100).byte(1).short(50).byte(0).finish(),
        request(100).byte(1).short(100).byte(0).finish(),
        request(-200).byte(0).byte(0).finish(),
        request(0).byte(0).byte(1).finish(),
        request(0).byte(0).byte(0).byte(1).byte(1).short(60).byte(b'1').finish(),
        Script::new().byte(1).raw(valid_text()).finish(),
        Script::new()
            .byte(1)
            .raw(text(6, NOW + 1).replace("\"nonce\":\"B", "\"nonce\":\"C"))
            .finish(),
    ]
}
