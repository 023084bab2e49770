//! What the runtimes of a Nym client have in common.
//!
//! The application holds a [`Handle`]; the runtime holds a [`Driver`]. Bounded queues join the two.
//! The handle turns calls into commands. The driver owns the state machine
//! ([`nym_proto::client::Client`]), hands it commands and what happens outside, and yields what is
//! to be done outside: open, write and drop a connection, fetch a document.
//!
//! A runtime is a loop around [`Driver::poll`]: do the [`Io`] it returns; when there is none, wait
//! until the waker given to it is called, the socket is ready, or [`Driver::deadline`] has come.
//! Neither side knows the protocol.
//!
//! Nothing here is unbounded. An application that sends faster than the network takes waits in
//! [`Handle::send`]; one that does not take its messages lets them wait in the core, which drops
//! and reports what exceeds its limits; facts it does not take make way for newer ones.

mod clock;
mod driver;
mod error;
mod handle;
mod log;
mod machine;
#[cfg(feature = "net")]
pub mod net;
mod options;
mod queue;
mod store;
mod waiting;

pub use clock::Clock;
pub use driver::{Driver, Io};
pub use error::{Closed, ConnectError, SendError};
pub use handle::{Handle, Receipt, Starting, start};
pub use log::fact as log_fact;
pub use machine::Machine;
pub use options::{Options, SendOptions, generate_identity};
pub use queue::{Events, LaneUsage, Queue};
pub use store::{FileStore, OpenError, SharedStore, Store};
