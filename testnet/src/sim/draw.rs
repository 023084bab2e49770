//! What is drawn from a seed.

use core::time::Duration;

use nym_proto::client::Traffic;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::limits::Limits;

use super::campaign::Scenario;
use super::faults::{FaultPlan, Kind, Parts};
use super::{SimConfig, Suite};

impl Scenario {
    /// Draws a run.
    #[must_use]
    pub fn draw(seed: u64, suite: Suite) -> Self {
        let entropy = Entropy::new(whole(seed));
        let mut stream = entropy.stream(Purpose::Other(u32::MAX));
        // faults have a stream of their own, so that they do not depend on what else is drawn
        let mut faults = entropy.stream(Purpose::Other(u32::MAX - 1));
        let kinds = FaultPlan::draw_kinds(&mut faults);
        let is_long = kinds.contains(&Kind::Rotation);
        let mut sim = SimConfig {
            seed,
            suite,
            gateways: 1 + stream.below(3) as u16,
            mixes_per_layer: 1 + stream.below(3) as u16,
            client_latency: Duration::from_millis(1) + stream.up_to(Duration::from_millis(100)),
            client_jitter: stream.up_to(Duration::from_millis(20)),
            directory_latency: stream.up_to(Duration::from_millis(500)),
            ..SimConfig::default()
        };
        let mut duration = Duration::from_secs(30 + stream.below(90));
        if is_long {
            // the directory is asked every 330 seconds at the latest, and keys overlap for an
            // epoch: with shorter ones clients cannot keep up
            sim.epoch_length = Duration::from_secs(360 + stream.below(120));
            sim.validity_epochs = 2;
            duration = sim.epoch_length * (7 + stream.below(3) as u32);
        }
        let clients = 2 + stream.index(if is_long { 2 } else { 4 });
        let clients: Vec<_> = (0..clients).map(|_| draw_traffic(is_long, &mut stream)).collect();
        let load = Duration::from_millis(500) + stream.up_to(Duration::from_secs(4));
        let parts = Parts {
            clients: clients.len(),
            gateways: usize::from(sim.gateways),
            mixes: 3 * usize::from(sim.mixes_per_layer),
            epoch_length: sim.epoch_length,
        };
        let plan = FaultPlan::draw(kinds, parts, duration, &mut faults);
        let load_interval = Some(if is_long { load * 10 } else { load });
        // drawn last, and from its own stream
        let limits = draw_limits(&mut entropy.stream(Purpose::Other(u32::MAX - 3)));
        Self { seed, sim, clients, limits, duration, load_interval, plan }
    }
}

pub(super) fn whole(seed: u64) -> [u8; 32] {
    let mut whole = [0; 32];
    whole[..8].copy_from_slice(&seed.to_le_bytes());
    whole
}

fn draw_traffic(is_long: bool, stream: &mut Stream) -> Traffic {
    let intervals: [u64; 4] = if is_long { [500, 700, 1000, 1500] } else { [20, 50, 100, 200] };
    let main_interval = Duration::from_millis(intervals[stream.index(4)]);
    let cover = stream.chance(0.8);
    Traffic {
        main_interval,
        loop_interval: stream.chance(0.8).then_some(main_interval * 10),
        cover,
        on_demand: !cover && stream.chance(0.5),
        hop_delay: Duration::from_millis(1) + stream.up_to(Duration::from_millis(80)),
        ..Traffic::default()
    }
}

/// Some seeds have clients that may not hold much. Each limit leaves room for what a pair of clients
/// needs to exchange a message and a reply.
fn draw_limits(stream: &mut Stream) -> Limits {
    let mut limits = Limits::default();
    if !stream.chance(0.25) {
        return limits;
    }
    let mut small = |min: usize, max: usize| min + stream.index(max - min);
    limits.message_bytes_max = small(1_000, 40_000);
    // with room for ten SURBs beside the message
    limits.outbox_bytes_max = small(20_000, 150_000);
    limits.outbox_messages_max = small(8, 32);
    limits.inbox_bytes_max = small(40_000, 200_000);
    limits.inbox_messages_max = small(1, 16);
    limits.reassembly.sets_max = small(16, 64);
    limits.reassembly.bytes_max = small(100_000, 400_000);
    limits.reassembly.finished_max = small(64, 256);
    limits.surbs_per_correspondent_max = small(30, 100);
    limits.surbs_max = limits.surbs_per_correspondent_max * small(5, 8);
    limits.correspondents_max = small(6, 12);
    // more than the other side holds: a reply through a SURB whose key was dropped is lost
    limits.reply_keys_per_recipient_max = limits.surbs_per_correspondent_max * small(3, 8);
    limits.reply_keys_max = limits.reply_keys_per_recipient_max * small(6, 10);
    limits.tags_max = small(6, 12);
    limits.loops_max = small(1, 64);
    limits
}
