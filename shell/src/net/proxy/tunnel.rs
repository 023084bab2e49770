//! How a proxy is asked for a connection: bytes in, bytes out.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::url::{Credentials, ProxyKind, ProxyUrl};

/// Longest head of an HTTP answer accepted, in bytes. What servers usually allow for requests.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// Longest host name, in bytes: what fits the length field. (RFC 1928, section 5)
const HOST_BYTES_MAX: usize = 255;

/// A negotiation with a proxy for a connection to some host.
///
/// Write what [`Tunnel::open`] returns, then hand in what the proxy answers. Until
/// [`Step::Open`] nothing but the bytes it gives may be written.
pub struct Tunnel {
    state: State,
    /// What has come and is not understood yet.
    input: Vec<u8>,
}

/// What to do next.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Read more.
    Read,
    /// Write this, then read.
    Write(Zeroizing<Vec<u8>>),
    /// The connection is the host's from now on.
    Open,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("Read"),
            // may be a password
            Self::Write(bytes) => write!(f, "Write({} bytes)", bytes.len()),
            Self::Open => f.write_str("Open"),
        }
    }
}

enum State {
    /// The head of an HTTP answer is awaited.
    Head {
        has_credentials: bool,
    },
    /// The choice of a way to log in.
    Method {
        login: Option<Zeroizing<Vec<u8>>>,
        request: Vec<u8>,
    },
    /// The answer to the login.
    Login {
        request: Vec<u8>,
    },
    /// The answer to the request.
    Reply,
    Open,
}

/// Why a proxy gives no connection.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The host cannot be asked for.
    #[error("{0:?} is no host a proxy could be asked for")]
    Host(String),
    /// The proxy wants a user name and a password.
    #[error("it wants a user and a password; put user:password@ before its host")]
    CredentialsWanted,
    /// The proxy does not accept user name and password.
    #[error("it does not accept the user or the password")]
    CredentialsRefused,
    /// The proxy's answer is of another protocol.
    #[error("its answer is not {0}; is the scheme right?")]
    NotUnderstood(&'static str),
    /// The proxy's answer is too long.
    #[error("the head of its answer is longer than {0} bytes")]
    TooLong(usize),
    /// The proxy answered with a status other than success.
    #[error("it answers with status {0}")]
    Status(u16),
    /// The proxy reports a failure. (RFC 1928, section 6)
    #[error("it reports: {}", socks_reply(*.0))]
    Reply(u8),
    /// The proxy sent something although it is not its turn.
    #[error("it sends more than it should")]
    Surplus,
    /// The proxy closed the connection.
    #[error("it hung up before the connection was open")]
    Closed,
}

fn socks_reply(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "the connection is refused",
        6 => "the time to live has expired",
        7 => "the command is not supported",
        8 => "the type of address is not supported",
        _ => "an unknown failure",
    }
}

impl Tunnel {
    /// Asks `proxy` for a connection to `host`, a name or an IP address, IPv6 without brackets.
    /// Returns the negotiation and the first bytes to write.
    pub fn open(
        proxy: &ProxyUrl,
        host: &str,
        port: u16,
    ) -> Result<(Self, Zeroizing<Vec<u8>>), TunnelError> {
        // anything else could end the line or the field it is put into
        let is_name = host.bytes().all(|b| b.is_ascii_graphic() && !b"[]/@?#".contains(&b));
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !is_name {
            return Err(TunnelError::Host(host.to_owned()));
        }
        let credentials = proxy.credentials.as_ref();
        let (state, first) = match proxy.kind {
            ProxyKind::Http => {
                let state = State::Head { has_credentials: credentials.is_some() };
                (state, http_request(host, port, credentials))
            }
            ProxyKind::Socks5 => {
                let methods: &[u8] = if credentials.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
                let login = credentials.map(socks_login);
                let state = State::Method { login, request: socks_request(host, port) };
                (state, methods.to_vec().into())
            }
        };
        Ok((Self { state, input: Vec::new() }, first))
    }

    /// Takes what the proxy has sent; nothing at all means that it closed the connection. No more
    /// than [`HEAD_BYTES_MAX`] bytes are kept.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<Step, TunnelError> {
        if bytes.is_empty() {
            return Err(TunnelError::Closed);
        }
        if self.input.len().saturating_add(bytes.len()) > HEAD_BYTES_MAX {
            return Err(TunnelError::TooLong(HEAD_BYTES_MAX));
        }
        self.input.extend_from_slice(bytes);
        let (len, next, step) = match &mut self.state {
            State::Head { has_credentials } => {
                let Some(len) = http_answer(&self.input, *has_credentials)? else {
                    return Ok(Step::Read);
                };
                (len, State::Open, Step::Open)
            }
            State::Method { login, request } => {
                let Some(method) = socks_pair(&self.input, 5)? else {
                    return Ok(Step::Read);
                };
                match (method, login.take()) {
                    (0, _) => (2, State::Reply, Step::Write(core::mem::take(request).into())),
                    (2, Some(login)) => {
                        let request = core::mem::take(request);
                        (2, State::Login { request }, Step::Write(login))
                    }
                    (_, None) => return Err(TunnelError::CredentialsWanted),
                    (_, Some(_)) => return Err(TunnelError::CredentialsRefused),
                }
            }
            State::Login { request } => match socks_pair(&self.input, 1)? {
                None => return Ok(Step::Read),
                Some(0) => (2, State::Reply, Step::Write(core::mem::take(request).into())),
                Some(_) => return Err(TunnelError::CredentialsRefused),
            },
            State::Reply => {
                let Some(len) = socks_answer(&self.input)? else {
                    return Ok(Step::Read);
                };
                (len, State::Open, Step::Open)
            }
            State::Open => return Err(TunnelError::Surplus),
        };
        // neither side speaks before it is asked, so what follows an answer is not to be trusted
        if self.input.len() > len {
            return Err(TunnelError::Surplus);
        }
        self.input.clear();
        self.state = next;
        Ok(step)
    }
}

/// A CONNECT request. (RFC 9110, section 9.3.6)
fn http_request(host: &str, port: u16, credentials: Option<&Credentials>) -> Zeroizing<Vec<u8>> {
    let place = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let login = match credentials {
        None => Zeroizing::default(),
        Some(Credentials { user, password }) => {
            let pair = Zeroizing::new(format!("{}:{}", user.as_str(), password.as_str()));
            let pair = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            Zeroizing::new(format!("Proxy-Authorization: Basic {}\r\n", pair.as_str()))
        }
    };
    let request =
        format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{}\r\n", login.as_str()).into_bytes();
    Zeroizing::new(request)
}

/// The length of the head of an answer, if it is complete and says that the connection is open.
fn http_answer(input: &[u8], has_credentials: bool) -> Result<Option<usize>, TunnelError> {
    const VERSION: &[u8] = b"HTTP/1.";
    let seen = input.len().min(VERSION.len());
    if input.get(..seen) != VERSION.get(..seen) {
        return Err(TunnelError::NotUnderstood("HTTP"));
    }
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    // the version's last digit and a space, then the status
    let status = input.get(VERSION.len() + 1..VERSION.len() + 5);
    let status = status.and_then(|text| std::str::from_utf8(text).ok());
    let status = status.and_then(|text| text.strip_prefix(' ')?.parse().ok());
    match status.ok_or(TunnelError::NotUnderstood("HTTP"))? {
        200..=299 => Ok(Some(end + 4)),
        407 if has_credentials => Err(TunnelError::CredentialsRefused),
        407 => Err(TunnelError::CredentialsWanted),
        status => Err(TunnelError::Status(status)),
    }
}

/// A login by name and password. (RFC 1929, section 2)
fn socks_login(credentials: &Credentials) -> Zeroizing<Vec<u8>> {
    let mut login = Zeroizing::new(vec![1]);
    push_short(&mut login, credentials.user.as_bytes());
    push_short(&mut login, credentials.password.as_bytes());
    login
}

/// A request for a connection. (RFC 1928, section 4)
fn socks_request(host: &str, port: u16) -> Vec<u8> {
    let mut request = vec![5, 1, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            request.push(3);
            push_short(&mut request, host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    request
}

/// Appends a length of one byte and as many bytes; the caller has checked that there are no more.
fn push_short(to: &mut Vec<u8>, bytes: &[u8]) {
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    to.push(len);
    to.extend(bytes.iter().take(usize::from(len)));
}

/// The second byte of an answer of two, the first of which is a version.
fn socks_pair(input: &[u8], version: u8) -> Result<Option<u8>, TunnelError> {
    match input {
        [first, ..] if *first != version => Err(TunnelError::NotUnderstood("SOCKS5")),
        [_, second, ..] => Ok(Some(*second)),
        _ => Ok(None),
    }
}

/// The length of an answer to a request, if it is complete and says that the connection is open.
/// (RFC 1928, section 6)
fn socks_answer(input: &[u8]) -> Result<Option<usize>, TunnelError> {
    match socks_pair(input, 5)? {
        None => return Ok(None),
        Some(0) => {}
        Some(code) => return Err(TunnelError::Reply(code)),
    }
    // version, reply, reserved and type of address in front, the port behind
    let len = match input {
        [_, _, _, 1, ..] => 4 + 4 + 2,
        [_, _, _, 4, ..] => 4 + 16 + 2,
        [_, _, _, 3, len, ..] => 5 + usize::from(*len) + 2,
        [_, _, _, 3] => return Ok(None),
        [_, _, _, _, ..] => return Err(TunnelError::NotUnderstood("SOCKS5")),
        _ => return Ok(None),
    };
    Ok((input.len() >= len).then_some(len))
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
