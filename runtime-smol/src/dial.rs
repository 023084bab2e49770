//! From URLs to an open WebSocket.

use std::net::SocketAddr;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Error;
use futures_rustls::TlsConnector;
use nym_shell::net::{
    ADDRESSES_MAX, Deadline, DialError, Edge, Endpoint, ProxyUrl, Step, Tunnel, websocket_config,
};
use smol::Timer;
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use smol::net::TcpStream;
use tracing::debug;

/// TCP, with or without TLS.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open WebSocket.
pub(crate) type WebSocket = WebSocketStream<Box<dyn Transport>>;

/// Opens a WebSocket to the first URL that can be reached. The error says what is wrong with each.
pub(crate) async fn dial(urls: Vec<String>, edge: Edge) -> Result<WebSocket, String> {
    let mut failures = Vec::new();
    for url in urls {
        let deadline = edge.dial_deadline();
        let late = async {
            Timer::after(deadline.timeout()).await;
            Err(DialError::Io(deadline.missed()))
        };
        match dial_one(&url, &edge, deadline).or(late).await {
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

async fn dial_one(url: &str, edge: &Edge, deadline: Deadline) -> Result<WebSocket, DialError> {
    let endpoint = Endpoint::parse(url)?;
    let tcp = match edge.proxy_for(&endpoint) {
        None => connect(&endpoint.host, endpoint.port, deadline).await?,
        Some(proxy) => connect_through(proxy, &endpoint, deadline).await?,
    };
    let transport: Box<dyn Transport> = match endpoint.tls {
        None => Box::new(tcp),
        Some(name) => {
            let connected = TlsConnector::from(edge.tls()).connect(name, tcp).await;
            Box::new(connected.map_err(DialError::Tls)?)
        }
    };
    let config = Some(websocket_config());
    match async_tungstenite::client_async_with_config(url, transport, config).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Io(error)) => Err(DialError::Io(error)),
        Err(error) => Err(DialError::WebSocket(error.to_string())),
    }
}

async fn connect(host: &str, port: u16, deadline: Deadline) -> Result<TcpStream, DialError> {
    let resolved = smol::net::resolve((host, port)).await;
    let mut addresses =
        resolved.map_err(|error| DialError::Unresolved { host: host.to_owned(), error })?;
    addresses.truncate(ADDRESSES_MAX);
    connect_first(&addresses, host, deadline).await
}

/// Connects to the first address that can be reached; each has its share of the time.
async fn connect_first(
    addresses: &[SocketAddr],
    host: &str,
    deadline: Deadline,
) -> Result<TcpStream, DialError> {
    let mut failure = DialError::NoAddress(host.to_owned());
    for (tried, address) in addresses.iter().enumerate() {
        let limit = deadline.share(addresses.len() - tried).map_err(DialError::Io)?;
        let late = async {
            Timer::after(limit).await;
            Err(deadline.missed())
        };
        match TcpStream::connect(address).or(late).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(DialError::Io)?;
                return Ok(stream);
            }
            Err(error) => failure = DialError::Unreachable { address: *address, error },
        }
    }
    Err(failure)
}

async fn connect_through(
    proxy: &ProxyUrl,
    endpoint: &Endpoint,
    deadline: Deadline,
) -> Result<TcpStream, DialError> {
    let failed = |error| DialError::Proxy { proxy: proxy.to_string(), error };
    let (mut tunnel, first) = Tunnel::open(proxy, &endpoint.host, endpoint.port).map_err(failed)?;
    let connected = connect(proxy.host(), proxy.port(), deadline).await;
    let mut stream = connected
        .map_err(|error| DialError::NoProxy { proxy: proxy.to_string(), error: Box::new(error) })?;
    let mut step = Step::Write(first);
    let mut buffer = [0; 512];
    loop {
        match step {
            Step::Open => return Ok(stream),
            Step::Read => {}
            Step::Write(bytes) => stream.write_all(&bytes).await.map_err(DialError::Io)?,
        }
        let read = stream.read(&mut buffer).await.map_err(DialError::Io)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        step = tunnel.handle_input(bytes).map_err(failed)?;
    }
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
