//! What runtimes with sockets of their own share: limits, URLs, TLS settings, WebSocket frames,
//! the backlog of a connection, HTTP fetches.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{FetchError, WsFrame};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tungstenite::Message;
use tungstenite::protocol::WebSocketConfig;

use crate::error::ConnectError;

/// Longest WebSocket message accepted, in bytes. (protocol: gateway 2.2)
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Longest directory document accepted, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// How long a directory request may take.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Frames that may wait for the socket before the core is told to pause.
const BACKLOG_BEFORE_PAUSE: usize = 8;

/// Frames that may wait for the socket at all. The core pauses its packets at once; what still
/// comes are a few control messages.
const BACKLOG_MAX: usize = 64;

/// Where a URL of a gateway leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The name to check in the certificate, if TLS is to be used.
    pub tls: Option<ServerName<'static>>,
}

/// A URL that is none of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0:?} is not a ws:// or wss:// URL with a host")]
pub struct BadUrl(String);

impl Endpoint {
    /// Reads a `ws://` or `wss://` URL.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl(url.to_owned());
        let uri: tungstenite::http::Uri = url.parse().map_err(|_| bad())?;
        let host = uri
            .host()
            .map(|host| host.trim_start_matches('[').trim_end_matches(']'))
            .filter(|host| !host.is_empty())
            .ok_or_else(bad)?
            .to_owned();
        let (tls, default_port) = match uri.scheme_str() {
            Some("ws") => (None, 80),
            Some("wss") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
                (Some(name), 443)
            }
            _ => return Err(bad()),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        Ok(Self { host, port, tls })
    }
}

/// TLS settings: the `ring` provider and the roots Mozilla trusts.
pub fn tls_config() -> Result<Arc<ClientConfig>, ConnectError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Start(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// WebSocket settings: every frame is written at once, none is longer than [`MESSAGE_BYTES_MAX`].
#[must_use]
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// A frame of the core as a WebSocket message.
#[must_use]
pub fn to_message(frame: WsFrame) -> Message {
    match frame {
        WsFrame::Text(text) => Message::text(text),
        WsFrame::Binary(bytes) => Message::Binary(bytes),
    }
}

/// A received WebSocket message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// One for the core.
    Frame(WsFrame),
    /// One the WebSocket layer sees to. Its answer has to be flushed.
    Control,
    /// The end.
    Close,
}

impl From<Message> for Incoming {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Frame(WsFrame::Text(text.as_str().to_owned())),
            Message::Binary(bytes) => Self::Frame(WsFrame::Binary(bytes)),
            Message::Close(_) => Self::Close,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Self::Control,
        }
    }
}

/// Frames that wait for the socket, few by design.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<Message>,
    is_paused: bool,
}

/// The socket takes nothing and frames keep coming.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the gateway does not read")]
pub struct BacklogFull;

/// A change the core has to know of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Tell [`Event::GatewayBlocked`](nym_proto::client::Event::GatewayBlocked).
    Pause,
    /// Tell [`Event::GatewayWritable`](nym_proto::client::Event::GatewayWritable).
    Resume,
}

impl Backlog {
    /// Appends a frame.
    pub fn push(&mut self, frame: WsFrame) -> Result<(), BacklogFull> {
        if self.waiting.len() >= BACKLOG_MAX {
            return Err(BacklogFull);
        }
        self.waiting.push_back(to_message(frame));
        Ok(())
    }

    /// Takes the frame that has waited longest.
    pub fn pop(&mut self) -> Option<Message> {
        self.waiting.pop_front()
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What to tell the core after the socket has taken what it takes. `is_flushed`: the socket has
    /// also taken everything popped before.
    pub fn flow(&mut self, is_flushed: bool) -> Option<Flow> {
        if !self.is_paused && self.waiting.len() > BACKLOG_BEFORE_PAUSE {
            self.is_paused = true;
            Some(Flow::Pause)
        } else if self.is_paused && is_flushed && self.is_empty() {
            self.is_paused = false;
            Some(Flow::Resume)
        } else {
            None
        }
    }
}

/// Fetches documents over HTTP and HTTPS. Blocks; clones share their settings.
#[derive(Clone)]
pub struct Fetcher(ureq::Agent);

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(FETCH_TIMEOUT))
            .user_agent(concat!("nym-client/", env!("CARGO_PKG_VERSION")))
            // requests are far apart and the server may have been restarted in between
            .max_idle_connections(0)
            .proxy(None)
            .build();
        Self(config.new_agent())
    }
}

impl Fetcher {
    /// GETs a document of at most [`DOCUMENT_BYTES_MAX`] bytes within [`FETCH_TIMEOUT`]. Follows
    /// redirects.
    pub fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let unreachable = |error: ureq::Error| match error {
            ureq::Error::BodyExceedsLimit(_) => FetchError::TooLong(DOCUMENT_BYTES_MAX),
            error => FetchError::Unreachable(format!("{url}: {error}")),
        };
        let mut response = self.0.get(url).call().map_err(unreachable)?;
        match response.status().as_u16() {
            200 => {}
            status => return Err(FetchError::Status(status)),
        }
        let body = response.body_mut().with_config();
        let limit = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
        let body = body.limit(limit).read_to_vec().map_err(unreachable)?;
        Ok(body.into())
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
