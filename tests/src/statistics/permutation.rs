//! Whether one series tells something about another: permutation tests, which assume nothing about
//! the distribution of the first.

use nym_proto::entropy::Stream;

use super::{mean, quantile, sorted};

/// Classes of each series for the mutual information.
const CLASSES: usize = 4;

/// What a permutation test gives.
#[derive(Clone, Copy, Debug)]
pub struct Permuted {
    /// The statistic, at the lag where it is largest.
    pub statistic: f64,
    /// Probability of one at least as large if the second series is independent of the first.
    pub p: f64,
}

/// Cross-correlation of causes and effects, the largest absolute value for effects 0 to `lags`
/// places later.
pub fn correlation(
    causes: &[f64],
    effects: &[f64],
    lags: usize,
    permutations: usize,
    stream: &mut Stream,
) -> Permuted {
    let (causes, effects) = (normalised(causes), normalised(effects));
    permute(effects, permutations, stream, |effects| {
        let at = |lag: usize| {
            let products = causes.iter().zip(effects.iter().skip(lag)).map(|(a, b)| a * b);
            (products.sum::<f64>() / (causes.len() - lag) as f64).abs()
        };
        (0..=lags).map(at).fold(0.0, f64::max)
    })
}

/// Mutual information, in bits, of causes and effects, both in quarters; the largest for effects 0
/// to `lags` places later.
pub fn mutual_information(
    causes: &[f64],
    effects: &[f64],
    lags: usize,
    permutations: usize,
    stream: &mut Stream,
) -> Permuted {
    let causes = classes(causes);
    permute(classes(effects), permutations, stream, |effects| {
        let at = |lag: usize| information(&causes, effects.get(lag..).unwrap_or_default());
        (0..=lags).map(at).fold(0.0, f64::max)
    })
}

fn permute<T>(
    mut effects: Vec<T>,
    permutations: usize,
    stream: &mut Stream,
    statistic: impl Fn(&[T]) -> f64,
) -> Permuted {
    let observed = statistic(&effects);
    let mut beyond = 1;
    for _ in 0..permutations {
        for i in (1..effects.len()).rev() {
            effects.swap(i, stream.index(i + 1));
        }
        beyond += usize::from(statistic(&effects) >= observed);
    }
    Permuted { statistic: observed, p: beyond as f64 / (permutations + 1) as f64 }
}

fn normalised(series: &[f64]) -> Vec<f64> {
    let centre = mean(series);
    let deviation = super::variance(series).sqrt().max(f64::MIN_POSITIVE);
    series.iter().map(|x| (x - centre) / deviation).collect()
}

/// Which quarter of the series each member belongs to. Equal members are in one class.
fn classes(series: &[f64]) -> Vec<usize> {
    let sorted = sorted(series);
    let bounds: Vec<f64> =
        (1..CLASSES).map(|i| quantile(&sorted, i as f64 / CLASSES as f64)).collect();
    series.iter().map(|x| bounds.iter().filter(|bound| x >= bound).count()).collect()
}

fn information(a: &[usize], b: &[usize]) -> f64 {
    let mut joint = [[0.0_f64; CLASSES]; CLASSES];
    for (a, b) in a.iter().zip(b) {
        joint[*a][*b] += 1.0;
    }
    let n: f64 = joint.iter().flatten().sum();
    let row = |a: usize| joint[a].iter().sum::<f64>();
    let column = |b: usize| joint.iter().map(|row| row[b]).sum::<f64>();
    let mut bits = 0.0;
    for (a, counts) in joint.iter().enumerate() {
        for (b, &both) in counts.iter().enumerate() {
            if both > 0.0 {
                bits += both / n * (both * n / (row(a) * column(b))).log2();
            }
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::super::sample::{stream, uniform};
    use super::*;

    #[test]
    fn what_depends_with_a_lag_is_found_and_what_does_not_is_not() {
        let causes = uniform(11, 400);
        let noise = uniform(12, 400);
        let mut later = vec![0.5; 3];
        later.extend(causes.iter().zip(&noise).map(|(cause, noise)| 0.4 * cause + noise));
        later.truncate(400);
        let test = |test: fn(&[f64], &[f64], usize, usize, &mut Stream) -> Permuted,
                    effects: &[f64]| {
            test(&causes, effects, 5, 499, &mut stream(13)).p
        };
        assert!(test(correlation, &later) < 0.01);
        assert!(test(mutual_information, &later) < 0.01);
        assert!(test(correlation, &noise) > 0.01);
        assert!(test(mutual_information, &noise) > 0.01);
    }

    #[test]
    fn a_copy_of_four_equal_classes_tells_two_bits() {
        let series: Vec<f64> = (0..400).map(f64::from).collect();
        let found = mutual_information(&series, &series, 0, 9, &mut stream(1));
        assert!((found.statistic - 2.0).abs() < 1e-9, "{found:?}");
        let found = correlation(&series, &series, 0, 9, &mut stream(1));
        assert!((found.statistic - 1.0).abs() < 0.01, "{found:?}");
    }

    #[test]
    fn a_chance_that_is_as_good_as_the_truth_counts_against_it() {
        let series = [1.0, 1.0, 1.0, 1.0];
        assert!((correlation(&series, &series, 0, 99, &mut stream(1)).p - 1.0).abs() < 1e-12);
    }
}
