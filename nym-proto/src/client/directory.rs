//! Topology refresh. (protocol: client 3)
//!
//! Fetches the four documents at once, assembles them, and starts over with the next base URL and
//! a growing pause when something is missing or does not fit together. The last good topology
//! stays in use meanwhile.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::event::{FetchError, FetchId};
use crate::entropy::Stream;
use crate::time::Instant;
use crate::topology::directory::{
    self, ENTRY_GATEWAYS, KEY_ROTATION_INFO, KeyRotationInfo, MIXNODES_ACTIVE, NextPage, NodePage,
    Pages, REWARDED_SET,
};
use crate::topology::{RewardedSet, Topology};

/// protocol: client 3.6
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
const REFRESH_JITTER: Duration = Duration::from_secs(30);
/// Pause after a failed refresh: doubled each time, with jitter on top.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A refresh that is not complete after this long has failed. protocol: client 2.4
const REFRESH_TIMEOUT: Duration = Duration::from_secs(60);

/// What the directory wants done.
#[derive(Debug)]
pub(super) enum DirectoryOutput {
    Fetch { fetch: FetchId, url: String },
    Topology { topology: Arc<Topology>, refused: usize, info: KeyRotationInfo },
    Failed { reason: String, retry_in: Duration },
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Document {
    Info,
    RewardedSet,
    MixNodes,
    Entries,
}

impl Document {
    const ALL: [Self; 4] = [Self::Info, Self::RewardedSet, Self::MixNodes, Self::Entries];

    fn path(self, page: u32) -> String {
        match self {
            Self::Info => KEY_ROTATION_INFO.to_owned(),
            Self::RewardedSet => REWARDED_SET.to_owned(),
            Self::MixNodes => directory::page_path(MIXNODES_ACTIVE, page),
            Self::Entries => directory::page_path(ENTRY_GATEWAYS, page),
        }
    }
}

/// One refresh under way.
#[derive(Debug, Default)]
struct Refresh {
    outstanding: BTreeMap<FetchId, Document>,
    info: Option<KeyRotationInfo>,
    rewarded: Option<RewardedSet>,
    mixnodes: Pages,
    mixnodes_done: bool,
    entries: Pages,
    entries_done: bool,
}

#[derive(Debug)]
enum State {
    /// Fixed topology; nothing is ever fetched.
    Off,
    Waiting {
        until: Instant,
    },
    Fetching {
        refresh: Box<Refresh>,
        deadline: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Directory {
    bases: Vec<String>,
    base: usize,
    min_performance: u8,
    stream: Stream,
    next_fetch: u64,
    failures: u32,
    state: State,
    outputs: Vec<DirectoryOutput>,
}

impl Directory {
    /// A directory at these base URLs; without any, nothing is fetched.
    pub(super) fn new(
        bases: Vec<String>,
        min_performance: u8,
        now: Instant,
        stream: Stream,
    ) -> Self {
        let state = if bases.is_empty() { State::Off } else { State::Waiting { until: now } };
        Self {
            bases,
            base: 0,
            min_performance,
            stream,
            next_fetch: 0,
            failures: 0,
            state,
            outputs: Vec::new(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Off => None,
            State::Waiting { until } => Some(*until),
            State::Fetching { deadline, .. } => Some(*deadline),
        }
    }

    /// What has been decided, in order.
    pub(super) fn outputs(&mut self) -> Vec<DirectoryOutput> {
        core::mem::take(&mut self.outputs)
    }

    pub(super) fn tick(&mut self, now: Instant) {
        match &self.state {
            State::Waiting { until } if *until <= now => self.start(now),
            State::Fetching { deadline, .. } if *deadline <= now => {
                self.fail(now, "no complete answer in time".to_owned());
            }
            _ => {}
        }
    }

    /// Refresh now, whatever the timer says.
    pub(super) fn refresh_now(&mut self, now: Instant) {
        if let State::Waiting { until } = &mut self.state {
            *until = now;
        }
        self.tick(now);
    }

    /// Nothing more is fetched.
    pub(super) fn stop(&mut self) {
        self.state = State::Off;
    }

    pub(super) fn fetched(
        &mut self,
        now: Instant,
        fetch: FetchId,
        result: Result<Bytes, FetchError>,
    ) {
        let State::Fetching { refresh, .. } = &mut self.state else {
            return;
        };
        let Some(document) = refresh.outstanding.remove(&fetch) else {
            return;
        };
        let step = result
            .map_err(|error| error.to_string())
            .and_then(|body| refresh.take(document, &body));
        match step {
            Ok(Some(page)) => self.fetch(document, page),
            Ok(None) => self.finish_if_complete(now),
            Err(reason) => self.fail(now, reason),
        }
    }

    fn start(&mut self, now: Instant) {
        self.state = State::Fetching { refresh: Box::default(), deadline: now + REFRESH_TIMEOUT };
        for document in Document::ALL {
            self.fetch(document, 0);
        }
    }

    fn fetch(&mut self, document: Document, page: u32) {
        let State::Fetching { refresh, .. } = &mut self.state else {
            return;
        };
        let Some(base) = self.bases.get(self.base) else {
            return;
        };
        let fetch = FetchId(self.next_fetch);
        self.next_fetch += 1;
        refresh.outstanding.insert(fetch, document);
        let url = format!("{}/{}", base.trim_end_matches('/'), document.path(page));
        self.outputs.push(DirectoryOutput::Fetch { fetch, url });
    }

    fn finish_if_complete(&mut self, now: Instant) {
        let State::Fetching { refresh, .. } = &mut self.state else {
            return;
        };
        if !refresh.is_complete() {
            return;
        }
        let Refresh { info: Some(info), rewarded: Some(rewarded), mixnodes, entries, .. } =
            core::mem::take(&mut **refresh)
        else {
            return;
        };
        let (mixnodes, entries) = (mixnodes.into_pages(), entries.into_pages());
        let refused = mixnodes.iter().chain(&entries).map(|page| page.rejected.len()).sum();
        match directory::assemble(&rewarded, mixnodes, entries, self.min_performance) {
            Ok(topology) => {
                self.failures = 0;
                let until = now + REFRESH_INTERVAL + self.stream.up_to(REFRESH_JITTER);
                self.state = State::Waiting { until };
                let topology = Arc::new(topology);
                self.outputs.push(DirectoryOutput::Topology { topology, refused, info });
            }
            Err(error) => self.fail(now, error.to_string()),
        }
    }

    fn fail(&mut self, now: Instant, reason: String) {
        let pause = RETRY_MIN.saturating_mul(1 << self.failures.min(6)).min(RETRY_MAX);
        let retry_in = pause + self.stream.up_to(pause / 2);
        self.failures = self.failures.saturating_add(1);
        self.base = (self.base + 1) % self.bases.len().max(1);
        self.state = State::Waiting { until: now + retry_in };
        self.outputs.push(DirectoryOutput::Failed { reason, retry_in });
    }
}

impl Refresh {
    /// Takes a document. `Some` is the next page to fetch.
    fn take(&mut self, document: Document, body: &[u8]) -> Result<Option<u32>, String> {
        let (pages, done) = match document {
            Document::Info => {
                self.info = Some(KeyRotationInfo::decode(body).map_err(|e| e.to_string())?);
                return Ok(None);
            }
            Document::RewardedSet => {
                self.rewarded = Some(RewardedSet::decode(body).map_err(|e| e.to_string())?);
                return Ok(None);
            }
            Document::MixNodes => (&mut self.mixnodes, &mut self.mixnodes_done),
            Document::Entries => (&mut self.entries, &mut self.entries_done),
        };
        let page = NodePage::decode(body).map_err(|e| e.to_string())?;
        match pages.push(page).map_err(|e| e.to_string())? {
            NextPage::Fetch(page) => Ok(Some(page)),
            NextPage::Done => {
                *done = true;
                Ok(None)
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.mixnodes_done && self.entries_done && self.info.is_some() && self.rewarded.is_some()
    }
}
