//! What can be wrong with a topology file.

use thiserror::Error;

use crate::topology::node::NodeError;
use crate::topology::snapshot::TopologyError;

/// Why a topology file was refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is longer than 16 MiB.
    #[error("a topology file of {0} bytes is longer than 16 MiB")]
    TooLong(usize),
    /// The file is not JSON of a known form.
    #[error("no topology file: {0}")]
    Json(String),
    /// A node of the file cannot be used.
    #[error("node {listed:?}: {error}")]
    Node {
        /// Where the node stands: its key, or its list and place.
        listed: String,
        /// What is wrong with it.
        error: NodeError,
    },
    /// The file has the old form, with `mixnodes` and `gateways`, but not a legible one.
    #[error("topology file of the old form (mixnodes and gateways): {0}")]
    OldForm(String),
    /// The parts do not fit a topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}
