//! Test A: the same frames at the same instants, whatever the application does.

use std::sync::Arc;
use std::time::Duration;

use nym_proto::client::{Stats, Traffic};
use nym_proto::time::Instant;
use tests::privacy::{Activity, BacklogDriven, Settings, Watch};

const SEED: u64 = 77;
const TIME: Duration = Duration::from_secs(60);

type Trace = Vec<(Instant, usize)>;

fn watch(settings: Settings) -> (Trace, Stats) {
    let mut watch = Watch::new(settings);
    watch.run_for(TIME);
    let watched = watch.end();
    (watched.trace, watched.stats)
}

fn trace(activity: Activity) -> (Trace, Stats) {
    watch(Settings::new(SEED, activity))
}

#[test]
fn frames_are_the_same_bit_for_bit_whatever_the_application_does() {
    let (idle, stats) = trace(Activity::Idle);
    assert_eq!(stats.real_packets, 0);
    assert!(idle.len() > 3000);
    for activity in Activity::ALL.into_iter().skip(1) {
        let (busy, stats) = trace(activity);
        // it did what its name says
        let has_acted = match activity {
            Activity::Idle => false,
            Activity::Light => stats.real_packets >= 25,
            Activity::Bursts => stats.real_packets > 300,
            Activity::Saturated => stats.real_packets > 2500,
            Activity::Replies => stats.messages_delivered > 10 && stats.surbs_made > 100,
            Activity::Surbs => stats.surbs_used > 50 && stats.surb_requests_sent > 0,
            Activity::Losses => stats.retransmissions > 20,
            Activity::Closing => stats.messages_failed > 10,
            Activity::Flooded => stats.fragments_received > 2000,
        };
        assert!(has_acted, "{activity:?}: {stats:?}");
        assert!(idle == busy, "{activity:?} shows");
    }
}

#[test]
fn the_comparison_fails_if_the_backlog_drives_the_clock() {
    let trace = |activity| {
        let backlog = Arc::default();
        let pacer = Box::new(BacklogDriven(Arc::clone(&backlog)));
        watch(Settings { pacer, backlog, ..Settings::new(SEED, activity) }).0
    };
    let idle = trace(Activity::Idle);
    assert!(idle == self::trace(Activity::Idle).0, "with nothing to send it is the same clock");
    for activity in [Activity::Light, Activity::Bursts, Activity::Saturated, Activity::Closing] {
        assert!(trace(activity) != idle, "{activity:?}");
    }
}

#[test]
fn the_comparison_fails_without_cover() {
    let trace = |activity| {
        let client = |config: &mut nym_proto::client::Config| {
            config.traffic = Traffic::without_cover();
        };
        watch(Settings { client, ..Settings::new(SEED, activity) }).0
    };
    assert!(trace(Activity::Idle) != trace(Activity::Light));
}
