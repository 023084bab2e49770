//! From URLs to an open WebSocket.

use std::sync::Arc;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use futures_rustls::TlsConnector;
use futures_rustls::rustls::ClientConfig;
use nym_shell::net::{Endpoint, websocket_config};
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncWrite};
use smol::net::TcpStream;
use tracing::debug;

/// TCP, with or without TLS.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open WebSocket.
pub(crate) type WebSocket = WebSocketStream<Box<dyn Transport>>;

/// Opens a WebSocket to the first URL that can be reached, each within `timeout`. The error says
/// what is wrong with each.
pub(crate) async fn dial(
    urls: Vec<String>,
    tls: Arc<ClientConfig>,
    timeout: Duration,
) -> Result<WebSocket, String> {
    let mut failures = Vec::new();
    for url in urls {
        let late = async {
            smol::Timer::after(timeout).await;
            Err(format!("no answer within {timeout:?}"))
        };
        match dial_one(&url, tls.clone()).or(late).await {
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

async fn dial_one(url: &str, tls: Arc<ClientConfig>) -> Result<WebSocket, String> {
    let endpoint = Endpoint::parse(url).map_err(|e| e.to_string())?;
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
        .await
        .map_err(|e| e.to_string())?;
    tcp.set_nodelay(true).map_err(|e| e.to_string())?;
    let transport: Box<dyn Transport> = match endpoint.tls {
        None => Box::new(tcp),
        Some(name) => {
            let connected = TlsConnector::from(tls).connect(name, tcp).await;
            Box::new(connected.map_err(|e| format!("TLS: {e}"))?)
        }
    };
    let config = Some(websocket_config());
    async_tungstenite::client_async_with_config(url, transport, config)
        .await
        .map(|(socket, _)| socket)
        .map_err(|e| format!("WebSocket: {e}"))
}
