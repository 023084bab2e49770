//! Servers in front of the network's sockets: they speak TLS, or pass on what comes, and keep count.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use smol::Task;
use smol::future::FutureExt as _;
use smol::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

/// A listener that passes on what it gets. Ends when dropped.
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    _serving: Task<()>,
}

/// What a front has seen.
#[derive(Default)]
struct Seen {
    peers: Mutex<Vec<SocketAddr>>,
    /// Bytes from clients, inside TLS if there is TLS.
    bytes: AtomicUsize,
}

impl Front {
    /// Speaks TLS and passes on what is in it.
    #[must_use]
    pub fn tls(to: SocketAddr, config: Arc<ServerConfig>) -> Self {
        Self::start(to, Some(config))
    }

    /// Passes on everything as it is.
    #[must_use]
    pub fn plain(to: SocketAddr) -> Self {
        Self::start(to, None)
    }

    fn start(to: SocketAddr, config: Option<Arc<ServerConfig>>) -> Self {
        let listener = smol::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let noted = Arc::clone(&seen);
        let serving = smol::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                noted.peers.lock().unwrap().push(peer);
                let (noted, config) = (Arc::clone(&noted), config.clone());
                // ends with either side
                smol::spawn(async move {
                    let _ = serve(stream, to, config, &noted.bytes).await;
                })
                .detach();
            }
        });
        Self { address, seen, _serving: serving }
    }

    /// Who has connected.
    #[must_use]
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.seen.peers.lock().unwrap().clone()
    }

    /// How many bytes clients have sent, inside TLS if there is TLS.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.seen.bytes.load(Ordering::Acquire)
    }
}

async fn serve(
    client: TcpStream,
    to: SocketAddr,
    config: Option<Arc<ServerConfig>>,
    count: &AtomicUsize,
) -> smol::io::Result<()> {
    client.set_nodelay(true)?;
    match config {
        None => relay(client, TcpStream::connect(to).await?, count).await,
        Some(config) => {
            let client = TlsAcceptor::from(config).accept(client).await?;
            relay(client, TcpStream::connect(to).await?, count).await
        }
    }
}

/// Passes on bytes until either side ends, and counts those of the client.
pub(crate) async fn relay(
    client: impl AsyncRead + AsyncWrite + Unpin,
    server: TcpStream,
    count: &AtomicUsize,
) -> smol::io::Result<()> {
    server.set_nodelay(true)?;
    let (from_client, to_client) = smol::io::split(client);
    let up = copy(from_client, server.clone(), Some(count));
    let down = copy(server.clone(), to_client, None);
    up.or(down).await
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: Option<&AtomicUsize>,
) -> smol::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if let Some(count) = count {
            count.fetch_add(read, Ordering::AcqRel);
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
    }
}
