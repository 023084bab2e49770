//! What can go wrong between an application and its client.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Outgoing, Refused, StopReason};
use thiserror::Error;

/// The client has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the client has stopped")]
pub struct Closed;

/// Why a message was not accepted for sending. Hands the message back.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The core refused it for good. The reason is never
    /// [`Full`](nym_proto::client::RefusedReason::Full): sending waits for room.
    #[error(transparent)]
    Refused(Refused),
    /// The client has stopped.
    #[error("the client has stopped")]
    Closed(Box<Outgoing>),
}

impl SendError {
    /// The message that was not accepted.
    #[must_use]
    pub fn into_message(self) -> Outgoing {
        match self {
            Self::Refused(refused) => *refused.message,
            Self::Closed(message) => *message,
        }
    }

    /// The bytes of the message that was not accepted.
    #[must_use]
    pub fn into_data(self) -> Bytes {
        self.into_message().data
    }
}

/// Why there is no client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Entropy(std::io::Error),
    /// The operating system gave no thread, poller or TLS settings.
    #[error("cannot start the client: {0}")]
    Start(String),
    /// The settings of how gateways and directories are reached cannot be used.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Net(#[from] crate::net::NetError),
    /// The client gave up.
    #[error(transparent)]
    Stopped(StopReason),
    /// The client was not ready in time. It has been shut down.
    #[error("not connected after {after:?}{}", last_failure.as_ref().map(|f| format!("; last failure: {f}")).unwrap_or_default())]
    TimedOut {
        /// How long it was waited for, see [`Options::connect_timeout`](crate::Options).
        after: Duration,
        /// What failed last, if anything did.
        last_failure: Option<String>,
    },
    /// The client's thread or task ended without a reason, which is a bug.
    #[error("the client ended without a reason")]
    Died,
}
