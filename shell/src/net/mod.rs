//! What runtimes with sockets of their own share: how gateways and directories are reached (names,
//! proxies, TLS, time limits), WebSocket frames, the backlog of a connection, HTTP fetches.

mod backlog;
mod deadline;
mod edge;
mod endpoint;
mod error;
mod fetch;
mod options;
mod proxy;
mod tcp;
mod transport;
mod trust;
mod websocket;

pub use backlog::{Backlog, BacklogFull, Flow};
pub use deadline::Deadline;
pub use edge::Edge;
pub use endpoint::{BadUrl, Endpoint};
pub use error::{CaFileError, DialError, NetError};
pub use fetch::{DOCUMENT_BYTES_MAX, Fetcher};
pub use options::{NetOptions, Proxy, Trust};
pub use proxy::{BadProxy, BadProxyReason, HEAD_BYTES_MAX, ProxyUrl, Step, Tunnel, TunnelError};
pub use tcp::{ADDRESSES_MAX, TimedStream};
pub use trust::{CA_FILE_BYTES_MAX, tls_failure};
pub use websocket::{Incoming, MESSAGE_BYTES_MAX, to_message, websocket_config};
