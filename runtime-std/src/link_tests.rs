use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::{Events, Poll};
use nym_shell::net::{Edge, MESSAGE_BYTES_MAX, NetOptions, Proxy, Trust};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::Message;

use super::*;
use crate::dial::dial;

type Server = tungstenite::WebSocket<TcpStream>;

#[test]
fn frames_of_both_kinds_cross_in_both_directions() {
    let (mut rig, mut server) = connected();
    rig.link.push(WsFrame::Text("question".into())).unwrap();
    let binary = WsFrame::Binary(Bytes::from_static(b"\0\xff"));
    rig.link.push(binary.clone()).unwrap();
    assert_eq!(rig.link.step(), None);
    assert_eq!(server.read().unwrap(), Message::text("question"));
    assert_eq!(server.read().unwrap(), Message::binary(b"\0\xff".to_vec()));
    server.send(Message::text("answer")).unwrap();
    server.send(Message::binary(b"\0\xff".to_vec())).unwrap();
    assert_eq!(rig.next(), LinkEvent::Frame(WsFrame::Text("answer".into())));
    assert_eq!(rig.next(), LinkEvent::Frame(binary));
}

#[test]
fn a_ping_is_answered_though_nothing_else_happens() {
    let (mut rig, mut server) = connected();
    let payload = Bytes::from_static(b"12345678");
    server.send(Message::Ping(payload.clone())).unwrap();
    assert_eq!(rig.next(), LinkEvent::Control);
    assert_eq!(rig.link.step(), None);
    assert_eq!(server.read().unwrap(), Message::Pong(payload));
}

#[test]
fn a_peer_that_does_not_read_pauses_the_core_until_it_does() {
    let (mut rig, mut server) = connected();
    let frame = WsFrame::Binary(vec![0; 256 << 10].into());
    let mut pushed = 0;
    while rig.link.step() != Some(LinkEvent::Flow(Flow::Pause)) {
        rig.link.push(frame.clone()).unwrap();
        pushed += 1;
    }
    let reading = thread::spawn(move || {
        for _ in 0..pushed {
            server.read().unwrap();
        }
        server
    });
    assert_eq!(rig.next(), LinkEvent::Flow(Flow::Resume));
    reading.join().unwrap();
}

#[test]
fn a_peer_that_never_reads_cannot_fill_the_memory() {
    let (mut rig, _server) = connected();
    let frame = WsFrame::Binary(vec![0; 256 << 10].into());
    let mut pushed = 0;
    while rig.link.push(frame.clone()).is_ok() {
        let _ = rig.link.step();
        pushed += 1;
    }
    assert!(pushed < 1000, "{pushed}");
}

#[test]
fn messages_too_long_and_garbage_end_the_link() {
    let (mut rig, mut server) = connected();
    let long = Message::binary(vec![0; MESSAGE_BYTES_MAX + 1]);
    let sending = thread::spawn(move || {
        let _ = server.send(long);
        server
    });
    assert!(matches!(rig.next(), LinkEvent::Closed(_)));
    drop(rig);
    sending.join().unwrap();

    let (mut rig, mut server) = connected();
    server.get_mut().write_all(&[0xff; 64]).unwrap();
    assert!(matches!(rig.next(), LinkEvent::Closed(_)));

    let (mut rig, server) = connected();
    drop(server);
    assert!(matches!(rig.next(), LinkEvent::Closed(_)));
}

#[test]
fn closing_sends_what_waits_and_a_close_frame() {
    let (mut rig, mut server) = connected();
    rig.link.push(WsFrame::Text("last words".into())).unwrap();
    rig.link.close(rig.poll.registry());
    assert_eq!(server.read().unwrap(), Message::text("last words"));
    assert_eq!(server.read().unwrap(), Message::Close(None));
}

#[test]
fn dialing_tries_one_url_after_the_other_and_names_each_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let good = format!("ws://{}/", listener.local_addr().unwrap());
    // accepts and says nothing
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("wss://{}/", silent.local_addr().unwrap());
    let edge = edge(built_in(), Duration::from_millis(200));

    let accepting = thread::spawn(move || accept(&listener));
    let urls = vec!["nonsense".to_owned(), silent_url.clone(), good];
    assert!(dial(urls, &edge).is_ok());
    accepting.join().unwrap();

    let urls = vec!["nonsense".to_owned(), silent_url.clone()];
    let error = dial(urls, &edge).map(|_| ());
    let error = error.unwrap_err();
    assert!(error.contains("nonsense") && error.contains(&silent_url), "{error}");
}

#[test]
fn a_server_that_drips_does_not_hold_the_dialer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let dripping = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let edge = edge(built_in(), Duration::from_millis(300));
    assert!(dial(vec![url], &edge).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
    dripping.join().unwrap();
}

#[test]
fn a_secure_link_carries_frames_and_trusts_only_its_roots() {
    let timeout = Duration::from_secs(5);
    let (server_tls, trusting) = tls_pair(timeout);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let urls = vec![format!("wss://localhost:{port}/")];
    let echoing = thread::spawn(move || {
        let secure = || {
            let session = ServerConnection::new(server_tls.clone()).unwrap();
            StreamOwned::new(session, listener.accept().unwrap().0)
        };
        let mut server = tungstenite::accept(secure()).unwrap();
        let message = server.read().unwrap();
        server.send(message).unwrap();
        assert!(tungstenite::accept(secure()).is_err());
    });

    let mut rig = Rig::new(dial(urls.clone(), &trusting).unwrap());
    let frame = WsFrame::Binary(vec![5; 100_000].into());
    rig.link.push(frame.clone()).unwrap();
    assert_eq!(rig.next(), LinkEvent::Frame(frame));

    let stranger = dial(urls, &edge(built_in(), timeout));
    let error = stranger.map(|_| ()).unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    echoing.join().unwrap();
}

struct Rig {
    link: Link,
    poll: Poll,
}

impl Rig {
    fn new(socket: WebSocket) -> Self {
        let poll = Poll::new().unwrap();
        let link = Link::new(ConnectionId(1), socket, poll.registry(), Token(0)).unwrap();
        Self { link, poll }
    }

    /// The next event of the link.
    fn next(&mut self) -> LinkEvent {
        let mut events = Events::with_capacity(8);
        let late = Instant::now() + Duration::from_secs(20);
        while Instant::now() < late {
            if let Some(event) = self.link.step() {
                return event;
            }
            let timeout = Some(Duration::from_secs(1));
            self.poll.poll(&mut events, timeout).unwrap();
            if !events.is_empty() {
                self.link.ready();
            }
        }
        panic!("nothing happens on the link");
    }
}

fn connected() -> (Rig, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let accepting = thread::spawn(move || accept(&listener));
    let socket = dial(vec![url], &edge(built_in(), Duration::from_secs(5))).unwrap();
    (Rig::new(socket), accepting.join().unwrap())
}

fn accept(listener: &TcpListener) -> Server {
    tungstenite::accept(listener.accept().unwrap().0).unwrap()
}

/// TLS settings of a server named `localhost`, and a way to it for a client that trusts it.
fn tls_pair(timeout: Duration) -> (Arc<ServerConfig>, Edge) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("nym-link-std-{}.pem", std::process::id()));
    std::fs::write(&file, made.cert.pem()).unwrap();
    let edge = edge(Trust::Only(file.clone()), timeout);
    std::fs::remove_file(file).unwrap();
    let cert = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    (Arc::new(server), edge)
}

fn edge(trust: Trust, timeout: Duration) -> Edge {
    let options =
        NetOptions { trust, proxy: Proxy::Direct, dial_timeout: timeout, ..NetOptions::default() };
    Edge::new(&options).unwrap()
}

fn built_in() -> Trust {
    Trust::BuiltIn { extra: None }
}
