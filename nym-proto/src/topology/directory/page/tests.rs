use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::identity::KeyError;
use crate::topology::NODES_MAX;
use crate::topology::fixture::{node, parts};

fn page(nodes: Vec<Node>) -> NodePage {
    NodePage {
        metadata: Metadata {
            status: Status::Unspecified,
            absolute_epoch_id: 1100,
            rotation_id: 41,
            refreshed_at: Some(UnixTime::from_nanos(1_767_225_600_250_000_000)),
        },
        total: nodes.len() as u64,
        page: 0,
        size: nodes.len() as u64,
        nodes,
        rejected: Vec::new(),
    }
}

/// A document of nodes 1 to 3.
fn document() -> Value {
    let body = page((1..=3).map(node).collect()).encode(&parts(3).rewarded);
    serde_json::from_str(&body).unwrap()
}

fn decode(value: &Value) -> Result<NodePage, DocumentError> {
    NodePage::decode(value.to_string().as_bytes())
}

/// Decodes the document after giving one member of the second node another value.
fn with(member: &str, value: Value) -> NodePage {
    let mut document = document();
    document["nodes"]["data"][1][member] = value;
    decode(&document).unwrap()
}

fn rejection(member: &str, value: Value) -> RejectedNode {
    let page = with(member, value);
    let ids: Vec<_> = page.nodes.iter().map(|node| node.id).collect();
    assert_eq!(ids, [1, 3]);
    assert_eq!(page.rejected.len(), 1);
    page.rejected.into_iter().next().unwrap()
}

#[test]
fn a_fresh_page_has_the_interval_that_published_readers_want() {
    let mut page = page(Vec::new());
    page.metadata.status = Status::Fresh;
    let document: Value = serde_json::from_str(&page.encode(&parts(0).rewarded)).unwrap();
    let interval = &document["metadata"]["status"]["fresh"];
    assert_eq!(interval["total_elapsed_epochs"], 1100);
    assert_eq!(interval["current_epoch_start"], "2026-01-01T00:00:00.25Z");
    for member in ["id", "epochs_in_interval", "current_epoch_id"] {
        assert!(interval[member].is_u64(), "{member}");
    }
    assert!(
        interval["epoch_length"]["secs"].is_u64() && interval["epoch_length"]["nanos"].is_u64()
    );
}

#[test]
fn a_page_has_the_members_of_the_specification() {
    let document = document();
    assert_eq!(document["metadata"]["status"], Value::Null);
    assert_eq!(document["metadata"]["refreshed_at"], "2026-01-01 00:00:00.25 +00:00:00");
    assert_eq!(document["nodes"]["pagination"]["total"], 3);
    let first = &document["nodes"]["data"][0];
    assert_eq!(first["role"], json!({ "Mixnode": { "layer": 1 } }));
    assert_eq!(first["ip_addresses"], json!(["10.0.0.1"]));
    assert_eq!(first["mix_port"], 1789);
    assert_eq!(first["performance"], "1");
    assert_eq!(first["entry"]["ws_port"], 9000);
}

#[test]
fn unknown_members_and_roles_are_ignored_and_missing_ones_have_defaults() {
    let mut document = document();
    let second = document["nodes"]["data"][1].as_object_mut().unwrap();
    second.remove("supported_roles");
    second.remove("entry");
    second.remove("performance");
    second.insert("role".into(), json!({ "Emperor": [1, 2] }));
    second.insert("epoch_role".into(), json!("gateway"));
    second.insert("build".into(), json!({ "a": [{}] }));
    document["metadata"]["extra"] = json!(1);
    let page = decode(&document).unwrap();
    let expected =
        Node { entry: None, roles: SupportedRoles::default(), performance: 0, ..node(2) };
    assert_eq!(page.nodes, [node(1), expected, node(3)]);
}

#[test]
fn a_node_that_cannot_be_used_is_put_aside_with_the_reason() {
    let zero = bs58::encode([0; 32]).into_string();
    // u = 2 has no point on the curve
    let mut twist = [0; 32];
    twist[0] = 2;
    for key in [zero, bs58::encode(twist).into_string()] {
        let rejected = rejection("x25519_sphinx_pubkey", json!(key));
        assert_eq!((rejected.index, rejected.id), (1, Some(2)));
        assert_eq!(rejected.error, NodeError::SphinxKey(KeyError::Degenerate));
    }
    assert_eq!(
        rejection("ed25519_identity_pubkey", json!("abc")).error,
        NodeError::Identity(KeyError::Length(3))
    );
    assert_eq!(rejection("ip_addresses", json!([])).error, NodeError::NoIpAddress);
    let malformed = rejection("mix_port", json!(70_000));
    assert_eq!(malformed.id, Some(2));
    assert!(matches!(malformed.error, NodeError::Malformed(_)));
    assert_eq!(rejection("node_id", json!(-1)).id, None);
    let long = rejection("padding", json!("x".repeat(20_000)));
    assert!(matches!(long.error, NodeError::TooLong(_)));
}

#[test]
fn an_exit_needs_both_exit_roles() {
    let exit = |nr: bool, ipr: bool| {
        let page = with("supported_roles", json!({ "exit_nr": nr, "exit_ipr": ipr }));
        page.nodes[1].roles.exit
    };
    assert!(exit(true, true));
    assert!(!exit(true, false) && !exit(false, true));
}

#[test]
fn performance_is_read_as_text_or_number_and_is_0_if_illegible() {
    let performance = |value| with("performance", value).nodes[1].performance;
    assert_eq!(performance(json!("0.58")), 58);
    assert_eq!(performance(json!(0.58)), 58);
    assert_eq!(performance(json!("fast")), 0);
    assert_eq!(performance(json!(null)), 0);
    assert_eq!(performance(json!({ "x": 1 })), 0);
}

#[test]
fn the_forms_of_status_and_time_are_told_apart() {
    let metadata = |member: &str, value: Value| {
        let mut document = document();
        document["metadata"][member] = value;
        decode(&document).unwrap().metadata
    };
    let status = |value| metadata("status", value).status;
    assert_eq!(status(json!("no-updates")), Status::NoUpdates);
    assert_eq!(status(json!({ "fresh": { "a": 1 } })), Status::Fresh);
    assert_eq!(status(json!("stale")), Status::Unspecified);
    assert_eq!(status(json!(5)), Status::Unspecified);
    let time = |value| metadata("refreshed_at", value).refreshed_at;
    assert_eq!(time(json!("2026-01-01T01:00:00+01:00")), Some(UnixTime::from_secs(1_767_225_600)));
    assert_eq!(time(json!("1970-01-01T00:00:00Z")), None);
    assert_eq!(time(json!("soon")), None);
    assert_eq!(time(json!([1])), None);
}

#[test]
fn more_nodes_than_the_bound_are_refused() {
    let mut document = document();
    document["nodes"]["data"] = json!(vec![0; NODES_MAX + 1]);
    assert!(matches!(decode(&document), Err(DocumentError::Json(_))));
    document["nodes"]["data"] = json!(vec![0; NODES_MAX]);
    assert_eq!(decode(&document).unwrap().rejected.len(), NODES_MAX);
}

prop_compose! {
    fn any_node()(
        id in 1..500u32,
        ips in vec(any::<IpAddr>(), 1..=IPS_MAX),
        mix_port in any::<u16>(),
        hostname in proptest::option::of("[a-z0-9.-]{1,30}"),
        ws_port in any::<u16>(),
        wss_port in proptest::option::of(1..=u16::MAX),
        is_entry in any::<bool>(),
        roles in any::<(bool, bool, bool)>(),
        performance in 0..=100u8,
    ) -> Node {
        Node {
            mix_host: SocketAddr::new(ips[0], mix_port).into(),
            entry: is_entry.then_some(Entry { hostname, ip_addresses: ips, ws_port, wss_port }),
            roles: SupportedRoles { mixnode: roles.0, entry: roles.1, exit: roles.2 },
            performance,
            ..node(id)
        }
    }
}

prop_compose! {
    fn any_page()(
        nodes in vec(any_node(), 0..5),
        status in prop_oneof![Just(Status::Unspecified), Just(Status::NoUpdates), Just(Status::Fresh)],
        absolute_epoch_id in any::<u32>(),
        rotation_id in any::<u32>(),
        refreshed_at in proptest::option::of((1..=u64::MAX).prop_map(UnixTime::from_nanos)),
        total in any::<u64>(),
        number in any::<u32>(),
        size in any::<u64>(),
    ) -> NodePage {
        NodePage {
            metadata: Metadata { status, absolute_epoch_id, rotation_id, refreshed_at },
            total,
            page: number,
            size,
            nodes,
            rejected: Vec::new(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_page_survives_its_document(page in any_page()) {
        let body = page.encode(&parts(9).rewarded);
        prop_assert_eq!(NodePage::decode(body.as_bytes()), Ok(page));
    }

    #[test]
    fn truncated_and_flipped_documents_never_panic(
        page in any_page(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let mut body = page.encode(&RewardedSet::default()).into_bytes();
        let at = at.index(body.len());
        prop_assert!(NodePage::decode(&body[..at]).is_err());
        body[at] ^= 1u8 << bit;
        if let Ok(mut other) = NodePage::decode(&body) {
            other.rejected.clear();
            let body = other.encode(&RewardedSet::default());
            prop_assert_eq!(NodePage::decode(body.as_bytes()), Ok(other));
        }
    }

    #[test]
    fn random_bytes_are_refused(body in vec(any::<u8>(), 0..300)) {
        prop_assert!(NodePage::decode(&body).is_err());
    }
}
