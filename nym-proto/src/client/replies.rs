//! SURBs we hold, SURBs we gave out, requests for more. (protocol: client 9)
//!
//! Two roles. As *sender* of anonymous messages we keep a tag for each recipient and the keys of
//! the SURBs we gave out. As *receiver* we keep the SURBs of each correspondent, spend them on
//! replies, and ask for more before they run out: the last ones are reserved for asking.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::config::ReplyConfig;
use crate::address::Recipient;
use crate::entropy::Stream;
use crate::limits::Limits;
use crate::message::{ReplyDigest, ReplyKey, ReplySurb, SenderTag, SurbList};
use crate::sphinx::KeyRotation;
use crate::time::Instant;

/// SURBs given to one correspondent on request: this many a minute, saved up to
/// [`ReplyConfig::answer_max`]. (protocol: client 9.4)
const ANSWERS_PER_MINUTE: u32 = 200;
/// Requests for SURBs that are counted as under way at one time.
const REQUESTS_MAX: usize = 8;

/// Somebody we write to anonymously.
#[derive(Debug)]
struct Contact {
    tag: SenderTag,
    conversation: u64,
    /// SURBs it may still ask for, and when that was last topped up.
    allowance: u32,
    topped_up: Instant,
}

/// The key of a SURB we gave out.
#[derive(Debug)]
struct GivenKey {
    key: ReplyKey,
    recipient: Recipient,
    given_at: Instant,
}

/// What a reply key tells about the packet it opens.
#[derive(Debug)]
pub(super) struct ClaimedKey {
    pub(super) key: ReplyKey,
    pub(super) recipient: Recipient,
    pub(super) conversation: u64,
}

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
    /// Requests under way: when each counts as lost, and its amount.
    requests: VecDeque<(Instant, u32)>,
    last_heard: Instant,
}

/// What a SURB is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A reply; may not touch the reserve.
    Data,
    /// A request for more.
    Request,
}

#[derive(Debug)]
pub(super) struct Replies {
    config: ReplyConfig,
    keys_max: usize,
    tags_max: usize,
    peers_max: usize,
    per_peer_max: usize,
    surbs_max: usize,
    stream: Stream,
    contacts: BTreeMap<Recipient, Contact>,
    next_conversation: u64,
    keys: BTreeMap<ReplyDigest, GivenKey>,
    keys_by_age: BTreeSet<(Instant, ReplyDigest)>,
    peers: BTreeMap<SenderTag, Peer>,
    peers_by_age: BTreeSet<(Instant, SenderTag)>,
    surbs_held: usize,
    dropped: u64,
    rotation: KeyRotation,
    /// When SURBs of another rotation stop being routable.
    old_rotation_until: Option<Instant>,
}

impl Replies {
    pub(super) fn new(config: ReplyConfig, limits: &Limits, stream: Stream) -> Self {
        Self {
            config,
            keys_max: limits.reply_keys_max,
            tags_max: limits.tags_max,
            peers_max: limits.correspondents_max,
            per_peer_max: limits.surbs_per_correspondent_max.min(limits.surbs_max),
            surbs_max: limits.surbs_max,
            stream,
            contacts: BTreeMap::new(),
            next_conversation: 0,
            keys: BTreeMap::new(),
            keys_by_age: BTreeSet::new(),
            peers: BTreeMap::new(),
            peers_by_age: BTreeSet::new(),
            surbs_held: 0,
            dropped: 0,
            rotation: KeyRotation::Unknown,
            old_rotation_until: None,
        }
    }

    // ---- as sender -------------------------------------------------------------------------

    /// Our tag towards a recipient, drawn at the first call.
    pub(super) fn tag_for(&mut self, now: Instant, recipient: &Recipient) -> SenderTag {
        if let Some(contact) = self.contacts.get(recipient) {
            return contact.tag;
        }
        if self.contacts.len() >= self.tags_max {
            let oldest = self.contacts.iter().min_by_key(|(_, c)| c.conversation).map(|(r, _)| *r);
            if let Some(oldest) = oldest {
                self.contacts.remove(&oldest);
            }
        }
        let tag = SenderTag::draw(&mut self.stream);
        let conversation = self.next_conversation;
        self.next_conversation += 1;
        let contact =
            Contact { tag, conversation, allowance: self.config.answer_max, topped_up: now };
        self.contacts.insert(*recipient, contact);
        tag
    }

    /// Keeps the key of a SURB before it is given to `recipient`.
    pub(super) fn give(&mut self, now: Instant, recipient: Recipient, key: &ReplyKey) {
        while self.keys.len() >= self.keys_max {
            let Some((_, oldest)) = self.keys_by_age.pop_first() else {
                break;
            };
            self.keys.remove(&oldest);
        }
        let digest = key.digest();
        let given = GivenKey { key: key.clone(), recipient, given_at: now };
        if let Some(old) = self.keys.insert(digest, given) {
            self.keys_by_age.remove(&(old.given_at, digest));
        }
        self.keys_by_age.insert((now, digest));
    }

    /// Takes the key a packet was made with out of the store: a key opens one packet.
    pub(super) fn claim(&mut self, digest: &ReplyDigest) -> Option<ClaimedKey> {
        let given = self.keys.remove(digest)?;
        self.keys_by_age.remove(&(given.given_at, *digest));
        let conversation = self.contacts.get(&given.recipient).map_or(u64::MAX, |c| c.conversation);
        Some(ClaimedKey { key: given.key, recipient: given.recipient, conversation })
    }

    /// A correspondent asks for SURBs, through a SURB we gave to `asker`. Returns the tag to send
    /// them under and how many it gets.
    pub(super) fn allow(
        &mut self,
        now: Instant,
        asker: &Recipient,
        amount: u32,
    ) -> Option<(SenderTag, u32)> {
        let max = self.config.answer_max;
        let contact = self.contacts.get_mut(asker)?;
        let seconds = now.since(contact.topped_up).as_secs();
        let earned = u64::from(ANSWERS_PER_MINUTE).saturating_mul(seconds) / 60;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            contact.allowance = contact.allowance.saturating_add(earned).min(max);
            contact.topped_up = now;
        }
        let granted = amount.min(contact.allowance);
        contact.allowance -= granted;
        (granted > 0).then_some((contact.tag, granted))
    }

    // ---- as receiver -----------------------------------------------------------------------

    /// True if this correspondent is known.
    pub(super) fn knows(&self, tag: &SenderTag) -> bool {
        self.peers.contains_key(tag)
    }

    /// Files SURBs that came with a message. Returns how many were kept.
    pub(super) fn store(
        &mut self,
        now: Instant,
        tag: SenderTag,
        list: SurbList,
        answers_request: bool,
    ) -> usize {
        if !self.peers.contains_key(&tag) && self.peers.len() >= self.peers_max {
            self.evict_oldest_peer();
        }
        let peer = self.peers.entry(tag).or_insert_with(|| Peer {
            surbs: VecDeque::new(),
            requests: VecDeque::new(),
            last_heard: now,
        });
        self.peers_by_age.remove(&(peer.last_heard, tag));
        peer.last_heard = now;
        self.peers_by_age.insert((now, tag));
        if answers_request {
            settle(&mut peer.requests, list.surbs.len());
        }
        let rotation = list.rotation;
        let mut kept = 0;
        for surb in list.surbs {
            if peer.surbs.len() >= self.per_peer_max && peer.surbs.pop_front().is_some() {
                self.surbs_held = self.surbs_held.saturating_sub(1);
                self.dropped += 1;
            }
            peer.surbs.push_back(HeldSurb { surb, rotation, received_at: now });
            self.surbs_held += 1;
            kept += 1;
        }
        while self.surbs_held > self.surbs_max && self.peers.len() > 1 {
            self.evict_oldest_peer();
        }
        kept
    }

    fn evict_oldest_peer(&mut self) {
        let Some((_, tag)) = self.peers_by_age.pop_first() else {
            return;
        };
        if let Some(peer) = self.peers.remove(&tag) {
            self.surbs_held = self.surbs_held.saturating_sub(peer.surbs.len());
            self.dropped += peer.surbs.len() as u64;
        }
    }

    /// True if [`take`](Self::take) would find a SURB.
    pub(super) fn can_take(&self, tag: &SenderTag, address_len: usize, purpose: Purpose) -> bool {
        self.peers.get(tag).is_some_and(|peer| {
            (purpose == Purpose::Request || peer.surbs.len() > self.config.reserve)
                && position(&peer.surbs, address_len, self.rotation).is_some()
        })
    }

    /// Takes a SURB whose first hop's address has the given length, so that the frame has the size
    /// the slot was given. Those of an old rotation go first, they do not keep.
    pub(super) fn take(
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
    pub(super) fn poll_request(
        &mut self,
        now: Instant,
        tag: &SenderTag,
        queued: usize,
    ) -> Option<u32> {
        let config = self.config;
        let per_peer_max = self.per_peer_max;
        let peer = self.peers.get_mut(tag)?;
        peer.requests.retain(|(lost_at, _)| *lost_at > now);
        let asked = peer.requests.iter().map(|(_, amount)| *amount as usize);
        let coming = asked.fold(peer.surbs.len(), usize::saturating_add);
        let needed = queued.saturating_add(config.reserve);
        let enough = coming >= needed || coming >= per_peer_max;
        if enough || peer.surbs.is_empty() || peer.requests.len() >= REQUESTS_MAX {
            return None;
        }
        let wanted = u32::try_from(needed - coming).unwrap_or(u32::MAX);
        let amount = wanted.clamp(config.request_min, config.request_max.max(config.request_min));
        peer.requests.push_back((now + config.rerequest_after, amount));
        Some(amount)
    }

    /// True if nothing came from this correspondent for so long that waiting replies are given up.
    pub(super) fn is_silent(&self, now: Instant, tag: &SenderTag) -> bool {
        self.peers
            .get(tag)
            .is_none_or(|peer| now.since(peer.last_heard) >= self.config.give_up_after)
    }

    pub(super) const fn give_up_after(&self) -> Duration {
        self.config.give_up_after
    }

    // ---- housekeeping ----------------------------------------------------------------------

    /// The topology's rotation is now this one. SURBs of the previous one stay usable for another
    /// `overlap`. (protocol: client 10.3)
    pub(super) fn set_rotation(&mut self, now: Instant, rotation: KeyRotation, overlap: Duration) {
        if rotation != self.rotation {
            self.old_rotation_until =
                (self.rotation != KeyRotation::Unknown).then(|| now + overlap);
            self.rotation = rotation;
        }
    }

    /// Drops what is too old: keys of SURBs given out, SURBs of a rotation that is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((given_at, digest)) = self.keys_by_age.first().copied() {
            if now.since(given_at) < self.config.key_age_max {
                break;
            }
            self.keys_by_age.pop_first();
            self.keys.remove(&digest);
        }
        if self.old_rotation_until.is_some_and(|until| until <= now) {
            self.old_rotation_until = None;
            let current = self.rotation;
            self.drop_surbs(|surb| !is_current(surb.rotation, current));
        }
        let age_max = self.config.key_age_max;
        for peer in self.peers.values_mut() {
            // in the order they came
            while peer.surbs.pop_front_if(|surb| now.since(surb.received_at) >= age_max).is_some() {
                self.surbs_held = self.surbs_held.saturating_sub(1);
                self.dropped += 1;
            }
        }
    }

    fn drop_surbs(&mut self, is_dead: impl Fn(&HeldSurb) -> bool) {
        for peer in self.peers.values_mut() {
            let before = peer.surbs.len();
            peer.surbs.retain(|surb| !is_dead(surb));
            let gone = before - peer.surbs.len();
            self.surbs_held = self.surbs_held.saturating_sub(gone);
            self.dropped += gone as u64;
        }
    }

    /// SURBs dropped so far.
    pub(super) const fn dropped(&self) -> u64 {
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

/// SURBs that were asked for have come: they settle the oldest requests.
fn settle(requests: &mut VecDeque<(Instant, u32)>, came: usize) {
    let mut left = u32::try_from(came).unwrap_or(u32::MAX);
    while let Some((_, amount)) = requests.front_mut() {
        if *amount > left {
            *amount -= left;
            return;
        }
        left -= *amount;
        requests.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Recipient;
    use crate::entropy::{Entropy, Purpose as Stream};
    use crate::identity::Identity;
    use crate::message::ReplySurb;
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
        let mut replies = Replies::new(ReplyConfig::default(), &Limits::default(), stream);
        let tag = SenderTag::from_bytes([1; 16]);
        let list = |surbs| SurbList { surbs, rotation: KeyRotation::Odd };
        replies.store(Instant::START, tag, list(vec![surb]), false);
        let later = Instant::START + ReplyConfig::default().key_age_max;
        replies.store(later, tag, list(vec![]), false);
        assert!(replies.can_take(&tag, address.encoded_len(), Purpose::Request));
        replies.expire(later);
        assert!(!replies.can_take(&tag, address.encoded_len(), Purpose::Request));
    }
}
