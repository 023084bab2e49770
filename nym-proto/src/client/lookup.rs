//! One look at the directory, for who has no client yet.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::directory::{Directory, DirectoryOutput};
use super::{FetchError, FetchId};
use crate::entropy::{Entropy, Purpose};
use crate::time::{Instant, UnixTime};
use crate::topology::{MinPerformance, Topology};

/// Fetches the topology once, as a client does: for example to list the gateways before one is chosen.
///
/// Do what [`poll`](Self::poll) says, report what was fetched with [`fetched`](Self::fetched), and call
/// [`tick`](Self::tick) at [`next_deadline`](Self::next_deadline). It tries again after failures for as
/// long as it is driven.
#[derive(Debug)]
pub struct DirectoryLookup {
    directory: Directory,
    steps: VecDeque<LookupStep>,
}

/// What a look at the directory wants, or what it brought.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LookupStep {
    /// GET a document and report it.
    Fetch {
        /// Names the request.
        fetch: FetchId,
        /// An `http://` or `https://` URL.
        url: String,
    },
    /// The answer was of no use; the next directory, or the same one, is asked after a pause.
    Failed {
        /// For humans.
        reason: String,
    },
    /// The topology. Nothing more is fetched.
    Found(Arc<Topology>),
}

impl DirectoryLookup {
    /// Begins with the first of these base URLs. The seed spreads the pauses.
    #[must_use]
    pub fn new(
        bases: Vec<String>,
        min_performance: MinPerformance,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let stream = Entropy::new(seed).stream(Purpose::Directory);
        let directory = Directory::new(bases, min_performance, now, stream);
        let mut lookup = Self { directory, steps: VecDeque::new() };
        lookup.tick(now);
        lookup
    }

    /// The next thing to do or to know.
    pub fn poll(&mut self) -> Option<LookupStep> {
        self.steps.pop_front()
    }

    /// When to call [`tick`](Self::tick).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.directory.deadline()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        self.directory.tick(now);
        self.collect();
    }

    /// A document came, or did not.
    pub fn fetched(
        &mut self,
        now: Instant,
        unix_time: UnixTime,
        fetch: FetchId,
        result: Result<Bytes, FetchError>,
    ) {
        self.directory.fetched(now, fetch, result, unix_time);
        self.collect();
    }

    fn collect(&mut self) {
        for output in self.directory.outputs() {
            self.steps.push_back(match output {
                DirectoryOutput::Fetch { fetch, url } => LookupStep::Fetch { fetch, url },
                DirectoryOutput::Failed { reason, .. } => LookupStep::Failed { reason },
                DirectoryOutput::Topology { topology, .. } => {
                    self.directory.stop();
                    LookupStep::Found(topology)
                }
            });
        }
    }
}
