//! The header of a fragment. (protocol: messages 6.1)

use thiserror::Error;

use super::set_id::{FragmentId, SET_FLAG, SetId};

/// Most fragments a set can have.
pub(super) const SET_FRAGMENTS_MAX: u8 = u8::MAX;

/// Why bytes are no fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// The header is cut short.
    #[error("{0} bytes are too few for a fragment header")]
    Length(usize),
    /// The top bit of the first byte is clear.
    #[error("the first bit says that this is no fragment")]
    Flag,
    /// The set id, or the id of the linked set, is zero.
    #[error("a set id is zero")]
    SetId,
    /// The set has no fragments, or the position is not inside the set.
    #[error("position {position} is not in a set of {total} fragments")]
    Position {
        /// Position found.
        position: u8,
        /// Fragments in the set.
        total: u8,
    },
    /// The byte that tells linked from unlinked headers is neither.
    #[error("byte 6 is {0:#04x}, neither zero nor the beginning of a link")]
    LinkFlag(u8),
    /// Only the first fragment, and the last one of a full set, can be linked.
    #[error("fragment {position} of {total} cannot be linked")]
    LinkPosition {
        /// Position found.
        position: u8,
        /// Fragments in the set.
        total: u8,
    },
    /// The set is linked to itself.
    #[error("a set is linked to itself")]
    SelfLink,
}

/// The header of a fragment.
///
/// [`new`](Self::new), [`decode`](Self::decode) and [`FragmentPlan::place`](super::FragmentPlan::place)
/// give headers that keep all rules of the format; a header put together by hand may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentHeader {
    /// The set the fragment belongs to.
    pub set: SetId,
    /// Number of fragments in the set, at least 1.
    pub total: u8,
    /// Position in the set, 1 to `total`.
    pub position: u8,
    /// The set before this one; only in fragment 1.
    pub previous: Option<SetId>,
    /// The set after this one; only in fragment 255 of 255.
    pub next: Option<SetId>,
}

impl FragmentHeader {
    /// Length of a header without a link.
    pub const UNLINKED_LEN: usize = 7;
    /// Length of a header with a link, the longest.
    pub const LINKED_LEN: usize = 10;

    /// A header without links.
    pub fn new(set: SetId, total: u8, position: u8) -> Result<Self, FragmentError> {
        Self { set, total, position, previous: None, next: None }.checked()
    }

    /// This header if it keeps the rules of the format.
    pub fn checked(self) -> Result<Self, FragmentError> {
        let Self { set, total, position, previous, next } = self;
        if position == 0 || position > total {
            return Err(FragmentError::Position { position, total });
        }
        let last_of_full = total == SET_FRAGMENTS_MAX && position == SET_FRAGMENTS_MAX;
        if (previous.is_some() && position != 1) || (next.is_some() && !last_of_full) {
            return Err(FragmentError::LinkPosition { position, total });
        }
        if previous == Some(set) || next == Some(set) {
            return Err(FragmentError::SelfLink);
        }
        Ok(self)
    }

    /// The fragment's name.
    #[must_use]
    pub const fn id(&self) -> FragmentId {
        FragmentId { set: self.set, position: self.position }
    }

    /// Length of the encoded form: 7, or 10 with a link.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match (self.previous, self.next) {
            (None, None) => Self::UNLINKED_LEN,
            _ => Self::LINKED_LEN,
        }
    }

    /// Writes the header to the front of `out` and returns its length, 7 or 10. Writes nothing and
    /// returns 0 if `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> usize {
        let (bytes, len) = self.to_bytes();
        match (out.get_mut(..len), bytes.get(..len)) {
            (Some(out), Some(bytes)) => {
                out.copy_from_slice(bytes);
                len
            }
            _ => 0,
        }
    }

    /// Reads a header, and returns it with the payload that follows it (possibly empty).
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), FragmentError> {
        let short = FragmentError::Length(bytes.len());
        let (&[a, b, c, d, total, position, link], payload) =
            bytes.split_first_chunk().ok_or(short)?;
        let word = u32::from_be_bytes([a, b, c, d]);
        if word & SET_FLAG == 0 {
            return Err(FragmentError::Flag);
        }
        let set = SetId::new(word ^ SET_FLAG).ok_or(FragmentError::SetId)?;
        let mut header = Self::new(set, total, position)?;
        if link == 0 {
            return Ok((header, payload));
        }
        if link & 0x80 == 0 {
            return Err(FragmentError::LinkFlag(link));
        }
        let (&[b, c, d], payload) = payload.split_first_chunk().ok_or(short)?;
        let linked =
            SetId::new(u32::from_be_bytes([link & 0x7f, b, c, d])).ok_or(FragmentError::SetId)?;
        if position == 1 {
            header.previous = Some(linked);
        } else {
            header.next = Some(linked);
        }
        Ok((header.checked()?, payload))
    }

    fn to_bytes(self) -> ([u8; Self::LINKED_LEN], usize) {
        let [a, b, c, d] = (self.set.get() | SET_FLAG).to_be_bytes();
        let link = self.previous.or(self.next);
        let [e, f, g, h] = link.map_or([0; 4], |set| (set.get() | SET_FLAG).to_be_bytes());
        let bytes = [a, b, c, d, self.total, self.position, e, f, g, h];
        (bytes, self.encoded_len())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every header that keeps the rules.
    pub(crate) fn headers() -> impl Strategy<Value = FragmentHeader> {
        (1..SET_FLAG, 1..=255u8, 0..=254u8, prop::option::of(1..SET_FLAG), any::<bool>())
            .prop_filter_map("no such header", |(set, total, position, link, end)| {
                let link = link.and_then(SetId::new);
                let (total, position) = match (link, end) {
                    (None, _) => (total, position % total + 1),
                    (Some(_), false) => (total, 1),
                    (Some(_), true) => (255, 255),
                };
                let mut header = FragmentHeader::new(SetId::new(set)?, total, position).ok()?;
                if end {
                    header.next = link;
                } else {
                    header.previous = link;
                }
                header.checked().ok()
            })
    }

    proptest! {
        #[test]
        fn a_header_reads_back_as_it_was_written(header in headers(), payload: Vec<u8>) {
            let mut bytes = vec![0; header.encoded_len()];
            prop_assert_eq!(header.encode(&mut bytes), bytes.len());
            bytes.extend(&payload);

            prop_assert_eq!(FragmentHeader::decode(&bytes), Ok((header, &payload[..])));
        }

        #[test]
        fn a_header_cut_short_is_refused(header in headers()) {
            let mut bytes = [0; 10];
            let len = header.encode(&mut bytes);
            for cut in 0..len {
                prop_assert_eq!(
                    FragmentHeader::decode(&bytes[..cut]),
                    Err(FragmentError::Length(cut))
                );
                prop_assert_eq!(header.encode(&mut vec![0; cut]), 0);
            }
        }

        #[test]
        fn a_header_with_a_flipped_bit_is_refused_or_another_header(
            header in headers(),
            bit in 0..80usize,
        ) {
            let mut bytes = [0; 10];
            let len = header.encode(&mut bytes);
            bytes[bit % (8 * len) / 8] ^= 1 << (bit % 8);
            if let Ok((other, payload)) = FragmentHeader::decode(&bytes) {
                prop_assert_ne!(other, header);
                let mut again = [0; 10];
                let other_len = other.encode(&mut again);
                prop_assert_eq!(&again[..other_len], &bytes[..other_len]);
                prop_assert_eq!(payload, &bytes[other_len..]);
            }
        }

        #[test]
        fn random_bytes_never_panic_and_what_is_accepted_writes_back_equal(
            bytes in prop::collection::vec(any::<u8>(), 0..32),
            fix: bool,
        ) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (fix, bytes.first_mut()) {
                *first |= 0x80;
            }
            if let Ok((header, payload)) = FragmentHeader::decode(&bytes) {
                let mut again = vec![0; header.encoded_len()];
                header.encode(&mut again);
                again.extend(payload);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
