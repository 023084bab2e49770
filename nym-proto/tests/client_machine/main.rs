//! The client machine against a whole network in virtual time.

mod contract;
mod conversations;
mod hostile;
mod privacy;
mod sessions;
mod world;
