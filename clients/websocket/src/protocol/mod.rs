//! The interface of the native client: what programs of any language say to it over a local
//! websocket, and what it answers. (protocol: websocket)
//!
//! * [`Request`] and [`Response`] are the messages. Both are read and written here, in the binary
//!   form and as JSON, so that client, programs, tests and fuzzers share one definition.
//!
//! Nothing here does IO, reads a clock or panics on input.

mod binary;
mod error;
mod frame;
mod json;
mod request;
mod response;
mod text;

pub use error::{ErrorKind, JsonError, LayoutError, RequestError, ResponseError};
pub use frame::{Format, Frame, Text, UnknownFormat};
pub use request::{Addressee, Message, Request};
pub use response::{Delivered, Response, Status};

/// Longest message of the websocket that is read or written, in bytes, in either direction. It holds the
/// largest message a client takes in any form but JSON with most characters escaped.
pub const FRAME_BYTES_MAX: usize = 64 << 20; // protocol: websocket 1
