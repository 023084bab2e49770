//! SURBs we hold, SURBs we gave out, requests for more. (protocol: client 9)
//!
//! Two roles. As *sender* of anonymous messages we keep a tag for each recipient ([`Contacts`]) and
//! the keys of the SURBs we gave out ([`Keys`]). As *receiver* we keep the SURBs of each
//! correspondent ([`Peers`]), spend them on replies, and ask for more before they run out: the last
//! ones are reserved for asking.

mod contacts;
mod keys;
mod peers;
mod requests;

use core::time::Duration;

use self::contacts::Contacts;
use self::keys::Keys;
use self::peers::Peers;
pub(super) use self::peers::Purpose;
use super::config::ReplyConfig;
use crate::address::Recipient;
use crate::entropy::Stream;
use crate::limits::Limits;
use crate::message::{ReplyDigest, ReplyKey};
use crate::sphinx::KeyRotation;
use crate::time::Instant;

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
}

impl Replies {
    pub(super) fn new(config: ReplyConfig, limits: &Limits, stream: Stream) -> Self {
        Self {
            config,
            contacts: Contacts::new(config, limits, stream),
            keys: Keys::new(limits),
            peers: Peers::new(config, limits),
        }
    }

    /// Keeps the key of a SURB before it is given to `recipient`.
    pub(super) fn give(&mut self, now: Instant, recipient: Recipient, key: &ReplyKey) {
        self.keys.insert(now, recipient, key);
    }

    /// Takes the key a packet was made with out of the store: a key opens one packet.
    pub(super) fn claim(&mut self, digest: &ReplyDigest) -> Option<ClaimedKey> {
        let given = self.keys.remove(digest)?;
        let conversation = self.contacts.conversation(&given.recipient);
        Some(ClaimedKey { key: given.key, recipient: given.recipient, conversation })
    }

    /// The topology's rotation is now this one. SURBs of the previous one stay usable for another
    /// `overlap`. (protocol: client 10.3)
    pub(super) fn set_rotation(&mut self, now: Instant, rotation: KeyRotation, overlap: Duration) {
        self.peers.set_rotation(now, rotation, overlap);
    }

    /// Drops what is too old: keys of SURBs given out, SURBs of a rotation that is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.keys.expire(now, self.config.key_age_max);
        self.peers.expire(now);
    }
}
