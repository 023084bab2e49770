//! Bytes as decisions, and decisions as bytes.
//!
//! A target that takes a structure reads it with [`Input`]; the seeds of its corpus are written
//! with [`Script`], method for method. Every byte sequence is some structure: what is missing at
//! the end reads as zero.

/// What is left of a fuzzer's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// True if nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    /// Up to `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    /// Two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Four bytes.
    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Eight bytes.
    pub fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A byte as yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A byte as one of `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()).checked_rem(n).unwrap_or(0)
    }

    /// A byte as one of these.
    pub fn one_of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[self.below(N)]
    }

    /// Bytes with their length in front.
    pub fn chunk(&mut self) -> &'a [u8] {
        let len = self.short();
        self.take(len.into())
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// Changes `bytes` in up to three places, or its length; often not at all. The same input
    /// changes them in the same way.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            let (kind, at) = (self.byte(), usize::from(self.short()));
            let len = bytes.len();
            match (kind % 5, bytes.get_mut(at.checked_rem(len).unwrap_or(0))) {
                (0, Some(byte)) => *byte ^= self.byte(),
                (1, Some(byte)) => *byte = self.byte(),
                (2, _) => bytes.truncate(at),
                (3, _) => {
                    bytes.splice(at.min(len)..at.min(len), self.chunk().to_vec()).for_each(drop)
                }
                (4, _) => {
                    let new = self.chunk();
                    let end = at.saturating_add(new.len()).min(len);
                    let at = at.min(len);
                    bytes.splice(at..end, new.to_vec()).for_each(drop);
                }
                _ => {}
            }
        }
    }
}

/// Writes what an [`Input`] reads.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<u8>);

impl Script {
    /// Nothing so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// These bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// One byte; for flags and choices as well.
    #[must_use]
    pub fn byte(self, byte: u8) -> Self {
        self.raw([byte])
    }

    /// Two bytes.
    #[must_use]
    pub fn short(self, short: u16) -> Self {
        self.raw(short.to_le_bytes())
    }

    /// Four bytes.
    #[must_use]
    pub fn word(self, word: u32) -> Self {
        self.raw(word.to_le_bytes())
    }

    /// Eight bytes.
    #[must_use]
    pub fn long(self, long: u64) -> Self {
        self.raw(long.to_le_bytes())
    }

    /// Bytes with their length in front.
    #[must_use]
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.short(bytes.len() as u16).raw(bytes)
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}
