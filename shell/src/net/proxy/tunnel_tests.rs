use nym_proto::entropy::{Entropy, Purpose};

use super::*;

const HTTP: &str = "http://p:1";
const HTTP_LOGIN: &str = "http://alice:hush@p:1";
const SOCKS: &str = "socks5h://p:1";
const SOCKS_LOGIN: &str = "socks5://alice:hush@p:1";

fn open(proxy: &str, host: &str) -> (Tunnel, Vec<u8>) {
    let (tunnel, first) = Tunnel::open(&proxy.parse().unwrap(), host, 443).unwrap();
    (tunnel, first.to_vec())
}

fn write(bytes: &[u8]) -> Result<Step, TunnelError> {
    Ok(Step::Write(Zeroizing::new(bytes.to_vec())))
}

/// A whole conversation: what the proxy sends, one answer after the other.
const CONVERSATIONS: [(&str, &[&[u8]]); 5] = [
    (HTTP, &[b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"]),
    (HTTP_LOGIN, &[b"HTTP/1.0 200\r\n\r\n"]),
    (SOCKS, &[&[5, 0], &[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]]),
    (SOCKS_LOGIN, &[&[5, 2], &[1, 0], &[5, 0, 0, 3, 3, b'a', b'.', b'b', 0, 80]]),
    (SOCKS_LOGIN, &[&[5, 0], &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80]]),
];

#[test]
fn an_http_proxy_is_asked_by_name_and_opens() {
    let (mut tunnel, first) = open(HTTP, "gateway.example");
    let request = "CONNECT gateway.example:443 HTTP/1.1\r\nHost: gateway.example:443\r\n\r\n";
    assert_eq!(first, request.as_bytes());
    assert_eq!(tunnel.handle_input(b"HTTP/1.1 200 OK\r\n"), Ok(Step::Read));
    assert_eq!(tunnel.handle_input(b"\r\n"), Ok(Step::Open));

    let (_, first) = open(HTTP_LOGIN, "2001:db8::1");
    let request = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\
                   Proxy-Authorization: Basic YWxpY2U6aHVzaA==\r\n\r\n";
    assert_eq!(first, request.as_bytes());
}

#[test]
fn a_socks_proxy_is_asked_by_name_or_by_address() {
    for (host, request) in [
        ("a.example", &b"\x05\x01\x00\x03\x09a.example\x01\xbb"[..]),
        ("192.0.2.1", &[5, 1, 0, 1, 192, 0, 2, 1, 1, 187]),
        ("::1", &[5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187]),
    ] {
        let (mut tunnel, first) = open(SOCKS, host);
        assert_eq!(first, [5, 1, 0]);
        assert_eq!(tunnel.handle_input(&[5, 0]), write(request));
        assert_eq!(tunnel.handle_input(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Ok(Step::Open));
    }
}

#[test]
fn a_socks_proxy_that_asks_for_it_gets_user_and_password() {
    let (mut tunnel, first) = open(SOCKS_LOGIN, "a.b");
    assert_eq!(first, [5, 2, 0, 2]);
    assert_eq!(tunnel.handle_input(&[5, 2]), write(b"\x01\x05alice\x04hush"));
    assert_eq!(tunnel.handle_input(&[1, 0]), write(b"\x05\x01\x00\x03\x03a.b\x01\xbb"));
}

#[test]
fn refusals_are_told_apart() {
    use TunnelError::{CredentialsRefused, CredentialsWanted, NotUnderstood, Reply, Status};
    let cases: [(&str, &[&[u8]], TunnelError); 14] = [
        (HTTP, &[b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"], CredentialsWanted),
        (HTTP_LOGIN, &[b"HTTP/1.1 407 No\r\n\r\n"], CredentialsRefused),
        (HTTP, &[b"HTTP/1.1 502 Bad Gateway\r\n\r\n"], Status(502)),
        (HTTP, &[b"HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n"], Status(302)),
        (HTTP, &[b"HTTP/1.1 what\r\n\r\n"], NotUnderstood("HTTP")),
        (HTTP, &[b"SSH-2.0-x"], NotUnderstood("HTTP")),
        (HTTP, &[&[5, 0]], NotUnderstood("HTTP")),
        (SOCKS, &[b"HTTP/1.1 400 Bad Request\r\n\r\n"], NotUnderstood("SOCKS5")),
        (SOCKS, &[&[5, 255]], CredentialsWanted),
        (SOCKS_LOGIN, &[&[5, 255]], CredentialsRefused),
        (SOCKS_LOGIN, &[&[5, 2], &[1, 1]], CredentialsRefused),
        (SOCKS_LOGIN, &[&[5, 2], &[5, 0]], NotUnderstood("SOCKS5")),
        (SOCKS, &[&[5, 0], &[5, 5]], Reply(5)),
        (SOCKS, &[&[5, 0], &[5, 0, 0, 9]], NotUnderstood("SOCKS5")),
    ];
    for (proxy, answers, expected) in cases {
        let (mut tunnel, _) = open(proxy, "a.b");
        let last = answers.iter().map(|answer| tunnel.handle_input(answer)).last();
        assert_eq!(last, Some(Err(expected.clone())), "{proxy} {answers:?}");
        let text = expected.to_string();
        assert!(!text.contains("hush") && !text.contains("alice"), "{text}");
    }
}

#[test]
fn answers_may_come_in_any_pieces() {
    for (proxy, answers) in CONVERSATIONS {
        let (mut tunnel, _) = open(proxy, "a.b");
        let mut last = Ok(Step::Read);
        for answer in answers {
            for (at, byte) in answer.iter().enumerate() {
                assert_ne!(last, Ok(Step::Open));
                last = tunnel.handle_input(&[*byte]);
                let is_read = last == Ok(Step::Read);
                assert_eq!(is_read, at + 1 < answer.len(), "{proxy} {answer:?} {at}");
            }
        }
        assert_eq!(last, Ok(Step::Open));
        assert_eq!(tunnel.handle_input(&[0]), Err(TunnelError::Surplus));
    }
}

#[test]
fn a_proxy_that_hangs_up_at_any_point_is_noticed() {
    for (proxy, answers) in CONVERSATIONS {
        let total: usize = answers.iter().map(|answer| answer.len()).sum();
        for cut in 0..total {
            let (mut tunnel, _) = open(proxy, "a.b");
            let mut left = cut;
            for answer in answers {
                let len = left.min(answer.len());
                left -= len;
                if len > 0 {
                    assert_ne!(tunnel.handle_input(&answer[..len]), Ok(Step::Open));
                }
            }
            assert_eq!(tunnel.handle_input(&[]), Err(TunnelError::Closed));
        }
    }
}

#[test]
fn what_follows_an_answer_too_early_is_refused() {
    for (proxy, answers) in CONVERSATIONS {
        for surplus in 0..answers.len() {
            let (mut tunnel, _) = open(proxy, "a.b");
            for answer in &answers[..surplus] {
                assert!(tunnel.handle_input(answer).is_ok());
            }
            let long = [answers[surplus], b"x"].concat();
            assert_eq!(tunnel.handle_input(&long), Err(TunnelError::Surplus));
        }
    }
}

#[test]
fn an_answer_without_end_is_given_up() {
    let (mut tunnel, _) = open(HTTP, "a.b");
    assert_eq!(tunnel.handle_input(b"HTTP/1.1 200 "), Ok(Step::Read));
    let end = (0..1000).map(|_| tunnel.handle_input(&[b'x'; 100])).find(Result::is_err);
    assert_eq!(end, Some(Err(TunnelError::TooLong(HEAD_BYTES_MAX))));
}

#[test]
fn hosts_that_would_break_the_request_are_refused() {
    let long = "x".repeat(256);
    for host in ["", "a b", "a\r\nX: y", "a\0", "[::1]", "a/b", "ä.example", long.as_str()] {
        for proxy in [HTTP, SOCKS] {
            let opened = Tunnel::open(&proxy.parse().unwrap(), host, 1).map(|_| ());
            assert_eq!(opened, Err(TunnelError::Host(host.to_owned())));
        }
    }
}

#[test]
fn random_and_spoiled_answers_never_panic_and_keep_little() {
    let mut random = Entropy::new([7; 32]).stream(Purpose::Other(0));
    for round in 0..20_000_usize {
        let (proxy, answers) = CONVERSATIONS[round % CONVERSATIONS.len()];
        let (mut tunnel, _) = open(proxy, "a.b");
        let [pick, place, value, len] = random.bytes::<4>();
        for (n, answer) in answers.iter().enumerate() {
            let mut answer = answer.to_vec();
            if n == usize::from(pick) % answers.len() {
                let place = usize::from(place) % answer.len();
                answer[place] = value;
            }
            if tunnel.handle_input(&answer).is_err() {
                break;
            }
            assert!(tunnel.input.len() <= HEAD_BYTES_MAX);
        }
        let mut noise = vec![0; usize::from(len)];
        random.fill(&mut noise);
        let _ = tunnel.handle_input(&noise);
        let (mut fresh, _) = open(proxy, "a.b");
        let _ = fresh.handle_input(&noise);
        assert!(fresh.input.len() <= HEAD_BYTES_MAX);
    }
}
