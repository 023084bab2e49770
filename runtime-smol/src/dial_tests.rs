use std::net::TcpListener;
use std::time::Duration;

use super::*;

#[test]
fn the_next_address_is_tried_when_one_is_closed_or_says_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // reserved for documentation: refused at once or never answered
    let nobody = "192.0.2.1:9".parse().unwrap();
    let first = |addresses: &[SocketAddr], millis| {
        let deadline = Deadline::after(Duration::from_millis(millis));
        smol::block_on(connect_first(addresses, "a.example", deadline))
    };
    assert!(first(&[closed, closed, open], 60_000).is_ok());
    assert!(first(&[nobody, open], 3000).is_ok());
    let error = first(&[closed], 60_000).unwrap_err().to_string();
    assert!(error.contains(&closed.to_string()), "{error}");
    let error = first(&[], 60_000).unwrap_err().to_string();
    assert!(error.contains("a.example"), "{error}");
}
