use super::*;

#[test]
fn proxies_of_all_schemes_are_read_with_their_default_ports() {
    let proxy: ProxyUrl = "http://proxy.example/".parse().unwrap();
    assert_eq!((proxy.kind, proxy.host(), proxy.port()), (ProxyKind::Http, "proxy.example", 80));
    assert!(proxy.credentials.is_none());
    let bare: ProxyUrl = " proxy.example:3128 ".parse().unwrap();
    assert_eq!((bare.kind, bare.port()), (ProxyKind::Http, 3128));
    for scheme in ["socks5", "socks5h", "SOCKS5H"] {
        let proxy: ProxyUrl = format!("{scheme}://[::1]").parse().unwrap();
        let parts = (proxy.kind, proxy.host(), proxy.port());
        assert_eq!(parts, (ProxyKind::Socks5, "::1", 1080));
        assert_eq!(proxy.to_string(), "socks5h://[::1]:1080");
    }
}

#[test]
fn user_and_password_are_decoded() {
    let proxy: ProxyUrl = "socks5://us%40er:p%3Aa@ss@h:1".parse().unwrap();
    let credentials = proxy.credentials.unwrap();
    assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("us@er", "p:a@ss"));
    let proxy: ProxyUrl = "http://token@h".parse().unwrap();
    let credentials = proxy.credentials.unwrap();
    assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("token", ""));
}

#[test]
fn what_is_no_proxy_is_refused_with_its_reason() {
    use BadProxyReason::{Credentials, Host, Path, Port, Scheme};
    let long = format!("socks5://u:{}@h", "x".repeat(256));
    let cases = [
        ("", Host),
        ("https://h", Scheme),
        ("socks4://h", Scheme),
        ("http://", Host),
        ("http://a b", Host),
        ("http://h\r\n:1", Host),
        ("http://[::1", Host),
        ("http://[::1]x", Host),
        ("http://[proxy]", Host),
        ("http://h:", Port),
        ("http://h:0", Port),
        ("http://h:65536", Port),
        ("http://h:1:2", Port),
        ("http://h:1/path", Path),
        ("socks5://user@h", Credentials),
        ("socks5://:password@h", Credentials),
        ("http://u%3Aser:x@h", Credentials),
        ("http://%zz@h", Credentials),
        ("http://%4@h", Credentials),
        ("http://%ff@h", Credentials),
        (long.as_str(), Credentials),
    ];
    for (text, reason) in cases {
        assert_eq!(text.parse::<ProxyUrl>().map_err(|e| e.reason), Err(reason), "{text}");
    }
}

#[test]
fn passwords_show_nowhere() {
    let proxy: ProxyUrl = "http://alice:hush@h:1".parse().unwrap();
    let bad: BadProxy = "ftp://alice:hush@h".parse::<ProxyUrl>().unwrap_err();
    let worse: BadProxy = "alice:hush@h:x".parse::<ProxyUrl>().unwrap_err();
    let forgotten: BadProxy = "http://alicia:hush".parse::<ProxyUrl>().unwrap_err();
    assert_eq!(forgotten.url, "http://alicia:<redacted>");
    let options = crate::Options {
        net: crate::net::NetOptions {
            proxy: crate::net::Proxy::Url(proxy.clone()),
            ..Default::default()
        },
        ..Default::default()
    };
    for text in [
        format!("{proxy:?} {proxy}"),
        format!("{bad:?} {bad}"),
        format!("{worse:?} {worse}"),
        format!("{forgotten:?} {forgotten}"),
        format!("{options:?}"),
    ] {
        assert!(!text.contains("hush") && !text.contains("alice"), "{text}");
    }
}

#[test]
fn random_text_never_panics() {
    use nym_proto::entropy::{Entropy, Purpose};
    let mut random = Entropy::new([3; 32]).stream(Purpose::Other(0));
    let parts = [
        "http", "socks5", "://", ":", "@", "[", "]", "/", "%", "%4", "ä", "a", "::1", "65536", ".",
        "",
    ];
    for _ in 0..20_000 {
        let len = random.index(9);
        let text: String = (0..len).map(|_| parts[random.index(parts.len())]).collect();
        if let Ok(proxy) = text.parse::<ProxyUrl>() {
            let again: ProxyUrl = proxy.to_string().parse().unwrap();
            assert_eq!((again.host, again.port), (proxy.host, proxy.port), "{text}");
        }
    }
}
