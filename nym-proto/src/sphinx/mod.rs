//! Sphinx packets: sizes, building, peeling, single-use reply blocks, frames between nodes.
//! (protocol: sphinx)
//!
//! Everything here is deterministic: the randomness of a packet is drawn from a
//! [`Stream`] that the caller passes in.

use core::time::Duration;

use thiserror::Error;

use crate::address::NodeAddress;
use crate::entropy::Stream;
use crate::identity::{IdentityKey, PublicKey};

/// Length of a Sphinx header. (protocol: sphinx 4)
pub const HEADER_SIZE: usize = 348;
/// Zero bytes in front of the plaintext inside a payload. (protocol: sphinx 7.2)
pub const PAYLOAD_ZEROS: usize = 16;
/// Where the plaintext begins inside a packet: after the header and the leading zeros.
pub const PLAINTEXT_OFFSET: usize = HEADER_SIZE + PAYLOAD_ZEROS;
/// Header and payload overhead over the plaintext: header, leading zeros, one mark. (protocol: sphinx 7.3)
pub const OVERHEAD: usize = PLAINTEXT_OFFSET + 1;
/// Longest route the header has room for. (protocol: sphinx 4)
pub const HOPS_MAX: usize = 5;
/// The packet version this crate builds, for real, cover and ack packets alike. (protocol: sphinx 2)
pub const VERSION: u16 = 259;

/// The sizes a packet can have on the network. (protocol: sphinx 11)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum PacketSize {
    /// 386 bytes; acknowledgements only.
    Ack,
    /// 2413 bytes; the default.
    #[default]
    Regular,
    /// 8557 bytes.
    Extended8,
    /// 16749 bytes.
    Extended16,
    /// 33133 bytes.
    Extended32,
}

impl PacketSize {
    /// All sizes, smallest first.
    pub const ALL: [Self; 5] =
        [Self::Ack, Self::Regular, Self::Extended8, Self::Extended16, Self::Extended32];

    /// Bytes of plaintext a packet of this size carries, exactly.
    #[must_use]
    pub const fn plaintext_len(self) -> usize {
        match self {
            Self::Ack => 21,
            Self::Regular => 2048,
            Self::Extended8 => 8192,
            Self::Extended16 => 16384,
            Self::Extended32 => 32768,
        }
    }

    /// Bytes of the payload: leading zeros, plaintext, mark.
    #[must_use]
    pub const fn payload_len(self) -> usize {
        self.plaintext_len() + OVERHEAD - HEADER_SIZE
    }

    /// Bytes of the whole packet.
    #[must_use]
    pub const fn packet_len(self) -> usize {
        self.plaintext_len() + OVERHEAD
    }

    /// The size whose packets have `len` bytes.
    #[must_use]
    pub fn from_packet_len(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.packet_len() == len)
    }

    /// The tag of this size in frames between nodes.
    #[must_use]
    pub const fn tag(self) -> u8 {
        match self {
            Self::Regular => 1,
            Self::Ack => 2,
            Self::Extended32 => 3,
            Self::Extended8 => 4,
            Self::Extended16 => 5,
        }
    }

    /// The size with the given tag.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.tag() == tag)
    }
}

/// Which of a node's two valid Sphinx keys a packet was built for: the parity of the rotation id.
/// (protocol: sphinx 15)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum KeyRotation {
    /// Not known; nodes try their primary key and then the secondary one. Wire value 0.
    #[default]
    Unknown,
    /// Odd rotation id. Wire value 1.
    Odd,
    /// Even rotation id. Wire value 2.
    Even,
}

impl KeyRotation {
    /// The parity of a rotation id. 0 and 2³²−1 mean "unknown".
    #[must_use]
    pub const fn of_id(rotation_id: u32) -> Self {
        match rotation_id {
            0 | u32::MAX => Self::Unknown,
            id if id % 2 == 1 => Self::Odd,
            _ => Self::Even,
        }
    }

    /// What to announce for a packet that carries another packet: their common rotation. Where they
    /// differ it is not known, so that nodes try both keys. protocol: sphinx 19, 14
    #[must_use]
    pub fn or_unknown(self, inner: Self) -> Self {
        if self == inner { self } else { Self::Unknown }
    }

    /// The wire value.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// Reads the wire value.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Unknown),
            1 => Some(Self::Odd),
            2 => Some(Self::Even),
            _ => None,
        }
    }
}

/// One hop of a route: where to send to, and the key to build the layer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Address of the node.
    pub address: NodeAddress,
    /// The node's Sphinx key for the rotation the packet is built for.
    pub key: PublicKey,
}

/// Delay at one hop, a whole number of nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Delay(u64);

impl Delay {
    /// A delay of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Draws an exponentially distributed delay.
    #[must_use]
    pub fn draw(mean: Duration, stream: &mut Stream) -> Self {
        Self(crate::time::nanos(stream.exponential(mean)))
    }
}

impl From<Delay> for Duration {
    fn from(delay: Delay) -> Self {
        Self::from_nanos(delay.0)
    }
}

/// Why a packet or SURB was not built. All of these are mistakes of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The route has no hop, or more than [`HOPS_MAX`].
    #[error("a route has 1 to {HOPS_MAX} hops, this one has {0}")]
    RouteLength(usize),
    /// There is not exactly one delay per hop.
    #[error("a route of {hops} hops needs as many delays, got {delays}")]
    DelayCount {
        /// Hops of the route.
        hops: usize,
        /// Delays given.
        delays: usize,
    },
    /// The plaintext does not fit the packet, or the buffer is no packet.
    #[error("{plaintext} bytes of plaintext do not fit a packet of {packet} bytes")]
    PlaintextLength {
        /// Bytes of plaintext.
        plaintext: usize,
        /// Bytes of the packet buffer.
        packet: usize,
    },
    /// A key of the route has low order.
    #[error("hop {0} has a Sphinx key of low order")]
    DegenerateKey(usize),
}

/// What a reply block leads along.
#[derive(Clone, Copy, Debug)]
pub struct SurbWay<'a> {
    /// The hops; the last one is the gateway of the destination.
    pub route: &'a [Hop],
    /// One delay per hop.
    pub delays: &'a [Delay],
    /// Whom the gateway delivers to.
    pub destination: &'a IdentityKey,
}

/// The build seam: everything the client needs to make packets.
///
/// Packets are built in place: the caller puts the plaintext at [`PLAINTEXT_OFFSET`] of a buffer
/// of packet length, and the builder fills in the rest. The destination's identifier is always
/// 16 zero bytes. Only [`VERSION`] is built.
pub trait PacketBuilder: Send {
    /// Turns `packet`, whose plaintext of `plaintext_len` bytes stands at [`PLAINTEXT_OFFSET`],
    /// into a packet for `route`. Bytes after the plaintext are overwritten by the padding.
    fn build_packet(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        plaintext_len: usize,
        packet: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), BuildError>;

    /// Makes a single-use reply block for `route`, which ends at the gateway of `destination`.
    fn make_surb(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        stream: &mut Stream,
    ) -> Result<Surb, BuildError>;

    /// Makes several reply blocks, as [`make_surb`](Self::make_surb) does one after the other.
    fn make_surbs(
        &mut self,
        ways: &[SurbWay<'_>],
        stream: &mut Stream,
    ) -> Result<Vec<Surb>, BuildError> {
        ways.iter()
            .map(|way| self.make_surb(way.route, way.delays, way.destination, stream))
            .collect()
    }

    /// Turns `packet` (as in [`build_packet`](Self::build_packet)) into a packet that travels with
    /// the header of `surb`. The packet goes to [`Surb::first_hop`].
    fn use_surb(
        &mut self,
        surb: Surb,
        plaintext_len: usize,
        packet: &mut [u8],
    ) -> Result<(), BuildError>;
}

mod build;
mod crypto;
mod frame;
mod header;
mod multiples;
mod peel;
mod surb;

pub use build::SphinxBuilder;
pub use frame::{Frame, FrameDecoder, FrameError, FrameHeader};
pub use header::HeaderInputs;
pub(crate) use multiples::MULTIPLES_BYTES_MAX;
pub use peel::{Opened, PacketPeeler, PeelError, Peeled, ReplayTag, SphinxPeeler};
pub use surb::{Surb, SurbError, SurbKeys};
