//! A gateway for one client, made of the published crates. No server is published at 2.0.0: this is
//! their side of the handshake, their checks of an authentication and their messages.

use nym_gateway_requests::registration::handshake::{GatewayHandshake, gateway_handshake};
use nym_gateway_requests::{
    BandwidthResponse, BinaryRequest, BinaryResponse, ClientControlRequest, SendResponse,
    ServerResponse, SharedSymmetricKey,
};
use nym_proto::client::WsFrame;
use nym_proto::identity::IdentityKeyPair;
use nym_task::ShutdownToken;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;
use time::OffsetDateTime;

use crate::convert::their_identity_pair;
use crate::network::Packet;
use crate::socket::{Runtime, Socket};

const BALANCE: i64 = 1 << 36;

pub struct TheirGateway {
    identity: &'static nym_crypto::asymmetric::ed25519::KeyPair,
    runtime: Runtime,
    handshake: Option<(Socket, GatewayHandshake<'static>)>,
    /// The key it shares with its client.
    pub key: Option<SharedSymmetricKey>,
    /// The last authentication.
    previous: Option<OffsetDateTime>,
    is_active: bool,
    pub registrations: u32,
    pub authentications: u32,
}

impl TheirGateway {
    pub fn new(identity: &IdentityKeyPair) -> Self {
        Self {
            // their handshake borrows it for as long as it lasts
            identity: Box::leak(Box::new(their_identity_pair(identity))),
            runtime: Runtime::new(),
            handshake: None,
            key: None,
            previous: None,
            is_active: false,
            registrations: 0,
            authentications: 0,
        }
    }

    /// The client's connection is gone.
    pub fn disconnect(&mut self) {
        self.handshake = None;
        self.is_active = false;
    }

    /// Takes what the client wrote; gives what it answers, and a packet to send on.
    pub fn handle(&mut self, frame: WsFrame) -> (Vec<String>, Option<Packet>) {
        match frame {
            WsFrame::Text(text) => (self.text(text), None),
            WsFrame::Binary(bytes) => {
                assert!(self.is_active, "a packet before there is a session");
                let key = self.key.as_ref().unwrap();
                let request = BinaryRequest::try_from_encrypted_tagged_bytes(bytes.to_vec(), key);
                let packet = match request.unwrap() {
                    BinaryRequest::ForwardSphinxV2 { packet } => packet.into(),
                    _ => panic!("a packet without its rotation"),
                };
                let (remaining_bandwidth, upgrade_mode) = (BALANCE, false);
                let send = SendResponse { remaining_bandwidth, upgrade_mode };
                (vec![written(&ServerResponse::Send(send))], Some(packet))
            }
        }
    }

    /// A message for the client, as a frame.
    pub fn push(&self, message: Vec<u8>) -> WsFrame {
        let response = BinaryResponse::PushedMixMessage { message };
        let key = self.key.as_ref().unwrap();
        WsFrame::Binary(response.into_encrypted_tagged_bytes(key).unwrap().into())
    }

    fn text(&mut self, text: String) -> Vec<String> {
        if let Some((socket, _)) = &self.handshake {
            socket.deliver(text);
            return self.poll_handshake();
        }
        match ClientControlRequest::try_from(text).unwrap() {
            ClientControlRequest::SupportedProtocol {} => {
                vec![written(&ServerResponse::SupportedProtocol { version: 6 })]
            }
            ClientControlRequest::RegisterHandshakeInitRequest { protocol_version, data } => {
                let socket = Socket::default();
                let future = gateway_handshake(
                    Box::leak(Box::new(ChaCha20Rng::seed_from_u64(5))),
                    Box::leak(Box::new(socket.clone())),
                    self.identity,
                    data,
                    protocol_version,
                    ShutdownToken::new(),
                );
                self.handshake = Some((socket, future));
                self.poll_handshake()
            }
            ClientControlRequest::AuthenticateV2(request) => {
                request.verify_timestamp(Duration::from_secs(120)).unwrap();
                request.verify_signature().unwrap();
                request.verify_ciphertext(self.key.as_ref().unwrap()).unwrap();
                if let Some(previous) = self.previous {
                    request.ensure_timestamp_not_reused(previous).unwrap();
                }
                self.previous = Some(request.content.request_timestamp());
                self.is_active = true;
                self.authentications += 1;
                vec![written(&ServerResponse::Authenticate {
                    protocol_version: request.content.protocol_version,
                    status: true,
                    bandwidth_remaining: BALANCE,
                    upgrade_mode: false,
                })]
            }
            ClientControlRequest::ClaimFreeTestnetBandwidth => {
                let (available_total, upgrade_mode) = (BALANCE, false);
                let bandwidth = BandwidthResponse { available_total, upgrade_mode };
                vec![written(&ServerResponse::Bandwidth(bandwidth))]
            }
            other => panic!("{other:?}"),
        }
    }

    fn poll_handshake(&mut self) -> Vec<String> {
        let (socket, mut future) = self.handshake.take().unwrap();
        let result = self.runtime.poll(&mut future);
        let mut texts: Vec<String> = std::iter::from_fn(|| socket.sent()).collect();
        match result {
            None => self.handshake = Some((socket, future)),
            Some(result) => {
                let result = result.unwrap();
                self.key = Some(result.derived_key);
                self.is_active = true;
                self.registrations += 1;
                texts.push(written(&ServerResponse::Register {
                    protocol_version: result.negotiated_protocol,
                    status: true,
                    upgrade_mode: false,
                }));
            }
        }
        texts
    }
}

fn written(response: &ServerResponse) -> String {
    serde_json::to_string(response).unwrap()
}
