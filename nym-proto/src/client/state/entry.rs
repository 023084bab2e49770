//! The kinds of entries.

use zeroize::Zeroizing;

use super::super::Registration;
use crate::address::Recipient;
use crate::identity::IdentityKey;
use crate::message::{Origin, ReplyDigest, ReplyKey, ReplySurb, SenderTag, SetId};
use crate::sphinx::KeyRotation;

/// Something kept.
#[derive(Clone, PartialEq)]
pub(in crate::client) enum Entry {
    Registration(Registration),
    /// Our tag towards a recipient. Conversations are numbered in the order they began.
    Contact {
        conversation: u64,
        recipient: Recipient,
        tag: SenderTag,
    },
    /// The key of a SURB of this rotation given to a recipient, in this conversation.
    ReplyKey {
        key: ReplyKey,
        recipient: Recipient,
        conversation: u64,
        rotation: u32,
    },
    /// Somebody who wrote anonymously, and whether the application has answered.
    Peer {
        tag: SenderTag,
        is_answered: bool,
    },
    /// A SURB of a correspondent; numbered in the order they came. Its rotation may be unknown.
    Surb {
        tag: SenderTag,
        number: u64,
        stamp: KeyRotation,
        rotation: Option<u32>,
        surb: SurbBytes,
    },
    /// A fragment set of a message that was received: a hash of each fragment.
    Finished {
        origin: Origin,
        set: SetId,
        hashes: Box<[u64]>,
    },
}

/// What names an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::client) enum EntryKey {
    Registration(IdentityKey),
    Contact(u64),
    ReplyKey(ReplyDigest),
    Peer(SenderTag),
    Surb(SenderTag, u64),
    Finished(Origin, SetId),
}

impl Entry {
    pub(in crate::client) fn key(&self) -> EntryKey {
        match self {
            Self::Registration(registration) => EntryKey::Registration(registration.gateway),
            Self::Contact { conversation, .. } => EntryKey::Contact(*conversation),
            Self::ReplyKey { key, .. } => EntryKey::ReplyKey(key.digest()),
            Self::Peer { tag, .. } => EntryKey::Peer(*tag),
            Self::Surb { tag, number, .. } => EntryKey::Surb(*tag, *number),
            Self::Finished { origin, set, .. } => EntryKey::Finished(*origin, *set),
        }
    }
}

/// A SURB with its key, encoded. Decodes for sure.
#[derive(Clone, PartialEq)]
pub(in crate::client) struct SurbBytes(Zeroizing<Vec<u8>>);

impl SurbBytes {
    pub(in crate::client) fn new(surb: &ReplySurb) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(surb.encoded_len()));
        surb.encode(&mut bytes);
        Self(bytes)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        ReplySurb::decode(bytes).ok()?;
        Some(Self(Zeroizing::new(bytes.to_vec())))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(in crate::client) fn decode(&self) -> Option<ReplySurb> {
        ReplySurb::decode(&self.0).ok()
    }
}
