//! Complete packets: ack, encryption and Sphinx layers around one fragment, and what the last
//! gateway splits again. (protocol: messages 10)

use core::time::Duration;

use thiserror::Error;

use super::ack::{ACK_LEN, SURB_ACK_LEN, seal_ack};
use super::cipher::{CIPHER_PREFIX, FragmentCipher, SealError, seal_reply};
use super::plan::fragment_room;
use super::reply::ReplySurb;
use super::set_id::AckId;
use crate::address::{NodeAddress, NodeAddressError};
use crate::entropy::Stream;
use crate::identity::{AckKey, IdentityKey, PublicKey};
use crate::sphinx::{BuildError, Delay, Hop, PLAINTEXT_OFFSET, PacketBuilder, PacketSize};

/// A route and one delay per hop of it.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// The hops, first one first.
    pub hops: &'a [Hop],
    /// The delay at each hop; the last hop does not delay.
    pub delays: &'a [Delay],
}

impl Path<'_> {
    /// How long the packet is held on its way: all delays but the last hop's, saturating.
    #[must_use]
    pub fn expected(&self) -> Duration {
        let nanos = self.delays.split_last().map_or(0, |(_, delays)| {
            delays.iter().fold(0, |sum: u64, delay| sum.saturating_add(delay.as_nanos()))
        });
        Duration::from_nanos(nanos)
    }
}

/// The acknowledgement a packet carries for the client that sends it.
#[derive(Clone, Copy, Debug)]
pub struct OwnAck<'a> {
    /// The sender's ack key.
    pub key: &'a AckKey,
    /// The sender's identity.
    pub destination: &'a IdentityKey,
    /// A path to the sender's gateway.
    pub path: Path<'a>,
    /// What the ack confirms.
    pub id: AckId,
}

/// Why a packet was not built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum OnionError {
    /// Ack packets carry no fragments.
    #[error("an ack packet carries no fragment")]
    AckSize,
    /// The buffer does not have the length of the packet.
    #[error("a packet has {needed} bytes, the buffer has {given}")]
    Buffer {
        /// Bytes of the packet.
        needed: usize,
        /// Bytes of the buffer.
        given: usize,
    },
    /// The ack packet was not built.
    #[error("ack: {0}")]
    Ack(BuildError),
    /// The fragment was not encrypted.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The packet around it all was not built.
    #[error(transparent)]
    Packet(BuildError),
}

/// What complete packets are built with: the layers and the encryption of what is inside.
pub trait OnionBuilder: PacketBuilder + FragmentCipher {}

impl<T: PacketBuilder + FragmentCipher> OnionBuilder for T {}

/// Builds a packet for a client whose address is known. `recipient` is the client's identity and
/// encryption key; `path` ends at its gateway.
///
/// `packet` has exactly [`PacketSize::packet_len`] bytes. `fill` gets [`fragment_room`] bytes of
/// arbitrary content and must write them all: fragment header and payload, or the cover text.
/// The randomness is drawn in this order: ack, ephemeral key, packet. On error the buffer holds
/// no packet, and may hold plaintext.
///
/// Returns the public ephemeral key: what is pushed to the recipient begins with it.
#[expect(
    clippy::too_many_arguments,
    reason = "each is used by every packet, and a struct for one call site says no more"
)]
pub fn build_forward(
    builder: &mut dyn OnionBuilder,
    size: PacketSize,
    recipient: (&IdentityKey, &PublicKey),
    path: Path<'_>,
    ack: &OwnAck<'_>,
    fill: &mut dyn FnMut(&mut [u8]),
    packet: &mut [u8],
    stream: &mut Stream,
) -> Result<[u8; CIPHER_PREFIX], OnionError> {
    let (identity, encryption) = recipient;
    let sealed = lay_out(builder, size, ack, fill, packet, stream)?;
    builder.seal_fragment(encryption, sealed, stream)?;
    let prefix = sealed.first_chunk().copied().unwrap_or_default();
    let len = size.plaintext_len();
    builder
        .build_packet(path.hops, path.delays, identity, len, packet, stream)
        .map_err(OnionError::Packet)?;
    Ok(prefix)
}

/// Builds a packet that travels with `surb`, which it uses up. The packet goes to the SURB's first
/// hop. For `packet`, `fill` and errors see [`build_forward`]; the ack's randomness is all that is
/// drawn.
pub fn build_reply(
    builder: &mut dyn PacketBuilder,
    size: PacketSize,
    surb: ReplySurb,
    ack: &OwnAck<'_>,
    fill: &mut dyn FnMut(&mut [u8]),
    packet: &mut [u8],
    stream: &mut Stream,
) -> Result<(), OnionError> {
    let ReplySurb { key, surb } = surb;
    let sealed = lay_out(builder, size, ack, fill, packet, stream)?;
    seal_reply(&key, sealed)?;
    builder.use_surb(surb, size.plaintext_len(), packet).map_err(OnionError::Packet)
}

/// Writes ack and fragment to their places, and returns cipher prefix and fragment.
fn lay_out<'a>(
    builder: &mut dyn PacketBuilder,
    size: PacketSize,
    ack: &OwnAck<'_>,
    fill: &mut dyn FnMut(&mut [u8]),
    packet: &'a mut [u8],
    stream: &mut Stream,
) -> Result<&'a mut [u8], OnionError> {
    let (needed, given) = (size.packet_len(), packet.len());
    if needed != given {
        return Err(OnionError::Buffer { needed, given });
    }
    let room = fragment_room(size);
    let parts = packet
        .get_mut(PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + size.plaintext_len())
        .and_then(|plaintext| plaintext.split_first_chunk_mut::<SURB_ACK_LEN>())
        .filter(|(_, sealed)| sealed.len() > room);
    let (surb_ack, sealed) = parts.ok_or(OnionError::AckSize)?;
    write_ack(builder, ack, surb_ack, stream).map_err(OnionError::Ack)?;
    let prefix = sealed.len() - room;
    if let Some(fragment) = sealed.get_mut(prefix..) {
        fill(fragment);
    }
    Ok(sealed)
}

fn write_ack(
    builder: &mut dyn PacketBuilder,
    ack: &OwnAck<'_>,
    out: &mut [u8; SURB_ACK_LEN],
    stream: &mut Stream,
) -> Result<(), BuildError> {
    let first = ack.path.hops.first().ok_or(BuildError::RouteLength(0))?;
    let (address, packet) = out.split_at_mut(NodeAddress::SIZE_MAX);
    address.copy_from_slice(&first.address.to_padded::<{ NodeAddress::SIZE_MAX }>());
    if let Some(plaintext) = packet.get_mut(PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + ACK_LEN) {
        plaintext.copy_from_slice(&seal_ack(ack.key, &ack.id, stream));
    }
    let Path { hops, delays } = ack.path;
    builder.build_packet(hops, delays, ack.destination, ACK_LEN, packet, stream)
}

/// Why the plaintext of a packet at its last hop carries no ack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The plaintext is shorter than an ack.
    #[error("a plaintext of {0} bytes carries no ack of {SURB_ACK_LEN}")]
    Length(usize),
    /// The address of the ack's first hop is malformed.
    #[error("first hop of the ack: {0}")]
    FirstHop(#[from] NodeAddressError),
}

/// Splits the plaintext of a packet as the gateway at its last hop does: the first hop of the ack,
/// the ack packet (386 bytes), and what is pushed to the client. (protocol: sphinx 13.2)
pub fn split_final(plaintext: &[u8]) -> Result<(NodeAddress, &[u8], &[u8]), SplitError> {
    let (surb_ack, pushed) =
        plaintext.split_at_checked(SURB_ACK_LEN).ok_or(SplitError::Length(plaintext.len()))?;
    let (address, packet) = surb_ack.split_at(NodeAddress::SIZE_MAX);
    Ok((NodeAddress::decode(address)?, packet, pushed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::{Identity, PrivateKey};
    use crate::message::{FragmentId, ReplyKey, SetId, open, open_ack, open_reply};
    use crate::sphinx::{PacketPeeler as _, Peeled, SphinxBuilder, SphinxPeeler};

    const DATA_SIZES: [PacketSize; 4] = [
        PacketSize::Regular,
        PacketSize::Extended8,
        PacketSize::Extended16,
        PacketSize::Extended32,
    ];

    #[test]
    fn a_forward_packet_of_any_size_brings_its_fragment_and_returns_its_ack() {
        for size in DATA_SIZES {
            let mut world = World::new();
            let bob = Identity::generate(&mut world.stream);
            let recipient = (bob.identity.public(), &bob.encryption.public());
            let mut packet = vec![0xee; size.packet_len()];

            let built = world.build_forward(size, recipient, &mut packet);

            let (destination, mut pushed) = world.deliver(packet);
            assert_eq!(built.as_ref().map(|prefix| &prefix[..]), Ok(&pushed[..32]));
            assert_eq!(&destination, bob.identity.public().as_bytes());
            let fragment = open(&bob.encryption, &mut pushed).unwrap();
            assert_eq!(fragment.len(), fragment_room(size));
            assert!(fragment.iter().all(|&byte| byte == 0xf5));
        }
    }

    #[test]
    fn a_reply_of_any_size_brings_its_fragment_and_returns_its_ack() {
        for size in DATA_SIZES {
            let mut world = World::new();
            let creator = Identity::generate(&mut world.stream);
            let identity = creator.identity.public();
            let key = ReplyKey::draw(&mut world.stream);
            let surb = SphinxBuilder::new()
                .make_surb(&world.hops, &world.delays, identity, &mut world.stream)
                .unwrap();
            let surb = ReplySurb { key: key.clone(), surb };
            let mut packet = vec![0xee; size.packet_len()];

            let built = world.build_reply(size, surb, &mut packet);

            assert_eq!(built, Ok(()));
            let (destination, mut pushed) = world.deliver(packet);
            assert_eq!(&destination, identity.as_bytes());
            assert_eq!(pushed[..32], *key.digest().as_bytes());
            let fragment = open_reply(&key, &mut pushed).unwrap();
            assert_eq!(fragment.len(), fragment_room(size));
            assert!(fragment.iter().all(|&byte| byte == 0xf5));
        }
    }

    #[test]
    fn wrong_buffers_sizes_routes_and_keys_are_refused() {
        let mut world = World::new();
        let bob = Identity::generate(&mut world.stream);
        let (identity, encryption) = (bob.identity.public(), bob.encryption.public());
        let mut build = |size, key, len| {
            let mut packet = vec![0; len];
            world.build_forward(size, (identity, &key), &mut packet)
        };
        let regular = PacketSize::Regular;
        assert_eq!(
            build(regular, encryption, 2412),
            Err(OnionError::Buffer { needed: 2413, given: 2412 })
        );
        assert_eq!(build(PacketSize::Ack, encryption, 386), Err(OnionError::AckSize));
        let low_order = PublicKey::from_bytes([0; 32]);
        assert_eq!(build(regular, low_order, 2413), Err(OnionError::Seal(SealError::Degenerate)));
        world.hops.clear();
        let built = world.build_forward(regular, (identity, &encryption), &mut [0; 2413]);
        let error = BuildError::RouteLength(0);
        assert_eq!(built, Err(OnionError::Ack(error)));
    }

    proptest! {
        #[test]
        fn a_final_plaintext_is_refused_or_splits_without_loss(
            mut bytes in prop::collection::vec(any::<u8>(), 390..500),
            family in prop::option::of(prop::sample::select(vec![4u8, 6])),
        ) {
            bytes[0] = family.unwrap_or(bytes[0]);
            match split_final(&bytes) {
                Ok((address, packet, pushed)) => {
                    prop_assert_eq!(address.encoded_len(), if bytes[0] == 4 { 7 } else { 19 });
                    prop_assert_eq!(packet, &bytes[19..405]);
                    prop_assert_eq!(pushed, &bytes[405..]);
                }
                Err(SplitError::Length(len)) => prop_assert!(len == bytes.len() && len < 405),
                Err(error) => {
                    let cause = NodeAddressError::Family(bytes[0]);
                    prop_assert_eq!(error, SplitError::FirstHop(cause));
                }
            }
        }
    }

    #[test]
    fn the_last_delay_does_not_count_and_sums_saturate() {
        let path = |delays| Path { hops: &[], delays };
        let nanos = [1, 2, 4].map(Delay::from_nanos);
        assert_eq!(path(&nanos).expected(), Duration::from_nanos(3));
        assert_eq!(path(&[]).expected(), Duration::ZERO);
        let huge = [u64::MAX, 1, 1].map(Delay::from_nanos);
        assert_eq!(path(&huge).expected(), Duration::from_nanos(u64::MAX));
    }

    /// A route of four hops with their keys, and a sender whose own gateway is the last of them.
    struct World {
        stream: Stream,
        sender: Identity,
        keys: Vec<PrivateKey>,
        hops: Vec<Hop>,
        delays: Vec<Delay>,
    }

    impl World {
        fn new() -> Self {
            let mut stream = Entropy::new([8; 32]).stream(Purpose::Other(0));
            let keys: Vec<_> = (0..4).map(|_| PrivateKey::generate(&mut stream)).collect();
            let hop = |(i, key): (usize, &PrivateKey)| Hop {
                address: NodeAddress::new(([10, 0, 0, i as u8], 1789).into()),
                key: key.public(),
            };
            Self {
                sender: Identity::generate(&mut stream),
                hops: keys.iter().enumerate().map(hop).collect(),
                delays: (1..=4).map(Delay::from_nanos).collect(),
                keys,
                stream,
            }
        }

        fn build_forward(
            &mut self,
            size: PacketSize,
            recipient: (&IdentityKey, &PublicKey),
            packet: &mut [u8],
        ) -> Result<[u8; 32], OnionError> {
            let mut builder = SphinxBuilder::new();
            let stream = &mut Entropy::new(self.stream.bytes()).stream(Purpose::Packets);
            let path = self.path();
            let ack = self.ack();
            let fill = &mut |out: &mut [u8]| out.fill(0xf5);
            build_forward(&mut builder, size, recipient, path, &ack, fill, packet, stream)
        }

        fn build_reply(
            &mut self,
            size: PacketSize,
            surb: ReplySurb,
            packet: &mut [u8],
        ) -> Result<(), OnionError> {
            let mut builder = SphinxBuilder::new();
            let stream = &mut Entropy::new(self.stream.bytes()).stream(Purpose::Packets);
            let ack = self.ack();
            let fill = &mut |out: &mut [u8]| out.fill(0xf5);
            build_reply(&mut builder, size, surb, &ack, fill, packet, stream)
        }

        fn path(&self) -> Path<'_> {
            Path { hops: &self.hops, delays: &self.delays }
        }

        fn id() -> AckId {
            let set = SetId::new(0x0102_0304).unwrap();
            AckId::Fragment(FragmentId { set, position: 9 })
        }

        fn ack(&self) -> OwnAck<'_> {
            OwnAck {
                key: &self.sender.ack,
                destination: self.sender.identity.public(),
                path: self.path(),
                id: Self::id(),
            }
        }

        /// Takes a packet to the last hop and its ack back to the sender. Returns the destination
        /// and what is pushed to it.
        fn deliver(&self, packet: Vec<u8>) -> ([u8; 32], Vec<u8>) {
            let (destination, plaintext) = self.walk(packet);
            let (first, ack, pushed) = split_final(&plaintext).unwrap();
            assert_eq!(first, self.hops[0].address);
            let (sender, ack) = self.walk(ack.to_vec());
            assert_eq!(&sender, self.sender.identity.public().as_bytes());
            assert_eq!(open_ack(&self.sender.ack, &ack), Some(Self::id()));
            (destination, pushed.to_vec())
        }

        fn walk(&self, mut packet: Vec<u8>) -> ([u8; 32], Vec<u8>) {
            let peeler = SphinxPeeler::default();
            for key in &self.keys {
                let opened = peeler.open(key, &packet).unwrap();
                if let Peeled::Final { destination, plaintext } =
                    peeler.peel(opened, &mut packet).unwrap()
                {
                    return (destination, packet[plaintext].to_vec());
                }
            }
            panic!("no hop was the last one");
        }
    }
}
