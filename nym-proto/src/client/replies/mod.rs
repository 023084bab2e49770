//! SURBs we hold, SURBs we gave out, requests for more. (protocol: client 9, 10)
//!
//! Two roles. As *sender* of anonymous messages we keep a tag for each recipient ([`Contacts`]) and
//! the keys of the SURBs we gave out ([`Keys`]). As *receiver* we keep the SURBs of each
//! correspondent ([`Peers`]), spend them on replies, and ask for more before they run out: the last
//! ones are reserved for asking.

use core::time::Duration;

mod contacts;
mod keys;
mod peers;
mod requests;
mod rotations;
mod usage;

use self::contacts::Contacts;
pub(super) use self::contacts::Gift;
use self::keys::Keys;
use self::peers::Peers;
pub(super) use self::peers::{Ask, KeptSurb, Order, Purpose};
use self::rotations::Rotations;
use super::config::ReplyConfig;
use super::state::{Change, Entry, EntryKey, Journal, SurbBytes};
use super::stats::Stats;
use crate::address::Recipient;
use crate::entropy::Stream;
use crate::limits::Limits;
use crate::message::{ReplyDigest, ReplyKey};
use crate::time::{Instant, UnixTime};
use crate::topology::Topology;
use crate::topology::directory::KeyRotationInfo;

/// Time in which correspondents are given SURBs that lead to a new address.
const MOVE_SPREAD: Duration = Duration::from_secs(60);

/// What a reply key tells about the packet it opens.
#[derive(Debug)]
pub(super) struct ClaimedKey {
    pub(super) key: ReplyKey,
    pub(super) recipient: Recipient,
    pub(super) conversation: u64,
}

/// Both roles. Contacts and peers are asked directly; what concerns more than one of the parts goes
/// through here.
#[derive(Debug)]
pub(super) struct Replies {
    config: ReplyConfig,
    pub(super) contacts: Contacts,
    keys: Keys,
    pub(super) peers: Peers,
    rotations: Rotations,
    /// The rotation SURBs are made for.
    rotation: Option<u32>,
}

impl Replies {
    pub(super) fn new(config: ReplyConfig, limits: &Limits, stream: Stream) -> Self {
        Self {
            config,
            contacts: Contacts::new(config, limits, stream),
            keys: Keys::new(config.key_age_max, limits),
            peers: Peers::new(config, limits),
            rotations: Rotations::default(),
            rotation: None,
        }
    }

    /// Keeps the key of a SURB of this rotation before it is given to `recipient`.
    pub(super) fn give(
        &mut self,
        now: Instant,
        recipient: Recipient,
        key: &ReplyKey,
        rotation: u32,
    ) {
        let contact = self.contacts.conversation(&recipient);
        self.keys.insert(now, recipient, key, (contact, rotation));
    }

    /// Takes the key a packet was made with out of the store: a key opens one packet.
    pub(super) fn claim(&mut self, now: Instant, digest: &ReplyDigest) -> Option<ClaimedKey> {
        let given = self.keys.remove(digest)?;
        self.contacts.answered(now, &given.recipient);
        Some(ClaimedKey { key: given.key, recipient: given.recipient, conversation: given.contact })
    }

    /// The directory says how rotations go on; our SURBs are made from this topology from now on.
    pub(super) fn set_rotations(
        &mut self,
        now: Instant,
        unix: UnixTime,
        info: KeyRotationInfo,
        topology: &Topology,
    ) {
        self.rotations.set(now, unix, info, (topology.epoch(), topology.refreshed_at()));
        self.keys.rotations = self.rotations;
        self.peers.rotations = self.rotations;
        let before = self.rotation.replace(topology.rotation_id());
        if before.is_some_and(|before| before != topology.rotation_id()) {
            let keys = &self.keys;
            let spread = info.epoch_duration / 4;
            self.contacts.renew(now, spread, |contact| keys.outstanding(now, contact) > 0);
        }
    }

    /// The client has another address from now on: the SURBs it gave out lead nowhere. Those who had
    /// some get new ones.
    pub(super) fn moved(&mut self, now: Instant) {
        let keys = &self.keys;
        self.contacts.renew(now, MOVE_SPREAD, |contact| keys.outstanding(now, contact) > 0);
        self.keys.clear();
    }

    /// True while nodes accept packets made with keys of this rotation, as far as is known.
    pub(super) fn is_rotation_alive(&self, now: Instant, rotation: u32) -> bool {
        self.rotations.is_alive(now, rotation)
    }

    /// The key of a SURB given at `given_at`, in an earlier run.
    pub(super) fn restore_key(
        &mut self,
        given_at: Instant,
        recipient: Recipient,
        key: ReplyKey,
        (conversation, rotation): (u64, u32),
    ) {
        self.contacts.pass_over(conversation);
        self.keys.restore(given_at, recipient, key, (conversation, rotation));
    }

    /// Moves out what has to be kept, as of this time.
    pub(super) fn drain_changes(&mut self, unix: UnixTime, changes: &mut Vec<Change>) {
        self.contacts.journal().drain_into(unix, changes);
        self.keys.journal().drain_into(unix, changes);
        self.peers.journal().drain_into(unix, changes);
    }

    /// SURBs to send now to somebody we write to.
    pub(super) fn poll_gift(&mut self, now: Instant) -> Option<Gift> {
        let lifetime = self.rotations.surb_lifetime().unwrap_or(self.config.key_age_max);
        let keys = &self.keys;
        self.contacts.poll_gift(now, lifetime, |contact| keys.outstanding(now, contact))
    }

    /// SURBs for somebody who has just used one of ours and has hardly any left.
    pub(super) fn top_up(&mut self, now: Instant, recipient: &Recipient) -> Option<Gift> {
        let left = self.keys.outstanding(now, self.contacts.conversation(recipient));
        self.contacts.top_up(now, recipient, left)
    }

    /// Counts what is held.
    pub(super) fn measure(&self, usage: &mut crate::client::usage::Usage) {
        usage.tags = self.contacts.len();
        usage.reply_keys = self.keys.len();
        self.peers.measure(usage);
    }

    /// Drops what is too old: keys of SURBs given out, SURBs of a rotation that is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.keys.expire(now);
        self.peers.expire(now);
    }

    /// Brings the counters up to date.
    pub(super) fn count(&self, stats: &mut Stats) {
        self.peers.count(stats);
        stats.reply_keys_dropped = self.keys.dropped();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose as StreamOf};
    use crate::identity::Identity;

    #[test]
    fn a_key_opens_one_packet() {
        let mut stream = Entropy::new([1; 32]).stream(StreamOf::Other(1));
        let identity = Identity::generate(&mut stream);
        let recipient = Recipient {
            identity: *identity.identity.public(),
            encryption: identity.encryption.public(),
            gateway: *identity.identity.public(),
        };
        let key = ReplyKey::draw(&mut stream);
        let mut replies = Replies::new(ReplyConfig::default(), &Limits::default(), stream);
        replies.give(Instant::START, recipient, &key, 1);

        let claimed = replies.claim(Instant::START, &key.digest()).unwrap();
        assert_eq!(claimed.recipient, recipient);
        assert!(replies.claim(Instant::START, &key.digest()).is_none());
    }
}
