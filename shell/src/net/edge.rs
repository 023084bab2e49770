//! Everything a runtime needs to reach gateways and directories.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::error::{DialError, NetError};
use super::fetch::Fetcher;
use super::options::NetOptions;
use super::proxy::{Proxies, ProxyUrl};
use super::tcp::{self, TimedStream};
use super::trust::tls_config;

/// Everything a runtime needs to reach gateways and directories: made once, when a client starts.
/// Clones share it.
#[derive(Clone)]
pub struct Edge {
    tls: Arc<ClientConfig>,
    proxies: Proxies,
    dial_timeout: Duration,
    fetch_timeout: Duration,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("proxies", &self.proxies)
            .field("dial_timeout", &self.dial_timeout)
            .field("fetch_timeout", &self.fetch_timeout)
            .finish_non_exhaustive()
    }
}

impl Edge {
    /// Reads certificate authorities and, if it counts, the environment.
    pub fn new(options: &NetOptions) -> Result<Self, NetError> {
        Ok(Self {
            tls: tls_config(&options.trust)?,
            proxies: Proxies::new(&options.proxy)?,
            dial_timeout: options.dial_timeout,
            fetch_timeout: options.fetch_timeout,
        })
    }

    /// TLS settings.
    #[must_use]
    pub fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// The proxy through which to connect, if there is one.
    #[must_use]
    pub fn proxy_for(&self, endpoint: &Endpoint) -> Option<&ProxyUrl> {
        self.proxies.proxy_for(&endpoint.host, endpoint.port, endpoint.tls.is_some())
    }

    /// When dialing a URL that begins now has to be over.
    #[must_use]
    pub fn dial_deadline(&self) -> Deadline {
        Deadline::after(self.dial_timeout)
    }

    /// When a request that has so long left has to be over.
    pub(super) fn fetch_deadline(&self, left: Duration) -> Deadline {
        Deadline::after_part(left, self.fetch_timeout)
    }

    /// Connects, blocking: TCP and the proxy, without TLS.
    pub fn connect(
        &self,
        endpoint: &Endpoint,
        deadline: Deadline,
    ) -> Result<TimedStream, DialError> {
        let Endpoint { host, port, .. } = endpoint;
        tcp::connect(host, *port, self.proxy_for(endpoint), deadline)
    }

    /// Agrees on TLS over a connection, blocking. Fails unless the other side proves to be `name`.
    pub fn secure(
        &self,
        name: ServerName<'static>,
        mut stream: TimedStream,
    ) -> Result<StreamOwned<ClientConnection, TimedStream>, DialError> {
        let tls = |error| DialError::Tls(io::Error::other(error));
        let mut session = ClientConnection::new(self.tls(), name).map_err(tls)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).map_err(DialError::Tls)?;
        }
        Ok(StreamOwned::new(session, stream))
    }

    /// What fetches documents.
    #[must_use]
    pub fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.clone(), self.fetch_timeout)
    }
}
