//! Whether samples have a distribution.

use statrs::distribution::{ChiSquared, ContinuousCDF as _};

use super::sorted;

/// Times 1/√n: the bound of the one-sample Kolmogorov-Smirnov distance at the 1 % level.
pub const KS_BOUND: f64 = 1.63;

/// Distribution function of the exponential distribution with this mean.
pub fn exponential_cdf(mean: f64) -> impl Fn(f64) -> f64 {
    move |x| if x <= 0.0 { 0.0 } else { -(-x / mean).exp_m1() }
}

/// Largest distance between the empirical distribution function and `cdf`.
pub fn ks_one_sample(samples: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let n = samples.len() as f64;
    let distances = sorted(samples).into_iter().enumerate().map(|(i, x)| {
        let (f, i) = (cdf(x), i as f64);
        (f - i / n).max((i + 1.0) / n - f)
    });
    distances.fold(0.0, f64::max)
}

/// Largest distance between two empirical distribution functions.
#[must_use]
pub fn ks_two_samples(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let least = x.min(*y);
        i += a[i..].iter().take_while(|x| **x <= least).count();
        j += b[j..].iter().take_while(|y| **y <= least).count();
        let difference = i as f64 / a.len() as f64 - j as f64 / b.len() as f64;
        distance = distance.max(difference.abs());
    }
    distance
}

/// Bound of [`ks_two_samples`] at the 1 % level.
#[must_use]
pub fn ks_two_samples_bound(n: usize, m: usize) -> f64 {
    let (n, m) = (n as f64, m as f64);
    KS_BOUND * ((n + m) / (n * m)).sqrt()
}

/// Pearson's χ² test of counts against expected counts, which are not estimated from them.
#[must_use]
pub fn chi_square_p(observed: &[f64], expected: &[f64]) -> f64 {
    let terms = observed.iter().zip(expected).map(|(o, e)| (o - e).powi(2) / e);
    upper_tail(terms.sum(), observed.len() as f64 - 1.0)
}

/// χ² test of counts against the uniform distribution.
#[must_use]
pub fn uniform_p(observed: &[f64]) -> f64 {
    let expected = observed.iter().sum::<f64>() / observed.len() as f64;
    chi_square_p(observed, &vec![expected; observed.len()])
}

/// Probability that a χ² variable exceeds a value.
pub(super) fn upper_tail(value: f64, freedom: f64) -> f64 {
    ChiSquared::new(freedom).map_or(f64::NAN, |law| law.sf(value))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{exponential, uniform};
    use super::*;

    #[test]
    fn distances_of_small_samples_are_known() {
        // F jumps at 0.1, 0.6, 0.7: the largest distance from the diagonal is 2/3 - 0.7 + 1/3
        let distance = ks_one_sample(&[0.7, 0.1, 0.6], |x| x);
        assert!((distance - 0.3).abs() < 1e-12, "{distance}");
        let distance = ks_one_sample(&[0.5], |x| x);
        assert!((distance - 0.5).abs() < 1e-12, "{distance}");
        let distance = ks_two_samples(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]);
        assert!((distance - 0.5).abs() < 1e-12, "{distance}");
        assert!(ks_two_samples(&[1.0, 1.0, 2.0], &[1.0, 1.0, 2.0]).abs() < 1e-12);
        assert!((ks_two_samples(&[1.0], &[2.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn exponential_samples_pass_and_uniform_ones_of_the_same_mean_do_not() {
        let n = 20_000;
        let bound = KS_BOUND / (n as f64).sqrt();
        assert!(ks_one_sample(&exponential(1, n), exponential_cdf(1.0)) < bound);
        assert!(ks_one_sample(&exponential(1, n), exponential_cdf(1.05)) > bound);
        let uniform: Vec<f64> = uniform(1, n).into_iter().map(|u| 2.0 * u).collect();
        assert!(ks_one_sample(&uniform, exponential_cdf(1.0)) > 0.1);
        assert!(
            ks_two_samples(&exponential(1, n), &exponential(2, n)) < ks_two_samples_bound(n, n)
        );
        assert!(ks_two_samples(&exponential(1, n), &uniform) > 0.1);
    }

    #[test]
    fn the_distance_exceeds_its_bound_one_time_in_a_hundred() {
        let n = 500;
        let bound = KS_BOUND / (n as f64).sqrt();
        let samples = uniform(3, 2000 * n);
        let beyond = samples.chunks(n).filter(|part| ks_one_sample(part, |x| x) > bound).count();
        assert!((8..36).contains(&beyond), "{beyond} of 2000");
    }

    #[test]
    fn tails_of_chi_square_are_those_of_the_tables() {
        for (value, freedom, p) in
            [(3.841_459, 1.0, 0.05), (18.307_038, 10.0, 0.05), (11.344_867, 3.0, 0.01)]
        {
            assert!((upper_tail(value, freedom) - p).abs() < 1e-6);
        }
        // (44 - 50)² / 50 + (56 - 50)² / 50 = 1.44
        assert!((uniform_p(&[44.0, 56.0]) - 0.230_139).abs() < 1e-5);
        assert!((chi_square_p(&[30.0, 70.0], &[25.0, 75.0]) - 0.248_213).abs() < 1e-5);
    }
}
