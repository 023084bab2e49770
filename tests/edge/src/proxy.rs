//! A proxy of both kinds that resolves names by a table and keeps count.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use smol::Task;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

use crate::front::relay;

/// The only user.
const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "hush";

/// What a proxy speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// HTTP CONNECT.
    Http,
    /// SOCKS5.
    Socks,
}

/// A running proxy. Ends when dropped.
pub struct Double {
    kind: Kind,
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _serving: Task<()>,
}

/// What a proxy has seen.
#[derive(Default)]
struct Seen {
    /// What it was asked for.
    asked: Vec<String>,
    /// From where it connected.
    outgoing: Vec<SocketAddr>,
}

struct Rules {
    kind: Kind,
    /// Where names lead; addresses lead where they say.
    names: BTreeMap<String, SocketAddr>,
}

impl Double {
    /// Knows these names, each with its port.
    #[must_use]
    pub fn start(kind: Kind, names: &[(&str, SocketAddr)]) -> Self {
        let listener = smol::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let names = names.iter().map(|(name, to)| ((*name).to_owned(), *to)).collect();
        let rules = Arc::new(Rules { kind, names });
        let seen = Arc::<Mutex<Seen>>::default();
        let noted = Arc::clone(&seen);
        let serving = smol::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (rules, noted) = (Arc::clone(&rules), Arc::clone(&noted));
                // ends with either side, or when the client makes no sense
                smol::spawn(async move {
                    let _ = serve(stream, &rules, &noted).await;
                })
                .detach();
            }
        });
        Self { kind, address, seen, _serving: serving }
    }

    /// The URL of the proxy for the only user.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_with(PASSWORD)
    }

    /// The URL with another password.
    #[must_use]
    pub fn url_with(&self, password: &str) -> String {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Socks => "socks5h",
        };
        format!("{scheme}://{USER}:{password}@{}", self.address)
    }

    /// What it was asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().asked.clone()
    }

    /// From where it connected.
    #[must_use]
    pub fn outgoing(&self) -> Vec<SocketAddr> {
        self.seen.lock().unwrap().outgoing.clone()
    }
}

async fn serve(mut client: TcpStream, rules: &Rules, seen: &Mutex<Seen>) -> smol::io::Result<()> {
    let Some(place) = (match rules.kind {
        Kind::Http => http_request(&mut client).await?,
        Kind::Socks => socks_request(&mut client).await?,
    }) else {
        return Ok(());
    };
    seen.lock().unwrap().asked.push(place.clone());
    let to = rules.names.get(&place).copied().or_else(|| place.parse().ok());
    let server = match to {
        Some(to) => TcpStream::connect(to).await.ok(),
        None => None,
    };
    let Some(server) = server else {
        let refusal: &[u8] = match rules.kind {
            Kind::Http => b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            Kind::Socks => &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0],
        };
        return client.write_all(refusal).await;
    };
    seen.lock().unwrap().outgoing.push(server.local_addr()?);
    let welcome: &[u8] = match rules.kind {
        Kind::Http => b"HTTP/1.1 200 Connection established\r\n\r\n",
        Kind::Socks => &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    };
    client.write_all(welcome).await?;
    relay(client, server, &AtomicUsize::new(0)).await
}

/// Reads a request and checks the password. Returns host and port asked for.
async fn http_request(client: &mut TcpStream) -> smol::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).await?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // alice:hush
    if !head.contains("\r\nProxy-Authorization: Basic YWxpY2U6aHVzaA==\r\n") {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await?;
        return Ok(None);
    }
    let place = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    Ok(place.map(str::to_owned))
}

async fn socks_request(client: &mut TcpStream) -> smol::io::Result<Option<String>> {
    let [_, methods] = read(client).await?;
    let mut offered = vec![0; usize::from(methods)];
    client.read_exact(&mut offered).await?;
    if !offered.contains(&2) {
        client.write_all(&[5, 255]).await?;
        return Ok(None);
    }
    client.write_all(&[5, 2]).await?;
    let [_version] = read(client).await?;
    let (user, password) = (read_short(client).await?, read_short(client).await?);
    if (user.as_str(), password.as_str()) != (USER, PASSWORD) {
        client.write_all(&[1, 1]).await?;
        return Ok(None);
    }
    client.write_all(&[1, 0]).await?;
    let [_, _, _, kind] = read(client).await?;
    let host = match kind {
        1 => std::net::Ipv4Addr::from(read(client).await?).to_string(),
        4 => format!("[{}]", std::net::Ipv6Addr::from(read::<16>(client).await?)),
        _ => read_short(client).await?,
    };
    let port = u16::from_be_bytes(read(client).await?);
    Ok(Some(format!("{host}:{port}")))
}

async fn read<const N: usize>(client: &mut TcpStream) -> smol::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Reads a length of one byte and as much text.
async fn read_short(client: &mut TcpStream) -> smol::io::Result<String> {
    let [len] = read(client).await?;
    let mut bytes = vec![0; usize::from(len)];
    client.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
