//! Complete packets: ack, encryption and Sphinx layers around one fragment. (protocol: messages 10)

use core::fmt;
use core::time::Duration;

use thiserror::Error;

use super::ack::{ACK_LEN, SURB_ACK_LEN, seal_ack};
use super::cipher::{CIPHER_PREFIX, FragmentCipher, SealError, seal_reply};
use super::plan::fragment_room;
use super::reply::ReplySurb;
use super::set_id::AckId;
use crate::address::NodeAddress;
use crate::entropy::Stream;
use crate::identity::{AckKey, IdentityKey, PublicKey};
use crate::sphinx::{
    BuildError, Delay, Hop, PLAINTEXT_OFFSET, PacketBuilder, PacketSize, Surb, SurbWay,
};

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

/// A packet to be built for a client whose address is known.
pub struct Forward<'a> {
    /// Size of the packet.
    pub size: PacketSize,
    /// The recipient's identity and encryption key.
    pub recipient: (&'a IdentityKey, &'a PublicKey),
    /// Path to the recipient's gateway.
    pub path: Path<'a>,
    /// The ack it carries.
    pub ack: OwnAck<'a>,
    /// Gets [`fragment_room`] bytes of arbitrary content and must write them all: fragment header and
    /// payload, or the cover text.
    pub fill: &'a mut dyn FnMut(&mut [u8]),
    /// Where the packet is built, exactly [`PacketSize::packet_len`] bytes. On error they hold no
    /// packet, and may hold plaintext.
    pub packet: &'a mut [u8],
}

impl fmt::Debug for Forward<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Builds a packet. The randomness is drawn in this order: ack, ephemeral key, packet.
///
/// Returns the public ephemeral key: what is pushed to the recipient begins with it.
pub fn build_forward(
    builder: &mut dyn OnionBuilder,
    forward: Forward<'_>,
    stream: &mut Stream,
) -> Result<[u8; CIPHER_PREFIX], OnionError> {
    build(builder, forward, None, stream)
}

/// Builds several packets, as [`build_forward`] builds each, in less time. All their headers are drawn
/// first, for each packet that of the ack and then its own. On error none of the buffers holds a packet
/// that may be sent.
pub fn build_forwards(
    builder: &mut dyn OnionBuilder,
    forwards: Vec<Forward<'_>>,
    stream: &mut Stream,
) -> Result<Vec<[u8; CIPHER_PREFIX]>, OnionError> {
    let ways = forwards.iter().flat_map(|forward| {
        let (own, ack) = (forward.path, &forward.ack);
        [(ack.path, ack.destination), (own, forward.recipient.0)].map(|(path, destination)| {
            SurbWay { route: path.hops, delays: path.delays, destination }
        })
    });
    let headers = builder.make_surbs(&ways.collect::<Vec<_>>(), stream);
    let mut headers = headers.map_err(OnionError::Packet)?.into_iter();
    let mut headers = core::iter::from_fn(|| Some([headers.next()?, headers.next()?]));
    forwards.into_iter().map(|forward| build(builder, forward, headers.next(), stream)).collect()
}

/// Builds a packet, with the headers of its ack and its own if they are made already.
fn build(
    builder: &mut dyn OnionBuilder,
    forward: Forward<'_>,
    headers: Option<[Surb; 2]>,
    stream: &mut Stream,
) -> Result<[u8; CIPHER_PREFIX], OnionError> {
    let Forward { size, recipient: (identity, encryption), path, ack, fill, packet } = forward;
    let (ack_header, header) = headers.map(<(Surb, Surb)>::from).unzip();
    let sealed = lay_out(builder, size, &ack, ack_header, fill, packet, stream)?;
    builder.seal_fragment(encryption, sealed, stream)?;
    let prefix = sealed.first_chunk().copied().unwrap_or_default();
    let len = size.plaintext_len();
    let built = match header {
        Some(header) => builder.use_surb(header, len, packet),
        None => builder.build_packet(path.hops, path.delays, identity, len, packet, stream),
    };
    built.map_err(OnionError::Packet)?;
    Ok(prefix)
}

/// Builds a packet that travels with `surb`, which it uses up. The packet goes to the SURB's first
/// hop. For `packet`, `fill` and errors see [`Forward`]; the ack's randomness is all that is drawn.
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
    let sealed = lay_out(builder, size, ack, None, fill, packet, stream)?;
    seal_reply(&key, sealed)?;
    builder.use_surb(surb, size.plaintext_len(), packet).map_err(OnionError::Packet)
}

/// Writes ack and fragment to their places, and returns cipher prefix and fragment.
fn lay_out<'a>(
    builder: &mut dyn PacketBuilder,
    size: PacketSize,
    ack: &OwnAck<'_>,
    ack_header: Option<Surb>,
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
    write_ack(builder, ack, ack_header, surb_ack, stream).map_err(OnionError::Ack)?;
    let prefix = sealed.len() - room;
    if let Some(fragment) = sealed.get_mut(prefix..) {
        fill(fragment);
    }
    Ok(sealed)
}

fn write_ack(
    builder: &mut dyn PacketBuilder,
    ack: &OwnAck<'_>,
    header: Option<Surb>,
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
    match header {
        Some(header) => builder.use_surb(header, ACK_LEN, packet),
        None => builder.build_packet(hops, delays, ack.destination, ACK_LEN, packet, stream),
    }
}

#[cfg(test)]
mod tests;
