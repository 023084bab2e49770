//! Which bytes of a message go into which fragment. (protocol: messages 6.3)

use core::ops::Range;

use super::ack::SURB_ACK_LEN;
use super::cipher::CIPHER_PREFIX;
use super::fragment::{FragmentHeader, SET_FRAGMENTS_MAX};
use super::set_id::SetId;
use crate::sphinx::PacketSize;

/// Room for one fragment, header included, in a packet: what ack and cipher prefix leave of the
/// plaintext. 1611 bytes in a regular packet; 0 in an ack packet, which carries no fragments.
/// (protocol: messages 10)
#[must_use]
pub const fn fragment_room(size: PacketSize) -> usize {
    size.plaintext_len().saturating_sub(SURB_ACK_LEN + CIPHER_PREFIX)
}

/// How a message is padded and cut into fragments. Arithmetic only: it holds no bytes, and finding
/// a fragment's place takes constant time.
///
/// Offsets are those of the padded message: the serialised message, one byte 0x01, zeros. Every
/// fragment is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentPlan {
    /// Payload of an unlinked fragment; that of a linked one is 3 bytes less.
    unlinked: usize,
    sets: usize,
    fragments: usize,
}

const PER_SET: usize = SET_FRAGMENTS_MAX as usize;
/// What a link costs: the difference of the two header lengths.
const LINK: usize = FragmentHeader::LINKED_LEN - FragmentHeader::UNLINKED_LEN;

impl FragmentPlan {
    /// The plan for a serialised message of `message_len` bytes (without padding) in packets of
    /// one size. Ack packets have no room for fragments: their plan has none.
    #[must_use]
    pub const fn new(message_len: usize, size: PacketSize) -> Self {
        match Self::with_room(message_len, fragment_room(size)) {
            Some(plan) => plan,
            None => Self { unlinked: 0, sets: 0, fragments: 0 },
        }
    }

    /// The plan for fragments of `room` bytes, header included. `None` if `room` does not hold a
    /// linked header and one byte.
    #[must_use]
    pub const fn with_room(message_len: usize, room: usize) -> Option<Self> {
        if room <= FragmentHeader::LINKED_LEN || room > usize::MAX / PER_SET / 2 {
            return None;
        }
        let unlinked = room - FragmentHeader::UNLINKED_LEN;
        let linked = room - FragmentHeader::LINKED_LEN;
        // the padding has at least its mark
        let len = message_len.saturating_add(1);
        let full = PER_SET * unlinked;
        if len <= full {
            return Some(Self { unlinked, sets: 1, fragments: len.div_ceil(unlinked) });
        }
        let (edge, middle) = (full - LINK, full - 2 * LINK);
        // between the two edge sets lie as many middle ones as are needed
        let between = len.saturating_sub(2 * edge).div_ceil(middle);
        let in_last_set = len - edge - between * middle;
        let fragments_of_last_set = 1 + in_last_set.saturating_sub(linked).div_ceil(unlinked);
        Some(Self {
            unlinked,
            sets: between + 2,
            fragments: (between + 1) * PER_SET + fragments_of_last_set,
        })
    }

    /// Number of fragments, which is the number of packets.
    #[must_use]
    pub const fn fragments(&self) -> usize {
        self.fragments
    }

    /// Number of fragment sets: one per 255 fragments.
    #[must_use]
    pub const fn sets(&self) -> usize {
        self.sets
    }

    /// Length of the padded message: the sum of all fragments' payloads.
    #[must_use]
    pub const fn padded_len(&self) -> usize {
        // each of the links between two sets costs room on both of its sides
        let links = 2 * LINK * self.sets.saturating_sub(1);
        self.fragments.saturating_mul(self.unlinked).saturating_sub(links)
    }

    /// Fragment number `index` (from 0): its header, and the range of the padded message that is
    /// its payload. `None` if there is no such fragment, if `set_ids` does not have one id per set
    /// or if two neighbouring sets have the same id.
    #[must_use]
    pub fn place(&self, index: usize, set_ids: &[SetId]) -> Option<(FragmentHeader, Range<usize>)> {
        if index >= self.fragments || set_ids.len() != self.sets {
            return None;
        }
        let (set_index, offset) = (index / PER_SET, index % PER_SET);
        let set_id = |i: usize| set_ids.get(i).copied();
        let previous = set_index.checked_sub(1).and_then(set_id);
        let next = set_id(set_index + 1);
        let header = FragmentHeader {
            set: set_id(set_index)?,
            total: u8::try_from((self.fragments - set_index * PER_SET).min(PER_SET)).ok()?,
            position: u8::try_from(offset + 1).ok()?,
            previous: previous.filter(|_| offset == 0),
            next: next.filter(|_| offset + 1 == PER_SET),
        };
        let header = header.checked().ok()?;
        // all links passed so far shorten what lies before this fragment
        let links_before =
            (2 * set_index).saturating_sub(usize::from(offset == 0 && set_index > 0));
        let start = (index * self.unlinked).checked_sub(links_before * LINK)?;
        let linked = header.previous.is_some() || header.next.is_some();
        let len = self.unlinked - if linked { LINK } else { 0 };
        Some((header, start..start.checked_add(len)?))
    }

    /// The number of the fragment at `position` (from 1) of set number `set_index` (from 0).
    #[must_use]
    pub fn index_of(&self, set_index: usize, position: u8) -> Option<usize> {
        let offset = usize::from(position).checked_sub(1)?;
        let index = set_index.checked_mul(PER_SET)?.checked_add(offset)?;
        (index < self.fragments).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> Vec<SetId> {
        (1..=count as u32).filter_map(SetId::new).collect()
    }

    proptest! {
        #[test]
        fn fragments_are_full_and_cover_the_padded_message_without_gaps(
            len in 0..40_000usize,
            room in 11..40usize,
        ) {
            let plan = FragmentPlan::with_room(len, room).unwrap();
            let ids = ids(plan.sets());
            let mut end = 0;
            for index in 0..plan.fragments() {
                let (header, range) = plan.place(index, &ids).unwrap();
                prop_assert_eq!(header.checked(), Ok(header));
                prop_assert_eq!(header.encoded_len() + range.len(), room);
                prop_assert_eq!(range.start, end);
                let set_index = header.set.get() as usize - 1;
                prop_assert_eq!(plan.index_of(set_index, header.position), Some(index));
                end = range.end;
            }
            prop_assert_eq!(end, plan.padded_len());
            prop_assert!(end > len && end - len <= room);
            prop_assert_eq!(plan.place(plan.fragments(), &ids), None);
        }

        #[test]
        fn no_length_or_index_panics(len: usize, room: usize, index: usize, position: u8) {
            for len in [len, usize::MAX - (len & 0xfff)] {
                for size in PacketSize::ALL {
                    let plan = FragmentPlan::new(len, size);
                    prop_assert!(plan.place(index, &ids(2)).is_none() || plan.sets() == 2);
                    let _ = plan.index_of(index, position);
                    let _ = plan.padded_len();
                }
                let _ = FragmentPlan::with_room(len, room).map(|plan| plan.padded_len());
            }
        }
    }

    #[test]
    fn rooms_are_what_ack_and_prefix_leave_of_the_plaintext() {
        let rooms = PacketSize::ALL.map(fragment_room);
        assert_eq!(rooms, [0, 1611, 7755, 15947, 32331]);
        assert_eq!(FragmentPlan::new(10, PacketSize::Ack).fragments(), 0);
    }

    #[test]
    fn neighbouring_sets_with_one_id_are_refused() {
        let plan = FragmentPlan::with_room(5000, 24).unwrap();
        let id = SetId::new(7).unwrap();
        assert_eq!(plan.place(254, &[id, id]), None);
        assert_eq!(plan.place(0, &[id]), None);
    }
}
