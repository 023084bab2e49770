//! Every key of `vectors/gateway.json` and `vectors/sphinx.json` is exercised by a test that goes
//! through all its entries, or is listed here with a reason.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

/// Where the tests are.
const GATEWAY: &str = "tests/gateway_vectors";
const MESSAGE: &str = "tests/message_vectors";
const SPHINX: &str = "tests/sphinx_vectors.rs";
const CRYPTO: &str = "src/sphinx/crypto.rs";
const HKDF: &str = "src/hkdf_blake3.rs";

/// A key and the sources of the tests that go through its entries.
type Exercised = (&'static str, &'static [&'static str]);

/// The keys of each file, with the tests that go through their entries.
const EXERCISED: &[(&str, &[Exercised])] = &[
    (
        "gateway.json",
        &[
            ("authenticate_v2", &[GATEWAY]),
            ("authenticate_v2_reuse", &[GATEWAY]),
            ("authenticate_v2_skew", &[GATEWAY]),
            ("authenticate_v2_tampered", &[GATEWAY]),
            ("binary_requests", &[GATEWAY]),
            ("binary_requests_edge_cases", &[GATEWAY]),
            ("encrypted_requests", &[GATEWAY]),
            ("encrypted_responses", &[GATEWAY]),
            ("final_hop", &[SPHINX]),
            ("handshakes", &[GATEWAY]),
            ("json_authenticate_v2_parsing", &[GATEWAY]),
            ("json_handshake_parsing", &[GATEWAY]),
            ("json_request_parsing", &[GATEWAY]),
            ("json_requests", &[GATEWAY]),
            ("json_response_parsing", &[GATEWAY]),
            ("json_responses", &[GATEWAY]),
            ("key_derivation", &[GATEWAY]),
            ("meta", &[GATEWAY]),
            ("node_addresses", &[GATEWAY, SPHINX]),
            ("pushed_messages", &[GATEWAY]),
            ("sizes", &[GATEWAY, SPHINX]),
        ],
    ),
    (
        "sphinx.json",
        &[
            ("acks", &[MESSAGE]),
            ("base58", &[MESSAGE]),
            ("captured_legacy_repliable_message", &[MESSAGE]),
            ("captured_repliable_message", &[MESSAGE]),
            ("constants", &[SPHINX, MESSAGE]),
            ("end_to_end_encryption", &[MESSAGE, HKDF]),
            ("forward_messages", &[MESSAGE]),
            ("fragments", &[MESSAGE]),
            ("framing", &[SPHINX, GATEWAY]),
            ("key_rotation", &[SPHINX]),
            ("lioness", &[CRYPTO]),
            ("loop_cover", &[MESSAGE]),
            ("message_padding", &[MESSAGE]),
            ("network_fixture", &[MESSAGE]),
            ("node_addresses", &[SPHINX]),
            ("primitives", &[CRYPTO]),
            ("recipients", &[MESSAGE]),
            ("reply_surbs", &[MESSAGE]),
            ("requests", &[MESSAGE]),
            ("sphinx_packets", &[SPHINX]),
            ("sphinx_rejections", &[SPHINX]),
            ("surbs", &[SPHINX, MESSAGE]),
        ],
    ),
];

/// The keys, and members of keys, that no test goes through: file, key, member if not all, why.
const UNEXERCISED: &[(&str, &str, &str, &str)] = &[
    ("gateway.json", "meta", "generated_with", "describes the file"),
    ("sphinx.json", "format", "", "describes the file"),
    ("sphinx.json", "noise", "", "links between nodes are plain TCP here"),
    ("sphinx.json", "pem", "", "key files are not part of the core"),
];

#[test]
fn every_key_is_exercised_or_listed_with_a_reason() {
    for (file, exercised) in EXERCISED {
        let keys = exercised.iter().map(|(key, _)| *key);
        let listed = UNEXERCISED.iter().filter(|(f, _, member, _)| f == file && member.is_empty());
        let known: BTreeSet<&str> = keys.chain(listed.map(|(_, key, _, _)| *key)).collect();
        let document = vectors(file);
        let present: BTreeSet<&str> = document.keys().map(String::as_str).collect();
        assert_eq!(present, known, "{file}");
    }
}

/// Members that hold vectors are objects and lists; the tests name each of them.
#[test]
fn the_tests_name_their_keys_and_every_member_that_holds_vectors() {
    let mut unnamed = Vec::new();
    for (file, exercised) in EXERCISED {
        let document = vectors(file);
        for (key, places) in *exercised {
            for place in *places {
                assert!(source(place).contains(&quoted(key)), "{file}: {key} in {place}");
            }
            let text: String = places.iter().map(|place| source(place)).collect();
            let members = document[*key].as_object().into_iter().flatten();
            let members = members.filter(|(_, value)| value.is_object() || value.is_array());
            let missing = members.filter(|(member, _)| !text.contains(&quoted(member)));
            unnamed.extend(missing.map(|(member, _)| (*file, *key, member.clone())));
        }
    }
    let listed = UNEXERCISED.iter().filter(|(_, _, member, _)| !member.is_empty());
    let listed = listed.map(|(file, key, member, _)| (*file, *key, (*member).to_owned()));
    assert_eq!(unnamed, listed.collect::<Vec<_>>());
}

#[test]
fn every_listed_key_and_member_is_in_the_file() {
    for (file, key, member, why) in UNEXERCISED {
        let value = &vectors(file)[*key];
        assert!(member.is_empty() || value.get(member).is_some(), "{file}: {key}.{member}");
        assert!(!why.is_empty());
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// The text of a source file, or of all files of a folder.
fn source(place: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let files = std::fs::read_dir(path).unwrap();
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

fn vectors(file: &str) -> Map<String, Value> {
    let path = format!("{}/../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
