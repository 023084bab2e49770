//! The directory in the simulation, and how it can fail.

use core::time::Duration;
use std::collections::BTreeSet;

use bytes::Bytes;
use nym_proto::client::FetchError;
use nym_proto::entropy::Stream;
use nym_proto::identity::{IdentityKey, IdentityKeyPair};
use nym_proto::time::UnixTime;
use nym_proto::topology::directory::REWARDED_SET;
use nym_proto::topology::{Layer, RewardedSet, Topology};

use super::hostile_directory::spoil;
use crate::blueprint::NodeRole;
use crate::directory::{Directory, ListedNode};
use crate::epoch::EpochClock;
use crate::keys::SphinxKeys;

/// How the directory answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DirectoryMode {
    /// As it should.
    #[default]
    Up,
    /// Not at all.
    Down,
    /// As it should have done this long ago.
    Stale(Duration),
    /// Each answer is correct, old, cut short, damaged, the wrong document, or an error.
    Garbage,
    /// As if all nodes had other keys, their identities included.
    OtherKeys,
    /// As if every mix node were in the next layer.
    OtherLayers,
    /// Each document is of another epoch.
    Inconsistent,
    /// With documents made to do harm, now and then with a good one.
    Hostile,
    /// As it should, but this much later.
    Slow(Duration),
}

impl DirectoryMode {
    /// For the trace.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Stale(_) => "stale",
            Self::Garbage => "garbage",
            Self::OtherKeys => "other keys",
            Self::OtherLayers => "other layers",
            Self::Inconsistent => "inconsistent",
            Self::Hostile => "hostile",
            Self::Slow(_) => "slow",
        }
    }
}

/// The directory.
#[derive(Debug)]
pub(super) struct Documents {
    listed: Vec<ListedNode>,
    epochs: EpochClock,
    directory: Directory,
    /// What other networks' directories say: other keys, other layers.
    others: [Directory; 2],
    pub(super) mode: DirectoryMode,
    stream: Stream,
}

impl Documents {
    /// What its addresses begin with.
    const HOST: &'static str = "http://directory.sim";

    pub(super) fn new(listed: Vec<ListedNode>, epochs: EpochClock, mut stream: Stream) -> Self {
        let directory = Directory::new(listed.clone(), epochs);
        let others = [
            Directory::new(with_other_keys(&listed, &mut stream), epochs),
            Directory::new(with_other_layers(&listed), epochs),
        ];
        Self { listed, epochs, directory, others, mode: DirectoryMode::Up, stream }
    }

    /// The network as it is.
    pub(super) fn topology(&mut self, now: UnixTime) -> Option<Topology> {
        self.directory.topology(now).ok()
    }

    /// How much later than usual an answer comes.
    pub(super) fn delay(&self) -> Duration {
        match self.mode {
            DirectoryMode::Slow(delay) => delay,
            _ => Duration::ZERO,
        }
    }

    /// Where clients find it.
    pub(super) fn base_url() -> String {
        format!("{}{}", Self::HOST, Directory::BASE)
    }

    /// Leaves these nodes out from now on.
    pub(super) fn hide(&mut self, hidden: &BTreeSet<IdentityKey>) {
        let shown = self.listed.iter().filter(|node| !hidden.contains(&node.identity));
        self.directory = Directory::new(shown.cloned().collect(), self.epochs);
    }

    pub(super) fn respond(&mut self, url: &str, now: UnixTime) -> Result<Bytes, FetchError> {
        match self.mode {
            DirectoryMode::Up | DirectoryMode::Slow(_) => self.answer(url, now),
            DirectoryMode::Down => Err(FetchError::Unreachable("the directory is down".to_owned())),
            DirectoryMode::Stale(age) => self.answer(url, before(now, age)),
            DirectoryMode::Garbage => self.garbage(url, now),
            DirectoryMode::OtherKeys => answer_of(&mut self.others[0], url, now),
            DirectoryMode::OtherLayers => answer_of(&mut self.others[1], url, now),
            DirectoryMode::Inconsistent => {
                let age = self.epochs.length.saturating_mul(self.stream.below(4) as u32);
                self.answer(url, before(now, age))
            }
            DirectoryMode::Hostile => self.hostile(url, now),
        }
    }

    fn answer(&mut self, url: &str, now: UnixTime) -> Result<Bytes, FetchError> {
        answer_of(&mut self.directory, url, now)
    }

    fn hostile(&mut self, url: &str, now: UnixTime) -> Result<Bytes, FetchError> {
        let good = self.answer(url, now)?;
        let rewarded = self.answer(&format!("{}/{REWARDED_SET}", Self::base_url()), now)?;
        match (core::str::from_utf8(&good), RewardedSet::decode(&rewarded)) {
            // several documents make a topology: most of them are good, so that the others count
            (Ok(text), Ok(rewarded)) if self.stream.chance(0.4) => {
                Ok(spoil(text, &rewarded, &mut self.stream).into())
            }
            _ => Ok(good),
        }
    }

    fn garbage(&mut self, url: &str, now: UnixTime) -> Result<Bytes, FetchError> {
        let choice = self.stream.below(7);
        let age = self.epochs.length.saturating_mul(2);
        let body = match choice {
            0 => self.answer(url, now)?,
            1 => self.answer(url, before(now, age))?,
            2 => return Err(FetchError::Status(503)),
            3 => return Err(FetchError::TooLong(1)),
            4 => Bytes::from_static(b"{\"message\":\"try again later\"}"),
            _ => self.answer(url, now)?,
        };
        let mut body = body.to_vec();
        match choice {
            5 => body.truncate(self.stream.index(body.len())),
            6 => {
                for _ in 0..=self.stream.below(8) {
                    let at = self.stream.index(body.len());
                    let bit = self.stream.below(8);
                    if let Some(byte) = body.get_mut(at) {
                        *byte ^= 1 << bit;
                    }
                }
            }
            _ => {}
        }
        Ok(Bytes::from(body))
    }
}

fn answer_of(directory: &mut Directory, url: &str, now: UnixTime) -> Result<Bytes, FetchError> {
    let target = url.strip_prefix(Documents::HOST).unwrap_or_default();
    let response = directory.respond(target, now);
    match response.status {
        200 => Ok(Bytes::from(response.body)),
        status => Err(FetchError::Status(status)),
    }
}

fn with_other_keys(listed: &[ListedNode], stream: &mut Stream) -> Vec<ListedNode> {
    let other = |node: &ListedNode| ListedNode {
        identity: *IdentityKeyPair::generate(stream).public(),
        sphinx: SphinxKeys::derived(stream.bytes()),
        ..node.clone()
    };
    listed.iter().map(other).collect()
}

fn with_other_layers(listed: &[ListedNode]) -> Vec<ListedNode> {
    let next = |role| match role {
        NodeRole::Mix(Layer::One) => NodeRole::Mix(Layer::Two),
        NodeRole::Mix(Layer::Two) => NodeRole::Mix(Layer::Three),
        NodeRole::Mix(Layer::Three) => NodeRole::Mix(Layer::One),
        NodeRole::Gateway => NodeRole::Gateway,
    };
    listed.iter().map(|node| ListedNode { role: next(node.role), ..node.clone() }).collect()
}

fn before(now: UnixTime, age: Duration) -> UnixTime {
    UnixTime::from_nanos(now.as_nanos().saturating_sub(age.as_nanos() as u64))
}
