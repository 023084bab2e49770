//! Requests in an established session: exactly one text response each, in order.
//! (protocol: gateway 8, 9, 11, 13)

use bytes::{Bytes, BytesMut};
use nym_proto::client::WsFrame;
use nym_proto::gateway::{
    ClientText, EncryptedText, ForwardRequest, GatewayText, InnerRequest, InnerResponse,
    ProtocolVersion, SharedKey,
};
use nym_proto::identity::IdentityKey;

use super::{Action, ConnectionId, Inner};
use crate::relay;

impl Inner {
    pub(super) fn handle_request(&mut self, connection: ConnectionId, frame: WsFrame) {
        let Some(session) = self.session_mut(connection) else {
            return;
        };
        let (client, key) = (session.client, session.key.clone());
        let response = match frame {
            WsFrame::Text(text) => self.text_request(&client, &key, &text),
            WsFrame::Binary(frame) => self.forward_request(&client, &key, frame),
        };
        self.respond(connection, &response);
    }

    fn text_request(&mut self, client: &IdentityKey, key: &SharedKey, text: &str) -> GatewayText {
        match ClientText::decode(text) {
            Ok(ClientText::SupportedProtocol) => {
                GatewayText::SupportedProtocol { version: ProtocolVersion::CURRENT.get() }
            }
            Ok(ClientText::ClaimFreeBandwidth) => self.claim(client),
            Ok(ClientText::Encrypted(text)) => self.encrypted_request(client, key, text),
            Ok(ClientText::EcashCredential { .. }) => error("credentials are not accepted here"),
            Ok(ClientText::UpgradeModeJwt { .. }) => error("the network is not being upgraded"),
            Ok(_) => error("not possible in an open session"),
            Err(_) => {
                self.stats.bad_frames += 1;
                error("not a request")
            }
        }
    }

    fn claim(&mut self, client: &IdentityKey) -> GatewayText {
        let now = self.unix_time();
        if self.enforce_credentials {
            return error("bandwidth needs credentials here");
        }
        match self.store.client_mut(client) {
            Some(record) => GatewayText::Bandwidth {
                available_total: record.bandwidth.grant_free(now),
                upgrade_mode: false,
            },
            None => error("this client is not registered any more"),
        }
    }

    fn encrypted_request(
        &mut self,
        client: &IdentityKey,
        key: &SharedKey,
        text: EncryptedText,
    ) -> GatewayText {
        let response = match InnerRequest::open(text, key) {
            Ok(InnerRequest::ForgetMe { client: forget, .. }) => {
                if forget {
                    self.store.forget(client);
                }
                InnerResponse::ForgetMeAck {}
            }
            Ok(InnerRequest::RememberMe { .. }) => InnerResponse::RememberMeAck {},
            Ok(_) | Err(_) => {
                self.stats.bad_frames += 1;
                return error("not an encrypted request");
            }
        };
        GatewayText::Encrypted(response.seal(key, self.nonces.bytes()))
    }

    /// Charges the client, then forwards; where to is nobody's business but the filter's.
    /// (protocol: gateway 14.6)
    fn forward_request(
        &mut self,
        client: &IdentityKey,
        key: &SharedKey,
        frame: Bytes,
    ) -> GatewayText {
        let Ok(request) =
            ForwardRequest::open_with(self.cipher.as_ref(), key, BytesMut::from(frame))
        else {
            self.stats.bad_frames += 1;
            return error("not a forward request");
        };
        let now = self.unix_time();
        let Some(record) = self.store.client_mut(client) else {
            return error("this client is not registered any more");
        };
        match record.bandwidth.charge(now, request.size()) {
            Ok(remaining_bandwidth) => {
                self.stats.requests += 1;
                let frame = relay::frame(request.size(), request.rotation, request.packet());
                self.forward(request.first_hop, frame);
                GatewayText::Send { remaining_bandwidth, upgrade_mode: false }
            }
            Err(short) => {
                self.stats.out_of_bandwidth += 1;
                GatewayText::OutOfBandwidth { required: short.required, available: short.available }
            }
        }
    }

    /// Hands a frame to another node, unless the filter or a full queue forbids it. True if it
    /// was handed on.
    pub(super) fn forward(&mut self, next: nym_proto::address::NodeAddress, frame: Bytes) -> bool {
        if !self.egress.allows(&next) {
            self.stats.packets.denied += 1;
            return false;
        }
        if self.actions.len() >= self.limits.actions_max {
            self.stats.packets.overflowed += 1;
            return false;
        }
        self.actions.push_back(Action::Forward { next, frame });
        true
    }
}

fn error(message: &str) -> GatewayText {
    GatewayText::Error { message: message.to_owned() }
}
