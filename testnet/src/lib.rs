//! An embedded Nym network.

pub mod blueprint;
mod delay;
pub mod directory;
pub mod epoch;
pub mod gateway;
mod keys;
#[cfg(feature = "loopback")]
pub mod loopback;
pub mod mixnode;
mod relay;
mod replay;

pub use keys::SphinxKeys;
pub use relay::{Egress, KeySchedule, LinkId, PacketStats};
pub use replay::ReplayFilter;
