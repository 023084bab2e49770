use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::net::{NetOptions, Proxy};

#[test]
fn a_document_is_fetched_and_the_client_names_itself() {
    let (url, request) = serve("200 OK", b"document".to_vec());
    assert_eq!(fetcher().get(&url), Ok(Bytes::from("document")));
    let request = request.join().unwrap().to_lowercase();
    assert!(request.starts_with("get /x http/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: nym-client/"), "{request}");
}

#[test]
fn failures_of_a_fetch_are_told_apart() {
    let (url, _) = serve("404 Not Found", Vec::new());
    assert_eq!(fetcher().get(&url), Err(FetchError::Status(404)));
    let (url, _) = serve("200 OK", vec![b' '; DOCUMENT_BYTES_MAX + 1]);
    assert_eq!(fetcher().get(&url), Err(FetchError::TooLong(DOCUMENT_BYTES_MAX)));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let error = fetcher().get(&url);
    assert!(matches!(error, Err(FetchError::Unreachable(reason)) if reason.contains(&url)));
    let error = fetcher().get("no url");
    assert!(matches!(error, Err(FetchError::Unreachable(_))));
}

/// Answers one request; returns the URL and a thread that ends with the request's head.
fn serve(status: &str, body: Vec<u8>) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        // the client may hang up before it has read a body that is too long
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body);
        String::from_utf8(request).unwrap()
    });
    (url, server)
}

fn fetcher() -> Fetcher {
    let options = NetOptions { proxy: Proxy::Direct, ..NetOptions::default() };
    Edge::new(&options).unwrap().fetcher()
}
