//! A whole small network against the reference model: what goes wrong, and when, is the fuzzer's
//! decision.

use core::time::Duration;

use nym_proto::client::Traffic;
use nym_proto::limits::Limits;
use nym_testnet::sim::campaign::Scenario;
use nym_testnet::sim::faults::{Fault, FaultPlan, Kind};
use nym_testnet::sim::hostile_gateway::{Malice, Mischief};
use nym_testnet::sim::hostile_sender::Attack;
use nym_testnet::sim::{ClientIx, DirectoryMode, NodeIx, NodeLinks, SimConfig, Suite, Ways};

use crate::input::{Input, Script};

/// Faults in one run.
const FAULTS_MAX: usize = 12;
/// Kinds of faults.
const KINDS: u8 = 17;

/// All rules hold.
pub fn run(data: &[u8]) {
    let scenario = scenario(&mut Input::new(data));
    if let Err(violation) = scenario.run() {
        panic!("{violation:?}");
    }
}

fn scenario(input: &mut Input<'_>) -> Scenario {
    let seed = input.short().into();
    let sim = SimConfig {
        seed,
        suite: Suite::Transparent,
        gateways: 1 + input.below(2) as u16,
        mixes_per_layer: 1 + input.below(2) as u16,
        client_latency: Duration::from_millis(1 + u64::from(input.byte() % 100)),
        client_jitter: Duration::from_millis(u64::from(input.byte() % 20)),
        directory_latency: Duration::from_millis(u64::from(input.byte()) * 2),
        ..SimConfig::default()
    };
    let clients = (0..2).map(|_| traffic(input)).collect();
    let duration = Duration::from_secs(5 + u64::from(input.byte() % 25));
    let load_interval = Some(Duration::from_millis(300 + u64::from(input.byte()) * 10));
    let node_links = NodeLinks {
        latency: Duration::from_millis(input.byte().into()),
        jitter: Duration::from_millis(u64::from(input.byte()) * 2),
        loss: share(input, 4.0),
        duplication: share(input, 2.0),
        reordering: share(input, 2.0),
        held_back: Duration::from_millis(u64::from(input.byte()) * 16),
    };
    let mut faults = Vec::new();
    while !input.is_empty() && faults.len() < FAULTS_MAX {
        fault(input, &sim, duration, &mut faults);
    }
    faults.sort_by_key(|(at, _)| *at);
    // a hostile sender has an address, to which clients write
    let is_attacked = faults.iter().any(|(_, fault)| matches!(fault, Fault::Attack(..)));
    let kinds = if is_attacked { vec![Kind::HostileSender] } else { Vec::new() };
    let plan = FaultPlan { kinds, node_links, faults };
    Scenario { seed, sim, clients, limits: Limits::default(), duration, load_interval, plan }
}

/// A probability from 0 to about one in `least`.
fn share(input: &mut Input<'_>, least: f64) -> f64 {
    f64::from(input.byte()) / 256.0 / least
}

fn traffic(input: &mut Input<'_>) -> Traffic {
    let main_interval = Duration::from_millis(input.one_of([300, 500, 900]));
    Traffic {
        main_interval,
        loop_interval: input.flag().then_some(main_interval * 10),
        cover: input.flag(),
        hop_delay: Duration::from_millis(1 + u64::from(input.byte() % 80)),
        ..Traffic::default()
    }
}

fn fault(
    input: &mut Input<'_>,
    sim: &SimConfig,
    duration: Duration,
    faults: &mut Vec<(Duration, Fault)>,
) {
    let at = duration.mul_f64(f64::from(input.byte()) / 256.0);
    let lasts = (duration - at).mul_f64(f64::from(input.byte()) / 256.0);
    let end = at + lasts;
    let kind = input.byte() % KINDS;
    let client = ClientIx(input.below(2));
    let gateway = NodeIx::Gateway(input.below(sim.gateways.into()));
    let mix = NodeIx::Mix(input.below(3 * usize::from(sim.mixes_per_layer)));
    let mut between = |begins, ends| faults.extend([(at, begins), (end, ends)]);
    match kind {
        0 => faults.push((at, Fault::Cut(client))),
        1 => {
            let ways = input.one_of([Ways::Up, Ways::Down, Ways::Both]);
            faults.push((at, Fault::Silence(client, ways)));
        }
        2 => faults.push((at, Fault::Stall(client, Ways::Both, lasts))),
        3 => faults.push((at, Fault::Suspend(client, lasts))),
        4 => between(Fault::Crash(gateway), Fault::Restart(gateway, true)),
        5 => between(Fault::Crash(gateway), Fault::Restart(gateway, false)),
        6 => between(Fault::Crash(mix), Fault::Restart(mix, true)),
        7 => {
            let mode = match input.byte() % 3 {
                0 => DirectoryMode::Down,
                1 => DirectoryMode::Garbage,
                _ => DirectoryMode::Stale(Duration::from_secs(u64::from(input.byte()) * 60)),
            };
            between(Fault::Directory(mode), Fault::Directory(DirectoryMode::Up));
        }
        8 => {
            let node = if input.flag() { gateway } else { mix };
            between(Fault::Hide(vec![node]), Fault::Hide(Vec::new()));
        }
        9 => between(Fault::HideGatewayOf(client), Fault::Hide(Vec::new())),
        10 => {
            let ways = input.one_of([Ways::Up, Ways::Down, Ways::Both]);
            faults.push((at, Fault::Tear(client, ways, usize::from(input.byte() % 20))));
        }
        11 => {
            let ways = input.one_of([Ways::Up, Ways::Down, Ways::Both]);
            let gap = Duration::from_millis(u64::from(input.byte()) * 4);
            faults.push((at, Fault::Slow(client, ways, gap, lasts)));
        }
        12 => {
            // up to half a minute, and up to two hours
            let mut off = || i64::from(input.short() as i16);
            let (monotonic, wall) = (off(), off() * 220);
            between(Fault::Clocks(client, monotonic, wall), Fault::Clocks(client, 0, 0));
        }
        13 => between(Fault::Grants(gateway, false), Fault::Grants(gateway, true)),
        14 => {
            let malice = malice(input);
            between(Fault::Corrupt(gateway, Some(malice)), Fault::Corrupt(gateway, None));
        }
        15 => {
            for _ in 0..=input.below(3) {
                let attack = input.one_of(Attack::ALL);
                faults.push((at, Fault::Attack(client, attack)));
            }
        }
        _ => {
            let mode = match input.byte() % 5 {
                0 => DirectoryMode::OtherKeys,
                1 => DirectoryMode::OtherLayers,
                2 => DirectoryMode::Inconsistent,
                3 => DirectoryMode::Hostile,
                _ => DirectoryMode::Slow(Duration::from_millis(u64::from(input.short()))),
            };
            between(Fault::Directory(mode), Fault::Directory(DirectoryMode::Up));
        }
    }
}

/// Any kinds of mischief, as often as in drawn runs.
fn malice(input: &mut Input<'_>) -> Malice {
    let (chosen, often) = (input.short(), input.byte());
    let mischief = Mischief::ALL.into_iter().enumerate();
    let kinds = mischief.filter(|(bit, _)| chosen >> bit & 1 == 1).map(|(_, kind)| kind).collect();
    Malice { kinds, chance: 0.3 * f64::from(often) / 256.0 }
}

/// A quiet run, and one with each kind of fault.
pub fn seeds() -> Vec<Vec<u8>> {
    // seed, sizes and latencies; two clients; duration and load; links between nodes
    let calm = || {
        let net = Script::new().short(7).raw([1, 1, 20, 5, 20]);
        let clients = net.raw([0, 1, 1, 20]).raw([1, 0, 1, 30]);
        clients.raw([15, 70]).raw([10, 0, 0, 0, 0, 0])
    };
    let rough = Script::new().short(8).raw([0, 0, 60, 15, 90]);
    let rough = rough.raw([0, 0, 0, 60]).raw([0, 1, 1, 9]);
    let rough = rough.raw([20, 20]).raw([100, 100, 100, 100, 100, 200]);
    let mut seeds = vec![calm().finish(), rough.finish()];
    for kind in 0..KINDS {
        // when, how long, what, whom, and what it needs
        let script = calm().raw([80, 100, kind, 0, 1, 2]).raw([1, 130, 40, 30]);
        let other = (kind * 2 + 3) % KINDS;
        seeds.push(script.raw([160, 60, other, 1, 0, 1]).raw([2, 3, 90, 9]).finish());
    }
    seeds
}
