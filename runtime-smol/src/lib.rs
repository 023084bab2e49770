//! A Nym mixnet client for async applications.
//!
//! [`connect`] starts a client as one task on the executor of [`smol`] and returns when it is
//! ready; [`connect_on`] puts the task wherever the caller wants it. The [`Client`] may be used
//! from any executor. Everything the client knows of the protocol is in [`nym_proto`]; this crate
//! moves bytes and tells the time.
//!
//! ```no_run
//! use nym_proto::client::{Config, DeliveryOrigin, Network, Shutdown};
//! use nym_runtime_smol::{Options, connect, generate_identity};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let network = Network::Directory(vec!["https://directory.example/api/".into()]);
//!     let client = connect(Config::new(network), generate_identity()?, Options::default()).await?;
//!     println!("reachable at {}", client.address());
//!
//!     let receipt = client.send_anonymous(client.address(), 10, "hello, me").await?;
//!     let message = client.recv().await?;
//!     if let DeliveryOrigin::Anonymous(tag) = message.origin {
//!         client.reply(tag, "hello, whoever you are").await?;
//!     }
//!     println!("{:?}", receipt.outcome().await?);
//!     client.shutdown(Shutdown::Now).await?;
//!     Ok(())
//! })
//! # }
//! ```

mod dial;
mod link;
mod run;

use std::pin::Pin;

use nym_proto::client::Config;
use nym_proto::identity::Identity;
use nym_shell::net::Edge;
pub use nym_shell::net::{
    BadProxy, BadProxyReason, CaFileError, NetError, NetOptions, Proxy, ProxyUrl, Trust,
};
pub use nym_shell::{
    Closed, ConnectError, Events, FileStore, Handle as Client, LaneUsage, OpenError, Options,
    Queue, Receipt, SendError, SendOptions, SharedStore, Starting, Store, generate_identity,
};
use smol::future::FutureExt as _;

/// Starts a client on smol's global executor and waits until it has an address and an established
/// session.
///
/// Dropping the future, or giving up after [`Options::connect_timeout`], shuts the client down.
pub async fn connect(
    config: Config,
    identity: Identity,
    options: Options,
) -> Result<Client, ConnectError> {
    connect_on(config, identity, options, |task| {
        smol::spawn(task).detach();
    })
    .await
}

/// Starts a client on smol's global executor and does not wait for it. Nothing but the caller limits
/// how long it may take to become ready.
pub async fn start(
    config: Config,
    identity: Identity,
    options: &Options,
) -> Result<Starting, ConnectError> {
    start_on(config, identity, options, |task| smol::spawn(task).detach()).await
}

async fn start_on(
    config: Config,
    identity: Identity,
    options: &Options,
    spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
) -> Result<Starting, ConnectError> {
    let net = options.net.clone();
    let edge = smol::unblock(move || Edge::new(&net)).await?;
    let (starting, driver) = nym_shell::start(config, identity, options)?;
    spawn(Box::pin(run::run(driver, edge)));
    Ok(starting)
}

/// Like [`connect`], with a choice of executor: `spawn` gets the client's task to run it. The task
/// ends when the client has stopped.
pub async fn connect_on(
    config: Config,
    identity: Identity,
    options: Options,
    spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
) -> Result<Client, ConnectError> {
    let starting = start_on(config, identity, &options, spawn).await?;
    let ready = async { Some(starting.ready().await) };
    let late = async {
        smol::Timer::after(options.connect_timeout).await;
        None
    };
    match ready.or(late).await {
        Some(result) => result,
        None => Err(starting.timed_out(options.connect_timeout)),
    }
}
