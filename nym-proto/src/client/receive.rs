//! What the gateway pushes: acks and packets. (protocol: messages 10, client 8)

use bytes::{Bytes, BytesMut};

use super::inbox::Arrival;
use super::replies::ClaimedKey;
use super::{Client, DeliveryOrigin, Fact, Outcome, WaitingFor};
use crate::message::{
    ACK_LEN, AckId, Envelope, Origin, RepliableContent, ReplyContent, is_cover, open_ack,
    open_reply, reply_digest_of,
};

impl Client {
    /// A pushed message, classified by its length.
    pub(super) fn receive(&mut self, message: BytesMut) {
        if message.len() == ACK_LEN {
            self.receive_ack(&message);
        } else if self.is_backed_up() {
            // what it contains would become more actions; on its way, packets get lost as well
            self.stats.packets_dropped += 1;
            self.health.interrupted();
        } else {
            self.receive_packet(message);
        }
    }

    fn receive_ack(&mut self, ack: &[u8]) {
        let id = match open_ack(&self.identity.ack, ack) {
            Some(AckId::Fragment(id)) => id,
            Some(AckId::Cover) => {
                self.stats.cover_acks_received += 1;
                self.acks.cover_acked();
                self.health.acked();
                return;
            }
            None => {
                self.stats.acks_unknown += 1;
                return;
            }
        };
        let Some(key) = self.acks.acked(self.now, id) else {
            self.stats.acks_unknown += 1;
            return;
        };
        self.stats.acks_received += 1;
        if let Some(message) = self.outbox.acked(key) {
            let outcome = Outcome::Acknowledged {
                fragments: message.fragments(),
                retransmissions: message.retransmissions,
                took: message.age(self.now),
            };
            self.end(key.message, outcome);
        }
    }

    fn receive_packet(&mut self, mut packet: BytesMut) {
        let cover_id = packet.first_chunk().copied();
        let claimed =
            reply_digest_of(&packet).and_then(|digest| self.replies.claim(self.now, &digest));
        let fragment = match &claimed {
            Some(claimed) => open_reply(&claimed.key, &mut packet),
            None => self.builder.open_fragment(&self.identity.encryption, &mut packet),
        };
        let Some(fragment) = fragment else {
            self.stats.bad_packets += 1;
            return;
        };
        if claimed.is_none() && is_cover(fragment) {
            self.stats.cover_received += 1;
            if let Some(id) = cover_id {
                self.health.returned(self.now, &id);
            }
            return;
        }
        let origin =
            claimed.as_ref().map_or(Origin::Open, |claimed| Origin::Reply(claimed.conversation));
        let answered = claimed.as_ref().map(|claimed| claimed.recipient);
        match self.inbox.insert(self.now, origin, fragment) {
            Arrival::Bad => self.stats.bad_packets += 1,
            Arrival::Incomplete => self.stats.fragments_received += 1,
            Arrival::Duplicate => self.stats.duplicate_fragments += 1,
            Arrival::Complete(message) => {
                self.stats.fragments_received += 1;
                self.receive_message(message, claimed);
            }
        }
        if let Some(gift) = answered.and_then(|who| self.replies.top_up(self.now, &who)) {
            self.send_gift(gift);
        }
    }

    /// A complete message. A reply is believed only if it came through a SURB of ours, and nothing
    /// but a reply may. (protocol: messages 4.2)
    fn receive_message(&mut self, message: Bytes, claimed: Option<ClaimedKey>) {
        match (Envelope::decode(message), claimed) {
            (Ok(Envelope::Plain(data)), None) => self.deliver(data, DeliveryOrigin::Plain),
            (Ok(Envelope::Repliable { tag, content }), None) => {
                let (surbs, is_answer, data) = match content {
                    RepliableContent::Data { surbs, data } => (surbs, false, Some(data)),
                    RepliableContent::AdditionalSurbs(surbs) => (surbs, true, None),
                    RepliableContent::Heartbeat(surbs) => (surbs, false, None),
                };
                self.stats.surbs_received += surbs.surbs.len() as u64;
                for request in self.replies.peers.store(self.now, tag, surbs, is_answer) {
                    self.end(request, Outcome::Expired { waiting_for: WaitingFor::Acks });
                }
                self.ask_for_surbs(tag);
                if let Some(data) = data {
                    self.deliver(data, DeliveryOrigin::Anonymous(tag));
                }
            }
            (Ok(Envelope::Reply(ReplyContent::Data(data))), Some(claimed)) => {
                self.deliver(data, DeliveryOrigin::Reply(claimed.recipient));
            }
            (
                Ok(Envelope::Reply(ReplyContent::SurbRequest { recipient, amount })),
                Some(claimed),
            ) if recipient == claimed.recipient => {
                self.answer_surb_request(&recipient, amount);
            }
            (Ok(Envelope::Reply(ReplyContent::SurbRequest { .. })), _) => {
                self.stats.surb_requests_refused += 1;
            }
            _ => {
                self.stats.bad_messages += 1;
                self.report(Fact::BadMessage);
            }
        }
    }

    fn deliver(&mut self, data: Bytes, origin: DeliveryOrigin) {
        if let Err(data) = self.inbox.deliver(data, origin) {
            self.stats.deliveries_dropped += 1;
            self.report(Fact::DeliveryDropped { bytes: data.len() });
        }
    }
}
