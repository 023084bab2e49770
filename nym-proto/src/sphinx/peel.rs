//! What a node does with a packet: open, check for replay, remove one layer. (protocol: sphinx 6)

use core::ops::Range;

use thiserror::Error;

use super::*;
use crate::address::NodeAddressError;
use crate::identity::PrivateKey;

/// Names a packet at one node, to recognise a second copy. 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ReplayTag(pub [u8; 32]);

/// Why a packet was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PeelError {
    /// Fewer bytes than the smallest packet.
    #[error("a packet cannot have {0} bytes")]
    Length(usize),
    /// The header's MAC does not verify: damaged, or built for another key.
    #[error("header MAC mismatch")]
    Mac,
    /// The public element has low order.
    #[error("public element of low order")]
    Degenerate,
    /// The routing flag is neither forward nor final.
    #[error("unknown routing flag {0}")]
    Flag(u8),
    /// The next hop's address is malformed.
    #[error("next hop: {0}")]
    NextHop(#[from] NodeAddressError),
    /// No valid padding at the last hop: the payload was tampered with.
    #[error("payload without valid padding")]
    Payload,
}

/// A packet whose header verified, before its layer is removed.
#[derive(Debug)]
pub struct Opened(());

impl Opened {
    /// The packet's replay tag at this node.
    #[must_use]
    pub fn replay_tag(&self) -> ReplayTag {
        unimplemented!()
    }
}

/// What one layer said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peeled {
    /// The buffer now holds the packet for `next`, to be sent after `delay`.
    Forward {
        /// The next node.
        next: NodeAddress,
        /// How long this node holds the packet.
        delay: Delay,
    },
    /// This node is the last hop.
    Final {
        /// The receiving client's identity key (any 32 bytes).
        destination: [u8; 32],
        /// Where in the buffer the plaintext stands.
        plaintext: Range<usize>,
    },
}

/// The peel seam: everything a node needs.
pub trait PacketPeeler: Send {
    /// Checks the header's MAC with the node's key. Does not change the packet.
    fn open(&self, key: &PrivateKey, packet: &[u8]) -> Result<Opened, PeelError>;
    /// Removes the layer in place.
    fn peel(&self, opened: Opened, packet: &mut [u8]) -> Result<Peeled, PeelError>;
}

/// Peels packets of versions 258, 259 and 260 (and treats unknown versions as 259).
#[derive(Clone, Debug, Default)]
pub struct SphinxPeeler(());
