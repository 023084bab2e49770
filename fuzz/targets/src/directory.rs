//! Documents of the directory, one by one and put together. (protocol: client 3)

use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::time::UnixTime;
use nym_proto::topology::directory::{
    KeyRotationInfo, Metadata, NextPage, NodePage, Pages, Status, assemble,
};
use nym_proto::topology::{MinPerformance, RewardedSet, Topology};

use crate::input::{Input, Script};
use crate::net;

const PAGE: u8 = 0;
const ROTATION: u8 = 1;
const REWARDED: u8 = 2;
const TOGETHER: u8 = 3;

/// What can be read can be written and reads back as the same; what fits together makes a
/// topology through which routes lead.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        PAGE => page(input.rest()),
        ROTATION => rotation(&mut input),
        REWARDED => rewarded(input.rest()),
        _ => together(&mut input),
    }
}

fn page(body: &[u8]) {
    let Ok(page) = NodePage::decode(body) else {
        return;
    };
    let set = RewardedSet::default();
    let again = NodePage::decode(page.encode(&set).as_bytes()).unwrap();
    assert_eq!(again.nodes, page.nodes);
    assert_eq!(again.encode(&set), page.encode(&set));
}

fn rotation(input: &mut Input<'_>) {
    let now = UnixTime::from_nanos(input.long());
    let number = input.word();
    let Ok(info) = KeyRotationInfo::decode(input.rest()) else {
        return;
    };
    if let Ok(again) = KeyRotationInfo::decode(info.encode().as_bytes()) {
        assert_eq!(again, info);
    }
    let epoch = info.epoch_at(now);
    let end = info.epoch_end(now);
    assert!(end >= now || end == UnixTime::from_nanos(u64::MAX) || epoch == u32::MAX || epoch == 0);
    let rotation = info.rotation_of(epoch);
    assert!(info.first_epoch_of(rotation) <= epoch.max(info.initial_epoch_id));
    let _ = info.rotation_start(number);
    assert!(!info.surb_lifetime().is_zero());
}

fn rewarded(body: &[u8]) {
    if let Ok(set) = RewardedSet::decode(body) {
        assert_eq!(RewardedSet::decode(set.encode().as_bytes()), Ok(set));
    }
}

fn together(input: &mut Input<'_>) {
    let min_performance = input.byte();
    let lists = [input.byte() % 4, input.byte() % 4];
    let Ok(rewarded) = RewardedSet::decode(input.chunk()) else {
        return;
    };
    let [mixnodes, entries] = lists.map(|pages| list(input, pages));
    if let Ok(topology) =
        assemble(&rewarded, mixnodes, entries, MinPerformance::both(min_performance))
    {
        check_topology(&topology);
        assert!(topology.is_routable());
        assert!(topology.nodes().iter().all(|node| node.performance >= min_performance));
    }
}

fn list(input: &mut Input<'_>, count: u8) -> Vec<NodePage> {
    let mut pages = Pages::new();
    let mut expected = 0;
    for _ in 0..count {
        let Ok(page) = NodePage::decode(input.chunk()) else {
            break;
        };
        let number = page.page;
        match pages.push(page) {
            Ok(NextPage::Fetch(next)) => {
                assert_eq!(number, expected);
                expected += 1;
                assert_eq!(next, expected);
            }
            Ok(NextPage::Done) => break,
            Err(_) => {
                assert!(pages.into_pages().is_empty());
                return Vec::new();
            }
        }
    }
    pages.into_pages()
}

/// Routes have a hop in each layer and end at the gateway asked for.
pub(crate) fn check_topology(topology: &Topology) {
    let mut stream = Entropy::new([1; 32]).stream(Purpose::Routes);
    let is_routable = topology.check_routable().is_ok();
    for node in topology.nodes().iter().take(20) {
        assert_eq!(topology.node(node.id), Some(node));
        let found = topology.node_by_identity(&node.identity).unwrap();
        assert_eq!(found.identity, node.identity);
        match topology.route(&node.identity, &mut stream) {
            Ok(route) => {
                assert_eq!(route.hops().len(), 4);
                assert_eq!(route.hops().last(), Some(&found.hop()));
            }
            Err(_) => assert!(!is_routable),
        }
    }
}

/// The documents of the shared network, one by one and together.
pub fn seeds() -> Vec<Vec<u8>> {
    let topology = net::topology();
    let page = |from: usize, to: usize, number: u32| {
        let metadata = Metadata {
            status: Status::Fresh,
            absolute_epoch_id: topology.epoch(),
            rotation_id: topology.rotation_id(),
            refreshed_at: Some(UnixTime::from_secs(net::UNIX_START)),
        };
        let nodes = topology.nodes()[from..to].to_vec();
        let (total, size) = (topology.nodes().len() as u64, nodes.len() as u64);
        let rejected = Vec::new();
        NodePage { metadata, total, page: number, size, nodes, rejected }
            .encode(topology.rewarded())
            .into_bytes()
    };
    let info = documents();
    let rewarded = topology.rewarded().encode();
    let whole = page(0, 5, 0);
    let one_page = Script::new().byte(TOGETHER).byte(50).byte(1).byte(0).chunk(&rewarded);
    let two_pages = Script::new().byte(TOGETHER).byte(50).byte(2).byte(1).chunk(&rewarded);
    let two_pages = two_pages.chunk(page(0, 2, 0)).chunk(page(2, 5, 1)).chunk(&whole);
    vec![
        Script::new().byte(PAGE).raw(&whole).finish(),
        Script::new().byte(PAGE).raw(page(0, 1, 0)).finish(),
        Script::new().byte(ROTATION).long(1 << 60).word(3).raw(info).finish(),
        Script::new().byte(REWARDED).raw(&rewarded).finish(),
        one_page.chunk(&whole).finish(),
        two_pages.finish(),
    ]
}

/// The clock of the shared network, as a document.
pub(crate) fn documents() -> Vec<u8> {
    let info = KeyRotationInfo {
        validity_epochs: 24,
        initial_epoch_id: 0,
        current_epoch_id: net::topology().epoch(),
        current_epoch_start: UnixTime::from_secs(net::UNIX_START),
        epoch_duration: core::time::Duration::from_secs(3600),
    };
    info.encode().into_bytes()
}
