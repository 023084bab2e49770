use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::*;
use crate::net::{NetOptions, Proxy, Trust};

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

#[test]
fn a_document_that_hangs_at_any_stage_ends_by_the_time_limit() {
    let talks: [(&[u8], &[u8]); 5] = [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nContent-", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nbeginning", b"x"),
    ];
    for (head, drip) in talks {
        let (address, talking) = dripping(head, drip);
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{address}/x");
            let start = Instant::now();
            let error = limited(Duration::from_millis(250)).get(&url).unwrap_err().to_string();
            assert!(start.elapsed() < Duration::from_secs(20), "{head:?} {scheme}");
            let is_late = error.contains("no answer within 250ms");
            // what is no TLS is noticed before the time is over
            let is_no_tls = scheme == "https" && error.contains("does not speak TLS");
            assert!(is_late || is_no_tls, "{error}");
            assert!(error.contains(&url), "{error}");
        }
        talking.store(false, Ordering::Release);
    }
}

#[test]
fn redirects_in_circles_have_an_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let error = fetcher().get(&url).unwrap_err().to_string();
    assert!(error.contains("redirects"), "{error}");
}

fn limited(timeout: Duration) -> Fetcher {
    let options = NetOptions {
        proxy: Proxy::Direct,
        trust: Trust::BuiltIn { extra: None },
        fetch_timeout: timeout,
        ..NetOptions::default()
    };
    Edge::new(&options).unwrap().fetcher()
}

/// Sends `head` on each connection and then `drip` again and again, until told to stop.
fn dripping(head: &'static [u8], drip: &'static [u8]) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let talking = Arc::new(AtomicBool::new(true));
    let goes_on = Arc::clone(&talking);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), goes_on) = (stream, Arc::clone(&goes_on)) else { return };
            thread::spawn(move || {
                let mut sent = stream.write_all(head);
                while sent.is_ok() && goes_on.load(Ordering::Acquire) {
                    thread::sleep(Duration::from_millis(20));
                    sent = stream.write_all(drip);
                }
            });
        }
    });
    (address, talking)
}
