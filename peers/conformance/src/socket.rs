//! A WebSocket for their handshakes, which want one, and the runtime they want to be polled in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::task::noop_waker;
use futures::{Sink, Stream};
use tungstenite::{Error, Message};

/// Their end of a WebSocket.
#[derive(Clone, Default)]
pub struct Socket(Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    incoming: VecDeque<Message>,
    outgoing: VecDeque<Message>,
    is_closed: bool,
}

impl Socket {
    /// Something arrives.
    pub fn deliver(&self, message: impl Into<Message>) {
        self.0.lock().unwrap().incoming.push_back(message.into());
    }

    /// Nothing arrives any more.
    pub fn close(&self) {
        self.0.lock().unwrap().is_closed = true;
    }

    /// The next thing sent.
    pub fn sent(&self) -> Option<String> {
        match self.0.lock().unwrap().outgoing.pop_front() {
            Some(Message::Text(text)) => Some(text.to_string()),
            None => None,
            other => panic!("not a text: {other:?}"),
        }
    }
}

impl Stream for Socket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queues = self.0.lock().unwrap();
        match queues.incoming.pop_front() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None if queues.is_closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Sink<Message> for Socket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.0.lock().unwrap().outgoing.push_back(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets futures of theirs run until they wait. They set timers, so there must be a runtime; time
/// does not pass in it.
pub struct Runtime(tokio::runtime::Runtime);

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime {
    pub fn new() -> Self {
        Self(tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap())
    }

    /// Polls once; `None` if the future waits for its socket.
    pub fn poll<F: Future + Unpin>(&self, future: &mut F) -> Option<F::Output> {
        let _guard = self.0.enter();
        match Pin::new(future).poll(&mut Context::from_waker(&noop_waker())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
