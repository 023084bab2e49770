//! From URLs to an open WebSocket, blocking, in a helper thread.

use std::io::{self, ErrorKind, Read, Write};

use nym_shell::net::{DialError, Edge, Endpoint, TimedStream, websocket_config};
use rustls::{ClientConnection, StreamOwned};
use tracing::debug;
use tungstenite::{Error, HandshakeError};

/// An open WebSocket.
pub(crate) type WebSocket = tungstenite::WebSocket<Transport>;

/// Opens a WebSocket to the first URL that can be reached. The error says what is wrong with each.
pub(crate) fn dial(urls: Vec<String>, edge: &Edge) -> Result<WebSocket, String> {
    let mut failures = Vec::new();
    for url in urls {
        match dial_one(&url, edge) {
            Ok(socket) => return Ok(socket),
            Err(error) => {
                debug!(url, %error, "cannot connect");
                failures.push(format!("{url}: {error}"));
            }
        }
    }
    if failures.is_empty() {
        failures.push("no URL to connect to".to_owned());
    }
    Err(failures.join("; "))
}

fn dial_one(url: &str, edge: &Edge) -> Result<WebSocket, DialError> {
    let deadline = edge.dial_deadline();
    let endpoint = Endpoint::parse(url)?;
    let stream = edge.connect(&endpoint, deadline)?;
    let transport = match endpoint.tls {
        None => Transport::Plain(Tcp::Dialing(stream)),
        Some(name) => {
            let (session, stream) = edge.secure(name, stream)?.into_parts();
            Transport::Tls(Box::new(StreamOwned::new(session, Tcp::Dialing(stream))))
        }
    };
    match tungstenite::client::client_with_config(url, transport, Some(websocket_config())) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Io(error))) => Err(DialError::Io(error)),
        Err(HandshakeError::Failure(error)) => Err(DialError::WebSocket(error.to_string())),
        // a connection with a deadline does not ask to be tried again
        Err(HandshakeError::Interrupted(_)) => Err(DialError::Io(deadline.missed())),
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
    Dialing(TimedStream),
    Polled(mio::net::TcpStream),
}

impl Tcp {
    /// Makes the connection non-blocking.
    pub(crate) fn polled(&mut self) -> io::Result<&mut mio::net::TcpStream> {
        if let Self::Dialing(stream) = self {
            let stream = stream.try_clone_unlimited()?;
            stream.set_nonblocking(true)?;
            *self = Self::Polled(mio::net::TcpStream::from_std(stream));
        }
        match self {
            Self::Polled(stream) => Ok(stream),
            Self::Dialing(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl Read for Tcp {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Dialing(stream) => stream.read(buf),
            Self::Polled(stream) => stream.read(buf),
        }
    }
}

impl Write for Tcp {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Dialing(stream) => stream.write(buf),
            Self::Polled(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
