//! Names: of fragment sets, of fragments, and of what an ack confirms. (protocol: messages 6.2)

use core::fmt;

use crate::entropy::Stream;

/// Bit 31 of a set id's word: set in fragment headers, clear in acks.
pub(super) const SET_FLAG: u32 = 1 << 31;

/// Names a set of up to 255 fragments: 1 to 2³¹−1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SetId(u32);

impl SetId {
    /// The id with the given number; `None` for 0 and for numbers of 2³¹ and more.
    #[must_use]
    pub const fn new(id: u32) -> Option<Self> {
        match id {
            0 | SET_FLAG.. => None,
            id => Some(Self(id)),
        }
    }

    /// Draws a uniform id.
    #[must_use]
    pub fn draw(stream: &mut Stream) -> Self {
        Self(stream.below(u64::from(SET_FLAG) - 1) as u32 + 1)
    }

    /// Draws `count` ids that differ from each other, in the order of drawing.
    #[must_use]
    pub fn draw_distinct(count: usize, stream: &mut Stream) -> Vec<Self> {
        let mut seen = std::collections::BTreeSet::new();
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count.min(SET_FLAG as usize - 1) {
            let id = Self::draw(stream);
            if seen.insert(id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetId({})", self.0)
    }
}

/// Names a fragment: its set and its position in it (1 to 255).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FragmentId {
    /// The fragment's set.
    pub set: SetId,
    /// The fragment's position in the set, from 1.
    pub position: u8,
}

impl FragmentId {
    /// Length of the binary form.
    pub const SIZE: usize = 5;

    /// The binary form: set id (big endian, top bit clear), position.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.set.0.to_be_bytes();
        [a, b, c, d, self.position]
    }
}

impl fmt::Display for FragmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @ {}", self.set.0, self.position)
    }
}

/// What an ack confirms.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AckId {
    /// A cover packet. Five zero bytes.
    Cover,
    /// A fragment.
    Fragment(FragmentId),
}

impl AckId {
    /// The binary form.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; FragmentId::SIZE] {
        match self {
            Self::Cover => [0; FragmentId::SIZE],
            Self::Fragment(id) => id.to_bytes(),
        }
    }

    /// Reads the binary form. `None` if the top bit is set, or if only one of set id and position
    /// is zero: no fragment has such a name.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; FragmentId::SIZE]) -> Option<Self> {
        let &[a, b, c, d, position] = bytes;
        match (u32::from_be_bytes([a, b, c, d]), position) {
            (0, 0) => Some(Self::Cover),
            (_, 0) => None,
            (id, position) => {
                SetId::new(id).map(|set| Self::Fragment(FragmentId { set, position }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read_as_an_id_that_writes_them_back(bytes: [u8; 5]) {
            if let Some(id) = AckId::from_bytes(&bytes) {
                prop_assert_eq!(id.to_bytes(), bytes);
            } else {
                prop_assert!(bytes[0] >= 0x80 || bytes[4] == 0 || bytes[..4] == [0; 4]);
            }
        }
    }

    #[test]
    fn set_ids_end_where_the_flag_begins() {
        assert_eq!(SetId::new(0), None);
        assert_eq!(SetId::new(SET_FLAG), None);
        assert_eq!(SetId::new(SET_FLAG - 1).map(SetId::get), Some(0x7fff_ffff));
    }

    #[test]
    fn drawn_set_ids_are_distinct_and_in_range() {
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Identifiers);
        let mut ids = SetId::draw_distinct(1000, &mut stream);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| SetId::new(id.get()).is_some()));
    }
}
