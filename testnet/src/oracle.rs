//! The packet layer of the nodes on the published crate `sphinx-packet`.
//!
//! Another implementation than the one clients build their packets with: what it forwards and
//! delivers is what the published nodes would.

use nym_proto::address::NodeAddress;
use nym_proto::identity::PrivateKey;
use nym_proto::sphinx::{
    Delay, HEADER_SIZE, Opened, PLAINTEXT_OFFSET, PacketPeeler, PeelError, Peeled, ReplayTag,
};
use sphinx_packet::ProcessedPacketData::{FinalHop, ForwardHop};
use sphinx_packet::SphinxPacket;
use sphinx_packet::crypto::PrivateKey as OracleKey;
use sphinx_packet::header::SphinxHeader;
use zeroize::Zeroizing;

/// Peels with the published crate. It takes packets with a public element of low order, which
/// [`SphinxPeeler`](nym_proto::sphinx::SphinxPeeler) drops.
#[derive(Clone, Copy, Debug, Default)]
pub struct OraclePeeler;

impl PacketPeeler for OraclePeeler {
    fn open(&self, key: &PrivateKey, packet: &[u8]) -> Result<Opened, PeelError> {
        let wrong_length = PeelError::Length(packet.len());
        let header = packet.get(..HEADER_SIZE).ok_or(wrong_length)?;
        let header = SphinxHeader::from_bytes(header).map_err(|_| wrong_length)?;
        let secret = header.compute_expanded_shared_secret(&OracleKey::from(*key.as_bytes()));
        header.ensure_header_integrity(&secret).map_err(|_| PeelError::Mac)?;
        // the crate's secret cannot be put together again from its bytes, so the key is handed on
        let mut left = Zeroizing::new([0; _]);
        left.split_at_mut(32).0.copy_from_slice(key.as_bytes());
        Ok(Opened::new(ReplayTag(*secret.replay_tag()), Some(left)))
    }

    fn peel(&self, opened: Opened, packet: &mut [u8]) -> Result<Peeled, PeelError> {
        // what another implementation has opened is no packet of this one
        let secret = opened.secret().ok_or(PeelError::Mac)?;
        let key = secret.first_chunk::<32>().ok_or(PeelError::Mac)?;
        let wrong_length = PeelError::Length(packet.len());
        let theirs = SphinxPacket::from_bytes(packet).map_err(|_| wrong_length)?;
        let processed = theirs.process(&OracleKey::from(*key)).map_err(|_| PeelError::Payload)?;
        match processed.data {
            ForwardHop { next_hop_packet, next_hop_address, delay } => {
                let next = NodeAddress::decode(next_hop_address.as_bytes())?;
                replace(packet, &next_hop_packet.to_bytes())?;
                Ok(Peeled::Forward { next, delay: Delay::from_nanos(delay.to_nanos()) })
            }
            FinalHop { destination, payload, .. } => {
                let plaintext = payload.recover_plaintext().map_err(|_| PeelError::Payload)?;
                let range = PLAINTEXT_OFFSET..PLAINTEXT_OFFSET + plaintext.len();
                replace(packet.get_mut(range.clone()).ok_or(wrong_length)?, &plaintext)?;
                Ok(Peeled::Final { destination: destination.as_bytes(), plaintext: range })
            }
        }
    }
}

/// Puts as many bytes in the place of others.
fn replace(bytes: &mut [u8], with: &[u8]) -> Result<(), PeelError> {
    if bytes.len() != with.len() {
        return Err(PeelError::Length(with.len()));
    }
    bytes.copy_from_slice(with);
    Ok(())
}

#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
