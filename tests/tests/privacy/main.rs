//! What an observer of the client's link can learn, in hours of virtual time: tests A to K of
//! client 17.5, each with a broken schedule on which it fails. docs/privacy.md explains them.

mod disturbances;
mod gaps;
mod leaks;
mod packets;
mod sizes;
mod traces;
