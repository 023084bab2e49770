//! How many things happen in a window of time.

use statrs::distribution::{Discrete as _, DiscreteCDF as _, Poisson};

use super::{goodness::chi_square_p, mean, variance};

/// Least expected count of a class of the χ² test.
const EXPECTED_MIN: f64 = 5.0;

/// Numbers of instants in consecutive windows from 0 to `end`, of which the last whole one is the
/// last.
#[must_use]
pub fn count_windows(instants: &[f64], window: f64, end: f64) -> Vec<f64> {
    let mut counts = vec![0.0; (end / window) as usize];
    for at in instants {
        if let Some(count) = counts.get_mut((at / window) as usize) {
            *count += 1.0;
        }
    }
    counts
}

/// Index of dispersion, variance by mean: 1 for a Poisson process.
#[must_use]
pub fn dispersion(counts: &[f64]) -> f64 {
    variance(counts) / mean(counts)
}

/// How far from 1 the index of dispersion of so many windows may be.
#[must_use]
pub fn dispersion_bound(windows: usize) -> f64 {
    3.0 * (2.0 / (windows as f64 - 1.0)).sqrt()
}

/// χ² test of counts against the Poisson distribution with a given mean.
#[must_use]
pub fn poisson_p(counts: &[f64], mean: f64) -> f64 {
    let Ok(law) = Poisson::new(mean) else { return f64::NAN };
    let n = counts.len() as f64;
    let top = counts.iter().fold(4.0 * mean + 20.0, |top, count| count.max(top)) as u64;
    let (mut observed, mut expected) = (Vec::new(), Vec::new());
    let (mut o, mut e, mut left) = (0.0, 0.0, n);
    for value in 0..=top {
        o += counts.iter().filter(|count| **count == value as f64).count() as f64;
        e += n * law.pmf(value);
        // a class is closed when it and the rest are large enough
        if e >= EXPECTED_MIN && left - e >= EXPECTED_MIN {
            left -= e;
            observed.push(core::mem::take(&mut o));
            expected.push(core::mem::take(&mut e));
        }
    }
    observed.push(o);
    expected.push(left);
    chi_square_p(&observed, &expected)
}

/// Smallest count that a Poisson variable exceeds with at most the given probability.
#[must_use]
pub fn poisson_quantile(mean: f64, beyond: f64) -> u64 {
    let Ok(law) = Poisson::new(mean) else { return 0 };
    (0..).find(|count| law.sf(*count) <= beyond).unwrap_or(u64::MAX)
}

/// Largest number of instants, which ascend, in any window of this length.
#[must_use]
pub fn windows_max(instants: &[f64], window: f64) -> usize {
    let mut first = 0;
    let counts = instants.iter().enumerate().map(|(last, at)| {
        while instants[first] < at - window {
            first += 1;
        }
        last + 1 - first
    });
    counts.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::exponential;
    use super::*;

    fn process(seed: u8, rate: f64, end: f64) -> Vec<f64> {
        let gaps = exponential(seed, (2.0 * rate * end) as usize);
        let times = gaps.iter().scan(0.0, |at, gap| {
            *at += gap / rate;
            Some(*at)
        });
        times.take_while(|at| *at < end).collect()
    }

    #[test]
    fn windows_are_counted() {
        let instants = [0.1, 0.2, 1.5, 2.0, 2.05, 2.9, 3.1];
        assert_eq!(count_windows(&instants, 1.0, 3.0), [2.0, 1.0, 3.0]);
        assert_eq!(windows_max(&instants, 0.1), 2);
        assert_eq!(windows_max(&instants, 1.0), 3);
        assert_eq!(windows_max(&[], 1.0), 0);
    }

    #[test]
    fn quantiles_of_poisson_are_those_of_the_tables() {
        // P(X > 10) = 0.0137, P(X > 11) = 0.0055 for a mean of 5
        assert_eq!(poisson_quantile(5.0, 0.01), 11);
        assert_eq!(poisson_quantile(1.0, 0.5), 1);
    }

    #[test]
    fn a_poisson_process_passes_and_a_doubled_or_regular_one_does_not() {
        let end = 2000.0;
        let counts = count_windows(&process(5, 55.0, end), 1.0, end);
        assert!((dispersion(&counts) - 1.0).abs() < dispersion_bound(counts.len()));
        assert!(poisson_p(&counts, 55.0) > 0.01);
        assert!(poisson_p(&counts, 57.0) < 0.01);
        let doubled: Vec<f64> = process(6, 27.5, end).into_iter().flat_map(|at| [at, at]).collect();
        let counts = count_windows(&doubled, 1.0, end);
        assert!((dispersion(&counts) - 2.0).abs() < 0.3);
        assert!(poisson_p(&counts, 55.0) < 1e-6);
        let regular: Vec<f64> = (0..110_000).map(|i| f64::from(i) / 55.0).collect();
        let counts = count_windows(&regular, 1.0, end);
        assert!((dispersion(&counts) - 1.0).abs() > dispersion_bound(counts.len()));
    }
}
