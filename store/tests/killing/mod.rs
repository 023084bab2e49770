//! Killing a process at a moment nobody chose. Knows nothing of what the process does: it prints a number
//! with [`report`] whenever something is kept.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
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
pub(crate) fn killed(command: Command, chance: &mut Chance) -> Option<u64> {
    let mut process = Reporting::start(command);
    let (mut last, reports) = (None, chance.below(12));
    for _ in 0..reports {
        last = process.next().or(last);
    }
    let pause = if reports == 0 { chance.below(30_000) } else { chance.below(4_000) };
    std::thread::sleep(Duration::from_micros(pause));
    process.kill().or(last)
}

/// A process that reports.
pub(crate) struct Reporting {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Reporting {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next report. `None`: the process has ended.
    pub(crate) fn next(&mut self) -> Option<u64> {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find_map(|line| line.strip_prefix(REPORT)?.parse().ok())
    }

    /// Kills the process. Returns the last of the reports that were still to be read.
    pub(crate) fn kill(&mut self) -> Option<u64> {
        self.child.kill().unwrap();
        let last = std::iter::from_fn(|| self.next()).last();
        self.child.wait().unwrap();
        last
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        // the process must not outlive a test that fails
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
