//! A fast checksum.

const LANES: usize = 4;
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

/// Notices damage, not malice. The same on every machine.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; 8] {
    let (blocks, rest) = bytes.as_chunks::<{ 8 * LANES }>();
    // lanes do not wait for each other
    let mut lanes = [1, 2, 3, bytes.len() as u64];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    }
    let mut sum = lanes.into_iter().fold(0x9e37_79b9_7f4a_7c15, mix);
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        sum = mix(sum, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
    mix(sum, u64::from_le_bytes(last)).to_le_bytes()
}

/// Reversible in either argument, so a difference of one word never gets lost.
const fn mix(sum: u64, word: u64) -> u64 {
    (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_flipped_bit_and_a_missing_byte_are_noticed(
            bytes in prop::collection::vec(any::<u8>(), 1..200), at: usize,
        ) {
            let bit = at % (8 * bytes.len());
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(checksum(&other), checksum(&bytes));
            prop_assert_ne!(checksum(&bytes[1..]), checksum(&bytes));
            prop_assert_ne!(checksum(&bytes[..bytes.len() - 1]), checksum(&bytes));
        }
    }
}
