//! Panics of the database become errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs what may panic on a damaged file. The panic's message has gone to the panic hook by then.
///
/// The caller must not use again what `run` works on if it has panicked.
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Panicked)
}

/// The database came upon something that cannot be.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("its structure contradicts itself")]
pub(crate) struct Panicked;
