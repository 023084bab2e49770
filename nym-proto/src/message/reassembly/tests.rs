use proptest::prelude::*;

use super::*;
use crate::entropy::{Entropy, Purpose, Stream};
use crate::message::{FragmentPlan, write_padded};

const NOW: Instant = Instant::START;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_message_comes_out_once_in_whatever_order_its_fragments_come(
        len in 0..14_000usize,
        room in 20..40usize,
        seed: [u8; 32],
    ) {
        let mut stream = Entropy::new(seed).stream(Purpose::Other(0));
        let message = text(len);
        let mut fragments = cut(&message, room, &mut stream);
        fragments.extend(fragments.clone());
        shuffle(&mut fragments, &mut stream);
        let total = fragments.len() / 2;
        let mut reassembler = Reassembler::new(ReassemblyLimits::default());

        let (mut duplicates, mut complete) = (0, Vec::new());
        for (header, payload) in &fragments {
            match reassembler.insert(NOW, Origin::Open, header, payload) {
                Inserted::Incomplete => {}
                Inserted::Duplicate => duplicates += 1,
                Inserted::Complete { message, fragments } => complete.push((message, fragments)),
                Inserted::Dropped(reason) => panic!("{reason}"),
            }
        }

        prop_assert_eq!(complete, vec![(message, total)]);
        prop_assert_eq!(duplicates, total);
        prop_assert_eq!((reassembler.bytes(), reassembler.sets()), (0, 0));
    }

    #[test]
    fn no_fragments_panic_or_break_the_bounds(
        fragments in prop::collection::vec(
            (0..3u64, 1..6u32, 1..4u8, 1..4u8, 0..12u32, 0..60usize, 0..50u64),
            0..200,
        ),
        full: bool,
    ) {
        let limits = small();
        let mut reassembler = Reassembler::new(limits);
        let mut now = NOW;
        for (origin, set, total, position, link, len, wait) in fragments {
            let origin = origin.checked_sub(1).map_or(Origin::Open, Origin::Reply);
            let header = FragmentHeader {
                set: SetId::new(set).unwrap(),
                total: if full && link > 8 { 255 } else { total },
                position: if full && link > 8 { 255 } else { position },
                previous: SetId::new(link).filter(|_| link < 4),
                next: SetId::new(link).filter(|_| link > 8),
            };
            now += Duration::from_secs(wait);
            let _ = reassembler.insert(now, origin, &header, &vec![1; len]);
            prop_assert!(reassembler.bytes() <= limits.bytes_max);
            prop_assert!(reassembler.sets() <= limits.sets_max);
            prop_assert!(reassembler.remembered <= limits.finished_max);
            reassembler.expire(now);
            prop_assert!(reassembler.next_expiry().is_none_or(|at| at > now));
        }
        now += Duration::from_secs(1_000_000);
        reassembler.expire(now);
        prop_assert_eq!((reassembler.bytes(), reassembler.remembered), (0, 0));
        prop_assert_eq!(reassembler.next_expiry(), None);
    }
}

#[test]
fn sets_of_different_origins_do_not_mix() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    for origin in [Origin::Open, Origin::Reply(1), Origin::Reply(2)] {
        let first = reassembler.insert(NOW, origin, &header(7, 2, 1), b"a");
        assert_eq!(first, Inserted::Incomplete);
    }
    let done = reassembler.insert(NOW, Origin::Reply(1), &header(7, 2, 2), &[1]);
    assert!(matches!(done, Inserted::Complete { message, fragments: 2 } if message == b"a"));
    assert_eq!(reassembler.sets(), 2);
}

#[test]
fn another_message_with_the_id_of_a_finished_one_is_delivered() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let mut insert =
        |payload: &[u8]| reassembler.insert(NOW, Origin::Open, &header(7, 1, 1), payload);
    assert!(matches!(insert(b"one\x01"), Inserted::Complete { .. }));
    assert_eq!(insert(b"one\x01"), Inserted::Duplicate);
    assert!(matches!(insert(b"two\x01"), Inserted::Complete { message, .. } if message == b"two"));
}

#[test]
fn a_finished_set_is_forgotten_after_its_time() {
    let limits = small();
    let mut reassembler = Reassembler::new(limits);
    reassembler.insert(NOW, Origin::Open, &header(7, 1, 1), &[1]);
    let end = NOW + limits.finished_for;
    assert_eq!(reassembler.next_expiry(), Some(end));
    assert_eq!(reassembler.expire(end), 0);
    let again = reassembler.insert(end, Origin::Open, &header(7, 1, 1), &[1]);
    assert!(matches!(again, Inserted::Complete { .. }));
}

#[test]
fn by_default_a_fragment_is_known_for_two_hours() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    reassembler.insert(NOW, Origin::Open, &header(7, 1, 1), &[1]);
    let later = NOW + Duration::from_secs(2 * 3600 - 1);
    reassembler.expire(later);
    let again = reassembler.insert(later, Origin::Open, &header(7, 1, 1), &[1]);
    assert_eq!(again, Inserted::Duplicate);
}

#[test]
fn a_fragment_that_disagrees_about_the_total_is_dropped() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    reassembler.insert(NOW, Origin::Open, &header(7, 2, 1), b"a");
    let dropped = reassembler.insert(NOW, Origin::Open, &header(7, 200, 150), b"b");
    let reason = DropReason::TotalMismatch { known: 2, given: 200 };
    assert_eq!(dropped, Inserted::Dropped(reason));
    let done = reassembler.insert(NOW, Origin::Open, &header(7, 2, 2), &[1]);
    assert!(matches!(done, Inserted::Complete { .. }));
}

#[test]
fn a_place_keeps_the_fragment_that_came_first() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    reassembler.insert(NOW, Origin::Open, &header(7, 2, 1), b"a");
    let dropped = reassembler.insert(NOW, Origin::Open, &header(7, 2, 1), b"b");
    assert_eq!(dropped, Inserted::Dropped(DropReason::Conflict(1)));
    let done = reassembler.insert(NOW, Origin::Open, &header(7, 2, 2), &[1]);
    assert!(matches!(done, Inserted::Complete { message, .. } if message == b"a"));
}

#[test]
fn a_header_put_together_wrongly_is_dropped() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let mut wrong = header(7, 3, 2);
    wrong.position = 4;
    let dropped = reassembler.insert(NOW, Origin::Open, &wrong, b"a");
    assert!(matches!(dropped, Inserted::Dropped(DropReason::Header(_))));
}

#[test]
fn a_complete_message_without_padding_counts_as_delivered() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let dropped = reassembler.insert(NOW, Origin::Open, &header(7, 1, 1), b"no mark");
    assert_eq!(dropped, Inserted::Dropped(DropReason::Padding));
    let again = reassembler.insert(NOW, Origin::Open, &header(7, 1, 1), b"no mark");
    assert_eq!(again, Inserted::Duplicate);
}

#[test]
fn a_circle_of_sets_is_dropped_when_it_closes() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let mut last = Inserted::Incomplete;
    for (set, previous, next) in [(1, 3, 2), (2, 1, 3), (3, 2, 1)] {
        assert_eq!(last, Inserted::Incomplete);
        last = insert_full(&mut reassembler, set, Some(previous), Some(next));
    }
    assert_eq!(last, Inserted::Dropped(DropReason::Circle));
    assert_eq!((reassembler.sets(), reassembler.bytes()), (0, 0));
}

#[test]
fn a_neighbour_that_is_not_linked_back_is_not_joined() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    // set 2 follows set 1 by its own account, but set 1 goes on with set 3
    insert_full(&mut reassembler, 1, None, Some(3));
    let dropped = insert_full(&mut reassembler, 2, Some(1), None);
    assert_eq!(dropped, Inserted::Dropped(DropReason::LinkMismatch));
    let done = insert_full(&mut reassembler, 3, Some(1), None);
    assert!(matches!(done, Inserted::Complete { fragments: 510, .. }));
}

#[test]
fn a_message_of_too_many_bytes_is_dropped_as_soon_as_that_is_known() {
    let limits = ReassemblyLimits { message_bytes_max: 600, ..ReassemblyLimits::default() };
    let mut reassembler = Reassembler::new(limits);
    let dropped = reassembler.insert(NOW, Origin::Open, &header(9, 255, 3), b"abc");
    assert_eq!(dropped, Inserted::Dropped(DropReason::TooLarge));

    // each set fits, the three together do not
    insert_full(&mut reassembler, 1, None, Some(2));
    insert_full(&mut reassembler, 2, Some(1), Some(3));
    let dropped = insert_full(&mut reassembler, 3, Some(2), None);
    assert_eq!(dropped, Inserted::Dropped(DropReason::TooLarge));
    assert_eq!((reassembler.sets(), reassembler.bytes()), (0, 0));
}

#[test]
fn the_set_that_waited_longest_makes_room() {
    let limits = ReassemblyLimits { sets_max: 2, ..ReassemblyLimits::default() };
    let mut reassembler = Reassembler::new(limits);
    for (set, position) in [(1, 1), (2, 1), (1, 2), (3, 1)] {
        reassembler.insert(NOW, Origin::Open, &header(set, 3, position), b"a");
    }
    assert_eq!((reassembler.evicted(), reassembler.sets()), (1, 2));
    // set 1 was touched after set 2
    let done = reassembler.insert(NOW, Origin::Open, &header(1, 3, 3), &[1]);
    assert!(matches!(done, Inserted::Complete { message, .. } if message == b"aa"));
}

#[test]
fn a_message_that_is_complete_at_once_evicts_nothing() {
    let limits = ReassemblyLimits { sets_max: 1, ..ReassemblyLimits::default() };
    let mut reassembler = Reassembler::new(limits);
    reassembler.insert(NOW, Origin::Open, &header(1, 2, 1), b"a");
    let done = reassembler.insert(NOW, Origin::Open, &header(2, 1, 1), &[1]);
    assert!(matches!(done, Inserted::Complete { .. }));
    assert_eq!((reassembler.evicted(), reassembler.sets()), (0, 1));
}

#[test]
fn stale_sets_go_in_batches() {
    let limits = ReassemblyLimits::default();
    let mut reassembler = Reassembler::new(limits);
    for set in 1..=100 {
        reassembler.insert(NOW, Origin::Open, &header(set, 3, 1), b"a");
    }
    let due = NOW + limits.stale_after;
    assert_eq!(reassembler.expire(Instant::from_nanos(due.as_nanos() - 1)), 0);
    assert_eq!(reassembler.expire(due), EXPIRE_BATCH);
    assert_eq!(reassembler.next_expiry(), Some(due));
    assert_eq!(reassembler.expire(due), 100 - EXPIRE_BATCH);
    assert_eq!((reassembler.next_expiry(), reassembler.bytes()), (None, 0));
}

#[test]
fn the_memory_of_finished_sets_is_bounded() {
    let limits = small();
    let mut reassembler = Reassembler::new(limits);
    for set in 1..=50 {
        reassembler.insert(NOW, Origin::Open, &header(set, 1, 1), &[1]);
    }
    assert_eq!(reassembler.remembered, limits.finished_max);
    assert_eq!(reassembler.forgotten(), 50 - limits.finished_max as u64);
    let latest = reassembler.insert(NOW, Origin::Open, &header(50, 1, 1), &[1]);
    assert_eq!(latest, Inserted::Duplicate);
}

fn small() -> ReassemblyLimits {
    ReassemblyLimits {
        bytes_max: 1500,
        sets_max: 4,
        finished_max: 8,
        message_bytes_max: 400,
        stale_after: Duration::from_secs(100),
        finished_for: Duration::from_secs(200),
    }
}

fn header(set: u32, total: u8, position: u8) -> FragmentHeader {
    FragmentHeader::new(SetId::new(set).unwrap(), total, position).unwrap()
}

/// Inserts a set of 255 fragments of one byte each, and returns what the last of them gave.
fn insert_full(
    reassembler: &mut Reassembler,
    set: u32,
    previous: Option<u32>,
    next: Option<u32>,
) -> Inserted {
    let mut last = Inserted::Incomplete;
    for position in 1..=255 {
        assert_eq!(last, Inserted::Incomplete);
        let header = FragmentHeader {
            previous: previous.filter(|_| position == 1).and_then(SetId::new),
            next: next.filter(|_| position == 255).and_then(SetId::new),
            ..header(set, 255, position)
        };
        last = reassembler.insert(NOW, Origin::Open, &header, &[1]);
    }
    last
}

fn cut(message: &[u8], room: usize, stream: &mut Stream) -> Vec<(FragmentHeader, Vec<u8>)> {
    let plan = FragmentPlan::with_room(message.len(), room).unwrap();
    let ids = SetId::draw_distinct(plan.sets(), stream);
    let fragment = |index| {
        let (header, range) = plan.place(index, &ids).unwrap();
        let mut payload = vec![0; range.len()];
        write_padded(&[message], range.start, &mut payload);
        (header, payload)
    };
    (0..plan.fragments()).map(fragment).collect()
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn shuffle<T>(items: &mut [T], stream: &mut Stream) {
    for i in (1..items.len()).rev() {
        items.swap(i, stream.index(i + 1));
    }
}
