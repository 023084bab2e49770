//! What a message says, whichever side has read it.

use nym_proto::address::Recipient;
use nym_proto::message::{Envelope, RepliableContent, ReplyContent, ReplySurb, SurbList};
use nym_proto::sphinx::KeyRotation;
use nym_sphinx::anonymous_replies::ReplySurbWithKeyRotation;
use nym_sphinx::anonymous_replies::requests::{RepliableMessageContent, ReplyMessageContent};
use nym_sphinx::message::NymMessage;

use crate::convert::our_rotation;

/// A message in a form that can be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    Plain(Vec<u8>),
    Data { tag: [u8; 16], surbs: Surbs, data: Vec<u8> },
    AdditionalSurbs { tag: [u8; 16], surbs: Surbs },
    Heartbeat { tag: [u8; 16], surbs: Surbs },
    Reply(Vec<u8>),
    SurbRequest { recipient: [u8; Recipient::SIZE], amount: u32 },
}

/// Serialised SURBs with the rotation they are for. An empty list has none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surbs {
    pub rotation: KeyRotation,
    pub surbs: Vec<Vec<u8>>,
}

impl From<Envelope> for Content {
    fn from(envelope: Envelope) -> Self {
        match envelope {
            Envelope::Plain(data) => Self::Plain(data.to_vec()),
            Envelope::Repliable { tag, content } => {
                let tag = *tag.as_bytes();
                match content {
                    RepliableContent::Data { surbs, data } => {
                        Self::Data { tag, surbs: surbs.into(), data: data.to_vec() }
                    }
                    RepliableContent::AdditionalSurbs(surbs) => {
                        Self::AdditionalSurbs { tag, surbs: surbs.into() }
                    }
                    RepliableContent::Heartbeat(surbs) => {
                        Self::Heartbeat { tag, surbs: surbs.into() }
                    }
                }
            }
            Envelope::Reply(ReplyContent::Data(data)) => Self::Reply(data.to_vec()),
            Envelope::Reply(ReplyContent::SurbRequest { recipient, amount }) => {
                Self::SurbRequest { recipient: recipient.to_bytes(), amount }
            }
        }
    }
}

impl From<NymMessage> for Content {
    fn from(message: NymMessage) -> Self {
        match message {
            NymMessage::Plain(data) => Self::Plain(data),
            NymMessage::Repliable(message) => {
                let tag = message.sender_tag.to_bytes();
                match message.content {
                    RepliableMessageContent::DataV2(content) => {
                        let surbs = content.reply_surbs.into();
                        Self::Data { tag, surbs, data: content.message }
                    }
                    RepliableMessageContent::AdditionalSurbsV2(content) => {
                        Self::AdditionalSurbs { tag, surbs: content.reply_surbs.into() }
                    }
                    RepliableMessageContent::HeartbeatV2(content) => {
                        Self::Heartbeat { tag, surbs: content.additional_reply_surbs.into() }
                    }
                }
            }
            NymMessage::Reply(message) => match message.content {
                ReplyMessageContent::Data { message } => Self::Reply(message),
                ReplyMessageContent::SurbRequest { recipient, amount } => {
                    Self::SurbRequest { recipient: recipient.to_bytes(), amount }
                }
            },
        }
    }
}

impl From<SurbList> for Surbs {
    fn from(list: SurbList) -> Self {
        if list.surbs.is_empty() {
            return Self::default();
        }
        Self { rotation: list.rotation, surbs: list.surbs.iter().map(surb_bytes).collect() }
    }
}

impl From<Vec<ReplySurbWithKeyRotation>> for Surbs {
    fn from(list: Vec<ReplySurbWithKeyRotation>) -> Self {
        let rotation = list.first().map_or(KeyRotation::Unknown, |surb| {
            assert!(list.iter().all(|other| other.key_rotation() == surb.key_rotation()));
            our_rotation(surb.key_rotation())
        });
        let surbs = list.iter().map(|surb| without_padding(surb.inner_reply_surb().to_bytes()));
        Self { rotation, surbs: surbs.collect() }
    }
}

/// A SURB without what stands behind the address of its first hop, which they keep and we do not.
pub fn without_padding(mut surb: Vec<u8>) -> Vec<u8> {
    let first_hop = &mut surb[16 + 348..][..32];
    let address = if first_hop[0] == 4 { 7 } else { 19 };
    first_hop[address..].fill(0);
    surb
}

/// A SURB of ours, serialised.
pub fn surb_bytes(surb: &ReplySurb) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(surb.encoded_len());
    surb.encode(&mut bytes);
    bytes
}
