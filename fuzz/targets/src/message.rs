//! What a client finds in a packet: fragment headers, acks, end-to-end encryption, messages.
//! (protocol: messages 4 to 8)

use bytes::Bytes;
use nym_proto::address::{NodeAddress, Recipient};
use nym_proto::identity::{AckKey, PrivateKey};
use nym_proto::message::{
    Envelope, FragmentHeader, PLAIN_HEAD, REPLY_DATA_HEAD, RepliableContent, RepliableKind,
    ReplyContent, ReplyKey, SenderTag, SurbList, is_cover, open, open_ack, open_reply,
    repliable_head, reply_digest_of, seal_ack_with, split_final, surb_request, unpad, write_padded,
};
use nym_proto::sphinx::SurbKeys;

use crate::input::Script;
use crate::net;

const ENVELOPE: u8 = 0;
const FRAGMENT: u8 = 1;
const PUSH: u8 = 2;
const ADDRESS: u8 = 3;

/// Whatever can be read can be written, and reads back as the same.
pub fn run(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        ENVELOPE => envelope(rest),
        FRAGMENT => fragment(rest),
        PUSH => push(rest),
        _ => address(rest),
    }
}

fn envelope(bytes: &[u8]) {
    let Ok(message) = Envelope::decode(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    let Some(written) = write(&message) else {
        return;
    };
    let again = Envelope::decode(written.clone().into()).unwrap();
    assert_eq!(write(&again), Some(written));
}

/// `None` for forms that are only read: old lists of SURBs.
fn write(message: &Envelope) -> Option<Vec<u8>> {
    match message {
        Envelope::Plain(data) => Some([&PLAIN_HEAD[..], data].concat()),
        Envelope::Reply(ReplyContent::Data(data)) => Some([&REPLY_DATA_HEAD[..], data].concat()),
        Envelope::Reply(ReplyContent::SurbRequest { recipient, amount }) => {
            Some(surb_request(recipient, *amount).to_vec())
        }
        Envelope::Repliable { tag, content } => {
            let nothing = Bytes::new();
            let (kind, list, data) = match content {
                RepliableContent::Data { surbs, data } => (RepliableKind::Data, surbs, data),
                RepliableContent::AdditionalSurbs(list) => {
                    (RepliableKind::AdditionalSurbs, list, &nothing)
                }
                RepliableContent::Heartbeat(list) => (RepliableKind::Heartbeat, list, &nothing),
            };
            let mut out = list_head(tag, kind, list)?;
            list.surbs.iter().for_each(|surb| surb.encode(&mut out));
            out.extend_from_slice(data);
            Some(out)
        }
    }
}

fn list_head(tag: &SenderTag, kind: RepliableKind, list: &SurbList) -> Option<Vec<u8>> {
    let count = u16::try_from(list.surbs.len()).ok()?;
    let hops = match list.surbs.first() {
        None => 0,
        Some(surb) => match surb.surb.keys() {
            SurbKeys::Seeds(seeds) => seeds.len() as u8,
            SurbKeys::Full(_) => return None,
        },
    };
    Some(repliable_head(tag, kind, count, hops, list.rotation).to_vec())
}

fn fragment(bytes: &[u8]) {
    if let Ok((header, payload)) = FragmentHeader::decode(bytes) {
        assert_eq!(header.checked(), Ok(header));
        let mut again = vec![0; header.encoded_len()];
        assert_eq!(header.encode(&mut again), again.len());
        again.extend_from_slice(payload);
        assert_eq!(again, bytes);
    }
    let mut padded = vec![0; bytes.len() + 5];
    write_padded(&[bytes], 0, &mut padded);
    assert_eq!(unpad(&padded), Ok(bytes.len()));
    if let Ok(len) = unpad(bytes) {
        assert!(len < bytes.len());
    }
}

fn push(bytes: &[u8]) {
    let key = AckKey::from_bytes([3; 16]);
    if let Some(id) = open_ack(&key, bytes) {
        let iv = *bytes.first_chunk().unwrap();
        assert_eq!(seal_ack_with(&iv, &key, &id), bytes);
    }
    let mut packet = bytes.to_vec();
    if let Some(fragment) = open(&PrivateKey::from_bytes([4; 32]), &mut packet) {
        let _ = is_cover(fragment);
        assert_eq!(fragment.len() + 32, bytes.len());
    }
    let reply = ReplyKey::from_bytes([5; 16]);
    let mut packet = bytes.to_vec();
    assert_eq!(open_reply(&reply, &mut packet).is_some(), reply_digest_of(bytes).is_some());
    if let Ok((first, ack, pushed)) = split_final(bytes) {
        assert_eq!(NodeAddress::decode(bytes), Ok(first));
        assert!(bytes.ends_with(pushed));
        assert!(ack.len() + pushed.len() < bytes.len());
    }
}

fn address(bytes: &[u8]) {
    if let Ok(recipient) = Recipient::from_bytes(bytes) {
        assert_eq!(recipient.to_bytes(), bytes);
        assert_eq!(recipient.to_string().parse(), Ok(recipient));
    }
    if let Ok(address) = NodeAddress::decode(bytes) {
        assert_eq!(NodeAddress::decode(&address.to_padded::<19>()), Ok(address));
        assert!(address.encoded_len() <= bytes.len());
    }
    if let Ok(text) = core::str::from_utf8(bytes) {
        if let Ok(recipient) = text.parse::<Recipient>() {
            assert_eq!(recipient.to_string().parse(), Ok(recipient));
        }
        if let Ok(tag) = text.parse::<SenderTag>() {
            assert_eq!(tag.to_string().parse(), Ok(tag));
        }
    }
}

/// Messages of every kind, headers with and without links, an ack, an address.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |mode: u8, bytes: &[u8]| Script::new().byte(mode).raw(bytes).finish();
    let recipient = net::recipient();
    let mut seeds = vec![
        seed(ENVELOPE, b"\x00hello"),
        seed(ENVELOPE, b"\x02\x00hello"),
        seed(ENVELOPE, &surb_request(&recipient, 17)),
        seed(FRAGMENT, &[0x80, 0, 0, 9, 3, 2, 0, b'x']),
        seed(FRAGMENT, &[0x80, 0, 0, 9, 255, 1, 0x80, 0, 0, 8, b'x']),
        seed(FRAGMENT, &[0x80, 0, 0, 9, 255, 255, 0x80, 0, 0, 8, b'x']),
        seed(PUSH, &[8; 21]),
        seed(PUSH, &[8; 60]),
        seed(PUSH, &[4; 450]),
        seed(ADDRESS, &recipient.to_bytes()),
        seed(ADDRESS, recipient.to_string().as_bytes()),
        seed(ADDRESS, &net::node_address(1).to_padded::<19>()),
        seed(ADDRESS, SenderTag::from_bytes([7; 16]).to_string().as_bytes()),
    ];
    for kind in 0..6 {
        // lists of the second form with one SURB of one hop, of the first form with none
        let head = if kind < 3 { vec![0; 4] } else { vec![0, 1, 1, 1] };
        let mut message = [&[1][..], &[7; 16], &[kind], &head].concat();
        if kind >= 3 {
            let surb = [&[5; 16 + 348][..], &net::node_address(0).to_padded::<32>(), &[6; 16]];
            message.extend(surb.concat());
        }
        message.extend(b"data");
        seeds.push(seed(ENVELOPE, &message));
    }
    seeds
}
