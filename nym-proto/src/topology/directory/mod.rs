//! The directory's documents: what a client fetches and an embedded directory serves, one
//! definition for both. (protocol: client 3.1 to 3.3, 10.1)

mod assemble;
mod document;
mod page;
mod pages;
mod performance;
mod rotation;

pub use super::rewarded::RewardedSet;
pub use assemble::{AssembleError, assemble};
pub use document::{BODY_MAX, DocumentError};
pub use page::{Metadata, NodePage, RejectedNode, Status};
pub use pages::{NextPage, PAGES_MAX, Pages, PagesError};
pub use rotation::KeyRotationInfo;

// protocol: client 3.1
/// Rotation and epoch clock: a [`KeyRotationInfo`].
pub const KEY_ROTATION_INFO: &str = "v1/epoch/key-rotation-info";
/// Role assignment of the epoch: a [`RewardedSet`].
pub const REWARDED_SET: &str = "v1/nym-nodes/rewarded-set";
/// Active mix nodes: a [`NodePage`].
pub const MIXNODES_ACTIVE: &str = "v2/unstable/nym-nodes/skimmed/mixnodes/active";
/// All nodes able to serve clients, assigned or not: a [`NodePage`].
pub const ENTRY_GATEWAYS: &str = "v2/unstable/nym-nodes/skimmed/entry-gateways";
/// All nodes able to serve as an exit: a [`NodePage`].
pub const EXIT_GATEWAYS: &str = "v2/unstable/nym-nodes/skimmed/exit-gateways";
/// All nodes: a [`NodePage`].
pub const ALL_NODES: &str = "v2/unstable/nym-nodes/skimmed";

/// Nodes asked for per page. A page of this size stays far below [`BODY_MAX`].
pub const PER_PAGE: u32 = 1000;

/// `path` with the query for one page, counted from 0, of a list of nodes.
#[must_use]
pub fn page_path(path: &str, page: u32) -> String {
    format!("{path}?page={page}&per_page={PER_PAGE}&no_legacy=true&output=json")
}
