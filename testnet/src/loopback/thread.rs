//! The thread that runs the network, and the commands it takes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};

use nym_proto::client::WsFrame;
use nym_proto::gateway::GcmSiv;
use nym_proto::time::Instant;
use smol::channel::Receiver;
use smol::{LocalExecutor, Task};

use super::host::{Clock, Host, Machine};
use super::{LoopbackConfig, NetworkStats, bind, http, unix_now};
use crate::blueprint::{Blueprint, NodePlan};
use crate::directory::Directory;
use crate::epoch::EpochClock;
use crate::gateway::{Gateway, GatewayConfig, GatewayLimits, GatewayStore};
use crate::mixnode::{MixConfig, MixLimits, MixNode};
use crate::relay::{Egress, KeySchedule};

/// Everything the thread needs to begin.
pub(super) struct Plan {
    pub(super) config: LoopbackConfig,
    pub(super) blueprint: Blueprint,
    pub(super) epochs: EpochClock,
    pub(super) directory: Arc<Mutex<Directory>>,
    pub(super) directory_listener: TcpListener,
    /// Per gateway, where packets and where clients come in.
    pub(super) gateway_sockets: Vec<(TcpListener, TcpListener)>,
    pub(super) mix_sockets: Vec<TcpListener>,
}

/// What the thread is asked to do. Each command is answered when it is done.
pub(super) enum Command {
    StopGateway { index: usize, reply: mpsc::Sender<()> },
    StartGateway { index: usize, keep_store: bool, reply: mpsc::Sender<io::Result<()>> },
    Kick { index: usize, reply: mpsc::Sender<()> },
    Inject { index: usize, frame: WsFrame, reply: mpsc::Sender<()> },
    SetLoss { loss: f64, reply: mpsc::Sender<()> },
    Stats { reply: mpsc::Sender<NetworkStats> },
}

/// Runs the network until the commands' channel is closed.
pub(super) fn run(plan: Plan, commands: &Receiver<Command>) {
    let executor = LocalExecutor::new();
    let work = async {
        let (mut network, sockets) = Network::new(&executor, plan);
        // sockets that were just bound can be watched, unless the process ran out of resources
        match network.start(sockets) {
            Ok(()) => {
                while let Ok(command) = commands.recv().await {
                    network.obey(command).await;
                }
            }
            Err(error) => tracing::error!("the network does not start: {error}"),
        }
        network.stop().await;
    };
    smol::block_on(executor.run(work));
}

struct Network<'e> {
    executor: &'e LocalExecutor<'static>,
    config: LoopbackConfig,
    epochs: EpochClock,
    clock: Clock,
    directory: Arc<Mutex<Directory>>,
    directory_task: Option<Task<()>>,
    gateways: Vec<GatewaySlot>,
    mixes: Vec<NodePlan>,
    running_mixes: Vec<Node>,
    link_losses: u64,
}

struct GatewaySlot {
    plan: NodePlan,
    mix_address: SocketAddr,
    ws_address: SocketAddr,
    runs: u32,
    running: Option<Node>,
    store: GatewayStore,
}

/// The sockets the network begins with.
struct Sockets {
    directory: TcpListener,
    gateways: Vec<(TcpListener, TcpListener)>,
    mixes: Vec<TcpListener>,
}

/// A running node: dropping its executor ends everything it does.
struct Node {
    host: Rc<Host>,
    executor: Rc<LocalExecutor<'static>>,
    runner: Task<()>,
}

impl Node {
    fn new(executor: &LocalExecutor<'static>, clock: Clock, machine: Machine) -> Self {
        let own = Rc::new(LocalExecutor::new());
        let host = Host::new(Rc::downgrade(&own), clock, machine);
        let runs = Rc::clone(&own);
        let runner = executor.spawn(async move { runs.run(smol::future::pending()).await });
        Self { host, executor: own, runner }
    }

    /// Ends everything; returns the machine and the frames it lost on links.
    async fn stop(self) -> (Option<Machine>, u64) {
        let machine = self.host.take_machine();
        self.runner.cancel().await;
        drop(self.executor);
        (machine, self.host.link_losses())
    }
}

impl<'e> Network<'e> {
    fn new(executor: &'e LocalExecutor<'static>, plan: Plan) -> (Self, Sockets) {
        let address = |socket: &TcpListener| {
            socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        let slots = plan.blueprint.gateways.into_iter().zip(&plan.gateway_sockets);
        let gateways = slots.map(|(plan, (mix, ws))| GatewaySlot {
            plan,
            mix_address: address(mix),
            ws_address: address(ws),
            runs: 0,
            running: None,
            store: GatewayStore::new(),
        });
        let network = Self {
            executor,
            config: plan.config,
            epochs: plan.epochs,
            clock: Clock::start(),
            directory: plan.directory,
            directory_task: None,
            gateways: gateways.collect(),
            mixes: plan.blueprint.mixes,
            running_mixes: Vec::new(),
            link_losses: 0,
        };
        let sockets = Sockets {
            directory: plan.directory_listener,
            gateways: plan.gateway_sockets,
            mixes: plan.mix_sockets,
        };
        (network, sockets)
    }

    fn start(&mut self, sockets: Sockets) -> io::Result<()> {
        let listener = sockets.directory.try_into()?;
        let directory = Arc::clone(&self.directory);
        self.directory_task = Some(self.executor.spawn(http::serve(listener, directory)));
        for (index, socket) in sockets.mixes.into_iter().enumerate() {
            self.start_mix(index, socket)?;
        }
        for (index, (mix, ws)) in sockets.gateways.into_iter().enumerate() {
            self.start_gateway(index, mix, ws)?;
        }
        Ok(())
    }

    fn start_mix(&mut self, index: usize, socket: TcpListener) -> io::Result<()> {
        let Some(plan) = self.mixes.get(index) else {
            return Ok(());
        };
        let config = MixConfig {
            seed: plan.machine_seed(0),
            keys: plan.sphinx.clone(),
            schedule: KeySchedule::Epochs(self.epochs),
            egress: Egress::Open,
            loss: self.config.loss,
            limits: MixLimits::default(),
        };
        let (now, peeler) = (self.clock.now(), super::peeler());
        let mix = MixNode::with_peeler(config, now, unix_now(), peeler);
        let node = Node::new(self.executor, self.clock, Machine::Mix(Box::new(mix)));
        node.host.listen_for_nodes(socket)?;
        self.running_mixes.push(node);
        Ok(())
    }

    fn start_gateway(&mut self, index: usize, mix: TcpListener, ws: TcpListener) -> io::Result<()> {
        let now: Instant = self.clock.now();
        let Some(slot) = self.gateways.get_mut(index) else {
            return Ok(());
        };
        let config = GatewayConfig {
            seed: slot.plan.machine_seed(slot.runs),
            schedule: KeySchedule::Epochs(self.epochs),
            egress: Egress::Open,
            enforce_credentials: self.config.enforce_credentials,
            limits: GatewayLimits::default(),
        };
        slot.runs += 1;
        let store = core::mem::take(&mut slot.store);
        let keys = slot.plan.gateway_keys();
        let packets = (super::peeler(), Box::new(GcmSiv) as _);
        let gateway = Gateway::with_packets(config, keys, store, now, unix_now(), packets);
        let node = Node::new(self.executor, self.clock, Machine::Gateway(Box::new(gateway)));
        node.host.listen_for_nodes(mix)?;
        node.host.listen_for_clients(ws)?;
        slot.running = Some(node);
        Ok(())
    }

    async fn obey(&mut self, command: Command) {
        // whoever asked may have gone, so the replies may find nobody
        match command {
            Command::StopGateway { index, reply } => {
                self.stop_gateway(index).await;
                let _ = reply.send(());
            }
            Command::StartGateway { index, keep_store, reply } => {
                let _ = reply.send(self.restart_gateway(index, keep_store));
            }
            Command::Kick { index, reply } => {
                if let Some(node) = self.gateway(index) {
                    node.host.clients().kick();
                }
                let _ = reply.send(());
            }
            Command::Inject { index, frame, reply } => {
                if let Some(node) = self.gateway(index) {
                    node.host.clients().inject(&frame);
                }
                let _ = reply.send(());
            }
            Command::SetLoss { loss, reply } => {
                self.config.loss = loss;
                for node in &self.running_mixes {
                    node.host.set_loss(loss);
                }
                let _ = reply.send(());
            }
            Command::Stats { reply } => {
                let _ = reply.send(self.stats());
            }
        }
    }

    fn gateway(&self, index: usize) -> Option<&Node> {
        self.gateways.get(index)?.running.as_ref()
    }

    async fn stop_gateway(&mut self, index: usize) {
        let Some(slot) = self.gateways.get_mut(index) else {
            return;
        };
        let Some(node) = slot.running.take() else {
            return;
        };
        let (machine, losses) = node.stop().await;
        self.link_losses += losses;
        if let Some(Machine::Gateway(gateway)) = machine {
            slot.store = gateway.into_store();
        }
    }

    fn restart_gateway(&mut self, index: usize, keep_store: bool) -> io::Result<()> {
        let Some(slot) = self.gateways.get_mut(index) else {
            return Ok(());
        };
        if slot.running.is_some() {
            return Ok(());
        }
        let mix = bind(slot.mix_address.port())?;
        let ws = bind(slot.ws_address.port())?;
        if !keep_store {
            slot.store = GatewayStore::new();
        }
        self.start_gateway(index, mix, ws)
    }

    fn stats(&self) -> NetworkStats {
        let running = self.gateways.iter().filter_map(|slot| slot.running.as_ref());
        let losses = running.chain(&self.running_mixes).map(|node| node.host.link_losses());
        let gateways = self.gateways.iter().map(|slot| {
            let stats = slot.running.as_ref().and_then(|node| node.host.gateway_stats());
            stats.unwrap_or_default()
        });
        let mixes = self.running_mixes.iter();
        NetworkStats {
            gateways: gateways.collect(),
            mixes: mixes.map(|node| node.host.mix_stats().unwrap_or_default()).collect(),
            link_losses: self.link_losses + losses.sum::<u64>(),
        }
    }

    async fn stop(mut self) {
        for index in 0..self.gateways.len() {
            self.stop_gateway(index).await;
        }
        for node in self.running_mixes {
            node.stop().await;
        }
        if let Some(task) = self.directory_task {
            task.cancel().await;
        }
    }
}
