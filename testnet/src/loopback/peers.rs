//! Outgoing connections to other nodes. (protocol: sphinx 13.4)

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use nym_proto::address::NodeAddress;
use smol::channel::{self, Receiver, Sender};
use smol::net::TcpStream;
use smol::{LocalExecutor, Timer};

/// Packets queued for one node. (protocol: sphinx 13.4)
const QUEUE_MAX: usize = 2000;
/// Nodes connected to at a time.
const PEERS_MAX: usize = 1024;
/// How long opening a connection may take. (protocol: sphinx 13.4)
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1500);
/// An unused connection is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Pauses after a failed attempt; short, as everybody is near.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The outgoing connections of one node, opened on first use.
pub(super) struct Peers {
    executor: Weak<LocalExecutor<'static>>,
    queues: RefCell<BTreeMap<NodeAddress, Sender<Bytes>>>,
    losses: Cell<u64>,
}

impl Peers {
    pub(super) fn new(executor: Weak<LocalExecutor<'static>>) -> Rc<Self> {
        let (queues, losses) = (RefCell::default(), Cell::new(0));
        Rc::new(Self { executor, queues, losses })
    }

    /// Frames that did not fit a queue or were in it when its connection failed.
    pub(super) fn losses(&self) -> u64 {
        self.losses.get()
    }

    /// Queues a frame for a node; it is lost if there is no room.
    pub(super) fn send(self: &Rc<Self>, to: NodeAddress, frame: Bytes) {
        let mut queues = self.queues.borrow_mut();
        if !queues.contains_key(&to) {
            let Some(executor) = self.executor.upgrade() else {
                return;
            };
            if queues.len() >= PEERS_MAX {
                return self.lose(1);
            }
            let (queue, frames) = channel::bounded(QUEUE_MAX);
            queues.insert(to, queue);
            executor.spawn(Rc::clone(self).serve(to, frames)).detach();
        }
        if queues.get(&to).is_some_and(|queue| queue.try_send(frame).is_err()) {
            self.lose(1);
        }
    }

    fn lose(&self, frames: usize) {
        self.losses.set(self.losses.get() + frames as u64);
    }

    /// Keeps one connection going until nobody uses it any more.
    async fn serve(self: Rc<Self>, to: NodeAddress, frames: Receiver<Bytes>) {
        let mut pause = PAUSE_MIN;
        loop {
            match connect(to).await {
                Ok(stream) => {
                    pause = PAUSE_MIN;
                    match write_frames(stream, &frames).await {
                        End::Idle => break,
                        End::Closed { unwritten } => self.lose(unwritten),
                    }
                    if frames.is_empty() {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!("no connection to {to}: {error}");
                    Timer::after(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    let mut lost = 0;
                    while frames.try_recv().is_ok() {
                        lost += 1;
                    }
                    self.lose(lost);
                    let is_wanted = smol::future::or(async { Some(frames.recv().await) }, async {
                        Timer::after(IDLE_TIMEOUT).await;
                        None
                    });
                    match is_wanted.await {
                        Some(Ok(frame)) => self.send(to, frame),
                        _ => break,
                    }
                }
            }
        }
        // nothing is awaited between the last look at the queue and its removal
        self.queues.borrow_mut().remove(&to);
    }
}

enum End {
    /// Nobody has sent anything for long.
    Idle,
    /// The connection broke.
    Closed { unwritten: usize },
}

async fn connect(to: NodeAddress) -> io::Result<TcpStream> {
    let stream = smol::future::or(TcpStream::connect(to.socket_addr()), async {
        Timer::after(CONNECT_TIMEOUT).await;
        Err(io::ErrorKind::TimedOut.into())
    });
    let stream = stream.await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn write_frames(mut stream: TcpStream, frames: &Receiver<Bytes>) -> End {
    enum Next {
        Frame(Bytes),
        Idle,
        Closed,
    }
    let mut incoming = stream.clone();
    loop {
        let queued = async {
            match frames.recv().await {
                Ok(frame) => Next::Frame(frame),
                Err(_) => Next::Idle,
            }
        };
        // the other side never writes, so whatever can be read means the end
        let closed = async {
            let _ = incoming.read(&mut [0; 16]).await;
            Next::Closed
        };
        let idle = async {
            Timer::after(IDLE_TIMEOUT).await;
            Next::Idle
        };
        match smol::future::or(closed, smol::future::or(queued, idle)).await {
            Next::Frame(frame) => {
                if stream.write_all(&frame).await.is_err() {
                    return End::Closed { unwritten: 1 };
                }
            }
            Next::Idle => return End::Idle,
            Next::Closed => return End::Closed { unwritten: 0 },
        }
    }
}
