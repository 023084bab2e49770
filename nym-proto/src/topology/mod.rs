//! What the network looks like: nodes, roles, epochs and key rotation, routes, and the documents
//! and files it is read from. (protocol: client 3, 4, 10)
//!
//! A [`Topology`] is an immutable snapshot. Every key in it belongs to one key rotation, so a
//! route drawn from it never mixes rotations. It comes from the directory's documents
//! ([`directory::assemble`]), from a file ([`Topology::from_file`]), or from parts
//! ([`Topology::new`]).

pub mod directory;
mod file;
mod gateways;
mod node;
mod raw;
mod rewarded;
mod route;
mod snapshot;
mod timestamp;

#[cfg(test)]
mod fixture;

pub use file::FileError;
pub use node::{
    Entry, MinPerformance, NODES_MAX, Node, NodeError, NodeId, SupportedRoles, TlsPolicy,
};
pub use rewarded::{Layer, RewardedSet, Role};
pub use route::{Delays, Route, RouteError};
pub use snapshot::{ROTATION_UNKNOWN, Topology, TopologyError, TopologyParts, Unroutable};
