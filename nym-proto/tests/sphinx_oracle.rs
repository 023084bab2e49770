//! The packet layer against an independent implementation, crate `sphinx-packet`, on random cases.

use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::{IdentityKey, IdentityKeyPair, PrivateKey};
use nym_proto::sphinx::{
    Delay, HEADER_SIZE, HOPS_MAX, HeaderInputs, Hop, OVERHEAD, PLAINTEXT_OFFSET, PacketBuilder,
    PacketPeeler, Peeled, SphinxBuilder, SphinxPeeler, Surb, VERSION,
};
use sphinx_packet as oracle;
use sphinx_packet::ProcessedPacketData::{FinalHop, ForwardHop};
use x25519_dalek::StaticSecret;

const CASES_PER_LENGTH: usize = 500;

#[test]
fn packets_of_ours_are_peeled_by_the_oracle_hop_by_hop() {
    for mut case in Case::all(1) {
        let packet = case.built();
        case.carry_through_both(packet);
    }
}

#[test]
fn packets_of_the_oracle_are_peeled_by_us_and_rebuilt_byte_for_byte() {
    for mut case in Case::all(2) {
        let initial_secret: [u8; 32] = case.stream.bytes();
        let packet = oracle::SphinxPacketBuilder::new()
            .with_version(oracle::version::Version::new(VERSION))
            .with_payload_size(case.size - HEADER_SIZE)
            .with_initial_secret(&StaticSecret::from(initial_secret))
            .build_packet(
                &case.message,
                &case.oracle_route(),
                &case.oracle_destination(),
                &case.oracle_delays(),
            )
            .unwrap()
            .to_bytes();
        case.carry_through_both(packet.clone());

        let mut rebuilt = case.buffer();
        case.inputs(initial_secret, &packet)
            .build_packet(case.message.len(), &mut rebuilt)
            .unwrap();
        assert_eq!(rebuilt, packet);
    }
}

#[test]
fn surbs_of_ours_are_used_by_the_oracle_as_by_us() {
    for mut case in Case::all(3) {
        let client = case.destination();
        let surb = SphinxBuilder::new()
            .make_surb(&case.route, &case.delays, &client, &mut case.stream)
            .unwrap();
        let encoded = encode(&surb);
        assert_eq!(encoded.len(), Surb::encoded_len_for(case.route.len()));
        let theirs = oracle::SURB::from_bytes(&encoded).unwrap();
        assert_eq!(theirs.to_bytes(), encoded);

        let packet = case.use_both(surb, theirs);
        case.carry_through_both(packet);
    }
}

#[test]
fn surbs_of_the_oracle_are_used_by_us_as_by_the_oracle_and_made_again() {
    for mut case in Case::all(4) {
        let initial_secret: [u8; 32] = case.stream.bytes();
        let material = oracle::SURBMaterial::new(
            case.oracle_route(),
            case.oracle_delays(),
            case.oracle_destination(),
            oracle::version::Version::new(VERSION),
        );
        let theirs = oracle::SURB::new(StaticSecret::from(initial_secret), material).unwrap();
        let encoded = theirs.to_bytes();
        let ours = Surb::decode(&encoded).unwrap();
        assert_eq!(encode(&ours), encoded);

        let packet = case.use_both(ours, theirs);
        let again = case.inputs(initial_secret, &packet).make_surb().unwrap();
        assert_eq!(encode(&again), encoded);
        case.carry_through_both(packet);
    }
}

#[test]
fn packets_with_a_damaged_header_are_refused_by_both() {
    for mut case in Case::all(5) {
        let mut packet = case.built();
        // the top bit of the public element is ignored by X25519, and so by both
        let at = case.stream.index(HEADER_SIZE);
        packet[at] ^= 1 << case.stream.index(if at == 31 { 7 } else { 8 });
        let key = &case.private[0];
        assert!(SphinxPeeler::default().open(key, &packet).is_err());
        let theirs = oracle::SphinxPacket::from_bytes(&packet).unwrap();
        assert!(theirs.process(&secret(key)).is_err());
    }
}

/// A random route, message and packet size.
struct Case {
    stream: Stream,
    private: Vec<PrivateKey>,
    route: Vec<Hop>,
    delays: Vec<Delay>,
    client: IdentityKeyPair,
    message: Vec<u8>,
    size: usize,
}

impl Case {
    /// Cases for every length of route.
    fn all(test: u32) -> impl Iterator<Item = Self> {
        let lengths = (0..CASES_PER_LENGTH).flat_map(|_| 1..=HOPS_MAX);
        lengths.zip(1000 * test..).map(|(hops, number)| {
            let stream = Entropy::new([77; 32]).stream(Purpose::Other(number));
            Self::random(hops, stream)
        })
    }

    fn random(hops: usize, mut stream: Stream) -> Self {
        let private: Vec<_> = (0..hops).map(|_| PrivateKey::generate(&mut stream)).collect();
        let route =
            private.iter().map(|key| Hop { address: address(&mut stream), key: key.public() });
        let route = route.collect();
        let delays =
            (0..hops).map(|_| Delay::from_nanos(stream.next_u64() >> stream.below(64))).collect();
        let size = HEADER_SIZE + 33 + stream.index(2500);
        let mut message = vec![0; stream.index(size - OVERHEAD + 1)];
        stream.fill(&mut message);
        Self {
            client: IdentityKeyPair::generate(&mut stream),
            stream,
            private,
            route,
            delays,
            message,
            size,
        }
    }

    fn destination(&self) -> IdentityKey {
        *self.client.public()
    }

    /// The message in a packet buffer with rubbish elsewhere.
    fn buffer(&self) -> Vec<u8> {
        let mut packet = vec![0xee; self.size];
        packet[PLAINTEXT_OFFSET..][..self.message.len()].copy_from_slice(&self.message);
        packet
    }

    fn built(&mut self) -> Vec<u8> {
        let mut packet = self.buffer();
        let built = SphinxBuilder::new().build_packet(
            &self.route,
            &self.delays,
            self.client.public(),
            self.message.len(),
            &mut packet,
            &mut self.stream,
        );
        assert_eq!(built, Ok(()));
        packet
    }

    /// The inputs of the header of `packet`, whose padding is read out of the last hop's block.
    fn inputs(&self, initial_secret: [u8; 32], packet: &[u8]) -> HeaderInputs<'_> {
        let mut packet = packet.to_vec();
        let (last, forward) = self.private.split_last().unwrap();
        for key in forward {
            let opened = SphinxPeeler::default().open(key, &packet).unwrap();
            SphinxPeeler::default().peel(opened, &mut packet).unwrap();
        }
        let opened = SphinxPeeler::default().open(last, &packet).unwrap();
        let stream_key = opened.secret().unwrap()[..16].try_into().unwrap();
        let stream = oracle::crypto::generate_pseudorandom_bytes(stream_key, &[0; 16], 300);
        let beta = packet[48..HEADER_SIZE].iter();
        let block: Vec<u8> = beta.zip(stream).map(|(a, b)| a ^ b).collect();
        let len = HeaderInputs::padding_len(self.route.len());
        let mut final_padding = [0; 248];
        final_padding[..len].copy_from_slice(&block[52..52 + len]);
        HeaderInputs {
            version: VERSION,
            route: &self.route,
            delays: &self.delays,
            destination: *self.destination().as_bytes(),
            identifier: [0; 16],
            initial_secret,
            final_padding,
        }
    }

    fn use_both(&self, ours: Surb, theirs: oracle::SURB) -> Vec<u8> {
        let mut packet = self.buffer();
        let first_hop = ours.first_hop().to_padded::<32>();
        SphinxBuilder::new().use_surb(ours, self.message.len(), &mut packet).unwrap();
        let (theirs, address) = theirs.use_surb(&self.message, self.size - HEADER_SIZE).unwrap();
        assert_eq!(*address.as_bytes(), first_hop);
        assert_eq!(theirs.to_bytes(), packet);
        packet
    }

    /// Peels all layers with both implementations, comparing them at each hop with each other and
    /// with the case.
    fn carry_through_both(&self, mut packet: Vec<u8>) {
        assert_eq!(packet.len(), self.size);
        for (i, key) in self.private.iter().enumerate() {
            let theirs = oracle::SphinxPacket::from_bytes(&packet).unwrap();
            let theirs = theirs.process(&secret(key)).unwrap();
            assert_eq!(theirs.version.value(), VERSION);
            let opened = SphinxPeeler::default().open(key, &packet).unwrap();
            let ours = SphinxPeeler::default().peel(opened, &mut packet).unwrap();
            match (ours, theirs.data) {
                (
                    Peeled::Forward { next, delay },
                    ForwardHop { next_hop_packet, next_hop_address, delay: their_delay },
                ) => {
                    assert_eq!(next, self.route[i + 1].address);
                    assert_eq!(*next_hop_address.as_bytes(), next.to_padded::<32>());
                    assert_eq!(delay, self.delays[i]);
                    assert_eq!(their_delay.to_nanos(), delay.as_nanos());
                    assert_eq!(next_hop_packet.to_bytes(), packet);
                }
                (
                    Peeled::Final { destination, plaintext },
                    FinalHop { destination: their_destination, identifier, payload },
                ) => {
                    assert_eq!(i + 1, self.route.len());
                    assert_eq!(destination, *self.destination().as_bytes());
                    assert_eq!(their_destination.as_bytes(), destination);
                    assert_eq!(identifier, [0; 16]);
                    assert_eq!(packet[plaintext], self.message);
                    assert_eq!(payload.recover_plaintext().unwrap(), self.message);
                }
                _ => panic!("one took hop {i} for the last, the other did not"),
            }
        }
    }

    fn oracle_route(&self) -> Vec<oracle::route::Node> {
        let node = |hop: &Hop| {
            oracle::route::Node::new(
                oracle::route::NodeAddressBytes::from_bytes(hop.address.to_padded()),
                (*hop.key.as_bytes()).into(),
            )
        };
        self.route.iter().map(node).collect()
    }

    fn oracle_delays(&self) -> Vec<oracle::header::delays::Delay> {
        let nanos = self.delays.iter().map(|delay| delay.as_nanos());
        nanos.map(oracle::header::delays::Delay::new_from_nanos).collect()
    }

    fn oracle_destination(&self) -> oracle::route::Destination {
        let address = *self.destination().as_bytes();
        oracle::route::Destination::new(
            oracle::route::DestinationAddressBytes::from_bytes(address),
            [0; 16],
        )
    }
}

fn address(stream: &mut Stream) -> NodeAddress {
    let port = stream.next_u64() as u16;
    let socket = if stream.chance(0.5) {
        (stream.bytes::<4>(), port).into()
    } else {
        (stream.bytes::<16>(), port).into()
    };
    NodeAddress::new(socket)
}

fn encode(surb: &Surb) -> Vec<u8> {
    let mut out = Vec::new();
    surb.encode(&mut out);
    out
}

fn secret(key: &PrivateKey) -> StaticSecret {
    StaticSecret::from(*key.as_bytes())
}
