//! The websocket server: accepts programs and joins them with a client.
//!
//! What programs may do and what they are told is decided by [`Programs`](crate::protocol::programs::Programs);
//! here bytes are moved. Everything runs on the thread that calls [`Server::run`]: the client is elsewhere, so
//! that reading a long request does not show in the times of its frames.

mod connection;
mod handshake;
mod hub;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use nym_runtime_smol::Client;
use smol::channel::Receiver;
use smol::net::TcpListener;

use self::hub::Hub;
use crate::protocol::{Access, programs};

/// How long the end of a connection may take: what waits is written, the Close frame is sent and answered.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a server treats programs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who may connect.
    pub access: Access,
    /// How many programs, and what is kept for them.
    pub programs: programs::Settings,
}

/// A socket that programs can connect to.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
}

/// Why a server has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// The client has stopped.
    ClientStopped,
}

impl Server {
    /// Listens. Port 0 stands for any free one.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, settings })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves programs until `stop` yields something or is closed, or the client has stopped. Then
    /// programs are sent away, with what waits for them; requests that were read are carried out, if
    /// there still is a client.
    pub async fn run(self, client: Client, stop: Receiver<()>) -> Ended {
        let executor = Rc::new(smol::LocalExecutor::new());
        let hub = Hub::new(self.settings, client, Rc::clone(&executor));
        executor.run(hub.run(self.listener, stop)).await
    }
}
