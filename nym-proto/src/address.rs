//! Addresses: of clients (recipients) and of nodes.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use thiserror::Error;

use crate::identity::{IdentityKey, KeyError, PublicKey};

/// Why a client address was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// The text does not have the form `identity.encryption@gateway`.
    #[error("a client address has the form IDENTITY.ENCRYPTION@GATEWAY, three base58 keys")]
    Format,
    /// The binary form does not have 96 bytes.
    #[error("a binary client address has 96 bytes, this one has {0}")]
    Length(usize),
    /// The identity part is no key.
    #[error("identity part of the address: {0}")]
    Identity(KeyError),
    /// The encryption part is no key.
    #[error("encryption part of the address: {0}")]
    Encryption(KeyError),
    /// The gateway part is no key.
    #[error("gateway part of the address: {0}")]
    Gateway(KeyError),
}

/// The address of a client. (protocol: messages 2)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Recipient {
    /// The client's Ed25519 identity; the Sphinx destination of packets to it.
    pub identity: IdentityKey,
    /// The client's X25519 key for end-to-end encryption.
    pub encryption: PublicKey,
    /// The Ed25519 identity of the gateway that keeps the client's inbox.
    pub gateway: IdentityKey,
}

impl Recipient {
    /// Length of the binary form: three keys of 32 bytes.
    pub const SIZE: usize = 96;

    /// The binary form: identity, encryption key, gateway.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..32].copy_from_slice(self.identity.as_bytes());
        out[32..64].copy_from_slice(self.encryption.as_bytes());
        out[64..].copy_from_slice(self.gateway.as_bytes());
        out
    }

    /// Reads the binary form; exactly 96 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecipientError> {
        let (parts, rest) = bytes.as_chunks::<32>();
        let (&[identity, encryption, gateway], []) = (parts, rest) else {
            return Err(RecipientError::Length(bytes.len()));
        };
        Ok(Self {
            identity: IdentityKey::from_bytes(identity).map_err(RecipientError::Identity)?,
            encryption: PublicKey::from_bytes(encryption),
            gateway: IdentityKey::from_bytes(gateway).map_err(RecipientError::Gateway)?,
        })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}@{}", self.identity, self.encryption, self.gateway)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;

    /// Reads `identity.encryption@gateway`. Nothing is trimmed.
    fn from_str(text: &str) -> Result<Self, RecipientError> {
        fn two(text: &str, separator: char) -> Result<(&str, &str), RecipientError> {
            let (a, b) = text.split_once(separator).ok_or(RecipientError::Format)?;
            if b.contains(separator) { Err(RecipientError::Format) } else { Ok((a, b)) }
        }
        let (client, gateway) = two(text, '@')?;
        let (identity, encryption) = two(client, '.')?;
        Ok(Self {
            identity: identity.parse().map_err(RecipientError::Identity)?,
            encryption: encryption.parse().map_err(RecipientError::Encryption)?,
            gateway: gateway.parse().map_err(RecipientError::Gateway)?,
        })
    }
}

/// Why the encoded address of a node was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum NodeAddressError {
    /// There are fewer bytes than the address family needs.
    #[error("address cut short")]
    TooShort,
    /// The first byte is neither 4 nor 6.
    #[error("unknown address family {0}")]
    Family(u8),
}

/// The socket address of a node, in the encoding used on the wire: family digit, port, IP.
/// (protocol: sphinx 8)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress(SocketAddr);

impl NodeAddress {
    /// Longest unpadded form (IPv6), and the padded form in front of a SURB-ack.
    pub const SIZE_MAX: usize = 19;
    /// Padded form inside Sphinx headers and SURBs.
    pub const HEADER_SIZE: usize = 32;

    /// The address of a node. Flow label and scope of an IPv6 address are dropped.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip(), address.port()))
    }

    /// The socket address.
    #[must_use]
    pub const fn socket_addr(&self) -> SocketAddr {
        self.0
    }

    /// Length of the unpadded form: 7 for IPv4, 19 for IPv6.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self.0 {
            SocketAddr::V4(_) => 7,
            SocketAddr::V6(_) => 19,
        }
    }

    /// The form zero-padded to `N` bytes; `N` is 19 in front of an ack and 32 in a header.
    /// The unpadded form is its first [`encoded_len`](Self::encoded_len) bytes.
    #[must_use]
    pub fn to_padded<const N: usize>(&self) -> [u8; N] {
        const { assert!(N >= Self::SIZE_MAX) };
        let mut out = [0; N];
        out[1..3].copy_from_slice(&self.0.port().to_be_bytes());
        match self.0.ip() {
            IpAddr::V4(ip) => {
                out[0] = 4;
                out[3..7].copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out[0] = 6;
                out[3..19].copy_from_slice(&ip.octets());
            }
        }
        out
    }

    /// Reads an address from the front of `bytes`; what follows it is ignored.
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeAddressError> {
        let (&family, rest) = bytes.split_first().ok_or(NodeAddressError::TooShort)?;
        let size = match family {
            4 => 6,
            6 => 18,
            other => return Err(NodeAddressError::Family(other)),
        };
        let (port, ip) = rest
            .get(..size)
            .and_then(|rest| rest.split_first_chunk::<2>())
            .ok_or(NodeAddressError::TooShort)?;
        let port = u16::from_be_bytes(*port);
        let ip = match <[u8; 4]>::try_from(ip) {
            Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
            Err(_) => {
                let v6 = <[u8; 16]>::try_from(ip).map_err(|_| NodeAddressError::TooShort)?;
                IpAddr::V6(Ipv6Addr::from(v6))
            }
        };
        Ok(Self(SocketAddr::new(ip, port)))
    }
}

impl From<SocketAddr> for NodeAddress {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeAddress({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::IdentityKeyPair;

    fn recipient(identity: [u8; 32], encryption: [u8; 32], gateway: [u8; 32]) -> Recipient {
        Recipient {
            identity: *IdentityKeyPair::from_seed(&identity).public(),
            encryption: PublicKey::from_bytes(encryption),
            gateway: *IdentityKeyPair::from_seed(&gateway).public(),
        }
    }

    fn node_address() -> impl Strategy<Value = NodeAddress> {
        (any::<core::net::IpAddr>(), any::<u16>())
            .prop_map(|(ip, port)| NodeAddress::new(SocketAddr::new(ip, port)))
    }

    proptest! {
        #[test]
        fn recipients_survive_both_forms(i: [u8; 32], e: [u8; 32], g: [u8; 32]) {
            let recipient = recipient(i, e, g);
            prop_assert_eq!(Recipient::from_bytes(&recipient.to_bytes()), Ok(recipient));
            prop_assert_eq!(recipient.to_string().parse(), Ok(recipient));
        }

        #[test]
        fn a_recipient_of_any_other_length_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(bytes.len() != Recipient::SIZE);
            prop_assert_eq!(Recipient::from_bytes(&bytes), Err(RecipientError::Length(bytes.len())));
        }

        #[test]
        fn a_flipped_bit_gives_another_recipient_or_none(i: [u8; 32], bit in 0usize..768) {
            let recipient = recipient(i, i, i);
            let mut bytes = recipient.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(Recipient::from_bytes(&bytes), Ok(recipient));
        }

        #[test]
        fn any_text_is_a_recipient_that_prints_the_same_or_an_error(text in ".{0,150}") {
            if let Ok(recipient) = text.parse::<Recipient>() {
                prop_assert_eq!(recipient.to_string(), text);
            }
        }

        #[test]
        fn node_addresses_survive_every_padding(address in node_address()) {
            let long: [u8; 32] = address.to_padded();
            let short: [u8; 19] = address.to_padded();
            prop_assert_eq!(NodeAddress::decode(&long), Ok(address));
            prop_assert_eq!(NodeAddress::decode(&short), Ok(address));
            prop_assert_eq!(NodeAddress::decode(&long[..address.encoded_len()]), Ok(address));
        }

        #[test]
        fn a_node_address_cut_short_is_refused(address in node_address(), cut in 0usize..19) {
            prop_assume!(cut < address.encoded_len());
            let bytes: [u8; 19] = address.to_padded();
            prop_assert_eq!(NodeAddress::decode(&bytes[..cut]), Err(NodeAddressError::TooShort));
        }

        #[test]
        fn any_bytes_are_a_node_address_that_encodes_the_same_or_an_error(bytes: [u8; 32]) {
            if let Ok(address) = NodeAddress::decode(&bytes) {
                let again: [u8; 32] = address.to_padded();
                let length = address.encoded_len();
                prop_assert_eq!(&again[..length], &bytes[..length]);
            } else {
                prop_assert!(bytes[0] != 4 && bytes[0] != 6);
            }
        }
    }
}
