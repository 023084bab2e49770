//! The application's side.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{
    Client, Config, Connectivity, Delivery, Lane, MemoryStore, MessageId, Outcome, Outgoing,
    Progress, Registration, Shutdown, State, Stats, StopReason, Target, Tier,
};
use nym_proto::identity::Identity;
use nym_proto::message::SenderTag;

use crate::clock::Clock;
use crate::driver::{Driver, DriverQueues};
use crate::error::{Closed, ConnectError, SendError};
use crate::machine::Machine;
use crate::options::{Options, SendOptions};
use crate::queue::{Control, Events, LaneUsage, Shared, Submission, Verdict, queue};

/// Most messages that can wait for the application between core and handle; a larger delivery
/// window is cut to this.
const DELIVERY_WINDOW_MAX: u32 = 4096;

/// Commands other than messages that wait for the driver. Small: the driver always takes them.
const CONTROL_QUEUE: usize = 32;

/// Makes a client: the part that waits for it to be ready, and the driver for a runtime to run.
pub fn start(
    mut config: Config,
    identity: Identity,
    options: &Options,
) -> Result<(Starting, Driver), ConnectError> {
    let window = config.limits.delivery_window.clamp(1, DELIVERY_WINDOW_MAX);
    config.limits.delivery_window = window;
    let seed = options.seed()?;
    let clock = Clock::start();
    let kept = options.store.is_none().then(|| config.state.to_store());
    let registration = config.state.registration().cloned();
    let client = Client::new(config, identity, *seed, clock.now(), Clock::unix_time());
    let pair = pair(client, clock, window, options);
    {
        let mut snapshot = pair.0.inner.shared.snapshot();
        (snapshot.kept, snapshot.registration) = (kept, registration);
    }
    Ok(pair)
}

/// Joins a machine and an application with queues.
pub(crate) fn pair<M: Machine>(
    machine: M,
    clock: Clock,
    delivery_window: u32,
    options: &Options,
) -> (Starting, Driver<M>) {
    let shared = Arc::new(Shared::default());
    let send_queue = options.send_queue.clamp(1, Options::QUEUE_MAX);
    let (submissions, submitted) = async_channel::bounded(send_queue);
    let (controls, controlled) = async_channel::bounded(CONTROL_QUEUE);
    let (deliver, deliveries) =
        async_channel::bounded(usize::try_from(delivery_window).unwrap_or(usize::MAX));
    let (report, events) = queue(options.event_queue.min(Options::QUEUE_MAX));
    let (ready_sender, ready) = async_channel::bounded(1);
    let (running, ended) = async_channel::bounded(1);
    let inner = Inner { submissions, controls, deliveries, events, ended, shared: shared.clone() };
    let driver = Driver::new(
        machine,
        clock,
        shared,
        DriverQueues { submitted, controlled, deliver, report, ready: ready_sender, running },
        options.store.clone(),
        send_queue,
    );
    let starting = Starting { inner: Arc::new(inner), ready };
    (starting, driver)
}

/// A client that is not ready yet. Dropping it shuts the client down.
pub struct Starting {
    inner: Arc<Inner>,
    ready: Receiver<Result<Recipient, StopReason>>,
}

impl Starting {
    /// Waits until the client has an address and an established session.
    pub async fn ready(&self) -> Result<Handle, ConnectError> {
        match self.ready.recv().await {
            Ok(Ok(address)) => Ok(Handle { inner: self.inner.clone(), address }),
            Ok(Err(reason)) => Err(ConnectError::Stopped(reason)),
            Err(_) => Err(ConnectError::Died),
        }
    }

    /// What happens meanwhile, and later. See [`Handle::events`].
    #[must_use]
    pub fn events(&self) -> Events {
        self.inner.events.clone()
    }

    /// The error for a caller that will not wait longer.
    #[must_use]
    pub fn timed_out(self, after: Duration) -> ConnectError {
        let last_failure = self.inner.shared.snapshot().last_failure.take();
        ConnectError::TimedOut { after, last_failure }
    }
}

struct Inner {
    submissions: Sender<Submission>,
    controls: Sender<Control>,
    deliveries: Receiver<Delivery>,
    events: Events,
    /// Carries nothing; closed when the driver is gone.
    ended: Receiver<Infallible>,
    shared: Arc<Shared>,
}

/// A client, as its application holds it. Clones are handles to the same client, which is shut down
/// at once when the last of them is dropped.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
    address: Recipient,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("connectivity", &self.connectivity()).finish_non_exhaustive()
    }
}

impl Handle {
    /// The address others reach this client at.
    #[must_use]
    pub fn address(&self) -> Recipient {
        self.inner.shared.snapshot().address.unwrap_or(self.address)
    }

    /// Where the connection to the gateway stands.
    #[must_use]
    pub fn connectivity(&self) -> Connectivity {
        self.inner.shared.snapshot().connectivity
    }

    /// Counters. The last ones stay readable after the client has stopped.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.shared.snapshot().stats
    }

    /// The registration with the gateway, as it is kept.
    #[must_use]
    pub fn registration(&self) -> Option<Registration> {
        self.inner.shared.snapshot().registration.clone()
    }

    /// The `ws://` or `wss://` URLs at which the client looks for its gateway, best first.
    #[must_use]
    pub fn gateway_urls(&self) -> Vec<String> {
        self.inner.shared.snapshot().gateway_urls.clone()
    }

    /// Why the client has stopped; `None` while it runs.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inner.shared.snapshot().stopped.clone()
    }

    /// Sends to a known address; the recipient learns nothing about the sender.
    ///
    /// Returns when the client has accepted the message, which it does as soon as there is room for
    /// it in its lane and in the outbox. Lanes do not wait for each other. Dropping the future before
    /// that withdraws the message.
    pub async fn send(
        &self,
        recipient: Recipient,
        data: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        let target = Target::Plain(recipient);
        self.send_with(target, data, SendOptions::default()).await
    }

    /// Sends to a known address with `surbs` single-use reply blocks, so that the recipient can
    /// answer without learning who sent. 10 are usual. Otherwise like [`Handle::send`].
    pub async fn send_anonymous(
        &self,
        recipient: Recipient,
        surbs: u16,
        data: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        let target = Target::Anonymous { recipient, surbs };
        self.send_with(target, data, SendOptions::default()).await
    }

    /// Answers an anonymous correspondent. Otherwise like [`Handle::send`].
    pub async fn reply(
        &self,
        tag: SenderTag,
        data: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        let target = Target::Reply(tag);
        self.send_with(target, data, SendOptions::default()).await
    }

    /// Sends with a choice of lane and limits. Otherwise like [`Handle::send`].
    pub async fn send_with(
        &self,
        target: Target,
        data: impl Into<Bytes>,
        options: SendOptions,
    ) -> Result<Receipt, SendError> {
        let id = MessageId(self.inner.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let mut message = Outgoing {
            lane: options.lane,
            attempts_max: options.attempts_max,
            expires_after: options.expires_after,
            ..Outgoing::new(id, target, data.into())
        };
        loop {
            let (verdict, accepted) = async_channel::bounded(1);
            let (outcome, ended) = async_channel::bounded(1);
            let submission = Submission { message: message.clone(), verdict, outcome };
            if self.inner.submissions.send(submission).await.is_err() {
                return Err(SendError::Closed(Box::new(message)));
            }
            match accepted.recv().await {
                Ok(Verdict::Accepted) => return Ok(Receipt { id, outcome: ended }),
                Ok(Verdict::Refused(refused)) => return Err(SendError::Refused(refused)),
                Ok(Verdict::Later(returned, moved)) => {
                    message = *returned;
                    let _ = moved.recv().await;
                }
                Err(_) => return Err(SendError::Closed(Box::new(message))),
            }
        }
    }

    /// Waits for the next message. Messages that arrived before the client stopped are still
    /// handed out. Dropping the future loses nothing.
    pub async fn recv(&self) -> Result<Delivery, Closed> {
        let delivery = self.inner.deliveries.recv().await.map_err(|_| Closed)?;
        self.note_taken();
        Ok(delivery)
    }

    /// The next message if there is one already.
    #[must_use]
    pub fn try_recv(&self) -> Option<Delivery> {
        let delivery = self.inner.deliveries.try_recv().ok()?;
        self.note_taken();
        Some(delivery)
    }

    fn note_taken(&self) {
        if self.inner.shared.taken.fetch_add(1, Ordering::AcqRel) == 0 {
            // if the queue is full, the driver is about to look anyway
            let _ = self.inner.controls.try_send(Control::Taken);
        }
    }

    /// What happens to the client, from its start on. All callers share one queue; when it is full
    /// the oldest fact makes way.
    #[must_use]
    pub fn events(&self) -> Events {
        self.inner.events.clone()
    }

    /// What to pass as [`Config::state`] next time, as of now. `None` if it is kept elsewhere, in
    /// [`Options::store`].
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.inner.shared.snapshot().kept.as_ref().map(MemoryStore::state)
    }

    /// How many packets wait in a lane.
    pub async fn lane_len(&self, lane: Lane) -> Result<usize, Closed> {
        self.lane(lane).await.map(|usage| usage.packets)
    }

    /// What a lane holds.
    pub async fn lane(&self, lane: Lane) -> Result<LaneUsage, Closed> {
        let (answer, usage) = async_channel::bounded(1);
        self.control(Control::Lane(lane, answer)).await?;
        usage.recv().await.map_err(|_| Closed)
    }

    /// How far a message is. `None` once it has ended.
    pub async fn progress(&self, id: MessageId) -> Result<Option<Progress>, Closed> {
        let (answer, progress) = async_channel::bounded(1);
        self.control(Control::Progress(id, answer)).await?;
        progress.recv().await.map_err(|_| Closed)
    }

    /// Drops a lane: its unfinished messages end as failed.
    pub async fn close_lane(&self, lane: Lane) -> Result<(), Closed> {
        self.control(Control::CloseLane(lane)).await
    }

    /// Tells the client that the platform resumed from sleep or that the network changed.
    pub async fn network_changed(&self) -> Result<(), Closed> {
        self.control(Control::NetworkChanged).await
    }

    /// Asks for another rate of emission. It changes within a minute, at an instant that is drawn, and no
    /// sooner than ten minutes after the change before.
    pub async fn set_tier(&self, tier: Tier) -> Result<(), Closed> {
        self.control(Control::SetTier(tier)).await
    }

    /// Stops the client and waits until it has stopped and its connection is closed. Succeeds if it
    /// has stopped already; fails if it ended without a reason, which is a bug.
    pub async fn shutdown(&self, how: Shutdown) -> Result<(), Closed> {
        // an error means that it has ended, which is what is asked for
        let _ = self.control(Control::Shutdown(how)).await;
        let _ = self.inner.ended.recv().await;
        self.stop_reason().map(|_| ()).ok_or(Closed)
    }

    async fn control(&self, control: Control) -> Result<(), Closed> {
        self.inner.controls.send(control).await.map_err(|_| Closed)
    }
}

/// Promises the outcome of an accepted message. Dropping it does not affect the message.
#[derive(Debug)]
pub struct Receipt {
    id: MessageId,
    outcome: Receiver<Outcome>,
}

impl Receipt {
    /// The message's name, unique within the client.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// Waits until the message has ended. Fails only if the client ended without a reason, which
    /// is a bug. Dropping the future loses nothing; the outcome is handed out once.
    pub async fn outcome(&self) -> Result<Outcome, Closed> {
        self.outcome.recv().await.map_err(|_| Closed)
    }

    /// The outcome if the message has ended. It is handed out once.
    #[must_use]
    pub fn try_outcome(&self) -> Option<Outcome> {
        self.outcome.try_recv().ok()
    }
}
