//! What many tests at the 1 % level say together.

use core::fmt;

use statrs::distribution::{Binomial, DiscreteCDF as _};

/// Level of each single test.
pub const LEVEL: f64 = 0.01;
/// Probability that tests of something sound fail more often than allowed.
const FALSE_ALARM: f64 = 1e-3;

/// How many of so many tests may fail, each of which fails with probability [`LEVEL`] if all is
/// well: five of a hundred. One more fails with probability 10⁻³ at most.
#[must_use]
pub fn failures_max(tests: usize) -> usize {
    let Ok(law) = Binomial::new(LEVEL, tests as u64) else { return 0 };
    (0..tests).find(|failures| law.sf(*failures as u64) < FALSE_ALARM).unwrap_or(0)
}

/// Outcome of the same test on several samples.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Number of tests.
    pub tests: usize,
    /// Those that failed, in words.
    pub failures: Vec<String>,
}

impl Verdict {
    /// One test more.
    pub fn add(&mut self, passes: bool, what: impl FnOnce() -> String) {
        self.tests += 1;
        if !passes {
            self.failures.push(what());
        }
    }

    /// One test more, whose p-value must exceed [`LEVEL`].
    pub fn add_p(&mut self, p: f64, what: &str) {
        self.add(p > LEVEL, || format!("{what}: p = {p:.2e}"));
    }

    /// True if there were tests, and no more failures than allowed.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.tests > 0 && self.failures.len() <= failures_max(self.tests)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failures, tests) = (self.failures.len(), self.tests);
        write!(f, "{failures} of {tests} failed, {} may", failures_max(tests))?;
        for failure in self.failures.iter().take(8) {
            write!(f, "; {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_of_a_hundred_may_fail_and_a_single_one_may_not() {
        assert_eq!(failures_max(100), 5);
        assert_eq!(failures_max(10), 2);
        assert_eq!(failures_max(5), 1);
        assert_eq!(failures_max(1), 0);
        assert_eq!(failures_max(0), 0);
    }

    #[test]
    fn no_test_at_all_is_no_success() {
        let mut verdict = Verdict::default();
        assert!(!verdict.passes());
        verdict.add_p(0.02, "a");
        assert!(verdict.passes());
        verdict.add_p(0.009, "b");
        verdict.add(false, || "c".to_owned());
        assert!(!verdict.passes());
        assert_eq!(verdict.to_string(), "2 of 3 failed, 1 may; b: p = 9.00e-3; c");
    }
}
