//! The sans-IO core of a Nym mixnet client: wire formats, the cryptography of the protocol, and
//! the client as one pure state machine.
//!
//! # What this crate is not
//!
//! It opens no socket, reads no clock, starts no thread, spawns no task, touches no file, draws no
//! randomness of its own and prints nothing. It is not a program and not a complete client: a
//! *shell* around it moves the bytes, tells the time and keeps the state. `nym-runtime-std` and
//! `nym-runtime-smol` are two such shells; write your own if you have an event loop already.
//!
//! # The run loop
//!
//! 1. Make a [`Client`](client::Client) from a [`Config`](client::Config), an
//!    [`Identity`](identity::Identity), 32 bytes of entropy and the two clocks.
//! 2. Do what [`poll_action`](client::Client::poll_action) says until it says `None`.
//! 3. Wait for bytes, for the application, or for
//!    [`next_deadline`](client::Client::next_deadline), whatever comes first.
//! 4. Tell [`handle`](client::Client::handle) what happened and what time it is. Go to 2.
//!
//! ```
//! use std::time::Instant as Clock;
//!
//! use bytes::Bytes;
//! use nym_proto::client::{Action, Client, Event, MessageId, Outgoing, Refused, Shutdown, Target};
//! use nym_proto::time::Instant;
//! # use nym_proto::client::{Config, Network, StopReason};
//! # use nym_proto::entropy::{Entropy, Purpose};
//! # use nym_proto::identity::Identity;
//! # use nym_proto::time::UnixTime;
//!
//! /// The event loop's side: sockets, HTTP, the application. A real one waits in `next_event`.
//! trait Shell {
//!     fn next_event(&mut self, until: Option<Instant>) -> Event;
//!     fn act(&mut self, action: Action);
//! }
//!
//! fn run(mut client: Client, shell: &mut impl Shell, start: Clock) {
//!     let now = || Instant::from_nanos(start.elapsed().as_nanos() as u64);
//!     loop {
//!         while let Some(action) = client.poll_action() {
//!             if let Action::Stopped(reason) = action {
//!                 println!("stopped: {reason}");
//!                 return;
//!             }
//!             shell.act(action);
//!         }
//!         let deadline = client.next_deadline().map(|deadline| deadline.at);
//!         let event = shell.next_event(deadline);
//!         if let Err(refused) = client.handle(now(), event) {
//!             // only for `Event::Send`: the message comes back
//!             println!("not accepted: {refused}");
//!         }
//!     }
//! }
//! # struct Nothing;
//! # impl Shell for Nothing {
//! #     fn next_event(&mut self, _: Option<Instant>) -> Event { Event::Shutdown(Shutdown::Now) }
//! #     fn act(&mut self, _: Action) {}
//! # }
//! # let identity = Identity::generate(&mut Entropy::new([1; 32]).stream(Purpose::Identity));
//! # let config = Config::new(Network::Directory(vec!["http://127.0.0.1:1/api/".into()]));
//! # let client = Client::new(config, identity, [2; 32], Instant::START, UnixTime::from_secs(1));
//! # run(client, &mut Nothing, Clock::now());
//! ```
//!
//! # The contract
//!
//! * **Events in, actions out.** `handle` never blocks and does a bounded amount of work;
//!   `poll_action` yields actions in the order they were decided. Any number of events between two
//!   drains is legal.
//! * **One timer.** `next_deadline` says when and why; early, late and repeated ticks are harmless.
//! * **Time and randomness are given.** The same seed and the same events give the same actions, bit
//!   for bit, on every target.
//! * **Nothing is lost silently.** Every accepted message ends in exactly one
//!   [`Outcome`](client::Outcome) that carries the caller's own id.
//! * **Everything is bounded** by [`Limits`](limits::Limits). A full queue refuses and hands the
//!   message back.
//! * **Non-interference.** When frames leave and how big they are does not depend on what the
//!   application sends or receives. See [`client`].
//! * **No bytes from outside panic.** A panic is a bug in this crate.
//!
//! # Where things are
//!
//! [`client`] is the machine; [`gateway`], [`sphinx`], [`message`] and [`topology`] are the wire
//! formats, in both directions, so that embedded networks and tests use the same definitions.
//! Comments of the form `protocol: gateway 6.2` refer to sections of `docs/protocol/`.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod address;
pub mod client;
pub mod entropy;
pub mod gateway;
mod hkdf_blake3;
pub mod identity;
pub mod limits;
pub mod message;
pub mod sphinx;
pub mod time;
pub mod topology;
mod x25519;
