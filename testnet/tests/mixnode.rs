//! A mix node, driven by hand.

use core::time::Duration;

use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::{IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{
    Delay, FrameHeader, Hop, KeyRotation, PLAINTEXT_OFFSET, PacketBuilder as _, PacketSize,
    SphinxBuilder,
};
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::epoch::{EpochClock, HeldRotations};
use nym_testnet::mixnode::{Action, Event, MixConfig, MixLimits, MixNode};
use nym_testnet::{Egress, KeySchedule, LinkId, SphinxKeys};
use proptest::prelude::*;

const LINK: LinkId = LinkId(1);

#[test]
fn a_packet_leaves_when_its_delay_has_passed_and_not_before() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    let packet = net.packet(1, Duration::from_millis(40));
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert_eq!(node.next_deadline(), Some(at(40)));
    node.handle(at(39), Event::Tick);
    assert_eq!(node.poll_action(), None);
    node.handle(at(40), Event::Tick);
    let (next, frame) = forwarded(&mut node).unwrap();
    assert_eq!(next, address(2));
    assert_eq!(frame[..4], [8, 1, 0, 1]);
    assert_eq!(frame.len(), 4 + PacketSize::Regular.packet_len());
    assert_eq!(node.next_deadline(), None);
}

#[test]
fn a_delay_of_zero_is_none_and_a_long_one_is_cut_to_ten_seconds() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    let packet = net.packet(1, Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert!(forwarded(&mut node).is_some());
    let packet = net.packet(1, Duration::from_secs(100_000));
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert_eq!(node.next_deadline(), Some(at(10_000)));
}

#[test]
fn the_second_copy_of_a_packet_is_dropped_and_counted() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    let packet = net.packet(1, Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    net.deliver(&mut node, at(1), KeyRotation::Unknown, &packet);
    assert!(forwarded(&mut node).is_some());
    assert_eq!(node.poll_action(), None);
    assert_eq!((node.stats().received, node.stats().replayed), (2, 1));
}

#[test]
fn a_copy_with_a_broken_mac_does_not_make_the_packet_a_replay() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    let packet = net.packet(1, Duration::ZERO);
    let mut broken = packet.clone();
    broken[40] ^= 1;
    net.deliver(&mut node, at(0), KeyRotation::Odd, &broken);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert!(forwarded(&mut node).is_some());
    assert_eq!((node.stats().malformed, node.stats().replayed), (1, 0));
}

#[test]
fn a_packet_of_another_rotation_is_dropped() {
    let mut net = Net::new();
    let mut node = net.node(manual(3, None));
    let for_rotation_1 = net.packet(1, Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &for_rotation_1);
    let for_rotation_3 = net.packet(3, Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Even, &for_rotation_3);
    assert_eq!(node.poll_action(), None);
    assert_eq!((node.stats().malformed, node.stats().no_key), (1, 1));
}

#[test]
fn a_packet_of_unknown_rotation_is_tried_with_both_keys() {
    let mut net = Net::new();
    let mut node = net.node(manual(3, Some(2)));
    for rotation in [2, 3] {
        let packet = net.packet(rotation, Duration::ZERO);
        net.deliver(&mut node, at(0), KeyRotation::Unknown, &packet);
        assert!(forwarded(&mut node).is_some(), "rotation {rotation}");
    }
}

#[test]
fn keys_rotate_with_the_epochs_and_overlap_by_one() {
    let mut net = Net::new();
    let clock = EpochClock::new(UnixTime::from_secs(1_000_000), Duration::from_secs(1), 4);
    let mut node = net.node(KeySchedule::Epochs(clock));
    // epoch by epoch since the start: is a packet for rotation 2 forwarded?
    let accepted: Vec<bool> = (0..11)
        .map(|epoch| {
            let packet = net.packet(2, Duration::ZERO);
            net.deliver(&mut node, at(epoch * 1000 + 500), KeyRotation::Even, &packet);
            forwarded(&mut node).is_some()
        })
        .collect();
    let expected: Vec<bool> = (0..11).map(|epoch| (3..=8).contains(&epoch)).collect();
    assert_eq!(accepted, expected);
}

#[test]
fn the_deadline_without_packets_is_the_next_epoch() {
    let net = Net::new();
    let clock = EpochClock::new(UnixTime::from_secs(1_000_000), Duration::from_secs(5), 4);
    let node = net.node(KeySchedule::Epochs(clock));
    assert_eq!(node.next_deadline(), Some(at(5000)));
}

#[test]
fn injected_loss_drops_the_asked_share_and_counts_it() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    node.set_loss(0.5);
    let total = 200;
    for _ in 0..total {
        let packet = net.packet(1, Duration::ZERO);
        net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    }
    let stats = node.stats();
    assert_eq!(stats.lost + stats.forwarded, total);
    assert!((70..130).contains(&stats.lost), "{}", stats.lost);
}

#[test]
fn a_packet_that_ends_here_is_counted_as_misrouted() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    let packet = net.packet_for(&net.route(1)[..1], Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert_eq!(node.stats().misrouted, 1);
}

#[test]
fn the_egress_filter_drops_packets_for_unknown_nodes() {
    let mut net = Net::new();
    let config =
        MixConfig { egress: Egress::Only([address(3)].into()), ..net.config(manual(1, None)) };
    let mut node = MixNode::new(config, at(0), UnixTime::from_secs(1_000_000));
    node.handle(at(0), Event::LinkOpened(LINK));
    let packet = net.packet(1, Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert_eq!(node.poll_action(), None);
    assert_eq!(node.stats().denied, 1);
}

#[test]
fn a_full_queue_drops_packets_and_counts_them() {
    let mut net = Net::new();
    let mut config = net.config(manual(1, None));
    config.limits.delayed_max = 1;
    let mut node = MixNode::new(config, at(0), UnixTime::from_secs(1_000_000));
    node.handle(at(0), Event::LinkOpened(LINK));
    for _ in 0..3 {
        let packet = net.packet(1, Duration::from_secs(1));
        net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    }
    assert_eq!((node.delayed(), node.stats().overflowed), (1, 2));
}

#[test]
fn a_link_with_undecodable_bytes_is_closed_and_the_others_live_on() {
    let mut net = Net::new();
    let mut node = net.node(manual(1, None));
    node.handle(at(0), Event::LinkOpened(LinkId(2)));
    node.handle(at(0), Event::LinkBytes { link: LinkId(2), bytes: b"GET / HTTP/1.1\r\n" });
    assert_eq!(node.poll_action(), Some(Action::CloseLink(LinkId(2))));
    assert_eq!(node.stats().bad_links, 1);
    let packet = net.packet(1, Duration::ZERO);
    net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
    assert!(forwarded(&mut node).is_some());
}

#[test]
fn links_beyond_the_limit_are_closed() {
    let net = Net::new();
    let mut config = net.config(manual(1, None));
    config.limits.links_max = 1;
    let mut node = MixNode::new(config, at(0), UnixTime::from_secs(1_000_000));
    node.handle(at(0), Event::LinkOpened(LinkId(1)));
    node.handle(at(0), Event::LinkOpened(LinkId(2)));
    assert_eq!(node.poll_action(), Some(Action::CloseLink(LinkId(2))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_link_bytes_never_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..4),
        header in 0u8..4,
    ) {
        let net = Net::new();
        let mut node = net.node(manual(1, Some(2)));
        let start = [8, 1, 0, header];
        node.handle(at(0), Event::LinkBytes { link: LINK, bytes: &start });
        for bytes in &pieces {
            node.handle(at(1), Event::LinkBytes { link: LINK, bytes });
        }
        let stats = node.stats();
        prop_assert_eq!(stats.received, stats.malformed + stats.no_key);
    }

    #[test]
    fn a_packet_with_a_flipped_bit_is_dropped_or_goes_where_it_should(
        bit in 0usize..PacketSize::Ack.packet_len() * 8,
    ) {
        let mut net = Net::new();
        let mut node = net.node(manual(1, None));
        let mut packet = net.packet(1, Duration::ZERO);
        packet[bit / 8] ^= 1 << (bit % 8);
        net.deliver(&mut node, at(0), KeyRotation::Odd, &packet);
        match forwarded(&mut node) {
            // the payload is authenticated by nobody but the last hop
            Some((next, _)) => prop_assert!(next == address(2) && bit / 8 >= 348),
            None => prop_assert_eq!(node.stats().malformed, 1),
        }
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn address(last: u8) -> NodeAddress {
    NodeAddress::new(([127, 0, 0, last], 1789).into())
}

fn manual(primary: u32, secondary: Option<u32>) -> KeySchedule {
    KeySchedule::Manual(HeldRotations { primary, secondary })
}

fn forwarded(node: &mut MixNode) -> Option<(NodeAddress, Vec<u8>)> {
    match node.poll_action()? {
        Action::Forward { next, frame } => Some((next, frame.to_vec())),
        other => panic!("{other:?}"),
    }
}

/// One mix node's surroundings: its keys, and a sender.
struct Net {
    keys: SphinxKeys,
    stream: Stream,
}

impl Net {
    fn new() -> Self {
        Self {
            keys: SphinxKeys::derived([5; 32]),
            stream: Entropy::new([6; 32]).stream(Purpose::Packets),
        }
    }

    fn config(&self, schedule: KeySchedule) -> MixConfig {
        MixConfig {
            seed: [7; 32],
            keys: self.keys.clone(),
            schedule,
            egress: Egress::Open,
            loss: 0.0,
            limits: MixLimits::default(),
        }
    }

    fn node(&self, schedule: KeySchedule) -> MixNode {
        let mut node = MixNode::new(self.config(schedule), at(0), UnixTime::from_secs(1_000_000));
        node.handle(at(0), Event::LinkOpened(LINK));
        node
    }

    fn route(&self, rotation: u32) -> Vec<Hop> {
        let key = PrivateKey::from_bytes([9; 32]).public();
        vec![
            Hop { address: address(1), key: self.keys.public(rotation) },
            Hop { address: address(2), key },
        ]
    }

    fn packet(&mut self, rotation: u32, delay: Duration) -> Vec<u8> {
        let route = self.route(rotation);
        self.packet_for(&route, delay)
    }

    fn packet_for(&mut self, route: &[Hop], delay: Duration) -> Vec<u8> {
        let size = PacketSize::Regular;
        let destination = IdentityKeyPair::from_seed(&[3; 32]);
        let mut packet = vec![0; size.packet_len()];
        packet[PLAINTEXT_OFFSET] = 42;
        let delays = vec![Delay::from_nanos(delay.as_nanos() as u64); route.len()];
        SphinxBuilder::new()
            .build_packet(
                route,
                &delays,
                destination.public(),
                size.plaintext_len(),
                &mut packet,
                &mut self.stream,
            )
            .unwrap();
        packet
    }

    /// Delivers a packet cut into three pieces.
    fn deliver(&self, node: &mut MixNode, now: Instant, rotation: KeyRotation, packet: &[u8]) {
        let size = PacketSize::from_packet_len(packet.len()).unwrap();
        let mut bytes = FrameHeader { size, rotation }.to_bytes().to_vec();
        bytes.extend_from_slice(packet);
        let (head, body) = bytes.split_at(2);
        let (first, second) = body.split_at(1000);
        for bytes in [head, first, second] {
            node.handle(now, Event::LinkBytes { link: LINK, bytes });
        }
    }
}
