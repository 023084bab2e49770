//! The directory over HTTP/1.1: GET only, one request per connection.

use core::time::Duration;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Timer};

use super::unix_now;
use crate::directory::{Directory, Response};

/// Longest request head.
const HEAD_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// How long a request may take from beginning to end.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests served at a time.
const REQUESTS_MAX: usize = 256;

/// Serves the directory's documents until the task is dropped.
pub(super) async fn serve(listener: TcpListener, directory: Arc<Mutex<Directory>>) {
    let requests = LocalExecutor::new();
    let open = Rc::new(Cell::new(0));
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if open.get() < REQUESTS_MAX => {
                    open.set(open.get() + 1);
                    let (directory, open) = (Arc::clone(&directory), Rc::clone(&open));
                    let request = async move {
                        let late = async {
                            Timer::after(TIMEOUT).await;
                            Err(io::ErrorKind::TimedOut.into())
                        };
                        if let Err(error) = smol::future::or(answer(stream, &directory), late).await
                        {
                            tracing::debug!("directory request: {error}");
                        }
                        open.set(open.get().saturating_sub(1));
                    };
                    requests.spawn(request).detach();
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("directory: cannot take a connection: {error}");
                    Timer::after(Duration::from_millis(100)).await;
                }
            }
        }
    };
    requests.run(accept).await
}

async fn answer(mut stream: TcpStream, directory: &Mutex<Directory>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    let response = loop {
        match parse(&head) {
            Parsed::Get(target) => {
                let mut directory = directory.lock().unwrap_or_else(PoisonError::into_inner);
                break directory.respond(&target, unix_now());
            }
            Parsed::Refused(status, message) => {
                break Response { status, body: format!("{{\"message\":\"{message}\"}}") };
            }
            Parsed::Incomplete => {}
        }
        let mut chunk = [0; 2048];
        let len = stream.read(&mut chunk).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(chunk.get(..len).unwrap_or_default());
    };
    stream.write_all(encode(&response).as_bytes()).await?;
    stream.close().await
}

#[derive(PartialEq, Eq, Debug)]
enum Parsed {
    Get(String),
    Refused(u16, &'static str),
    Incomplete,
}

fn parse(head: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => match (request.method, request.path) {
            (Some("GET"), Some(path)) => Parsed::Get(path.to_owned()),
            _ => Parsed::Refused(405, "only GET is served"),
        },
        Ok(httparse::Status::Partial) if head.len() > HEAD_MAX => {
            Parsed::Refused(431, "the request is too long")
        }
        Ok(httparse::Status::Partial) => Parsed::Incomplete,
        Err(_) => Parsed::Refused(400, "not an HTTP request"),
    }
}

fn encode(response: &Response) -> String {
    let reason = match response.status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Error",
    };
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         access-control-allow-origin: *\r\nconnection: close\r\n\r\n{}",
        response.status,
        response.body.len(),
        response.body
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_get_requests_are_served() {
        let get = Parsed::Get("/api/x?page=0".to_owned());
        assert_eq!(parse(b"GET /api/x?page=0 HTTP/1.1\r\nHost: a\r\n\r\n"), get);
        assert_eq!(parse(b"GET /api/x HTTP/1.1\r\nHo"), Parsed::Incomplete);
        assert!(matches!(parse(b"POST / HTTP/1.1\r\n\r\n"), Parsed::Refused(405, _)));
        assert!(matches!(parse(b"\0\0\0"), Parsed::Refused(400, _)));
        let mut long = b"GET / HTTP/1.1\r\nA: ".to_vec();
        long.resize(HEAD_MAX + 1, b'x');
        assert!(matches!(parse(&long), Parsed::Refused(431, _)));
    }
}
