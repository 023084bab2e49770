//! The native websocket client: [`protocol`] is what programs and client say to each other, without any IO;
//! `server` (with the feature `program`) moves the bytes.

pub mod protocol;
#[cfg(feature = "program")]
pub mod server;
#[cfg(feature = "program")]
pub mod settings;
