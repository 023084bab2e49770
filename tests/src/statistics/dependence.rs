//! Whether the members of a series depend on each other.

use statrs::distribution::{ContinuousCDF as _, Normal};

use super::goodness::upper_tail;
use super::mean;

/// Ljung-Box test: no correlation at lags 1 to `lags`.
#[must_use]
pub fn ljung_box_p(series: &[f64], lags: usize) -> f64 {
    let n = series.len() as f64;
    let centre = mean(series);
    let centred: Vec<f64> = series.iter().map(|x| x - centre).collect();
    let power: f64 = centred.iter().map(|x| x * x).sum();
    let terms = (1..=lags).map(|lag| {
        let pairs = centred.iter().zip(centred.iter().skip(lag));
        let r = pairs.map(|(a, b)| a * b).sum::<f64>() / power;
        r * r / (n - lag as f64)
    });
    upper_tail(n * (n + 2.0) * terms.sum::<f64>(), lags as f64)
}

/// Runs test of Wald and Wolfowitz: the order of two kinds is random. Two-sided, 0 if there is one
/// kind only.
#[must_use]
pub fn runs_p(series: &[bool]) -> f64 {
    let n = series.len() as f64;
    let a = series.iter().filter(|kind| **kind).count() as f64;
    let b = n - a;
    let runs = 1.0 + series.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64;
    let expected = 1.0 + 2.0 * a * b / n;
    let variance = (expected - 1.0) * (expected - 2.0) / (n - 1.0);
    if a == 0.0 || b == 0.0 || variance <= 0.0 {
        return 0.0;
    }
    2.0 * Normal::standard().sf((runs - expected).abs() / variance.sqrt())
}

/// χ² test that in a series of numbers below `kinds`, all as likely, each is independent of the one
/// before it.
#[must_use]
pub fn pairs_p(series: &[usize], kinds: usize) -> f64 {
    let mut counts = vec![0.0; kinds * kinds];
    // disjoint pairs, which are independent of each other
    for pair in series.chunks_exact(2) {
        counts[pair[0] * kinds + pair[1]] += 1.0;
    }
    super::goodness::uniform_p(&counts)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{exponential, uniform};
    use super::*;

    #[test]
    fn independent_series_pass_and_a_moving_average_does_not() {
        let series = exponential(8, 5000);
        assert!(ljung_box_p(&series, 20) > 0.01);
        let smooth: Vec<f64> = series.windows(2).map(|pair| pair[0] + 0.2 * pair[1]).collect();
        assert!(ljung_box_p(&smooth, 20) < 0.01);
    }

    #[test]
    fn the_statistic_of_a_small_series_is_known() {
        // r1 = -1/2: Q = 4 * 6 * (1/4) / 3 = 2, whose tail with one degree of freedom is 0.1573
        let p = ljung_box_p(&[1.0, 2.0, 0.0, 1.0], 1);
        assert!((p - 0.157_299).abs() < 1e-5, "{p}");
    }

    #[test]
    fn runs_are_counted_as_in_the_textbook() {
        // 10 of one kind, 10 of the other, 20 runs: z = (20 - 11) / sqrt(10 * 9 / 19) = 4.135
        let alternating: Vec<bool> = (0..20).map(|i| i % 2 == 0).collect();
        assert!((runs_p(&alternating) - 3.5e-5).abs() < 2e-6, "{}", runs_p(&alternating));
        let random: Vec<bool> = uniform(9, 5000).into_iter().map(|u| u < 0.3).collect();
        assert!(runs_p(&random) > 0.01);
        let sorted: Vec<bool> = (0..5000).map(|i| i < 1500).collect();
        assert!(runs_p(&sorted) < 1e-9);
        assert!(runs_p(&[true; 50]) < 1e-9);
    }

    #[test]
    fn random_pairs_pass_and_repeated_ones_do_not() {
        let series: Vec<usize> =
            uniform(10, 4000).into_iter().map(|u| (u * 2.999) as usize).collect();
        assert!(pairs_p(&series, 3) > 0.01);
        let sticky: Vec<usize> = series.iter().flat_map(|node| [*node; 2]).collect();
        assert!(pairs_p(&sticky, 3) < 1e-9);
    }
}
