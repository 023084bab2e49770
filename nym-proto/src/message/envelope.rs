//! Messages as serialised: a type, then what the type needs. (protocol: messages 4)
//!
//! Encoding gives heads only, so that a message can be kept as its head, its SURBs and the
//! caller's own bytes, without a copy of these.

use bytes::Bytes;
use thiserror::Error;

use super::reply::{ReplySurb, ReplySurbError};
use super::sender_tag::SenderTag;
use crate::address::{Recipient, RecipientError};
use crate::sphinx::{HOPS_MAX, KeyRotation, Surb};

// protocol: messages 4
const PLAIN: u8 = 0;
const REPLIABLE: u8 = 1;
const REPLY: u8 = 2;

// protocol: messages 4.2
const REPLY_DATA: u8 = 0;
const REPLY_SURB_REQUEST: u8 = 1;

/// Content tags from here on have the second form of the SURB list. (protocol: messages 4.1)
const REPLIABLE_V2: u8 = 3;

/// Length of a reply SURB in the old lists: four full keys. (protocol: messages 4.1)
const OLD_SURB_LEN: usize = 1164;

/// What a plain message begins with; the data follows.
pub const PLAIN_HEAD: [u8; 1] = [PLAIN];

/// What a reply with data begins with; the data follows, at least one byte of it.
pub const REPLY_DATA_HEAD: [u8; 2] = [REPLY, REPLY_DATA];

/// What a repliable message carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepliableKind {
    /// SURBs, then application data.
    Data,
    /// SURBs that were asked for.
    AdditionalSurbs,
    /// SURBs that were not asked for.
    Heartbeat,
}

/// What a repliable message begins with: type, sender tag, content tag, list head. `count` SURBs
/// of `seeds_per_surb` hops each follow, all built for `rotation`; then the data.
#[must_use]
pub fn repliable_head(
    tag: &SenderTag,
    kind: RepliableKind,
    count: u16,
    seeds_per_surb: u8,
    rotation: KeyRotation,
) -> [u8; 22] {
    let mut head = [0; 22];
    let content = match kind {
        RepliableKind::Data => REPLIABLE_V2,
        RepliableKind::AdditionalSurbs => REPLIABLE_V2 + 1,
        RepliableKind::Heartbeat => REPLIABLE_V2 + 2,
    };
    // an empty list has no hops and no rotation
    let (seeds, rotation) = match count {
        0 => (0, 0),
        _ => (seeds_per_surb, rotation.to_byte()),
    };
    let [high, low] = count.to_be_bytes();
    let bytes =
        [REPLIABLE].into_iter().chain(*tag.as_bytes()).chain([content, high, low, seeds, rotation]);
    head.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
    head
}

/// The whole message that asks for `amount` SURBs. `recipient` is the asking client's own address:
/// the anonymous side recognises it by that.
#[must_use]
pub fn surb_request(recipient: &Recipient, amount: u32) -> [u8; 102] {
    let mut message = [0; 102];
    let bytes = [REPLY, REPLY_SURB_REQUEST]
        .into_iter()
        .chain(recipient.to_bytes())
        .chain(amount.to_be_bytes());
    message.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
    message
}

/// A message.
#[derive(Debug)]
pub enum Envelope {
    /// Data from somebody who does not say how to answer. Possibly empty.
    Plain(Bytes),
    /// From somebody who stays anonymous and can be answered.
    Repliable {
        /// Names the sender among the recipient's correspondents.
        tag: SenderTag,
        /// What it carries.
        content: RepliableContent,
    },
    /// From somebody who used a SURB, or says so: the type alone is no proof.
    Reply(ReplyContent),
}

/// What a repliable message carries.
#[derive(Debug)]
pub enum RepliableContent {
    /// SURBs, and application data (possibly empty).
    Data {
        /// The SURBs.
        surbs: SurbList,
        /// The data.
        data: Bytes,
    },
    /// SURBs that were asked for.
    AdditionalSurbs(SurbList),
    /// SURBs that were not asked for.
    Heartbeat(SurbList),
}

/// SURBs built from one view of the network.
#[derive(Debug)]
pub struct SurbList {
    /// The rotation whose keys they were built for. Old lists do not say.
    pub rotation: KeyRotation,
    /// The SURBs.
    pub surbs: Vec<ReplySurb>,
}

/// What a reply carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReplyContent {
    /// Application data, at least one byte.
    Data(Bytes),
    /// A request for more SURBs.
    SurbRequest {
        /// The address of the client that asks.
        recipient: Recipient,
        /// How many SURBs it asks for: any number, not to be trusted.
        amount: u32,
    },
}

/// Why bytes are no message.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// There are no bytes.
    #[error("a message without a type")]
    Empty,
    /// The type is not known.
    #[error("unknown message type {0}")]
    Type(u8),
    /// A repliable message or a reply is cut short.
    #[error("a message of type {kind} with only {len} bytes after the type")]
    Length {
        /// The message's type.
        kind: u8,
        /// Bytes after the type.
        len: usize,
    },
    /// The tag that says what a message of the given type carries is not known.
    #[error("unknown content {content} of a message of type {kind}")]
    Content {
        /// The message's type.
        kind: u8,
        /// The content tag.
        content: u8,
    },
    /// The list promises more SURBs than there are bytes.
    #[error("{count} SURBs of {each} bytes each do not fit {len} bytes")]
    ListLength {
        /// SURBs promised.
        count: u32,
        /// Bytes of each.
        each: usize,
        /// Bytes present.
        len: usize,
    },
    /// SURBs with no hops, or with too many.
    #[error("SURBs of {0} hops")]
    Hops(u8),
    /// The key rotation is none.
    #[error("unknown key rotation {0}")]
    Rotation(u8),
    /// A SURB is malformed, which spoils the whole message.
    #[error("SURB number {index}: {error}")]
    Surb {
        /// Its number, from 0.
        index: usize,
        /// What is wrong with it.
        error: ReplySurbError,
    },
    /// A SURB request does not have the length of one.
    #[error("a SURB request has 100 bytes, this one has {0}")]
    RequestLength(usize),
    /// The address in a SURB request is malformed.
    #[error("SURB request: {0}")]
    Recipient(#[from] RecipientError),
}

impl Envelope {
    /// Reads a serialised message, its padding removed. Data is not copied. Content tags of old
    /// clients are accepted.
    pub fn decode(message: Bytes) -> Result<Self, EnvelopeError> {
        let (&kind, body) = message.split_first().ok_or(EnvelopeError::Empty)?;
        match kind {
            PLAIN => Ok(Self::Plain(message.slice_ref(body))),
            REPLIABLE => decode_repliable(&message, body),
            REPLY => decode_reply(&message, body).map(Self::Reply),
            other => Err(EnvelopeError::Type(other)),
        }
    }
}

fn decode_repliable(message: &Bytes, body: &[u8]) -> Result<Envelope, EnvelopeError> {
    let short = EnvelopeError::Length { kind: REPLIABLE, len: body.len() };
    let Some((tag, [content, list @ ..])) = body.split_first_chunk() else {
        return Err(short);
    };
    let (kind, v2) = match content {
        0 | 3 => (RepliableKind::Data, *content == 3),
        1 | 4 => (RepliableKind::AdditionalSurbs, *content == 4),
        2 | 5 => (RepliableKind::Heartbeat, *content == 5),
        &content => {
            let kind = REPLIABLE;
            return Err(EnvelopeError::Content { kind, content });
        }
    };
    let (head, rest) = list.split_first_chunk().ok_or(short)?;
    let (surbs, data) = if v2 { decode_list(head, rest)? } else { decode_old_list(head, rest)? };
    // what follows the SURBs where no data is expected is tolerated
    let content = match kind {
        RepliableKind::Data => RepliableContent::Data { surbs, data: message.slice_ref(data) },
        RepliableKind::AdditionalSurbs => RepliableContent::AdditionalSurbs(surbs),
        RepliableKind::Heartbeat => RepliableContent::Heartbeat(surbs),
    };
    Ok(Envelope::Repliable { tag: SenderTag::from_bytes(*tag), content })
}

fn decode_list<'a>(head: &[u8; 4], rest: &'a [u8]) -> Result<(SurbList, &'a [u8]), EnvelopeError> {
    let &[high, low, seeds, rotation] = head;
    let count = u16::from_be_bytes([high, low]);
    let rotation = KeyRotation::from_byte(rotation).ok_or(EnvelopeError::Rotation(rotation))?;
    let hops = usize::from(seeds);
    if count > 0 && !(1..=HOPS_MAX).contains(&hops) {
        return Err(EnvelopeError::Hops(seeds));
    }
    let each = super::ReplyKey::SIZE + Surb::encoded_len_for(hops);
    let (surbs, rest) = decode_surbs(count.into(), each, rest)?;
    Ok((SurbList { rotation, surbs }, rest))
}

fn decode_old_list<'a>(
    head: &[u8; 4],
    rest: &'a [u8],
) -> Result<(SurbList, &'a [u8]), EnvelopeError> {
    let (surbs, rest) = decode_surbs(u32::from_be_bytes(*head), OLD_SURB_LEN, rest)?;
    let rotation = KeyRotation::Unknown;
    Ok((SurbList { rotation, surbs }, rest))
}

fn decode_surbs(
    count: u32,
    each: usize,
    bytes: &[u8],
) -> Result<(Vec<ReplySurb>, &[u8]), EnvelopeError> {
    let len = bytes.len();
    let (list, rest) = usize::try_from(count)
        .ok()
        .and_then(|count| bytes.split_at_checked(count.checked_mul(each)?))
        .ok_or(EnvelopeError::ListLength { count, each, len })?;
    let decode = |(index, bytes)| {
        ReplySurb::decode(bytes).map_err(|error| EnvelopeError::Surb { index, error })
    };
    let surbs: Result<_, _> = list.chunks_exact(each).enumerate().map(decode).collect();
    Ok((surbs?, rest))
}

fn decode_reply(message: &Bytes, body: &[u8]) -> Result<ReplyContent, EnvelopeError> {
    let (content, rest) = match body {
        [] | [_] => {
            let len = body.len();
            return Err(EnvelopeError::Length { kind: REPLY, len });
        }
        [content, rest @ ..] => (*content, rest),
    };
    match content {
        REPLY_DATA => Ok(ReplyContent::Data(message.slice_ref(rest))),
        REPLY_SURB_REQUEST => {
            let (recipient, amount) = rest
                .split_first_chunk::<{ Recipient::SIZE }>()
                .and_then(|(recipient, amount)| Some((recipient, amount.try_into().ok()?)))
                .ok_or(EnvelopeError::RequestLength(rest.len()))?;
            Ok(ReplyContent::SurbRequest {
                recipient: Recipient::from_bytes(recipient)?,
                amount: u32::from_be_bytes(amount),
            })
        }
        content => Err(EnvelopeError::Content { kind: REPLY, content }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::{IdentityKeyPair, PublicKey};
    use crate::message::reply::tests::encoded_surbs;

    fn recipient(seed: [u8; 32]) -> Recipient {
        let identity = *IdentityKeyPair::from_seed(&seed).public();
        Recipient { identity, encryption: PublicKey::from_bytes(seed), gateway: identity }
    }

    proptest! {
        #[test]
        fn plain_data_and_reply_data_read_back(data: Vec<u8>) {
            let plain = Bytes::from([&PLAIN_HEAD[..], &data].concat());
            let Envelope::Plain(read) = Envelope::decode(plain).unwrap() else {
                panic!("another type");
            };
            prop_assert_eq!(&read[..], &data[..]);

            let reply = Bytes::from([&REPLY_DATA_HEAD[..], &data].concat());
            match Envelope::decode(reply) {
                Ok(Envelope::Reply(ReplyContent::Data(read))) => {
                    prop_assert!(!data.is_empty());
                    prop_assert_eq!(&read[..], &data[..]);
                }
                other => {
                    prop_assert!(data.is_empty());
                    prop_assert_eq!(other.unwrap_err(), EnvelopeError::Length { kind: 2, len: 1 });
                }
            }
        }

        #[test]
        fn a_surb_request_reads_back_and_no_other_length_does(seed: [u8; 32], amount: u32) {
            let message = surb_request(&recipient(seed), amount);
            let Envelope::Reply(read) = Envelope::decode(message.to_vec().into()).unwrap() else {
                panic!("another type");
            };
            let recipient = recipient(seed);
            prop_assert_eq!(read, ReplyContent::SurbRequest { recipient, amount });

            for cut in 1..102 {
                prop_assert!(Envelope::decode(message[..cut].to_vec().into()).is_err());
            }
            prop_assert!(Envelope::decode([&message[..], &[0]].concat().into()).is_err());
        }

        #[test]
        fn a_repliable_head_without_surbs_reads_back(tag: [u8; 16], data: Vec<u8>) {
            let sender = SenderTag::from_bytes(tag);
            let head = repliable_head(&sender, RepliableKind::Data, 0, 4, KeyRotation::Odd);
            let message = [&head[..], &data].concat();
            let Envelope::Repliable {
                tag,
                content: RepliableContent::Data { surbs, data: read },
            } = Envelope::decode(message.into()).unwrap()
            else {
                panic!("another content");
            };
            prop_assert_eq!((tag, &read[..]), (sender, &data[..]));
            prop_assert!(surbs.surbs.is_empty() && surbs.rotation == KeyRotation::Unknown);
            for cut in 0..22 {
                prop_assert!(Envelope::decode(head[..cut].to_vec().into()).is_err());
            }
        }

        #[test]
        fn a_repliable_message_with_surbs_reads_back(
            tag: [u8; 16],
            surbs in prop::collection::vec(encoded_surbs(), 1..4),
            hops in 1..=5usize,
            data: Vec<u8>,
            rotation in 0..3u8,
            kind in prop::sample::select(vec![
                RepliableKind::Data,
                RepliableKind::AdditionalSurbs,
                RepliableKind::Heartbeat,
            ]),
        ) {
            let tag = SenderTag::from_bytes(tag);
            let rotation = KeyRotation::from_byte(rotation).unwrap();
            let len = 396 + 16 * hops;
            let surbs: Vec<Vec<u8>> = surbs
                .into_iter()
                .map(|mut surb| { surb.resize(len, 7); surb })
                .collect();
            let head = repliable_head(&tag, kind, surbs.len() as u16, hops as u8, rotation);
            let message = [&head[..], &surbs.concat(), &data].concat();

            let Envelope::Repliable { tag: read_tag, content } =
                Envelope::decode(message.clone().into()).unwrap()
            else {
                panic!("another type");
            };
            let (read_kind, list, read_data) = match content {
                RepliableContent::Data { surbs, data } => (RepliableKind::Data, surbs, data),
                RepliableContent::AdditionalSurbs(surbs) => {
                    (RepliableKind::AdditionalSurbs, surbs, Bytes::from(data.clone()))
                }
                RepliableContent::Heartbeat(surbs) => {
                    (RepliableKind::Heartbeat, surbs, Bytes::from(data.clone()))
                }
            };
            prop_assert_eq!((read_tag, read_kind, list.rotation), (tag, kind, rotation));
            prop_assert_eq!(&read_data[..], &data[..]);
            let mut encoded = Vec::new();
            list.surbs.iter().for_each(|surb| surb.encode(&mut encoded));
            prop_assert_eq!(encoded, surbs.concat());

            // the last SURB lacks a byte
            let short = message[..22 + len * surbs.len() - 1].to_vec();
            let error = Envelope::decode(short.into()).unwrap_err();
            let is_list_error = matches!(error, EnvelopeError::ListLength { .. });
            prop_assert!(is_list_error, "{}", error);
        }

        #[test]
        fn a_list_that_promises_too_much_is_refused_before_anything_is_read(
            count in 1u32.., kind in 0..6u8, len in 0..396usize,
        ) {
            let mut message = vec![kind; 22 + len];
            message[0] = REPLIABLE;
            let head = if kind < REPLIABLE_V2 {
                count.to_be_bytes()
            } else {
                let [high, low] = (count as u16 | 1).to_be_bytes();
                [high, low, 4, 1]
            };
            message[18..22].copy_from_slice(&head);
            let error = Envelope::decode(message.into()).unwrap_err();
            let is_list_error = matches!(error, EnvelopeError::ListLength { .. });
            prop_assert!(is_list_error, "{}", error);
        }

        #[test]
        fn random_bytes_never_panic(
            kind in 0..4u8, content in 0..7u8, list in 0..3u8, tail: Vec<u8>, seed: [u8; 32],
        ) {
            let mut message = vec![0; 2000];
            Entropy::new(seed).stream(Purpose::Other(0)).fill(&mut message);
            message[0] = kind;
            message[if kind == REPLY { 1 } else { 17 }] = content;
            message[18..22].copy_from_slice(&[0, list, 4, list]);
            message.truncate(2000 - tail.len());
            message.extend(tail);
            let result = Envelope::decode(message.into());
            prop_assert!(kind == PLAIN || !matches!(result, Ok(Envelope::Plain(_))));
        }
    }

    #[test]
    fn hop_counts_that_no_surb_has_are_refused() {
        // twelve seeds would have the length of one full key
        for seeds in [0, 6, 12, 255] {
            let mut message = vec![0; 8192];
            let tag = SenderTag::from_bytes([1; 16]);
            let kind = RepliableKind::Heartbeat;
            let head = repliable_head(&tag, kind, 1, seeds, KeyRotation::Even);
            message[..22].copy_from_slice(&head);
            let error = Envelope::decode(message.into()).unwrap_err();
            assert_eq!(error, EnvelopeError::Hops(seeds));
        }
    }
}
