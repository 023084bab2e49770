//! Protocol versions and how the two sides settle on one. (protocol: gateway 5)

use core::fmt;

use thiserror::Error;

/// Why no common version exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum VersionError {
    /// The peer speaks only versions that are too old.
    #[error("protocol version {0} is too old, at least {1} is needed")]
    TooOld(u8, ProtocolVersion),
    /// The peer insists on a version this crate does not know.
    #[error("protocol version {0} is newer than {current}", current = ProtocolVersion::CURRENT)]
    TooNew(u8),
}

/// A version of the protocol that this crate knows: 0 to 6.
///
/// Versions below 4 exist only as stamps on registration messages, where they mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProtocolVersion(u8);

impl ProtocolVersion {
    /// The newest version, the one this crate proposes.
    pub const CURRENT: Self = Self(6); // protocol: gateway 18
    /// The oldest version a client accepts: the first one with key rotation.
    pub const FLOOR: Self = Self(5); // protocol: gateway 5.6
    /// The oldest version a gateway accepts in an authentication.
    pub const GATEWAY_FLOOR: Self = Self(4); // protocol: gateway 18

    /// The version with the given number; an error above [`CURRENT`](Self::CURRENT).
    pub const fn new(number: u8) -> Result<Self, VersionError> {
        if number > Self::CURRENT.0 { Err(VersionError::TooNew(number)) } else { Ok(Self(number)) }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// What a client proposes to a gateway whose newest version is `gateway`, or what it reads
    /// back from a stored registration. (protocol: gateway 5.6)
    pub const fn client_proposal(gateway: u8) -> Result<Self, VersionError> {
        if gateway < Self::FLOOR.0 {
            Err(VersionError::TooOld(gateway, Self::FLOOR))
        } else {
            Ok(Self::clamp(gateway))
        }
    }

    /// The client's session version after it registered with `self` as its proposal and the
    /// `register` response carries `answer`. (protocol: gateway 5.6)
    #[must_use]
    pub const fn client_session_registered(self, answer: u8) -> Self {
        if Self::FLOOR.0 <= answer && answer <= Self::CURRENT.0 { Self(answer) } else { self }
    }

    /// The client's session version after it authenticated with `self` as its proposal and the
    /// `authenticate` response carries `answer`. (protocol: gateway 5.6)
    pub const fn client_session_authenticated(self, answer: u8) -> Result<Self, VersionError> {
        if answer > Self::CURRENT.0 {
            Err(VersionError::TooNew(answer))
        } else {
            Ok(self.client_session_registered(answer))
        }
    }

    /// What a gateway adopts for a registration stamped `stamp`: never an error, because peers of
    /// versions 4 and 5 stamp everything with 3. (protocol: gateway 5.5, 5.6)
    #[must_use]
    pub const fn gateway_registration(stamp: u8) -> Self {
        Self::clamp(stamp)
    }

    /// What a gateway adopts for an authentication that proposes `proposal`.
    /// (protocol: gateway 5.6)
    pub const fn gateway_authentication(proposal: u8) -> Result<Self, VersionError> {
        if proposal < Self::GATEWAY_FLOOR.0 {
            Err(VersionError::TooOld(proposal, Self::GATEWAY_FLOOR))
        } else {
            Self::new(proposal)
        }
    }

    /// True if forward requests say which key rotation the packet was built for.
    /// (protocol: gateway 5.3)
    #[must_use]
    pub const fn has_key_rotation(self) -> bool {
        self.0 >= 5
    }

    const fn clamp(number: u8) -> Self {
        if number > Self::CURRENT.0 { Self::CURRENT } else { Self(number) }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_proposes_at_most_six_and_refuses_gateways_below_five() {
        let proposals: Vec<_> = [0, 4, 5, 6, 7, 255]
            .into_iter()
            .map(|gateway| ProtocolVersion::client_proposal(gateway).map(ProtocolVersion::get))
            .collect();
        let old = |n| Err(VersionError::TooOld(n, ProtocolVersion::FLOOR));
        assert_eq!(proposals, [old(0), old(4), Ok(5), Ok(6), Ok(6), Ok(6)]);
    }

    #[test]
    fn a_client_never_adopts_the_legacy_stamps_of_a_registration() {
        for answer in [0, 3, 4, 7, 255] {
            let session = ProtocolVersion::CURRENT.client_session_registered(answer);
            assert_eq!(session, ProtocolVersion::CURRENT);
        }
        let session = ProtocolVersion::CURRENT.client_session_registered(5);
        assert_eq!(session, ProtocolVersion::FLOOR);
    }

    #[test]
    fn a_client_adopts_the_answer_to_an_authentication_unless_it_is_newer() {
        let answer = |n| ProtocolVersion::FLOOR.client_session_authenticated(n);
        assert_eq!(answer(6), Ok(ProtocolVersion::CURRENT));
        assert_eq!(answer(4), Ok(ProtocolVersion::FLOOR));
        assert_eq!(answer(7), Err(VersionError::TooNew(7)));
    }

    #[test]
    fn a_gateway_takes_any_stamp_for_registration_and_four_to_six_for_authentication() {
        assert_eq!(ProtocolVersion::gateway_registration(3).get(), 3);
        assert_eq!(ProtocolVersion::gateway_registration(48).get(), 6);
        let accepted: Vec<_> =
            (0..=u8::MAX).filter(|&n| ProtocolVersion::gateway_authentication(n).is_ok()).collect();
        assert_eq!(accepted, [4, 5, 6]);
    }
}
