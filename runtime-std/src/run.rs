//! The thread of a client: moves what the driver asks for, and waits.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::{Events, Token};
use nym_proto::client::{ConnectionId, Event, FetchError, FetchId};
use nym_shell::net::{Edge, Fetcher, Flow};
use nym_shell::{Clock, ConnectError, Driver, Io};
use tracing::error;

use crate::dial::{WebSocket, dial};
use crate::link::{Link, LinkEvent};

const WAKE: Token = Token(0);
const SOCKET: Token = Token(1);

/// The poller counts in whole milliseconds; what is less is slept.
const POLL_STEP: Duration = Duration::from_millis(1);

/// The fields are dropped in this order: the driver last, since its end tells the handles that
/// everything is over.
pub(crate) struct Runner {
    link: Option<Link>,
    dialing: Option<ConnectionId>,
    /// What helper threads have done. There are as many of them as the core has requests.
    done: Receiver<Done>,
    helpers: Sender<Done>,
    poll: mio::Poll,
    waker: Waker,
    edge: Edge,
    fetcher: Fetcher,
    driver: Driver,
}

/// What a helper thread has done.
enum Done {
    Dialed(ConnectionId, Result<Box<WebSocket>, String>),
    Fetched(FetchId, Result<Bytes, FetchError>),
}

struct WakePoll(mio::Waker);

impl Wake for WakePoll {
    fn wake(self: Arc<Self>) {
        // fails only if the poller is gone, and then nobody waits
        let _ = self.0.wake();
    }
}

impl Runner {
    pub(crate) fn new(driver: Driver, edge: Edge) -> Result<Self, ConnectError> {
        let poll = mio::Poll::new().map_err(|e| ConnectError::Start(e.to_string()))?;
        let waker = mio::Waker::new(poll.registry(), WAKE)
            .map_err(|e| ConnectError::Start(e.to_string()))?;
        let (helpers, done) = channel();
        Ok(Self {
            link: None,
            dialing: None,
            done,
            helpers,
            poll,
            waker: Waker::from(Arc::new(WakePoll(waker))),
            fetcher: edge.fetcher(),
            edge,
            driver,
        })
    }

    /// Runs the client until it has stopped.
    pub(crate) fn run(mut self) {
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        let mut events = Events::with_capacity(8);
        // each round does one thing the core asks for and reads one frame, so that neither a burst
        // of frames delays the core's timer nor a busy core the frames
        loop {
            let mut is_idle = true;
            match self.driver.poll(&mut cx) {
                Poll::Ready(Some(io)) => {
                    is_idle = false;
                    self.perform(io);
                }
                Poll::Ready(None) => break,
                Poll::Pending => {}
            }
            is_idle &= !self.take_done();
            is_idle &= !self.step_link();
            if is_idle && let Err(error) = self.wait(&mut events) {
                error!(%error, "cannot wait for events");
                break;
            }
        }
        self.disconnect();
    }

    fn perform(&mut self, io: Io) {
        match io {
            Io::Connect { connection, urls } => {
                self.disconnect();
                self.dialing = Some(connection);
                let edge = self.edge.clone();
                self.help(move || Done::Dialed(connection, dial(urls, &edge).map(Box::new)));
            }
            Io::Write { connection, frame } => {
                if let Some(link) = self.link.as_mut().filter(|l| l.connection == connection)
                    && let Err(error) = link.push(frame)
                {
                    self.lost(connection, error.to_string());
                }
            }
            Io::Disconnect { connection } => {
                let is_current = self.link.as_ref().map(|l| l.connection) == Some(connection)
                    || self.dialing == Some(connection);
                if is_current {
                    self.disconnect();
                }
            }
            Io::Fetch { fetch, url } => {
                let fetcher = self.fetcher.clone();
                self.help(move || Done::Fetched(fetch, fetcher.get(&url)));
            }
        }
    }

    /// Runs something that blocks in a thread of its own.
    fn help(&self, work: impl FnOnce() -> Done + Send + 'static) {
        let (helpers, waker) = (self.helpers.clone(), self.waker.clone());
        let helper = thread::Builder::new().name("nym-helper".to_owned());
        let spawned = helper.spawn(move || {
            // fails only if the client is gone
            let _ = helpers.send(work());
            waker.wake();
        });
        if let Err(error) = spawned {
            // the core's own time-out ends the wait for an answer
            error!(%error, "cannot start a helper thread");
        }
    }

    fn disconnect(&mut self) {
        self.dialing = None;
        if let Some(link) = self.link.take() {
            link.close(self.poll.registry());
        }
    }

    fn lost(&mut self, connection: ConnectionId, reason: String) {
        if let Some(link) = self.link.take() {
            link.abandon(self.poll.registry());
        }
        self.driver.handle(Event::GatewayClosed { connection, reason });
    }

    fn take_done(&mut self) -> bool {
        let Ok(done) = self.done.try_recv() else {
            return false;
        };
        match done {
            Done::Dialed(connection, result) if self.dialing == Some(connection) => {
                self.dialing = None;
                let link = result.and_then(|socket| {
                    Link::new(connection, *socket, self.poll.registry(), SOCKET)
                        .map_err(|e| e.to_string())
                });
                match link {
                    Ok(link) => {
                        self.link = Some(link);
                        self.driver.handle(Event::GatewayConnected {
                            connection,
                            unix_time: Clock::unix_time(),
                        });
                    }
                    Err(reason) => self.lost(connection, reason),
                }
            }
            // the core has given this attempt up
            Done::Dialed(..) => {}
            Done::Fetched(fetch, result) => {
                self.driver.handle(Event::Fetched { fetch, result, unix_time: Clock::unix_time() })
            }
        }
        true
    }

    fn step_link(&mut self) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        let connection = link.connection;
        let Some(event) = link.step() else {
            return false;
        };
        match event {
            LinkEvent::Frame(frame) => {
                self.driver.handle(Event::GatewayFrame { connection, frame })
            }
            LinkEvent::Control => {}
            LinkEvent::Flow(Flow::Pause) => {
                self.driver.handle(Event::GatewayBlocked { connection });
            }
            LinkEvent::Flow(Flow::Resume) => {
                self.driver.handle(Event::GatewayWritable { connection });
            }
            LinkEvent::Closed(reason) => self.lost(connection, reason),
        }
        true
    }

    /// Waits until the socket is ready, somebody calls the waker, or the driver's deadline comes.
    fn wait(&mut self, events: &mut Events) -> std::io::Result<()> {
        let left = self.driver.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let whole = left.map(|left| {
            let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            Duration::from_millis(millis)
        });
        match self.poll.poll(events, whole) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let is_socket = events.iter().any(|event| event.token() == SOCKET);
        if let Some(link) = self.link.as_mut().filter(|_| is_socket) {
            link.ready();
        }
        if events.is_empty()
            && let Some(left) = left.filter(|left| *left < POLL_STEP)
        {
            thread::sleep(left);
        }
        Ok(())
    }
}
