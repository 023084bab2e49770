//! The content of acknowledgements. (protocol: messages 8)

use super::cipher::apply;
use super::set_id::{AckId, FragmentId};
use crate::address::NodeAddress;
use crate::entropy::Stream;
use crate::identity::AckKey;
use crate::sphinx::PacketSize;

const IV_LEN: usize = 16;

/// Length of an ack as the gateway delivers it: IV and encrypted identifier, 21 bytes.
/// (protocol: messages 8)
pub const ACK_LEN: usize = IV_LEN + FragmentId::SIZE;

/// Length of an ack as every other packet carries it: the address of its first hop, padded, and
/// the ack packet. 405 bytes. (protocol: messages 8)
pub const SURB_ACK_LEN: usize = NodeAddress::SIZE_MAX + PacketSize::Ack.packet_len();

/// Seals the name of a fragment under the client's own ack key, with an IV drawn from `stream`
/// (16 bytes).
#[must_use]
pub fn seal_ack(key: &AckKey, id: &AckId, stream: &mut Stream) -> [u8; ACK_LEN] {
    seal_ack_with(&stream.bytes(), key, id)
}

/// [`seal_ack`] with a given IV, which must not be used again.
#[must_use]
pub fn seal_ack_with(iv: &[u8; IV_LEN], key: &AckKey, id: &AckId) -> [u8; ACK_LEN] {
    let mut sealed = id.to_bytes();
    apply(key.as_bytes(), iv, &mut sealed);
    let mut out = [0; ACK_LEN];
    let bytes = iv.iter().chain(&sealed);
    out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = *byte);
    out
}

/// Opens a delivered ack. `None` if it does not have exactly [`ACK_LEN`] bytes or names nothing a
/// fragment can be called. Acks are not authenticated: random bytes name a random fragment.
#[must_use]
pub fn open_ack(key: &AckKey, ack: &[u8]) -> Option<AckId> {
    let (iv, sealed) = ack.split_first_chunk()?;
    let mut id = <[u8; FragmentId::SIZE]>::try_from(sealed).ok()?;
    apply(key.as_bytes(), iv, &mut id);
    AckId::from_bytes(&id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::SetId;

    fn id(set: u32, position: u8) -> AckId {
        SetId::new(set).map_or(AckId::Cover, |set| AckId::Fragment(FragmentId { set, position }))
    }

    proptest! {
        #[test]
        fn a_sealed_ack_opens_to_the_same_name(
            iv: [u8; 16], key: [u8; 16], set in 0..1u32 << 31, position in 1..=255u8,
        ) {
            let (key, id) = (AckKey::from_bytes(key), id(set, position));
            prop_assert_eq!(open_ack(&key, &seal_ack_with(&iv, &key, &id)), Some(id));
        }

        #[test]
        fn acks_of_any_other_length_are_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let opened = open_ack(&AckKey::from_bytes([1; 16]), &bytes);
            prop_assert!(opened.is_none() || bytes.len() == ACK_LEN);
        }

        #[test]
        fn a_flipped_bit_never_gives_the_same_name(bit in 0..8 * ACK_LEN) {
            let (key, id) = (AckKey::from_bytes([3; 16]), id(77, 1));
            let mut ack = seal_ack_with(&[4; 16], &key, &id);
            ack[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(open_ack(&key, &ack), Some(id));
        }
    }

    #[test]
    fn lengths_are_those_of_the_protocol() {
        assert_eq!((ACK_LEN, SURB_ACK_LEN), (21, 405));
        assert_eq!(ACK_LEN, PacketSize::Ack.plaintext_len());
    }
}
