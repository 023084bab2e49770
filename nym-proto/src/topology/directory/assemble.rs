//! One consistent view from the documents of the directory. (protocol: client 3.3)

use thiserror::Error;

use super::page::{Metadata, NodePage, Status};
use crate::topology::node::{MinPerformance, Node};
use crate::topology::rewarded::RewardedSet;
use crate::topology::snapshot::{Topology, TopologyError, TopologyParts, Unroutable};

/// Why documents make no topology. Mismatches are normal for a short while around each change of
/// epoch: fetch all of them again a little later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// There is no page at all.
    #[error("no page of nodes")]
    NoPages,
    /// The directory says that there is nothing new.
    #[error("the directory has no updates")]
    NoUpdates,
    /// Two pages differ in status.
    #[error("node lists of different status")]
    StatusMismatch,
    /// Two documents are of different epochs.
    #[error("documents of epochs {0} and {1}")]
    EpochMismatch(u32, u32),
    /// Two pages are of different key rotations.
    #[error("node lists of key rotations {0} and {1}")]
    RotationMismatch(u32, u32),
    /// The parts do not fit a topology.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// No route could be drawn.
    #[error("not routable: {0}")]
    Unroutable(#[from] Unroutable),
}

/// Makes a topology of the rewarded set and the complete lists of mix nodes and of entry-capable
/// nodes. Either list may be missing altogether: for the extended view pass the list of all nodes
/// as one of them.
///
/// Nodes that do not perform well enough are left out. Of several entries for one node the last
/// counts, entry-capable nodes coming after mix nodes.
///
/// # Errors
/// Documents that do not belong together, and a result through which no route leads.
pub fn assemble(
    rewarded: &RewardedSet,
    mixnodes: Vec<NodePage>,
    entries: Vec<NodePage>,
    min_performance: MinPerformance,
) -> Result<Topology, AssembleError> {
    let mut pages = mixnodes.iter().chain(&entries).map(|page| page.metadata);
    let first = pages.next().ok_or(AssembleError::NoPages)?;
    pages.try_for_each(|other| agree(&first, &other))?;
    if first.status == Status::NoUpdates {
        return Err(AssembleError::NoUpdates);
    }
    let epoch = first.absolute_epoch_id;
    if rewarded.epoch_id != epoch {
        return Err(AssembleError::EpochMismatch(epoch, rewarded.epoch_id));
    }
    let performing = |pages: Vec<NodePage>, least: u8| {
        let nodes = pages.into_iter().flat_map(|page| page.nodes);
        nodes.filter(move |node| node.performance >= least)
    };
    let mixnodes = performing(mixnodes, min_performance.mixnode);
    let nodes: Vec<Node> = mixnodes.chain(performing(entries, min_performance.gateway)).collect();
    let topology = Topology::new(TopologyParts {
        epoch,
        rotation_id: first.rotation_id,
        refreshed_at: first.refreshed_at,
        rewarded: rewarded.clone(),
        nodes,
    })?;
    topology.check_routable()?;
    Ok(topology)
}

fn agree(a: &Metadata, b: &Metadata) -> Result<(), AssembleError> {
    if a.absolute_epoch_id != b.absolute_epoch_id {
        let (a, b) = (a.absolute_epoch_id, b.absolute_epoch_id);
        return Err(AssembleError::EpochMismatch(a, b));
    }
    if a.rotation_id != b.rotation_id {
        return Err(AssembleError::RotationMismatch(a.rotation_id, b.rotation_id));
    }
    if a.status != b.status {
        return Err(AssembleError::StatusMismatch);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::fixture::{node, parts};

    fn page(ids: core::ops::RangeInclusive<u32>) -> NodePage {
        let parts = parts(1);
        NodePage {
            metadata: Metadata {
                status: Status::Fresh,
                absolute_epoch_id: parts.epoch,
                rotation_id: parts.rotation_id,
                refreshed_at: parts.refreshed_at,
            },
            total: 0,
            page: 0,
            size: 0,
            nodes: ids.map(node).collect(),
            rejected: Vec::new(),
        }
    }

    #[test]
    fn matching_documents_make_the_topology_of_their_parts() {
        let rewarded = parts(6).rewarded;
        let topology =
            assemble(&rewarded, vec![page(1..=3)], vec![page(3..=6)], MinPerformance::default());
        assert_eq!(topology, Ok(Topology::new(parts(6)).unwrap()));
    }

    #[test]
    fn one_list_of_all_nodes_is_enough() {
        let rewarded = parts(6).rewarded;
        assert!(assemble(&rewarded, vec![page(1..=6)], vec![], MinPerformance::default()).is_ok());
        assert_eq!(
            assemble(&rewarded, vec![], vec![], MinPerformance::default()),
            Err(AssembleError::NoPages)
        );
    }

    #[test]
    fn documents_that_do_not_belong_together_are_refused() {
        let rewarded = parts(6).rewarded;
        let with = |change: fn(&mut Metadata)| {
            let mut entries = page(4..=6);
            change(&mut entries.metadata);
            assemble(&rewarded, vec![page(1..=3)], vec![entries], MinPerformance::default())
        };
        assert_eq!(
            with(|metadata| metadata.absolute_epoch_id = 1101),
            Err(AssembleError::EpochMismatch(1100, 1101))
        );
        assert_eq!(
            with(|metadata| metadata.rotation_id = 42),
            Err(AssembleError::RotationMismatch(41, 42))
        );
        assert_eq!(
            with(|metadata| metadata.status = Status::NoUpdates),
            Err(AssembleError::StatusMismatch)
        );
        assert!(with(|metadata| metadata.refreshed_at = None).is_ok());
        let mut stale = rewarded.clone();
        stale.epoch_id = 1099;
        assert_eq!(
            assemble(&stale, vec![page(1..=6)], vec![], MinPerformance::default()),
            Err(AssembleError::EpochMismatch(1100, 1099))
        );
    }

    #[test]
    fn slow_nodes_are_left_out_and_an_emptied_layer_is_an_error() {
        let rewarded = parts(6).rewarded;
        let mut slow = page(1..=6);
        slow.nodes[1].performance = 49;
        let topology =
            assemble(&rewarded, vec![slow.clone()], vec![], MinPerformance::default()).unwrap();
        assert!(topology.node(2).is_none());
        slow.nodes[4].performance = 49;
        assert!(matches!(
            assemble(&rewarded, vec![slow], vec![], MinPerformance::default()),
            Err(AssembleError::Unroutable(Unroutable::EmptyLayer(_)))
        ));
    }

    #[test]
    fn an_answer_without_updates_is_no_topology() {
        let mut page = page(1..=6);
        page.metadata.status = Status::NoUpdates;
        assert_eq!(
            assemble(&parts(6).rewarded, vec![page], vec![], MinPerformance::default()),
            Err(AssembleError::NoUpdates)
        );
    }
}
