//! Tests I and J: delays at hops are exponential, routes are uniform and fresh.

use std::collections::BTreeMap;
use std::time::Duration;

use nym_proto::address::NodeAddress;
use nym_proto::client::Config;
use tests::privacy::{Activity, Built, Effort, Kind, Settings, Watch};
use tests::statistics::{
    KS_BOUND, Verdict, exponential_cdf, ks_one_sample, ks_two_samples, ks_two_samples_bound,
    pairs_p, uniform_p,
};

/// Mean delay at a hop, in seconds.
const DELAY: f64 = 0.015;
/// Mixes delay, the gateway at the end does not.
const MIXES: usize = 3;

/// Everything built in runs that contain everything there is to build.
fn built() -> Vec<(Kind, Built)> {
    let effort = Effort { seeds: 2, ..Effort::of_environment() };
    let kinds = [Activity::Bursts, Activity::Replies];
    let watched = kinds.into_iter().flat_map(|activity| effort.watch(activity));
    watched.flat_map(|watched| watched.built.clone()).collect()
}

const ROUTED: [Kind; 4] = [Kind::Data, Kind::Loop, Kind::Ack, Kind::Surb];

fn of_kind(built: &[(Kind, Built)], kind: Kind) -> Vec<&Built> {
    built.iter().filter(|(k, _)| *k == kind).map(|(_, built)| built).collect()
}

// ---- I ---------------------------------------------------------------------------------------

fn delays(built: &[(Kind, Built)], kind: Kind, hop: usize) -> Vec<f64> {
    of_kind(built, kind).iter().map(|built| built.delays[hop]).collect()
}

fn judge_delays(change: fn(Kind, f64) -> f64) -> (Verdict, Verdict) {
    let built = built();
    let (mut law, mut same) = (Verdict::default(), Verdict::default());
    for hop in 0..MIXES {
        let of = |kind| -> Vec<f64> {
            delays(&built, kind, hop).into_iter().map(|delay| change(kind, delay)).collect()
        };
        for kind in ROUTED {
            let delays = of(kind);
            assert!(delays.len() > 500, "{kind:?}: {}", delays.len());
            let distance = ks_one_sample(&delays, exponential_cdf(DELAY));
            let distance = distance / (KS_BOUND / (delays.len() as f64).sqrt());
            law.add(distance < 1.0, || format!("{kind:?}, hop {hop}: {distance:.2} of the bound"));
        }
        let (data, loops) = (of(Kind::Data), of(Kind::Loop));
        let distance =
            ks_two_samples(&data, &loops) / ks_two_samples_bound(data.len(), loops.len());
        same.add(distance < 1.0, || format!("hop {hop}: {distance:.2} of the bound"));
    }
    (law, same)
}

#[test]
fn delays_at_every_hop_are_exponential_and_the_same_for_data_and_loops() {
    let (law, same) = judge_delays(|_, delay| delay);
    println!("delays: {law}\ndata and loops: {same}");
    assert!(law.passes(), "{law}");
    assert!(same.passes(), "{same}");
}

#[test]
fn other_delays_and_loops_with_delays_of_their_own_are_noticed() {
    // no long delays; and then: loops stay a tenth longer
    let (law, _) = judge_delays(|_, delay| delay.min(2.0 * DELAY));
    assert!(!law.passes(), "{law}");
    let (_, same) =
        judge_delays(|kind, delay| if kind == Kind::Loop { 1.1 * delay } else { delay });
    assert!(!same.passes(), "{same}");
}

// ---- J ---------------------------------------------------------------------------------------

/// The nodes at each of the three layers, numbered, in the order of the routes.
fn layers(routes: &[&Built]) -> Vec<(Vec<usize>, usize)> {
    let at = |layer: usize| {
        let mut numbers: BTreeMap<NodeAddress, usize> = BTreeMap::new();
        let nodes: Vec<NodeAddress> = routes.iter().map(|built| built.hops[layer]).collect();
        for node in &nodes {
            numbers.insert(*node, 0);
        }
        for (number, entry) in numbers.values_mut().enumerate() {
            *entry = number;
        }
        (nodes.iter().map(|node| numbers[node]).collect(), numbers.len())
    };
    (0..MIXES).map(at).collect()
}

fn judge_routes(routes: &[&Built], what: &str, verdict: &mut Verdict) {
    let layers = layers(routes);
    for (layer, (nodes, kinds)) in layers.iter().enumerate() {
        assert_eq!(*kinds, 4, "all nodes of a layer are used");
        let mut counts = vec![0.0; *kinds];
        for node in nodes {
            counts[*node] += 1.0;
        }
        verdict.add_p(uniform_p(&counts), &format!("{what}, layer {layer}: frequency"));
        verdict.add_p(pairs_p(nodes, *kinds), &format!("{what}, layer {layer}: succession"));
    }
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        let both = layers[a].0.iter().zip(&layers[b].0).flat_map(|(a, b)| [*a, *b]);
        verdict.add_p(pairs_p(&both.collect::<Vec<_>>(), 4), &format!("{what}: {a} and {b}"));
    }
}

#[test]
fn nodes_of_routes_are_uniform_and_independent_of_each_other_and_of_the_route_before() {
    let built = built();
    let mut verdict = Verdict::default();
    for kind in ROUTED {
        judge_routes(&of_kind(&built, kind), &format!("{kind:?}"), &mut verdict);
    }
    println!("routes: {verdict}");
    assert!(verdict.passes(), "{verdict}");
}

#[test]
fn routes_used_twice_and_a_preferred_node_are_noticed() {
    let built = built();
    let data = of_kind(&built, Kind::Data);
    let mut twice = Verdict::default();
    let repeated: Vec<&Built> = data.iter().step_by(2).flat_map(|built| [*built; 2]).collect();
    judge_routes(&repeated, "repeated", &mut twice);
    assert!(!twice.passes(), "{twice}");
    let first = data[0].hops[1];
    let preferred: Vec<&Built> = data
        .iter()
        .enumerate()
        .filter(|(i, built)| built.hops[1] == first || i % 4 != 0)
        .map(|(_, built)| *built)
        .collect();
    let mut verdict = Verdict::default();
    judge_routes(&preferred, "preferred", &mut verdict);
    assert!(!verdict.passes(), "{verdict}");
}

/// Routes of one fragment that is lost again and again.
fn retransmissions() -> Vec<Built> {
    let client = |config: &mut Config| {
        config.traffic.main_interval = Duration::from_millis(400);
        config.traffic.loop_interval = None;
        config.acks.wait_addition = Duration::from_millis(100);
        config.acks.wait_max = Duration::from_secs(1);
    };
    let mut watch = Watch::new(Settings { client, ..Settings::new(31, Activity::Idle) });
    let other = watch.sim.client(nym_testnet::sim::ClientIx(1)).address();
    watch.sim.set_node_links(nym_testnet::sim::NodeLinks {
        loss: 1.0,
        ..nym_testnet::sim::NodeLinks::default()
    });
    let target = nym_proto::client::Target::Plain(other.expect("it was ready"));
    watch.sim.send(watch.client, target, "x").expect("there is room");
    watch.run_for(Duration::from_secs(1500));
    let watched = watch.end();
    assert!(watched.stats.retransmissions > 300, "{:?}", watched.stats);
    let all = watched.built.into_iter();
    all.filter(|(kind, _)| *kind == Kind::Data).map(|(_, built)| built).collect()
}

#[test]
fn a_retransmission_takes_a_route_of_its_own() {
    let built = retransmissions();
    let mut fresh = Verdict::default();
    judge_routes(&built.iter().collect::<Vec<_>>(), "retransmissions", &mut fresh);
    assert!(fresh.passes(), "{fresh}");
    // as if every second retransmission took the route of the transmission before it
    let kept: Vec<&Built> = built.iter().step_by(2).flat_map(|built| [built; 2]).collect();
    let mut verdict = Verdict::default();
    judge_routes(&kept, "kept", &mut verdict);
    assert!(!verdict.passes(), "{verdict}");
}
