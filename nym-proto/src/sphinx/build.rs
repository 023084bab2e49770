//! The builder of Sphinx packets and SURBs. (protocol: sphinx 5, 7, 9)

use zeroize::Zeroizing;

use super::crypto::{
    PAYLOAD_KEY_SIZE, full_payload_key, has_full_payload_keys, lioness_encrypt, pad, part,
    payload_key_of,
};
use super::header::{Layers, PADDING_MAX, check_route};
use super::multiples::{Multiples, TABLES_MAX};
use super::peel::PACKET_MIN;
use super::*;
use crate::identity::{PrivateKey, contributory};

/// Builds packets of version 259.
///
/// A header takes from the stream 32 bytes for the initial secret and then the padding of its
/// final block: 248, 188, 128, 68 or 8 bytes for 1 to 5 hops.
#[derive(Debug)]
pub struct SphinxBuilder {
    multiples: Multiples,
}

impl SphinxBuilder {
    /// A builder.
    #[must_use]
    pub fn new() -> Self {
        Self { multiples: Multiples::new(TABLES_MAX) }
    }
}

impl SphinxBuilder {
    /// [`PrivateKey::agree`] with a key that may come again.
    pub(crate) fn agree(
        &mut self,
        private: &PrivateKey,
        peer: &PublicKey,
    ) -> Option<Zeroizing<[u8; 32]>> {
        contributory(self.multiples.x25519(private.as_bytes(), peer))
    }
}

impl Default for SphinxBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PacketBuilder for SphinxBuilder {
    fn build_packet(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        plaintext_len: usize,
        packet: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), BuildError> {
        check_route(route, delays)?;
        let inputs = HeaderInputs::draw(route, delays, destination, stream);
        inputs.build_packet_with(&mut self.multiples, plaintext_len, packet)
    }

    fn make_surb(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        stream: &mut Stream,
    ) -> Result<Surb, BuildError> {
        check_route(route, delays)?;
        HeaderInputs::draw(route, delays, destination, stream).make_surb_with(&mut self.multiples)
    }

    fn make_surbs(
        &mut self,
        ways: &[SurbWay<'_>],
        stream: &mut Stream,
    ) -> Result<Vec<Surb>, BuildError> {
        for way in ways {
            check_route(way.route, way.delays)?;
        }
        let all: Vec<HeaderInputs<'_>> = ways
            .iter()
            .map(|way| HeaderInputs::draw(way.route, way.delays, way.destination, stream))
            .collect();
        let layers = Layers::derive_all(&all, &mut self.multiples)?;
        all.iter().zip(&layers).map(|(inputs, layers)| inputs.surb_of(layers)).collect()
    }

    fn use_surb(
        &mut self,
        surb: Surb,
        plaintext_len: usize,
        packet: &mut [u8],
    ) -> Result<(), BuildError> {
        let (header, payload) = split(plaintext_len, packet)?;
        *header = *surb.header();
        match surb.keys() {
            SurbKeys::Seeds(seeds) => {
                for seed in seeds.iter().rev() {
                    encrypt_layer(&payload_key_of(seed), payload);
                }
            }
            SurbKeys::Full(keys) => {
                for key in keys.iter().rev() {
                    encrypt_layer(key, payload);
                }
            }
        }
        Ok(())
    }
}

impl<'a> HeaderInputs<'a> {
    fn draw(
        route: &'a [Hop],
        delays: &'a [Delay],
        destination: &IdentityKey,
        stream: &mut Stream,
    ) -> Self {
        let initial_secret = stream.bytes();
        let mut final_padding = [0; PADDING_MAX];
        stream.fill(final_padding.split_at_mut(Self::padding_len(route.len())).0);
        Self {
            version: VERSION,
            route,
            delays,
            destination: *destination.as_bytes(),
            identifier: [0; 16],
            initial_secret,
            final_padding,
        }
    }

    /// As [`PacketBuilder::build_packet`], with these inputs.
    pub fn build_packet(&self, plaintext_len: usize, packet: &mut [u8]) -> Result<(), BuildError> {
        self.build_packet_with(&mut Multiples::new(0), plaintext_len, packet)
    }

    fn build_packet_with(
        &self,
        multiples: &mut Multiples,
        plaintext_len: usize,
        packet: &mut [u8],
    ) -> Result<(), BuildError> {
        let layers = Layers::derive(self, multiples)?;
        let (header, payload) = split(plaintext_len, packet)?;
        layers.write_header(self, header);
        for secret in layers.secrets().rev() {
            let full = full_payload_key(secret);
            if has_full_payload_keys(self.version) {
                encrypt_layer(full, payload);
            } else {
                encrypt_layer(&payload_key_of(part::<0, 16, _>(full)), payload);
            }
        }
        Ok(())
    }

    /// As [`PacketBuilder::make_surb`], with these inputs. Versions with full payload keys give a
    /// SURB with full keys.
    pub fn make_surb(&self) -> Result<Surb, BuildError> {
        self.make_surb_with(&mut Multiples::new(0))
    }

    fn make_surb_with(&self, multiples: &mut Multiples) -> Result<Surb, BuildError> {
        self.surb_of(&Layers::derive(self, multiples)?)
    }

    fn surb_of(&self, layers: &Layers) -> Result<Surb, BuildError> {
        let mut header = [0; HEADER_SIZE];
        layers.write_header(self, &mut header);
        let mut full = Zeroizing::new([[0; PAYLOAD_KEY_SIZE]; HOPS_MAX]);
        let mut seeds = Zeroizing::new([[0; 16]; HOPS_MAX]);
        for ((full, seed), secret) in full.iter_mut().zip(seeds.iter_mut()).zip(layers.secrets()) {
            *full = *full_payload_key(secret);
            *seed = *part::<0, 16, _>(full);
        }
        let hops = self.route.len();
        let keys = if has_full_payload_keys(self.version) {
            SurbKeys::Full(full.split_at(hops).0)
        } else {
            SurbKeys::Seeds(seeds.split_at(hops).0)
        };
        let no_hop = BuildError::RouteLength(hops);
        let first = self.route.first().ok_or(no_hop)?;
        Surb::new(header, first.address, keys).map_err(|_| no_hop)
    }
}

/// Splits the packet buffer and pads the plaintext in it.
fn split(
    plaintext_len: usize,
    packet: &mut [u8],
) -> Result<(&mut [u8; HEADER_SIZE], &mut [u8]), BuildError> {
    let misfit = BuildError::PlaintextLength { plaintext: plaintext_len, packet: packet.len() };
    if packet.len() < PACKET_MIN {
        return Err(misfit);
    }
    let (header, payload) = packet.split_first_chunk_mut().ok_or(misfit)?;
    if pad(payload, plaintext_len) { Ok((header, payload)) } else { Err(misfit) }
}

/// Encrypts a payload that [`split`] found long enough.
fn encrypt_layer(key: &[u8; PAYLOAD_KEY_SIZE], payload: &mut [u8]) {
    let encrypted = lioness_encrypt(key, payload);
    debug_assert!(encrypted.is_ok(), "the payload's length is checked before");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::IdentityKeyPair;

    fn hops(count: usize) -> Vec<Hop> {
        let hop = |i: usize| Hop {
            address: NodeAddress::new(([10, 0, 0, i as u8], 1789).into()),
            key: PrivateKey::from_bytes([i as u8 + 1; 32]).public(),
        };
        (0..count).map(hop).collect()
    }

    fn delays(count: usize) -> Vec<Delay> {
        (0..count as u64).map(Delay::from_nanos).collect()
    }

    fn destination() -> IdentityKey {
        *IdentityKeyPair::from_seed(&[8; 32]).public()
    }

    fn stream(seed: u8) -> Stream {
        Entropy::new([seed; 32]).stream(Purpose::Packets)
    }

    fn build(route: &[Hop], delays: &[Delay], len: usize, size: usize) -> Result<(), BuildError> {
        SphinxBuilder::new().build_packet(
            route,
            delays,
            &destination(),
            len,
            &mut vec![0; size],
            &mut stream(1),
        )
    }

    #[test]
    fn several_surbs_at_once_are_those_made_one_after_the_other() {
        // routes of all lengths, and a key on the twist
        let mut routes: Vec<_> = [4, 1, 5, 3, 4].map(hops).into();
        routes[4][2].key = PublicKey::from_bytes([2; 32]);
        let delays: Vec<_> = routes.iter().map(|route| delays(route.len())).collect();
        // each to somebody else
        let destinations = [1, 2, 3, 4, 5].map(|n| *IdentityKeyPair::from_seed(&[n; 32]).public());
        let ways: Vec<_> = routes
            .iter()
            .zip(&delays)
            .zip(&destinations)
            .map(|((route, delays), destination)| SurbWay { route, delays, destination })
            .collect();
        let (mut together, mut alone) = (stream(3), stream(3));
        let surbs = SphinxBuilder::new().make_surbs(&ways, &mut together).unwrap();
        assert_eq!(surbs.len(), 5);
        for (surb, way) in surbs.iter().zip(&ways) {
            let SurbWay { route, delays, destination } = way;
            let other =
                SphinxBuilder::new().make_surb(route, delays, destination, &mut alone).unwrap();
            let bytes = [surb, &other].map(|surb| {
                let mut out = Vec::new();
                surb.encode(&mut out);
                out
            });
            assert_eq!(bytes[0], bytes[1]);
        }
        assert_eq!(together.bytes::<8>(), alone.bytes::<8>());
    }

    #[test]
    fn one_key_of_low_order_or_one_wrong_route_among_several_is_refused() {
        let (good, delays) = (hops(4), delays(4));
        let mut bad = hops(4);
        bad[2].key = PublicKey::from_bytes([0; 32]);
        let make = |route: &[Hop], count: usize| {
            let destination = &destination();
            let ways = [
                SurbWay { route: &good, delays: &delays, destination },
                SurbWay { route, delays: &delays[..count], destination },
            ];
            SphinxBuilder::new().make_surbs(&ways, &mut stream(1)).err()
        };
        assert_eq!(make(&bad, 4), Some(BuildError::DegenerateKey(2)));
        assert_eq!(make(&good, 3), Some(BuildError::DelayCount { hops: 4, delays: 3 }));
        assert_eq!(make(&good, 4), None);
    }

    #[test]
    fn routes_of_no_hop_or_too_many_are_refused() {
        for count in [0, 6, 100] {
            assert_eq!(
                build(&hops(count), &delays(count), 0, 2413),
                Err(BuildError::RouteLength(count))
            );
        }
    }

    #[test]
    fn a_delay_too_many_or_too_few_is_refused() {
        for count in [0, 2, 4] {
            let error = BuildError::DelayCount { hops: 3, delays: count };
            assert_eq!(build(&hops(3), &delays(count), 0, 2413), Err(error));
        }
    }

    #[test]
    fn the_plaintext_may_fill_the_packet_but_not_more() {
        for size in PacketSize::ALL {
            let (len, packet) = (size.plaintext_len(), size.packet_len());
            assert_eq!(build(&hops(2), &delays(2), len, packet), Ok(()));
            for plaintext in [len + 1, packet, usize::MAX] {
                let error = BuildError::PlaintextLength { plaintext, packet };
                assert_eq!(build(&hops(2), &delays(2), plaintext, packet), Err(error));
            }
        }
        assert_eq!(build(&hops(2), &delays(2), 0, 381), Ok(()));
        for packet in [0, 347, 348, 365, 380] {
            let error = BuildError::PlaintextLength { plaintext: 0, packet };
            assert_eq!(build(&hops(2), &delays(2), 0, packet), Err(error));
        }
    }

    #[test]
    fn keys_of_low_order_are_refused_wherever_they_stand() {
        for bad in 0..4 {
            let mut route = hops(4);
            let mut key = [0; 32];
            key[0] = (bad % 2) as u8;
            route[bad].key = PublicKey::from_bytes(key);
            assert_eq!(build(&route, &delays(4), 0, 2413), Err(BuildError::DegenerateKey(bad)));
        }
    }

    #[test]
    fn a_refused_packet_draws_nothing() {
        let mut drawn = stream(1);
        let refused =
            SphinxBuilder::new().make_surb(&hops(4), &delays(3), &destination(), &mut drawn);
        assert!(refused.is_err());
        assert_eq!(drawn.bytes::<8>(), stream(1).bytes::<8>());
    }

    #[test]
    fn the_stream_gives_the_initial_secret_and_then_the_padding() {
        for count in 1..=HOPS_MAX {
            let mut drawn = stream(2);
            let mut inputs = HeaderInputs {
                version: VERSION,
                route: &hops(count),
                delays: &delays(count),
                destination: *destination().as_bytes(),
                identifier: [0; 16],
                initial_secret: drawn.bytes(),
                final_padding: [0; 248],
            };
            let len = HeaderInputs::padding_len(count);
            assert_eq!(len, [248, 188, 128, 68, 8][count - 1]);
            drawn.fill(&mut inputs.final_padding[..len]);
            let mut expected = vec![7; 2413];
            inputs.build_packet(100, &mut expected).unwrap();

            let mut packet = vec![7; 2413];
            let mut again = stream(2);
            SphinxBuilder::new()
                .build_packet(
                    &hops(count),
                    &delays(count),
                    &destination(),
                    100,
                    &mut packet,
                    &mut again,
                )
                .unwrap();
            assert_eq!(packet, expected);
            assert_eq!(again.bytes::<8>(), drawn.bytes::<8>());
        }
    }

    #[test]
    fn what_stands_behind_the_plaintext_does_not_matter() {
        let build = |fill: u8| {
            let mut packet = vec![fill; 2413];
            packet[PLAINTEXT_OFFSET..][..10].fill(1);
            SphinxBuilder::new()
                .build_packet(&hops(3), &delays(3), &destination(), 10, &mut packet, &mut stream(3))
                .unwrap();
            packet
        };
        assert_eq!(build(0), build(0xff));
    }

    #[test]
    fn debug_output_of_the_inputs_shows_no_secret() {
        let inputs = HeaderInputs::draw(&[], &[], &destination(), &mut stream(1));
        assert_eq!(format!("{inputs:?}"), "HeaderInputs(<redacted>)");
    }
}
