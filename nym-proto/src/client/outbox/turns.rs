//! Taking turns, with a bounded search for who can use the turn.

use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeSet;

/// Of those that stepped aside, how many are looked at again each time.
const RECALLED_MAX: usize = 8;

/// How many more looks a search may take.
#[derive(Debug)]
pub(super) struct Looks(u32);

impl Looks {
    pub(super) const fn new(looks: u32) -> Self {
        Self(looks)
    }

    /// Takes a look. False if there are none left.
    pub(super) const fn take(&mut self) -> bool {
        let is_left = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        is_left
    }

    const fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

/// Keys that take turns in their order. One that cannot use its turn steps aside, where it costs the
/// others nothing, and comes back when it can.
#[derive(Debug)]
pub(super) struct Turns<K> {
    active: BTreeSet<K>,
    aside: BTreeSet<K>,
    last: Option<K>,
    last_aside: Option<K>,
}

impl<K: Ord + Copy> Turns<K> {
    pub(super) const fn new() -> Self {
        Self { active: BTreeSet::new(), aside: BTreeSet::new(), last: None, last_aside: None }
    }

    /// Adds a key, or calls it back because something about it has changed.
    pub(super) fn insert(&mut self, key: K) {
        self.aside.remove(&key);
        self.active.insert(key);
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.aside.remove(key);
        self.active.remove(key);
    }

    /// Gives the turn to the next key for which `find` finds something.
    pub(super) fn take<T>(
        &mut self,
        looks: &mut Looks,
        find: &mut dyn FnMut(K, &mut Looks) -> Option<T>,
    ) -> Option<T> {
        for _ in 0..self.aside.len().min(RECALLED_MAX) {
            let key = after(&self.aside, self.last_aside)?;
            self.last_aside = Some(key);
            if let Some(found) = find(key, looks) {
                self.insert(key);
                return Some(found);
            }
        }
        for _ in 0..self.active.len() {
            let key = after(&self.active, self.last)?;
            self.last = Some(key);
            if let Some(found) = find(key, looks) {
                return Some(found);
            }
            if looks.is_spent() {
                // not known to be unable
                return None;
            }
            self.active.remove(&key);
            self.aside.insert(key);
        }
        None
    }
}

/// The key that comes after `last`, the first one if there is none.
pub(super) fn after<K: Ord + Copy>(keys: &BTreeSet<K>, last: Option<K>) -> Option<K> {
    let rest = last.and_then(|last| keys.range((Excluded(last), Unbounded)).next());
    rest.or_else(|| keys.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKS: u32 = 128;

    fn turns(keys: impl IntoIterator<Item = u32>) -> Turns<u32> {
        let mut turns = Turns::new();
        keys.into_iter().for_each(|key| turns.insert(key));
        turns
    }

    fn next(turns: &mut Turns<u32>, is_ready: impl Fn(u32) -> bool) -> Option<u32> {
        turns.take(&mut Looks::new(LOOKS), &mut |key, looks| {
            (looks.take() && is_ready(key)).then_some(key)
        })
    }

    #[test]
    fn all_get_their_turn() {
        let mut turns = turns(0..3);
        let order: Vec<_> = (0..6).filter_map(|_| next(&mut turns, |_| true)).collect();
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn two_that_are_ready_alternate_among_thousands_that_are_not() {
        let mut turns = turns(0..5000);
        let is_ready = |key: u32| key == 1000 || key == 4000;
        for _ in 0..1000 {
            next(&mut turns, is_ready);
        }
        let order: Vec<_> = (0..100).map(|_| next(&mut turns, is_ready).unwrap()).collect();
        assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
    }

    #[test]
    fn one_that_becomes_ready_again_comes_back_by_itself() {
        let mut turns = turns(0..1000);
        for _ in 0..50 {
            next(&mut turns, |key| key == 1);
        }
        let tries = (0..1000).position(|_| next(&mut turns, |key| key <= 1) == Some(0));
        assert!(tries.unwrap() <= 1000 / RECALLED_MAX, "{tries:?}");
    }

    #[test]
    fn a_search_takes_no_more_looks_than_it_may() {
        let mut turns = turns(0..1000);
        let mut looked = 0;
        let found = turns.take(&mut Looks::new(LOOKS), &mut |_, looks| {
            looked += u32::from(looks.take());
            None::<()>
        });
        assert_eq!((found, looked), (None, LOOKS));
    }
}
