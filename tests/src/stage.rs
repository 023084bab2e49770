//! A network with clients that are faster than usual.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{AckConfig, Config, GatewayChoice, Network, Traffic};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_runtime_std::Options;
use nym_testnet::loopback::{Loopback, LoopbackConfig};

use crate::runtime::{Cast, Peer, Runtime};
use crate::wait;

/// The gateway of Alice, and her name.
pub const ALICE: u8 = 0;
/// The gateway of Bob, and his name.
pub const BOB: u8 = 1;

/// A network of two gateways and one mix node in each layer.
#[derive(Debug)]
pub struct Stage {
    /// The network.
    pub network: Loopback,
    seed: u8,
}

impl Stage {
    /// Starts the network of the given seed.
    ///
    /// # Panics
    /// There are no sockets.
    #[must_use]
    pub fn new(seed: u8) -> Self {
        Self::with_network(seed, LoopbackConfig::default())
    }

    /// As [`new`](Self::new), with other settings of the network than size and seed.
    ///
    /// # Panics
    /// There are no sockets.
    #[must_use]
    pub fn with_network(seed: u8, config: LoopbackConfig) -> Self {
        let config = LoopbackConfig { mixes_per_layer: 1, seed: [seed; 32], ..config };
        let network = Loopback::start(config).expect("a loopback network starts");
        Self { network, seed }
    }

    /// Starts the network, with Alice on its first gateway and Bob on its second.
    #[must_use]
    pub fn with_clients(seed: u8, cast: &Cast) -> (Self, Box<dyn Peer>, Box<dyn Peer>) {
        let stage = Self::new(seed);
        let alice = stage.join(cast.alice, ALICE);
        let bob = stage.join(cast.bob, BOB);
        (stage, alice, bob)
    }

    /// Settings of a client of the given gateway: ten times as fast as the defaults, almost
    /// without cover.
    #[must_use]
    pub fn config(&self, gateway: u8) -> Config {
        let mut config = Config::new(Network::Directory(vec![self.network.directory_url()]));
        if let Some(gateway) = self.network.gateways().get(usize::from(gateway)) {
            config.gateway = GatewayChoice::Given(gateway.identity);
        }
        config.traffic = Traffic {
            main_interval: Duration::from_millis(3),
            loop_interval: Some(Duration::from_millis(100)),
            cover: false,
            hop_delay: Duration::from_millis(2),
            ack_delay: Duration::from_millis(2),
            ..Traffic::default()
        };
        config.acks =
            AckConfig { wait_addition: Duration::from_millis(700), ..AckConfig::default() };
        config
    }

    /// The identity of somebody.
    #[must_use]
    pub fn identity(&self, name: u8) -> Identity {
        let seed = [self.seed, name].repeat(16).try_into().unwrap_or_default();
        Identity::generate(&mut Entropy::new(seed).stream(Purpose::Identity))
    }

    /// Settings of the shell. `run` tells clients and their runs apart: no two may share a seed.
    #[must_use]
    pub fn options(&self, run: u8) -> Options {
        Options {
            seed: Some([!self.seed, run].repeat(16).try_into().unwrap_or_default()),
            connect_timeout: wait::PATIENCE,
            event_queue: 4096,
            ..Options::default()
        }
    }

    /// Connects Alice or Bob.
    ///
    /// # Panics
    /// There is no connection.
    #[track_caller]
    #[must_use]
    pub fn join(&self, runtime: &dyn Runtime, name: u8) -> Box<dyn Peer> {
        self.join_with(runtime, name, self.config(name))
    }

    /// Connects Alice or Bob with other settings.
    ///
    /// # Panics
    /// There is no connection.
    #[track_caller]
    #[must_use]
    pub fn join_with(&self, runtime: &dyn Runtime, name: u8, config: Config) -> Box<dyn Peer> {
        match runtime.connect(config, self.identity(name), self.options(name)) {
            Ok(peer) => peer,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Bytes that differ from place to place and from seed to seed.
#[must_use]
pub fn noise(seed: u64, len: usize) -> Bytes {
    let mut key = [0x5a; 32];
    for (to, from) in key.iter_mut().zip(seed.to_le_bytes()) {
        *to = from;
    }
    let mut bytes = vec![0; len];
    Entropy::new(key).stream(Purpose::Other(0)).fill(&mut bytes);
    bytes.into()
}
