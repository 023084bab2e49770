//! One connection to a gateway.

use std::task::{Context, Poll};

use async_tungstenite::tungstenite::{Error, Message};
use futures_util::{SinkExt as _, StreamExt as _};
use nym_proto::client::{ConnectionId, WsFrame};
use nym_shell::net::{Backlog, BacklogFull, Flow, Incoming};

use crate::dial::WebSocket;

/// An open connection and what waits for it.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    socket: WebSocket,
    backlog: Backlog,
    /// Something was handed to the socket since it was last flushed.
    is_unflushed: bool,
}

/// What happened on a link.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum LinkEvent {
    Frame(WsFrame),
    /// The WebSocket layer was busy; nothing for the core.
    Control,
    Flow(Flow),
    /// The link is of no more use.
    Closed(String),
}

impl Link {
    pub(crate) fn new(connection: ConnectionId, socket: WebSocket) -> Self {
        Self { connection, socket, backlog: Backlog::default(), is_unflushed: false }
    }

    /// Takes a frame to write; [`Link::poll`] writes it.
    pub(crate) fn push(&mut self, frame: WsFrame) -> Result<(), BacklogFull> {
        self.backlog.push(frame)
    }

    /// Writes what the socket takes, then reads one frame.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        let closed = |error: Error| Poll::Ready(LinkEvent::Closed(error.to_string()));
        if let Err(error) = self.write(cx) {
            return closed(error);
        }
        if let Some(flow) = self.backlog.flow(!self.is_unflushed) {
            return Poll::Ready(LinkEvent::Flow(flow));
        }
        match self.socket.poll_next_unpin(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => closed(Error::ConnectionClosed),
            Poll::Ready(Some(Err(error))) => closed(error),
            Poll::Ready(Some(Ok(message))) => Poll::Ready(match Incoming::from(message) {
                Incoming::Frame(frame) => LinkEvent::Frame(frame),
                Incoming::Control => {
                    self.is_unflushed = true;
                    LinkEvent::Control
                }
                Incoming::Close => LinkEvent::Closed("closed by the gateway".to_owned()),
            }),
        }
    }

    /// Writes as far as possible without waiting and says goodbye.
    pub(crate) fn close(mut self, cx: &mut Context<'_>) {
        if self.write(cx).is_ok() && self.backlog.is_empty() {
            let _ = self.socket.start_send_unpin(Message::Close(None));
            let _ = self.socket.poll_flush_unpin(cx);
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !self.backlog.is_empty() {
            if self.socket.poll_ready_unpin(cx)?.is_pending() {
                break;
            }
            if let Some(message) = self.backlog.pop() {
                self.socket.start_send_unpin(message)?;
                self.is_unflushed = true;
            }
        }
        if self.is_unflushed && self.socket.poll_flush_unpin(cx)?.is_ready() {
            self.is_unflushed = false;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
