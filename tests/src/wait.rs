//! Ways to wait that end.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nym_proto::client::{Delivery, Outcome};

use crate::runtime::{Peer, Receipt};

/// What takes longer has failed. Far more than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Time limits for something that is expected to last as long as it may, but to show something
/// meanwhile: short ones first, long ones for a busy machine.
pub fn growing_limits() -> impl Iterator<Item = Duration> {
    (0..6).map(|n| Duration::from_millis(400) * 3_u32.pow(n))
}

/// Waits until a condition holds.
///
/// # Panics
/// It does not come to hold.
#[track_caller]
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Does something that may block, in a thread of its own.
///
/// # Panics
/// It does not end, or panics.
#[track_caller]
pub fn within<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // fails only if nobody waits any more
        let _ = sender.send(work());
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// The next message.
///
/// # Panics
/// None comes.
#[track_caller]
pub fn next(peer: &dyn Peer) -> Delivery {
    match peer.recv_timeout(PATIENCE) {
        Some(Ok(delivery)) => delivery,
        Some(Err(error)) => panic!("{error}"),
        None => panic!("no message in time; {:?}", peer.stats()),
    }
}

/// The next messages, sorted by their bytes.
///
/// # Panics
/// They do not come.
#[track_caller]
pub fn next_sorted(peer: &dyn Peer, count: usize) -> Vec<Bytes> {
    let mut all: Vec<Bytes> = (0..count).map(|_| next(peer).data).collect();
    all.sort_unstable();
    all
}

/// The outcome of a message.
///
/// # Panics
/// It does not end.
#[track_caller]
pub fn outcome(receipt: &dyn Receipt) -> Outcome {
    match receipt.outcome_timeout(PATIENCE) {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => panic!("{error}"),
        None => panic!("message {:?} does not end", receipt.id()),
    }
}

/// Waits for the acknowledgement of a message and returns the number of its fragments.
///
/// # Panics
/// It ends in another way or not at all.
#[track_caller]
pub fn acknowledged(receipt: &dyn Receipt) -> u32 {
    match outcome(receipt) {
        Outcome::Acknowledged { fragments, .. } => fragments,
        other => panic!("message {:?}: {other:?}", receipt.id()),
    }
}
