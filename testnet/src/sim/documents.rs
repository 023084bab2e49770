//! The directory in the simulation, and how it can fail.

use core::time::Duration;
use std::collections::BTreeSet;

use bytes::Bytes;
use nym_proto::client::FetchError;
use nym_proto::entropy::Stream;
use nym_proto::identity::IdentityKey;
use nym_proto::time::UnixTime;

use crate::directory::{Directory, ListedNode};
use crate::epoch::EpochClock;

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
}

/// The directory.
#[derive(Debug)]
pub(super) struct Documents {
    listed: Vec<ListedNode>,
    epochs: EpochClock,
    directory: Directory,
    pub(super) mode: DirectoryMode,
    stream: Stream,
}

impl Documents {
    /// What its addresses begin with.
    const HOST: &'static str = "http://directory.sim";

    pub(super) fn new(listed: Vec<ListedNode>, epochs: EpochClock, stream: Stream) -> Self {
        let directory = Directory::new(listed.clone(), epochs);
        Self { listed, epochs, directory, mode: DirectoryMode::Up, stream }
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
            DirectoryMode::Up => self.answer(url, now),
            DirectoryMode::Down => Err(FetchError::Unreachable("the directory is down".to_owned())),
            DirectoryMode::Stale(age) => self.answer(url, before(now, age)),
            DirectoryMode::Garbage => self.garbage(url, now),
        }
    }

    fn answer(&mut self, url: &str, now: UnixTime) -> Result<Bytes, FetchError> {
        let target = url.strip_prefix(Self::HOST).unwrap_or_default();
        let response = self.directory.respond(target, now);
        match response.status {
            200 => Ok(Bytes::from(response.body)),
            status => Err(FetchError::Status(status)),
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

fn before(now: UnixTime, age: Duration) -> UnixTime {
    UnixTime::from_nanos(now.as_nanos().saturating_sub(age.as_nanos() as u64))
}
