//! One set of fragments that is not a message yet.

use super::super::fragment::FragmentHeader;
use super::super::set_id::SetId;
use super::{DropReason, Hashes};

/// Allowances for bookkeeping around one set and around one fragment, in bytes.
const SET_CHARGE: usize = 256;
const FRAGMENT_CHARGE: usize = 64;

/// A short hash of a fragment: header and payload.
pub(super) fn fragment_hash(header: &FragmentHeader, payload: &[u8]) -> u64 {
    let mut bytes = [0; FragmentHeader::LINKED_LEN];
    header.encode(&mut bytes);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes).update(payload);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Whether the place of a fragment is free.
pub(super) enum Placed {
    /// It is.
    Free,
    /// The same fragment is there.
    Already,
}

/// The fragments of a set that have come, in order of position.
#[derive(Debug)]
pub(super) struct PendingSet {
    total: u8,
    slots: Vec<Slot>,
    payload_len: usize,
    previous: Option<SetId>,
    next: Option<SetId>,
}

#[derive(Debug)]
struct Slot {
    position: u8,
    hash: u64,
    payload: Box<[u8]>,
}

impl PendingSet {
    pub(super) fn new(total: u8) -> Self {
        Self { total, slots: Vec::new(), payload_len: 0, previous: None, next: None }
    }

    /// Whether the fragment belongs here and its place is free.
    pub(super) fn check(&self, header: &FragmentHeader, hash: u64) -> Result<Placed, DropReason> {
        let (known, given) = (self.total, header.total);
        if known != given {
            return Err(DropReason::TotalMismatch { known, given });
        }
        match self.find(header.position).map(|i| self.slots.get(i)) {
            Err(_) => Ok(Placed::Free),
            Ok(Some(slot)) if slot.hash == hash => Ok(Placed::Already),
            Ok(_) => Err(DropReason::Conflict(header.position)),
        }
    }

    /// Puts a fragment to its place, if that is free.
    pub(super) fn place(&mut self, header: &FragmentHeader, hash: u64, payload: &[u8]) {
        let Err(index) = self.find(header.position) else {
            return;
        };
        let slot = Slot { position: header.position, hash, payload: payload.into() };
        self.slots.insert(index, slot);
        self.payload_len += payload.len();
        self.previous = self.previous.or(header.previous);
        self.next = self.next.or(header.next);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.slots.len() == usize::from(self.total)
    }

    /// True if no fragment here names another set.
    pub(super) fn is_unlinked(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }

    /// Fragments here.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn payload_len(&self) -> usize {
        self.payload_len
    }

    /// Bytes the set counts for.
    pub(super) fn charge(&self) -> usize {
        SET_CHARGE + self.slots.len() * FRAGMENT_CHARGE + self.payload_len
    }

    pub(super) fn previous(&self) -> Option<SetId> {
        self.previous
    }

    pub(super) fn next(&self) -> Option<SetId> {
        self.next
    }

    /// Appends all payloads to `message`, freeing them one by one, and returns the hashes.
    pub(super) fn append_to(self, message: &mut Vec<u8>) -> Hashes {
        let append = |slot: Slot| {
            message.extend_from_slice(&slot.payload);
            slot.hash
        };
        self.slots.into_iter().map(append).collect()
    }

    fn find(&self, position: u8) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&position, |slot| slot.position)
    }
}
