//! Clients at the edge, and how they fail.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Config, Network};
use nym_runtime_std::{ConnectError, Options};
use tests::Cast;
use tests::runtime::Peer;
use tests::stage::{ALICE, Stage, noise};
use tests::wait::{PATIENCE, acknowledged, growing_limits, next, within};

/// Where the directory of the network listens.
pub(crate) fn directory_address(stage: &Stage) -> SocketAddr {
    tests_edge::directory_address(&stage.network)
}

/// Where Alice's gateway listens for clients.
pub(crate) fn gateway_address(stage: &Stage) -> SocketAddr {
    tests_edge::gateway_address(&stage.network, usize::from(ALICE))
}

/// Alice's settings with other directories.
pub(crate) fn config(stage: &Stage, directories: &[&str]) -> Config {
    let mut config = stage.config(ALICE);
    let directories = directories.iter().map(|url| (*url).to_owned());
    config.network = Network::Directory(directories.collect());
    config
}

/// Connects Alice and lets her write to herself.
pub(crate) fn works(cast: &Cast, stage: &Stage, config: Config, options: Options) -> Box<dyn Peer> {
    let (runtime, identity) = (cast.alice, stage.identity(ALICE));
    let connected = within("connecting", move || runtime.connect(config, identity, options));
    let alice = connected.unwrap_or_else(|error| panic!("{error}"));
    let data: Bytes = noise(1, 5000);
    let receipt = alice.send(alice.address(), data.clone()).unwrap();
    assert_eq!(next(&*alice).data, data);
    acknowledged(&*receipt);
    alice
}

/// Connects Alice in vain until something fails, and returns the last thing that failed.
pub(crate) fn last_failure(cast: &Cast, stage: &Stage, config: Config, options: Options) -> String {
    growing_limits()
        .find_map(|limit| match fails(cast, stage, config.clone(), options.clone(), limit) {
            ConnectError::TimedOut { last_failure, .. } => last_failure,
            other => panic!("{other}"),
        })
        .expect("something fails in time")
}

/// Connects Alice in vain.
pub(crate) fn fails(
    cast: &Cast,
    stage: &Stage,
    config: Config,
    mut options: Options,
    limit: Duration,
) -> ConnectError {
    options.connect_timeout = limit.min(PATIENCE / 2);
    let (runtime, identity) = (cast.alice, stage.identity(ALICE));
    match within("connecting fails", move || runtime.connect(config, identity, options)) {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}
