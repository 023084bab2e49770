use super::*;
use crate::entropy::{Entropy, Purpose};
use crate::identity::{Identity, PrivateKey};
use crate::message::{FragmentId, ReplyKey, SetId, open, open_ack, open_reply, split_final};
use crate::sphinx::{PacketPeeler as _, Peeled, SphinxBuilder, SphinxPeeler};

const DATA_SIZES: [PacketSize; 4] =
    [PacketSize::Regular, PacketSize::Extended8, PacketSize::Extended16, PacketSize::Extended32];

#[test]
fn a_forward_packet_of_any_size_brings_its_fragment_and_returns_its_ack() {
    for size in DATA_SIZES {
        let mut world = World::new();
        let bob = Identity::generate(&mut world.stream);
        let recipient = (bob.identity.public(), &bob.encryption.public());
        let mut packet = vec![0xee; size.packet_len()];

        let built = world.build_forward(size, recipient, &mut packet);

        let (destination, mut pushed) = world.deliver(packet);
        assert_eq!(built.as_ref().map(|prefix| &prefix[..]), Ok(&pushed[..32]));
        assert_eq!(&destination, bob.identity.public().as_bytes());
        let fragment = open(&bob.encryption, &mut pushed).unwrap();
        assert_eq!(fragment.len(), fragment_room(size));
        assert!(fragment.iter().all(|&byte| byte == 0xf5));
    }
}

#[test]
fn a_reply_of_any_size_brings_its_fragment_and_returns_its_ack() {
    for size in DATA_SIZES {
        let mut world = World::new();
        let creator = Identity::generate(&mut world.stream);
        let identity = creator.identity.public();
        let key = ReplyKey::draw(&mut world.stream);
        let surb = SphinxBuilder::new()
            .make_surb(&world.hops, &world.delays, identity, &mut world.stream)
            .unwrap();
        let surb = ReplySurb { key: key.clone(), surb };
        let mut packet = vec![0xee; size.packet_len()];

        let built = world.build_reply(size, surb, &mut packet);

        assert_eq!(built, Ok(()));
        let (destination, mut pushed) = world.deliver(packet);
        assert_eq!(&destination, identity.as_bytes());
        assert_eq!(pushed[..32], *key.digest().as_bytes());
        let fragment = open_reply(&key, &mut pushed).unwrap();
        assert_eq!(fragment.len(), fragment_room(size));
        assert!(fragment.iter().all(|&byte| byte == 0xf5));
    }
}

#[test]
fn wrong_buffers_sizes_routes_and_keys_are_refused() {
    let mut world = World::new();
    let bob = Identity::generate(&mut world.stream);
    let (identity, encryption) = (bob.identity.public(), bob.encryption.public());
    let mut build = |size, key, len| {
        let mut packet = vec![0; len];
        world.build_forward(size, (identity, &key), &mut packet)
    };
    let regular = PacketSize::Regular;
    assert_eq!(
        build(regular, encryption, 2412),
        Err(OnionError::Buffer { needed: 2413, given: 2412 })
    );
    assert_eq!(build(PacketSize::Ack, encryption, 386), Err(OnionError::AckSize));
    let low_order = PublicKey::from_bytes([0; 32]);
    assert_eq!(build(regular, low_order, 2413), Err(OnionError::Seal(SealError::Degenerate)));
    world.hops.clear();
    let built = world.build_forward(regular, (identity, &encryption), &mut [0; 2413]);
    let error = BuildError::RouteLength(0);
    assert_eq!(built, Err(OnionError::Ack(error)));
}

#[test]
fn packets_built_together_bring_their_fragments_and_return_their_acks() {
    let mut world = World::new();
    let people: Vec<_> = (0..3).map(|_| Identity::generate(&mut world.stream)).collect();
    let keys: Vec<_> = people.iter().map(|person| person.encryption.public()).collect();
    let sizes = [PacketSize::Regular, PacketSize::Extended8, PacketSize::Regular];
    let mut packets: Vec<_> = sizes.iter().map(|size| vec![0xee; size.packet_len()]).collect();
    let mut fills: Vec<_> = (0..3).map(|n: u8| move |out: &mut [u8]| out.fill(0xf5 + n)).collect();
    let mut stream = Entropy::new([4; 32]).stream(Purpose::Packets);

    let forwards = packets.iter_mut().zip(&mut fills).enumerate();
    let forwards = forwards.map(|(i, (packet, fill))| Forward {
        size: sizes[i],
        recipient: (people[i].identity.public(), &keys[i]),
        path: world.path(),
        ack: world.ack(),
        fill,
        packet,
    });
    let forwards = forwards.collect();
    let built = build_forwards(&mut SphinxBuilder::new(), forwards, &mut stream).unwrap();

    for (i, packet) in packets.into_iter().enumerate() {
        let (destination, mut pushed) = world.deliver(packet);
        assert_eq!(built[i][..], pushed[..32]);
        assert_eq!(&destination, people[i].identity.public().as_bytes());
        let fragment = open(&people[i].encryption, &mut pushed).unwrap();
        assert_eq!(fragment.len(), fragment_room(sizes[i]));
        assert!(fragment.iter().all(|&byte| byte == 0xf5 + i as u8));
    }
}

#[test]
fn one_that_cannot_be_built_refuses_all_that_are_built_together() {
    let world = World::new();
    let key = world.sender.encryption.public();
    let build = |lens: [usize; 2], hops: usize| {
        let mut packets = lens.map(|len| vec![0; len]);
        let mut fill = |out: &mut [u8]| out.fill(0);
        let mut again = fill;
        let [first, second] = &mut packets;
        let forward = |packet, fill, hops: usize| Forward {
            size: PacketSize::Regular,
            recipient: (world.sender.identity.public(), &key),
            path: Path { hops: &world.hops[..hops], delays: &world.delays[..hops] },
            ack: world.ack(),
            fill,
            packet,
        };
        let forwards = vec![forward(first, &mut fill, 4), forward(second, &mut again, hops)];
        let stream = &mut Entropy::new([4; 32]).stream(Purpose::Packets);
        build_forwards(&mut SphinxBuilder::new(), forwards, stream).err()
    };
    assert_eq!(build([2413, 2413], 4), None);
    let error = OnionError::Buffer { needed: 2413, given: 100 };
    assert_eq!(build([2413, 100], 4), Some(error));
    assert_eq!(build([2413, 2413], 0), Some(OnionError::Packet(BuildError::RouteLength(0))));
}

#[test]
fn the_last_delay_does_not_count_and_sums_saturate() {
    let path = |delays| Path { hops: &[], delays };
    let nanos = [1, 2, 4].map(Delay::from_nanos);
    assert_eq!(path(&nanos).expected(), Duration::from_nanos(3));
    assert_eq!(path(&[]).expected(), Duration::ZERO);
    let huge = [u64::MAX, 1, 1].map(Delay::from_nanos);
    assert_eq!(path(&huge).expected(), Duration::from_nanos(u64::MAX));
}

/// A route of four hops with their keys, and a sender whose own gateway is the last of them.
struct World {
    stream: Stream,
    sender: Identity,
    keys: Vec<PrivateKey>,
    hops: Vec<Hop>,
    delays: Vec<Delay>,
}

impl World {
    fn new() -> Self {
        let mut stream = Entropy::new([8; 32]).stream(Purpose::Other(0));
        let keys: Vec<_> = (0..4).map(|_| PrivateKey::generate(&mut stream)).collect();
        let hop = |(i, key): (usize, &PrivateKey)| Hop {
            address: NodeAddress::new(([10, 0, 0, i as u8], 1789).into()),
            key: key.public(),
        };
        Self {
            sender: Identity::generate(&mut stream),
            hops: keys.iter().enumerate().map(hop).collect(),
            delays: (1..=4).map(Delay::from_nanos).collect(),
            keys,
            stream,
        }
    }

    fn build_forward(
        &mut self,
        size: PacketSize,
        recipient: (&IdentityKey, &PublicKey),
        packet: &mut [u8],
    ) -> Result<[u8; 32], OnionError> {
        let mut builder = SphinxBuilder::new();
        let stream = &mut Entropy::new(self.stream.bytes()).stream(Purpose::Packets);
        let (path, ack) = (self.path(), self.ack());
        let fill = &mut |out: &mut [u8]| out.fill(0xf5);
        build_forward(&mut builder, Forward { size, recipient, path, ack, fill, packet }, stream)
    }

    fn build_reply(
        &mut self,
        size: PacketSize,
        surb: ReplySurb,
        packet: &mut [u8],
    ) -> Result<(), OnionError> {
        let mut builder = SphinxBuilder::new();
        let stream = &mut Entropy::new(self.stream.bytes()).stream(Purpose::Packets);
        let ack = self.ack();
        let fill = &mut |out: &mut [u8]| out.fill(0xf5);
        build_reply(&mut builder, size, surb, &ack, fill, packet, stream)
    }

    fn path(&self) -> Path<'_> {
        Path { hops: &self.hops, delays: &self.delays }
    }

    fn id() -> AckId {
        let set = SetId::new(0x0102_0304).unwrap();
        AckId::Fragment(FragmentId { set, position: 9 })
    }

    fn ack(&self) -> OwnAck<'_> {
        OwnAck {
            key: &self.sender.ack,
            destination: self.sender.identity.public(),
            path: self.path(),
            id: Self::id(),
        }
    }

    /// Takes a packet to the last hop and its ack back to the sender. Returns the destination
    /// and what is pushed to it.
    fn deliver(&self, packet: Vec<u8>) -> ([u8; 32], Vec<u8>) {
        let (destination, plaintext) = self.walk(packet);
        let (first, ack, pushed) = split_final(&plaintext).unwrap();
        assert_eq!(first, self.hops[0].address);
        let (sender, ack) = self.walk(ack.to_vec());
        assert_eq!(&sender, self.sender.identity.public().as_bytes());
        assert_eq!(open_ack(&self.sender.ack, &ack), Some(Self::id()));
        (destination, pushed.to_vec())
    }

    fn walk(&self, mut packet: Vec<u8>) -> ([u8; 32], Vec<u8>) {
        let peeler = SphinxPeeler::default();
        for key in &self.keys {
            let opened = peeler.open(key, &packet).unwrap();
            if let Peeled::Final { destination, plaintext } =
                peeler.peel(opened, &mut packet).unwrap()
            {
                return (destination, packet[plaintext].to_vec());
            }
        }
        panic!("no hop was the last one");
    }
}
