//! The interface of the native client: what programs of any language say to it over a local
//! websocket, and what it answers. (protocol: websocket)
//!
//! * [`Request`] and [`Response`] are the messages. Both are read and written here, in the binary
//!   form and as JSON, so that client, programs, tests and fuzzers share one definition.
//! * [`Conversation`](conversation::Conversation) is the connection of one program: its requests, one
//!   after the other, their answers, and what is pushed to it.
//! * [`Programs`](programs::Programs) are all connections, and the messages that wait for a program.
//! * [`Access`] says who may connect: which pages in a browser ([`Origins`]), and with which [`Token`].
//!   [`Query`] is what a program asks for in the URL.
//!
//! A shell accepts connections, moves frames, and does what the machines say with the handle of a
//! client; it decides nothing.
//!
//! Nothing here does IO, reads a clock or panics on input.

mod access;
mod binary;
pub mod conversation;
mod error;
mod frame;
mod json;
mod mailbox;
mod origin;
pub mod programs;
mod query;
mod request;
mod response;
mod text;

pub use access::{Access, Denied, Handshake, Token, TokenError};
pub use error::{ErrorKind, JsonError, LayoutError, RequestError, ResponseError};
pub use frame::{Format, Frame, Text, UnknownFormat};
pub use origin::Origins;
pub use query::{Query, QueryError, Receive};
pub use request::{Addressee, Message, Request};
pub use response::{Delivered, Response, Status};

/// Longest request that is read, in bytes. It holds the largest message a client takes by default, 32 MiB,
/// as bytes, as base64 and as JSON with few escapes.
pub const REQUEST_BYTES_MAX: usize = 64 << 20; // protocol: websocket 1.1

/// Longest response that is read, in bytes. A message of 48 MiB, the longest that is put together from
/// fragments by default, is up to eight times as long in JSON: each byte as an escape, and base64 beside
/// it.
pub const RESPONSE_BYTES_MAX: usize = 8 * (48 << 20); // protocol: websocket 1.1
