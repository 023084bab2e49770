//! The topology against the vectors, the worked example of the specification, and statistics.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{Hop, KeyRotation};
use nym_proto::time::UnixTime;
use nym_proto::topology::directory::{
    KEY_ROTATION_INFO, KeyRotationInfo, MIXNODES_ACTIVE, Metadata, NextPage, NodePage, Pages,
    Status, assemble, page_path,
};
use nym_proto::topology::{
    Entry, Layer, MinPerformance, Node, NodeId, RewardedSet, SupportedRoles, Topology,
    TopologyParts,
};
use serde_json::Value;

const HOUR: u64 = 3600;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../vectors/sphinx.json")).unwrap()
}

fn number(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

fn clock(initial: u32, validity: u32) -> KeyRotationInfo {
    KeyRotationInfo {
        validity_epochs: validity,
        initial_epoch_id: initial,
        current_epoch_id: 1100,
        // 06:00 of some day
        current_epoch_start: UnixTime::from_secs(20_000 * 24 * HOUR + 6 * HOUR),
        epoch_duration: Duration::from_secs(HOUR),
    }
}

#[test]
fn epochs_belong_to_the_rotations_of_the_vectors() {
    let vectors = vectors();
    let cases = vectors["key_rotation"]["epoch_to_rotation"].as_array();
    let cases = cases.unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let clock = clock(number(&case["initial_epoch"]), number(&case["validity_epochs"]));
        assert_eq!(
            clock.rotation_of(number(&case["epoch"])),
            number(&case["rotation_id"]),
            "{case}"
        );
    }
}

#[test]
fn a_topology_announces_the_parity_of_the_vectors() {
    let vectors = vectors();
    let cases = vectors["key_rotation"]["rotation_id_to_byte"].as_array();
    let cases = cases.unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let topology = Topology::new(TopologyParts {
            rotation_id: number(&case["rotation_id"]),
            ..parts([1, 1, 1])
        })
        .unwrap();
        assert_eq!(u32::from(topology.rotation().to_byte()), number(&case["wire_byte"]), "{case}");
    }
}

#[test]
fn the_worked_example_of_the_epoch_clock_holds() {
    let clock = clock(1000, 24);
    let midnight = clock.current_epoch_start.as_secs() - 6 * HOUR;
    assert_eq!(clock.rotation_of(1100), 4);
    assert_eq!(clock.rotation_start(4).as_secs(), midnight + 2 * HOUR);
    assert_eq!(clock.first_epoch_of(4), 1096);
    assert_eq!(clock.rotation_start(5).as_secs(), midnight + 24 * HOUR + 2 * HOUR);
    let now = UnixTime::from_secs(midnight + 24 * HOUR + 2 * HOUR + 60);
    assert_eq!(clock.epoch_at(now), 1120);
    assert_eq!(clock.rotation_of(1120), 5);
    assert_eq!(KeyRotation::of_id(5), KeyRotation::Odd);
    assert_eq!(clock.epoch_end(now).as_secs(), midnight + 24 * HOUR + 3 * HOUR);
}

#[test]
fn paths_carry_the_query_of_one_page() {
    assert_eq!(KEY_ROTATION_INFO, "v1/epoch/key-rotation-info");
    assert_eq!(
        page_path(MIXNODES_ACTIVE, 3),
        "v2/unstable/nym-nodes/skimmed/mixnodes/active?page=3&per_page=1000&no_legacy=true&output=json"
    );
}

#[test]
fn a_client_assembles_what_a_directory_serves() {
    let parts = parts([2, 2, 2]);
    let expected = Topology::new(parts.clone()).unwrap();
    let serve = |page: u32, nodes: &[Node]| {
        NodePage {
            metadata: Metadata {
                status: Status::Unspecified,
                absolute_epoch_id: parts.epoch,
                rotation_id: parts.rotation_id,
                refreshed_at: parts.refreshed_at,
            },
            total: parts.nodes.len() as u64,
            page,
            size: nodes.len() as u64,
            nodes: nodes.to_vec(),
            rejected: Vec::new(),
        }
        .encode(&parts.rewarded)
    };
    let bodies: Vec<String> =
        (0..).zip(parts.nodes.chunks(4)).map(|(page, nodes)| serve(page, nodes)).collect();
    let collect = || {
        let mut pages = Pages::new();
        let mut wanted = 0;
        loop {
            let page = NodePage::decode(bodies[wanted as usize].as_bytes()).unwrap();
            match pages.push(page).unwrap() {
                NextPage::Fetch(next) => wanted = next,
                NextPage::Done => return pages.into_pages(),
            }
        }
    };
    let rewarded = RewardedSet::decode(parts.rewarded.encode().as_bytes()).unwrap();
    assert_eq!(assemble(&rewarded, collect(), collect(), MinPerformance::default()), Ok(expected));
}

#[test]
fn nodes_of_a_route_are_uniform_in_each_layer_and_independent_between_layers() {
    let sizes = [5, 7, 4];
    let topology = Topology::new(parts(sizes)).unwrap();
    let egress = topology.nodes().last().unwrap().identity;
    let mut stream = Entropy::new([0x11; 32]).stream(Purpose::Routes);
    let layers =
        Layer::ALL.map(|layer| -> Vec<Hop> { topology.layer(layer).map(Node::hop).collect() });
    let mut singles = sizes.map(|size| vec![0u32; size as usize]);
    let mut pairs = vec![0u32; (sizes[0] * sizes[2]) as usize];
    const ROUTES: u32 = 70_000;
    for _ in 0..ROUTES {
        let route = topology.route(&egress, &mut stream).unwrap();
        let mut places = [0; 3];
        for (place, (layer, hop)) in places.iter_mut().zip(layers.iter().zip(route.hops())) {
            *place = layer.iter().position(|known| known == hop).unwrap();
        }
        for (counts, place) in singles.iter_mut().zip(places) {
            counts[place] += 1;
        }
        pairs[places[0] * layers[2].len() + places[2]] += 1;
    }
    for counts in singles.iter().chain([&pairs]) {
        // mean n - 1, variance 2 (n - 1): five standard deviations
        let freedom = (counts.len() - 1) as f64;
        let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
        assert!(chi_square(counts, ROUTES) < bound, "{counts:?}");
    }
}

fn chi_square(counts: &[u32], total: u32) -> f64 {
    let expected = f64::from(total) / counts.len() as f64;
    let deviation = |&count: &u32| (f64::from(count) - expected).powi(2) / expected;
    counts.iter().map(deviation).sum()
}

fn node(id: NodeId) -> Node {
    let mut seed = [0x33; 32];
    seed[..4].copy_from_slice(&id.to_le_bytes());
    let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + id));
    Node {
        id,
        identity: *IdentityKeyPair::from_seed(&seed).public(),
        sphinx_key: PrivateKey::from_bytes(seed).public(),
        mix_host: SocketAddr::new(ip, 1789).into(),
        entry: Some(Entry {
            hostname: None,
            ip_addresses: vec![ip],
            ws_port: 9000,
            wss_port: None,
        }),
        roles: SupportedRoles { mixnode: true, entry: true, exit: true },
        performance: 100,
    }
}

/// Layers of the given sizes, and one gateway more.
fn parts([one, two, three]: [u32; 3]) -> TopologyParts {
    let gateway = one + two + three + 1;
    TopologyParts {
        epoch: 1100,
        rotation_id: 41,
        refreshed_at: Some(UnixTime::from_secs(1_767_225_600)),
        rewarded: RewardedSet {
            epoch_id: 1100,
            entry_gateways: vec![gateway],
            layer1: (1..=one).collect(),
            layer2: (one + 1..=one + two).collect(),
            layer3: (one + two + 1..gateway).collect(),
            ..RewardedSet::default()
        },
        nodes: (1..=gateway).map(node).collect(),
    }
}
