//! One machine with its sockets and its timer.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::rc::{Rc, Weak};

use futures_lite::AsyncReadExt as _;
use nym_proto::time::Instant;
use smol::channel::{self, Receiver, Sender};
use smol::net::TcpStream;
use smol::{LocalExecutor, Timer};

use super::clients::Clients;
use super::peers::Peers;
use super::unix_now;
use crate::gateway::{self, Gateway, GatewayStats};
use crate::mixnode::{self, MixNode};
use crate::relay::{LinkId, PacketStats};

/// How often machines are told the wall clock.
const CLOCK_EVERY: Duration = Duration::from_secs(60);
/// Bytes read from a link at a time.
const READ_SIZE: usize = 64 * 1024;

/// The monotonic clock of the network.
#[derive(Clone, Copy)]
pub(super) struct Clock(std::time::Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(super) fn now(self) -> Instant {
        let elapsed = self.0.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// A node of either kind.
pub(super) enum Machine {
    Mix(Box<MixNode>),
    Gateway(Box<Gateway>),
}

/// A machine with everything around it. Its tasks run on an executor of its own and end with it.
pub(super) struct Host {
    executor: Weak<LocalExecutor<'static>>,
    clock: Clock,
    /// `None` once the node is stopped.
    machine: RefCell<Option<Machine>>,
    peers: Rc<Peers>,
    clients: Clients,
    /// Dropping a link's sender closes the link.
    links: RefCell<BTreeMap<LinkId, Sender<()>>>,
    next_id: Cell<u64>,
    wake: Sender<()>,
}

impl Host {
    pub(super) fn new(
        executor: Weak<LocalExecutor<'static>>,
        clock: Clock,
        machine: Machine,
    ) -> Rc<Self> {
        let (wake, woken) = channel::bounded(1);
        let host = Rc::new(Self {
            peers: Peers::new(executor.clone()),
            executor,
            clock,
            machine: RefCell::new(Some(machine)),
            clients: Clients::default(),
            links: RefCell::default(),
            next_id: Cell::new(0),
            wake,
        });
        host.spawn(Rc::clone(&host).keep_time(woken));
        host
    }

    pub(super) fn clients(&self) -> &Clients {
        &self.clients
    }

    pub(super) fn take_machine(&self) -> Option<Machine> {
        self.machine.take()
    }

    pub(super) fn link_losses(&self) -> u64 {
        self.peers.losses()
    }

    pub(super) fn gateway_stats(&self) -> Option<GatewayStats> {
        match self.machine.borrow().as_ref()? {
            Machine::Gateway(gateway) => Some(gateway.stats()),
            Machine::Mix(_) => None,
        }
    }

    pub(super) fn mix_stats(&self) -> Option<PacketStats> {
        match self.machine.borrow().as_ref()? {
            Machine::Mix(mix) => Some(mix.stats()),
            Machine::Gateway(_) => None,
        }
    }

    pub(super) fn set_loss(&self, loss: f64) {
        if let Some(Machine::Mix(mix)) = self.machine.borrow_mut().as_mut() {
            mix.set_loss(loss);
        }
    }

    /// Runs a task for as long as the node runs.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(task).detach();
        }
    }

    /// A number that names one connection.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.set(self.next_id.get() + 1);
        self.next_id.get()
    }

    /// Gives a gateway an event, and does what it says.
    pub(super) fn gateway_event(self: &Rc<Self>, event: gateway::Event<'_>) {
        self.with(|machine, now| {
            if let Machine::Gateway(gateway) = machine {
                gateway.handle(now, event);
            }
        });
    }

    pub(super) fn listen_for_nodes(self: &Rc<Self>, listener: TcpListener) -> io::Result<()> {
        let host = Rc::clone(self);
        self.accept(listener, move |stream| {
            let link = LinkId(host.next_id());
            host.spawn(Rc::clone(&host).read_link(link, stream));
        })
    }

    /// Takes connections for as long as the node runs.
    pub(super) fn accept(
        &self,
        listener: TcpListener,
        mut on_connection: impl FnMut(TcpStream) + 'static,
    ) -> io::Result<()> {
        let listener = smol::net::TcpListener::try_from(listener)?;
        self.spawn(async move {
            loop {
                match listener.accept().await {
                    // without it packets wait for the acknowledgements of others
                    Ok((stream, _)) if stream.set_nodelay(true).is_ok() => on_connection(stream),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!("cannot take a connection: {error}");
                        Timer::after(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(())
    }

    async fn read_link(self: Rc<Self>, link: LinkId, mut stream: TcpStream) {
        let (handle, closed) = channel::bounded::<()>(1);
        self.links.borrow_mut().insert(link, handle);
        self.node_event(NodeEvent::Opened(link));
        let read = async {
            let mut buffer = vec![0; READ_SIZE];
            while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                self.node_event(NodeEvent::Bytes(link, buffer.get(..len).unwrap_or_default()));
            }
        };
        let closed = async {
            let _ = closed.recv().await;
        };
        smol::future::or(read, closed).await;
        self.links.borrow_mut().remove(&link);
        self.node_event(NodeEvent::Closed(link));
    }

    fn node_event(self: &Rc<Self>, event: NodeEvent<'_>) {
        self.with(|machine, now| match machine {
            Machine::Mix(mix) => mix.handle(now, event.for_mix()),
            Machine::Gateway(gateway) => gateway.handle(now, event.for_gateway()),
        });
    }

    /// Does something with the machine, then does what the machine says.
    fn with(self: &Rc<Self>, act: impl FnOnce(&mut Machine, Instant)) {
        let mut machine = self.machine.borrow_mut();
        let Some(machine) = machine.as_mut() else {
            return;
        };
        act(machine, self.clock.now());
        match machine {
            Machine::Mix(mix) => {
                while let Some(action) = mix.poll_action() {
                    self.do_for_mix(action);
                }
            }
            Machine::Gateway(gateway) => {
                while let Some(action) = gateway.poll_action() {
                    self.do_for_gateway(action);
                }
            }
        }
        // the timer looks at the deadline again; if it is woken already, all the better
        let _ = self.wake.try_send(());
    }

    fn do_for_mix(&self, action: mixnode::Action) {
        match action {
            mixnode::Action::Forward { next, frame } => self.peers.send(next, frame),
            mixnode::Action::CloseLink(link) => self.close_link(link),
        }
    }

    fn do_for_gateway(self: &Rc<Self>, action: gateway::Action) {
        match action {
            gateway::Action::Forward { next, frame } => self.peers.send(next, frame),
            gateway::Action::CloseLink(link) => self.close_link(link),
            other => self.clients.obey(self, other),
        }
    }

    fn close_link(&self, link: LinkId) {
        self.links.borrow_mut().remove(&link);
    }

    /// Wakes the machine when it wants to be woken, and tells it the time of day.
    async fn keep_time(self: Rc<Self>, woken: Receiver<()>) {
        let mut next_clock = self.clock.now() + CLOCK_EVERY;
        loop {
            let deadline = match self.machine.borrow().as_ref() {
                Some(Machine::Mix(mix)) => mix.next_deadline(),
                Some(Machine::Gateway(gateway)) => gateway.next_deadline(),
                None => return,
            };
            let at = deadline.map_or(next_clock, |deadline| deadline.min(next_clock));
            let wait = async {
                Timer::after(at.since(self.clock.now())).await;
                true
            };
            let is_due = smol::future::or(wait, async { woken.recv().await.is_err() }).await;
            if self.clock.now() >= next_clock {
                next_clock = self.clock.now() + CLOCK_EVERY;
                self.node_event(NodeEvent::Clock);
            } else if is_due {
                self.node_event(NodeEvent::Tick);
            }
        }
    }
}

/// What happens to nodes of both kinds.
enum NodeEvent<'a> {
    Tick,
    Clock,
    Opened(LinkId),
    Bytes(LinkId, &'a [u8]),
    Closed(LinkId),
}

impl<'a> NodeEvent<'a> {
    fn for_mix(self) -> mixnode::Event<'a> {
        match self {
            Self::Tick => mixnode::Event::Tick,
            Self::Clock => mixnode::Event::Clock(unix_now()),
            Self::Opened(link) => mixnode::Event::LinkOpened(link),
            Self::Bytes(link, bytes) => mixnode::Event::LinkBytes { link, bytes },
            Self::Closed(link) => mixnode::Event::LinkClosed(link),
        }
    }

    fn for_gateway(self) -> gateway::Event<'a> {
        match self {
            Self::Tick => gateway::Event::Tick,
            Self::Clock => gateway::Event::Clock(unix_now()),
            Self::Opened(link) => gateway::Event::LinkOpened(link),
            Self::Bytes(link, bytes) => gateway::Event::LinkBytes { link, bytes },
            Self::Closed(link) => gateway::Event::LinkClosed(link),
        }
    }
}
