//! Where URLs lead.

use rustls::pki_types::ServerName;
use thiserror::Error;
use tungstenite::http::Uri;

/// Where a URL leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The name to check in the certificate, if TLS is to be used.
    pub tls: Option<ServerName<'static>>,
}

/// A URL that does not lead to a host in the way it should.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{url:?} is not a {scheme}:// or {scheme}s:// URL with a host")]
pub struct BadUrl {
    url: String,
    scheme: &'static str,
}

impl Endpoint {
    /// Reads a `ws://` or `wss://` URL.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl { url: url.to_owned(), scheme: "ws" };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let is_secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(bad()),
        };
        Self::of(&uri, is_secure).ok_or_else(bad)
    }

    /// Where an `http://` or `https://` URL leads.
    pub(super) fn of_document(uri: &Uri) -> Result<Self, BadUrl> {
        let is_secure = match uri.scheme_str() {
            Some("http") => Some(false),
            Some("https") => Some(true),
            _ => None,
        };
        is_secure
            .and_then(|is_secure| Self::of(uri, is_secure))
            .ok_or_else(|| BadUrl { url: uri.to_string(), scheme: "http" })
    }

    fn of(uri: &Uri, is_secure: bool) -> Option<Self> {
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let host = Some(host).filter(|host| !host.is_empty())?.to_owned();
        let tls = match is_secure {
            true => Some(ServerName::try_from(host.clone()).ok()?),
            false => None,
        };
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Some(Self { host, port, tls })
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
