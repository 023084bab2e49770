//! A network, a client, a server, and programs that talk to it.

use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use nym_client::protocol::{Frame, Request, Response};
use nym_client::server::{Ended, Server, Settings};
use nym_proto::client::{Config, Network, Shutdown};
use nym_runtime_smol::{Client, Options, connect, generate_identity};
use nym_testnet::loopback::{Loopback, LoopbackConfig};
use smol::channel::Sender;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response as Handshake;
use tungstenite::{Message, WebSocket};

/// Longest wait for anything. Far beyond what any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) address: SocketAddr,
    stop: Sender<()>,
    server: Option<JoinHandle<Ended>>,
    _network: Loopback,
}

impl Stage {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::with_options(settings, Options::default())
    }

    pub(crate) fn with_options(settings: Settings, options: Options) -> Self {
        let network = Loopback::start(LoopbackConfig::default()).unwrap();
        let config = Config::new(Network::Directory(vec![network.directory_url()]));
        let identity = generate_identity().unwrap();
        let client = smol::block_on(connect(config, identity, options)).unwrap();
        let bound = Server::bind(([127, 0, 0, 1], 0).into(), settings);
        let server = smol::block_on(bound).unwrap();
        let address = server.address();
        let (stop, stopped) = smol::channel::bounded(1);
        let of_server = client.clone();
        let server = std::thread::spawn(move || smol::block_on(server.run(of_server, stopped)));
        Self { client, address, stop, server: Some(server), _network: network }
    }

    /// A program that connects, or what it is told instead.
    pub(crate) fn try_program(&self, query: &str) -> Result<Program, tungstenite::Error> {
        self.program_with(format!("ws://{}/{query}", self.address)).map(|(program, _)| program)
    }

    pub(crate) fn program(&self, query: &str) -> Program {
        self.try_program(query).unwrap()
    }

    pub(crate) fn program_with(
        &self,
        request: impl IntoClientRequest,
    ) -> Result<(Program, Handshake), tungstenite::Error> {
        Self::shake_hands(request, self.tcp())
    }

    /// Makes a program of a connection.
    pub(crate) fn shake_hands(
        request: impl IntoClientRequest,
        stream: TcpStream,
    ) -> Result<(Program, Handshake), tungstenite::Error> {
        let (socket, response) =
            tungstenite::client(request, stream).map_err(|error| match error {
                tungstenite::HandshakeError::Failure(error) => error,
                tungstenite::HandshakeError::Interrupted(_) => panic!("no answer in time"),
            })?;
        Ok((Program(socket), response))
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Connects again until there is a place, which comes a moment after the last program has gone.
    pub(crate) fn program_when_free(&self, query: &str) -> Program {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            match self.try_program(query) {
                Ok(program) => return program,
                Err(error) => assert!(std::time::Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the server and waits for its end.
    pub(crate) fn stop(&mut self) -> Ended {
        self.stop.close();
        self.ended()
    }

    /// Waits for the end of the server.
    pub(crate) fn ended(&mut self) -> Ended {
        self.server.take().unwrap().join().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.close();
        let _ = smol::block_on(self.client.shutdown(Shutdown::Now));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

pub(crate) struct Program(pub(crate) WebSocket<TcpStream>);

impl Program {
    pub(crate) fn text(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub(crate) fn request(&mut self, request: &Request) {
        let frame = request.encode(nym_client::protocol::Format::Binary).unwrap();
        self.0.send(Message::Binary(frame.as_bytes().clone())).unwrap();
    }

    /// The next message of the client, as text.
    pub(crate) fn next_text(&mut self) -> serde_json::Value {
        match self.0.read().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The next message of the client, in whatever form.
    pub(crate) fn next(&mut self) -> Response {
        let frame = match self.0.read().unwrap() {
            Message::Text(text) => Frame::Text(text.as_str().into()),
            Message::Binary(bytes) => Frame::Binary(bytes),
            other => panic!("{other:?}"),
        };
        Response::decode(&frame).unwrap()
    }

    /// The status and the reason of the Close frame with which the client ends the connection.
    pub(crate) fn close_code(&mut self) -> (u16, String) {
        match self.0.read().unwrap() {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
}
