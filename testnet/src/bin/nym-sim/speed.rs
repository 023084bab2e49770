//! How fast simulated time passes.

use core::time::Duration;
use std::time::Instant;

use nym_testnet::sim::{Sim, SimConfig};

use super::Cli;

/// How fast 10 clients with default traffic are simulated, once they are connected.
pub(super) fn measure(cli: &Cli) {
    const CLIENTS: u32 = 10;
    let (time, suite) = (Duration::from_secs(60), cli.suite.suite());
    let seed = cli.seed.unwrap_or_default();
    let mut sim = Sim::new(SimConfig { seed, suite, ..SimConfig::default() });
    for _ in 0..CLIENTS {
        sim.add_client(|_| {});
    }
    let are_ready = sim.run_until(time, Sim::are_ready);
    let begun = Instant::now();
    sim.run_for(time);
    let seconds = begun.elapsed().as_secs_f64();
    let ratio = time.as_secs_f64() / seconds;
    let speed = f64::from(CLIENTS) * ratio;
    if cli.json {
        let speed = serde_json::json!({
            "clients": CLIENTS,
            "are_ready": are_ready,
            "seconds": seconds,
            "client_seconds_per_second": speed,
            "times_real_time": ratio,
        });
        nym_console::out!("{speed}");
    } else {
        nym_console::out!(
            "{CLIENTS} clients: {ratio:.1} times real time, {speed:.0} client-seconds per second"
        );
    }
}
