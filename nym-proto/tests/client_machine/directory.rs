//! The documents of a directory become the topology, and what is no use is asked for again.

use std::time::Duration;

use nym_proto::client::{Action, Client, Config, Event, Fact, FetchError, Network};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_proto::time::{Instant, UnixTime};
use nym_proto::topology::directory::{
    ENTRY_GATEWAYS, KEY_ROTATION_INFO, KeyRotationInfo, MIXNODES_ACTIVE, Metadata, NodePage,
    REWARDED_SET, Status, page_path,
};
use nym_proto::topology::{Node, Topology};

use crate::world::World;

const UNIX_START: UnixTime = UnixTime::from_secs(1_767_225_600);
const A: &str = "http://a.example";
const B: &str = "http://b.example";

/// A directory whose documents fit together.
fn genuine(topology: &Topology, url: &str) -> String {
    document(topology, url, &clock(7), usize::MAX)
}

fn clock(current_epoch_id: u32) -> KeyRotationInfo {
    KeyRotationInfo {
        validity_epochs: 2,
        initial_epoch_id: 1,
        current_epoch_id,
        current_epoch_start: UNIX_START,
        epoch_duration: Duration::from_secs(3600),
    }
}

fn document(topology: &Topology, url: &str, clock: &KeyRotationInfo, per_page: usize) -> String {
    if url.ends_with(KEY_ROTATION_INFO) {
        return clock.encode();
    }
    if url.ends_with(REWARDED_SET) {
        return topology.rewarded().encode();
    }
    let is_entries = url.contains(ENTRY_GATEWAYS);
    let listed: Vec<&Node> =
        topology.nodes().iter().filter(|node| node.entry.is_some() == is_entries).collect();
    let list = if is_entries { ENTRY_GATEWAYS } else { MIXNODES_ACTIVE };
    let page = (0..10).find(|page| url.ends_with(&page_path(list, *page))).unwrap();
    let start = per_page.saturating_mul(page as usize);
    let nodes: Vec<Node> = listed.iter().skip(start).take(per_page).copied().cloned().collect();
    let page = NodePage {
        metadata: Metadata {
            status: Status::Fresh,
            absolute_epoch_id: topology.epoch(),
            rotation_id: topology.rotation_id(),
            refreshed_at: None,
        },
        total: listed.len() as u64,
        page,
        size: nodes.len() as u64,
        nodes,
        rejected: Vec::new(),
    };
    page.encode(topology.rewarded())
}

/// A client that knows two directories, and what it did.
struct Asker {
    client: Client,
    topology: std::sync::Arc<Topology>,
    now: Instant,
    asked: Vec<(u64, String)>,
    failures: Vec<Duration>,
    connects: usize,
}

impl Asker {
    fn new() -> Self {
        let identity = Identity::generate(&mut Entropy::new([1; 32]).stream(Purpose::Identity));
        let config = Config::new(Network::Directory(vec![A.into(), B.into()]));
        let client = Client::new(config, identity, [2; 32], Instant::START, UNIX_START);
        let topology = World::new(60).topology;
        let (asked, failures) = (Vec::new(), Vec::new());
        Self { client, topology, now: Instant::START, asked, failures, connects: 0 }
    }

    /// Goes on until the time has come, in seconds from the start. `answer` gives the document at a URL;
    /// without one, there is no answer.
    fn run(&mut self, until: u64, answer: impl Fn(&Topology, &str) -> Option<String>) {
        let until = Instant::START + Duration::from_secs(until);
        loop {
            while let Some(action) = self.client.poll_action() {
                match action {
                    Action::Fetch { fetch, url } => {
                        let answer = answer(&self.topology, &url);
                        self.asked.push((self.now.as_nanos() / 1_000_000_000, url));
                        let Some(body) = answer else { continue };
                        let result: Result<_, FetchError> = Ok(body.into());
                        let unix_time = UNIX_START + self.now.since(Instant::START);
                        let event = Event::Fetched { fetch, result, unix_time };
                        self.client.handle(self.now, event).unwrap();
                    }
                    Action::Report(Fact::DirectoryFailed { retry_in, .. }) => {
                        self.failures.push(retry_in);
                    }
                    Action::Connect { .. } => self.connects += 1,
                    _ => {}
                }
            }
            let next = self.client.next_deadline().map(|deadline| deadline.at);
            let Some(next) = next.filter(|next| *next <= until) else {
                return;
            };
            self.now = self.now.max(next);
            self.client.handle(self.now, Event::Tick).unwrap();
        }
    }

    /// When each document was asked for whose URL contains this.
    fn times(&self, part: &str) -> Vec<u64> {
        self.asked.iter().filter(|(_, url)| url.contains(part)).map(|(at, _)| *at).collect()
    }
}

#[test]
fn documents_that_fit_together_become_the_topology_and_are_asked_for_again_in_five_minutes() {
    let mut asker = Asker::new();
    asker.run(0, |topology, url| Some(genuine(topology, url)));
    let topology = asker.client.topology().unwrap().clone();
    assert_eq!((topology.epoch(), topology.rotation_id()), (7, 3));
    let identities = |t: &Topology| t.nodes().iter().map(|node| node.identity).collect::<Vec<_>>();
    assert_eq!(identities(&topology), identities(&asker.topology));
    assert_eq!((asker.asked.len(), asker.connects), (4, 1));
    asker.run(340, |topology, url| Some(genuine(topology, url)));
    let [0, again] = asker.times(REWARDED_SET)[..] else { panic!("{:?}", asker.asked) };
    assert!((300..=330).contains(&again), "{again}");
    assert!(asker.failures.is_empty() && asker.times(B).is_empty());
}

#[test]
fn a_clock_an_epoch_ahead_of_the_nodes_is_waited_for_a_little_and_then_believed() {
    let mut asker = Asker::new();
    let ahead =
        |topology: &Topology, url: &str| Some(document(topology, url, &clock(8), usize::MAX));
    asker.run(6, ahead);
    assert!(asker.client.topology().is_none());
    assert_eq!(asker.failures, [1, 2, 4].map(Duration::from_secs));
    asker.run(8, ahead);
    assert_eq!(asker.client.topology().unwrap().epoch(), 7);
    assert_eq!(asker.times(REWARDED_SET), [0, 1, 3, 7]);
    assert!(asker.times(B).is_empty());
}

#[test]
fn keys_of_another_rotation_are_never_believed() {
    let mut asker = Asker::new();
    asker.run(120, |topology, url| {
        let wrong = KeyRotationInfo { initial_epoch_id: 2, ..clock(7) };
        let clock = if url.starts_with(A) { wrong } else { clock(7) };
        Some(document(topology, url, &clock, usize::MAX))
    });
    assert_eq!(asker.times(A).len(), 4 * 4, "after three retries");
    assert!(asker.times(B).len() >= 4);
    assert_eq!(asker.client.topology().unwrap().rotation_id(), 3);
}

#[test]
fn a_directory_with_a_document_that_cannot_be_read_is_left_for_the_next_one() {
    for bad in [KEY_ROTATION_INFO, REWARDED_SET, MIXNODES_ACTIVE, ENTRY_GATEWAYS] {
        for body in ["", "{", "[]", "null", "{\"nodes\":7}"] {
            if bad == REWARDED_SET && matches!(body, "[]" | "{\"nodes\":7}") {
                // readable: a set with nothing in it, which fits no list of nodes
                continue;
            }
            let mut asker = Asker::new();
            let answer = |topology: &Topology, url: &str| {
                let is_bad = url.starts_with(A) && url.contains(bad);
                Some(if is_bad { body.to_owned() } else { genuine(topology, url) })
            };
            asker.run(0, answer);
            assert!(asker.client.topology().is_none(), "{bad} {body}");
            assert_eq!((asker.failures.len(), asker.connects), (1, 0), "{bad} {body}");
            asker.run(5, answer);
            assert!(asker.client.topology().is_some(), "{bad} {body}");
            assert_eq!(asker.times(B).len(), 4);
        }
    }
}

#[test]
fn an_answer_that_does_not_come_is_given_up_after_a_minute() {
    let mut asker = Asker::new();
    let answer = |topology: &Topology, url: &str| {
        let is_lost = url.starts_with(A) && url.contains(ENTRY_GATEWAYS);
        (!is_lost).then(|| genuine(topology, url))
    };
    asker.run(59, answer);
    assert!(asker.client.topology().is_none() && asker.failures.is_empty());
    asker.run(62, answer);
    assert_eq!((asker.failures.len(), asker.times(B).len()), (1, 4));
    assert!(asker.client.topology().is_some());
}

#[test]
fn a_long_list_is_fetched_page_by_page() {
    let mut asker = Asker::new();
    asker.run(0, |topology, url| Some(document(topology, url, &clock(7), 4)));
    let pages: Vec<&str> = asker.asked.iter().map(|(_, url)| url.as_str()).collect();
    for page in 0..2 {
        let url = format!("{A}/{}", page_path(MIXNODES_ACTIVE, page));
        assert_eq!(pages.iter().filter(|asked| **asked == url).count(), 1, "{pages:?}");
    }
    assert_eq!(pages.len(), 5);
    assert_eq!(asker.client.topology().unwrap().nodes().len(), 8);
}

#[test]
fn a_list_that_changes_between_two_pages_is_not_put_together() {
    let mut asker = Asker::new();
    asker.run(0, |topology, url| {
        let text = document(topology, url, &clock(7), 4);
        let is_second = url.ends_with(&page_path(MIXNODES_ACTIVE, 1));
        Some(if is_second { text.replace("\"rotation_id\":3", "\"rotation_id\":4") } else { text })
    });
    assert!(asker.client.topology().is_none());
    assert_eq!(asker.failures.len(), 1);
}
