//! The task of a client: moves what the driver asks for, and waits.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use nym_proto::client::{ConnectionId, Event, FetchError, FetchId};
use nym_shell::net::{Edge, Fetcher, Flow};
use nym_shell::{Clock, Driver, Io};
use smol::Timer;

use crate::dial::{WebSocket, dial};
use crate::link::{Link, LinkEvent};

/// Rounds before the task lets others run.
const ROUNDS_MAX: usize = 64;

/// Runs a client until it has stopped.
pub(crate) fn run(driver: Driver, edge: Edge) -> impl Future<Output = ()> + Send {
    let mut runner = Runner {
        link: None,
        dialing: None,
        fetches: Vec::new(),
        timer: Timer::never(),
        timer_at: None,
        fetcher: edge.fetcher(),
        edge,
        driver,
    };
    async move { poll_fn(|cx| runner.poll(cx)).await }
}

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The fields are dropped in this order: the driver last, since its end tells the handles that
/// everything is over.
struct Runner {
    link: Option<Link>,
    dialing: Option<(ConnectionId, Pending<Result<WebSocket, String>>)>,
    /// As many as the core asks for at once.
    fetches: Vec<(FetchId, Pending<Result<Bytes, FetchError>>)>,
    timer: Timer,
    timer_at: Option<Instant>,
    edge: Edge,
    fetcher: Fetcher,
    driver: Driver,
}

impl Runner {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // each round does one thing the core asks for and reads one frame, so that neither a burst
        // of frames delays the core's timer nor a busy core the frames
        for _ in 0..ROUNDS_MAX {
            let mut is_idle = true;
            match self.driver.poll(cx) {
                Poll::Ready(Some(io)) => {
                    is_idle = false;
                    self.perform(io, cx);
                }
                Poll::Ready(None) => {
                    self.disconnect(cx);
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
            is_idle &= !self.poll_dialing(cx);
            is_idle &= !self.poll_fetches(cx);
            is_idle &= !self.poll_link(cx);
            if is_idle && self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn perform(&mut self, io: Io, cx: &mut Context<'_>) {
        match io {
            Io::Connect { connection, urls } => {
                self.disconnect(cx);
                let dialing = dial(urls, self.edge.clone());
                self.dialing = Some((connection, Box::pin(dialing)));
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
                    || self.dialing.as_ref().map(|d| d.0) == Some(connection);
                if is_current {
                    self.disconnect(cx);
                }
            }
            Io::Fetch { fetch, url } => {
                let fetcher = self.fetcher.clone();
                let fetching = smol::unblock(move || fetcher.get(&url));
                self.fetches.push((fetch, Box::pin(fetching)));
            }
        }
    }

    fn disconnect(&mut self, cx: &mut Context<'_>) {
        self.dialing = None;
        if let Some(link) = self.link.take() {
            link.close(cx);
        }
    }

    fn lost(&mut self, connection: ConnectionId, reason: String) {
        self.link = None;
        self.driver.handle(Event::GatewayClosed { connection, reason });
    }

    fn poll_dialing(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((connection, dialing)) = &mut self.dialing else {
            return false;
        };
        let Poll::Ready(result) = dialing.as_mut().poll(cx) else {
            return false;
        };
        let connection = *connection;
        self.dialing = None;
        match result {
            Ok(socket) => {
                self.link = Some(Link::new(connection, socket));
                self.driver
                    .handle(Event::GatewayConnected { connection, unix_time: Clock::unix_time() });
            }
            Err(reason) => self.lost(connection, reason),
        }
        true
    }

    fn poll_fetches(&mut self, cx: &mut Context<'_>) -> bool {
        let mut done = None;
        for (index, (fetch, fetching)) in self.fetches.iter_mut().enumerate() {
            if let Poll::Ready(result) = fetching.as_mut().poll(cx) {
                done = Some((index, *fetch, result));
                break;
            }
        }
        let Some((index, fetch, result)) = done else {
            return false;
        };
        drop(self.fetches.swap_remove(index));
        self.driver.handle(Event::Fetched { fetch, result, unix_time: Clock::unix_time() });
        true
    }

    fn poll_link(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        let connection = link.connection;
        let Poll::Ready(event) = link.poll(cx) else {
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

    /// Ready when the driver's deadline has come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.driver.deadline();
        if deadline != self.timer_at {
            self.timer_at = deadline;
            match deadline {
                Some(at) => self.timer.set_at(at),
                None => self.timer = Timer::never(),
            }
        }
        let ready = Pin::new(&mut self.timer).poll(cx).map(|_| ());
        if ready.is_ready() {
            // a timer that has fired has to be set again
            self.timer_at = None;
        }
        ready
    }
}
