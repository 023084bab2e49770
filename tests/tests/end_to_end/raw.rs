//! Connections that know as much of the protocol as it takes to misuse it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::{
    ClientHandshake, ClientText, GatewayText, HandshakePayload, ProtocolVersion, SharedKey,
};
use nym_proto::identity::{IdentityKey, IdentityKeyPair};
use tests::wait::PATIENCE;
use tungstenite::{Message, WebSocket};

/// Writes bytes to a port and keeps the connection.
pub(crate) fn write(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    // the other side may hang up in the middle
    let _ = stream.write_all(bytes);
    stream
}

/// Writes bytes to a port and reads until the other side closes the connection.
pub(crate) fn write_and_drain(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = write(to, bytes);
    let _ = stream.shutdown(Shutdown::Write);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// A WebSocket to a gateway.
pub(crate) struct Raw(WebSocket<TcpStream>);

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{to}/"), stream).unwrap();
        Self(socket)
    }

    /// Sends a message, unless the gateway has hung up.
    pub(crate) fn send(&mut self, message: impl Into<Message>) {
        let _ = self.0.send(message.into());
    }

    /// The next text; `None` if the gateway has hung up.
    pub(crate) fn text(&mut self) -> Option<GatewayText> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(GatewayText::decode(&text).unwrap()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits until the gateway hangs up.
    pub(crate) fn drain(mut self) {
        while self.0.read().is_ok() {}
    }

    /// Asks for the version.
    pub(crate) fn greet(&mut self) {
        self.send(ClientText::SupportedProtocol.encode());
        let answer = self.text();
        assert!(matches!(answer, Some(GatewayText::SupportedProtocol { .. })));
    }

    /// Registers and returns the shared key.
    pub(crate) fn register(&mut self, seed: u8, gateway: &IdentityKey) -> SharedKey {
        let identity = IdentityKeyPair::from_seed(&[seed; 32]);
        let mut stream = Entropy::new([seed; 32]).stream(Purpose::Gateway);
        let version = ProtocolVersion::CURRENT;
        let (state, text) = ClientHandshake::start(&identity, gateway, version, &mut stream);
        self.send(text);
        let (state, text) = state.handle(&self.handshake()).unwrap();
        self.send(text);
        let established = state.handle(&self.handshake()).unwrap();
        let answer = self.text();
        assert!(matches!(answer, Some(GatewayText::Register { status: true, .. })));
        established.shared_key
    }

    /// The next message of a registration.
    pub(crate) fn handshake(&mut self) -> HandshakePayload {
        match self.text() {
            Some(GatewayText::Handshake(payload)) => payload,
            other => panic!("{other:?}"),
        }
    }

    /// Reads nothing any more, and writes only what the gateway takes.
    pub(crate) fn stop_reading(&mut self) {
        self.0.get_mut().set_nonblocking(true).unwrap();
    }
}
