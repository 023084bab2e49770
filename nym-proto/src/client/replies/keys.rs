//! The keys of the SURBs we gave out. (protocol: client 9.2)

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::rotations::Rotations;
use super::{Entry, EntryKey, Journal};
use crate::address::Recipient;
use crate::limits::Limits;
use crate::message::{ReplyDigest, ReplyKey};
use crate::time::Instant;

/// How much longer than its SURB is routable a key is kept, for packets under way or stored at the
/// gateway. protocol: client 9.2
const LATE: Duration = Duration::from_secs(10 * 60);

/// The key of a SURB we gave out.
#[derive(Debug)]
pub(super) struct GivenKey {
    pub(super) key: ReplyKey,
    pub(super) recipient: Recipient,
    /// The number of the contact it was given to.
    pub(super) contact: u64,
    /// The rotation of the SURB.
    rotation: u32,
    given_at: Instant,
}

/// All of them. A key comes with [`insert`](Self::insert) and goes with [`remove`](Self::remove),
/// and in no other way.
#[derive(Debug)]
pub(super) struct Keys {
    keys_max: usize,
    per_contact_max: usize,
    age_max: Duration,
    pub(super) rotations: Rotations,
    keys: BTreeMap<ReplyDigest, GivenKey>,
    by_age: BTreeSet<(Instant, ReplyDigest)>,
    by_contact: BTreeSet<(u64, Instant, ReplyDigest)>,
    /// Keys by contact and rotation.
    counts: BTreeMap<(u64, u32), usize>,
    dropped: u64,
    journal: Journal,
}

impl Keys {
    pub(super) fn new(age_max: Duration, limits: &Limits) -> Self {
        Self {
            keys_max: limits.reply_keys_max.max(1),
            per_contact_max: limits
                .reply_keys_per_recipient_max
                .clamp(1, limits.reply_keys_max.max(1)),
            age_max,
            rotations: Rotations::default(),
            keys: BTreeMap::new(),
            by_age: BTreeSet::new(),
            by_contact: BTreeSet::new(),
            counts: BTreeMap::new(),
            dropped: 0,
            journal: Journal::default(),
        }
    }

    /// Keeps a key. Of a contact that has its share the oldest makes room; if all shares together
    /// are too many, the oldest of the contact with the most.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        recipient: Recipient,
        key: &ReplyKey,
        (contact, rotation): (u64, u32),
    ) {
        self.restore(now, recipient, key.clone(), (contact, rotation));
        let (key, conversation) = (key.clone(), contact);
        self.journal.put(Entry::ReplyKey { key, recipient, conversation, rotation });
    }

    /// Keeps a key that was given at `now`, in an earlier run.
    pub(super) fn restore(
        &mut self,
        now: Instant,
        recipient: Recipient,
        key: ReplyKey,
        (contact, rotation): (u64, u32),
    ) {
        if self.len_of(contact) >= self.per_contact_max {
            self.drop_oldest_of(contact);
        } else if self.keys.len() >= self.keys_max {
            self.drop_oldest_of(self.largest());
        }
        let digest = key.digest();
        self.remove(&digest);
        let given = GivenKey { key, recipient, contact, rotation, given_at: now };
        self.keys.insert(digest, given);
        self.by_age.insert((now, digest));
        self.by_contact.insert((contact, now, digest));
        *self.counts.entry((contact, rotation)).or_default() += 1;
    }

    /// Keys held.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes a key out for good.
    pub(super) fn remove(&mut self, digest: &ReplyDigest) -> Option<GivenKey> {
        let given = self.keys.remove(digest)?;
        self.journal.erase(EntryKey::ReplyKey(*digest));
        self.by_age.remove(&(given.given_at, *digest));
        self.by_contact.remove(&(given.contact, given.given_at, *digest));
        let place = (given.contact, given.rotation);
        if let Some(count) = self.counts.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&place);
            }
        }
        Some(given)
    }

    fn drop_oldest_of(&mut self, contact: u64) {
        let first = self
            .by_contact
            .range((contact, Instant::START, ReplyDigest::from_bytes([0; 32]))..)
            .next();
        if let Some((of, _, digest)) = first.copied()
            && of == contact
        {
            self.remove(&digest);
            self.dropped += 1;
        }
    }

    /// The contact with the most keys.
    fn largest(&self) -> u64 {
        let mut best = (0, 0);
        let mut sum = (0, 0);
        for ((contact, _), count) in &self.counts {
            let so_far = if sum.1 == *contact { sum.0 } else { 0 };
            sum = (so_far + count, *contact);
            best = best.max(sum);
        }
        best.1
    }

    fn len_of(&self, contact: u64) -> usize {
        self.counts.range((contact, 0)..=(contact, u32::MAX)).map(|(_, count)| count).sum()
    }

    /// SURBs this contact has left, as far as we know: given, routable, and not used.
    pub(super) fn outstanding(&self, now: Instant, contact: u64) -> usize {
        self.counts
            .range((contact, 0)..=(contact, u32::MAX))
            .filter(|((_, rotation), _)| self.rotations.is_alive(now, *rotation))
            .map(|(_, count)| count)
            .sum()
    }

    /// Drops keys whose SURBs are not routable any more, or that reached the largest age.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((given_at, digest)) = self.by_age.first().copied() {
            let rotation = self.keys.get(&digest).map(|given| given.rotation);
            let is_dead = rotation.is_some_and(|r| self.rotations.is_over(now, r, LATE));
            // a rotation may last longer than the age; without a clock the age decides
            let is_old = !self.rotations.is_known() && now.since(given_at) >= self.age_max;
            if !is_dead && !is_old {
                break;
            }
            self.remove(&digest);
        }
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self) {
        while let Some((digest, _)) = self.keys.first_key_value() {
            let digest = *digest;
            self.remove(&digest);
        }
    }

    /// What has to be kept.
    pub(super) const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Keys dropped although their SURBs were routable.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose, Stream};
    use crate::identity::Identity;

    fn stream() -> Stream {
        Entropy::new([1; 32]).stream(Purpose::Other(1))
    }

    fn recipient(stream: &mut Stream) -> Recipient {
        let identity = Identity::generate(stream);
        Recipient {
            identity: *identity.identity.public(),
            encryption: identity.encryption.public(),
            gateway: *identity.identity.public(),
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::START + Duration::from_secs(secs)
    }

    #[test]
    fn a_contact_that_uses_up_its_share_loses_its_own_keys_only() {
        let mut stream = stream();
        let bob = recipient(&mut stream);
        let limits =
            Limits { reply_keys_max: 10, reply_keys_per_recipient_max: 6, ..Limits::default() };
        let mut keys = Keys::new(Duration::from_secs(100), &limits);
        for contact in [1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2] {
            keys.insert(at(0), bob, &ReplyKey::draw(&mut stream), (contact, 5));
        }
        assert_eq!((keys.outstanding(at(0), 1), keys.outstanding(at(0), 2)), (3, 6));
        // all together: the one with the most makes room
        for _ in 0..3 {
            keys.insert(at(0), bob, &ReplyKey::draw(&mut stream), (3, 5));
        }
        assert_eq!((keys.outstanding(at(0), 1), keys.outstanding(at(0), 2)), (3, 4));
        assert_eq!(keys.dropped(), 6);
    }

    #[test]
    fn without_a_clock_of_rotations_a_key_is_kept_for_its_age() {
        let mut stream = stream();
        let bob = recipient(&mut stream);
        let mut keys = Keys::new(Duration::from_secs(100), &Limits::default());
        let key = ReplyKey::draw(&mut stream);
        keys.insert(at(0), bob, &key, (0, 5));
        keys.expire(at(99));
        assert_eq!(keys.outstanding(at(99), 0), 1);
        keys.expire(at(100));
        assert!(keys.remove(&key.digest()).is_none());
    }
}
