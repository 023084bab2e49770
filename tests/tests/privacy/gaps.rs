//! Tests B to E: frames leave as a Poisson process with the configured rate.

use std::sync::Arc;

use nym_proto::client::{Pacer, Traffic};
use tests::privacy::{
    Activity, BacklogDriven, Effort, Even, Kind, Repeating, Settings, Watch, Watched,
};
use tests::statistics::{
    KS_BOUND, Verdict, count_windows, dispersion, dispersion_bound, exponential_cdf, ks_one_sample,
    ks_two_samples, ks_two_samples_bound, ljung_box_p, mean, poisson_p,
};

/// Gaps of a broken schedule.
const BROKEN_GAPS: usize = 6000;
const LAGS: usize = 20;
/// Mean gaps of the default streams, in seconds.
const MAIN: f64 = 0.020;
const LOOP: f64 = 0.200;
const BOTH: f64 = 1.0 / (1.0 / MAIN + 1.0 / LOOP);

const WATCHED: [Activity; 3] = [Activity::Idle, Activity::Bursts, Activity::Saturated];

fn all() -> impl Iterator<Item = (Activity, Arc<Watched>)> {
    WATCHED.into_iter().flat_map(|activity| {
        let watched = Effort::of_environment().watch(activity);
        watched.into_iter().map(move |watched| (activity, watched))
    })
}

fn broken(activity: Activity, pacer: impl Pacer + 'static) -> Watched {
    let settings = Settings { pacer: Box::new(pacer), ..Settings::new(5, activity) };
    Watch::new(settings).frames(BROKEN_GAPS + 1)
}

fn backlog_driven(seed: u64, activity: Activity) -> Watched {
    let backlog = Arc::default();
    let pacer = Box::new(BacklogDriven(Arc::clone(&backlog)));
    let settings = Settings { pacer, backlog, ..Settings::new(seed, activity) };
    Watch::new(settings).frames(BROKEN_GAPS + 1)
}

// ---- B ---------------------------------------------------------------------------------------

/// Distance from the exponential distribution, and the mean, by their bounds.
fn distance(gaps: &[f64], configured: f64) -> (f64, f64) {
    let root = (gaps.len() as f64).sqrt();
    let distance = ks_one_sample(gaps, exponential_cdf(configured));
    (distance / (KS_BOUND / root), (mean(gaps) / configured - 1.0).abs() / (3.0 / root))
}

#[test]
fn gaps_are_exponential_with_the_configured_mean() {
    let (mut law, mut means) = (Verdict::default(), Verdict::default());
    let mut judge = |gaps: &[f64], configured: f64, what: &str| {
        let (distance, deviation) = distance(gaps, configured);
        law.add(distance < 1.0, || format!("{what}: {distance:.2} of the bound"));
        means.add(deviation < 1.0, || format!("{what}: mean {deviation:.2} of the bound"));
    };
    for (activity, watched) in all() {
        judge(&watched.gaps(), BOTH, &format!("{activity:?}"));
        if activity == Activity::Saturated {
            // now, and only now, what a frame carries tells the stream it belongs to
            judge(&watched.gaps_of(|kind| kind == Kind::Loop), LOOP, "loop stream");
            judge(&watched.gaps_of(|kind| kind != Kind::Loop), MAIN, "main stream");
        }
    }
    println!("exponential: {law}\nmean: {means}");
    assert!(law.passes(), "{law}");
    assert!(means.passes(), "{means}");
}

#[test]
fn evenly_distributed_gaps_are_not_taken_for_exponential_ones() {
    let watched = broken(Activity::Idle, Even);
    assert!(distance(&watched.gaps(), BOTH).0 > 1.0);
}

#[test]
fn a_rate_five_percent_off_is_noticed() {
    let gaps = Effort::of_environment().watch(Activity::Idle)[0].gaps();
    let (law, mean) = distance(&gaps, BOTH * 1.05);
    assert!(law > 1.0 && mean > 1.0, "{law} {mean}");
}

// ---- C ---------------------------------------------------------------------------------------

fn differ(a: &[f64], b: &[f64]) -> f64 {
    ks_two_samples(a, b) / ks_two_samples_bound(a.len(), b.len())
}

#[test]
fn gaps_of_an_idle_and_a_busy_client_have_the_same_law() {
    let effort = Effort::of_environment();
    let mut verdict = Verdict::default();
    for activity in [Activity::Bursts, Activity::Saturated] {
        for (idle, busy) in effort.watch(Activity::Idle).iter().zip(effort.watch(activity)) {
            let distance = differ(&idle.gaps(), &busy.gaps());
            verdict.add(distance < 1.0, || format!("{activity:?}: {distance:.2} of the bound"));
        }
    }
    println!("idle and busy: {verdict}");
    assert!(verdict.passes(), "{verdict}");
}

#[test]
fn a_main_stream_without_cover_and_a_clock_driven_by_the_backlog_give_another_law() {
    let client = |config: &mut nym_proto::client::Config| {
        config.traffic = Traffic { cover: false, ..Traffic::default() };
    };
    let watch = |activity| {
        let settings = Settings { client, ..Settings::new(6, activity) };
        let mut watch = Watch::new(settings);
        watch.run_for(std::time::Duration::from_secs(120));
        watch.end().gaps()
    };
    assert!(differ(&watch(Activity::Idle), &watch(Activity::Bursts)) > 1.0);
    let idle = backlog_driven(7, Activity::Idle).gaps();
    assert!(differ(&idle, &backlog_driven(8, Activity::Bursts).gaps()) > 1.0);
}

// ---- D ---------------------------------------------------------------------------------------

fn seconds(watched: &Watched) -> Vec<f64> {
    count_windows(&watched.instants(), 1.0, watched.duration())
}

#[test]
fn frames_in_windows_of_a_second_are_poisson_distributed() {
    let (mut spread, mut law) = (Verdict::default(), Verdict::default());
    for (activity, watched) in all() {
        let counts = seconds(&watched);
        let dispersion = dispersion(&counts);
        let is_near = (dispersion - 1.0).abs() < dispersion_bound(counts.len());
        spread.add(is_near, || format!("{activity:?}: dispersion {dispersion:.3}"));
        law.add_p(poisson_p(&counts, 1.0 / BOTH), &format!("{activity:?}"));
    }
    println!("dispersion: {spread}\ncounts: {law}");
    assert!(spread.passes(), "{spread}");
    assert!(law.passes(), "{law}");
}

#[test]
fn counts_of_regular_frames_and_of_a_clock_driven_by_the_backlog_are_not() {
    for counts in
        [seconds(&broken(Activity::Idle, Even)), seconds(&backlog_driven(9, Activity::Bursts))]
    {
        let dispersion = dispersion(&counts);
        assert!((dispersion - 1.0).abs() > dispersion_bound(counts.len()), "{dispersion}");
        assert!(poisson_p(&counts, 1.0 / BOTH) < 0.01);
    }
}

// ---- E ---------------------------------------------------------------------------------------

/// Gaps as the probability of a shorter one.
fn transformed(gaps: &[f64]) -> Vec<f64> {
    gaps.iter().map(|gap| exponential_cdf(BOTH)(*gap)).collect()
}

#[test]
fn gaps_do_not_remember_those_before() {
    let mut verdict = Verdict::default();
    for (activity, watched) in all() {
        let gaps = watched.gaps();
        verdict.add_p(ljung_box_p(&gaps, LAGS), &format!("{activity:?}"));
        verdict
            .add_p(ljung_box_p(&transformed(&gaps), LAGS), &format!("{activity:?}, transformed"));
    }
    println!("memory: {verdict}");
    assert!(verdict.passes(), "{verdict}");
}

#[test]
fn exponential_gaps_that_repeat_are_noticed() {
    let gaps = broken(Activity::Idle, Repeating::default()).gaps();
    assert!(ljung_box_p(&gaps, LAGS) < 0.01);
    assert!(ljung_box_p(&transformed(&gaps), LAGS) < 0.01);
}
