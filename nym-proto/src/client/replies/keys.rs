//! The keys of the SURBs we gave out.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use crate::address::Recipient;
use crate::limits::Limits;
use crate::message::{ReplyDigest, ReplyKey};
use crate::time::Instant;

/// The key of a SURB we gave out.
#[derive(Debug)]
pub(super) struct GivenKey {
    pub(super) key: ReplyKey,
    pub(super) recipient: Recipient,
    given_at: Instant,
}

/// All of them. A key comes with [`insert`](Self::insert) and goes with [`remove`](Self::remove),
/// and in no other way.
#[derive(Debug)]
pub(super) struct Keys {
    keys_max: usize,
    keys: BTreeMap<ReplyDigest, GivenKey>,
    by_age: BTreeSet<(Instant, ReplyDigest)>,
}

impl Keys {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { keys_max: limits.reply_keys_max, keys: BTreeMap::new(), by_age: BTreeSet::new() }
    }

    /// Keeps a key. The oldest make room.
    pub(super) fn insert(&mut self, now: Instant, recipient: Recipient, key: &ReplyKey) {
        while self.keys.len() >= self.keys_max {
            let Some((_, oldest)) = self.by_age.first().copied() else {
                break;
            };
            self.remove(&oldest);
        }
        let digest = key.digest();
        self.remove(&digest);
        self.keys.insert(digest, GivenKey { key: key.clone(), recipient, given_at: now });
        self.by_age.insert((now, digest));
    }

    /// Takes a key out for good.
    pub(super) fn remove(&mut self, digest: &ReplyDigest) -> Option<GivenKey> {
        let given = self.keys.remove(digest)?;
        self.by_age.remove(&(given.given_at, *digest));
        Some(given)
    }

    /// Drops keys that reached this age.
    pub(super) fn expire(&mut self, now: Instant, age_max: Duration) {
        while let Some((given_at, digest)) = self.by_age.first().copied() {
            if now.since(given_at) < age_max {
                break;
            }
            self.remove(&digest);
        }
    }
}
