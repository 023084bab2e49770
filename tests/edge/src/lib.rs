//! What stands around a network in tests: certificate authorities, servers with TLS, proxies.
//!
//! Everything panics where the machine gives no sockets or no files.

mod certificates;
mod front;
mod hidden;
mod proxy;

pub use certificates::{Authority, Certificate};
pub use front::Front;
pub use hidden::{Hidden, directory_address, gateway_address, only_through};
pub use proxy::{Double, Kind, PASSWORD};
