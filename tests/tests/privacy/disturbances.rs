//! Test K: after a disturbance there is no burst, and what an idle and a busy client write is still
//! the same.

use std::sync::Arc;
use std::time::Duration;

use nym_proto::client::{Config, Event, Pacer, Poisson, Shutdown};
use nym_proto::time::Instant;
use nym_testnet::sim::{DirectoryMode, SimConfig, Ways};
use tests::privacy::{Activity, BacklogDriven, CatchUp, Settings, Watch};
use tests::statistics::{poisson_quantile, windows_max};

const SEED: u64 = 51;
const WINDOW: f64 = 0.1;
const BEYOND: f64 = 1e-6;
/// Frames per second of the default streams.
const RATE: f64 = 55.0;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What happens to the client.
#[derive(Clone, Copy)]
struct Disturbance {
    network: fn(&mut SimConfig),
    client: fn(&mut Config),
    rate: f64,
    /// Makes it happen and lets it pass.
    happen: fn(&mut Watch),
}

impl Disturbance {
    const fn new(happen: fn(&mut Watch)) -> Self {
        Self { network: |_| {}, client: |_| {}, rate: RATE, happen }
    }

    fn watch(self, activity: Activity, pacer: Box<dyn Pacer>) -> Vec<(Instant, usize)> {
        let (network, client) = (self.network, self.client);
        self.run(Settings { network, client, pacer, ..Settings::new(SEED, activity) })
    }

    fn run(self, settings: Settings) -> Vec<(Instant, usize)> {
        let mut watch = Watch::new(settings);
        watch.run_for(seconds(10));
        (self.happen)(&mut watch);
        watch.run_for(seconds(20));
        watch.end().trace
    }

    /// Most frames in any window.
    fn burst(self, trace: &[(Instant, usize)]) -> usize {
        let instants: Vec<f64> =
            trace.iter().map(|(at, _)| at.since(Instant::START).as_secs_f64()).collect();
        windows_max(&instants, WINDOW)
    }

    fn burst_max(self) -> usize {
        poisson_quantile(WINDOW * self.rate, BEYOND) as usize
    }

    #[track_caller]
    fn assert_harmless(self) {
        let idle = self.watch(Activity::Idle, Box::new(Poisson));
        let busy = self.watch(Activity::Bursts, Box::new(Poisson));
        assert!(self.burst(&idle) <= self.burst_max(), "{}", self.burst(&idle));
        assert!(idle == busy, "{} and {} frames", idle.len(), busy.len());
    }
}

/// Its socket takes nothing for a minute, whatever connection it opens.
const BLOCK: Disturbance = Disturbance::new(|watch| {
    for _ in 0..60 {
        watch.sim.stall(watch.client, Ways::Both, seconds(2));
        watch.run_for(seconds(1));
    }
});

const SUSPEND: Disturbance = Disturbance::new(|watch| {
    watch.sim.suspend(watch.client, seconds(600));
    watch.run_for(seconds(600));
});

/// Two hours, with a tenth of the usual rate.
const OUTAGE: Disturbance = Disturbance {
    client: |config| {
        config.traffic.main_interval *= 10;
        config.traffic.loop_interval = config.traffic.loop_interval.map(|interval| interval * 10);
    },
    rate: RATE / 10.0,
    ..Disturbance::new(|watch| {
        watch.sim.set_directory(DirectoryMode::Down);
        watch.run_for(seconds(7200));
        watch.sim.set_directory(DirectoryMode::Up);
    })
};

const RECONNECT: Disturbance = Disturbance::new(|watch| {
    for _ in 0..3 {
        watch.sim.cut(watch.client);
        watch.run_for(seconds(10));
    }
});

/// Keys change every two minutes.
const ROTATION: Disturbance = Disturbance {
    network: |config| {
        config.epoch_length = seconds(60);
        config.validity_epochs = 2;
    },
    ..Disturbance::new(|watch| watch.run_for(seconds(400)))
};

#[test]
fn a_socket_blocked_for_a_minute_is_followed_by_no_burst_and_shows_no_activity() {
    BLOCK.assert_harmless();
}

#[test]
fn ten_minutes_of_sleep_are_followed_by_no_burst_and_show_no_activity() {
    SUSPEND.assert_harmless();
}

#[test]
fn two_hours_without_a_directory_leave_the_frames_as_they_are() {
    OUTAGE.assert_harmless();
}

#[test]
fn reconnections_are_followed_by_no_burst_and_show_no_activity() {
    RECONNECT.assert_harmless();
}

#[test]
fn rotations_of_keys_leave_the_frames_as_they_are() {
    ROTATION.assert_harmless();
}

/// Told to stop after `shutdown`, in the middle of what it does. Frames, and when it stopped.
fn shut_down(activity: Activity, how: Shutdown) -> (Vec<(Instant, usize)>, bool) {
    let mut watch = Watch::new(Settings::new(SEED, activity));
    watch.run_for(seconds(10));
    watch.sim.event(watch.client, Event::Shutdown(how)).expect("only sending fails");
    watch.run_for(seconds(40));
    let is_stopped = watch.sim.client(watch.client).stopped().is_some();
    (watch.end().trace, is_stopped)
}

#[test]
fn a_shutdown_after_a_given_time_does_not_tell_whether_anything_was_left() {
    let how = Shutdown::After(seconds(20));
    let idle = shut_down(Activity::Idle, how);
    assert!(idle.1, "it stops");
    assert!(idle.0.len() > 1200, "{}", idle.0.len());
    assert!(idle == shut_down(Activity::Saturated, how));
}

#[test]
fn a_client_that_drains_is_told_from_an_idle_one_by_its_end_only() {
    let how = Shutdown::Drain(seconds(20));
    let (idle, busy) = (shut_down(Activity::Idle, how), shut_down(Activity::Saturated, how));
    assert!(idle.1 && busy.1, "both stop");
    assert!(idle.0.len() < busy.0.len(), "who has nothing to send stops at once");
    assert!(idle.0[..] == busy.0[..idle.0.len()], "until then they are the same");
}

#[test]
fn a_clock_that_makes_up_for_what_it_missed_bursts() {
    let trace = SUSPEND.watch(Activity::Idle, Box::new(CatchUp));
    assert!(SUSPEND.burst(&trace) > SUSPEND.burst_max());
}

#[test]
fn a_clock_driven_by_the_backlog_shows_activity_around_a_disturbance() {
    let trace = |activity| {
        let backlog = Arc::default();
        let pacer = Box::new(BacklogDriven(Arc::clone(&backlog)));
        RECONNECT.run(Settings { pacer, backlog, ..Settings::new(SEED, activity) })
    };
    assert!(trace(Activity::Idle) != trace(Activity::Bursts));
}
