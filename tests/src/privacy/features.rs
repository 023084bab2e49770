//! What a classifier sees of a window of frames.

use super::watch::Frame;
use crate::statistics::{mean, quantile, sorted, variance};

/// Gaps in a window.
pub const PER_WINDOW: usize = 100;

/// Means, quantiles and runs of gaps and sizes in consecutive windows.
#[must_use]
pub fn features(frames: &[Frame]) -> Vec<Vec<f64>> {
    frames.chunks_exact(PER_WINDOW + 1).map(of_window).collect()
}

fn of_window(frames: &[Frame]) -> Vec<f64> {
    let gaps: Vec<f64> = frames.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    let sizes: Vec<f64> = frames.iter().map(|frame| frame.size as f64).collect();
    let ascending = sorted(&gaps);
    let median = quantile(&ascending, 0.5);
    let mut features = vec![mean(&gaps), variance(&gaps).sqrt(), mean(&sizes)];
    features.extend([0.1, 0.25, 0.5, 0.75, 0.9, 1.0].map(|share| quantile(&ascending, share)));
    let runs = |kinds: Vec<bool>| kinds.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64;
    features.push(runs(gaps.iter().map(|gap| *gap < median).collect()));
    features.push(runs(frames.iter().map(|frame| frame.size == frames[0].size).collect()));
    features
}
