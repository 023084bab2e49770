//! Those who write to us anonymously: the SURBs we hold of them, and what we asked them for.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ReplyConfig;
use super::requests::Requests;
use crate::limits::Limits;
use crate::message::{ReplySurb, SenderTag, SurbList};
use crate::sphinx::KeyRotation;
use crate::time::Instant;

#[derive(Debug)]
struct HeldSurb {
    surb: ReplySurb,
    rotation: KeyRotation,
    received_at: Instant,
}

/// Somebody whose SURBs we hold.
#[derive(Debug)]
struct Peer {
    surbs: VecDeque<HeldSurb>,
    requests: Requests,
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

/// All of them. A SURB comes with [`put`](Self::put), and goes with [`take`](Self::take) or through
/// [`dropped`](Self::surbs_dropped).
#[derive(Debug)]
pub(in crate::client) struct Peers {
    config: ReplyConfig,
    peers_max: usize,
    per_peer_max: usize,
    surbs_max: usize,
    peers: BTreeMap<SenderTag, Peer>,
    by_age: BTreeSet<(Instant, SenderTag)>,
    surbs_held: usize,
    dropped: u64,
    rotation: KeyRotation,
    /// When SURBs of another rotation stop being routable.
    old_rotation_until: Option<Instant>,
}

impl Peers {
    pub(super) fn new(config: ReplyConfig, limits: &Limits) -> Self {
        Self {
            config,
            peers_max: limits.correspondents_max,
            per_peer_max: limits.surbs_per_correspondent_max.min(limits.surbs_max),
            surbs_max: limits.surbs_max,
            peers: BTreeMap::new(),
            by_age: BTreeSet::new(),
            surbs_held: 0,
            dropped: 0,
            rotation: KeyRotation::Unknown,
            old_rotation_until: None,
        }
    }

    /// True if this correspondent is known.
    pub(in crate::client) fn knows(&self, tag: &SenderTag) -> bool {
        self.peers.contains_key(tag)
    }

    /// Files SURBs that came with a message.
    pub(in crate::client) fn store(
        &mut self,
        now: Instant,
        tag: SenderTag,
        list: SurbList,
        answers_request: bool,
    ) {
        if !self.peers.contains_key(&tag) && self.peers.len() >= self.peers_max {
            self.evict_oldest_peer();
        }
        let peer = self.peers.entry(tag).or_insert_with(|| Peer {
            surbs: VecDeque::new(),
            requests: Requests::default(),
            last_heard: now,
        });
        self.by_age.remove(&(peer.last_heard, tag));
        peer.last_heard = now;
        self.by_age.insert((now, tag));
        if answers_request {
            peer.requests.settle(list.surbs.len());
        }
        let rotation = list.rotation;
        for surb in list.surbs {
            self.put(tag, HeldSurb { surb, rotation, received_at: now });
        }
        while self.surbs_held > self.surbs_max && self.peers.len() > 1 {
            self.evict_oldest_peer();
        }
    }

    /// Files one SURB; the oldest of its correspondent makes room.
    fn put(&mut self, tag: SenderTag, held: HeldSurb) {
        let Some(peer) = self.peers.get_mut(&tag) else {
            return;
        };
        peer.surbs.push_back(held);
        self.surbs_held += 1;
        let excess = peer.surbs.len().saturating_sub(self.per_peer_max);
        let gone = peer.surbs.drain(..excess).count();
        self.count_dropped(gone);
    }

    fn evict_oldest_peer(&mut self) {
        let Some((_, tag)) = self.by_age.pop_first() else {
            return;
        };
        if let Some(peer) = self.peers.remove(&tag) {
            self.count_dropped(peer.surbs.len());
        }
    }

    /// True if [`take`](Self::take) would find a SURB.
    pub(in crate::client) fn can_take(
        &self,
        tag: &SenderTag,
        address_len: usize,
        purpose: Purpose,
    ) -> bool {
        self.peers.get(tag).is_some_and(|peer| {
            (purpose == Purpose::Request || peer.surbs.len() > self.config.reserve)
                && position(&peer.surbs, address_len, self.rotation).is_some()
        })
    }

    /// Takes a SURB whose first hop's address has the given length, so that the frame has the size
    /// the slot was given. Those of an old rotation go first, they do not keep.
    pub(in crate::client) fn take(
        &mut self,
        tag: &SenderTag,
        address_len: usize,
        purpose: Purpose,
    ) -> Option<(ReplySurb, KeyRotation)> {
        if !self.can_take(tag, address_len, purpose) {
            return None;
        }
        let peer = self.peers.get_mut(tag)?;
        let index = position(&peer.surbs, address_len, self.rotation)?;
        let held = peer.surbs.remove(index)?;
        self.surbs_held = self.surbs_held.saturating_sub(1);
        Some((held.surb, held.rotation))
    }

    /// How many SURBs to ask for, if it is time to ask. `queued` fragments wait for one. The
    /// caller sends the request.
    pub(in crate::client) fn poll_request(
        &mut self,
        now: Instant,
        tag: &SenderTag,
        queued: usize,
    ) -> Option<u32> {
        let config = self.config;
        let per_peer_max = self.per_peer_max;
        let peer = self.peers.get_mut(tag)?;
        peer.requests.expire(now);
        let coming = peer.surbs.len().saturating_add(peer.requests.asked());
        let needed = queued.saturating_add(config.reserve);
        let enough = coming >= needed || coming >= per_peer_max;
        if enough || peer.surbs.is_empty() || peer.requests.is_full() {
            return None;
        }
        let wanted = u32::try_from(needed - coming).unwrap_or(u32::MAX);
        let amount = wanted.clamp(config.request_min, config.request_max.max(config.request_min));
        peer.requests.push(now, config.rerequest_after, amount);
        Some(amount)
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

    pub(super) fn set_rotation(&mut self, now: Instant, rotation: KeyRotation, overlap: Duration) {
        if rotation != self.rotation {
            self.old_rotation_until =
                (self.rotation != KeyRotation::Unknown).then(|| now + overlap);
            self.rotation = rotation;
        }
    }

    /// Drops SURBs that are too old, and those of a rotation that is over.
    pub(super) fn expire(&mut self, now: Instant) {
        let is_over = self.old_rotation_until.is_some_and(|until| until <= now);
        if is_over {
            self.old_rotation_until = None;
        }
        let (current, age_max) = (self.rotation, self.config.key_age_max);
        let is_dead = |held: &HeldSurb| {
            is_over && !is_current(held.rotation, current) || now.since(held.received_at) >= age_max
        };
        let mut gone = 0;
        for peer in self.peers.values_mut() {
            let before = peer.surbs.len();
            peer.surbs.retain(|held| !is_dead(held));
            gone += before - peer.surbs.len();
        }
        self.count_dropped(gone);
    }

    fn count_dropped(&mut self, surbs: usize) {
        self.surbs_held = self.surbs_held.saturating_sub(surbs);
        self.dropped += surbs as u64;
    }

    /// SURBs dropped so far.
    pub(in crate::client) const fn surbs_dropped(&self) -> u64 {
        self.dropped
    }
}

fn is_current(rotation: KeyRotation, current: KeyRotation) -> bool {
    rotation == current || rotation == KeyRotation::Unknown || current == KeyRotation::Unknown
}

/// The SURB to spend next: one of an old rotation if there is one, else the oldest.
fn position(surbs: &VecDeque<HeldSurb>, address_len: usize, current: KeyRotation) -> Option<usize> {
    let fits = |held: &HeldSurb| held.surb.surb.first_hop().encoded_len() == address_len;
    let old =
        surbs.iter().take(1).position(|held| fits(held) && !is_current(held.rotation, current));
    old.or_else(|| surbs.iter().position(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Recipient;
    use crate::entropy::{Entropy, Purpose as Stream};
    use crate::identity::Identity;
    use crate::message::ReplyKey;
    use crate::sphinx::{Delay, Hop, PacketBuilder as _, SphinxBuilder};

    #[test]
    fn surbs_grow_old_even_if_their_correspondent_keeps_writing() {
        let mut stream = Entropy::new([1; 32]).stream(Stream::Other(1));
        let identity = Identity::generate(&mut stream);
        let own = Recipient {
            identity: *identity.identity.public(),
            encryption: identity.encryption.public(),
            gateway: *identity.identity.public(),
        };
        let address = "10.0.0.1:1789".parse::<core::net::SocketAddr>().unwrap().into();
        let hop = Hop { address, key: identity.encryption.public() };
        let surb = SphinxBuilder::new()
            .make_surb(&[hop; 4], &[Delay::default(); 4], &own.identity, &mut stream)
            .unwrap();
        let surb = ReplySurb { key: ReplyKey::draw(&mut stream), surb };
        let mut peers = Peers::new(ReplyConfig::default(), &Limits::default());
        let tag = SenderTag::from_bytes([1; 16]);
        let list = |surbs| SurbList { surbs, rotation: KeyRotation::Odd };
        peers.store(Instant::START, tag, list(vec![surb]), false);
        let later = Instant::START + ReplyConfig::default().key_age_max;
        peers.store(later, tag, list(vec![]), false);
        assert!(peers.can_take(&tag, address.encoded_len(), Purpose::Request));
        peers.expire(later);
        assert!(!peers.can_take(&tag, address.encoded_len(), Purpose::Request));
    }
}
