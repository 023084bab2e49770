//! The edge of the runtimes: TLS, proxies, time limits, several directories. Every scenario runs
//! unchanged over each runtime.

#[macro_use]
extern crate tests;

mod certificates;
mod directories;
mod front;
mod late;
mod proxies;
mod proxy;
mod setting;
mod tls;
