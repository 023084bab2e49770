//! What packets are made of.

use crate::gateway::LinkCipher;
use crate::message::OnionBuilder;

/// The cryptography of every packet: its layers, the encryption of what is inside, and that of
/// the frame it travels in to the gateway. Handshakes and authentication are not part of it.
///
/// [`SphinxBuilder`](crate::sphinx::SphinxBuilder) is the one of the network.
pub trait PacketSuite: OnionBuilder + LinkCipher {}

impl<T: OnionBuilder + LinkCipher> PacketSuite for T {}
