//! What the environment says about proxies.

use std::net::IpAddr;
use std::sync::Arc;

use super::url::ProxyUrl;
use crate::net::error::NetError;

/// Exceptions looked at in `NO_PROXY`; further ones are an error nobody makes.
const EXCEPTIONS_MAX: usize = 1024;

/// What the environment says about proxies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// For `https` and `wss`.
    secure: Option<Arc<ProxyUrl>>,
    /// For `http` and `ws`.
    plain: Option<Arc<ProxyUrl>>,
    exceptions: Vec<Exception>,
}

/// The two names of a variable. The one in lower case counts first.
type Names = [&'static str; 2];

const ALL: Names = ["all_proxy", "ALL_PROXY"];
const SECURE: Names = ["https_proxy", "HTTPS_PROXY"];
const PLAIN: Names = ["http_proxy", "HTTP_PROXY"];
const EXCEPT: Names = ["no_proxy", "NO_PROXY"];

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn read() -> Result<Self, NetError> {
        // what is no text is no proxy either, and is refused as one
        Self::from_lookup(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, NetError> {
        let find = |names: Names| {
            let set = |name| Some((name, lookup(name).filter(|value| !value.trim().is_empty())?));
            names.into_iter().find_map(set)
        };
        let proxy = |names| match find(names).or_else(|| find(ALL)) {
            None => Ok(None),
            Some((variable, value)) => match value.parse() {
                Ok(proxy) => Ok(Some(Arc::new(proxy))),
                Err(error) => Err(NetError::ProxyVariable { variable, error }),
            },
        };
        let exceptions = find(EXCEPT).map(|(_, value)| value).unwrap_or_default();
        let exceptions = exceptions.split(',').filter_map(Exception::read).take(EXCEPTIONS_MAX);
        Ok(Self { secure: proxy(SECURE)?, plain: proxy(PLAIN)?, exceptions: exceptions.collect() })
    }

    /// The proxy for a host, if it is to be reached through one.
    pub(crate) fn proxy_for(
        &self,
        host: &str,
        port: u16,
        is_secure: bool,
    ) -> Option<&Arc<ProxyUrl>> {
        let proxy = if is_secure { self.secure.as_ref() } else { self.plain.as_ref() }?;
        let host = Host::new(host);
        let is_direct =
            host.is_loopback() || self.exceptions.iter().any(|e| e.applies(&host, port));
        (!is_direct).then_some(proxy)
    }
}

/// A host as it is compared.
enum Host {
    Address(IpAddr),
    Name(String),
}

impl Host {
    fn new(text: &str) -> Self {
        match text.parse::<IpAddr>() {
            Ok(address) => Self::Address(address.to_canonical()),
            Err(_) => Self::Name(text.trim_end_matches('.').to_ascii_lowercase()),
        }
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback() || address.is_unspecified(),
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Exception {
    what: Hosts,
    /// `None`: any.
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Hosts {
    All,
    /// A name and the names below it.
    Name(String),
    /// The addresses whose first bits are those of this one.
    Network(IpAddr, u32),
}

impl Exception {
    /// Reads `*`, a name with or without a dot or `*.` in front, an address, or an address with the
    /// length of a prefix; names and bracketed addresses may have a port.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(network) = network(text) {
            return Some(Self { what: network, port: None });
        }
        let (place, port) = match text.rsplit_once(':') {
            Some((place, port)) => (place, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let place = place.strip_prefix('[').and_then(|p| p.strip_suffix(']')).unwrap_or(place);
        let what = match (place, network(place)) {
            ("*", _) => Hosts::All,
            (_, Some(network)) => network,
            (name, None) => {
                let name = name.trim_start_matches('*').trim_matches('.').to_ascii_lowercase();
                Hosts::Name(Some(name).filter(|name| !name.is_empty())?)
            }
        };
        Some(Self { what, port })
    }

    fn applies(&self, host: &Host, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
            && match (&self.what, host) {
                (Hosts::All, _) => true,
                (Hosts::Name(name), Host::Name(host)) => host
                    .strip_suffix(name.as_str())
                    .is_some_and(|r| r.is_empty() || r.ends_with('.')),
                (Hosts::Network(network, bits), Host::Address(address)) => {
                    is_within(*address, *network, *bits)
                }
                _ => false,
            }
    }
}

/// Reads an address, or an address with the length of a prefix.
fn network(text: &str) -> Option<Hosts> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some(Hosts::Network(address, bits))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(32 - bits.min(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).checked_shr(128 - bits.min(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
