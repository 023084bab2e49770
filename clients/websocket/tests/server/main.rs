//! The websocket server over real sockets, with a client on an embedded network behind it.

mod admission;
mod endings;
mod messages;
mod stage;
