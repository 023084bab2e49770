use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_tungstenite::accept_async;
use bytes::Bytes;
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::pki_types::PrivateKeyDer;
use futures_rustls::rustls::{self, ServerConfig};
use nym_shell::net::{Edge, MESSAGE_BYTES_MAX, NetOptions, Proxy, Trust};
use smol::future::FutureExt as _;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

use super::*;
use crate::dial::dial;

type Server = async_tungstenite::WebSocketStream<TcpStream>;

#[test]
fn frames_of_both_kinds_cross_in_both_directions() {
    smol::block_on(async {
        let (mut link, mut server) = connected().await;
        link.push(WsFrame::Text("question".into())).unwrap();
        link.push(WsFrame::Binary(Bytes::from_static(b"\0\xff"))).unwrap();
        assert_eq!(
            with(&mut link, server.next()).await.unwrap().unwrap(),
            Message::text("question")
        );
        assert_eq!(
            with(&mut link, server.next()).await.unwrap().unwrap(),
            Message::binary(b"\0\xff".to_vec())
        );
        server.send(Message::text("answer")).await.unwrap();
        server.send(Message::binary(vec![7])).await.unwrap();
        assert_eq!(next(&mut link).await, LinkEvent::Frame(WsFrame::Text("answer".into())));
        assert_eq!(
            next(&mut link).await,
            LinkEvent::Frame(WsFrame::Binary(Bytes::from_static(&[7])))
        );
    });
}

#[test]
fn a_ping_is_answered_though_nothing_else_happens() {
    smol::block_on(async {
        let (mut link, mut server) = connected().await;
        server.send(Message::Ping(Bytes::from_static(b"12345678"))).await.unwrap();
        let pong = with(&mut link, server.next()).await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(Bytes::from_static(b"12345678")));
    });
}

#[test]
fn a_peer_that_does_not_read_pauses_the_core_until_it_does() {
    smol::block_on(async {
        let (mut link, mut server) = connected().await;
        let frame = WsFrame::Binary(vec![0; 256 << 10].into());
        let mut pushed = 0;
        while smol::future::poll_once(next(&mut link)).await != Some(LinkEvent::Flow(Flow::Pause)) {
            link.push(frame.clone()).unwrap();
            pushed += 1;
        }
        let read = async {
            for _ in 0..pushed {
                server.next().await.unwrap().unwrap();
            }
            smol::future::pending::<LinkEvent>().await
        };
        let event = next(&mut link).or(read).await;
        assert_eq!(event, LinkEvent::Flow(Flow::Resume));
    });
}

#[test]
fn a_peer_that_never_reads_cannot_fill_the_memory() {
    smol::block_on(async {
        let (mut link, _server) = connected().await;
        let frame = WsFrame::Binary(vec![0; 256 << 10].into());
        let mut pushed = 0;
        while link.push(frame.clone()).is_ok() {
            let _ = smol::future::poll_once(next(&mut link)).await;
            pushed += 1;
        }
        assert!(pushed < 1000, "{pushed}");
    });
}

#[test]
fn messages_too_long_and_garbage_end_the_link() {
    smol::block_on(async {
        let (mut link, mut server) = connected().await;
        let long = Message::binary(vec![0; MESSAGE_BYTES_MAX + 1]);
        let event = next(&mut link).or(async {
            let _ = server.send(long).await;
            smol::future::pending().await
        });
        assert!(matches!(event.await, LinkEvent::Closed(_)));

        let (mut link, mut server) = connected().await;
        server.get_mut().write_all(&[0xff; 64]).await.unwrap();
        assert!(matches!(next(&mut link).await, LinkEvent::Closed(_)));

        let (mut link, server) = connected().await;
        drop(server);
        assert!(matches!(next(&mut link).await, LinkEvent::Closed(_)));
    });
}

#[test]
fn closing_sends_what_waits_and_a_close_frame() {
    smol::block_on(async {
        let (mut link, mut server) = connected().await;
        link.push(WsFrame::Text("last words".into())).unwrap();
        let mut link = Some(link);
        poll_fn(|cx| {
            if let Some(link) = link.take() {
                link.close(cx);
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(server.next().await.unwrap().unwrap(), Message::text("last words"));
        assert_eq!(server.next().await.unwrap().unwrap(), Message::Close(None));
    });
}

#[test]
fn dialing_tries_one_url_after_the_other_and_names_each_failure() {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = format!("ws://{}/", listener.local_addr().unwrap());
        // accepts and says nothing
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent_url = format!("wss://{}/", silent.local_addr().unwrap());
        let edge = edge(built_in(), Duration::from_millis(200));

        let urls = vec!["nonsense".to_owned(), silent_url.clone(), good];
        let (dialed, accepted) = smol::future::zip(dial(urls, edge.clone()), async {
            accept_async(listener.accept().await.unwrap().0).await
        })
        .await;
        assert!(dialed.is_ok() && accepted.is_ok());

        let urls = vec!["nonsense".to_owned(), silent_url.clone()];
        let error = dial(urls, edge).await.map(|_| ()).unwrap_err();
        assert!(error.contains("nonsense") && error.contains(&silent_url), "{error}");
    });
}

#[test]
fn a_server_that_is_none_of_websocket_is_refused() {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let server = async {
            let mut stream = listener.accept().await.unwrap().0;
            stream.read_exact(&mut [0; 16]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            stream
        };
        let dialing = dial(vec![url], edge(built_in(), Duration::from_secs(5)));
        let (dialed, _stream) = smol::future::zip(dialing, server).await;
        assert!(dialed.map(|_| ()).unwrap_err().contains("200"));
    });
}

#[test]
fn a_secure_link_carries_frames_and_trusts_only_its_roots() {
    smol::block_on(async {
        let timeout = Duration::from_secs(5);
        let (server_tls, trusting) = tls_pair(timeout);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let urls = vec![format!("wss://localhost:{port}/")];
        let acceptor = TlsAcceptor::from(server_tls);

        let (dialed, server) = smol::future::zip(dial(urls.clone(), trusting), async {
            let stream = listener.accept().await.unwrap().0;
            accept_async(acceptor.accept(stream).await.unwrap()).await
        })
        .await;
        let (mut link, mut server) = (Link::new(ConnectionId(1), dialed.unwrap()), server.unwrap());
        let frame = WsFrame::Binary(vec![5; 100_000].into());
        link.push(frame.clone()).unwrap();
        let echo = async {
            let message = server.next().await.unwrap().unwrap();
            server.send(message).await.unwrap();
            smol::future::pending::<LinkEvent>().await
        };
        assert_eq!(next(&mut link).or(echo).await, LinkEvent::Frame(frame));

        let stranger = dial(urls, edge(built_in(), timeout));
        let (dialed, _) = smol::future::zip(stranger, async {
            acceptor.accept(listener.accept().await.unwrap().0).await
        })
        .await;
        let error = dialed.map(|_| ()).unwrap_err();
        assert!(error.contains("certificate"), "{error}");
    });
}

async fn connected() -> (Link, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let dialing = dial(vec![url], edge(built_in(), Duration::from_secs(5)));
    let (socket, server) = smol::future::zip(dialing, async {
        accept_async(listener.accept().await.unwrap().0).await
    })
    .await;
    (Link::new(ConnectionId(1), socket.unwrap()), server.unwrap())
}

/// The next event of the link.
async fn next(link: &mut Link) -> LinkEvent {
    poll_fn(|cx| link.poll(cx)).await
}

/// Runs the link until `other` is done.
async fn with<T>(link: &mut Link, other: impl Future<Output = T>) -> T {
    let run = async {
        loop {
            next(link).await;
        }
    };
    other.or(run).await
}

/// TLS settings of a server named `localhost`, and a way to it for a client that trusts it.
fn tls_pair(timeout: Duration) -> (Arc<ServerConfig>, Edge) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = std::env::temp_dir().join(format!("nym-link-smol-{}.pem", std::process::id()));
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
