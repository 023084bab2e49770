//! Settings of how a client reaches gateways and directories.

use std::path::PathBuf;
use std::time::Duration;

use super::proxy::ProxyUrl;

/// Settings of how a client reaches gateways and directories. They apply to both alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetOptions {
    /// Who may vouch for the certificate of a `wss` or `https` host.
    pub trust: Trust,
    /// Whether connections go through a proxy.
    pub proxy: Proxy,
    /// How long one attempt to reach one URL of a gateway may take: name resolution, TCP, the
    /// proxy, TLS and the WebSocket upgrade together. 10 seconds by default: the core waits twice as
    /// long for a gateway, and a gateway has at most two URLs.
    pub dial_timeout: Duration,
    /// How long one request to a directory may take, from name resolution to the last byte of the
    /// document, redirects included. 30 seconds by default: half of what the core allows for all
    /// documents together.
    pub fetch_timeout: Duration,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            proxy: Proxy::default(),
            dial_timeout: Duration::from_secs(10),
            fetch_timeout: Duration::from_secs(30),
        }
    }
}

/// Who may vouch for the certificate of a host: certificate authorities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Those the operating system trusts. If it has none, those built in.
    ///
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name other places to look for them.
    System {
        /// A PEM file with further authorities.
        extra: Option<PathBuf>,
    },
    /// Those Mozilla trusted when this was built.
    BuiltIn {
        /// A PEM file with further authorities.
        extra: Option<PathBuf>,
    },
    /// Those in a PEM file and no others.
    Only(PathBuf),
}

impl Default for Trust {
    fn default() -> Self {
        Self::System { extra: None }
    }
}

/// Whether connections go through a proxy. What a proxy is asked to reach is a name whenever there
/// is one: names are resolved at the proxy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Proxy {
    /// What the environment says at the start. `HTTPS_PROXY` is for `https` and `wss`, `HTTP_PROXY`
    /// for `http` and `ws`, `ALL_PROXY` for whatever has none of its own; `NO_PROXY` lists
    /// exceptions. In lower case the names count before those in upper case. Loopback hosts are
    /// always reached directly.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one for everything, loopback hosts included. The environment does not count.
    Url(ProxyUrl),
}
