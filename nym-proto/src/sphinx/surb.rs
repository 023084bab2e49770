//! Single-use reply blocks. (protocol: sphinx 9)

use thiserror::Error;

use crate::address::{NodeAddress, NodeAddressError};

/// Why bytes are no SURB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SurbError {
    /// The length fits no number of hops.
    #[error("a SURB cannot have {0} bytes")]
    Length(usize),
    /// The address of the first hop is malformed.
    #[error("first hop of the SURB: {0}")]
    FirstHop(#[from] NodeAddressError),
}

/// A single-use reply block: a ready header, the address of its first hop, and the keys to
/// encrypt the payload with.
#[derive(Debug)]
pub struct Surb(());

impl Surb {
    /// Length of a version 259 SURB for a route of `hops` hops: 380 + 16 per hop.
    #[must_use]
    pub const fn encoded_len_for(hops: usize) -> usize {
        380 + 16 * hops
    }

    /// Reads a SURB of version 259 (1 to 5 key seeds) or 258 (1 to 5 full keys).
    pub fn decode(_bytes: &[u8]) -> Result<Self, SurbError> {
        unimplemented!()
    }

    /// Appends header, first hop (32 bytes) and key material in route order.
    pub fn encode(&self, _out: &mut Vec<u8>) {
        unimplemented!()
    }

    /// Where a packet made with this SURB goes first.
    #[must_use]
    pub fn first_hop(&self) -> NodeAddress {
        unimplemented!()
    }

    /// Length of the encoded form.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        unimplemented!()
    }
}
