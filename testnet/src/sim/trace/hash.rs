//! A running hash of everything that happens.

use super::Fields;
use crate::checksum::checksum;

/// Not cryptographic; the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct TraceHash(u64);

impl TraceHash {
    pub(super) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn of(content: &[u8]) -> u64 {
        let mut hash = Self::new();
        hash.add_bytes(content);
        hash.value()
    }

    pub(super) fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(u64::from_le_bytes(checksum(bytes)));
    }

    /// The hash of everything so far.
    pub(super) const fn value(&self) -> u64 {
        // small differences at the end reach all bits
        let x = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        x ^ (x >> 32)
    }
}

/// Names do not count: they are the same wherever the kind of the record is.
impl Fields for TraceHash {
    fn word(&mut self, _: &'static str, value: u64) {
        self.add(value);
    }

    fn text(&mut self, _: &'static str, value: &str) {
        self.add_bytes(value.as_bytes());
    }

    fn bytes(&mut self, _: &'static str, value: &[u8]) {
        self.add_bytes(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_order_count() {
        let hash = |parts: &[&[u8]]| {
            let mut trace = TraceHash::new();
            for part in parts {
                trace.add_bytes(part);
            }
            trace.value()
        };
        assert_eq!(hash(&[b"first", b"second"]), hash(&[b"first", b"second"]));
        let others: [&[&[u8]]; 4] =
            [&[b"second", b"first"], &[b"first", b"Second"], &[b"firsts", b"econd"], &[]];
        assert!(others.iter().all(|parts| hash(parts) != hash(&[b"first", b"second"])));
    }

    #[test]
    fn the_hash_of_given_bytes_never_changes() {
        assert_eq!(TraceHash::of(b"three rotations"), 487_931_513_682_501_948);
    }
}
