//! Times and limits that client and gateway have agreed on. (protocol: gateway 18)

use core::time::Duration;

/// Port of a gateway's WebSocket unless it announces another one. (protocol: gateway 2.1)
pub const DEFAULT_WEBSOCKET_PORT: u16 = 9000;
/// Longest WebSocket message either side needs to accept, in bytes. (protocol: gateway 2.2)
pub const WEBSOCKET_MESSAGE_MAX: usize = 1024 * 1024;
/// From accepting a TCP connection to the end of the WebSocket upgrade, at the gateway.
/// (protocol: gateway 2.3)
pub const UPGRADE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a gateway waits for each message before registration or authentication begins.
/// (protocol: gateway 2.3)
pub const INITIAL_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long both sides wait for each message of the registration handshake.
/// (protocol: gateway 2.3)
pub const HANDSHAKE_MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits for the response to a control request. (protocol: gateway 15.3)
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of the payload of the ping that asks a client whether it is alive: a random number.
/// (protocol: gateway 2.4)
pub const PING_PAYLOAD: usize = 8;
/// How long a gateway waits for the pong to such a ping. (protocol: gateway 14.3)
pub const PROBE_PONG_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a new connection waits for the verdict on the old one. (protocol: gateway 14.3)
pub const PROBE_VERDICT_TIMEOUT: Duration = Duration::from_secs(2);

/// How far the timestamp of an authentication may be from the gateway's clock, either way and
/// inclusive. (protocol: gateway 7.2)
pub const TIMESTAMP_SKEW_MAX: Duration = Duration::from_secs(120);

/// How many stored messages a gateway hands over before it deletes them. (protocol: gateway 14.4)
pub const STORED_MESSAGE_PAGE: usize = 100;
/// How long a gateway keeps the messages of an absent client. (protocol: gateway 14.4)
pub const STORED_MESSAGE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a gateway looks for stored messages to purge. (protocol: gateway 14.4)
pub const STORED_MESSAGE_PURGE_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Connections a gateway accepts at a time. (protocol: gateway 14.2)
pub const CONNECTIONS_MAX: usize = 8192;
/// How long remembered endpoints of a gateway stay valid. (protocol: gateway 2.1)
pub const ENDPOINT_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Bytes of a pushed message that is an ack; a message of any other length is not.
/// (protocol: gateway 9.5)
pub const PUSHED_ACK: usize = 21;
