use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::*;

#[test]
fn urls_of_both_schemes_are_read_with_their_default_ports() {
    let plain = Endpoint::parse("ws://192.0.2.1:9000/").unwrap();
    assert_eq!((plain.host.as_str(), plain.port), ("192.0.2.1", 9000));
    assert!(plain.tls.is_none());
    let six = Endpoint::parse("ws://[2001:db8::1]").unwrap();
    assert_eq!((six.host.as_str(), six.port), ("2001:db8::1", 80));
    let secure = Endpoint::parse("wss://gateway.example").unwrap();
    assert_eq!(secure.port, 443);
    assert_eq!(secure.tls, ServerName::try_from("gateway.example").ok());
}

#[test]
fn what_is_no_websocket_url_is_refused_by_name() {
    for url in ["", "http://a.example", "ws://", "wss://a b", "ws:///x", "9000"] {
        let error = Endpoint::parse(url).unwrap_err().to_string();
        assert!(error.contains(&format!("{url:?}")), "{error}");
    }
}

#[test]
fn tls_settings_can_be_made() {
    assert!(tls_config().is_ok());
}

#[test]
fn a_backlog_pauses_above_its_mark_and_resumes_when_all_is_flushed() {
    let mut backlog = Backlog::default();
    for _ in 0..BACKLOG_BEFORE_PAUSE {
        backlog.push(WsFrame::Text(String::new())).unwrap();
        assert_eq!(backlog.flow(false), None);
    }
    backlog.push(WsFrame::Text(String::new())).unwrap();
    assert_eq!(backlog.flow(false), Some(Flow::Pause));
    assert_eq!(backlog.flow(false), None);
    while backlog.pop().is_some() {}
    assert_eq!(backlog.flow(false), None);
    assert_eq!(backlog.flow(true), Some(Flow::Resume));
    assert_eq!(backlog.flow(true), None);
}

#[test]
fn a_backlog_has_an_end() {
    let mut backlog = Backlog::default();
    let push = |_| backlog.push(WsFrame::Text(String::new()));
    let pushed = (0..1000).map(push).filter(Result::is_ok).count();
    assert_eq!(pushed, BACKLOG_MAX);
}

#[test]
fn a_document_is_fetched_and_the_client_names_itself() {
    let (url, request) = serve("200 OK", b"document".to_vec());
    assert_eq!(Fetcher::default().get(&url), Ok(Bytes::from("document")));
    let request = request.join().unwrap().to_lowercase();
    assert!(request.starts_with("get /x http/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: nym-client/"), "{request}");
}

#[test]
fn failures_of_a_fetch_are_told_apart() {
    let (url, _) = serve("404 Not Found", Vec::new());
    assert_eq!(Fetcher::default().get(&url), Err(FetchError::Status(404)));
    let (url, _) = serve("200 OK", vec![b' '; DOCUMENT_BYTES_MAX + 1]);
    assert_eq!(Fetcher::default().get(&url), Err(FetchError::TooLong(DOCUMENT_BYTES_MAX)));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let error = Fetcher::default().get(&url);
    assert!(matches!(error, Err(FetchError::Unreachable(reason)) if reason.contains(&url)));
    let error = Fetcher::default().get("no url");
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
