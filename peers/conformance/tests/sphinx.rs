//! The packet layer alone against `sphinx-packet`: routes of every length, all versions nodes accept,
//! damage, rubbish, and SURBs.

use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{
    Delay, HEADER_SIZE, HOPS_MAX, Hop, PLAINTEXT_OFFSET, PacketBuilder as _, PacketPeeler as _,
    PacketSize, PeelError, Peeled, SphinxBuilder, SphinxPeeler, Surb, SurbKeys, VERSION,
};
use proptest::prelude::*;
use sphinx_packet::ProcessedPacketData::{FinalHop, ForwardHop};
use sphinx_packet::header::delays::Delay as TheirDelay;
use sphinx_packet::route::{Destination, DestinationAddressBytes, Node, NodeAddressBytes};
use sphinx_packet::version::Version;
use sphinx_packet::{SURB, SURBMaterial, SphinxPacket, SphinxPacketBuilder};

const RANDOM_CASES: u32 = 1000;

#[test]
fn a_thousand_random_packets_of_ours_are_peeled_alike() {
    for mut case in Case::all(1) {
        let packet = case.built();
        case.carry(packet, VERSION);
    }
}

#[test]
fn a_thousand_random_packets_of_theirs_of_all_versions_are_peeled_alike() {
    // 260 is what their builder makes when it is not told otherwise; 999 stands for those to come
    let versions = [258, VERSION, 260, 1, 257, 999];
    for (mut case, version) in Case::all(2).zip(versions.into_iter().cycle()) {
        let packet = SphinxPacketBuilder::new()
            .with_version(Version::new(version))
            .with_payload_size(case.size.payload_len())
            .build_packet(
                case.message(),
                &case.their_route(),
                &case.their_destination(),
                &case.their_delays(),
            )
            .unwrap();
        case.carry(packet.to_bytes(), version);
    }
}

#[test]
fn a_thousand_random_surbs_of_ours_are_used_alike() {
    for mut case in Case::all(3) {
        let surb = SphinxBuilder::new()
            .make_surb(&case.route, &case.delays, &case.client, &mut case.stream)
            .unwrap();
        let bytes = encoded(&surb);
        let theirs = SURB::from_bytes(&bytes).unwrap();
        assert_eq!(theirs.to_bytes(), bytes);
        assert_eq!(theirs.materials_count(), case.route.len());
        let packet = case.used(surb, theirs);
        case.carry(packet, VERSION);
    }
}

#[test]
fn a_thousand_random_surbs_of_theirs_are_used_alike() {
    for mut case in Case::all(4) {
        let material = SURBMaterial::new(
            case.their_route(),
            case.their_delays(),
            case.their_destination(),
            Version::new(VERSION),
        );
        let initial_secret = case.stream.bytes::<32>();
        let theirs = SURB::new(initial_secret.into(), material).unwrap();
        let bytes = theirs.to_bytes();
        let ours = Surb::decode(&bytes).unwrap();
        assert_eq!(encoded(&ours), bytes);
        let packet = case.used(ours, theirs);
        case.carry(packet, VERSION);
    }
}

#[test]
fn a_packet_damaged_anywhere_on_its_way_is_peeled_or_refused_alike() {
    let mut refused = 0;
    for mut case in Case::all(5) {
        let mut packet = case.built();
        let hop_of_damage = case.stream.index(case.private.len());
        for (hop, key) in case.private.iter().enumerate() {
            if hop == hop_of_damage {
                let at = case.stream.index(packet.len());
                packet[at] ^= 1 << case.stream.index(8);
            }
            match peel(key, &packet) {
                Ok((Step::Forward { packet: next, .. }, _)) => packet = next,
                Ok((Step::Final { .. }, _)) => {}
                Err(_) => {
                    refused += 1;
                    break;
                }
            }
        }
    }
    // the top bit of the public element is not looked at, nor is the padding at the end
    assert!(refused > RANDOM_CASES * 95 / 100, "{refused}");
}

#[test]
fn a_public_element_of_low_order_is_refused_by_us_alone() {
    // the secret is zero then, whatever the node's key
    let node = Node::new(NodeAddressBytes::from_bytes([0; 32]), [0; 32].into());
    let destination = Destination::new(DestinationAddressBytes::from_bytes([1; 32]), [0; 16]);
    let packet = SphinxPacketBuilder::new()
        .with_version(Version::new(VERSION))
        .with_payload_size(PacketSize::Regular.payload_len())
        .build_packet(b"hello", &[node], &destination, &[TheirDelay::new_from_nanos(0)])
        .unwrap();
    let mut packet = packet.to_bytes();
    packet[..32].fill(0);

    let key = PrivateKey::from_bytes([3; 32]);
    assert!(their_peel(&key, &packet).is_some());
    let ours = SphinxPeeler::default().open(&key, &packet).unwrap_err();
    assert_eq!(ours, PeelError::Degenerate);
}

#[test]
fn surbs_of_any_length_are_read_alike_but_for_the_full_keys_of_old_clients() {
    for len in 0..2000 {
        let mut bytes = vec![0x55; len];
        if let Some(address) = bytes.get_mut(HEADER_SIZE..HEADER_SIZE + 32) {
            // what stands behind it is not kept by us
            address[7..].fill(0);
            address[0] = 4;
        }
        match (Surb::decode(&bytes), SURB::from_bytes(&bytes)) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(encoded(&ours), theirs.to_bytes());
                assert_eq!(ours.keys().len(), theirs.materials_count());
            }
            (Ok(ours), Err(_)) => assert!(matches!(ours.keys(), SurbKeys::Full(_)), "{len}"),
            (Err(_), theirs) => assert!(theirs.is_err(), "{len}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn rubbish_is_refused_alike(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let key = PrivateKey::from_bytes([3; 32]);
        prop_assert!(SphinxPeeler::default().open(&key, &bytes).is_err());
        prop_assert!(their_peel(&key, &bytes).is_none());
    }
}

/// What one layer says.
#[derive(PartialEq, Eq, Debug)]
enum Step {
    Forward { next: NodeAddress, delay: u64, packet: Vec<u8> },
    Final { destination: [u8; 32], plaintext: Vec<u8> },
}

/// Removes a layer with both implementations, which must agree. Gives the packet's version, too.
fn peel(key: &PrivateKey, packet: &[u8]) -> Result<(Step, u16), PeelError> {
    let mut buffer = packet.to_vec();
    let ours = SphinxPeeler::default()
        .open(key, packet)
        .and_then(|opened| SphinxPeeler::default().peel(opened, &mut buffer));
    let ours = ours.map(|peeled| match peeled {
        Peeled::Forward { next, delay } => {
            Step::Forward { next, delay: delay.as_nanos(), packet: buffer }
        }
        Peeled::Final { destination, plaintext } => {
            Step::Final { destination, plaintext: buffer[plaintext].to_vec() }
        }
    });
    match (ours, their_peel(key, packet)) {
        (Ok(ours), Some((theirs, version))) => {
            assert_eq!(ours, theirs);
            Ok((ours, version))
        }
        (Err(error), None) => Err(error),
        (ours, theirs) => panic!("ours {ours:?}, theirs {theirs:?}"),
    }
}

fn their_peel(key: &PrivateKey, packet: &[u8]) -> Option<(Step, u16)> {
    let processed = SphinxPacket::from_bytes(packet).ok()?;
    let processed = processed.process(&(*key.as_bytes()).into()).ok()?;
    let step = match processed.data {
        ForwardHop { next_hop_packet, next_hop_address, delay } => Step::Forward {
            next: NodeAddress::decode(next_hop_address.as_bytes()).ok()?,
            delay: delay.to_nanos(),
            packet: next_hop_packet.to_bytes(),
        },
        FinalHop { destination, payload, .. } => Step::Final {
            destination: destination.as_bytes(),
            plaintext: payload.recover_plaintext().ok()?,
        },
    };
    Some((step, processed.version.value()))
}

/// A random route, message and packet size.
struct Case {
    stream: Stream,
    private: Vec<PrivateKey>,
    route: Vec<Hop>,
    delays: Vec<Delay>,
    client: IdentityKey,
    size: PacketSize,
    /// The packet's buffer before it is built.
    buffer: Vec<u8>,
    len: usize,
}

impl Case {
    fn all(test: u32) -> impl Iterator<Item = Self> {
        (0..RANDOM_CASES).map(move |number| {
            let purpose = Purpose::Other(10_000 * test + number);
            Self::random(number as usize % HOPS_MAX + 1, Entropy::new([0x5f; 32]).stream(purpose))
        })
    }

    fn random(hops: usize, mut stream: Stream) -> Self {
        let private: Vec<_> = (0..hops).map(|_| PrivateKey::generate(&mut stream)).collect();
        let route: Vec<_> = private
            .iter()
            .map(|key| Hop { address: address(&mut stream), key: key.public() })
            .collect();
        let delays =
            (0..hops).map(|_| Delay::from_nanos(stream.next_u64() >> stream.below(64))).collect();
        // large ones take time and show nothing more
        let largest = if stream.chance(0.05) { PacketSize::ALL.len() } else { 2 };
        let size = PacketSize::ALL[stream.index(largest)];
        let mut buffer = vec![0; size.packet_len()];
        stream.fill(&mut buffer);
        Self {
            client: *IdentityKeyPair::generate(&mut stream).public(),
            len: stream.index(size.plaintext_len() + 1),
            stream,
            private,
            route,
            delays,
            size,
            buffer,
        }
    }

    fn message(&self) -> &[u8] {
        &self.buffer[PLAINTEXT_OFFSET..][..self.len]
    }

    fn built(&mut self) -> Vec<u8> {
        let mut packet = self.buffer.clone();
        SphinxBuilder::new()
            .build_packet(
                &self.route,
                &self.delays,
                &self.client,
                self.len,
                &mut packet,
                &mut self.stream,
            )
            .unwrap();
        packet
    }

    /// A packet that travels with a SURB, from both sides.
    fn used(&self, ours: Surb, theirs: SURB) -> Vec<u8> {
        let first_hop = ours.first_hop().to_padded::<32>();
        let mut packet = self.buffer.clone();
        SphinxBuilder::new().use_surb(ours, self.len, &mut packet).unwrap();
        let (theirs, address) = theirs.use_surb(self.message(), self.size.payload_len()).unwrap();
        assert_eq!(*address.as_bytes(), first_hop);
        assert_eq!(theirs.to_bytes(), packet);
        packet
    }

    fn carry(&mut self, mut packet: Vec<u8>, expected: u16) {
        for (hop, key) in self.private.iter().enumerate() {
            let (step, version) = peel(key, &packet).unwrap();
            assert_eq!(version, expected);
            match step {
                Step::Forward { next, delay, packet: inner } => {
                    assert_eq!(next, self.route[hop + 1].address);
                    assert_eq!(delay, self.delays[hop].as_nanos());
                    packet = inner;
                }
                Step::Final { destination, plaintext } => {
                    assert_eq!(hop + 1, self.route.len());
                    assert_eq!(destination, *self.client.as_bytes());
                    assert_eq!(plaintext, self.message());
                    return;
                }
            }
        }
        panic!("the route has no end");
    }

    fn their_route(&self) -> Vec<Node> {
        let node = |hop: &Hop| {
            let address = NodeAddressBytes::from_bytes(hop.address.to_padded());
            Node::new(address, (*hop.key.as_bytes()).into())
        };
        self.route.iter().map(node).collect()
    }

    fn their_delays(&self) -> Vec<TheirDelay> {
        self.delays.iter().map(|delay| TheirDelay::new_from_nanos(delay.as_nanos())).collect()
    }

    fn their_destination(&self) -> Destination {
        let address = DestinationAddressBytes::from_bytes(*self.client.as_bytes());
        Destination::new(address, [0; 16])
    }
}

fn address(stream: &mut Stream) -> NodeAddress {
    let port = stream.next_u64() as u16;
    NodeAddress::new(match stream.chance(0.5) {
        true => (stream.bytes::<4>(), port).into(),
        false => (stream.bytes::<16>(), port).into(),
    })
}

fn encoded(surb: &Surb) -> Vec<u8> {
    let mut bytes = Vec::new();
    surb.encode(&mut bytes);
    bytes
}
