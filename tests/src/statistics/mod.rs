//! Statistics for the tests of traffic. Distributions come from `statrs`; the tests on top of them
//! are few and written out here, each with known answers.

mod classifier;
mod counts;
mod dependence;
mod goodness;
mod permutation;
mod verdict;

pub use classifier::{Classifier, auc};
pub use counts::{
    count_windows, dispersion, dispersion_bound, poisson_p, poisson_quantile, windows_max,
};
pub use dependence::{ljung_box_p, pairs_p, runs_p};
pub use goodness::{
    KS_BOUND, chi_square_p, exponential_cdf, ks_one_sample, ks_two_samples, ks_two_samples_bound,
    uniform_p,
};
pub use permutation::{Permuted, correlation, mutual_information};
pub use verdict::{LEVEL, Verdict, failures_max};

/// The mean; 0 of nothing.
#[must_use]
pub fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

/// The unbiased variance; 0 of fewer than two samples.
#[must_use]
pub fn variance(samples: &[f64]) -> f64 {
    let centre = mean(samples);
    let squares: f64 = samples.iter().map(|x| (x - centre).powi(2)).sum();
    squares / samples.len().saturating_sub(1).max(1) as f64
}

/// The samples in ascending order.
#[must_use]
pub fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// A quantile of samples in ascending order, without interpolation; 0 of nothing.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = (share * sorted.len() as f64) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_quantiles_of_small_samples_are_known() {
        let samples = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!((mean(&samples) - 5.0).abs() < 1e-12);
        assert!((variance(&samples) - 32.0 / 7.0).abs() < 1e-12);
        let sorted = sorted(&[3.0, 1.0, 2.0, 4.0]);
        assert_eq!(sorted, [1.0, 2.0, 3.0, 4.0]);
        assert!((quantile(&sorted, 0.5) - 3.0).abs() < 1e-12);
        assert!((quantile(&sorted, 1.0) - 4.0).abs() < 1e-12);
        assert!(quantile(&[], 0.5).abs() < 1e-12);
    }
}

/// Numbers for the tests of the tests.
#[cfg(test)]
mod sample {
    use nym_proto::entropy::{Entropy, Purpose, Stream};

    pub(super) fn stream(seed: u8) -> Stream {
        Entropy::new([seed; 32]).stream(Purpose::Other(7))
    }

    pub(super) fn uniform(seed: u8, n: usize) -> Vec<f64> {
        let mut stream = stream(seed);
        (0..n).map(|_| stream.unit()).collect()
    }

    pub(super) fn exponential(seed: u8, n: usize) -> Vec<f64> {
        uniform(seed, n).into_iter().map(|u| -u.ln()).collect()
    }
}
