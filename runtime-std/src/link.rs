//! One connection to a gateway.

use std::io::{self, ErrorKind};

use mio::{Interest, Registry, Token};
use nym_proto::client::{ConnectionId, WsFrame};
use nym_shell::net::{Backlog, BacklogFull, Flow, Incoming};
use tungstenite::Error;

use crate::dial::WebSocket;

/// An open connection and what waits for it.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    socket: WebSocket,
    backlog: Backlog,
    /// Something was handed to the socket since it was last flushed.
    is_unflushed: bool,
    /// The socket has not taken everything it was offered.
    is_stuck: bool,
    /// The socket may have something to read.
    is_readable: bool,
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
    /// Makes the socket non-blocking and has its readiness told under `token`.
    pub(crate) fn new(
        connection: ConnectionId,
        mut socket: WebSocket,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let tcp = socket.get_mut().tcp().polled()?;
        registry.register(tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            connection,
            socket,
            backlog: Backlog::default(),
            is_unflushed: false,
            is_stuck: false,
            is_readable: true,
        })
    }

    /// The socket may be ready to read or to write.
    pub(crate) fn ready(&mut self) {
        self.is_readable = true;
        self.is_stuck = false;
    }

    /// Takes a frame to write; [`Link::step`] writes it.
    pub(crate) fn push(&mut self, frame: WsFrame) -> Result<(), BacklogFull> {
        self.backlog.push(frame)
    }

    /// Writes what the socket takes, then reads one frame. `None`: nothing more to do until
    /// [`Link::ready`].
    pub(crate) fn step(&mut self) -> Option<LinkEvent> {
        if let Err(error) = self.write() {
            return Some(LinkEvent::Closed(error.to_string()));
        }
        if let Some(flow) = self.backlog.flow(!self.is_unflushed) {
            return Some(LinkEvent::Flow(flow));
        }
        if !self.is_readable {
            return None;
        }
        match self.socket.read() {
            Ok(message) => Some(match Incoming::from(message) {
                Incoming::Frame(frame) => LinkEvent::Frame(frame),
                Incoming::Control => {
                    self.is_unflushed = true;
                    LinkEvent::Control
                }
                Incoming::Close => LinkEvent::Closed("closed by the gateway".to_owned()),
            }),
            Err(error) if would_block(&error) => {
                self.is_readable = false;
                None
            }
            Err(error) => Some(LinkEvent::Closed(error.to_string())),
        }
    }

    /// Writes as far as possible without waiting, says goodbye and drops the connection.
    pub(crate) fn close(mut self, registry: &Registry) {
        self.is_stuck = false;
        if self.write().is_ok() && self.backlog.is_empty() {
            let _ = self.socket.close(None);
        }
        self.deregister(registry);
    }

    /// Drops the connection as it is.
    pub(crate) fn abandon(mut self, registry: &Registry) {
        self.deregister(registry);
    }

    fn deregister(&mut self, registry: &Registry) {
        if let Ok(tcp) = self.socket.get_mut().tcp().polled() {
            let _ = registry.deregister(tcp);
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        while !self.is_stuck
            && let Some(message) = self.backlog.pop()
        {
            self.is_unflushed = true;
            // on "would block" the socket keeps the message
            let written = self.socket.write(message);
            self.note_stuck(written)?;
        }
        if self.is_unflushed && !self.is_stuck {
            let flushed = self.socket.flush();
            self.note_stuck(flushed)?;
            self.is_unflushed = self.is_stuck;
        }
        Ok(())
    }

    fn note_stuck(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(error) if would_block(&error) => {
                self.is_stuck = true;
                Ok(())
            }
            result => result,
        }
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
