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
