//! Remembers which packets a node has seen. (protocol: sphinx 13.3)

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashSet;

use nym_proto::sphinx::ReplayTag;

/// Tags are outputs of a hash function already: some of their bytes will do.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Tags folded to half their length: two that differ become alike with a probability of 2^-128.
type Tags = HashSet<u128, BuildHasherDefault<FirstBytes>>;

fn shortened(tag: ReplayTag) -> u128 {
    let (halves, _) = tag.0.as_chunks();
    halves.iter().fold(0, |short, half| short ^ u128::from_le_bytes(*half))
}

/// A bounded set of replay tags. When it is full the older half is forgotten.
#[derive(Debug)]
pub struct ReplayFilter {
    current: Tags,
    previous: Tags,
    half: usize,
}

impl ReplayFilter {
    /// A filter that holds at most `tags_max` tags of 32 bytes, and at least half as many of the
    /// newest.
    #[must_use]
    pub fn new(tags_max: usize) -> Self {
        Self { current: Tags::default(), previous: Tags::default(), half: (tags_max / 2).max(1) }
    }

    /// Records a tag. False if it was there already.
    pub fn insert(&mut self, tag: ReplayTag) -> bool {
        let tag = shortened(tag);
        if self.previous.contains(&tag) || !self.current.insert(tag) {
            return false;
        }
        if self.current.len() >= self.half {
            self.previous = core::mem::take(&mut self.current);
        }
        true
    }

    /// Number of tags remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// True if nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u16) -> ReplayTag {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        ReplayTag(bytes)
    }

    #[test]
    fn a_tag_is_new_only_once() {
        let mut filter = ReplayFilter::new(100);
        assert!(filter.insert(tag(1)));
        assert!(filter.insert(tag(2)));
        assert!(!filter.insert(tag(1)));
    }

    #[test]
    fn the_filter_stays_bounded_and_keeps_the_newest_half() {
        let mut filter = ReplayFilter::new(100);
        for n in 0..1000 {
            assert!(filter.insert(tag(n)));
            assert!(filter.len() <= 100);
        }
        assert!((951..1000).all(|n| !filter.insert(tag(n))));
    }
}
