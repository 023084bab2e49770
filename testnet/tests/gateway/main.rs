//! The gateway machine, driven by hand with the client's side of the protocol.

mod admission;
mod hostile;
mod mixnet;
mod requests;
mod support;
