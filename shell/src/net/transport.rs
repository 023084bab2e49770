//! Connections for HTTP requests: the same as those to gateways.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::deadline::Deadline;
use super::edge::Edge;
use super::endpoint::Endpoint;
use super::error::DialError;
use super::tcp::TimedStream;

/// Opens connections as [`Edge`] says.
#[derive(Debug)]
pub(super) struct EdgeConnector(pub(super) Edge);

impl Connector for EdgeConnector {
    type Out = EdgeTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<EdgeTransport>, Error> {
        let deadline = self.0.fetch_deadline(left(details.timeout));
        let stream = self.open(details.uri, deadline).map_err(other)?;
        let (input, output) =
            (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(EdgeTransport { stream, buffers: LazyBuffers::new(input, output) }))
    }
}

impl EdgeConnector {
    fn open(&self, uri: &Uri, deadline: Deadline) -> Result<Stream, DialError> {
        let endpoint = Endpoint::of_document(uri)?;
        let stream = self.0.connect(&endpoint, deadline)?;
        Ok(match endpoint.tls {
            None => Stream::Plain(stream),
            Some(name) => Stream::Tls(Box::new(self.0.secure(name, stream)?)),
        })
    }
}

fn other(error: DialError) -> Error {
    Error::Other(Box::new(error))
}

/// The time left; there is always a limit.
fn left(timeout: NextTimeout) -> Duration {
    timeout.not_zero().map_or(Duration::MAX, |left| *left)
}

/// Names are resolved when connecting, and not at all if there is a proxy.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TimedStream),
    Tls(Box<StreamOwned<ClientConnection, TimedStream>>),
}

/// A connection for one request.
#[derive(Debug)]
pub(super) struct EdgeTransport {
    stream: Stream,
    buffers: LazyBuffers,
}

impl Stream {
    fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Self::Plain(stream) => stream.set_deadline(deadline),
            Self::Tls(stream) => stream.sock.set_deadline(deadline),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

fn failed(timeout: NextTimeout) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

impl Transport for EdgeTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_deadline(Deadline::after(left(timeout)));
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write(output).map_err(failed(timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_deadline(Deadline::after(left(timeout)));
        let read = self.stream.read(self.buffers.input_append_buf()).map_err(failed(timeout))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    /// No connection is used twice.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}
