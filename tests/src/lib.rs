//! What tests that cross crates share: one face for both runtimes, a network on real sockets with
//! fast clients, and ways to wait that end.

pub mod runtime;
pub mod stage;
pub mod wait;

pub use runtime::{Cast, Peer, Receipt, Runtime};
pub use stage::Stage;
