//! The builder of Sphinx packets and SURBs. (protocol: sphinx 5)

use core::fmt;

use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use zeroize::{Zeroize, Zeroizing};

use super::crypto::{
    BETA_SIZE, PAYLOAD_KEY_SIZE, SECRET_SIZE, SLOT_SIZE, STREAM_SIZE, apply_stream,
    blinding_factor, expand, full_payload_key, has_full_payload_keys, header_mac, lioness_encrypt,
    mac_key, pad, part, payload_key_of, stream_key, xor,
};
use super::peel::{FLAG_FINAL, FLAG_FORWARD, PACKET_MIN};
use super::*;

/// Slot of the last hop, in front of its random padding: flag, version, destination, identifier.
const FINAL_SIZE: usize = 1 + 3 + 32 + 16;
/// Most random padding a header holds: that of a route of one hop. (protocol: sphinx 5)
const PADDING_MAX: usize = BETA_SIZE - FINAL_SIZE;

/// Builds packets of version 259.
///
/// A header takes from the stream 32 bytes for the initial secret and then the padding of its
/// final block: 248, 188, 128, 68 or 8 bytes for 1 to 5 hops.
#[derive(Debug, Default)]
pub struct SphinxBuilder(());

impl SphinxBuilder {
    /// A builder.
    #[must_use]
    pub fn new() -> Self {
        Self(())
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
        HeaderInputs::draw(route, delays, destination, stream).build_packet(plaintext_len, packet)
    }

    fn make_surb(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        stream: &mut Stream,
    ) -> Result<Surb, BuildError> {
        check_route(route, delays)?;
        HeaderInputs::draw(route, delays, destination, stream).make_surb()
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

/// Everything a header is made of, with nothing left to chance.
///
/// [`SphinxBuilder`] draws the two random parts. Giving them here reproduces a packet byte for
/// byte; giving them twice makes two packets that nodes take for replays of each other.
#[derive(Clone)]
pub struct HeaderInputs<'a> {
    /// Version number in every block. 1, 257 and 258 use full payload keys, others seeds; only
    /// 258 and 259 are in use on the network.
    pub version: u16,
    /// The hops, 1 to [`HOPS_MAX`].
    pub route: &'a [Hop],
    /// One delay per hop; the last one is not encoded.
    pub delays: &'a [Delay],
    /// What the last hop gets as the destination: the recipient's identity key.
    pub destination: [u8; 32],
    /// What the last hop gets as the identifier; 16 zero bytes on the network.
    pub identifier: [u8; 16],
    /// The initial secret, as drawn (it is clamped at use).
    pub initial_secret: [u8; 32],
    /// Padding of the final block. A longer route uses less from the front:
    /// see [`padding_len`](Self::padding_len).
    pub final_padding: [u8; 248],
}

impl<'a> HeaderInputs<'a> {
    /// Bytes of padding in the final block of a route of `hops` hops (1 to [`HOPS_MAX`]).
    #[must_use]
    pub const fn padding_len(hops: usize) -> usize {
        PADDING_MAX.saturating_sub(SLOT_SIZE * hops.saturating_sub(1))
    }

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
        let layers = Layers::derive(self)?;
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
        let layers = Layers::derive(self)?;
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

impl Drop for HeaderInputs<'_> {
    fn drop(&mut self) {
        self.initial_secret.zeroize();
    }
}

impl fmt::Debug for HeaderInputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeaderInputs(<redacted>)")
    }
}

/// The secrets shared with the hops of a route.
struct Layers {
    alpha: [u8; 32],
    hops: usize,
    secrets: Zeroizing<[[u8; SECRET_SIZE]; HOPS_MAX]>,
}

impl Layers {
    /// Runs the key schedule. (protocol: sphinx 3)
    ///
    /// The schedule is a chain of X25519 functions, one more for every hop. All its factors are
    /// multiples of 8 and so leave the prime-order subgroup only at the first step, where the
    /// product of the factors gives the same as the chain; one multiplication per hop suffices.
    fn derive(inputs: &HeaderInputs<'_>) -> Result<Self, BuildError> {
        check_route(inputs.route, inputs.delays)?;
        let mut secrets = Zeroizing::new([[0; SECRET_SIZE]; HOPS_MAX]);
        let mut eighth = Zeroizing::new(eighth_of_clamped(&inputs.initial_secret));
        for ((i, hop), secret) in inputs.route.iter().enumerate().zip(secrets.iter_mut()) {
            let shared = Zeroizing::new(multiply_by_eightfold(&eighth, hop.key.as_bytes()));
            if *shared == [0; 32] {
                return Err(BuildError::DegenerateKey(i));
            }
            *secret = *expand(&shared);
            let factor = clamp_integer(*blinding_factor(secret));
            *eighth *= Scalar::from_bytes_mod_order(factor);
        }
        Ok(Self {
            alpha: MontgomeryPoint::mul_base_clamped(inputs.initial_secret).0,
            hops: inputs.route.len(),
            secrets,
        })
    }

    fn secrets(&self) -> impl DoubleEndedIterator<Item = &[u8; SECRET_SIZE]> + ExactSizeIterator {
        self.secrets.iter().take(self.hops)
    }

    /// Wraps the routing information, from the last hop to the first.
    fn write_header(&self, inputs: &HeaderInputs<'_>, header: &mut [u8; HEADER_SIZE]) {
        let mut streams = Zeroizing::new([[0; STREAM_SIZE]; HOPS_MAX]);
        for (stream, secret) in streams.iter_mut().zip(self.secrets()) {
            apply_stream(stream_key(secret), stream);
        }
        let version = inputs.version.to_be_bytes();
        let mut beta = [0; BETA_SIZE];
        let mut mac = [0; 16];
        let layers = streams.iter().zip(self.secrets()).enumerate();
        for (i, (stream, secret)) in layers.rev() {
            if let (Some(next), Some(delay)) = (inputs.route.get(i + 1), inputs.delays.get(i)) {
                beta.copy_within(..BETA_SIZE - SLOT_SIZE, SLOT_SIZE);
                beta[0] = FLAG_FORWARD;
                beta[1] = 0;
                beta[2..4].copy_from_slice(&version);
                beta[4..36].copy_from_slice(&next.address.to_padded::<32>());
                beta[36..44].copy_from_slice(&delay.as_nanos().to_be_bytes());
                beta[44..60].copy_from_slice(&mac);
                xor(&mut beta, stream);
            } else {
                beta[0] = FLAG_FINAL;
                beta[2..4].copy_from_slice(&version);
                beta[4..36].copy_from_slice(&inputs.destination);
                beta[36..52].copy_from_slice(&inputs.identifier);
                beta[52..].copy_from_slice(&inputs.final_padding);
                let (block, tail) = beta.split_at_mut(BETA_SIZE - SLOT_SIZE * i);
                xor(block, stream);
                write_filler(&streams, tail);
            }
            mac = header_mac(mac_key(secret), &beta);
        }
        header[..32].copy_from_slice(&self.alpha);
        header[32..48].copy_from_slice(&mac);
        header[48..].copy_from_slice(&beta);
    }
}

/// What the earlier hops' decryption of appended zeros leaves behind the final block; one slot
/// per earlier hop.
fn write_filler(streams: &[[u8; STREAM_SIZE]; HOPS_MAX], filler: &mut [u8]) {
    filler.fill(0);
    let slots = 1..=filler.len() / SLOT_SIZE;
    for (stream, slots) in streams.iter().zip(slots) {
        xor(
            filler.split_at_mut(SLOT_SIZE * slots).0,
            stream.split_at(STREAM_SIZE - SLOT_SIZE * slots).1,
        );
    }
}

fn check_route(route: &[Hop], delays: &[Delay]) -> Result<(), BuildError> {
    let (hops, delays) = (route.len(), delays.len());
    if !(1..=HOPS_MAX).contains(&hops) {
        return Err(BuildError::RouteLength(hops));
    }
    if delays != hops {
        return Err(BuildError::DelayCount { hops, delays });
    }
    Ok(())
}

/// Splits the packet buffer and pads the plaintext in it.
fn split(
    plaintext_len: usize,
    packet: &mut [u8],
) -> Result<(&mut [u8; HEADER_SIZE], &mut [u8]), BuildError> {
    let misfit = BuildError::PlaintextLength {
        plaintext: plaintext_len,
        packet: packet.len(),
    };
    if packet.len() < PACKET_MIN {
        return Err(misfit);
    }
    let (header, payload) = packet.split_first_chunk_mut().ok_or(misfit)?;
    if pad(payload, plaintext_len) {
        Ok((header, payload))
    } else {
        Err(misfit)
    }
}

/// Encrypts a payload that [`split`] found long enough.
fn encrypt_layer(key: &[u8; PAYLOAD_KEY_SIZE], payload: &mut [u8]) {
    let encrypted = lioness_encrypt(key, payload);
    debug_assert!(encrypted.is_ok(), "the payload's length is checked before");
}

/// An eighth of the clamped secret, a whole number below the order of the group's prime part.
fn eighth_of_clamped(secret: &[u8; 32]) -> Scalar {
    let mut bytes = Zeroizing::new(clamp_integer(*secret));
    let mut carry = 0;
    for byte in bytes.iter_mut().rev() {
        (*byte, carry) = (*byte >> 3 | carry, *byte << 5);
    }
    Scalar::from_bytes_mod_order(*bytes)
}

/// `8 * eighth * point`, in constant time. All zero for a point of low order.
fn multiply_by_eightfold(eighth: &Scalar, point: &[u8; 32]) -> [u8; 32] {
    // a reduced scalar has 253 bits; three zero bits more multiply it by 8
    let bytes = eighth.as_bytes().iter().rev();
    let bits = bytes.flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    let bits = bits.skip(3).chain([false; 3]);
    MontgomeryPoint(*point).mul_bits_be(bits).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::{IdentityKeyPair, PrivateKey};

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
            let error = BuildError::DelayCount {
                hops: 3,
                delays: count,
            };
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
            let error = BuildError::PlaintextLength {
                plaintext: 0,
                packet,
            };
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
            assert_eq!(
                build(&route, &delays(4), 0, 2413),
                Err(BuildError::DegenerateKey(bad))
            );
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
                .build_packet(
                    &hops(3),
                    &delays(3),
                    &destination(),
                    10,
                    &mut packet,
                    &mut stream(3),
                )
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Holds for every point of the curve, also outside the prime-order subgroup.
        #[test]
        fn the_product_of_the_factors_gives_the_same_as_the_chain(
            x: [u8; 32], factors in prop::collection::vec(any::<[u8; 32]>(), 0..4),
            private: [u8; 32], torsion in 0usize..8,
        ) {
            let base = curve25519_dalek::EdwardsPoint::mul_base_clamped(private);
            let key = (base + curve25519_dalek::constants::EIGHT_TORSION[torsion]).to_montgomery();
            let mut chain = key.mul_clamped(x);
            let mut eighth = eighth_of_clamped(&x);
            for factor in factors {
                chain = chain.mul_clamped(factor);
                eighth *= Scalar::from_bytes_mod_order(clamp_integer(factor));
            }
            prop_assert_eq!(multiply_by_eightfold(&eighth, &key.0), chain.0);
        }
    }
}
