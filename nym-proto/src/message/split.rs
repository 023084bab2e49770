//! What the gateway at the last hop of a packet does with its plaintext. (protocol: sphinx 13.2)

use thiserror::Error;

use super::ack::SURB_ACK_LEN;
use crate::address::{NodeAddress, NodeAddressError};

/// Why the plaintext of a packet at its last hop carries no ack.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The plaintext is shorter than an ack.
    #[error("a plaintext of {0} bytes carries no ack of {SURB_ACK_LEN}")]
    Length(usize),
    /// The address of the ack's first hop is malformed.
    #[error("first hop of the ack: {0}")]
    FirstHop(#[from] NodeAddressError),
}

/// Splits the plaintext of a packet as the gateway at its last hop does: the first hop of the ack,
/// the ack packet (386 bytes), and what is pushed to the client. (protocol: sphinx 13.2)
pub fn split_final(plaintext: &[u8]) -> Result<(NodeAddress, &[u8], &[u8]), SplitError> {
    let (surb_ack, pushed) =
        plaintext.split_at_checked(SURB_ACK_LEN).ok_or(SplitError::Length(plaintext.len()))?;
    let (address, packet) = surb_ack.split_at(NodeAddress::SIZE_MAX);
    Ok((NodeAddress::decode(address)?, packet, pushed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_final_plaintext_is_refused_or_splits_without_loss(
            mut bytes in prop::collection::vec(any::<u8>(), 390..500),
            family in prop::option::of(prop::sample::select(vec![4u8, 6])),
        ) {
            bytes[0] = family.unwrap_or(bytes[0]);
            match split_final(&bytes) {
                Ok((address, packet, pushed)) => {
                    prop_assert_eq!(address.encoded_len(), if bytes[0] == 4 { 7 } else { 19 });
                    prop_assert_eq!(packet, &bytes[19..405]);
                    prop_assert_eq!(pushed, &bytes[405..]);
                }
                Err(SplitError::Length(len)) => prop_assert!(len == bytes.len() && len < 405),
                Err(error) => {
                    let cause = NodeAddressError::Family(bytes[0]);
                    prop_assert_eq!(error, SplitError::FirstHop(cause));
                }
            }
        }
    }
}
