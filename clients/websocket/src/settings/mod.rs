//! What a user can set: the configuration file. `docs/native-client.md` lists it.
//!
//! Sections and names are those the network's users know. Only what differs from the defaults is
//! written, so that better defaults of a later version take effect.

mod apply;
mod duration;
mod file;
mod sections;

pub use apply::SettingsError;
pub use duration::HumanDuration;
pub use file::{FileError, read, write};
pub use sections::{
    Acknowledgements, Client, CoverTraffic, Debug, NetworkSection, PacketSizeName, ReplySurbs,
    Settings, Socket, SocketType, TierName, TopologySection, Traffic,
};
