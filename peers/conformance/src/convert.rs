//! Types of the two sides that mean the same.

use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{KeyRotation, PacketSize};
use nym_sphinx::addressing::clients::Recipient as TheirRecipient;
use nym_sphinx::addressing::nodes::NymNodeRoutingAddress;
use nym_sphinx::params::{PacketSize as TheirSize, SphinxKeyRotation};

use nym_crypto::asymmetric::{ed25519, x25519};

/// Sizes of packets that carry fragments.
pub const MESSAGE_SIZES: [PacketSize; 4] =
    [PacketSize::Regular, PacketSize::Extended8, PacketSize::Extended16, PacketSize::Extended32];

pub fn their_size(size: PacketSize) -> TheirSize {
    match size {
        PacketSize::Ack => TheirSize::AckPacket,
        PacketSize::Regular => TheirSize::RegularPacket,
        PacketSize::Extended8 => TheirSize::ExtendedPacket8,
        PacketSize::Extended16 => TheirSize::ExtendedPacket16,
        PacketSize::Extended32 => TheirSize::ExtendedPacket32,
    }
}

pub fn our_size(size: TheirSize) -> PacketSize {
    PacketSize::from_packet_len(size.size()).unwrap()
}

pub fn their_rotation(rotation: KeyRotation) -> SphinxKeyRotation {
    match rotation {
        KeyRotation::Unknown => SphinxKeyRotation::Unknown,
        KeyRotation::Odd => SphinxKeyRotation::OddRotation,
        KeyRotation::Even => SphinxKeyRotation::EvenRotation,
    }
}

pub fn our_rotation(rotation: SphinxKeyRotation) -> KeyRotation {
    match rotation {
        SphinxKeyRotation::Unknown => KeyRotation::Unknown,
        SphinxKeyRotation::OddRotation => KeyRotation::Odd,
        SphinxKeyRotation::EvenRotation => KeyRotation::Even,
    }
}

pub fn their_address(address: NodeAddress) -> NymNodeRoutingAddress {
    address.socket_addr().into()
}

pub fn our_address(address: NymNodeRoutingAddress) -> NodeAddress {
    NodeAddress::new(address.into())
}

pub fn their_recipient(recipient: &Recipient) -> TheirRecipient {
    TheirRecipient::new(
        their_identity(&recipient.identity),
        x25519::PublicKey::from_byte_array(recipient.encryption.as_bytes()),
        their_identity(&recipient.gateway),
    )
}

pub fn their_identity(key: &IdentityKey) -> ed25519::PublicKey {
    ed25519::PublicKey::from_byte_array(key.as_bytes()).unwrap()
}

pub fn our_identity(key: &ed25519::PublicKey) -> IdentityKey {
    IdentityKey::from_bytes(key.to_bytes()).unwrap()
}

pub fn their_identity_pair(pair: &IdentityKeyPair) -> ed25519::KeyPair {
    ed25519::PrivateKey::from_bytes(&*pair.seed()).unwrap().into()
}

pub fn their_private_key(key: &PrivateKey) -> x25519::PrivateKey {
    x25519::PrivateKey::from_secret(*key.as_bytes())
}
