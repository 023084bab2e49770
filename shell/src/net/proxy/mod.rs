//! Proxies: which one a host is reached through, and how it is spoken to.

mod environment;
mod tunnel;
mod url;

use std::sync::Arc;

pub(super) use environment::Environment;
pub use tunnel::{HEAD_BYTES_MAX, Step, Tunnel, TunnelError};
pub use url::{BadProxy, BadProxyReason, ProxyUrl};

use super::error::NetError;
use super::options::Proxy;

/// Which hosts are reached through which proxy.
#[derive(Clone, Debug)]
pub(super) enum Proxies {
    Direct,
    Always(Arc<ProxyUrl>),
    Environment(Arc<Environment>),
}

impl Proxies {
    /// Reads the environment if it counts.
    pub(super) fn new(proxy: &Proxy) -> Result<Self, NetError> {
        Ok(match proxy {
            Proxy::Direct => Self::Direct,
            Proxy::Url(url) => Self::Always(Arc::new(url.clone())),
            Proxy::Environment => Self::Environment(Arc::new(Environment::read()?)),
        })
    }

    pub(super) fn proxy_for(&self, host: &str, port: u16, is_secure: bool) -> Option<&ProxyUrl> {
        match self {
            Self::Direct => None,
            Self::Always(proxy) => Some(proxy),
            Self::Environment(environment) => {
                environment.proxy_for(host, port, is_secure).map(AsRef::as_ref)
            }
        }
    }
}
