//! The gateway of the client under test: knows the shared key, and answers as it should when it
//! is asked to.

use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    AwaitingClientMaterial, ClientText, FREE_GRANT, GatewayHandshake, GatewayText, SharedKey,
};

use crate::net;

/// A gateway that does as it should, as far as its one client can tell.
pub struct FakeGateway {
    pub(crate) stream: Stream,
    handshake: Option<AwaitingClientMaterial>,
    /// The key of the session, as far as this gateway has one.
    pub key: SharedKey,
}

impl FakeGateway {
    /// It knows the client.
    #[must_use]
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        let stream = Entropy::new([66; 32]).stream(Purpose::Other(0));
        Self { stream, handshake: None, key: net::shared_key() }
    }

    /// What a gateway answers. The client says nothing that cannot be read.
    pub fn answer(&mut self, text: &str) -> Vec<String> {
        let request = ClientText::decode(text).unwrap();
        let answer = match request {
            ClientText::SupportedProtocol => GatewayText::SupportedProtocol { version: 6 },
            ClientText::Authenticate(_) => GatewayText::Authenticate {
                protocol_version: 6,
                status: true,
                bandwidth_remaining: FREE_GRANT,
                upgrade_mode: false,
            },
            ClientText::ClaimFreeBandwidth => {
                GatewayText::Bandwidth { available_total: FREE_GRANT, upgrade_mode: false }
            }
            ClientText::Handshake(payload) => match self.handshake.take() {
                Some(state) => match state.handle(&payload) {
                    Ok((registered, verdict)) => {
                        self.key = registered.shared_key;
                        let register = GatewayText::Register {
                            protocol_version: 6,
                            status: true,
                            upgrade_mode: false,
                        };
                        return vec![verdict, register.encode()];
                    }
                    Err(_) => GatewayText::Error { message: "no".into() },
                },
                None => {
                    let identity = net::node_identity(0);
                    let accepted = GatewayHandshake::accept(&identity, &payload, &mut self.stream);
                    let (state, text) = accepted.unwrap();
                    self.handshake = Some(state);
                    return vec![text];
                }
            },
            _ => GatewayText::Error { message: "what?".into() },
        };
        vec![answer.encode()]
    }

    pub(crate) fn forget_handshake(&mut self) {
        self.handshake = None;
    }
}
