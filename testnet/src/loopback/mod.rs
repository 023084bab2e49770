//! A whole network on real sockets of the loopback interface, on one background thread.
//!
//! ```no_run
//! use nym_testnet::loopback::{Loopback, LoopbackConfig};
//!
//! let network = Loopback::start(LoopbackConfig::default())?;
//! println!("directory: {}", network.directory_url());
//! # Ok::<(), std::io::Error>(())
//! ```

mod clients;
mod host;
mod http;
mod peers;
mod thread;

use core::time::Duration;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::SystemTime;

use nym_proto::client::WsFrame;
use nym_proto::identity::IdentityKey;
use nym_proto::sphinx::PacketPeeler;
use nym_proto::time::UnixTime;
use nym_proto::topology::{Layer, Topology};
use smol::channel::Sender;

use self::thread::Command;
use crate::blueprint::{Blueprint, NodeRole};
use crate::directory::{Directory, ListedNode};
use crate::epoch::EpochClock;
use crate::gateway::GatewayStats;
use crate::relay::PacketStats;

/// The network to run.
#[derive(Clone, Debug)]
pub struct LoopbackConfig {
    /// Number of gateways. At least 1.
    pub gateways: u16,
    /// Number of mix nodes in each of the three layers. At least 1.
    pub mixes_per_layer: u16,
    /// All keys and all randomness of the network.
    pub seed: [u8; 32],
    /// Probability with which a mix node drops a packet.
    pub loss: f64,
    /// Length of an epoch.
    pub epoch_length: Duration,
    /// Epochs per key rotation. At least 2.
    pub validity_epochs: u32,
    /// Gateways refuse to grant bandwidth without credentials.
    pub enforce_credentials: bool,
    /// Port of the directory; 0 for any.
    pub directory_port: u16,
}

impl Default for LoopbackConfig {
    fn default() -> Self {
        Self {
            gateways: 2,
            mixes_per_layer: 2,
            seed: [0; 32],
            loss: 0.0,
            epoch_length: EpochClock::LENGTH,
            validity_epochs: EpochClock::VALIDITY_EPOCHS,
            enforce_credentials: false,
            directory_port: 0,
        }
    }
}

/// Where a gateway listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayInfo {
    /// Its identity.
    pub identity: IdentityKey,
    /// Where it takes clients.
    pub ws_url: String,
    /// Where it takes packets.
    pub mix_address: SocketAddr,
}

/// Where a mix node listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MixInfo {
    /// The layer it mixes in.
    pub layer: Layer,
    /// Its identity.
    pub identity: IdentityKey,
    /// Where it takes packets.
    pub address: SocketAddr,
}

/// The counters of all nodes, in the order of [`Loopback::gateways`] and [`Loopback::mixes`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NetworkStats {
    /// Counters of the gateways since each was started last; zero while it is stopped.
    pub gateways: Vec<GatewayStats>,
    /// Counters of the mix nodes.
    pub mixes: Vec<PacketStats>,
    /// Frames between nodes that were lost because the other node did not take them.
    pub link_losses: u64,
}

/// A running network. Dropping it stops everything.
#[derive(Debug)]
pub struct Loopback {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    directory: Arc<Mutex<Directory>>,
    directory_address: SocketAddr,
    gateways: Vec<GatewayInfo>,
    mixes: Vec<MixInfo>,
}

impl Loopback {
    /// Binds all sockets and starts the network.
    ///
    /// # Errors
    /// A socket cannot be bound, the thread cannot be started, or the configuration asks for a
    /// network without gateways or mix nodes.
    pub fn start(config: LoopbackConfig) -> io::Result<Self> {
        if config.gateways == 0 || config.mixes_per_layer == 0 {
            let message = "a network needs at least one gateway and one mix node per layer";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let blueprint = Blueprint::generate(config.seed, config.gateways, config.mixes_per_layer);
        let directory_listener = bind(config.directory_port)?;
        let directory_address = directory_listener.local_addr()?;
        let mut listed = Vec::new();
        let mut gateways = Vec::new();
        let mut gateway_sockets = Vec::new();
        for plan in &blueprint.gateways {
            let (mix, ws) = (bind(0)?, bind(0)?);
            let (mix_address, ws_address) = (mix.local_addr()?, ws.local_addr()?);
            gateways.push(GatewayInfo {
                identity: *plan.identity.public(),
                ws_url: format!("ws://{ws_address}"),
                mix_address,
            });
            listed.push(ListedNode::new(plan, mix_address, Some(ws_address.port())));
            gateway_sockets.push((mix, ws));
        }
        let mut mixes = Vec::new();
        let mut mix_sockets = Vec::new();
        for plan in &blueprint.mixes {
            let socket = bind(0)?;
            let address = socket.local_addr()?;
            if let NodeRole::Mix(layer) = plan.role {
                mixes.push(MixInfo { layer, identity: *plan.identity.public(), address });
            }
            listed.push(ListedNode::new(plan, address, None));
            mix_sockets.push(socket);
        }
        let epochs = EpochClock::new(unix_now(), config.epoch_length, config.validity_epochs);
        let directory = Arc::new(Mutex::new(Directory::new(listed, epochs)));
        let (commands, inbox) = smol::channel::unbounded();
        let plan = thread::Plan {
            config,
            blueprint,
            epochs,
            directory: Arc::clone(&directory),
            directory_listener,
            gateway_sockets,
            mix_sockets,
        };
        let thread = std::thread::Builder::new()
            .name("nym-testnet".to_owned())
            .spawn(move || thread::run(plan, &inbox))?;
        let thread = Some(thread);
        Ok(Self { commands, thread, directory, directory_address, gateways, mixes })
    }

    /// Base URL of the directory, with a slash at its end.
    #[must_use]
    pub fn directory_url(&self) -> String {
        format!("http://{}{}", self.directory_address, Directory::BASE)
    }

    /// The network as a fixed topology, valid for the current key rotation.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a process cannot open as many sockets as a topology may hold nodes"
    )]
    pub fn topology(&self) -> Arc<Topology> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let topology = directory.topology(unix_now());
        Arc::new(topology.expect("a loopback network fits a topology"))
    }

    /// The gateways.
    #[must_use]
    pub fn gateways(&self) -> Vec<GatewayInfo> {
        self.gateways.clone()
    }

    /// The mix nodes, layer by layer.
    #[must_use]
    pub fn mixes(&self) -> Vec<MixInfo> {
        self.mixes.clone()
    }

    /// Lets the directory tell that a gateway takes clients over TLS under this name and port, where
    /// somebody else takes them and passes on what they say.
    pub fn announce_wss(&self, index: usize, hostname: &str, port: u16) {
        if let Some(gateway) = self.gateways.get(index) {
            let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
            directory.announce_wss(&gateway.identity, hostname, port);
        }
    }

    /// Stops a gateway: its sockets are closed, its connections are cut.
    pub fn stop_gateway(&self, index: usize) {
        self.ask(|reply| Command::StopGateway { index, reply });
    }

    /// Starts a stopped gateway on the same ports with the same keys. Without its store it has
    /// forgotten all clients and stored messages. A running gateway is left alone.
    ///
    /// # Errors
    /// Its ports have been taken by somebody else meanwhile.
    pub fn start_gateway(&self, index: usize, keep_store: bool) -> io::Result<()> {
        self.ask(|reply| Command::StartGateway { index, keep_store, reply }).unwrap_or(Ok(()))
    }

    /// Cuts all client connections of a gateway.
    pub fn kick_clients(&self, index: usize) {
        self.ask(|reply| Command::Kick { index, reply });
    }

    /// Sends a message to all clients of a gateway that the gateway itself knows nothing of.
    pub fn inject_to_clients(&self, index: usize, frame: WsFrame) {
        self.ask(|reply| Command::Inject { index, frame, reply });
    }

    /// Changes the probability with which mix nodes drop packets.
    pub fn set_loss(&self, loss: f64) {
        self.ask(|reply| Command::SetLoss { loss, reply });
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> NetworkStats {
        self.ask(|reply| Command::Stats { reply }).unwrap_or_default()
    }

    /// Gives the network's thread a command and waits until it is done.
    fn ask<T>(&self, command: impl FnOnce(mpsc::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = mpsc::channel();
        self.commands.try_send(command(reply)).ok()?;
        answer.recv().ok()
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.commands.close();
        if let Some(thread) = self.thread.take() {
            // a panic over there has been reported by its own thread
            let _ = thread.join();
        }
    }
}

/// What the nodes remove layers with: the published crate if the feature `oracle` is on.
fn peeler() -> Box<dyn PacketPeeler> {
    #[cfg(feature = "oracle")]
    let peeler = crate::oracle::OraclePeeler;
    #[cfg(not(feature = "oracle"))]
    let peeler = nym_proto::sphinx::SphinxPeeler::default();
    Box::new(peeler)
}

/// A listening socket on the loopback interface.
fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn unix_now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
