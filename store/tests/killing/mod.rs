//! Killing a process at a moment nobody chose. Knows nothing of what the process does: it prints a number
//! with [`report`] whenever something is kept.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a report begins with, to tell it from what else is printed.
const REPORT: &str = "kept ";

/// Says that number `n` is kept.
pub(crate) fn report(n: u64) {
    let mut out = std::io::stdout().lock();
    // the test harness may have begun the line
    writeln!(out, "\n{REPORT}{n}").and_then(|()| out.flush()).unwrap();
}

/// Runs the process, kills it (`SIGKILL`), and returns the last number it reported. It is killed while it
/// starts, or within some milliseconds of a report.
pub(crate) fn killed(mut command: Command, chance: &mut Chance) -> Option<u64> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut next = || lines.by_ref().find_map(|line| line.strip_prefix(REPORT)?.parse().ok());
    let (mut last, reports) = (None, chance.below(12));
    for _ in 0..reports {
        last = next().or(last);
    }
    let pause = if reports == 0 { chance.below(30_000) } else { chance.below(4_000) };
    std::thread::sleep(Duration::from_micros(pause));
    child.kill().unwrap();
    while let Some(number) = next() {
        last = Some(number);
    }
    child.wait().unwrap();
    last
}

/// A seeded source of numbers: splitmix64.
pub(crate) struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
