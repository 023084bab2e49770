//! The frames that wait for the socket.

use std::collections::VecDeque;

use nym_proto::client::WsFrame;
use thiserror::Error;
use tungstenite::Message;

use super::websocket::to_message;

/// Frames that may wait for the socket before the core is told to pause.
const BACKLOG_BEFORE_PAUSE: usize = 8;

/// Frames that may wait for the socket at all. The core pauses its packets at once; what still
/// comes are a few control messages.
const BACKLOG_MAX: usize = 64;

/// Frames that wait for the socket, few by design.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<Message>,
    is_paused: bool,
}

/// The socket takes nothing and frames keep coming.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the gateway does not read")]
pub struct BacklogFull;

/// A change the core has to know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Tell [`Event::GatewayBlocked`](nym_proto::client::Event::GatewayBlocked).
    Pause,
    /// Tell [`Event::GatewayWritable`](nym_proto::client::Event::GatewayWritable).
    Resume,
}

impl Backlog {
    /// Appends a frame.
    pub fn push(&mut self, frame: WsFrame) -> Result<(), BacklogFull> {
        if self.waiting.len() >= BACKLOG_MAX {
            return Err(BacklogFull);
        }
        self.waiting.push_back(to_message(frame));
        Ok(())
    }

    /// Takes the frame that has waited longest.
    pub fn pop(&mut self) -> Option<Message> {
        self.waiting.pop_front()
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What to tell the core after the socket has taken what it takes. `is_flushed`: the socket has
    /// also taken everything popped before.
    pub fn flow(&mut self, is_flushed: bool) -> Option<Flow> {
        if !self.is_paused && self.waiting.len() > BACKLOG_BEFORE_PAUSE {
            self.is_paused = true;
            Some(Flow::Pause)
        } else if self.is_paused && is_flushed && self.is_empty() {
            self.is_paused = false;
            Some(Flow::Resume)
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
