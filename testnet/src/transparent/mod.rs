//! A packet suite without cryptography, for simulations of many packets.
//!
//! Packets, SURBs and plaintexts have the sizes of the real suite, and a packet is refused by a
//! node whose key it was not built for. But everything is in the clear: route, delays and
//! destination stand in the header, the payload is not encrypted, and a packet looks the same at
//! every hop. Fragments and frames to the gateway are not encrypted either. It hides nothing from
//! anybody and exists in this crate only.

mod cipher;
mod keys;

use nym_proto::address::NodeAddress;
use nym_proto::entropy::Stream;
use nym_proto::identity::{IdentityKey, PrivateKey};
use nym_proto::sphinx::{
    BuildError, Delay, HEADER_SIZE, HOPS_MAX, Hop, Opened, PAYLOAD_ZEROS, PLAINTEXT_OFFSET,
    PacketBuilder, PacketPeeler, PeelError, Peeled, ReplayTag, Surb, SurbKeys,
};

use self::keys::PublicKeys;
use crate::checksum::checksum;

/// Ends the plaintext, as in the real suite. (protocol: sphinx 7.2)
const MARK: u8 = 1;

// layout of the header: fields, then one slot per hop, then zeros, then a checksum
const ID: usize = 16;
const POSITION: usize = ID;
const HOPS: usize = ID + 1;
const DESTINATION: usize = 24;
const SLOTS: usize = 56;
const CHECKSUM: usize = HEADER_SIZE - 8;
/// Of each slot: beginning of the key, delay, address.
const KEY: usize = 8;
const SLOT: usize = KEY + 8 + NodeAddress::SIZE_MAX;
const _: () = assert!(SLOTS + HOPS_MAX * SLOT <= CHECKSUM);

/// Builds transparent packets.
#[derive(Clone, Debug, Default)]
pub struct TransparentBuilder {
    keys: PublicKeys,
}

impl TransparentBuilder {
    /// A builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl PacketBuilder for TransparentBuilder {
    fn build_packet(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        plaintext_len: usize,
        packet: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), BuildError> {
        let header = header(route, delays, destination, stream)?;
        place(&header, plaintext_len, packet)
    }

    fn make_surb(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        stream: &mut Stream,
    ) -> Result<Surb, BuildError> {
        let header = header(route, delays, destination, stream)?;
        let no_hop = BuildError::RouteLength(route.len());
        let first = route.first().ok_or(no_hop)?;
        let seeds = vec![[0; 16]; route.len()];
        Surb::new(header, first.address, SurbKeys::Seeds(&seeds)).map_err(|_| no_hop)
    }

    fn use_surb(
        &mut self,
        surb: Surb,
        plaintext_len: usize,
        packet: &mut [u8],
    ) -> Result<(), BuildError> {
        place(surb.header(), plaintext_len, packet)
    }
}

/// Peels transparent packets.
#[derive(Debug, Default)]
pub struct TransparentPeeler {
    keys: PublicKeys,
}

impl TransparentPeeler {
    /// A peeler.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl PacketPeeler for TransparentPeeler {
    fn open(&self, key: &PrivateKey, packet: &[u8]) -> Result<Opened, PeelError> {
        let header = split(packet)?;
        let position = header[POSITION];
        let slot = slot(header, usize::from(position)).ok_or(PeelError::Mac)?;
        let is_ours = slot[..KEY] == self.keys.public(key).as_bytes()[..KEY];
        if !is_ours || header[CHECKSUM..] != checksum(&header[..CHECKSUM]) {
            return Err(PeelError::Mac);
        }
        let mut tag = [0; 32];
        tag[..ID].copy_from_slice(&header[..ID]);
        tag[POSITION] = position;
        Ok(Opened::new(ReplayTag(tag), None))
    }

    fn peel(&self, _: Opened, packet: &mut [u8]) -> Result<Peeled, PeelError> {
        split(packet)?;
        let length = packet.len();
        let Some((header, payload)) = packet.split_first_chunk_mut::<HEADER_SIZE>() else {
            return Err(PeelError::Length(length));
        };
        let position = usize::from(header[POSITION]);
        if position + 1 < usize::from(header[HOPS]) {
            let this = slot(header, position).ok_or(PeelError::Flag(header[POSITION]))?;
            let delay = Delay::from_nanos(u64::from_be_bytes(beginning(&this[KEY..])));
            let next = slot(header, position + 1).ok_or(PeelError::Flag(header[POSITION]))?;
            let next = NodeAddress::decode(&next[KEY + 8..])?;
            header[POSITION] += 1;
            let sum = checksum(&header[..CHECKSUM]);
            header[CHECKSUM..].copy_from_slice(&sum);
            return Ok(Peeled::Forward { next, delay });
        }
        let (zeros, rest) = payload.split_at(PAYLOAD_ZEROS);
        let words = rest.rchunks_exact(8).take_while(|word| **word == [0; 8]).count();
        let end = rest[..rest.len() - 8 * words].iter().rposition(|&byte| byte == MARK);
        let (true, Some(end)) = (zeros == [0; PAYLOAD_ZEROS], end) else {
            return Err(PeelError::Payload);
        };
        let mut destination = [0; 32];
        destination.copy_from_slice(&header[DESTINATION..DESTINATION + 32]);
        Ok(Peeled::Final { destination, plaintext: PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + end })
    }
}

fn header(
    route: &[Hop],
    delays: &[Delay],
    destination: &IdentityKey,
    stream: &mut Stream,
) -> Result<[u8; HEADER_SIZE], BuildError> {
    let hops = route.len();
    if !(1..=HOPS_MAX).contains(&hops) {
        return Err(BuildError::RouteLength(hops));
    }
    if delays.len() != hops {
        return Err(BuildError::DelayCount { hops, delays: delays.len() });
    }
    let mut header = [0; HEADER_SIZE];
    stream.fill(&mut header[..ID]);
    header[HOPS] = hops as u8;
    header[DESTINATION..DESTINATION + 32].copy_from_slice(destination.as_bytes());
    let slots = header[SLOTS..CHECKSUM].chunks_exact_mut(SLOT);
    for (slot, (hop, delay)) in slots.zip(route.iter().zip(delays)) {
        let (key, rest) = slot.split_at_mut(KEY);
        let (nanos, address) = rest.split_at_mut(8);
        key.copy_from_slice(&beginning::<KEY>(hop.key.as_bytes()));
        nanos.copy_from_slice(&delay.as_nanos().to_be_bytes());
        address.copy_from_slice(&hop.address.to_padded::<{ NodeAddress::SIZE_MAX }>());
    }
    let sum = checksum(&header[..CHECKSUM]);
    header[CHECKSUM..].copy_from_slice(&sum);
    Ok(header)
}

/// Puts a header in front of a payload and pads the plaintext in it.
fn place(
    header: &[u8; HEADER_SIZE],
    plaintext: usize,
    packet: &mut [u8],
) -> Result<(), BuildError> {
    let misfit = BuildError::PlaintextLength { plaintext, packet: packet.len() };
    let end = PLAINTEXT_OFFSET.checked_add(plaintext).filter(|end| *end < packet.len());
    end.ok_or(misfit)?;
    let (front, rest) = packet.split_at_mut(PLAINTEXT_OFFSET);
    front[..HEADER_SIZE].copy_from_slice(header);
    front[HEADER_SIZE..].fill(0);
    rest[plaintext] = MARK;
    rest[plaintext + 1..].fill(0);
    Ok(())
}

fn split(packet: &[u8]) -> Result<&[u8; HEADER_SIZE], PeelError> {
    match packet.first_chunk() {
        Some(header) if packet.len() > PLAINTEXT_OFFSET => Ok(header),
        _ => Err(PeelError::Length(packet.len())),
    }
}

fn slot(header: &[u8; HEADER_SIZE], position: usize) -> Option<&[u8]> {
    let hops = usize::from(header[HOPS]).min(HOPS_MAX);
    (position < hops).then(|| &header[SLOTS + position * SLOT..SLOTS + (position + 1) * SLOT])
}

fn beginning<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use nym_proto::entropy::{Entropy, Purpose};
    use nym_proto::identity::IdentityKeyPair;
    use nym_proto::sphinx::{OVERHEAD, PacketSize, SphinxBuilder};
    use proptest::prelude::*;

    use super::*;

    fn key(i: usize) -> PrivateKey {
        PrivateKey::from_bytes([i as u8 + 1; 32])
    }

    fn route(hops: usize) -> (Vec<Hop>, Vec<Delay>) {
        let hop = |i: usize| Hop {
            address: NodeAddress::new(([10, 0, 0, i as u8], 1789).into()),
            key: key(i).public(),
        };
        let delays = (0..hops as u64).map(Delay::from_nanos).collect();
        ((0..hops).map(hop).collect(), delays)
    }

    fn destination() -> IdentityKey {
        *IdentityKeyPair::from_seed(&[1; 32]).public()
    }

    fn stream() -> Stream {
        Entropy::new([1; 32]).stream(Purpose::Packets)
    }

    fn packet(hops: usize, size: usize) -> (Vec<u8>, Vec<u8>) {
        let (route, delays) = route(hops);
        let mut packet = vec![7; size];
        let len = size - OVERHEAD;
        TransparentBuilder::new()
            .build_packet(&route, &delays, &destination(), len, &mut packet, &mut stream())
            .unwrap();
        (packet, vec![7; len])
    }

    fn open_and_peel(i: usize, packet: &mut [u8]) -> Result<Peeled, PeelError> {
        let peeler = TransparentPeeler::new();
        let opened = peeler.open(&key(i), packet)?;
        peeler.peel(opened, packet)
    }

    #[test]
    fn surbs_have_the_size_of_real_ones_and_their_packets_arrive() {
        let (route, delays) = route(4);
        let make = |builder: &mut dyn PacketBuilder| {
            builder.make_surb(&route, &delays, &destination(), &mut stream()).unwrap()
        };
        let surb = make(&mut TransparentBuilder::new());
        assert_eq!(surb.encoded_len(), make(&mut SphinxBuilder::new()).encoded_len());
        assert_eq!(surb.first_hop(), route[0].address);
        let mut packet = vec![9; PacketSize::Regular.packet_len()];
        TransparentBuilder::new().use_surb(surb, 2048, &mut packet).unwrap();
        for i in 0..3 {
            assert!(matches!(open_and_peel(i, &mut packet), Ok(Peeled::Forward { .. })));
        }
        let plaintext = PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + 2048;
        let arrived = Peeled::Final { destination: *destination().as_bytes(), plaintext };
        assert_eq!(open_and_peel(3, &mut packet), Ok(arrived));
    }

    #[test]
    fn a_packet_is_refused_with_another_key_and_has_another_tag_at_every_hop() {
        let (mut packet, _) = packet(2, 500);
        assert_eq!(open_and_peel(1, &mut packet), Err(PeelError::Mac));
        let tag = |i: usize, packet: &[u8]| {
            TransparentPeeler::new().open(&key(i), packet).unwrap().replay_tag()
        };
        let first = tag(0, &packet);
        open_and_peel(0, &mut packet).unwrap();
        assert_ne!(tag(1, &packet), first);
    }

    #[test]
    fn what_does_not_fit_is_not_built() {
        let (hops, delays) = route(3);
        let build = |hops: &[Hop], delays: &[Delay], len| {
            let mut packet = vec![0; 500];
            TransparentBuilder::new().build_packet(
                hops,
                delays,
                &destination(),
                len,
                &mut packet,
                &mut stream(),
            )
        };
        assert_eq!(build(&hops, &delays, 500 - OVERHEAD), Ok(()));
        let misfit = BuildError::PlaintextLength { plaintext: 136, packet: 500 };
        assert_eq!(build(&hops, &delays, 136), Err(misfit));
        assert_eq!(build(&[], &[], 1), Err(BuildError::RouteLength(0)));
        let count = BuildError::DelayCount { hops: 3, delays: 2 };
        assert_eq!(build(&hops, &delays[..2], 1), Err(count));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_packet_arrives_at_the_end_of_its_route(hops in 1usize..=5, size in 381usize..900) {
            let (mut packet, sent) = packet(hops, size);
            for i in 0..hops - 1 {
                let forward = Peeled::Forward {
                    next: NodeAddress::new(([10, 0, 0, i as u8 + 1], 1789).into()),
                    delay: Delay::from_nanos(i as u64),
                };
                prop_assert_eq!(open_and_peel(i, &mut packet), Ok(forward));
            }
            match open_and_peel(hops - 1, &mut packet) {
                Ok(Peeled::Final { plaintext, .. }) => {
                    prop_assert_eq!(&packet[plaintext], sent.as_slice());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        #[test]
        fn a_flipped_bit_of_the_header_is_noticed(bit in 0usize..8 * HEADER_SIZE) {
            let (mut packet, _) = packet(2, 420);
            packet[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open_and_peel(0, &mut packet), Err(PeelError::Mac));
        }

        #[test]
        fn random_and_truncated_bytes_are_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600), len in 0usize..=364,
        ) {
            prop_assert!(open_and_peel(0, &mut bytes).is_err());
            let (mut packet, _) = packet(1, 500);
            prop_assert_eq!(
                open_and_peel(0, &mut packet[..len]),
                Err(PeelError::Length(len))
            );
        }
    }
}
