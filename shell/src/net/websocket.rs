//! The WebSocket as gateways speak it.

use nym_proto::client::WsFrame;
use tungstenite::Message;
use tungstenite::protocol::WebSocketConfig;

/// Longest WebSocket message accepted, in bytes. (protocol: gateway 2.2)
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// WebSocket settings: every frame is written at once, none is longer than [`MESSAGE_BYTES_MAX`].
#[must_use]
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

/// A frame of the core as a WebSocket message.
#[must_use]
pub fn to_message(frame: WsFrame) -> Message {
    match frame {
        WsFrame::Text(text) => Message::text(text),
        WsFrame::Binary(bytes) => Message::Binary(bytes),
    }
}

/// A received WebSocket message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// One for the core.
    Frame(WsFrame),
    /// One the WebSocket layer sees to. Its answer has to be flushed.
    Control,
    /// The end.
    Close,
}

impl From<Message> for Incoming {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::Frame(WsFrame::Text(text.as_str().to_owned())),
            Message::Binary(bytes) => Self::Frame(WsFrame::Binary(bytes)),
            Message::Close(_) => Self::Close,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Self::Control,
        }
    }
}
