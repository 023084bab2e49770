//! A gateway of the world.

use std::collections::BTreeMap;

use bytes::Bytes;
use nym_proto::entropy::Stream;
use nym_proto::gateway::{
    AwaitingClientMaterial, ClientText, FREE_GRANT, GatewayHandshake, GatewayText, SharedKey,
};
use nym_proto::identity::{IdentityKey, IdentityKeyPair};

/// A gateway that answers at once.
pub struct Gateway {
    pub identity: IdentityKeyPair,
    pub keys: BTreeMap<IdentityKey, SharedKey>,
    pub stored: Vec<([u8; 32], Bytes)>,
    pub is_up: bool,
    /// What it says is left of a client's bandwidth, and whether it grants more.
    pub balance: i64,
    pub grants: bool,
}

/// How far a client's connection is.
pub enum Conn {
    Init,
    Handshake(Box<AwaitingClientMaterial>),
    Active { client: IdentityKey, key: SharedKey },
}

impl Gateway {
    pub fn new(stream: &mut Stream) -> Self {
        Self {
            identity: IdentityKeyPair::generate(stream),
            keys: BTreeMap::new(),
            stored: Vec::new(),
            is_up: true,
            balance: FREE_GRANT,
            grants: true,
        }
    }

    /// Takes a control message and says what it answers.
    pub fn answer(&mut self, conn: Conn, text: &str, stream: &mut Stream) -> (Conn, Vec<String>) {
        match (conn, ClientText::decode(text).unwrap()) {
            (conn, ClientText::SupportedProtocol) => {
                (conn, vec![GatewayText::SupportedProtocol { version: 6 }.encode()])
            }
            (Conn::Init, ClientText::Handshake(init)) => {
                let (next, text) = GatewayHandshake::accept(&self.identity, &init, stream).unwrap();
                (Conn::Handshake(Box::new(next)), vec![text])
            }
            (Conn::Handshake(state), ClientText::Handshake(payload)) => {
                match state.handle(&payload) {
                    Ok((registered, text)) => {
                        let (client, key) = (registered.client, registered.shared_key);
                        self.keys.insert(client, key.clone());
                        let register = GatewayText::Register {
                            protocol_version: 6,
                            status: true,
                            upgrade_mode: false,
                        };
                        (Conn::Active { client, key }, vec![text, register.encode()])
                    }
                    Err(_) => {
                        (Conn::Init, vec![GatewayText::Error { message: "no".into() }.encode()])
                    }
                }
            }
            (Conn::Init, ClientText::Authenticate(request)) => {
                let client = *request.client();
                match self.keys.get(&client) {
                    Some(key) => {
                        let key = key.clone();
                        let answer = GatewayText::Authenticate {
                            protocol_version: 6,
                            status: true,
                            bandwidth_remaining: FREE_GRANT,
                            upgrade_mode: false,
                        };
                        (Conn::Active { client, key }, vec![answer.encode()])
                    }
                    None => (
                        Conn::Init,
                        vec![GatewayText::Error { message: "not registered".into() }.encode()],
                    ),
                }
            }
            (conn, ClientText::ClaimFreeBandwidth) => {
                let answer = if self.grants {
                    self.balance = FREE_GRANT;
                    GatewayText::Bandwidth { available_total: FREE_GRANT, upgrade_mode: false }
                } else {
                    GatewayText::Error { message: "not now".into() }
                };
                (conn, vec![answer.encode()])
            }
            (conn, _) => (conn, vec![GatewayText::Error { message: "what".into() }.encode()]),
        }
    }
}
