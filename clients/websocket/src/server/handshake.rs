//! The websocket handshake with a program.

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use async_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderName, ORIGIN};
use async_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use smol::net::TcpStream;
use tracing::{debug, warn};

use crate::protocol::{Access, Denied, Handshake, Query, REQUEST_BYTES_MAX};

pub(super) type WebSocket = WebSocketStream<TcpStream>;

/// Answers the handshake. `None` if nobody was let in.
pub(super) async fn accept(stream: TcpStream, access: &Access) -> Option<(WebSocket, Query)> {
    let mut query = Query::default();
    #[expect(clippy::result_large_err, reason = "the websocket library asks for this type")]
    let decide = |request: &Request, response: Response| match admit(access, request) {
        Ok(wanted) => {
            query = wanted;
            Ok(response)
        }
        Err(denied) => {
            warn!("a program was not let in: {denied}");
            Err(refusal(&denied))
        }
    };
    let accepted =
        async_tungstenite::accept_hdr_async_with_config(stream, decide, Some(config())).await;
    match accepted {
        Ok(socket) => Some((socket, query)),
        Err(error) => {
            debug!(%error, "no websocket handshake");
            None
        }
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(REQUEST_BYTES_MAX))
        .max_frame_size(Some(REQUEST_BYTES_MAX))
}

fn admit(access: &Access, request: &Request) -> Result<Query, Denied> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let origins: Vec<_> = headers(request, &ORIGIN).collect();
    let authorization = headers(request, &AUTHORIZATION).next();
    access.admit(&Handshake { target, origins: &origins, authorization })
}

/// The values of a header. One that is no text counts as a text that fits nothing.
fn headers<'a>(request: &'a Request, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    request.headers().get_all(name).iter().map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

fn refusal(denied: &Denied) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!("{denied}\n")));
    *response.status_mut() = StatusCode::from_u16(denied.status()).unwrap_or(StatusCode::FORBIDDEN);
    if *denied == Denied::Token {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert("WWW-Authenticate", scheme);
    }
    response
}
