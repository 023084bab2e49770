//! Two sides take turns, many times.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stats_alloc::Region;

use crate::ALLOCATOR;

/// Turns of each side.
const ROUNDS: usize = 60;
/// A turn lasts about this long.
const TURN: Duration = Duration::from_millis(8);
/// Calls before anything is measured.
const WARM_UP: usize = 80;

/// One line of the table.
pub struct Line {
    pub name: &'static str,
    /// The ratio of minima to reach.
    target: Option<f64>,
    ours: Side,
    theirs: Side,
}

/// What a side took for one item.
struct Side {
    minimum: f64,
    median: f64,
    allocations: f64,
}

/// Measures both sides; a call makes `items` items.
pub fn compare(
    name: &'static str,
    target: Option<f64>,
    items: usize,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> Line {
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    let our_calls = calls(&mut ours);
    let their_calls = calls(&mut theirs);
    for _ in 0..ROUNDS {
        our_times.push(turn(our_calls, &mut ours) / items as f64);
        their_times.push(turn(their_calls, &mut theirs) / items as f64);
    }
    let ours = Side::new(our_times, allocations(&mut ours) / items as f64);
    let theirs = Side::new(their_times, allocations(&mut theirs) / items as f64);
    Line { name, target, ours, theirs }
}

/// How many calls make a turn, after a warm-up.
fn calls(call: &mut impl FnMut()) -> usize {
    let begun = Instant::now();
    let mut done = 0;
    while done < WARM_UP && (done == 0 || begun.elapsed() < Duration::from_secs(2)) {
        call();
        done += 1;
    }
    let each = begun.elapsed() / done as u32;
    (TURN.as_nanos() / each.as_nanos().max(1)).clamp(1, 100_000) as usize
}

/// Microseconds of a call.
fn turn(calls: usize, call: &mut impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..calls {
        call();
    }
    begun.elapsed().as_secs_f64() * 1e6 / calls as f64
}

/// Allocations of a call, averaged over some.
fn allocations(call: &mut impl FnMut()) -> f64 {
    const CALLS: usize = 16;
    let region = Region::new(ALLOCATOR);
    for _ in 0..CALLS {
        call();
    }
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / CALLS as f64
}

impl Side {
    fn new(mut times: Vec<f64>, allocations: f64) -> Self {
        times.sort_by(f64::total_cmp);
        Self { minimum: times[0], median: times[times.len() / 2], allocations }
    }

    fn json(&self) -> Value {
        json!({
            "minimum_us": self.minimum,
            "median_us": self.median,
            "allocations": self.allocations,
        })
    }
}

pub fn print_table(lines: &[Line]) {
    println!(
        "| microseconds each: minimum (median) | ours | theirs | theirs / ours | allocations |"
    );
    println!("|---|---|---|---|---|");
    for Line { name, target, ours, theirs } in lines {
        let target = target.map(|target| format!(" (to reach: {target})")).unwrap_or_default();
        println!(
            "| {name} | {} ({}) | {} ({}) | {:.2}{target} | {:.1} / {:.1} |",
            digits(ours.minimum),
            digits(ours.median),
            digits(theirs.minimum),
            digits(theirs.median),
            theirs.minimum / ours.minimum,
            ours.allocations,
            theirs.allocations,
        );
    }
}

/// Three digits that count.
fn digits(micros: f64) -> String {
    match micros {
        100.0.. => format!("{micros:.0}"),
        10.0.. => format!("{micros:.1}"),
        1.0.. => format!("{micros:.2}"),
        _ => format!("{micros:.3}"),
    }
}

pub fn json(lines: &[Line]) -> Value {
    let lines = lines.iter().map(|line| {
        json!({
            "name": line.name,
            "ours": line.ours.json(),
            "theirs": line.theirs.json(),
            "ratio": line.theirs.minimum / line.ours.minimum,
            "target": line.target,
        })
    });
    json!({ "lines": lines.collect::<Vec<_>>() })
}
