//! What tests that cross crates share: one face for both runtimes, a network on real sockets with
//! fast clients, ways to wait that end; clients in virtual time whose traffic is watched, and
//! statistics about it.

/// Makes each scenario a test on either runtime.
#[macro_export]
macro_rules! over_both_runtimes {
    ($($scenario:ident),* $(,)?) => {
        mod on_std {
            $(#[test] fn $scenario() { super::$scenario(&$crate::Cast::STD); })*
        }
        mod on_smol {
            $(#[test] fn $scenario() { super::$scenario(&$crate::Cast::SMOL); })*
        }
    };
}

pub mod privacy;
pub mod runtime;
pub mod stage;
pub mod statistics;
pub mod wait;

pub use runtime::{Cast, Peer, Receipt, Runtime};
pub use stage::Stage;
