//! A Nym mixnet client for blocking applications.
//!
//! [`connect`] starts a client in a thread of its own and returns when it is ready. The [`Client`]
//! may be cloned and used from any number of threads. Everything the client knows of the protocol
//! is in [`nym_proto`]; this crate moves bytes and tells the time.
//!
//! ```no_run
//! use nym_proto::client::{Config, DeliveryOrigin, Network, Shutdown};
//! use nym_runtime_std::{Options, connect, generate_identity};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::Directory(vec!["https://directory.example/api/".into()]);
//! let client = connect(Config::new(network), generate_identity()?, Options::default())?;
//! println!("reachable at {}", client.address());
//!
//! let receipt = client.send_anonymous(client.address(), 10, "hello, me")?;
//! let message = client.recv()?;
//! if let DeliveryOrigin::Anonymous(tag) = message.origin {
//!     client.reply(tag, "hello, whoever you are")?;
//! }
//! println!("{:?}", receipt.outcome()?);
//! client.shutdown(Shutdown::Now)?;
//! # Ok(())
//! # }
//! ```

mod block_on;
mod client;
mod dial;
mod link;
mod run;

use std::thread;
use std::time::Instant;

pub use client::{Client, Events, Queue, Receipt};
use nym_proto::client::Config;
use nym_proto::identity::Identity;
use nym_shell::net::Edge;
pub use nym_shell::net::{
    BadProxy, BadProxyReason, CaFileError, NetError, NetOptions, Proxy, ProxyUrl, Trust,
};
pub use nym_shell::{
    Closed, ConnectError, FileStore, LaneUsage, OpenError, Options, SendError, SendOptions,
    SharedStore, Store, generate_identity,
};

/// Starts a client and waits until it has an address and an established session.
///
/// Giving up after [`Options::connect_timeout`] shuts the client down.
pub fn connect(
    config: Config,
    identity: Identity,
    options: Options,
) -> Result<Client, ConnectError> {
    let edge = Edge::new(&options.net)?;
    let (starting, driver) = nym_shell::start(config, identity, &options)?;
    let runner = run::Runner::new(driver, edge)?;
    thread::Builder::new()
        .name("nym-client".to_owned())
        .spawn(move || runner.run())
        .map_err(|error| ConnectError::Start(error.to_string()))?;
    let late = Instant::now().checked_add(options.connect_timeout);
    match block_on::block_on_until(starting.ready(), late) {
        Some(result) => result.map(Client::new),
        None => Err(starting.timed_out(options.connect_timeout)),
    }
}

/// The example of the README, compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
