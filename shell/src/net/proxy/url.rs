//! Where a proxy is and how it is spoken to.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroizing;

/// Longest user name and longest password, in bytes. (RFC 1929, section 2)
const CREDENTIAL_BYTES_MAX: usize = 255;

/// Where a proxy is, how it is spoken to, and as whom.
///
/// Read from `http://`, `socks5://` or `socks5h://`, then `user:password@` if needed, then host and
/// port. Without a scheme it is an HTTP proxy. The port is 80 or 1080 unless given. Special characters of user
/// and password are written as `%` and two hexadecimal digits. Both SOCKS schemes resolve names at
/// the proxy. User and password show neither in `Debug` nor in `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    pub(super) kind: ProxyKind,
    /// Host name or IP address; IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProxyKind {
    /// HTTP with CONNECT.
    Http,
    /// SOCKS, version 5.
    Socks5,
}

/// User name and password for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
}

/// A proxy that cannot be used as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the proxy {url:?} cannot be used: {reason}")]
pub struct BadProxy {
    /// What was given, without user and password.
    pub url: String,
    /// What is wrong with it, and the remedy.
    pub reason: BadProxyReason,
}

/// What is wrong with a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BadProxyReason {
    /// It is spoken to in a way that is not supported.
    #[error("its scheme is none of http, socks5 and socks5h")]
    Scheme,
    /// There is no valid host.
    #[error("it has no valid host; write scheme://host:port")]
    Host,
    /// The port is no number from 1 to 65535.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// Something follows the port.
    #[error("something follows the port; write scheme://host:port")]
    Path,
    /// The user name or the password is too long or badly encoded.
    #[error(
        "user or password is longer than {CREDENTIAL_BYTES_MAX} bytes, empty where it must not be, or badly \
         encoded; write special characters as % and two hexadecimal digits"
    )]
    Credentials,
}

impl ProxyUrl {
    /// Host name or IP address; IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ProxyUrl {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        read(text.trim()).map_err(|reason| BadProxy { url: without_credentials(text), reason })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5h",
        };
        let Self { host, port, .. } = self;
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.credentials.is_some() { " with <redacted>" } else { "" };
        write!(f, "ProxyUrl({self}{credentials})")
    }
}

fn read(text: &str) -> Result<ProxyUrl, BadProxyReason> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (ProxyKind::Http, 80),
        "socks5" | "socks5h" => (ProxyKind::Socks5, 1080),
        _ => return Err(BadProxyReason::Scheme),
    };
    // the last one: careless users leave it as it is in passwords
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(read_credentials(credentials, kind)?), place),
        None => (None, rest),
    };
    let place = place.strip_suffix('/').unwrap_or(place);
    if place.contains(['/', '?', '#']) {
        return Err(BadProxyReason::Path);
    }
    let (host, port) = split_port(place)?;
    let port = match port {
        Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(BadProxyReason::Port)?,
        None => default_port,
    };
    Ok(ProxyUrl { kind, host, port, credentials })
}

fn split_port(place: &str) -> Result<(String, Option<&str>), BadProxyReason> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(BadProxyReason::Host)?;
        let address: std::net::Ipv6Addr = host.parse().map_err(|_| BadProxyReason::Host)?;
        let port = match rest.strip_prefix(':') {
            None if !rest.is_empty() => return Err(BadProxyReason::Host),
            port => port,
        };
        return Ok((address.to_string(), port));
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match !host.is_empty() && host.len() <= 255 && host.chars().all(is_name) {
        true => Ok((host.to_owned(), port)),
        false => Err(BadProxyReason::Host),
    }
}

fn read_credentials(text: &str, kind: ProxyKind) -> Result<Credentials, BadProxyReason> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let credentials = Credentials { user: decode(user)?, password: decode(password)? };
    let Credentials { user, password } = &credentials;
    let is_valid = match kind {
        // a colon would end the user name (RFC 7617, section 2)
        ProxyKind::Http => !user.contains(':'),
        ProxyKind::Socks5 => !user.is_empty() && !password.is_empty(),
    };
    match is_valid {
        true => Ok(credentials),
        false => Err(BadProxyReason::Credentials),
    }
}

fn decode(text: &str) -> Result<Zeroizing<String>, BadProxyReason> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            byte => byte,
        };
        decoded.push(byte);
    }
    let decoded = std::str::from_utf8(&decoded).map_err(|_| BadProxyReason::Credentials)?;
    match decoded.len() <= CREDENTIAL_BYTES_MAX {
        true => Ok(Zeroizing::new(decoded.to_owned())),
        false => Err(BadProxyReason::Credentials),
    }
}

fn hex(digit: Option<u8>) -> Result<u8, BadProxyReason> {
    let digit = digit.and_then(|digit| char::from(digit).to_digit(16));
    digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(BadProxyReason::Credentials)
}

/// The text without what may be a user or a password, also if it is written wrongly.
fn without_credentials(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((_, place)) => ("<redacted>@", place),
        None => ("", rest),
    };
    let colon = if scheme.is_empty() { "" } else { "://" };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    match place.split_once(':').filter(|_| !place.starts_with('[')) {
        Some((host, port)) if is_port(port) => {
            format!("{scheme}{colon}{credentials}{host}:{port}")
        }
        Some((host, _)) => format!("{scheme}{colon}{credentials}{host}:<redacted>"),
        None => format!("{scheme}{colon}{credentials}{place}"),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
