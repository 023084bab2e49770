use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::sphinx::{Hop, OVERHEAD, PacketBuilder as _, SphinxBuilder, SphinxPeeler};

use super::*;

const HOPS: usize = 4;

fn stream(seed: u8) -> Stream {
    Entropy::new([seed; 32]).stream(Purpose::Packets)
}

fn keys() -> Vec<PrivateKey> {
    (0..HOPS).map(|i| PrivateKey::from_bytes([i as u8 + 1; 32])).collect()
}

/// A packet of `size` bytes, full of sixes.
fn packet(size: usize, seed: u8) -> Vec<u8> {
    let hop = |(i, key): (u8, &PrivateKey)| Hop {
        address: NodeAddress::new(([10, 0, 0, i], 1789).into()),
        key: key.public(),
    };
    let route: Vec<Hop> = (0..).zip(&keys()).map(hop).collect();
    let delays = [1, 2, 3, 4].map(Delay::from_nanos);
    let mut packet = vec![6; size];
    let client = IdentityKeyPair::from_seed(&[9; 32]);
    SphinxBuilder::new()
        .build_packet(
            &route,
            &delays,
            client.public(),
            size - OVERHEAD,
            &mut packet,
            &mut stream(seed),
        )
        .unwrap();
    packet
}

fn peel(
    peeler: &dyn PacketPeeler,
    key: &PrivateKey,
    packet: &mut [u8],
) -> Result<(ReplayTag, Peeled), PeelError> {
    let opened = peeler.open(key, packet)?;
    let tag = opened.replay_tag();
    Ok((tag, peeler.peel(opened, packet)?))
}

#[test]
fn both_implementations_do_the_same_to_a_packet_at_every_hop() {
    for (seed, size) in (0..).zip([386, 2413, 8557]) {
        let mut ours = packet(size, seed);
        for (i, key) in keys().iter().enumerate() {
            let mut theirs = ours.clone();
            let peeled = peel(&OraclePeeler, key, &mut theirs).unwrap();
            assert_eq!(peel(&SphinxPeeler::default(), key, &mut ours).unwrap(), peeled);
            match peeled.1 {
                Peeled::Forward { .. } => assert_eq!(ours, theirs),
                Peeled::Final { plaintext, .. } => {
                    assert_eq!(i, HOPS - 1);
                    assert_eq!(theirs[plaintext], vec![6; size - OVERHEAD]);
                }
            }
        }
    }
}

#[test]
fn what_is_damaged_cut_or_for_another_key_is_refused_alike() {
    let [key, other, ..] = &keys()[..] else { panic!("too few keys") };
    let whole = packet(2413, 7);
    for bit in [40 * 8, 60 * 8 + 1, 347 * 8] {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        for peeler in [&OraclePeeler as &dyn PacketPeeler, &SphinxPeeler::default()] {
            let refused = peel(peeler, key, &mut damaged.clone());
            assert_eq!(refused, Err(PeelError::Mac));
            assert_eq!(peel(peeler, other, &mut whole.clone()), Err(PeelError::Mac));
            assert_eq!(peel(peeler, key, &mut whole.clone()[..300]), Err(PeelError::Length(300)));
        }
    }
}
