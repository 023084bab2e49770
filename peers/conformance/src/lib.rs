//! What the conformance tests share: a small network that both implementations know, clients whose
//! keys both hold, and a sender and a receiver on each side.
//!
//! *Ours* is `nym-proto`, *theirs* are the published crates. A packet of either side is taken through
//! the network by both at once ([`network::Network::walk`]), which must agree at every hop. What the
//! last gateway delivers is read by [`ours::Receiver`] or [`theirs::Receiver`]; both give
//! [`content::Content`], which can be compared.
//!
//! Everything on our side comes from fixed seeds. Theirs draws initial secrets, paddings and delays
//! from the operating system, which its interface does not let one change.

pub mod content;
pub mod convert;
pub mod gateway_texts;
pub mod network;
pub mod our_gateway;
pub mod ours;
pub mod person;
pub mod post;
pub mod socket;
pub mod texts;
pub mod their_gateway;
pub mod theirs;
