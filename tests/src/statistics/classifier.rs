//! A simple classifier: logistic regression, and how good it is.

use super::{mean, variance};

const STEPS: usize = 300;
const RATE: f64 = 0.5;
/// Weight of the penalty on large weights.
const PENALTY: f64 = 1e-3;

/// Logistic regression on standardised features.
#[derive(Clone, Debug)]
pub struct Classifier {
    centre: Vec<f64>,
    deviation: Vec<f64>,
    weights: Vec<f64>,
    bias: f64,
}

impl Classifier {
    /// Learns to tell positives from negatives, by gradient descent. All have as many features.
    #[must_use]
    pub fn train(negatives: &[Vec<f64>], positives: &[Vec<f64>]) -> Self {
        let all: Vec<&Vec<f64>> = negatives.iter().chain(positives).collect();
        let features = all.first().map_or(0, |sample| sample.len());
        let column = |i: usize| all.iter().map(|sample| sample[i]).collect::<Vec<f64>>();
        let mut this = Self {
            centre: (0..features).map(|i| mean(&column(i))).collect(),
            deviation: (0..features).map(|i| variance(&column(i)).sqrt().max(1e-12)).collect(),
            weights: vec![0.0; features],
            bias: 0.0,
        };
        let side = |samples: &[Vec<f64>], label: f64| {
            let weight = 0.5 / samples.len().max(1) as f64;
            samples.iter().map(|s| (this.standardised(s), label, weight)).collect::<Vec<_>>()
        };
        let samples = [side(negatives, 0.0), side(positives, 1.0)].concat();
        for _ in 0..STEPS {
            let mut gradient: Vec<f64> = this.weights.iter().map(|w| PENALTY * w).collect();
            let mut of_bias = 0.0;
            for (sample, label, weight) in &samples {
                let error = weight * (1.0 / (1.0 + (-this.raw(sample)).exp()) - label);
                of_bias += error;
                for (gradient, feature) in gradient.iter_mut().zip(sample) {
                    *gradient += error * feature;
                }
            }
            this.bias -= RATE * of_bias;
            for (weight, gradient) in this.weights.iter_mut().zip(gradient) {
                *weight -= RATE * gradient;
            }
        }
        this
    }

    /// The larger, the more likely a positive.
    #[must_use]
    pub fn score(&self, sample: &[f64]) -> f64 {
        self.raw(&self.standardised(sample))
    }

    fn standardised(&self, sample: &[f64]) -> Vec<f64> {
        let scales = self.centre.iter().zip(&self.deviation);
        sample.iter().zip(scales).map(|(x, (centre, deviation))| (x - centre) / deviation).collect()
    }

    fn raw(&self, sample: &[f64]) -> f64 {
        self.bias + sample.iter().zip(&self.weights).map(|(x, w)| x * w).sum::<f64>()
    }
}

/// Area under the ROC curve: the probability that a positive scores higher than a negative.
#[must_use]
pub fn auc(negatives: &[f64], positives: &[f64]) -> f64 {
    let negatives = super::sorted(negatives);
    let wins = positives.iter().map(|score| {
        let below = negatives.partition_point(|x| x < score);
        let equal = negatives.partition_point(|x| x <= score) - below;
        below as f64 + equal as f64 / 2.0
    });
    wins.sum::<f64>() / (negatives.len() * positives.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::sample::uniform;
    use super::*;

    fn points(seed: u8, shift: f64) -> Vec<Vec<f64>> {
        let features = |pair: &[f64]| vec![100.0 * (pair[0] + shift), pair[1], 3.0];
        uniform(seed, 1000).chunks(2).map(features).collect()
    }

    fn area(shift: f64) -> f64 {
        let classifier = Classifier::train(&points(1, 0.0), &points(2, shift));
        let scores = |points: Vec<Vec<f64>>| -> Vec<f64> {
            points.iter().map(|point| classifier.score(point)).collect()
        };
        auc(&scores(points(3, 0.0)), &scores(points(4, shift)))
    }

    #[test]
    fn areas_of_small_samples_are_known() {
        assert!((auc(&[1.0, 2.0], &[3.0, 4.0]) - 1.0).abs() < 1e-12);
        assert!((auc(&[1.0, 3.0], &[2.0, 4.0]) - 0.75).abs() < 1e-12);
        assert!((auc(&[1.0, 1.0], &[1.0]) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn it_tells_what_differs_and_guesses_what_does_not() {
        // a uniform variable beats another one, shifted by 1/2, in 1/8 of the cases
        assert!((area(0.5) - 0.875).abs() < 0.03, "{}", area(0.5));
        assert!((area(0.0) - 0.5).abs() < 0.06, "{}", area(0.0));
    }
}
