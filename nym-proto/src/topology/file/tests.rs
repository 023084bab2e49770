use proptest::prelude::*;

use super::super::fixture::{node, parts};
use super::super::rewarded::Layer;
use super::*;
use crate::identity::KeyError;

fn native() -> Value {
    serde_json::from_str(&Topology::new(parts(6)).unwrap().to_file()).unwrap()
}

fn read(value: &Value) -> Result<Topology, FileError> {
    Topology::from_file(value.to_string().as_bytes())
}

/// The browser's form: camel case names, base58 keys.
fn browser(native: &Value) -> Value {
    match native {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let value = match name.as_str() {
                    "identity_key" | "sphinx_key" => {
                        let key: Vec<u8> = serde_json::from_value(value.clone()).unwrap();
                        json!(bs58::encode(key).into_string())
                    }
                    _ => browser(value),
                };
                (camel(name), value)
            })
            .collect(),
        other => other.clone(),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap().to_owned();
    for word in words {
        out.push_str(&word[..1].to_uppercase());
        out.push_str(&word[1..]);
    }
    out
}

#[test]
fn the_native_form_has_integer_keys_and_the_names_of_the_specification() {
    let file = native();
    let first = &file["node_details"]["1"];
    assert_eq!(first["identity_key"], json!(node(1).identity.as_bytes()));
    assert_eq!(first["sphinx_key"].as_array().unwrap().len(), 32);
    assert_eq!(first["mix_host"], "10.0.0.1:1789");
    assert_eq!(first["entry"]["clients_ws_port"], 9000);
    assert_eq!(first["entry"]["clients_wss_port"], 9001);
    assert_eq!(first["supported_roles"]["mixnet_entry"], true);
    assert_eq!(file["metadata"]["key_rotation_id"], 41);
    assert_eq!(file["metadata"]["refreshed_at"], "2026-01-01T00:00:00.25Z");
    assert_eq!(file["rewarded_set"]["layer2"], json!([2, 5]));
}

#[test]
fn the_native_and_the_browser_form_and_a_mixture_give_the_same_topology() {
    let expected = Topology::new(parts(6)).unwrap();
    let native = native();
    assert_eq!(read(&native), Ok(expected.clone()));
    let browser = browser(&native);
    assert!(browser["nodeDetails"]["1"]["identityKey"].is_string());
    assert_eq!(read(&browser), Ok(expected.clone()));
    let mut mixed = native;
    mixed["node_details"]["3"] = browser["nodeDetails"]["3"].clone();
    assert_eq!(read(&mixed), Ok(expected));
}

#[test]
fn without_metadata_the_rotation_is_unknown_and_the_epoch_the_assignments() {
    let mut file = native();
    file.as_object_mut().unwrap().remove("metadata");
    let topology = read(&file).unwrap();
    assert_eq!(topology.rotation_id(), ROTATION_UNKNOWN);
    assert_eq!(topology.epoch(), 1100);
    assert_eq!(topology.refreshed_at(), None);
}

#[test]
fn a_bad_timestamp_loses_only_itself() {
    for bad in [json!("soon"), json!(17), json!(null)] {
        let mut file = native();
        file["metadata"]["refreshed_at"] = bad;
        let topology = read(&file).unwrap();
        assert_eq!(topology.refreshed_at(), None);
        assert_eq!(topology.epoch(), 1100);
    }
}

#[test]
fn a_node_that_cannot_be_used_is_named() {
    let refused = |member: &str, value: Value| {
        let mut file = native();
        file["node_details"]["2"][member] = value;
        match read(&file) {
            Err(FileError::Node { listed, error }) if listed == "2" => error,
            other => unreachable!("{other:?}"),
        }
    };
    assert_eq!(
        refused("sphinx_key", json!(vec![0; 32])),
        NodeError::SphinxKey(KeyError::Degenerate)
    );
    assert_eq!(
        refused("identity_key", json!(vec![1; 31])),
        NodeError::Identity(KeyError::Length(31))
    );
    assert_eq!(
        refused("identity_key", json!(vec![1; 33])),
        NodeError::Identity(KeyError::Length(33))
    );
    assert_eq!(refused("identity_key", json!("0OIl")), NodeError::Identity(KeyError::Base58));
    assert_eq!(
        refused("mix_host", json!("example.org:1789")),
        NodeError::MixHost("example.org:1789".into())
    );
    assert_eq!(
        refused("node_id", json!(3)),
        NodeError::Number { listed: "2".into(), numbered: Some(3) }
    );
    assert!(matches!(refused("identity_key", json!(true)), NodeError::Malformed(_)));
}

fn old_form() -> Value {
    let mix = |id: u32| {
        json!({
            "mix_id": id, "owner": "n1", "host": format!("10.0.0.{id}"), "mix_port": 1789,
            "identity_key": node(id).identity.to_string(),
            "sphinx_key": node(id).sphinx_key.to_string(),
            "layer": id, "version": "1.1.0",
        })
    };
    json!({
        "mixnodes": { "1": [mix(1)], "2": [mix(2)], "3": [mix(3)] },
        "gateways": [{
            "owner": "n1", "host": "gw.example.org", "explicit_ip": "2001:db8::4",
            "mix_port": 1790, "clients_port": 9000, "clients_wss_port": 443,
            "identity_key": node(4).identity.to_string(),
            "sphinx_key": node(4).sphinx_key.to_string(), "version": "1.1.0",
        }],
    })
}

#[test]
fn the_old_form_is_read_and_its_gateways_are_numbered() {
    let topology = read(&old_form()).unwrap();
    assert!(topology.is_routable());
    assert_eq!(topology.rotation_id(), ROTATION_UNKNOWN);
    for (layer, id) in Layer::ALL.into_iter().zip(1..) {
        let ids: Vec<_> = topology.layer(layer).map(|node| node.id).collect();
        assert_eq!(ids, [id]);
    }
    let gateway = topology.node_by_identity(&node(4).identity).unwrap();
    assert_eq!(gateway.id, 4);
    assert_eq!(gateway.mix_host.to_string(), "[2001:db8::4]:1790");
    let urls = gateway.entry.as_ref().unwrap().urls(Default::default());
    assert_eq!(urls, ["wss://gw.example.org:443"]);
}

#[test]
fn an_illegible_old_form_is_called_by_its_name() {
    let mut file = old_form();
    file["mixnodes"] = json!([]);
    let error = read(&file).unwrap_err();
    assert!(error.to_string().contains("old form"), "{error}");
    let mut file = old_form();
    file["mixnodes"]["4"] = json!([]);
    assert!(matches!(read(&file), Err(FileError::OldForm(_))));
    let mut file = old_form();
    file["mixnodes"]["1"][0]["host"] = json!("mix.example.org");
    assert!(matches!(read(&file), Err(FileError::Node { .. })));
    assert!(matches!(read(&json!({})), Err(FileError::Json(_))));
}

#[test]
fn a_file_that_is_too_long_is_refused() {
    assert_eq!(
        Topology::from_file(&vec![b' '; FILE_MAX + 1]),
        Err(FileError::TooLong(FILE_MAX + 1))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_topology_survives_its_file(
        count in 0..12u32,
        epoch in any::<u32>(),
        rotation_id in any::<u32>(),
        bare in any::<u32>(),
        roles in any::<(bool, bool, bool)>(),
    ) {
        let mut parts = parts(count);
        parts.epoch = epoch;
        parts.rotation_id = rotation_id;
        parts.refreshed_at = parts.refreshed_at.filter(|_| bare % 2 == 0);
        for node in &mut parts.nodes {
            if bare >> node.id & 1 == 1 {
                node.entry = None;
            }
            node.roles = SupportedRoles { mixnode: roles.0, entry: roles.1, exit: roles.2 };
        }
        let topology = Topology::new(parts).unwrap();
        prop_assert_eq!(Topology::from_file(topology.to_file().as_bytes()), Ok(topology));
    }

    #[test]
    fn truncated_and_flipped_files_never_panic(
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
        form in 0..3,
    ) {
        let file = match form {
            0 => native(),
            1 => browser(&native()),
            _ => old_form(),
        };
        let mut body = file.to_string().into_bytes();
        let at = at.index(body.len());
        prop_assert!(Topology::from_file(&body[..at]).is_err());
        body[at] ^= 1u8 << bit;
        if let Ok(other) = Topology::from_file(&body) {
            prop_assert_eq!(Topology::from_file(other.to_file().as_bytes()), Ok(other));
        }
    }

    #[test]
    fn random_bytes_are_no_topology(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Topology::from_file(&body).is_err());
    }
}
