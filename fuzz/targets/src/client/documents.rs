//! What the directory answers.

use nym_proto::time::UnixTime;
use nym_proto::topology::directory::{
    ENTRY_GATEWAYS, KEY_ROTATION_INFO, MIXNODES_ACTIVE, Metadata, NodePage, REWARDED_SET, Status,
};

use crate::net;

/// What the directory answers in an epoch.
pub(super) fn document(url: &str, epoch: u32) -> Option<Vec<u8>> {
    let topology = net::topology_in_epoch(epoch);
    if url.contains(KEY_ROTATION_INFO) {
        return Some(crate::directory::documents());
    }
    if url.contains(REWARDED_SET) {
        return Some(topology.rewarded().encode().into_bytes());
    }
    let is_mixnode = url.contains(MIXNODES_ACTIVE);
    if !is_mixnode && !url.contains(ENTRY_GATEWAYS) {
        return None;
    }
    let nodes = topology.nodes().iter().filter(|node| node.roles.mixnode == is_mixnode);
    let nodes: Vec<_> = nodes.cloned().collect();
    let metadata = Metadata {
        status: Status::Fresh,
        absolute_epoch_id: epoch,
        rotation_id: topology.rotation_id(),
        refreshed_at: Some(UnixTime::from_secs(net::UNIX_START)),
    };
    let (total, size) = (nodes.len() as u64, nodes.len() as u64);
    let page = NodePage { metadata, total, page: 0, size, nodes, rejected: Vec::new() };
    Some(page.encode(topology.rewarded()).into_bytes())
}
