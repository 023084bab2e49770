//! The client state machine.

mod action;
mod config;
mod event;

pub use action::*;
pub use config::*;
pub use event::*;
