//! A client of the published SDK and a client of ours, each at a gateway of one embedded network.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use nym_proto::client::{Config, Delivery, GatewayChoice, Network, Outcome};
use nym_runtime_std::{Client, Options, Receipt, connect, generate_identity};
use nym_sdk::mixnet::{MixnetClient, MixnetClientBuilder, Recipient, ReconstructedMessage};
use nym_sdk::{NymNetworkDetails, ValidatorDetails};
use nym_testnet::loopback::{Loopback, LoopbackConfig};
use tokio::task::block_in_place;

/// What takes longer has failed.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The gateway of the SDK's client.
pub const THEIRS: usize = 0;
/// The gateway of our client.
pub const OURS: usize = 1;

/// The network and its clients, both with default traffic.
pub struct Stage {
    pub network: Loopback,
    pub theirs: MixnetClient,
    pub ours: Client,
    /// Messages that came with others and were not asked for yet.
    waiting: VecDeque<ReconstructedMessage>,
}

impl Stage {
    /// Starts a network; both clients register.
    pub async fn new(seed: u8) -> Self {
        let config = LoopbackConfig { seed: [seed; 32], ..LoopbackConfig::default() };
        let network = Loopback::start(config).unwrap();
        let theirs = within("a connection", connect_theirs(&network)).await;
        let ours = block_in_place(|| connect_ours(&network));
        Self { network, theirs, ours, waiting: VecDeque::new() }
    }

    /// The address of our client, as theirs knows it.
    pub fn our_address(&self) -> Recipient {
        Recipient::try_from_base58_string(self.ours.address().to_string()).unwrap()
    }

    /// The address of the SDK's client, as ours knows it.
    pub fn their_address(&self) -> nym_proto::address::Recipient {
        self.theirs.nym_address().to_string().parse().unwrap()
    }

    /// Waits until a client has authenticated at a gateway since its start, for a bit more than the pause between the
    /// SDK's attempts. False if none does.
    pub async fn has_authentication(&self, gateway: usize) -> bool {
        for _ in 0..80 {
            if self.network.stats().gateways[gateway].authentications > 0 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    /// The next message of our client.
    pub fn our_next(&self) -> Delivery {
        block_in_place(|| self.ours.recv_timeout(PATIENCE)).expect("a message in time").unwrap()
    }

    /// The next message of the SDK's client.
    pub async fn their_next(&mut self) -> ReconstructedMessage {
        while self.waiting.is_empty() {
            let messages = within("a message", self.theirs.wait_for_messages()).await;
            self.waiting.extend(messages.expect("a running client"));
        }
        self.waiting.pop_front().unwrap()
    }
}

async fn connect_theirs(network: &Loopback) -> MixnetClient {
    // the address of the chain is needed, but nobody connects to it
    let directory = network.directory_url();
    let endpoint = ValidatorDetails::new("http://127.0.0.1:9", Some(&directory), None);
    let client = MixnetClientBuilder::new_ephemeral()
        .network_details(NymNetworkDetails::new_empty().with_validator_endpoint(endpoint))
        .request_gateway(network.gateways()[THEIRS].identity.to_string())
        .build()
        .unwrap();
    client.connect_to_mixnet().await.unwrap()
}

fn connect_ours(network: &Loopback) -> Client {
    let mut config = Config::new(Network::Directory(vec![network.directory_url()]));
    config.gateway = GatewayChoice::Given(network.gateways()[OURS].identity);
    connect(config, generate_identity().unwrap(), Options::default()).unwrap()
}

/// Waits for something, but not for ever.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// Waits until every packet of a message of ours is acknowledged.
pub fn acknowledged(receipt: &Receipt) {
    let outcome = block_in_place(|| receipt.outcome_timeout(PATIENCE));
    let outcome = outcome.expect("an outcome in time").unwrap();
    assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{outcome:?}");
}
