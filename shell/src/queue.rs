//! What passes between handle and driver.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_channel::{Receiver, Sender};
use nym_proto::address::Recipient;
use nym_proto::client::{
    Connectivity, Fact, Lane, MemoryStore, MessageId, Outcome, Outgoing, Progress, Refused,
    Registration, Shutdown, Stats, StopReason, Tier,
};

/// Facts of a client, oldest first. See [`Handle::events`](crate::Handle::events).
pub type Events = Queue<Fact>;

/// A bounded queue from the client to the application in which new entries replace the oldest when
/// it is full. Clones share the entries: each goes to one taker.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    entries: Receiver<T>,
    missed: Arc<AtomicU64>,
}

impl<T> Queue<T> {
    /// Waits for the next entry. `None` when the client has ended and all have been taken.
    pub async fn next(&self) -> Option<T> {
        self.entries.recv().await.ok()
    }

    /// The next entry if there is one already.
    #[must_use]
    pub fn try_next(&self) -> Option<T> {
        self.entries.try_recv().ok()
    }

    /// How many entries made way for newer ones since the start.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// The driver's end of a [`Queue`].
pub(crate) struct QueueSender<T> {
    entries: Sender<T>,
    missed: Arc<AtomicU64>,
}

impl<T> QueueSender<T> {
    pub(crate) fn push(&self, entry: T) {
        if let Ok(Some(_oldest)) = self.entries.force_send(entry) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn queue<T>(capacity: usize) -> (QueueSender<T>, Queue<T>) {
    let (sender, receiver) = async_channel::bounded(capacity.max(1));
    let missed = Arc::new(AtomicU64::new(0));
    (QueueSender { entries: sender, missed: missed.clone() }, Queue { entries: receiver, missed })
}

/// A message on its way into the core.
pub(crate) struct Submission {
    pub(crate) message: Outgoing,
    /// Resolved when the core has accepted or refused the message.
    pub(crate) verdict: Sender<Verdict>,
    /// Resolved when the message has ended.
    pub(crate) outcome: Sender<Outcome>,
}

/// What becomes of a submission.
pub(crate) enum Verdict {
    Accepted,
    Refused(Refused),
    /// Too many messages of the lane wait already. To be submitted again when this is closed.
    Later(Box<Outgoing>, Receiver<Infallible>),
}

/// Everything else an application asks for. Works while messages wait.
pub(crate) enum Control {
    /// Look at [`Shared::taken`].
    Taken,
    CloseLane(Lane),
    Lane(Lane, Sender<LaneUsage>),
    Progress(MessageId, Sender<Option<Progress>>),
    NetworkChanged,
    SetTier(Tier),
    Shutdown(Shutdown),
}

/// What a lane holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LaneUsage {
    /// Packets that were never transmitted.
    pub packets: usize,
    /// Bytes of all messages that have not ended.
    pub bytes: usize,
}

/// What both sides see.
#[derive(Default)]
pub(crate) struct Shared {
    /// Deliveries the application took and the core does not know about yet.
    pub(crate) taken: AtomicU32,
    pub(crate) next_id: AtomicU64,
    snapshot: Mutex<Snapshot>,
}

impl Shared {
    pub(crate) fn snapshot(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the client as of the driver's last step.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) address: Option<Recipient>,
    pub(crate) connectivity: Connectivity,
    pub(crate) stats: Stats,
    pub(crate) registration: Option<Registration>,
    /// Where the gateway was last looked for.
    pub(crate) gateway_urls: Vec<String>,
    /// What is kept, unless it is kept elsewhere.
    pub(crate) kept: Option<MemoryStore>,
    pub(crate) last_failure: Option<String>,
    pub(crate) stopped: Option<StopReason>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_oldest_entry_and_counts_it() {
        let (sender, queue) = queue(2);
        for entry in 1..=5 {
            sender.push(entry);
        }
        assert_eq!(queue.missed(), 3);
        assert_eq!((queue.try_next(), queue.try_next()), (Some(4), Some(5)));
        assert_eq!(queue.try_next(), None);
    }
}
