//! A blocking connection to the native client, for the programs of this crate.
//!
//! [`nym_client::protocol`] without its default features is the interface alone: requests and responses in both forms,
//! and nothing of the client. Any websocket library can move the frames; here it is `tungstenite`.

pub mod incoming;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use nym_client::protocol::{Format, Frame, Request, Response};
use tungstenite::error::UrlError;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

/// How long [`Connection::poll`] waits.
const TICK: Duration = Duration::from_millis(20);

/// How a program ends. What went wrong is told in one line, and is status 1.
pub fn exit(program: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            nym_console::note!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Which client to connect to.
#[derive(clap::Args, Debug)]
pub struct ClientArgs {
    /// The websocket of the client.
    #[arg(long, default_value = "ws://127.0.0.1:1977", global = true)]
    url: String,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", global = true)]
    timeout: Option<u64>,
}

/// A connection to the client.
pub struct Connection {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    format: Format,
    until: Option<Instant>,
}

impl Connection {
    /// Connects. Requests are sent in this form, and answered in it.
    ///
    /// # Errors
    /// Nobody listens there, or another program has the only place.
    pub fn open(client: &ClientArgs, format: Format) -> anyhow::Result<Self> {
        let url = &client.url;
        let (socket, _) = tungstenite::connect(url).map_err(|error| match error {
            Error::Url(UrlError::UnableToConnect(_)) => {
                anyhow!("{error}; is a client running there?")
            }
            Error::Http(_) => anyhow!("{url}: {error}"),
            _ => anyhow!("{url}: {error}; is another program connected already?"),
        })?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(TICK))?;
        }
        let until = client.timeout.and_then(|s| Instant::now().checked_add(Duration::from_secs(s)));
        Ok(Self { socket, format, until })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The connection has ended, or the request has no JSON form.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<()> {
        let message = match request.encode(self.format).context("this has no JSON form")? {
            Frame::Binary(bytes) => Message::Binary(bytes),
            Frame::Text(text) => Message::Text(Utf8Bytes::from(text.as_str())),
        };
        Ok(self.socket.send(message)?)
    }

    /// What the client says next; `None` if it says nothing for a moment.
    ///
    /// # Errors
    /// The client says that something went wrong, or has ended the connection, or the time is up.
    pub fn poll(&mut self) -> anyhow::Result<Option<Response>> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            bail!("the time is up");
        }
        let frame = match self.socket.read() {
            Ok(Message::Binary(bytes)) => Frame::Binary(bytes),
            Ok(Message::Text(text)) => Frame::Text(text.as_str().into()),
            Ok(Message::Close(_)) => bail!("the client has ended the connection"),
            Ok(_) => return Ok(None),
            Err(Error::Io(io)) if is_tick(io.kind()) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match Response::decode(&frame)? {
            Response::Error { message, .. } => bail!(message),
            response => Ok(Some(response)),
        }
    }

    /// Waits for what the client says next.
    ///
    /// # Errors
    /// Those of [`poll`](Self::poll).
    pub fn wait(&mut self) -> anyhow::Result<Response> {
        loop {
            if let Some(response) = self.poll()? {
                return Ok(response);
            }
        }
    }

    /// Ends the connection. The place for a program is free when this returns.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.socket.close(None)?;
        loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(Error::Io(io)) if is_tick(io.kind()) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Which of the two it is depends on the platform.
fn is_tick(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
