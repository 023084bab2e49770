//! An embedded Nym network: everything a client talks to, in one process.
//!
//! Gateway ([`gateway`]), mix node ([`mixnode`]) and directory ([`directory`]) are machines in the
//! style of `nym-proto`: bytes and time go in, actions come out, randomness comes from a seed.
//! They open no sockets and read no clocks, so they run the same under a real-time shell and
//! under a simulator:
//!
//! 1. `handle(now, event)` takes one event and does a bounded amount of work,
//! 2. `poll_action()` says what to do, in the order it was decided, until nothing is left,
//! 3. `next_deadline()` says when the machine wants to be woken if nothing happens before.
//!
//! A [`blueprint`] makes the keys of a whole network from one seed, and [`epoch`] is its clock.
//! With the feature `loopback` (on by default) the module `loopback` runs any number of machines
//! on real sockets of the loopback interface, and the command `nym-testnet` does so from the
//! command line. [`sim`] runs a whole network with its clients in virtual time.
//!
//! With the feature `oracle` the nodes of `loopback` remove layers with the published crate
//! `sphinx-packet`, so that every packet of a client is checked by another implementation. The
//! simulator does not.
//!
//! This is a network to test with. It is not hardened for the Internet, keeps nothing on disk,
//! verifies no credentials, and all its keys derive from one seed.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod blueprint;
mod checksum;
mod delay;
pub mod directory;
pub mod epoch;
pub mod gateway;
mod keys;
#[cfg(feature = "loopback")]
pub mod loopback;
pub mod mixnode;
#[cfg(feature = "oracle")]
pub mod oracle;
mod relay;
mod replay;
#[allow(clippy::indexing_slicing, reason = "indices are numbers the simulation has given out")]
pub mod sim;
#[allow(clippy::indexing_slicing, reason = "all indices are constants inside the header")]
pub mod transparent;

pub use keys::SphinxKeys;
pub use relay::{Egress, KeySchedule, LinkId, PacketStats};
pub use replay::ReplayFilter;
