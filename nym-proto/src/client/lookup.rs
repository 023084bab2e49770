//! One look at the directory, for who has no client yet.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::directory::{Directory, DirectoryOutput};
use super::gateways::check_bases;
use super::{FetchError, FetchId, StopReason};
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
    ///
    /// # Errors
    /// [`StopReason::BadDirectory`] if one of them is none.
    pub fn new(
        bases: Vec<String>,
        min_performance: MinPerformance,
        seed: [u8; 32],
        now: Instant,
    ) -> Result<Self, StopReason> {
        check_bases(&bases)?;
        let stream = Entropy::new(seed).stream(Purpose::Directory);
        let directory = Directory::new(bases, min_performance, now, stream);
        let mut lookup = Self { directory, steps: VecDeque::new() };
        lookup.tick(now);
        Ok(lookup)
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

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: UnixTime = UnixTime::from_secs(1_767_225_600);

    fn look(bases: &[&str]) -> Result<DirectoryLookup, StopReason> {
        let bases = bases.iter().map(|&base| base.to_owned()).collect();
        DirectoryLookup::new(bases, MinPerformance::default(), [1; 32], Instant::START)
    }

    fn fetches(lookup: &mut DirectoryLookup) -> Vec<(FetchId, String)> {
        let steps = core::iter::from_fn(|| lookup.poll());
        let fetch = |step| match step {
            LookupStep::Fetch { fetch, url } => Some((fetch, url)),
            _ => None,
        };
        steps.filter_map(fetch).collect()
    }

    #[test]
    fn what_is_no_directory_is_refused_at_once() {
        for bases in [&[][..], &["nonsense"], &["http://a/", "ftp://b/"]] {
            assert!(matches!(look(bases), Err(StopReason::BadDirectory(_))), "{bases:?}");
        }
    }

    #[test]
    fn a_directory_that_fails_is_told_and_the_next_one_is_asked() {
        let mut lookup = look(&["http://a/", "http://b/"]).unwrap();
        let first = fetches(&mut lookup);
        assert_eq!(first.len(), 4);
        assert!(first.iter().all(|(_, url)| url.starts_with("http://a/")));
        let failed = Err(FetchError::Status(503));
        lookup.fetched(Instant::START, UNIX, first[0].0, failed);
        assert!(
            matches!(lookup.poll(), Some(LookupStep::Failed { reason }) if reason.contains("503"))
        );
        let at = lookup.next_deadline().unwrap();
        assert!(at > Instant::START);
        lookup.tick(at);
        assert!(fetches(&mut lookup).iter().all(|(_, url)| url.starts_with("http://b/")));
    }
}
