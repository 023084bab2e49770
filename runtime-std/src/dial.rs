//! From URLs to an open WebSocket, blocking, in a helper thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nym_shell::net::{Endpoint, websocket_config};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tracing::debug;
use tungstenite::HandshakeError;

/// A longer time limit counts as this one; the sum of a longer one and now may not exist.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

/// An open WebSocket.
pub(crate) type WebSocket = tungstenite::WebSocket<Transport>;

/// Opens a WebSocket to the first URL that can be reached, each within `timeout`. The error says
/// what is wrong with each.
pub(crate) fn dial(
    urls: Vec<String>,
    tls: Arc<ClientConfig>,
    timeout: Duration,
) -> Result<WebSocket, String> {
    let mut failures = Vec::new();
    for url in urls {
        match dial_one(&url, tls.clone(), Instant::now() + timeout.min(TIMEOUT_MAX)) {
            Ok(socket) => return Ok(socket),
            Err(reason) => {
                debug!(url, reason, "cannot connect");
                failures.push(format!("{url}: {reason}"));
            }
        }
    }
    if failures.is_empty() {
        failures.push("no URL to connect to".to_owned());
    }
    Err(failures.join("; "))
}

fn dial_one(url: &str, tls: Arc<ClientConfig>, deadline: Instant) -> Result<WebSocket, String> {
    let endpoint = Endpoint::parse(url).map_err(|e| e.to_string())?;
    let stream = connect(&endpoint, deadline).map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let tcp = Tcp::Dialing { stream, deadline };
    let transport = match endpoint.tls {
        None => Transport::Plain(tcp),
        Some(name) => {
            let session = ClientConnection::new(tls, name).map_err(|e| format!("TLS: {e}"))?;
            Transport::Tls(Box::new(StreamOwned::new(session, tcp)))
        }
    };
    match tungstenite::client::client_with_config(url, transport, Some(websocket_config())) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(error)) => Err(format!("WebSocket: {error}")),
        Err(HandshakeError::Interrupted(_)) => Err("no answer in time".to_owned()),
    }
}

fn connect(endpoint: &Endpoint, deadline: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"))
    } else {
        Ok(left)
    }
}

/// TCP, with or without TLS.
pub(crate) enum Transport {
    Plain(Tcp),
    Tls(Box<StreamOwned<ClientConnection, Tcp>>),
}

impl Transport {
    /// The TCP connection at the bottom.
    pub(crate) fn tcp(&mut self) -> &mut Tcp {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A TCP connection, first blocking with a deadline, then non-blocking.
pub(crate) enum Tcp {
    Dialing { stream: TcpStream, deadline: Instant },
    Polled(mio::net::TcpStream),
}

impl Tcp {
    /// Makes the connection non-blocking.
    pub(crate) fn polled(&mut self) -> io::Result<&mut mio::net::TcpStream> {
        if let Self::Dialing { stream, .. } = self {
            stream.set_nonblocking(true)?;
            *self = Self::Polled(mio::net::TcpStream::from_std(stream.try_clone()?));
        }
        match self {
            Self::Polled(stream) => Ok(stream),
            Self::Dialing { .. } => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl Read for Tcp {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Dialing { stream, deadline } => {
                stream.set_read_timeout(Some(left(*deadline)?))?;
                stream.read(buf)
            }
            Self::Polled(stream) => stream.read(buf),
        }
    }
}

impl Write for Tcp {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Dialing { stream, deadline } => {
                stream.set_write_timeout(Some(left(*deadline)?))?;
                stream.write(buf)
            }
            Self::Polled(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
