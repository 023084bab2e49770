//! TCP connections that are waited for, directly or through a proxy.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::thread;

use super::deadline::Deadline;
use super::error::DialError;
use super::proxy::{ProxyUrl, Step, Tunnel};

/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 8;

/// Bytes read from a proxy at a time.
const PROXY_READ: usize = 512;

/// A TCP connection whose operations end at a deadline.
#[derive(Debug)]
pub struct TimedStream {
    stream: TcpStream,
    deadline: Deadline,
}

impl TimedStream {
    /// Operations end at this deadline from now on.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// Another handle to the connection itself, without a time limit.
    pub fn try_clone_unlimited(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// The system tells a missed limit as if the operation could be tried again.
    fn timed(&self, result: io::Result<usize>) -> io::Result<usize> {
        result.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.deadline.missed(),
            _ => error,
        })
    }
}

impl Read for TimedStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        let read = self.stream.read(buf);
        self.timed(read)
    }
}

impl Write for TimedStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        let written = self.stream.write(buf);
        self.timed(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects to a host, through a proxy if there is one.
pub(super) fn connect(
    host: &str,
    port: u16,
    proxy: Option<&ProxyUrl>,
    deadline: Deadline,
) -> Result<TimedStream, DialError> {
    let Some(proxy) = proxy else {
        return connect_directly(host, port, deadline);
    };
    let failed = |error| DialError::Proxy { proxy: proxy.to_string(), error };
    let (mut tunnel, first) = Tunnel::open(proxy, host, port).map_err(failed)?;
    let mut stream = connect_directly(proxy.host(), proxy.port(), deadline)
        .map_err(|error| DialError::NoProxy { proxy: proxy.to_string(), error: Box::new(error) })?;
    let mut step = Step::Write(first);
    let mut buffer = [0; PROXY_READ];
    loop {
        match step {
            Step::Open => return Ok(stream),
            Step::Read => {}
            Step::Write(bytes) => stream.write_all(&bytes).map_err(DialError::Io)?,
        }
        let read = stream.read(&mut buffer).map_err(DialError::Io)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        step = tunnel.handle_input(bytes).map_err(failed)?;
    }
}

fn connect_directly(host: &str, port: u16, deadline: Deadline) -> Result<TimedStream, DialError> {
    connect_first(&resolve(host, port, deadline)?, host, deadline)
}

/// Connects to the first address that can be reached; each has its share of the time.
fn connect_first(
    addresses: &[SocketAddr],
    host: &str,
    deadline: Deadline,
) -> Result<TimedStream, DialError> {
    let mut failure = DialError::NoAddress(host.to_owned());
    for (tried, address) in addresses.iter().enumerate() {
        let limit = deadline.share(addresses.len() - tried).map_err(DialError::Io)?;
        match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(DialError::Io)?;
                return Ok(TimedStream { stream, deadline });
            }
            Err(error) => failure = DialError::Unreachable { address: *address, error },
        }
    }
    Err(failure)
}

/// The addresses of a host, at most [`ADDRESSES_MAX`].
fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |error| DialError::Unresolved { host: host.to_owned(), error };
    // the system's resolver takes no time limit, so it is left behind when it takes too long
    let (answer, answers) = mpsc::sync_channel(1);
    let name = host.to_owned();
    let resolver = thread::Builder::new().name("nym-resolver".to_owned());
    let spawned = resolver.spawn(move || {
        let addresses = (name.as_str(), port).to_socket_addrs();
        let addresses = addresses.map(|found| found.take(ADDRESSES_MAX).collect());
        // fails only if nobody waits any more
        let _ = answer.send(addresses);
    });
    spawned.map_err(failed)?;
    let left = deadline.left().map_err(failed)?;
    let addresses = answers.recv_timeout(left).map_err(|_| failed(deadline.missed()))?;
    addresses.map_err(failed)
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
