//! Sphinx headers: the key schedule and the wrapping of the routing information.
//! (protocol: sphinx 3, 4, 5)

use core::fmt;

use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::{EdwardsPoint, MontgomeryPoint};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, Zeroizing};

use super::crypto::{
    BETA_SIZE, SECRET_SIZE, SLOT_SIZE, STREAM_SIZE, apply_stream, blinding_factor, expand,
    header_mac, mac_key, stream_key, xor,
};
use super::multiples::Multiples;
use super::peel::{FLAG_FINAL, FLAG_FORWARD};
use super::{BuildError, Delay, HEADER_SIZE, HOPS_MAX, Hop};
use crate::identity::PublicKey;
use crate::x25519::{eighth_of_clamped, public, publics, u_of};

/// Slot of the last hop, in front of its random padding: flag, version, destination, identifier.
const FINAL_SIZE: usize = 1 + 3 + 32 + 16;
/// Most random padding a header holds: that of a route of one hop. (protocol: sphinx 5)
pub(super) const PADDING_MAX: usize = BETA_SIZE - FINAL_SIZE;

/// Everything a header is made of, with nothing left to chance.
///
/// [`SphinxBuilder`](super::SphinxBuilder) draws the two random parts. Giving them here reproduces a packet byte for
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

impl HeaderInputs<'_> {
    /// Bytes of padding in the final block of a route of `hops` hops (1 to [`HOPS_MAX`]).
    #[must_use]
    pub const fn padding_len(hops: usize) -> usize {
        PADDING_MAX.saturating_sub(SLOT_SIZE * hops.saturating_sub(1))
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
pub(super) struct Layers {
    alpha: [u8; 32],
    hops: usize,
    secrets: Zeroizing<[[u8; SECRET_SIZE]; HOPS_MAX]>,
}

impl Layers {
    /// Runs the key schedule. (protocol: sphinx 3)
    pub(super) fn derive(
        inputs: &HeaderInputs<'_>,
        multiples: &mut Multiples,
    ) -> Result<Self, BuildError> {
        check_route(inputs.route, inputs.delays)?;
        let alpha = public(&inputs.initial_secret);
        let mut schedule = Schedule::new(inputs);
        for (i, hop) in inputs.route.iter().enumerate() {
            let shared = match multiples.multiply(&schedule.eighth, &hop.key) {
                Some(product) => u_of(&product),
                None => schedule.chain(i, &hop.key),
            };
            schedule.agreed(i, &shared)?;
        }
        Ok(Self { alpha, hops: inputs.route.len(), secrets: schedule.secrets })
    }

    /// Runs the schedules of several headers side by side. A step of all of them shares the division
    /// that ends a multiplication, a fifth of its cost.
    pub(super) fn derive_all(
        all: &[HeaderInputs<'_>],
        multiples: &mut Multiples,
    ) -> Result<Vec<Self>, BuildError> {
        for inputs in all {
            check_route(inputs.route, inputs.delays)?;
        }
        let alphas = publics(all.iter().map(|inputs| &inputs.initial_secret));
        let mut schedules: Vec<Schedule<'_>> = all.iter().map(Schedule::new).collect();
        let hops = all.iter().map(|inputs| inputs.route.len()).max().unwrap_or_default();
        for i in 0..hops {
            let products = schedules.iter().map(|schedule| {
                let hop = schedule.route.get(i)?;
                multiples.multiply(&schedule.eighth, &hop.key).map(|product| *product)
            });
            let products = Zeroizing::new(products.collect::<Vec<Option<EdwardsPoint>>>());
            let points = products.iter().map(|point| point.unwrap_or_default());
            let points = Zeroizing::new(points.collect::<Vec<_>>());
            let shared = Zeroizing::new(EdwardsPoint::to_montgomery_batch(&points));
            for ((schedule, product), shared) in
                schedules.iter_mut().zip(products.iter()).zip(shared.iter())
            {
                match (schedule.route.get(i), product) {
                    (Some(_), Some(_)) => schedule.agreed(i, &shared.0)?,
                    (Some(hop), None) => schedule.agreed(i, &schedule.chain(i, &hop.key))?,
                    (None, _) => {}
                }
            }
        }
        let layers = alphas.into_iter().zip(schedules).map(|(alpha, schedule)| Self {
            alpha,
            hops: schedule.route.len(),
            secrets: schedule.secrets,
        });
        Ok(layers.collect())
    }

    pub(super) fn secrets(
        &self,
    ) -> impl DoubleEndedIterator<Item = &[u8; SECRET_SIZE]> + ExactSizeIterator {
        self.secrets.iter().take(self.hops)
    }

    /// Wraps the routing information, from the last hop to the first.
    pub(super) fn write_header(&self, inputs: &HeaderInputs<'_>, header: &mut [u8; HEADER_SIZE]) {
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

pub(super) fn check_route(route: &[Hop], delays: &[Delay]) -> Result<(), BuildError> {
    let (hops, delays) = (route.len(), delays.len());
    if !(1..=HOPS_MAX).contains(&hops) {
        return Err(BuildError::RouteLength(hops));
    }
    if delays != hops {
        return Err(BuildError::DelayCount { hops, delays });
    }
    Ok(())
}

/// A key schedule under way.
///
/// It is a chain of X25519 functions, one more for every hop. All its factors are multiples of 8 and
/// so leave the prime-order subgroup only at the first step, where the product of the factors gives
/// the same as the chain; one multiplication per hop suffices.
struct Schedule<'r> {
    route: &'r [Hop],
    secrets: Zeroizing<[[u8; SECRET_SIZE]; HOPS_MAX]>,
    /// The initial secret and the blinding factors of the hops so far.
    factors: Zeroizing<[[u8; 32]; HOPS_MAX]>,
    /// An eighth of their product.
    eighth: Zeroizing<Scalar>,
}

impl<'r> Schedule<'r> {
    fn new(inputs: &HeaderInputs<'r>) -> Self {
        Self {
            route: inputs.route,
            secrets: Zeroizing::new([[0; SECRET_SIZE]; HOPS_MAX]),
            factors: Zeroizing::new([inputs.initial_secret; HOPS_MAX]),
            eighth: eighth_of_clamped(&inputs.initial_secret),
        }
    }

    /// This is what is agreed on with hop `i`.
    fn agreed(&mut self, i: usize, shared: &[u8; 32]) -> Result<(), BuildError> {
        let is_zero: bool = shared.ct_eq(&[0; 32]).into();
        let Some(secret) = self.secrets.get_mut(i).filter(|_| !is_zero) else {
            return Err(BuildError::DegenerateKey(i));
        };
        *secret = *expand(shared);
        let factor = blinding_factor(secret);
        *self.eighth *= Scalar::from_bytes_mod_order(clamp_integer(*factor));
        if let Some(next) = self.factors.get_mut(i + 1) {
            *next = *factor;
        }
        Ok(())
    }

    /// The X25519 functions one after the other, for a key on the twist of the curve.
    fn chain(&self, i: usize, key: &PublicKey) -> Zeroizing<[u8; 32]> {
        let mut point = Zeroizing::new(MontgomeryPoint(*key.as_bytes()));
        for factor in self.factors.iter().take(i + 1) {
            *point = point.mul_clamped(*factor);
        }
        Zeroizing::new(point.0)
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose, Stream};
    use crate::sphinx::multiples::TABLE_AFTER;

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
                *eighth *= Scalar::from_bytes_mod_order(clamp_integer(factor));
            }
            let mut multiples = Multiples::new(1);
            // as a point, and when it has a table
            for _ in 0..2 * TABLE_AFTER {
                let product = multiples.multiply(&eighth, &PublicKey::from_bytes(key.0)).unwrap();
                prop_assert_eq!(*u_of(&product), chain.0);
            }
        }
    }

    /// Keys of every kind a route can name, honest or not.
    fn key(kind: usize, stream: &mut Stream) -> PublicKey {
        let point = curve25519_dalek::EdwardsPoint::mul_base_clamped(stream.bytes());
        let torsion = curve25519_dalek::constants::EIGHT_TORSION[stream.index(8)];
        let mut key = match kind {
            // on the curve
            0..6 => point.to_montgomery().0,
            // outside the prime-order subgroup
            6 | 7 => (point + torsion).to_montgomery().0,
            // on the twist, every other time
            8 => stream.bytes(),
            // not reduced modulo the prime
            9 => {
                let mut key = [0xff; 32];
                key[0] = 0xed + stream.index(19) as u8;
                key
            }
            // of low order
            _ => torsion.to_montgomery().0,
        };
        // the top bit does not count
        key[31] ^= (stream.below(2) as u8) << 7;
        PublicKey::from_bytes(key)
    }

    /// The schedule as it is described, one X25519 function after the other.
    fn described(inputs: &HeaderInputs<'_>) -> Result<Vec<[u8; SECRET_SIZE]>, BuildError> {
        let x25519 = |secret: [u8; 32], key: [u8; 32]| {
            x25519_dalek::StaticSecret::from(secret).diffie_hellman(&key.into()).to_bytes()
        };
        let mut factors = vec![inputs.initial_secret];
        let mut secrets = Vec::new();
        for (i, hop) in inputs.route.iter().enumerate() {
            let shared = factors.iter().fold(*hop.key.as_bytes(), |key, f| x25519(*f, key));
            if shared == [0; 32] {
                return Err(BuildError::DegenerateKey(i));
            }
            let secret = *expand(&shared);
            factors.push(*blinding_factor(&secret));
            secrets.push(secret);
        }
        Ok(secrets)
    }

    #[test]
    fn ten_thousand_schedules_with_keys_of_every_kind_are_as_described() {
        let mut stream = Entropy::new([5; 32]).stream(Purpose::Other(1));
        let keys: Vec<PublicKey> = (0..60).map(|n| key(n % 11, &mut stream)).collect();
        let mut multiples = Multiples::new(20);
        let (mut good, mut refused) = (0, 0);
        for _ in 0..2_500 {
            let routes: Vec<Vec<Hop>> = (0..4)
                .map(|_| {
                    let hops = 1 + stream.index(HOPS_MAX);
                    let hop = |stream: &mut Stream| {
                        // some keys come again and again, others once
                        let key = match stream.below(8) {
                            0 => key(stream.index(10), stream),
                            _ => keys[stream.index(60)],
                        };
                        Hop { address: SocketAddr::from(([10, 0, 0, 1], 1789)).into(), key }
                    };
                    (0..hops).map(|_| hop(&mut stream)).collect()
                })
                .collect();
            let delays = [Delay::default(); HOPS_MAX];
            let all: Vec<HeaderInputs<'_>> = routes
                .iter()
                .map(|route| HeaderInputs {
                    version: 259,
                    route,
                    delays: &delays[..route.len()],
                    destination: [0; 32],
                    identifier: [0; 16],
                    initial_secret: stream.bytes(),
                    final_padding: [0; 248],
                })
                .collect();
            let expected: Vec<_> = all.iter().map(described).collect();
            for (inputs, expected) in all.iter().zip(&expected) {
                let layers = Layers::derive(inputs, &mut multiples);
                let secrets = layers.map(|l| l.secrets().copied().collect::<Vec<_>>());
                assert_eq!(&secrets, expected);
                *if expected.is_ok() { &mut good } else { &mut refused } += 1;
            }
            let together = Layers::derive_all(&all, &mut multiples);
            match expected.into_iter().collect::<Result<Vec<_>, _>>() {
                Ok(expected) => {
                    for (layers, expected) in together.unwrap().iter().zip(expected) {
                        assert_eq!(layers.secrets().copied().collect::<Vec<_>>(), expected);
                    }
                }
                Err(_) => assert!(matches!(together, Err(BuildError::DegenerateKey(_)))),
            }
        }
        assert!(good > 5_000 && refused > 1_000, "{good} {refused}");
    }
}
