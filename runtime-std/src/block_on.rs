//! Waiting for a future without an executor.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Waits for a future.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    match block_on_until(future, None) {
        Some(result) => result,
        None => unreachable!("without a deadline there is no end but the future's"),
    }
}

/// Waits for a future, but only until `deadline`, if there is one.
pub(crate) fn block_on_until<T>(
    future: impl Future<Output = T>,
    deadline: Option<Instant>,
) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return Some(result);
        }
        match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(left) if left.is_zero() => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_future_woken_by_another_thread_is_waited_for() {
        let mut polls = 0;
        let future = poll_fn(|cx| {
            polls += 1;
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake());
            if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
        });
        assert_eq!(block_on(future), 3);
    }

    #[test]
    fn a_deadline_ends_the_wait_but_does_not_forbid_what_is_ready() {
        let start = Instant::now();
        let late = start + Duration::from_millis(20);
        assert_eq!(block_on_until(pending::<()>(), Some(late)), None);
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(block_on_until(ready(1), Some(start)), Some(1));
    }
}
