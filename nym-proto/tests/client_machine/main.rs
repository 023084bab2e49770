//! The client machine against a whole network in virtual time.

mod acks;
mod contract;
mod conversations;
mod directory;
mod hostile;
mod lanes;
mod ledger;
mod on_demand;
mod persistence;
mod privacy;
mod sessions;
#[expect(unreachable_pub, reason = "a module of one test")]
mod world;
