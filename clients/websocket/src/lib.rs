//! The native websocket client, as far as it is no program: what programs and client say to each
//! other, and what the client does about it, without any IO.

pub mod protocol;
