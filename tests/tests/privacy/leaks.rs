//! Tests F and G: nothing about the application can be told from the frames.

use std::sync::Arc;

use nym_proto::entropy::{Entropy, Purpose, Stream};
use tests::privacy::{Activity, BacklogDriven, Effort, Settings, Watch, Watched, features};
use tests::statistics::{Classifier, Verdict, auc, correlation, count_windows, mutual_information};

const LAGS: usize = 5;
const PERMUTATIONS: usize = 999;

fn stream() -> Stream {
    Entropy::new([6; 32]).stream(Purpose::Other(6))
}

fn backlog_driven(seed: u64, activity: Activity, gaps: usize) -> Watched {
    let backlog = Arc::default();
    let pacer = Box::new(BacklogDriven(Arc::clone(&backlog)));
    let settings = Settings { pacer, backlog, ..Settings::new(seed, activity) };
    Watch::new(settings).frames(gaps + 1)
}

// ---- F ---------------------------------------------------------------------------------------

/// Messages handed over and frames written, per second.
fn series(watched: &Watched) -> (Vec<f64>, Vec<f64>) {
    let inputs: Vec<f64> = watched.inputs.iter().map(|(at, _)| *at).collect();
    let end = watched.duration();
    (count_windows(&inputs, 1.0, end), count_windows(&watched.instants(), 1.0, end))
}

/// The p-values of correlation and mutual information.
fn dependence(watched: &Watched) -> [f64; 2] {
    let (inputs, frames) = series(watched);
    assert!(inputs.iter().sum::<f64>() > 100.0, "there was input");
    let test = |test: fn(&[f64], &[f64], usize, usize, &mut Stream) -> _| {
        test(&inputs, &frames, LAGS, PERMUTATIONS, &mut stream())
    };
    [test(correlation).p, test(mutual_information).p]
}

#[test]
fn what_the_application_hands_over_says_nothing_about_the_frames_that_follow() {
    let mut verdict = Verdict::default();
    for watched in Effort::of_environment().watch(Activity::Bursts) {
        let [correlation, information] = dependence(&watched);
        verdict.add_p(correlation, "correlation");
        verdict.add_p(information, "mutual information");
    }
    println!("input and frames: {verdict}");
    assert!(verdict.passes(), "{verdict}");
}

#[test]
fn a_clock_driven_by_the_backlog_betrays_the_input() {
    let p = dependence(&backlog_driven(21, Activity::Bursts, 10_000));
    assert!(p.iter().all(|p| *p < 0.01), "{p:?}");
}

// ---- G ---------------------------------------------------------------------------------------

/// With the usual number of gaps 0.02 are three standard deviations.
const CLASSIFIER_SEEDS: u64 = 20;

/// Trains on one half and tests on the other, both ways. Returns the mean area under the ROC curve
/// and its standard deviation if there is nothing to learn.
fn area(idle: &[Vec<f64>], active: &[Vec<f64>]) -> (f64, f64) {
    let (idle, active) = (idle.split_at(idle.len() / 2), active.split_at(active.len() / 2));
    let one_way = |train: (&[Vec<f64>], &[Vec<f64>]), test: (&[Vec<f64>], &[Vec<f64>])| {
        let classifier = Classifier::train(train.0, train.1);
        let scores = |windows: &[Vec<f64>]| -> Vec<f64> {
            windows.iter().map(|window| classifier.score(window)).collect()
        };
        auc(&scores(test.0), &scores(test.1))
    };
    let first = (idle.0, active.0);
    let second = (idle.1, active.1);
    let (n, m) = ((idle.0.len() * 2) as f64, (active.0.len() * 2) as f64);
    let deviation = ((n + m + 1.0) / (12.0 * n * m)).sqrt();
    ((one_way(first, second) + one_way(second, first)) / 2.0, deviation)
}

fn windows(watched: &[Arc<Watched>]) -> Vec<Vec<f64>> {
    watched.iter().flat_map(|watched| features(&watched.frames)).collect()
}

#[test]
fn a_classifier_cannot_tell_an_active_client_from_an_idle_one() {
    let effort = Effort::of_environment();
    let effort = Effort { seeds: effort.seeds.max(CLASSIFIER_SEEDS), ..effort };
    let idle = windows(&effort.watch(Activity::Idle));
    let active = windows(&effort.watch(Activity::Bursts));
    let (area, deviation) = area(&idle, &active);
    // what is asked for, or what can be seen in so few windows
    let bound = (3.0 * deviation).max(0.02);
    println!("area {area:.4}, {} and {} windows, bound {bound:.4}", idle.len(), active.len());
    assert!((area - 0.5).abs() < bound, "{area}, bound {bound}");
}

#[test]
fn a_classifier_can_if_the_backlog_drives_the_clock() {
    let watch = |seed, activity| windows(&[Arc::new(backlog_driven(seed, activity, 10_000))]);
    let (area, deviation) = area(&watch(22, Activity::Idle), &watch(23, Activity::Bursts));
    assert!(area > 0.5 + (4.0 * deviation).max(0.02), "{area} {deviation}");
}
