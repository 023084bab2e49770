//! Test H: sizes of frames have a fixed ratio and no order.

use tests::privacy::{Activity, Effort, Frame, Kind};
use tests::statistics::{Verdict, runs_p, uniform_p};

/// Sizes of frames whose first hop has an IPv4 and an IPv6 address. Half the first layer each.
const SIZES: [usize; 2] = [2452, 2464];

fn p_values(frames: &[Frame]) -> [f64; 2] {
    let count = |size: usize| frames.iter().filter(|frame| frame.size == size).count();
    let counts = SIZES.map(count);
    assert_eq!(counts.iter().sum::<usize>(), frames.len(), "frames have one of two sizes");
    let is_large: Vec<bool> = frames.iter().map(|frame| frame.size == SIZES[1]).collect();
    [uniform_p(&counts.map(|count| count as f64)), runs_p(&is_large)]
}

fn verdict(change: fn(Frame) -> Frame) -> Verdict {
    let mut verdict = Verdict::default();
    for activity in [Activity::Idle, Activity::Bursts, Activity::Saturated] {
        for watched in Effort::of_environment().watch(activity) {
            let frames: Vec<Frame> = watched.frames.iter().copied().map(change).collect();
            let [ratio, order] = p_values(&frames);
            verdict.add_p(ratio, &format!("{activity:?}, ratio"));
            verdict.add_p(order, &format!("{activity:?}, order"));
        }
    }
    verdict
}

#[test]
fn sizes_have_their_ratio_and_no_order_idle_and_busy() {
    let verdict = verdict(|frame| frame);
    println!("sizes: {verdict}");
    assert!(verdict.passes(), "{verdict}");
}

#[test]
fn a_size_by_content_is_noticed() {
    // as if one real packet in ten were sent in a larger packet
    let verdict = verdict(|frame| {
        let is_chosen = frame.kind == Kind::Data && ((frame.at * 1e6) as u64).is_multiple_of(10);
        Frame { size: if is_chosen { SIZES[1] } else { frame.size }, ..frame }
    });
    assert!(!verdict.passes(), "{verdict}");
}
