//! Collecting the pages of a list. (protocol: client 3.1)

use thiserror::Error;

use super::page::{Metadata, NodePage, Status};
use crate::topology::node::NODES_MAX;

/// Most pages of one list.
pub const PAGES_MAX: u32 = 400;

/// Why a page does not continue the list. The collector has been emptied: start from page 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PagesError {
    /// The page is not the one that was asked for.
    #[error("got page {got} instead of {expected}")]
    OutOfOrder {
        /// The next page of the list.
        expected: u32,
        /// The page that came.
        got: u32,
    },
    /// The directory's data changed between two pages.
    #[error("the directory changed its data between two pages")]
    MetadataChanged,
    /// The list is longer than [`NODES_MAX`] nodes.
    #[error("a list of {0} nodes is longer than {NODES_MAX}")]
    TooManyNodes(u64),
    /// The list has more than [`PAGES_MAX`] pages.
    #[error("more than {PAGES_MAX} pages")]
    TooManyPages,
    /// An empty page came before the list was complete.
    #[error("the list ends after {collected} of {total} nodes")]
    Incomplete {
        /// Nodes collected.
        collected: u64,
        /// Nodes announced.
        total: u64,
    },
}

/// What to fetch next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextPage {
    /// The page with this number.
    Fetch(u32),
    /// The list is complete.
    Done,
}

/// Collects the pages of one list, from page 0 on. Holds at most [`NODES_MAX`] nodes.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pages: Vec<NodePage>,
    collected: u64,
}

impl Pages {
    /// An empty collector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next page and says what to fetch then.
    ///
    /// # Errors
    /// A page that does not continue the list; the collector is empty afterwards.
    pub fn push(&mut self, page: NodePage) -> Result<NextPage, PagesError> {
        let next = self.check(&page);
        match next {
            Ok(_) => {
                self.collected = self.collected.saturating_add(count(&page));
                self.pages.push(page);
            }
            Err(_) => *self = Self::default(),
        }
        next
    }

    /// The pages collected so far, in order.
    #[must_use]
    pub fn into_pages(self) -> Vec<NodePage> {
        self.pages
    }

    fn check(&self, page: &NodePage) -> Result<NextPage, PagesError> {
        let expected = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        if page.page != expected {
            return Err(PagesError::OutOfOrder { expected, got: page.page });
        }
        if self.metadata().is_some_and(|first| *first != page.metadata) {
            return Err(PagesError::MetadataChanged);
        }
        let collected = self.collected.saturating_add(count(page));
        let longest = collected.max(page.total);
        if longest > NODES_MAX as u64 {
            return Err(PagesError::TooManyNodes(longest));
        }
        if collected >= page.total || page.metadata.status == Status::NoUpdates {
            return Ok(NextPage::Done);
        }
        if count(page) == 0 {
            return Err(PagesError::Incomplete { collected, total: page.total });
        }
        match expected.saturating_add(1) {
            next if next < PAGES_MAX => Ok(NextPage::Fetch(next)),
            _ => Err(PagesError::TooManyPages),
        }
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.pages.first().map(|page| &page.metadata)
    }
}

/// Nodes of a page, usable or not.
fn count(page: &NodePage) -> u64 {
    (page.nodes.len() + page.rejected.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::fixture::node;

    fn page(number: u32, ids: core::ops::Range<u32>, total: u64) -> NodePage {
        NodePage {
            metadata: Metadata {
                status: Status::Unspecified,
                absolute_epoch_id: 7,
                rotation_id: 1,
                refreshed_at: None,
            },
            total,
            page: number,
            size: ids.len() as u64,
            nodes: ids.map(node).collect(),
            rejected: Vec::new(),
        }
    }

    #[test]
    fn pages_are_asked_for_until_the_total_is_reached() {
        let mut pages = Pages::new();
        assert_eq!(pages.push(page(0, 1..3, 5)), Ok(NextPage::Fetch(1)));
        assert_eq!(pages.push(page(1, 3..5, 5)), Ok(NextPage::Fetch(2)));
        assert_eq!(pages.push(page(2, 5..6, 5)), Ok(NextPage::Done));
        assert_eq!(pages.into_pages().len(), 3);
    }

    #[test]
    fn a_list_in_one_page_and_an_empty_list_are_done_at_once() {
        assert_eq!(Pages::new().push(page(0, 1..4, 3)), Ok(NextPage::Done));
        assert_eq!(Pages::new().push(page(0, 0..0, 0)), Ok(NextPage::Done));
        let mut no_updates = page(0, 0..0, 9);
        no_updates.metadata.status = Status::NoUpdates;
        assert_eq!(Pages::new().push(no_updates), Ok(NextPage::Done));
    }

    #[test]
    fn changed_metadata_empties_the_collector_and_page_0_is_next() {
        let mut pages = Pages::new();
        pages.push(page(0, 1..3, 5)).unwrap();
        let mut other = page(1, 3..5, 5);
        other.metadata.absolute_epoch_id = 8;
        assert_eq!(pages.push(other), Err(PagesError::MetadataChanged));
        assert_eq!(pages.push(page(0, 1..3, 5)), Ok(NextPage::Fetch(1)));
    }

    #[test]
    fn a_list_that_cannot_end_or_would_not_fit_is_refused() {
        let mut pages = Pages::new();
        pages.push(page(0, 1..3, 5)).unwrap();
        let incomplete = PagesError::Incomplete { collected: 2, total: 5 };
        assert_eq!(pages.push(page(1, 0..0, 5)), Err(incomplete));
        assert_eq!(pages.push(page(0, 1..3, u64::MAX)), Err(PagesError::TooManyNodes(u64::MAX)));
        let out_of_order = PagesError::OutOfOrder { expected: 0, got: 3 };
        assert_eq!(pages.push(page(3, 1..3, 5)), Err(out_of_order));
        let outcome = (0..).map(|n| pages.push(page(n, 1..2, 20_000)));
        let outcome: Vec<_> = outcome.take(PAGES_MAX as usize).collect();
        assert_eq!(outcome.last(), Some(&Err(PagesError::TooManyPages)));
        assert!(outcome.iter().rev().skip(1).all(Result::is_ok));
    }
}
