//! The runtime's side.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use async_channel::{Receiver, Sender};
use futures_core::Stream as _;
use nym_proto::address::Recipient;
use nym_proto::client::{
    Action, Change, Client, ConnectionId, Connectivity, Delivery, Event, Fact, FetchId, Lane,
    MessageId, Outcome, Refused, RefusedReason, Shutdown, StopReason, WsFrame,
};
use tracing::{debug, error, info};

use crate::clock::Clock;
use crate::log;
use crate::machine::Machine;
use crate::queue::{Control, LaneUsage, QueueSender, Shared, Submission, Verdict};
use crate::store::{SharedStore, Store};
use crate::waiting::Waiting;

/// Ticks and commands handled in one call of [`Driver::poll`] without an [`Io`] in between; a
/// runtime looks at its sockets at least this often.
const STEPS_MAX: usize = 32;

/// Ticks after which a command has its turn, though further ticks may be due. A machine that is too slow
/// for its schedule would otherwise never hear its application, not even that it is to stop.
const TICKS_IN_A_ROW_MAX: usize = 4;

/// Something a runtime has to do. Mirrors the actions of the core that concern the outside; what
/// they ask for is described there.
#[derive(Clone, PartialEq, Debug)]
pub enum Io {
    /// See [`Action::Connect`].
    Connect {
        /// Names the connection.
        connection: ConnectionId,
        /// URLs, best first.
        urls: Vec<String>,
    },
    /// See [`Action::Write`].
    Write {
        /// The connection to write to.
        connection: ConnectionId,
        /// The message.
        frame: WsFrame,
    },
    /// See [`Action::Disconnect`].
    Disconnect {
        /// The connection to drop.
        connection: ConnectionId,
    },
    /// See [`Action::Fetch`].
    Fetch {
        /// Names the request.
        fetch: FetchId,
        /// What to GET.
        url: String,
    },
}

/// Runs the state machine on behalf of a runtime. Dropping it ends the client for all handles.
pub struct Driver<M = Client> {
    machine: M,
    clock: Clock,
    shared: Arc<Shared>,
    submitted: Pin<Box<Receiver<Submission>>>,
    controlled: Pin<Box<Receiver<Control>>>,
    deliver: Sender<Delivery>,
    report: QueueSender<Fact>,
    store: Option<SharedStore>,
    /// Taken once the caller of connect has its answer.
    ready: Option<Sender<Result<Recipient, StopReason>>>,
    outcomes: BTreeMap<MessageId, Sender<Outcome>>,
    waiting: Waiting,
    ticks_in_a_row: usize,
    /// All handles are gone.
    is_abandoned: bool,
    /// The snapshot is older than the machine.
    is_stale: bool,
    is_stopped: bool,
    /// Closed by being dropped.
    _running: Sender<Infallible>,
}

/// The driver's ends of the queues.
pub(crate) struct DriverQueues {
    pub(crate) submitted: Receiver<Submission>,
    pub(crate) controlled: Receiver<Control>,
    pub(crate) deliver: Sender<Delivery>,
    pub(crate) report: QueueSender<Fact>,
    pub(crate) ready: Sender<Result<Recipient, StopReason>>,
    pub(crate) running: Sender<Infallible>,
}

impl<M: Machine> Driver<M> {
    pub(crate) fn new(
        machine: M,
        clock: Clock,
        shared: Arc<Shared>,
        queues: DriverQueues,
        store: Option<SharedStore>,
        waiting_max: usize,
    ) -> Self {
        Self {
            machine,
            clock,
            shared,
            submitted: Box::pin(queues.submitted),
            controlled: Box::pin(queues.controlled),
            deliver: queues.deliver,
            report: queues.report,
            store,
            ready: Some(queues.ready),
            outcomes: BTreeMap::new(),
            waiting: Waiting::new(waiting_max),
            ticks_in_a_row: 0,
            is_abandoned: false,
            is_stale: true,
            is_stopped: false,
            _running: queues.running,
        }
    }

    /// Tells the core what happened outside.
    pub fn handle(&mut self, event: Event) {
        self.is_stale = true;
        if self.machine.handle(self.clock.now(), event).is_err() {
            debug_assert!(false, "messages are submitted through the handle");
        }
    }

    /// The next thing to do, or `None` once the client has stopped. Pending: nothing for now; call
    /// again when the waker of `cx` is called, after [`Driver::handle`], and at
    /// [`Driver::deadline`].
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Io>> {
        for _ in 0..STEPS_MAX {
            while let Some(action) = self.machine.poll_action() {
                self.is_stale = true;
                if let Some(io) = self.perform(action) {
                    return Poll::Ready(Some(io));
                }
            }
            if self.is_stale {
                self.publish();
            }
            if self.is_stopped {
                return Poll::Ready(None);
            }
            if !self.step(cx) {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// When to call [`Driver::poll`] again at the latest. `None`: no need.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.clock.platform(self.machine.next_deadline()?.at)
    }

    /// Gives the core one tick or one command. False if there is neither.
    fn step(&mut self, cx: &mut Context<'_>) -> bool {
        if self.ticks_in_a_row < TICKS_IN_A_ROW_MAX && self.tick() {
            self.ticks_in_a_row += 1;
            return true;
        }
        self.ticks_in_a_row = 0;
        self.poll_control(cx) || self.poll_submitted(cx) || self.tick()
    }

    /// Gives the core a tick if its deadline has come.
    fn tick(&mut self) -> bool {
        let now = self.clock.now();
        let is_due = self.machine.next_deadline().is_some_and(|deadline| deadline.at <= now);
        if is_due {
            self.handle(Event::Tick);
        }
        is_due
    }

    /// Takes one command that is not a message.
    fn poll_control(&mut self, cx: &mut Context<'_>) -> bool {
        let command =
            if self.is_abandoned { Poll::Pending } else { self.controlled.as_mut().poll_next(cx) };
        // looked at after the queue: a command that announces it may have found the queue full
        let taken = self.shared.taken.swap(0, Ordering::AcqRel);
        if taken > 0 {
            self.handle(Event::Taken(taken));
        }
        match command {
            Poll::Pending => return taken > 0,
            Poll::Ready(None) => {
                info!("nobody uses the client any more");
                self.is_abandoned = true;
                self.shutdown(Shutdown::Now);
            }
            Poll::Ready(Some(Control::Taken)) => {}
            Poll::Ready(Some(Control::CloseLane(lane))) => self.handle(Event::CloseLane(lane)),
            Poll::Ready(Some(Control::Lane(lane, answer))) => {
                let (packets, bytes) = (self.machine.lane_len(lane), self.machine.lane_bytes(lane));
                let _ = answer.try_send(LaneUsage { packets, bytes });
            }
            Poll::Ready(Some(Control::Progress(id, answer))) => {
                let _ = answer.try_send(self.machine.progress(id));
            }
            Poll::Ready(Some(Control::NetworkChanged)) => {
                self.handle(Event::NetworkChanged { unix_time: Clock::unix_time() })
            }
            Poll::Ready(Some(Control::SetTier(tier))) => self.handle(Event::SetTier(tier)),
            Poll::Ready(Some(Control::Shutdown(how))) => self.shutdown(how),
        }
        true
    }

    fn shutdown(&mut self, how: Shutdown) {
        self.handle(Event::Shutdown(how));
        self.submit_all_waiting();
    }

    /// Takes one message.
    fn poll_submitted(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_abandoned {
            return false;
        }
        match self.submitted.as_mut().poll_next(cx) {
            Poll::Ready(Some(submission)) => {
                let refused = match self.waiting.has(submission.message.lane) {
                    true => Some(submission),
                    false => self.submit(submission),
                };
                if let Some(submission) = refused {
                    self.hold(submission);
                }
                true
            }
            // the other queue announces the end
            Poll::Ready(None) | Poll::Pending => false,
        }
    }

    /// Keeps a message until its lane has room, or its sender until there is a place for it.
    fn hold(&mut self, submission: Submission) {
        if let Some(Submission { message, verdict, .. }) = self.waiting.push(submission) {
            let later = Verdict::Later(Box::new(message), self.waiting.moved());
            let _ = verdict.try_send(later);
        }
    }

    fn submit_all_waiting(&mut self) {
        for lane in self.waiting.lanes() {
            self.submit_waiting(lane);
        }
    }

    fn submit_waiting(&mut self, lane: Lane) {
        while let Some(submission) = self.waiting.pop(lane) {
            if let Some(refused) = self.submit(submission) {
                self.waiting.put_back(refused);
                return;
            }
            self.waiting.note_moved();
        }
    }

    /// Hands a message to the core. It comes back if there is no room now.
    fn submit(&mut self, submission: Submission) -> Option<Submission> {
        let Submission { message, verdict, outcome } = submission;
        if verdict.is_closed() {
            // the sender has stopped waiting, which withdraws the message
            return None;
        }
        let id = message.id;
        self.is_stale = true;
        match self.machine.handle(self.clock.now(), Event::Send(message)) {
            Ok(()) => {
                self.outcomes.insert(id, outcome);
                let _ = verdict.try_send(Verdict::Accepted);
            }
            Err(Refused { reason: RefusedReason::Full, message }) => {
                return Some(Submission { message: *message, verdict, outcome });
            }
            Err(refused) => {
                let _ = verdict.try_send(Verdict::Refused(refused));
            }
        }
        None
    }

    /// Does what an action asks for, unless it concerns the outside.
    fn perform(&mut self, action: Action) -> Option<Io> {
        if matches!(action, Action::Deliver(_) | Action::Outcome { .. }) {
            // who is told finds it in the counters
            self.publish();
        }
        match action {
            Action::Connect { connection, urls } => {
                debug!(?connection, ?urls, "connect");
                self.shared.snapshot().gateway_urls.clone_from(&urls);
                return Some(Io::Connect { connection, urls });
            }
            Action::Write { connection, frame } => return Some(Io::Write { connection, frame }),
            Action::Disconnect { connection } => {
                debug!(?connection, "disconnect");
                return Some(Io::Disconnect { connection });
            }
            Action::Fetch { fetch, url } => {
                debug!(url, "fetch");
                return Some(Io::Fetch { fetch, url });
            }
            Action::Deliver(delivery) => {
                let full = self.deliver.try_send(delivery).is_err_and(|e| e.is_full());
                if full {
                    error!("a message was lost: the core delivers beyond its window");
                }
            }
            Action::Outcome { id, outcome } => {
                debug!(?id, ?outcome, "message ended");
                if let Some(receipt) = self.outcomes.remove(&id) {
                    let _ = receipt.try_send(outcome);
                }
            }
            Action::Writable(Some(lane)) => self.submit_waiting(lane),
            Action::Writable(None) => self.submit_all_waiting(),
            Action::Persist(changes) => self.keep(&changes),
            Action::Report(fact) => self.fact(fact),
            Action::Stopped(reason) => self.stop(reason),
            // the runtime asks for the deadline
            Action::SetTimer(_) => {}
            action => {
                error!("the core asks for something the shell does not know");
                debug!(?action, "unknown action");
            }
        }
        None
    }

    /// Done when this returns, so that no later action runs ahead of it.
    fn keep(&mut self, changes: &[Change]) {
        {
            let mut snapshot = self.shared.snapshot();
            if let Some(registration) = changes.iter().rev().find_map(Change::registration) {
                snapshot.registration = Some(registration);
            }
            if let Some(kept) = &mut snapshot.kept {
                kept.apply(changes);
            }
        }
        let kept = self.store.as_mut().map_or(Ok(()), |store| store.apply(changes));
        if let Err(error) = kept {
            error!("what has to survive a crash could not be kept");
            debug!(%error, "why it could not be kept");
            self.handle(Event::NotKept { reason: error.to_string() });
        }
    }

    fn fact(&mut self, fact: Fact) {
        log::fact(&fact);
        let failure = match &fact {
            Fact::ConnectionFailed { failure, .. } => Some(failure.to_string()),
            Fact::DirectoryFailed { reason, .. } => Some(reason.clone()),
            Fact::NoGateway => Some("the network offers no gateway the client may use".to_owned()),
            _ => None,
        };
        if failure.is_some() {
            self.shared.snapshot().last_failure = failure;
        }
        self.report.push(fact);
    }

    fn stop(&mut self, reason: StopReason) {
        info!("stopped");
        debug!(%reason, "why it stopped");
        self.is_stopped = true;
        self.shared.snapshot().stopped = Some(reason.clone());
        if let Some(ready) = self.ready.take() {
            let _ = ready.try_send(Err(reason));
        }
    }

    /// Brings what the handles see up to date, and lets connect return once the client is ready.
    fn publish(&mut self) {
        self.is_stale = false;
        let address = self.machine.address();
        let connectivity = self.machine.connectivity();
        {
            let mut snapshot = self.shared.snapshot();
            snapshot.address = address;
            snapshot.connectivity = connectivity;
            snapshot.stats = *self.machine.stats();
        }
        if connectivity.is_up()
            && let Some(address) = address
            && let Some(ready) = self.ready.take()
        {
            let _ = ready.try_send(Ok(address));
        }
    }
}

impl<M> Drop for Driver<M> {
    fn drop(&mut self) {
        self.shared.snapshot().connectivity = Connectivity::Closed;
        // what is queued outlives the receivers as long as there are senders, and whoever waits
        // for an answer with it
        self.submitted.close();
        while self.submitted.try_recv().is_ok() {}
        self.controlled.close();
        while self.controlled.try_recv().is_ok() {}
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
