//! Authentication with a shared key: the request, and the gateway's checks as states that consume
//! each other. (protocol: gateway 7)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::constants::TIMESTAMP_SKEW_MAX;
use super::json::{TextError, Writer, members};
use super::shared_key::{NONCE_SIZE, SharedKey, TAG_SIZE};
use super::version::{ProtocolVersion, VersionError};
use crate::identity::{IdentityKey, IdentityKeyPair};
use crate::time::UnixTime;

/// Bytes of the encrypted address: 32 of ciphertext, 16 of tag.
const CIPHERTEXT: usize = 32 + TAG_SIZE; // protocol: gateway 7.1
/// Bytes of what the signature covers.
const SIGNED: usize = 101; // protocol: gateway 7.1

/// Why a gateway refuses an authentication. Tell the client only that it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum AuthenticateError {
    /// The proposed version is not supported.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The timestamp is too far from the gateway's clock.
    #[error("timestamp {0} is too far from the clock")]
    Skew(u64),
    /// The signature is not the client's.
    #[error("the signature is not the client's")]
    Signature,
    /// The client's address was encrypted under another key.
    #[error("made with another shared key")]
    Ciphertext,
    /// The timestamp is not later than that of the last accepted request.
    #[error("timestamp {received} is not later than {previous}, the last one")]
    Reuse {
        /// Seconds, of the last accepted request.
        previous: u64,
        /// Seconds, of this request.
        received: u64,
    },
}

/// The timestamp of the client's next authentication at a gateway, in seconds, given the one of
/// its last. It may run ahead of the clock; keep reconnects slow. (protocol: gateway 7.4)
#[must_use]
pub fn next_timestamp(now: UnixTime, last: Option<u64>) -> u64 {
    let earliest = last.map_or(0, |last| last.saturating_add(1));
    now.as_secs().max(earliest)
}

/// A request to open a session, `authenticateV2`. Nothing about it has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthenticateRequest {
    version: u8,
    client: IdentityKey,
    ciphertext: [u8; CIPHERTEXT],
    nonce: [u8; NONCE_SIZE],
    timestamp: u64,
    signature: [u8; 64],
}

impl AuthenticateRequest {
    /// Makes a request. `timestamp` is in seconds (see [`next_timestamp`]), `nonce` must be fresh.
    #[must_use]
    pub fn new(
        identity: &IdentityKeyPair,
        key: &SharedKey,
        version: ProtocolVersion,
        timestamp: u64,
        nonce: [u8; NONCE_SIZE],
    ) -> Self {
        let client = *identity.public();
        let mut request = Self {
            version: version.get(),
            client,
            ciphertext: encrypted_address(&client, key, &nonce),
            nonce,
            timestamp,
            signature: [0; 64],
        };
        request.signature = identity.sign(&request.signed_bytes());
        request
    }

    /// Who claims to send this. The claim is checked by [`verify`](Self::verify).
    #[must_use]
    pub const fn client(&self) -> &IdentityKey {
        &self.client
    }

    /// The proposed version, any number.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Checks version, timestamp and signature, in this order. (protocol: gateway 7.2)
    pub fn verify(self, now: UnixTime) -> Result<VerifiedSignature, AuthenticateError> {
        let version = ProtocolVersion::gateway_authentication(self.version)?;
        if !is_within_skew(self.timestamp, now) {
            return Err(AuthenticateError::Skew(self.timestamp));
        }
        if !self.client.has_signed(&self.signed_bytes(), &self.signature) {
            return Err(AuthenticateError::Signature);
        }
        Ok(VerifiedSignature { version, request: self })
    }

    /// What the signature covers. (protocol: gateway 7.1)
    fn signed_bytes(&self) -> [u8; SIGNED] {
        let mut out = [self.version; SIGNED];
        let parts = [
            &self.client.as_bytes()[..],
            &self.ciphertext,
            &self.nonce,
            &self.timestamp.to_be_bytes(),
        ];
        let bytes = parts.into_iter().flatten();
        for (to, from) in out.iter_mut().skip(1).zip(bytes) {
            *to = *from;
        }
        out
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer
            .member("protocolVersion", &self.version)
            .member("clientIdentity", self.client.as_bytes())
            .member("addressCiphertext", &STANDARD.encode(self.ciphertext))
            .member("nonce", &STANDARD.encode(self.nonce))
            .member("requestUnixTimestamp", &self.timestamp)
            .member("requestSignature", self.signature.as_slice())
    }

    pub(super) fn read(kind: &'static str, text: &str) -> Result<Self, TextError> {
        let wire: Wire = members(kind, text)?;
        Self::from_wire(&wire).ok_or(TextError::Malformed { kind, line: 0, column: 0 })
    }

    fn from_wire(wire: &Wire) -> Option<Self> {
        Some(Self {
            version: wire.protocol_version,
            client: IdentityKey::from_bytes(wire.client_identity).ok()?,
            ciphertext: from_base64(&wire.address_ciphertext)?,
            nonce: from_base64(&wire.nonce)?,
            timestamp: wire.request_unix_timestamp,
            signature: wire.request_signature.as_slice().try_into().ok()?,
        })
    }
}

/// A request that is recent and was signed by the client it names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedSignature {
    version: ProtocolVersion,
    request: AuthenticateRequest,
}

impl VerifiedSignature {
    /// Who sent the request: look up this client's shared key and last timestamp.
    #[must_use]
    pub const fn client(&self) -> &IdentityKey {
        &self.request.client
    }

    /// Checks the request against what is stored about the client: its shared key and the
    /// timestamp of its last accepted authentication in seconds, if any. (protocol: gateway 7.2)
    pub fn authenticate(
        self,
        key: &SharedKey,
        previous: Option<u64>,
    ) -> Result<Authenticated, AuthenticateError> {
        let AuthenticateRequest { client, ciphertext, nonce, timestamp, .. } = self.request;
        let expected = encrypted_address(&client, key, &nonce);
        if !bool::from(expected.ct_eq(&ciphertext)) {
            return Err(AuthenticateError::Ciphertext);
        }
        match previous {
            Some(previous) if timestamp <= previous => {
                Err(AuthenticateError::Reuse { previous, received: timestamp })
            }
            _ => Ok(Authenticated { client, version: self.version, timestamp }),
        }
    }
}

/// A client that proved who it is and that it holds the shared key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authenticated {
    client: IdentityKey,
    version: ProtocolVersion,
    timestamp: u64,
}

impl Authenticated {
    /// The client.
    #[must_use]
    pub const fn client(&self) -> &IdentityKey {
        &self.client
    }

    /// The version of the session.
    #[must_use]
    pub const fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Seconds since the Unix epoch; to be stored as the client's last timestamp.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// When the session began, by the client's clock. (protocol: gateway 7.2)
    #[must_use]
    pub const fn session_start(&self) -> UnixTime {
        UnixTime::from_secs(self.timestamp)
    }

    /// True if the request is newer than a session that began at `start`. If it is not, the
    /// request must be refused. (protocol: gateway 14.3)
    #[must_use]
    pub fn is_newer_than(&self, start: UnixTime) -> bool {
        self.session_start() > start
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    protocol_version: u8,
    client_identity: [u8; 32],
    address_ciphertext: String,
    nonce: String,
    request_unix_timestamp: u64,
    request_signature: Vec<u8>,
}

/// Base64 of `N` bytes; nothing is decoded that cannot have this length.
fn from_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    let expected = base64::encoded_len(N, true)?;
    if text.len() != expected {
        return None;
    }
    let length = STANDARD.decode_slice(text, &mut out).ok()?;
    (length == N).then_some(out)
}

fn encrypted_address(
    client: &IdentityKey,
    key: &SharedKey,
    nonce: &[u8; NONCE_SIZE],
) -> [u8; CIPHERTEXT] {
    let mut address = *client.as_bytes();
    let tag = key.seal_detached(nonce, &mut address);
    let mut out = [0; CIPHERTEXT];
    for (to, from) in out.iter_mut().zip(address.iter().chain(&tag)) {
        *to = *from;
    }
    out
}

fn is_within_skew(timestamp: u64, now: UnixTime) -> bool {
    let timestamp = u128::from(timestamp) * 1_000_000_000;
    timestamp.abs_diff(now.as_nanos().into()) <= TIMESTAMP_SKEW_MAX.as_nanos()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn any_authenticate_request() -> impl Strategy<Value = AuthenticateRequest> {
        any::<([u8; 32], [u8; 32], u8, u64, [u8; 12])>().prop_map(
            |(seed, key, version, timestamp, nonce)| AuthenticateRequest {
                version,
                ..AuthenticateRequest::new(
                    &IdentityKeyPair::from_seed(&seed),
                    &SharedKey::from_bytes(key),
                    ProtocolVersion::CURRENT,
                    timestamp,
                    nonce,
                )
            },
        )
    }

    const NOW: UnixTime = UnixTime::from_nanos(1_767_225_600_500_000_000);

    fn request(timestamp: u64) -> AuthenticateRequest {
        AuthenticateRequest::new(
            &IdentityKeyPair::from_seed(&[1; 32]),
            &SharedKey::from_bytes([2; 32]),
            ProtocolVersion::CURRENT,
            timestamp,
            [3; 12],
        )
    }

    #[test]
    fn both_ends_of_the_timestamp_window_are_inclusive_to_the_nanosecond() {
        let t = NOW.as_secs();
        let nanos =
            |offset: i64| UnixTime::from_nanos((t * 1_000_000_000).saturating_add_signed(offset));
        const EDGE: i64 = 120_000_000_000;
        for (offset, accepted) in
            [(0, true), (EDGE, true), (EDGE + 1, false), (-EDGE, true), (-EDGE - 1, false)]
        {
            let verdict = request(t).verify(nanos(offset));
            assert_eq!(verdict.is_ok(), accepted, "{offset}");
        }
        let far = request(u64::MAX).verify(NOW);
        assert_eq!(far, Err(AuthenticateError::Skew(u64::MAX)));
    }

    #[test]
    fn version_is_checked_before_time_and_time_before_signature() {
        let t = NOW.as_secs();
        let mut wrong = request(t - 1000);
        wrong.signature[0] ^= 1;
        wrong.version = 3;
        let error = wrong.clone().verify(NOW).unwrap_err();
        assert!(matches!(error, AuthenticateError::Version(_)));
        wrong.version = 6;
        let error = wrong.clone().verify(NOW).unwrap_err();
        assert_eq!(error, AuthenticateError::Skew(t - 1000));
        wrong.timestamp = t;
        assert_eq!(wrong.verify(NOW), Err(AuthenticateError::Signature));
    }

    #[test]
    fn timestamps_must_strictly_increase() {
        let t = NOW.as_secs();
        let key = SharedKey::from_bytes([2; 32]);
        let verified = request(t).verify(NOW).unwrap();
        let reuse = AuthenticateError::Reuse { previous: t, received: t };
        assert_eq!(verified.clone().authenticate(&key, Some(t)), Err(reuse));
        assert!(verified.clone().authenticate(&key, Some(t - 1)).is_ok());
        assert!(verified.authenticate(&key, None).is_ok());
    }

    #[test]
    fn another_shared_key_is_noticed() {
        let verified = request(NOW.as_secs()).verify(NOW).unwrap();
        let other = SharedKey::from_bytes([9; 32]);
        let error = verified.authenticate(&other, None).unwrap_err();
        assert_eq!(error, AuthenticateError::Ciphertext);
    }

    #[test]
    fn a_session_that_began_within_the_same_second_is_not_older() {
        let key = SharedKey::from_bytes([2; 32]);
        let verified = request(NOW.as_secs()).verify(NOW).unwrap();
        let authenticated = verified.authenticate(&key, None).unwrap();
        assert!(!authenticated.is_newer_than(NOW));
        assert!(!authenticated.is_newer_than(UnixTime::from_secs(NOW.as_secs())));
        assert!(authenticated.is_newer_than(UnixTime::from_secs(NOW.as_secs() - 1)));
    }

    #[test]
    fn the_next_timestamp_is_the_clock_or_one_more_than_the_last() {
        let t = NOW.as_secs();
        assert_eq!(next_timestamp(NOW, None), t);
        assert_eq!(next_timestamp(NOW, Some(t - 5)), t);
        assert_eq!(next_timestamp(NOW, Some(t)), t + 1);
        assert_eq!(next_timestamp(NOW, Some(u64::MAX)), u64::MAX);
    }

    proptest! {
        #[test]
        fn every_flipped_bit_of_a_request_is_noticed(which in 0..5usize, at: usize, bit in 0..8u8) {
            let t = NOW.as_secs();
            let mut changed = request(t);
            let flip = |bytes: &mut [u8]| bytes[at % bytes.len()] ^= 1 << bit;
            match which {
                0 => flip(&mut changed.ciphertext),
                1 => flip(&mut changed.nonce),
                2 => flip(&mut changed.signature),
                3 => changed.timestamp ^= 1 << (at % 6),
                _ => changed.version ^= 1,
            }
            let error = changed.verify(NOW).unwrap_err();
            prop_assert!(matches!(
                error,
                AuthenticateError::Signature | AuthenticateError::Version(_)
            ));
        }
    }
}
