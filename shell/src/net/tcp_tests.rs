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
fn the_next_address_is_tried_when_one_is_closed() {
    // the name has an address of each family on most machines; nothing listens on the other one
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let deadline = Deadline::after(Duration::from_secs(60));
    assert!(connect("localhost", port, None, deadline).is_ok());
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
