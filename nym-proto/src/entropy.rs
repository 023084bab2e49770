//! One seed, many independent streams of randomness.
//!
//! The caller supplies 32 bytes once. Every purpose draws from a ChaCha20 stream of its own, so
//! that how much one concern draws never changes what another one gets. In particular the stream
//! behind the emission schedule is untouched by what the application does.

use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use zeroize::Zeroizing;

use crate::time::nanos;

/// What a stream of randomness is used for. Each purpose has its own ChaCha20 stream number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Purpose {
    /// Instants of the emission schedule and the first hop of each slot.
    Schedule,
    /// Nodes of routes after the first hop.
    Routes,
    /// Delays at hops.
    Delays,
    /// Initial secrets, ephemeral keys, SURB encryption keys, header padding, ack IVs.
    Packets,
    /// Set ids.
    Identifiers,
    /// Handshake secrets, salts and the nonces of frames to the gateway.
    Gateway,
    /// Choice of the gateway.
    Link,
    /// Jitter of the pauses between connections.
    Backoff,
    /// Jitter of directory refreshes.
    Directory,
    /// Sender tags.
    Tags,
    /// Jitter of waits for acks, and of the pace of what is repeated after an outage.
    Acks,
    /// Identity, encryption and ack keys of a new client.
    Identity,
    /// Instants at which the rate of emission changes.
    Tiers,
    /// A stream for users of this crate (embedded networks, simulators).
    Other(u32),
}

impl Purpose {
    const fn stream(self) -> u64 {
        match self {
            Self::Schedule => 1,
            Self::Routes => 2,
            Self::Delays => 3,
            Self::Packets => 4,
            Self::Identifiers => 5,
            Self::Gateway => 6,
            Self::Link => 7,
            Self::Identity => 8,
            Self::Backoff => 9,
            Self::Directory => 10,
            Self::Tags => 11,
            Self::Acks => 12,
            Self::Tiers => 13,
            Self::Other(n) => (1 << 32) | n as u64,
        }
    }
}

/// The seed of a run, from which all its randomness derives.
pub struct Entropy(Zeroizing<[u8; 32]>);

impl Entropy {
    /// Takes the seed. It must come from a cryptographic source outside tests.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The stream for `purpose`, from its beginning. Ask once per run: two streams of one
    /// purpose repeat each other.
    #[must_use]
    pub fn stream(&self, purpose: Purpose) -> Stream {
        let mut rng = ChaCha20Rng::from_seed(*self.0);
        rng.set_stream(purpose.stream());
        Stream(rng)
    }
}

impl core::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Entropy(<redacted>)")
    }
}

/// A deterministic stream of cryptographic randomness.
pub struct Stream(ChaCha20Rng);

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Stream(<redacted>)")
    }
}

impl Stream {
    /// `N` fresh bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    /// Fills `out` with fresh bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// A uniform 64-bit number.
    #[must_use]
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number in `0..bound`; 0 if `bound` is 0. Unbiased (rejection).
    #[must_use]
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let x = self.0.next_u64();
            if x < limit {
                return x % bound;
            }
        }
    }

    /// A uniform index into a collection of `len` elements; 0 if it is empty.
    #[must_use]
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A uniform number in the half-open interval (0, 1], on a grid of 2⁻⁵³.
    #[must_use]
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`.
    #[must_use]
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() <= p
    }

    /// An exponentially distributed duration with the given mean, in whole nanoseconds; zero if
    /// the mean is zero. The logarithm is the `libm` crate's, so every target draws the same.
    #[must_use]
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let u = self.unit();
        if mean.is_zero() {
            return Duration::ZERO;
        }
        // `as` saturates, and -ln(2⁻⁵³) < 37 bounds the product
        Duration::from_nanos(libm::round(-libm::log(u) * nanos(mean) as f64) as u64)
    }

    /// A uniform duration in `0..=max`, in whole nanoseconds.
    #[must_use]
    pub fn up_to(&mut self, max: Duration) -> Duration {
        Duration::from_nanos(self.below(nanos(max).saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_purposes_differ_and_repeat_for_the_same_seed() {
        let entropy = Entropy::new([7; 32]);
        let a: [u8; 32] = entropy.stream(Purpose::Routes).bytes();
        let b: [u8; 32] = entropy.stream(Purpose::Delays).bytes();
        assert_ne!(a, b);
        assert_eq!(a, entropy.stream(Purpose::Routes).bytes());
    }

    #[test]
    fn exponential_samples_have_the_asked_mean() {
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Delays);
        let mean = Duration::from_millis(20);
        let n = 100_000u32;
        let sum: Duration = (0..n).map(|_| stream.exponential(mean)).sum();
        let ratio = sum.as_secs_f64() / f64::from(n) / mean.as_secs_f64();
        assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
    }

    #[test]
    fn samples_of_a_zero_mean_are_zero() {
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Delays);
        assert_eq!(stream.exponential(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn bounded_numbers_stay_below_their_bound() {
        let mut stream = Entropy::new([2; 32]).stream(Purpose::Other(1));
        for bound in [0, 1, 2, 3, 10, 255, u64::MAX] {
            for _ in 0..100 {
                assert!(stream.below(bound) < bound.max(1));
            }
        }
    }
}
