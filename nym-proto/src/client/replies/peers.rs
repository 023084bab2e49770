//! Those who write to us anonymously: the SURBs we hold of them, and what we asked them for.
//! (protocol: client 9.5 to 9.8, 10.5)

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use super::requests::Requests;
use super::rotations::Rotations;
use super::usage::Usage;
use super::{Entry, EntryKey, Journal, ReplyConfig, SurbBytes};
use crate::client::stats::Stats;
use crate::limits::{CORRESPONDENT_BYTES, Limits, SURB_BYTES};
use crate::message::{ReplySurb, SenderTag, SurbList};
use crate::sphinx::KeyRotation;
use crate::time::Instant;

/// Beyond the round trip of a request, SURBs are asked for this much ahead of use.
const MARGIN: Duration = Duration::from_secs(3);
/// Entries a queue may have room for beyond twice what is in it.
const SPARE: usize = 4;
/// Least time between the two requests made from the reserve, and what may come on top.
const SECOND_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct HeldSurb {
    surb: ReplySurb,
    stamp: KeyRotation,
    /// `None` if not known; then its age decides.
    rotation: Option<u32>,
    received_at: Instant,
    /// In the order they came.
    number: u64,
}

/// An entry of a queue that may be twice as long as what is in it, and five full keys.
const _: () = assert!(2 * size_of::<HeldSurb>() + 5 * 192 + 32 <= SURB_BYTES);
const _: () = assert!(SPARE * size_of::<HeldSurb>() + size_of::<Peer>() <= CORRESPONDENT_BYTES);

impl HeldSurb {
    /// Those that die first come first; those of which it is not known come last.
    fn rank(&self) -> u32 {
        self.rotation.unwrap_or(u32::MAX)
    }
}

/// A SURB of an earlier run.
pub(in crate::client) struct KeptSurb {
    pub(in crate::client) surb: ReplySurb,
    pub(in crate::client) number: u64,
    pub(in crate::client) stamp: KeyRotation,
    pub(in crate::client) rotation: Option<u32>,
}

/// Somebody whose SURBs we hold.
#[derive(Debug)]
struct Peer {
    /// Those that die first in front: by rotation, then by arrival.
    surbs: VecDeque<HeldSurb>,
    requests: Requests,
    /// The second of two requests made from the reserve: when, and for how many.
    second: Option<(Instant, u32)>,
    usage: Usage,
    /// True once a reply to it was accepted. Asking tells our address: nobody else is asked.
    is_answered: bool,
    /// Fragments that waited for a SURB when last looked at.
    queued: usize,
    last_heard: Instant,
}

/// What a SURB is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Purpose {
    /// A reply; may not touch the reserve.
    Data,
    /// A request for more.
    Request,
}

/// Which of the SURBs held is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) enum Order {
    /// The oldest, which do not keep: for a first transmission.
    OldestFirst,
    /// The newest: for what was lost, as the oldest may lead nowhere any more.
    NewestFirst,
}

/// How many SURBs to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::client) struct Ask {
    pub(in crate::client) amount: u32,
    /// It takes a SURB of the reserve. It goes out twice, each with one SURB and no more.
    pub(in crate::client) is_from_reserve: bool,
}

/// All of them. A SURB comes with [`put`](Self::put), and goes with [`take`](Self::take) or through
/// [`forget`](Self::forget).
#[derive(Debug)]
pub(in crate::client) struct Peers {
    config: ReplyConfig,
    peers_max: usize,
    per_peer_max: usize,
    surbs_max: usize,
    pub(super) rotations: Rotations,
    peers: BTreeMap<SenderTag, Peer>,
    surbs_held: usize,
    next_number: u64,
    journal: Journal,
    surbs_dropped: u64,
    peers_dropped: u64,
    requests_lost: u64,
}

impl Peers {
    pub(super) fn new(config: ReplyConfig, limits: &Limits) -> Self {
        Self {
            config,
            peers_max: limits.correspondents_max.max(1),
            per_peer_max: limits.surbs_per_correspondent_max.min(limits.surbs_max),
            surbs_max: limits.surbs_max,
            rotations: Rotations::default(),
            peers: BTreeMap::new(),
            surbs_held: 0,
            next_number: 0,
            journal: Journal::default(),
            surbs_dropped: 0,
            peers_dropped: 0,
            requests_lost: 0,
        }
    }

    /// Counts what is held.
    pub(super) fn measure(&self, usage: &mut crate::client::usage::Usage) {
        usage.correspondents = self.peers.len();
        let held = self.peers.values().map(|peer| peer.surbs.len());
        usage.surbs_per_correspondent = held.clone().max().unwrap_or_default();
        usage.surbs = held.sum();
    }

    /// True if this correspondent is known.
    pub(in crate::client) fn knows(&self, tag: &SenderTag) -> bool {
        self.peers.contains_key(tag)
    }

    // ---- SURBs come ------------------------------------------------------------------------

    /// Files SURBs that came with a message. Returns the requests that need not leave any more.
    pub(in crate::client) fn store(
        &mut self,
        now: Instant,
        tag: SenderTag,
        list: SurbList,
        answers_request: bool,
    ) -> Vec<u64> {
        let rotation = self.rotations.of_stamp(now, list.rotation);
        let is_alive = rotation.is_none_or(|r| !self.rotations.is_over(now, r, Duration::ZERO));
        let came = list.surbs.len();
        let peer = self.peer(now, tag);
        peer.last_heard = now;
        let is_answered = peer.is_answered;
        self.journal.put(Entry::Peer { tag, is_answered });
        let Some(peer) = self.peers.get_mut(&tag).filter(|_| is_alive) else {
            self.surbs_dropped += came as u64;
            return Vec::new();
        };
        match (came, answers_request) {
            (0, _) => {}
            (_, true) => peer.requests.settle(now, came),
            (_, false) => peer.requests.revive(),
        }
        let excess = came.saturating_sub(self.per_peer_max);
        self.surbs_dropped += excess as u64;
        for surb in list.surbs.into_iter().skip(excess) {
            let (number, stamp) = (self.next_number, list.rotation);
            let bytes = SurbBytes::new(&surb);
            self.journal.put(Entry::Surb { tag, number, stamp, rotation, surb: bytes });
            self.put(tag, HeldSurb { surb, stamp, rotation, received_at: now, number });
        }
        self.trim();
        let reserve = self.config.reserve;
        match self.peers.get_mut(&tag) {
            Some(peer) if came > 0 && peer.surbs.len() >= peer.queued.saturating_add(reserve) => {
                peer.second = None;
                peer.requests.withdraw()
            }
            _ => Vec::new(),
        }
    }

    /// A correspondent of an earlier run, last heard of at `at`.
    pub(in crate::client) fn restore(&mut self, at: Instant, tag: SenderTag, is_answered: bool) {
        let peer = self.peer(at, tag);
        peer.is_answered |= is_answered;
        peer.last_heard = at;
    }

    /// A SURB of an earlier run, received at `at`.
    pub(in crate::client) fn restore_surb(&mut self, at: Instant, tag: SenderTag, kept: KeptSurb) {
        let KeptSurb { surb, number, stamp, rotation } = kept;
        self.peer(at, tag);
        self.put(tag, HeldSurb { surb, stamp, rotation, received_at: at, number });
        self.trim();
    }

    /// What has to be kept.
    pub(super) const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// The correspondent, made room for if it is new.
    fn peer(&mut self, now: Instant, tag: SenderTag) -> &mut Peer {
        if !self.peers.contains_key(&tag) && self.peers.len() >= self.peers_max {
            let usefulness = |peer: &Peer| (peer.queued > 0, peer.is_answered, peer.last_heard);
            let least = self.peers.iter().min_by_key(|(_, peer)| usefulness(peer));
            if let Some((tag, peer)) =
                least.map(|(tag, _)| *tag).and_then(|tag| self.peers.remove_entry(&tag))
            {
                self.peers_dropped += 1;
                self.forget(tag, peer.surbs);
                self.journal.erase(EntryKey::Peer(tag));
            }
        }
        self.peers.entry(tag).or_insert_with(|| Peer {
            surbs: VecDeque::new(),
            requests: Requests::default(),
            second: None,
            usage: Usage::default(),
            is_answered: false,
            queued: 0,
            last_heard: now,
        })
    }

    /// Files one SURB. If its correspondent has its share, the one that dies first makes room.
    fn put(&mut self, tag: SenderTag, held: HeldSurb) {
        let Some(peer) = self.peers.get_mut(&tag) else {
            return;
        };
        self.next_number = self.next_number.max(held.number.saturating_add(1));
        let at = peer.surbs.partition_point(|other| other.rank() <= held.rank());
        peer.surbs.insert(at, held);
        self.surbs_held += 1;
        let excess = peer.surbs.len().saturating_sub(self.per_peer_max);
        let gone: Vec<HeldSurb> = peer.surbs.drain(..excess).collect();
        give_back(&mut peer.surbs);
        self.forget(tag, gone);
    }

    /// If all have too many together, those with the most lose some.
    fn trim(&mut self) {
        while let Some(excess) = self.surbs_held.checked_sub(self.surbs_max).filter(|n| *n > 0) {
            let most = self.peers.iter_mut().max_by_key(|(_, peer)| peer.surbs.len());
            let Some((tag, peer)) = most.map(|(tag, peer)| (*tag, peer)) else {
                return;
            };
            let share = excess.min(peer.surbs.len() / 8 + 1).min(peer.surbs.len());
            let gone: Vec<HeldSurb> = peer.surbs.drain(..share).collect();
            give_back(&mut peer.surbs);
            if gone.is_empty() {
                return;
            }
            self.forget(tag, gone);
        }
    }

    // ---- SURBs are used --------------------------------------------------------------------

    /// True if no SURB beyond the reserve is held.
    pub(in crate::client) fn is_short_of_surbs(&self, tag: &SenderTag) -> bool {
        self.peers.get(tag).is_none_or(|peer| peer.surbs.len() <= self.config.reserve)
    }

    /// True if [`take`](Self::take) would find a SURB.
    pub(in crate::client) fn can_take(
        &self,
        now: Instant,
        tag: &SenderTag,
        address_len: usize,
        purpose: Purpose,
    ) -> bool {
        self.peers.get(tag).is_some_and(|peer| {
            (purpose == Purpose::Request || peer.surbs.len() > self.config.reserve)
                && self.position(now, peer, address_len, Order::OldestFirst).is_some()
        })
    }

    /// Takes a SURB whose first hop's address has the given length, so that the frame has the size
    /// the slot was given.
    pub(in crate::client) fn take(
        &mut self,
        now: Instant,
        tag: &SenderTag,
        address_len: usize,
        (purpose, order): (Purpose, Order),
    ) -> Option<(ReplySurb, KeyRotation)> {
        if !self.can_take(now, tag, address_len, purpose) {
            return None;
        }
        let index = self.position(now, self.peers.get(tag)?, address_len, order)?;
        let peer = self.peers.get_mut(tag)?;
        let held = peer.surbs.remove(index)?;
        give_back(&mut peer.surbs);
        self.journal.erase(EntryKey::Surb(*tag, held.number));
        if purpose == Purpose::Data {
            peer.usage.count(now);
        }
        self.surbs_held = self.surbs_held.saturating_sub(1);
        Some((held.surb, held.stamp))
    }

    fn position(
        &self,
        now: Instant,
        peer: &Peer,
        address_len: usize,
        order: Order,
    ) -> Option<usize> {
        let fits = |held: &HeldSurb| {
            held.surb.surb.first_hop().encoded_len() == address_len && !self.is_dead(now, held)
        };
        match order {
            Order::OldestFirst => peer.surbs.iter().position(fits),
            Order::NewestFirst => peer.surbs.iter().rposition(fits),
        }
    }

    fn is_dead(&self, now: Instant, held: &HeldSurb) -> bool {
        match held.rotation {
            Some(rotation) => self.rotations.is_over(now, rotation, Duration::ZERO),
            None => now.since(held.received_at) >= self.config.key_age_max,
        }
    }

    // ---- asking for more -------------------------------------------------------------------

    /// How many SURBs to ask for, if it is time to ask. `queued` fragments wait for one. The
    /// caller sends the request and says so with [`requested`](Self::requested).
    pub(in crate::client) fn poll_request(
        &mut self,
        now: Instant,
        tag: &SenderTag,
        queued: usize,
    ) -> Option<Ask> {
        let (config, rotations, per_peer_max) = (self.config, self.rotations, self.per_peer_max);
        let peer = self.peers.get_mut(tag)?;
        peer.queued = queued;
        if queued > 0 && !peer.is_answered {
            peer.is_answered = true;
            self.journal.put(Entry::Peer { tag: *tag, is_answered: true });
        }
        self.requests_lost += peer.requests.expire(now);
        if peer.surbs.is_empty() || !peer.is_answered {
            return None;
        }
        if let Some((_, amount)) = peer.second.take_if(|(at, _)| *at <= now) {
            return Some(Ask { amount, is_from_reserve: true });
        }
        let is_from_reserve = peer.surbs.len() <= config.reserve;
        let asked = peer.requests.asked();
        if peer.requests.must_wait(now) || is_from_reserve && asked > 0 {
            return None;
        }
        let is_calm = rotations.is_before_change(now);
        let ahead = match is_calm {
            true => 0,
            false => peer.usage.expected(now, peer.requests.round_trip() + MARGIN),
        };
        let needed = queued.saturating_add(config.reserve).saturating_add(ahead).min(per_peer_max);
        let coming = peer.lasting(now, tag, rotations).saturating_add(asked);
        let missing = needed.checked_sub(coming).filter(|missing| *missing > 0)?;
        let most = if is_calm { config.request_min } else { config.request_max };
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let amount = missing.clamp(config.request_min, most.max(config.request_min));
        if is_from_reserve && peer.surbs.len() > 1 {
            // no more than the clock's own digits are needed to spread it
            let digits = Duration::from_nanos(now.as_nanos() % SECOND_AFTER.as_nanos() as u64);
            peer.second = Some((now + SECOND_AFTER + digits, amount));
        }
        Some(Ask { amount, is_from_reserve })
    }

    /// A request was queued, as this message of the outbox.
    pub(in crate::client) fn requested(
        &mut self,
        now: Instant,
        tag: &SenderTag,
        key: u64,
        amount: u32,
    ) {
        if let Some(peer) = self.peers.get_mut(tag) {
            peer.requests.push(now, key, amount);
        }
    }

    /// A request has left.
    pub(in crate::client) fn request_sent(&mut self, now: Instant, tag: &SenderTag, key: u64) {
        if let Some(peer) = self.peers.get_mut(tag) {
            peer.requests.sent(now, key);
        }
    }

    /// A request got no ack, or never left.
    pub(in crate::client) fn request_failed(&mut self, now: Instant, tag: &SenderTag, key: u64) {
        if let Some(peer) = self.peers.get_mut(tag) {
            self.requests_lost += u64::from(peer.requests.failed(now, key));
        }
    }

    /// Those that may be asked for SURBs: the ones we answered.
    pub(in crate::client) fn answered(&self) -> Vec<SenderTag> {
        let answered = self.peers.iter().filter(|(_, peer)| peer.is_answered);
        answered.map(|(tag, _)| *tag).collect()
    }

    /// True if nothing came from this correspondent for so long that waiting replies are given up.
    pub(in crate::client) fn is_silent(&self, now: Instant, tag: &SenderTag) -> bool {
        self.peers
            .get(tag)
            .is_none_or(|peer| now.since(peer.last_heard) >= self.config.give_up_after)
    }

    pub(in crate::client) const fn give_up_after(&self) -> Duration {
        self.config.give_up_after
    }

    // ---- housekeeping ----------------------------------------------------------------------

    /// Drops SURBs that are too old, and those of a rotation that is over.
    pub(super) fn expire(&mut self, now: Instant) {
        let (rotations, age_max) = (self.rotations, self.config.key_age_max);
        let is_over = |held: &mut HeldSurb| {
            held.rotation.is_some_and(|r| rotations.is_over(now, r, Duration::ZERO))
        };
        let is_old = |held: &HeldSurb| now.since(held.received_at) >= age_max;
        let mut gone = Vec::new();
        for (tag, peer) in &mut self.peers {
            while let Some(held) = peer.surbs.pop_front_if(is_over) {
                gone.push((*tag, held));
            }
            let unknown = peer.surbs.partition_point(|held| held.rotation.is_some());
            while peer.surbs.get(unknown).is_some_and(is_old) {
                gone.extend(peer.surbs.remove(unknown).map(|held| (*tag, held)));
            }
            give_back(&mut peer.surbs);
        }
        for (tag, held) in gone {
            self.forget(tag, [held]);
        }
    }

    /// SURBs of a correspondent were dropped.
    fn forget(&mut self, tag: SenderTag, surbs: impl IntoIterator<Item = HeldSurb>) {
        for held in surbs {
            self.surbs_held = self.surbs_held.saturating_sub(1);
            self.surbs_dropped += 1;
            self.journal.erase(EntryKey::Surb(tag, held.number));
        }
    }

    pub(super) const fn count(&self, stats: &mut Stats) {
        stats.surbs_dropped = self.surbs_dropped;
        stats.correspondents_dropped = self.peers_dropped;
        stats.surb_requests_lost = self.requests_lost;
    }
}

/// Frees what a queue no longer needs, so that its room follows what is in it.
fn give_back(surbs: &mut VecDeque<HeldSurb>) {
    if surbs.capacity() > 2 * surbs.len() + SPARE {
        surbs.shrink_to(surbs.len() + surbs.len() / 2);
    }
}

impl Peer {
    /// SURBs that will not die soon. A while after a change of rotation, different for each
    /// correspondent, those of the old one do not count, so that they are replaced with their own
    /// help. (protocol: client 10.5)
    fn lasting(&self, now: Instant, tag: &SenderTag, rotations: Rotations) -> usize {
        let (Some(current), Some(age), Some(epoch)) =
            (rotations.current(now), rotations.age(now), rotations.epoch())
        else {
            return self.surbs.len();
        };
        let share = u32::from(tag.as_bytes().first().copied().unwrap_or_default());
        if age < epoch / 8 + epoch / 1024 * share {
            return self.surbs.len();
        }
        let old = self.surbs.partition_point(|held| held.rotation.is_some_and(|r| r < current));
        self.surbs.len() - old
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
