//! The correspondent: gets what the client sends, and makes what the client gets.

use std::collections::BTreeMap;

use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::identity::Identity;
use nym_proto::message::{
    Envelope, FragmentCipher as _, FragmentHeader, FragmentPlan, Inserted, Origin, Reassembler,
    ReassemblyLimits, RepliableContent, RepliableKind, ReplyContent, ReplyDigest, ReplyKey,
    ReplySurb, SenderTag, SetId, fragment_room, open_reply, repliable_head, reply_digest_of,
    seal_reply, write_padded,
};
use nym_proto::sphinx::{PacketBuilder as _, PacketSize};
use nym_proto::time::Instant;
use nym_testnet::transparent::TransparentBuilder;

use crate::net;

/// SURBs of the client that are kept.
const SURBS_MAX: usize = 200;
/// Reply keys that are kept.
const KEYS_MAX: usize = 2000;

/// A correspondent with the keys of [`net::bob`].
pub struct Bob {
    identity: Identity,
    packets: TransparentBuilder,
    stream: Stream,
    reassembler: Reassembler,
    /// What arrived whole.
    pub received: Vec<Bytes>,
    /// SURBs the client has given.
    pub surbs: Vec<ReplySurb>,
    keys: BTreeMap<ReplyDigest, ReplyKey>,
}

impl Bob {
    /// It knows nobody.
    #[must_use]
    #[expect(clippy::new_without_default)]
    pub fn new() -> Self {
        Self {
            identity: net::bob(),
            packets: TransparentBuilder::new(),
            stream: Entropy::new([88; 32]).stream(Purpose::Other(0)),
            reassembler: Reassembler::new(ReassemblyLimits::default()),
            received: Vec::new(),
            surbs: Vec::new(),
            keys: BTreeMap::new(),
        }
    }

    pub(crate) fn is(&self, destination: &[u8; 32]) -> bool {
        self.identity.identity.public().as_bytes() == destination
    }

    /// Takes what the gateway pushes. The client under test makes only what can be read.
    pub fn receive(&mut self, now: Instant, message: &[u8]) {
        let mut message = message.to_vec();
        let key = reply_digest_of(&message).and_then(|digest| self.keys.get(&digest));
        let (fragment, origin) = match key {
            Some(key) => (open_reply(key, &mut message), Origin::Reply(0)),
            None => {
                let own = &self.identity.encryption;
                (self.packets.open_fragment(own, &mut message), Origin::Open)
            }
        };
        let (header, payload) = FragmentHeader::decode(fragment.unwrap()).unwrap();
        match self.reassembler.insert(now, origin, &header, payload) {
            Inserted::Complete { message, .. } => self.read(message.into()),
            Inserted::Incomplete | Inserted::Duplicate => {}
            Inserted::Dropped(reason) => panic!("the client has sent nonsense: {reason}"),
        }
    }

    fn read(&mut self, message: Bytes) {
        match Envelope::decode(message).unwrap() {
            Envelope::Plain(data) => self.received.push(data),
            Envelope::Reply(ReplyContent::Data(data)) => self.received.push(data),
            Envelope::Reply(ReplyContent::SurbRequest { .. }) => {}
            Envelope::Repliable { content, .. } => {
                let surbs = match content {
                    RepliableContent::Data { surbs, data } => {
                        self.received.push(data);
                        surbs
                    }
                    RepliableContent::AdditionalSurbs(list) | RepliableContent::Heartbeat(list) => {
                        list
                    }
                };
                self.surbs.extend(surbs.surbs);
                self.surbs.truncate(SURBS_MAX);
            }
        }
    }

    /// Packs a serialised message for the client: what its gateway pushes, one by one.
    pub fn pack(&mut self, to: &Recipient, message: &[u8]) -> Vec<Vec<u8>> {
        self.fragments(message, |_, bob, buffer| {
            bob.packets.seal_fragment(&to.encryption, buffer, &mut bob.stream).unwrap();
            true
        })
    }

    /// Packs a serialised message so that it comes through SURBs of the client, as far as they
    /// last.
    pub fn pack_reply(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        self.fragments(message, |_, bob, buffer| {
            let surb = bob.surbs.pop();
            surb.is_some_and(|surb| seal_reply(&surb.key, buffer).is_ok())
        })
    }

    fn fragments(
        &mut self,
        message: &[u8],
        mut wrap: impl FnMut(usize, &mut Self, &mut [u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let size = PacketSize::Regular;
        let plan = FragmentPlan::new(message.len(), size);
        let ids = SetId::draw_distinct(plan.sets(), &mut self.stream);
        let mut out = Vec::new();
        for index in 0..plan.fragments() {
            let (header, range) = plan.place(index, &ids).unwrap();
            let mut buffer = vec![0; 32 + fragment_room(size)];
            let at = 32 + header.encode(&mut buffer[32..]);
            write_padded(&[message], range.start, &mut buffer[at..]);
            if wrap(index, self, &mut buffer) {
                out.push(buffer);
            }
        }
        out
    }

    /// A message under a tag, with SURBs of Bob's own.
    pub fn repliable(&mut self, tag: u8, kind: RepliableKind, count: u8, data: &[u8]) -> Vec<u8> {
        let topology = net::topology();
        let tag = SenderTag::from_bytes([tag; 16]);
        let rotation = topology.rotation();
        let mut message = repliable_head(&tag, kind, count.into(), 4, rotation).to_vec();
        let own = net::recipient();
        for _ in 0..count {
            let route = topology.route(&own.gateway, &mut self.stream).unwrap();
            let delays = route.draw_delays(core::time::Duration::ZERO, &mut self.stream);
            let surb = self
                .packets
                .make_surb(route.hops(), delays.as_slice(), &own.identity, &mut self.stream)
                .unwrap();
            let key = ReplyKey::draw(&mut self.stream);
            if self.keys.len() < KEYS_MAX {
                self.keys.insert(key.digest(), key.clone());
            }
            ReplySurb { key, surb }.encode(&mut message);
        }
        message.extend_from_slice(data);
        message
    }
}
