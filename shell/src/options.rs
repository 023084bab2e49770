//! Settings of a shell.

use std::fmt;
use std::time::Duration;

use nym_proto::client::Lane;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use zeroize::Zeroizing;

use crate::error::ConnectError;
#[cfg(feature = "net")]
use crate::net::NetOptions;
use crate::store::SharedStore;

/// Settings of the shell around a client. What concerns the protocol is in
/// [`Config`](nym_proto::client::Config).
#[derive(Clone)]
pub struct Options {
    /// The seed of all the client's randomness. `None`: from the operating system. Give one only
    /// for tests and demonstrations: who knows it can read and trace everything.
    pub seed: Option<[u8; 32]>,
    /// How long connecting may take from the start to the first established session.
    pub connect_timeout: Duration,
    /// How gateways and directories are reached.
    #[cfg(feature = "net")]
    pub net: NetOptions,
    /// Messages of one lane waiting to be handed to the core, in order. Their senders wait with them;
    /// further senders wait without an order. At most [`QUEUE_MAX`](Self::QUEUE_MAX).
    pub send_queue: usize,
    /// Where what has to survive a crash is kept. `None`: in memory, see
    /// [`Handle::state`](crate::Handle::state).
    pub store: Option<SharedStore>,
    /// Facts waiting for the application. At most [`QUEUE_MAX`](Self::QUEUE_MAX).
    pub event_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: None,
            connect_timeout: Duration::from_secs(60),
            #[cfg(feature = "net")]
            net: NetOptions::default(),
            send_queue: 16,
            store: None,
            event_queue: 256,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Options");
        shown
            .field("seed", &self.seed.map(|_| "<redacted>"))
            .field("connect_timeout", &self.connect_timeout);
        #[cfg(feature = "net")]
        shown.field("net", &self.net);
        shown
            .field("store", &self.store)
            .field("send_queue", &self.send_queue)
            .field("event_queue", &self.event_queue)
            .finish()
    }
}

impl Options {
    /// Longest queue; a larger length counts as this one. The room is set aside at the start.
    pub const QUEUE_MAX: usize = 1 << 16;

    pub(crate) fn seed(&self) -> Result<Zeroizing<[u8; 32]>, ConnectError> {
        match self.seed {
            Some(seed) => Ok(Zeroizing::new(seed)),
            None => os_entropy(),
        }
    }
}

/// How one message is sent. The default is the general lane and the configured limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendOptions {
    /// The lane it queues in.
    pub lane: Lane,
    /// Give up when one of its fragments was transmitted this often without an ack. `None`: the
    /// configured default.
    pub attempts_max: Option<u32>,
    /// Give up after this long. `None`: the configured default.
    pub expires_after: Option<Duration>,
}

/// Draws a new identity from the operating system's randomness.
pub fn generate_identity() -> Result<Identity, ConnectError> {
    let seed = os_entropy()?;
    Ok(Identity::generate(&mut Entropy::new(*seed).stream(Purpose::Identity)))
}

fn os_entropy() -> Result<Zeroizing<[u8; 32]>, ConnectError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|error| ConnectError::Entropy(std::io::Error::other(error.to_string())))?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_does_not_show_in_debug_output() {
        let options = Options { seed: Some([0xab; 32]), ..Options::default() };
        let text = format!("{options:?}");
        assert!(text.contains("redacted") && !text.contains("171"));
    }

    #[test]
    fn two_identities_differ() {
        let name = || generate_identity().map(|id| *id.identity.public()).ok();
        assert!(name().is_some() && name() != name());
    }
}
