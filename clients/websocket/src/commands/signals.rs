//! Interruptions.

use anyhow::Context as _;
use async_signal::{Signal, Signals};
use smol::stream::StreamExt as _;

/// Ctrl-C, and the request to end of a service manager.
pub(super) struct Interruptions(Signals);

impl Interruptions {
    /// From now on interruptions do not end the process by themselves.
    pub(super) fn watch() -> anyhow::Result<Self> {
        #[cfg(unix)]
        let signals = [Signal::Int, Signal::Term];
        #[cfg(not(unix))]
        let signals = [Signal::Int];
        Signals::new(signals).map(Self).context("cannot watch for interruptions")
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        let _ = self.0.next().await;
    }
}
