//! Entries as bytes. All numbers are big-endian.
//!
//! ```text
//! key    kind (1) ‖ what names the entry
//! value  version (1) ‖ written at, ns since 1970 (8) ‖ content ‖ BLAKE3(key ‖ all before) (8)
//! ```
//!
//! An entry of another version is not understood, and kept as it is for whoever does.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::super::Registration;
use super::change::Change;
use super::entry::{Entry, EntryKey, SurbBytes};
use crate::address::Recipient;
use crate::gateway::SharedKey;
use crate::identity::IdentityKey;
use crate::message::{Origin, ReplyKey, SenderTag, SetId};
use crate::sphinx::KeyRotation;
use crate::time::UnixTime;

const VERSION: u8 = 1;
const CHECK_LEN: usize = 8;
/// More than the content of most entries takes.
const CONTENT_MAX: usize = 160;

pub(super) const REGISTRATION: u8 = 1;
const CONTACT: u8 = 2;
const REPLY_KEY: u8 = 3;
const PEER: u8 = 4;
const SURB: u8 = 5;
const FINISHED: u8 = 6;

const OPEN: u8 = 0;
const REPLY: u8 = 1;

pub(super) fn encode_key(key: &EntryKey) -> Box<[u8]> {
    let mut out = Vec::with_capacity(Change::KEY_MAX);
    match key {
        EntryKey::Registration(gateway) => {
            out.push(REGISTRATION);
            out.extend_from_slice(gateway.as_bytes());
        }
        EntryKey::Contact(conversation) => {
            out.push(CONTACT);
            out.extend_from_slice(&conversation.to_be_bytes());
        }
        EntryKey::ReplyKey(digest) => {
            out.push(REPLY_KEY);
            out.extend_from_slice(digest.as_bytes());
        }
        EntryKey::Peer(tag) => {
            out.push(PEER);
            out.extend_from_slice(tag.as_bytes());
        }
        EntryKey::Surb(tag, number) => {
            out.push(SURB);
            out.extend_from_slice(tag.as_bytes());
            out.extend_from_slice(&number.to_be_bytes());
        }
        EntryKey::Finished(origin, set) => {
            out.push(FINISHED);
            match origin {
                Origin::Open => out.push(OPEN),
                Origin::Reply(conversation) => {
                    out.push(REPLY);
                    out.extend_from_slice(&conversation.to_be_bytes());
                }
            }
            out.extend_from_slice(&set.get().to_be_bytes());
        }
    }
    out.into()
}

pub(super) fn encode(written_at: UnixTime, entry: &Entry) -> Change {
    let key = encode_key(&entry.key());
    let content_max = match entry {
        Entry::Surb { surb, .. } => CONTENT_MAX + surb.as_bytes().len(),
        Entry::Finished { hashes, .. } => CONTENT_MAX + size_of_val(&**hashes),
        _ => CONTENT_MAX,
    };
    // with room for everything, so that growing leaves no copies behind
    let mut out = Zeroizing::new(Vec::with_capacity(9 + content_max + CHECK_LEN));
    out.push(VERSION);
    out.extend_from_slice(&written_at.as_nanos().to_be_bytes());
    match entry {
        Entry::Registration(registration) => {
            out.extend_from_slice(registration.shared_key.as_bytes());
            out.extend_from_slice(&registration.last_authentication.to_be_bytes());
        }
        Entry::Contact { recipient, tag, .. } => {
            out.extend_from_slice(&recipient.to_bytes());
            out.extend_from_slice(tag.as_bytes());
        }
        Entry::ReplyKey { key, recipient, conversation, rotation } => {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&recipient.to_bytes());
            out.extend_from_slice(&conversation.to_be_bytes());
            out.extend_from_slice(&rotation.to_be_bytes());
        }
        Entry::Peer { is_answered, .. } => out.push((*is_answered).into()),
        Entry::Surb { stamp, rotation, surb, .. } => {
            out.push(stamp.to_byte());
            out.push(rotation.is_some().into());
            out.extend_from_slice(&rotation.unwrap_or_default().to_be_bytes());
            out.extend_from_slice(surb.as_bytes());
        }
        Entry::Finished { hashes, .. } => {
            for hash in hashes {
                out.extend_from_slice(&hash.to_be_bytes());
            }
        }
    }
    let check = check(&key, &out);
    out.extend_from_slice(&check);
    Change::put(key, out)
}

/// The recipients read so far: many entries name the same few, and to check the keys of one takes
/// longer than to read all the rest.
#[derive(Default)]
pub(super) struct Recipients(BTreeMap<[u8; Recipient::SIZE], Recipient>);

impl Recipients {
    fn read(&mut self, bytes: &[u8; Recipient::SIZE]) -> Option<Recipient> {
        if let Some(known) = self.0.get(bytes) {
            return Some(*known);
        }
        let recipient = Recipient::from_bytes(bytes).ok()?;
        self.0.insert(*bytes, recipient);
        Some(recipient)
    }
}

/// `None`: damaged, or written by another version.
pub(super) fn decode(
    key: &[u8],
    value: &[u8],
    recipients: &mut Recipients,
) -> Option<(UnixTime, Entry)> {
    let (checked, found) = value.split_last_chunk::<CHECK_LEN>()?;
    let (&[VERSION], rest) = checked.split_first_chunk::<1>()? else {
        return None;
    };
    if check(key, checked) != *found {
        return None;
    }
    let (nanos, content) = rest.split_first_chunk::<8>()?;
    let written_at = UnixTime::from_nanos(u64::from_be_bytes(*nanos));
    let (&kind, name) = key.split_first()?;
    let entry = match kind {
        REGISTRATION => registration(name, content),
        CONTACT => contact(name, content, recipients),
        REPLY_KEY => reply_key(content, recipients),
        PEER => peer(name, content),
        SURB => surb(name, content),
        FINISHED => finished(name, content),
        _ => None,
    }?;
    (*encode_key(&entry.key()) == *key).then_some((written_at, entry))
}

fn registration(name: &[u8], content: &[u8]) -> Option<Entry> {
    let (key, rest) = content.split_first_chunk::<32>()?;
    Some(Entry::Registration(Registration {
        gateway: IdentityKey::from_bytes(name.try_into().ok()?).ok()?,
        shared_key: SharedKey::from_bytes(*key),
        last_authentication: u64::from_be_bytes(rest.try_into().ok()?),
    }))
}

fn contact(name: &[u8], content: &[u8], recipients: &mut Recipients) -> Option<Entry> {
    let (recipient, rest) = content.split_first_chunk::<{ Recipient::SIZE }>()?;
    Some(Entry::Contact {
        conversation: u64::from_be_bytes(name.try_into().ok()?),
        recipient: recipients.read(recipient)?,
        tag: tag(rest)?,
    })
}

fn reply_key(content: &[u8], recipients: &mut Recipients) -> Option<Entry> {
    let (key, rest) = content.split_first_chunk::<{ ReplyKey::SIZE }>()?;
    let (recipient, rest) = rest.split_first_chunk::<{ Recipient::SIZE }>()?;
    let (conversation, rotation) = rest.split_first_chunk()?;
    Some(Entry::ReplyKey {
        key: ReplyKey::from_bytes(*key),
        recipient: recipients.read(recipient)?,
        conversation: u64::from_be_bytes(*conversation),
        rotation: u32::from_be_bytes(rotation.try_into().ok()?),
    })
}

fn peer(name: &[u8], content: &[u8]) -> Option<Entry> {
    let &[is_answered] = content else { return None };
    Some(Entry::Peer { tag: tag(name)?, is_answered: flag(is_answered)? })
}

fn surb(name: &[u8], content: &[u8]) -> Option<Entry> {
    let (name, number) = name.split_first_chunk::<{ SenderTag::SIZE }>()?;
    let (&[stamp, is_known], rest) = content.split_first_chunk()?;
    let (rotation, surb) = rest.split_first_chunk()?;
    Some(Entry::Surb {
        tag: SenderTag::from_bytes(*name),
        number: u64::from_be_bytes(number.try_into().ok()?),
        stamp: KeyRotation::from_byte(stamp)?,
        rotation: flag(is_known)?.then_some(u32::from_be_bytes(*rotation)),
        surb: SurbBytes::from_bytes(surb)?,
    })
}

fn finished(name: &[u8], content: &[u8]) -> Option<Entry> {
    let (origin, set) = match name.split_first()? {
        (&OPEN, rest) => (Origin::Open, rest),
        (&REPLY, rest) => {
            let (conversation, rest) = rest.split_first_chunk()?;
            (Origin::Reply(u64::from_be_bytes(*conversation)), rest)
        }
        _ => return None,
    };
    let set = SetId::new(u32::from_be_bytes(set.try_into().ok()?))?;
    let (hashes, []) = content.as_chunks() else {
        return None;
    };
    let is_set = (1..=usize::from(u8::MAX)).contains(&hashes.len());
    let hashes = hashes.iter().map(|hash| u64::from_be_bytes(*hash)).collect();
    is_set.then_some(Entry::Finished { origin, set, hashes })
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn tag(bytes: &[u8]) -> Option<SenderTag> {
    Some(SenderTag::from_bytes(bytes.try_into().ok()?))
}

/// Tells damage, not malice: whoever can write to the store holds the keys.
fn check(key: &[u8], value: &[u8]) -> [u8; CHECK_LEN] {
    let mut hasher = blake3::Hasher::new();
    // keys of one kind have one length, but for an origin that tells its own
    hasher.update(key).update(value);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    [a, b, c, d, e, f, g, h]
}
