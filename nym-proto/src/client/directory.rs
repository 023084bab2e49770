//! Topology refresh. (protocol: client 3)
//!
//! Fetches the four documents at once and assembles them. When something is missing, it starts over with
//! the next base URL after a growing pause; when the documents do not fit together, as happens around a
//! change of epoch, with the same one. The URL that worked last is the first to be tried. The last good
//! topology stays in use meanwhile.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::event::{FetchError, FetchId};
use crate::entropy::Stream;
use crate::time::{Instant, UnixTime};
use crate::topology::directory::{
    self, AssembleError, ENTRY_GATEWAYS, KEY_ROTATION_INFO, KeyRotationInfo, MIXNODES_ACTIVE,
    NextPage, NodePage, Pages, REWARDED_SET,
};
use crate::topology::{MinPerformance, ROTATION_UNKNOWN, RewardedSet, Topology};

/// From one refresh to the next at the latest. protocol: client 3.6
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
const REFRESH_JITTER: Duration = Duration::from_secs(30);
/// From the end of an epoch to the refresh: a uniform time from the first to the second of these, or
/// from one to nine parts of an epoch in 360 where that is less. protocol: client 3.6
const AFTER_EPOCH_MIN: Duration = Duration::from_secs(10);
const AFTER_EPOCH_MAX: Duration = Duration::from_secs(90);
const EPOCH_PARTS: u32 = 360;
/// Documents that do not fit together are fetched this often from one base URL, after 1, 2 and 4
/// seconds, before the next URL is tried. protocol: client 3.3
const MISMATCHES_MAX: u32 = 3;
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
    min_performance: MinPerformance,
    stream: Stream,
    next_fetch: u64,
    failures: u32,
    /// Answers in a row that were of no use.
    unfit: u32,
    mismatches: u32,
    /// Refreshes in a row that brought nothing newer than an epoch that is over.
    stale: u32,
    state: State,
    outputs: Vec<DirectoryOutput>,
}

impl Directory {
    /// A directory at these base URLs; without any, nothing is fetched.
    pub(super) fn new(
        bases: Vec<String>,
        min_performance: MinPerformance,
        now: Instant,
        stream: Stream,
    ) -> Self {
        let mut unique: Vec<String> = Vec::new();
        for base in bases {
            let base = base.trim_end_matches('/').to_owned();
            if !unique.contains(&base) {
                unique.push(base);
            }
        }
        let bases = unique;
        let state = if bases.is_empty() { State::Off } else { State::Waiting { until: now } };
        Self {
            bases,
            base: 0,
            min_performance,
            stream,
            next_fetch: 0,
            failures: 0,
            unfit: 0,
            mismatches: 0,
            stale: 0,
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

    /// What was fetched is of no use: another directory is asked, or the same one again, after a growing
    /// pause. Returns the pause.
    pub(super) fn look_again(&mut self, now: Instant) -> Duration {
        let pause = self.pause_after(self.unfit);
        self.unfit = self.unfit.saturating_add(1);
        if matches!(self.state, State::Waiting { .. }) {
            self.base = (self.base + 1) % self.bases.len().max(1);
            self.state = State::Waiting { until: now + pause };
        }
        pause
    }

    /// What was fetched was of use.
    pub(super) const fn approve(&mut self) {
        self.unfit = 0;
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
        unix: UnixTime,
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
            Ok(None) => self.finish_if_complete(now, unix),
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
        let url = format!("{base}/{}", document.path(page));
        self.outputs.push(DirectoryOutput::Fetch { fetch, url });
    }

    fn finish_if_complete(&mut self, now: Instant, unix: UnixTime) {
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
        let is_short = self.mismatches < MISMATCHES_MAX;
        let assembled = directory::assemble(&rewarded, mixnodes, entries, self.min_performance)
            .and_then(|topology| agree(&info, &topology, is_short).map(|()| topology));
        match assembled {
            Ok(topology) => {
                (self.failures, self.mismatches) = (0, 0);
                let until = now + self.until_next(&info, unix);
                self.state = State::Waiting { until };
                let topology = Arc::new(topology);
                self.outputs.push(DirectoryOutput::Topology { topology, refused, info });
            }
            Err(error) if is_mismatch(&error) && self.mismatches < MISMATCHES_MAX => {
                let retry_in = RETRY_MIN.saturating_mul(1 << self.mismatches);
                self.mismatches += 1;
                self.state = State::Waiting { until: now + retry_in };
                let reason = error.to_string();
                self.outputs.push(DirectoryOutput::Failed { reason, retry_in });
            }
            Err(error) => self.fail(now, error.to_string()),
        }
    }

    /// How long the answer is good for: until a little after its epoch has ended. An epoch that is over
    /// already is asked about again after a growing pause.
    fn until_next(&mut self, info: &KeyRotationInfo, unix: UnixTime) -> Duration {
        let slow = REFRESH_INTERVAL + self.stream.up_to(REFRESH_JITTER);
        let part = info.epoch_duration / EPOCH_PARTS;
        let after = part.min(AFTER_EPOCH_MIN);
        let after =
            after + self.stream.up_to((part * 9).min(AFTER_EPOCH_MAX).saturating_sub(after));
        let end = info.current_epoch_start + info.epoch_duration;
        if unix < end {
            self.stale = 0;
            return slow.min(end.since(unix) + after);
        }
        let pause = RETRY_MIN.saturating_mul(1 << self.stale.min(6)).min(RETRY_MAX);
        self.stale = self.stale.saturating_add(1);
        pause + self.stream.up_to(pause / 2)
    }

    fn fail(&mut self, now: Instant, reason: String) {
        let retry_in = self.next_pause();
        self.mismatches = 0;
        self.base = (self.base + 1) % self.bases.len().max(1);
        self.state = State::Waiting { until: now + retry_in };
        self.outputs.push(DirectoryOutput::Failed { reason, retry_in });
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    fn pause_after(&mut self, failures: u32) -> Duration {
        let pause = RETRY_MIN.saturating_mul(1 << failures.min(6)).min(RETRY_MAX);
        pause + self.stream.up_to(pause / 2)
    }
}

/// The clock of epochs must be of the same epoch as the nodes, unless the two have differed for
/// longer than a change of epoch takes, and the keys must be of the rotation of that epoch.
fn agree(info: &KeyRotationInfo, topology: &Topology, is_short: bool) -> Result<(), AssembleError> {
    let (epoch, rotation) = (topology.epoch(), topology.rotation_id());
    if is_short && info.current_epoch_id != epoch {
        return Err(AssembleError::EpochMismatch(info.current_epoch_id, epoch));
    }
    let expected = info.rotation_of(epoch);
    if rotation != ROTATION_UNKNOWN && rotation != expected {
        return Err(AssembleError::RotationMismatch(expected, rotation));
    }
    Ok(())
}

/// Documents of different epochs, which fit together again a little later.
const fn is_mismatch(error: &AssembleError) -> bool {
    matches!(
        error,
        AssembleError::EpochMismatch(..)
            | AssembleError::RotationMismatch(..)
            | AssembleError::StatusMismatch
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::topology::TopologyParts;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: u64 = 1_767_225_600;

    fn directory(bases: &[&str]) -> Directory {
        let bases = bases.iter().map(|&base| base.to_owned()).collect();
        let stream = Entropy::new([3; 32]).stream(Purpose::Directory);
        Directory::new(bases, MinPerformance::default(), Instant::START, stream)
    }

    fn info(epoch_duration: Duration) -> KeyRotationInfo {
        KeyRotationInfo {
            validity_epochs: 24,
            initial_epoch_id: 1000,
            current_epoch_id: 1100,
            current_epoch_start: UnixTime::from_secs(START),
            epoch_duration,
        }
    }

    fn topology(epoch: u32, rotation_id: u32) -> Topology {
        Topology::new(TopologyParts {
            epoch,
            rotation_id,
            refreshed_at: None,
            rewarded: RewardedSet::default(),
            nodes: Vec::new(),
        })
        .unwrap()
    }

    #[test]
    fn the_next_refresh_comes_ten_to_ninety_seconds_after_the_epoch_and_within_five_and_a_half_minutes()
     {
        let mut directory = directory(&["http://a.example"]);
        for _ in 0..200 {
            let early = directory.until_next(&info(HOUR), UnixTime::from_secs(START + 60));
            assert!((300..=330).contains(&early.as_secs()), "{early:?}");
            let late = directory.until_next(&info(HOUR), UnixTime::from_secs(START + 3500));
            assert!((110..=190).contains(&late.as_secs()), "{late:?}");
        }
    }

    #[test]
    fn after_a_short_epoch_the_refresh_comes_sooner() {
        let mut directory = directory(&["http://a.example"]);
        for _ in 0..200 {
            let until = directory
                .until_next(&info(Duration::from_secs(360)), UnixTime::from_secs(START + 350));
            assert!(
                (Duration::from_secs(11)..=Duration::from_secs(19)).contains(&until),
                "{until:?}"
            );
        }
    }

    #[test]
    fn an_epoch_that_is_over_is_asked_about_again_ever_more_slowly() {
        let mut directory = directory(&["http://a.example"]);
        let over = UnixTime::from_secs(START + 3600);
        let pauses: Vec<u64> =
            (0..8).map(|_| directory.until_next(&info(HOUR), over).as_secs()).collect();
        for (pause, least) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            assert!((least..=least + least / 2 + 1).contains(pause), "{pauses:?}");
        }
        directory.until_next(&info(HOUR), UnixTime::from_secs(START));
        assert!(directory.until_next(&info(HOUR), over).as_secs() <= 2);
    }

    #[test]
    fn the_clock_must_be_of_the_epoch_and_rotation_of_the_nodes() {
        let clock = info(HOUR);
        assert_eq!(agree(&clock, &topology(1100, 4), true), Ok(()));
        assert_eq!(agree(&clock, &topology(1100, ROTATION_UNKNOWN), true), Ok(()));
        for other in [topology(1101, 4), topology(1100, 5)] {
            let error = agree(&clock, &other, true).unwrap_err();
            assert!(is_mismatch(&error), "{error}");
        }
        // the list of nodes does not follow the clock
        assert_eq!(agree(&clock, &topology(1099, 4), false), Ok(()));
        assert!(agree(&clock, &topology(1099, 3), false).is_err());
        // before the first rotation
        let early = KeyRotationInfo { current_epoch_id: 7, ..clock };
        assert_eq!(agree(&early, &topology(7, 0), true), Ok(()));
    }

    #[test]
    fn a_base_url_given_twice_is_asked_once_and_the_next_one_after_a_failure() {
        let mut directory =
            directory(&["http://a.example/api/", "http://a.example/api", "http://b.example"]);
        let mut now = Instant::START;
        let mut asked = Vec::new();
        for _ in 0..3 {
            directory.tick(now);
            let outputs = directory.outputs().into_iter();
            let fetched = outputs.filter_map(|output| match output {
                DirectoryOutput::Fetch { fetch, url } => Some((fetch, url)),
                _ => None,
            });
            let (fetch, url) = fetched.min().unwrap();
            asked.push(url);
            let error = Err(FetchError::Status(503));
            directory.fetched(now, fetch, error, UnixTime::from_secs(START));
            now = directory.deadline().unwrap();
        }
        assert!(asked[0].starts_with("http://a.example/api/v1"), "{asked:?}");
        assert!(asked[1].starts_with("http://b.example/v1"), "{asked:?}");
        assert!(asked[2].starts_with("http://a.example/api/v1"), "{asked:?}");
    }

    #[test]
    fn what_does_not_serve_is_looked_at_again_soon_and_ever_more_slowly() {
        let mut directory = directory(&["http://a.example"]);
        let mut before = Duration::ZERO;
        for _ in 0..6 {
            directory.look_again(Instant::START);
            let pause = directory.deadline().unwrap().since(Instant::START);
            assert!(pause > before && pause < Duration::from_secs(91), "{pause:?}");
            before = pause;
        }
    }
}
