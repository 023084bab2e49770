use std::net::TcpListener;
use std::time::Duration;

use super::*;

#[test]
fn addresses_are_taken_as_they_are_and_unknown_names_are_named() {
    let deadline = Deadline::after(Duration::from_secs(60));
    let six = resolve("::1", 9, deadline).unwrap();
    assert_eq!(six, ["[::1]:9".parse().unwrap()]);
    let error = resolve("no-such-host.invalid", 9, deadline).unwrap_err().to_string();
    assert!(error.contains("no-such-host.invalid"), "{error}");
}

#[test]
fn the_next_address_is_tried_when_one_is_closed_or_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // reserved for documentation: refused at once or never answered
    let nobody = "192.0.2.1:9".parse().unwrap();
    let first = |addresses: &[SocketAddr], millis| {
        connect_first(addresses, "a.example", Deadline::after(Duration::from_millis(millis)))
    };
    assert!(first(&[closed, closed, open], 60_000).is_ok());
    assert!(first(&[nobody, open], 3000).is_ok());
    let error = first(&[closed], 60_000).unwrap_err().to_string();
    assert!(error.contains(&closed.to_string()), "{error}");
    let error = first(&[], 60_000).unwrap_err().to_string();
    assert!(error.contains("a.example"), "{error}");
    let error = first(&[open], 0).unwrap_err().to_string();
    assert!(error.contains("no answer within 0ns"), "{error}");
}

#[test]
fn a_proxy_that_says_nothing_ends_by_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for scheme in ["http", "socks5h"] {
        let proxy: ProxyUrl = format!("{scheme}://u:hush@{address}").parse().unwrap();
        let deadline = Deadline::after(Duration::from_millis(50));
        let error = connect("a.example", 1, Some(&proxy), deadline).unwrap_err().to_string();
        assert!(error.contains("no answer within 50ms") && !error.contains("hush"), "{error}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy: ProxyUrl = format!("http://u:hush@{closed}").parse().unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    let error = connect("a.example", 1, Some(&proxy), deadline).unwrap_err().to_string();
    assert!(error.contains(&proxy.to_string()) && !error.contains("hush"), "{error}");
}
