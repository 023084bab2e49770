//! What tests that cross crates share: one face for both runtimes, a network on real sockets with
//! fast clients, ways to wait that end; clients in virtual time whose traffic is watched, and
//! statistics about it.

pub mod privacy;
pub mod runtime;
pub mod stage;
pub mod statistics;
pub mod wait;

pub use runtime::{Cast, Peer, Receipt, Runtime};
pub use stage::Stage;
