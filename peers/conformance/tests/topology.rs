//! Topologies: files, routes, and the documents of a directory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use nym_api_requests::models::described::type_translation::DeclaredRolesV1;
use nym_api_requests::models::{
    KeyRotationDetails, KeyRotationInfoResponse, KeyRotationState, RewardedSetResponse,
};
use nym_api_requests::nym_nodes::{
    BasicEntryInformation, NodeRole as TheirRole, PaginatedCachedNodesResponseV2, SkimmedNodeV1,
    TopologyRequestStatus,
};
use nym_crypto::asymmetric::x25519;
use nym_mixnet_contract_common::reward_params::Performance;
use nym_peers_conformance::convert::{their_identity, their_rotation};
use nym_peers_conformance::network::{Network, their_node, their_rewarded_set};
use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::Hop;
use nym_proto::time::UnixTime;
use nym_proto::topology::directory::{
    ALL_NODES, ENTRY_GATEWAYS, EXIT_GATEWAYS, KEY_ROTATION_INFO, KeyRotationInfo, MIXNODES_ACTIVE,
    Metadata, NodePage, REWARDED_SET, Status,
};
use nym_proto::topology::{
    Entry, FileError, Layer, Node, NodeError, RewardedSet, SupportedRoles, TlsPolicy, Topology,
    TopologyParts,
};
use nym_sphinx::params::SphinxKeyRotation;
use nym_testnet::blueprint::{Blueprint, NodeRole};
use nym_testnet::directory::{Directory, ListedNode};
use nym_testnet::epoch::EpochClock;
use nym_topology::{NymRouteProvider, NymTopology, NymTopologyMetadata, RoutingNode};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use time::OffsetDateTime;

type TheirPage = PaginatedCachedNodesResponseV2<SkimmedNodeV1>;

const CASES: u32 = 300;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn files_of_ours_are_read_by_them(parts in parts()) {
        let ours = Topology::new(parts.clone()).unwrap().to_file();
        let theirs: NymTopology = serde_json::from_str(&ours).unwrap();
        prop_assert_eq!(sorted(&serde_json::to_string(&theirs).unwrap()), sorted(&ours));
        prop_assert_eq!(theirs.metadata().key_rotation_id, parts.rotation_id);
    }

    #[test]
    fn files_of_theirs_are_read_by_us(parts in parts()) {
        let theirs = serde_json::to_string(&their_topology(&parts)).unwrap();
        let ours = Topology::from_file(theirs.as_bytes()).unwrap();
        prop_assert_eq!(sorted(&ours.to_file()), sorted(&theirs));
        // a file does not say how well a node performs
        let nodes = parts.nodes.into_iter().map(|node| Node { performance: 100, ..node });
        prop_assert_eq!(ours.nodes(), nodes.collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_they_read_says_the_same_to_us(parts in parts(), changes in changes()) {
        let mut json = serde_json::to_value(their_topology(&parts)).unwrap();
        for (path, at, value) in changes {
            change(&mut json, path, &at, value);
        }
        let text = json.to_string();
        let theirs = serde_json::from_str::<NymTopology>(&text);
        let ours = Topology::from_file(text.as_bytes());
        let Ok(theirs) = theirs else { return Ok(()) };
        let ours = match ours {
            Ok(ours) => ours,
            // Intended difference: a node is listed under its own number.
            Err(FileError::Node { error: NodeError::Number { .. }, .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("{error}: {text}"))),
        };
        let (mut ours, mut theirs) =
            (sorted(&ours.to_file()), sorted(&serde_json::to_string(&theirs).unwrap()));
        if json.get("metadata").is_none() {
            // Intended difference: without metadata the epoch is the rewarded set's, the time unknown.
            for json in [&mut ours, &mut theirs] {
                prop_assert_eq!(&json["metadata"]["key_rotation_id"], &json!(u32::MAX));
                json["metadata"].take();
            }
        }
        for node in theirs["node_details"].as_object_mut().unwrap().values_mut() {
            without_unusable(&mut node["entry"]);
        }
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn pages_of_our_directory_are_read_by_them(parts in parts(), status in 0..3usize) {
        let page = page(&parts, [Status::Unspecified, Status::NoUpdates, Status::Fresh][status]);
        let theirs: TheirPage = serde_json::from_str(&page.encode(&parts.rewarded)).unwrap();
        prop_assert_eq!(theirs.metadata.absolute_epoch_id, parts.epoch);
        prop_assert_eq!(theirs.metadata.rotation_id, parts.rotation_id);
        prop_assert_eq!(theirs.metadata.refreshed_at(), date_time(parts.refreshed_at));
        prop_assert_eq!(theirs.metadata.status == Some(TopologyRequestStatus::NoUpdates), status == 1);
        prop_assert_eq!(theirs.nodes.data.len(), parts.nodes.len());
        for (theirs, ours) in theirs.nodes.data.iter().zip(&parts.nodes) {
            prop_assert_eq!(their_role_name(&theirs.role), role_name(&parts.rewarded, ours.id));
            prop_assert_eq!(theirs.performance, Performance::from_percentage_value(ours.performance.into()).unwrap());
            let theirs = RoutingNode::try_from(theirs).unwrap();
            prop_assert_eq!(format!("{theirs:?}"), format!("{:?}", their_node(ours)));
        }
    }

    #[test]
    fn pages_of_their_directory_are_read_by_us(parts in parts(), status in 0..3usize) {
        let nodes = parts.nodes.iter().map(|node| skimmed(node, &parts.rewarded)).collect();
        let mut theirs = TheirPage::new_full(
            parts.epoch, parts.rotation_id, date_time(parts.refreshed_at), nodes,
        );
        theirs.metadata.status = match status {
            0 => None,
            1 => Some(TopologyRequestStatus::NoUpdates),
            _ => Some(TopologyRequestStatus::Fresh(interval())),
        };
        let body = serde_json::to_string(&theirs).unwrap();
        let expected = page(&parts, [Status::Unspecified, Status::NoUpdates, Status::Fresh][status]);
        prop_assert_eq!(NodePage::decode(body.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn rewarded_sets_are_read_by_both(parts in parts()) {
        let ours = parts.rewarded;
        let theirs: RewardedSetResponse = serde_json::from_str(&ours.encode()).unwrap();
        let body = serde_json::to_string(&theirs).unwrap();
        prop_assert_eq!(RewardedSet::decode(body.as_bytes()).unwrap(), ours.clone());
        prop_assert_eq!(sorted(&body), sorted(&ours.encode()));
    }

    #[test]
    fn clocks_of_key_rotations_are_read_by_both_and_say_the_same(
        validity in 1..1000u32, initial in 0..1_000_000u32, elapsed in 0..1_000_000u32,
        start in 1_500_000_000..4_000_000_000u64, length in 1..1_000_000u64, nanos in 0..1_000_000_000u32,
        other in 0..2_000_000u32,
    ) {
        let info = KeyRotationInfo {
            validity_epochs: validity,
            initial_epoch_id: initial,
            current_epoch_id: initial + elapsed,
            current_epoch_start: UnixTime::from_secs(start),
            epoch_duration: Duration::new(length, nanos),
        };
        let theirs = KeyRotationInfoResponse::from(KeyRotationDetails {
            key_rotation_state: KeyRotationState { validity_epochs: validity, initial_epoch_id: initial },
            current_absolute_epoch_id: initial + elapsed,
            current_epoch_start: OffsetDateTime::from_unix_timestamp(start as i64).unwrap(),
            epoch_duration: Duration::new(length, nanos),
        });
        let body = serde_json::to_string(&theirs).unwrap();
        prop_assert_eq!(KeyRotationInfo::decode(body.as_bytes()).unwrap(), info);
        let read: KeyRotationInfoResponse = serde_json::from_str(&info.encode()).unwrap();
        prop_assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(theirs).unwrap());

        let state = theirs.details.key_rotation_state;
        for epoch in [other, initial, initial + elapsed, initial.saturating_sub(1)] {
            let rotation = info.rotation_of(epoch);
            prop_assert_eq!(state.key_rotation_id(epoch), rotation);
            prop_assert_eq!(state.current_rotation_starting_epoch_id(epoch), info.first_epoch_of(rotation));
            let parity = their_rotation(nym_proto::sphinx::KeyRotation::of_id(rotation));
            prop_assert_eq!(SphinxKeyRotation::from(rotation), parity);
        }
    }

    #[test]
    fn listeners_are_tried_in_the_same_order(node in node(1)) {
        let Some(entry) = &node.entry else { return Ok(()); };
        let theirs = their_node(&node);
        let (first, second) = theirs.ws_entry_address_with_fallback(false, false);
        // Intended difference: in a URL, IPv6 addresses stand in brackets.
        let bracketed = |url: String| match url.strip_prefix("ws://").unwrap().rsplit_once(':') {
            Some((host, port)) if host.contains(':') => format!("ws://[{host}]:{port}"),
            _ => url,
        };
        let theirs_plain: Vec<_> = first.into_iter().chain(second).map(bracketed).collect();
        // Intended difference: a port of 0 is none.
        if entry.ws_port != 0 {
            prop_assert_eq!(entry.urls(TlsPolicy::Never), theirs_plain);
        }
        let tls = theirs.ws_entry_address_tls();
        prop_assert_eq!(entry.urls(TlsPolicy::Require), Vec::from_iter(tls));
    }
}

#[test]
fn routes_of_both_lead_through_the_same_nodes() {
    let network = Network::new();
    let mut stream = Entropy::new([0x71; 32]).stream(Purpose::Routes);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (mut ours, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    for gateway in 0..2 {
        let egress = network.gateway(gateway);
        for _ in 0..1000 {
            let route = network.topology.route(&egress, &mut stream).unwrap();
            for (place, hop) in route.hops().iter().enumerate() {
                *ours.entry((place, id(&network, hop))).or_insert(0u32) += 1;
            }
            let route = network.theirs.random_route_to_egress(&mut rng, their_identity(&egress));
            for (place, node) in route.unwrap().iter().enumerate() {
                let address = NodeAddress::decode(node.address.as_bytes()).unwrap();
                let key = nym_proto::identity::PublicKey::from_bytes(node.pub_key.to_bytes());
                let hop = Hop { address, key };
                *theirs.entry((place, id(&network, &hop))).or_insert(0u32) += 1;
            }
        }
        let route = network.topology.direct_route(&egress).unwrap();
        let direct = network.theirs.empty_route_to_egress(their_identity(&egress)).unwrap();
        assert_eq!(direct.len(), route.hops().len());
        assert_eq!(*direct[0].address.as_bytes(), route.first().address.to_padded::<32>());
    }
    assert!(ours.keys().eq(theirs.keys()), "{ours:?} {theirs:?}");
    for (place, count) in &ours {
        // 1000 of 2000 each: this is six standard deviations
        assert!(count.abs_diff(1000) < 135 && theirs[place].abs_diff(1000) < 135, "{place:?}");
    }
}

#[test]
fn topologies_without_a_route_are_known_to_both() {
    let stranger = *IdentityKeyPair::from_seed(&[99; 32]).public();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut stream = Entropy::new([0x72; 32]).stream(Purpose::Routes);
    let network = Network::new();
    assert!(network.topology.route(&stranger, &mut stream).is_err());
    assert!(network.theirs.random_route_to_egress(&mut rng, their_identity(&stranger)).is_err());
    for missing in Layer::ALL {
        let mut parts = TopologyParts {
            epoch: 1,
            rotation_id: 1,
            refreshed_at: None,
            rewarded: RewardedSet {
                entry_gateways: vec![0],
                layer1: vec![2, 3],
                layer2: vec![4, 5],
                layer3: vec![6, 7],
                ..RewardedSet::default()
            },
            nodes: network.topology.nodes().to_vec(),
        };
        let layer = parts.rewarded.layer(missing).to_vec();
        parts.nodes.retain(|node| !layer.contains(&node.id));
        let theirs = NymRouteProvider::from(their_topology(&parts));
        let egress = network.gateway(0);
        assert!(!theirs.topology.is_minimally_routable());
        assert!(theirs.random_route_to_egress(&mut rng, their_identity(&egress)).is_err());
        let ours = Topology::new(parts).unwrap();
        assert!(ours.check_routable().is_err() && ours.route(&egress, &mut stream).is_err());
    }
}

#[test]
fn a_client_of_theirs_can_read_what_our_directory_serves() {
    let now = UnixTime::from_secs(1_767_225_600);
    let mut directory = directory(now);
    let mut get = |path: &str, query: &str| {
        let target = format!("{}{path}?{query}", Directory::BASE);
        let response = directory.respond(&target, now);
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    };
    let info: KeyRotationInfoResponse = serde_json::from_str(&get(KEY_ROTATION_INFO, "")).unwrap();
    let epoch = info.details.current_absolute_epoch_id;
    let rewarded: RewardedSetResponse = serde_json::from_str(&get(REWARDED_SET, "")).unwrap();
    let mut nodes = Vec::new();
    for path in [MIXNODES_ACTIVE, ENTRY_GATEWAYS, EXIT_GATEWAYS, ALL_NODES] {
        let page: TheirPage = serde_json::from_str(&get(path, "page=0&per_page=100")).unwrap();
        assert_eq!(page.metadata.absolute_epoch_id, epoch);
        nodes.extend(page.nodes.data);
        let known: TheirPage =
            serde_json::from_str(&get(path, &format!("epoch_id={epoch}"))).unwrap();
        assert_eq!(known.metadata.status, Some(TopologyRequestStatus::NoUpdates));
    }
    let rewarded: nym_topology::EpochRewardedSet = rewarded.into();
    let metadata = NymTopologyMetadata::new(1, epoch, OffsetDateTime::UNIX_EPOCH);
    let theirs = NymTopology::new(metadata, rewarded, Vec::new()).with_skimmed_nodes(&nodes);
    assert!(theirs.is_minimally_routable());
}

fn directory(now: UnixTime) -> Directory {
    let blueprint = Blueprint::generate([4; 32], 2, 2);
    let nodes = blueprint.gateways.iter().chain(&blueprint.mixes).zip(1u8..);
    let listed = nodes.map(|(plan, i)| {
        let ws_port = (plan.role == NodeRole::Gateway).then_some(9000);
        ListedNode::new(plan, ([127, 0, 0, i], 1789).into(), ws_port)
    });
    Directory::new(listed.collect(), EpochClock::new(now, Duration::from_secs(3600), 24))
}

/// The number of the node a hop is.
fn id(network: &Network, hop: &Hop) -> u32 {
    network.topology.nodes().iter().find(|node| node.hop() == *hop).unwrap().id
}

fn their_topology(parts: &TopologyParts) -> NymTopology {
    NymTopology::new(
        NymTopologyMetadata::new(parts.rotation_id, parts.epoch, date_time(parts.refreshed_at)),
        their_rewarded_set(&parts.rewarded),
        parts.nodes.iter().map(their_node).collect(),
    )
}

fn date_time(time: Option<UnixTime>) -> OffsetDateTime {
    let nanos = time.unwrap_or_default().as_nanos();
    OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).unwrap()
}

/// A topology file with its sets in order.
fn sorted(text: &str) -> Value {
    let mut json: Value = serde_json::from_str(text).unwrap();
    let rewarded = match json.get_mut("rewarded_set") {
        Some(rewarded) => rewarded,
        None => &mut json,
    };
    for list in rewarded.as_object_mut().unwrap().values_mut() {
        if let Value::Array(items) = list {
            items.sort_by_key(Value::as_u64);
            items.dedup();
        }
    }
    json
}

/// Intended difference: port 0 is no port, and what cannot stand in a URL is no host name.
fn without_unusable(entry: &mut Value) {
    let Some(entry) = entry.as_object_mut() else { return };
    if entry["clients_wss_port"] == 0 {
        entry["clients_wss_port"] = Value::Null;
    }
    if entry["hostname"].as_str().is_some_and(|name| name.is_empty() || name.contains(':')) {
        entry["hostname"] = Value::Null;
    }
}

fn page(parts: &TopologyParts, status: Status) -> NodePage {
    let count = parts.nodes.len() as u64;
    NodePage {
        metadata: Metadata {
            status,
            absolute_epoch_id: parts.epoch,
            rotation_id: parts.rotation_id,
            refreshed_at: parts.refreshed_at,
        },
        total: count,
        page: 0,
        size: count,
        nodes: parts.nodes.clone(),
        rejected: Vec::new(),
    }
}

fn skimmed(node: &Node, rewarded: &RewardedSet) -> SkimmedNodeV1 {
    let ip = node.mix_host.socket_addr().ip();
    SkimmedNodeV1 {
        node_id: node.id,
        ed25519_identity_pubkey: their_identity(&node.identity),
        ip_addresses: node.entry.as_ref().map_or(vec![ip], |entry| entry.ip_addresses.clone()),
        mix_port: node.mix_host.socket_addr().port(),
        x25519_sphinx_pubkey: x25519::PublicKey::from_byte_array(node.sphinx_key.as_bytes()),
        role: match role_name(rewarded, node.id) {
            "entry" => TheirRole::EntryGateway,
            "exit" => TheirRole::ExitGateway,
            "standby" => TheirRole::Standby,
            "1" => TheirRole::Mixnode { layer: 1 },
            "2" => TheirRole::Mixnode { layer: 2 },
            "3" => TheirRole::Mixnode { layer: 3 },
            _ => TheirRole::Inactive,
        },
        supported_roles: DeclaredRolesV1 {
            mixnode: node.roles.mixnode,
            entry: node.roles.entry,
            exit_nr: node.roles.exit,
            exit_ipr: node.roles.exit,
        },
        entry: node.entry.as_ref().map(|entry| BasicEntryInformation {
            hostname: entry.hostname.clone(),
            ws_port: entry.ws_port,
            wss_port: entry.wss_port,
        }),
        performance: Performance::from_percentage_value(node.performance.into()).unwrap(),
    }
}

fn role_name(rewarded: &RewardedSet, id: u32) -> &'static str {
    use nym_proto::topology::Role;
    match rewarded.role(id) {
        Some(Role::Mix(Layer::One)) => "1",
        Some(Role::Mix(Layer::Two)) => "2",
        Some(Role::Mix(Layer::Three)) => "3",
        Some(Role::EntryGateway) => "entry",
        Some(Role::ExitGateway) => "exit",
        Some(Role::Standby) => "standby",
        None => "none",
    }
}

fn their_role_name(role: &TheirRole) -> &'static str {
    match role {
        TheirRole::Mixnode { layer: 1 } => "1",
        TheirRole::Mixnode { layer: 2 } => "2",
        TheirRole::Mixnode { .. } => "3",
        TheirRole::EntryGateway => "entry",
        TheirRole::ExitGateway => "exit",
        TheirRole::Standby => "standby",
        TheirRole::Inactive => "none",
    }
}

fn interval() -> nym_mixnet_contract_common::Interval {
    serde_json::from_value(json!({
        "id": 1,
        "epochs_in_interval": 720,
        "current_epoch_start": "2026-01-01T00:00:00Z",
        "current_epoch_id": 5,
        "epoch_length": { "secs": 3600, "nanos": 0 },
        "total_elapsed_epochs": 725,
    }))
    .unwrap()
}

/// Topologies of up to nine nodes.
fn parts() -> impl Strategy<Value = TopologyParts> {
    let ids = prop::collection::btree_set(any::<u32>(), 0..9);
    let nodes = ids.prop_flat_map(|ids| ids.into_iter().map(node).collect::<Vec<_>>());
    let refreshed = prop_oneof![
        Just(None),
        (1..9_000_000_000_000_000_000u64).prop_map(|nanos| Some(UnixTime::from_nanos(nanos))),
        (1..9_000_000_000u64).prop_map(|secs| Some(UnixTime::from_secs(secs))),
    ];
    (nodes, refreshed, any::<[u32; 3]>(), any::<[u8; 10]>()).prop_map(
        |(nodes, refreshed_at, [epoch, rotation_id, other], roles)| {
            let mut rewarded = RewardedSet { epoch_id: epoch, ..RewardedSet::default() };
            // some are nowhere, and one that is somewhere is not known
            let ids = nodes.iter().map(|node| node.id).chain([other]);
            for (id, role) in ids.zip(roles) {
                match role % 7 {
                    0 => rewarded.entry_gateways.push(id),
                    1 => rewarded.exit_gateways.push(id),
                    2 => rewarded.layer1.push(id),
                    3 => rewarded.layer2.push(id),
                    4 => rewarded.layer3.push(id),
                    5 => rewarded.standby.push(id),
                    _ => {}
                }
            }
            TopologyParts { epoch, rotation_id, refreshed_at, rewarded, nodes }
        },
    )
}

fn node(id: u32) -> impl Strategy<Value = Node> {
    let hostname = prop::option::of("[a-z]{1,10}\\.[a-z]{2,5}");
    let ips = (any::<IpAddr>(), prop::collection::vec(any::<IpAddr>(), 0..3))
        .prop_map(|(first, others)| [vec![first], others].concat());
    let ports = (any::<u16>(), any::<u16>(), prop::option::of(1..=u16::MAX));
    (any::<[u8; 32]>(), hostname, ips, ports, any::<[bool; 4]>(), 0..=100u8).prop_map(
        move |(seed, hostname, ip_addresses, (port, ws_port, wss_port), flags, performance)| {
            let [is_gateway, mixnode, entry, exit] = flags;
            Node {
                id,
                identity: *IdentityKeyPair::from_seed(&seed).public(),
                sphinx_key: PrivateKey::from_bytes(seed).public(),
                mix_host: NodeAddress::new((ip_addresses[0], port).into()),
                entry: is_gateway.then_some(Entry { hostname, ip_addresses, ws_port, wss_port }),
                roles: SupportedRoles { mixnode, entry, exit },
                performance,
            }
        },
    )
}

/// A place in a topology file, and what to put there; nothing means that the member goes.
fn changes() -> impl Strategy<Value = Vec<(usize, prop::sample::Index, Option<Value>)>> {
    let value = prop::sample::select(vec![
        None,
        Some(Value::Null),
        Some(json!(true)),
        Some(json!(0)),
        Some(json!(-1)),
        Some(json!(70_000)),
        Some(json!("x")),
        Some(json!("10.0.0.1:5")),
        Some(json!("2026-01-01T00:00:00Z")),
        Some(json!([])),
        Some(json!([1, 2])),
        Some(json!(["10.0.0.1", "::1"])),
        Some(json!({})),
    ]);
    prop::collection::vec((0..4usize, any::<prop::sample::Index>(), value), 1..3)
}

fn change(json: &mut Value, path: usize, at: &prop::sample::Index, value: Option<Value>) {
    let object = match path {
        0 => Some(json),
        1 => json.get_mut(["metadata", "rewarded_set"][at.index(2)]),
        _ => {
            let nodes = json.get_mut("node_details").and_then(Value::as_object_mut);
            let node = nodes.and_then(|nodes| {
                let index = at.index(nodes.len().max(1));
                nodes.values_mut().nth(index)
            });
            match path {
                2 => node,
                _ => node.and_then(|node| node.get_mut(["entry", "supported_roles"][at.index(2)])),
            }
        }
    };
    let Some(object) = object.and_then(Value::as_object_mut) else { return };
    if object.is_empty() {
        return;
    }
    let name = object.keys().nth(at.index(object.len())).unwrap().clone();
    match value {
        Some(value) => drop(object.insert(name, value)),
        None => drop(object.remove(&name)),
    }
}
