//! Where what has to survive a crash is kept.

mod file;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nym_proto::client::{Change, MemoryStore};

pub use file::{FileStore, OpenError};

/// Keeps what a client wants kept: a plain key-value store, which needs to understand neither keys
/// nor values.
pub trait Store: Send {
    /// Carries out changes in order, all or none. They have to survive a crash of the process
    /// from here on: what the client writes and delivers next relies on them. Called on the thread
    /// or task that runs the client, so what takes long here shows in the times of frames.
    ///
    /// # Errors
    /// Stops the client, with [`StopReason::NotKept`](nym_proto::client::StopReason::NotKept) and
    /// before it writes another frame. A store that would rather go on and lose conversations at
    /// the next crash returns `Ok`.
    fn apply(&mut self, changes: &[Change]) -> io::Result<()>;
}

impl Store for MemoryStore {
    fn apply(&mut self, changes: &[Change]) -> io::Result<()> {
        MemoryStore::apply(self, changes);
        Ok(())
    }
}

/// A store that a client uses and others may look at.
#[derive(Clone)]
pub struct SharedStore(Arc<Mutex<dyn Store>>);

impl SharedStore {
    /// Shares a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }
}

impl<S: Store + 'static> From<Arc<Mutex<S>>> for SharedStore {
    fn from(store: Arc<Mutex<S>>) -> Self {
        Self(store)
    }
}

impl Store for SharedStore {
    fn apply(&mut self, changes: &[Change]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).apply(changes)
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStore")
    }
}
