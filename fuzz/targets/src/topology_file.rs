//! Topology files of all forms. (protocol: client 3.8)

use nym_proto::identity::IdentityKey;
use nym_proto::topology::Topology;

use crate::net;

/// What can be read can be written and reads back as the same, and routes through it keep the
/// rules.
pub fn run(data: &[u8]) {
    let Ok(topology) = Topology::from_file(data) else {
        return;
    };
    crate::directory::check_topology(&topology);
    let written = topology.to_file();
    let again = Topology::from_file(written.as_bytes()).unwrap();
    assert_eq!(again.to_file(), written);
    assert_eq!(again.nodes(), topology.nodes());
    assert_eq!(again.rewarded(), topology.rewarded());
}

/// Files of the native form, without metadata, of the browser's form, and of the old one.
pub fn seeds() -> Vec<Vec<u8>> {
    let native = net::topology().to_file();
    let from = native.find("\"metadata\"").unwrap();
    let to = native.find("\"node_details\"").unwrap();
    let bare = format!("{}{}", &native[..from], &native[to..]);
    vec![native.clone().into_bytes(), bare.into_bytes(), browser(native), old()]
}

/// Names in camel case, keys in base58.
fn browser(mut file: String) -> Vec<u8> {
    let topology = net::topology();
    for node in topology.nodes() {
        for key in [node.identity.as_bytes(), node.sphinx_key.as_bytes()] {
            let numbers = format!("{key:?}").replace(' ', "");
            // both kinds of keys are written alike
            let text = IdentityKey::from_bytes(*key).map(|key| key.to_string());
            if let Ok(text) = text {
                file = file.replace(&numbers, &format!("{text:?}"));
            }
        }
    }
    while let Some(at) = file.find('_') {
        let capital = file[at + 1..=at + 1].to_uppercase();
        file.replace_range(at..at + 2, &capital);
    }
    file.into_bytes()
}

fn old() -> Vec<u8> {
    let topology = net::topology();
    let node = |id: u32| {
        let node = topology.node(id).unwrap();
        let (identity, host) = (node.identity, node.mix_host);
        let sphinx = node.sphinx_key.as_bytes();
        let keys = format!("\"identity_key\":\"{identity}\",\"sphinx_key\":{sphinx:?}");
        format!("{{\"mix_id\":{id},\"mix_host\":\"{host}\",{keys}}}")
    };
    let layers = format!("{{\"1\":[{}],\"2\":[{}],\"3\":[{}]}}", node(2), node(3), node(4));
    let gateway = node(0).replace("\"mix_id\":0", "\"clients_ws_port\":9000");
    format!("{{\"mixnodes\":{layers},\"gateways\":[{gateway}]}}").into_bytes()
}
