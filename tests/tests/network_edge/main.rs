//! The edge of the runtimes: TLS, proxies, time limits, several directories. Every scenario runs
//! unchanged over each runtime.

#[macro_use]
extern crate tests;

mod directories;
mod late;
mod proxies;
mod setting;
mod tls;
