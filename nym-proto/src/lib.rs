//! The sans-IO core of a Nym mixnet client.

#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod address;
pub mod client;
pub mod entropy;
pub mod gateway;
pub mod identity;
pub mod limits;
pub mod message;
pub mod sphinx;
pub mod time;
pub mod topology;
