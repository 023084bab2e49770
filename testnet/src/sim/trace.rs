//! A running hash of everything that happens.

use core::fmt::{self, Write};

/// Not cryptographic; the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct TraceHash(u64);

impl TraceHash {
    pub(super) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        self.word(rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }

    /// Hashes what `value` prints.
    pub(super) fn debug(&mut self, value: &dyn fmt::Debug) {
        // hashing does not fail
        let _ = write!(self, "{value:?}");
    }

    /// The hash of everything so far.
    pub(super) const fn value(&self) -> u64 {
        // small differences at the end reach all bits
        let x = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        x ^ (x >> 32)
    }
}

impl Write for TraceHash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
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
                trace.bytes(part);
            }
            trace.value()
        };
        assert_eq!(hash(&[b"first", b"second"]), hash(&[b"first", b"second"]));
        let others: [&[&[u8]]; 4] =
            [&[b"second", b"first"], &[b"first", b"Second"], &[b"firsts", b"econd"], &[]];
        assert!(others.iter().all(|parts| hash(parts) != hash(&[b"first", b"second"])));
    }
}
