//! Who may use a slot: four classes of traffic, each with a guaranteed share.

/// A class of traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Share {
    /// Requests for SURBs and answers to them.
    Control,
    /// Fragments whose ack is overdue.
    Retransmission,
    /// Lanes with little queued.
    Interactive,
    /// Lanes with much queued.
    Bulk,
}

/// The slots of one round, four, three, two and one of ten. (protocol: client 6.4)
const ROUND: [Share; 10] = [
    Share::Control,
    Share::Retransmission,
    Share::Interactive,
    Share::Control,
    Share::Retransmission,
    Share::Bulk,
    Share::Control,
    Share::Interactive,
    Share::Retransmission,
    Share::Control,
];

/// Deficit round robin. All packets have one size, so there is never a deficit to carry over and a
/// place in the round is all there is to remember. A class that cannot use its place loses it to the
/// next one.
#[derive(Debug, Default)]
pub(super) struct Shares {
    place: usize,
}

impl Shares {
    /// Gives the slot to the next class for which `find` finds something.
    pub(super) fn take<T>(&mut self, mut find: impl FnMut(Share) -> Option<T>) -> Option<T> {
        let mut in_vain = 0_u8;
        let places = ROUND.iter().enumerate().cycle().skip(self.place).take(ROUND.len());
        for (place, share) in places {
            let bit = 1 << *share as u8;
            if in_vain & bit != 0 {
                continue;
            }
            if let Some(found) = find(*share) {
                self.place = (place + 1) % ROUND.len();
                return Some(found);
            }
            in_vain |= bit;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the slots were shared by the classes that had something.
    fn shared(slots: usize, has: impl Fn(usize, Share) -> bool) -> [usize; 4] {
        let mut shares = Shares::default();
        let mut counts = [0; 4];
        for slot in 0..slots {
            if let Some(share) = shares.take(|share| has(slot, share).then_some(share)) {
                counts[share as usize] += 1;
            }
        }
        counts
    }

    #[test]
    fn four_classes_with_work_share_four_to_three_to_two_to_one() {
        assert_eq!(shared(1000, |_, _| true), [400, 300, 200, 100]);
    }

    #[test]
    fn a_class_without_work_leaves_its_share_to_the_others_in_proportion() {
        assert_eq!(shared(600, |_, share| share != Share::Control), [0, 300, 200, 100]);
        assert_eq!(shared(500, |_, share| share == Share::Bulk), [0, 0, 0, 500]);
        assert_eq!(shared(100, |_, _| false), [0; 4]);
    }

    #[test]
    fn a_class_without_work_saves_nothing_up() {
        let busy_late = |slot, share| share == Share::Bulk || slot >= 1000;
        assert_eq!(shared(1100, busy_late), [40, 30, 20, 1010]);
    }

    #[test]
    fn no_class_that_comes_and_goes_takes_the_share_of_one_that_stays() {
        let flickers = |slot: usize, share| share == Share::Bulk || !slot.is_multiple_of(9);
        let [.., bulk] = shared(1000, flickers);
        assert!(bulk >= 100, "{bulk}");
    }
}
