//! A sender and a receiver made of the published crates.

use std::collections::BTreeMap;
use std::time::Duration;

use nym_proto::message::AckId;
use nym_proto::sphinx::PacketSize;
use nym_sphinx::acknowledgements::identifier::recover_identifier;
use nym_sphinx::anonymous_replies::{ReplySurbWithKeyRotation, SurbEncryptionKey};
use nym_sphinx::chunking::fragment::{Fragment, FragmentIdentifier};
use nym_sphinx::cover::{generate_loop_cover_packet, is_cover};
use nym_sphinx::message::NymMessage;
use nym_sphinx::params::PacketType;
use nym_sphinx::preparer::{MessagePreparer, PreparedFragment};
use nym_sphinx::receiver::{MessageReceiver as _, SphinxMessageReceiver};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;

use crate::content::Content;
use crate::convert::their_size;
use crate::network::{Network, Packet};
use crate::ours::{Push, ack_id};
use crate::person::Person;

const MEAN_DELAY: Duration = Duration::from_millis(15);

/// A packet, and what its sender knows of it.
pub struct Sent {
    pub packet: Packet,
    /// What its ack will confirm.
    pub id: AckId,
    /// The delays on its way and on that of its ack. Of a reply's way it is an estimate.
    pub delay: Duration,
}

/// Sends as a client does.
pub struct Sender<'a> {
    network: &'a Network,
    person: &'a Person,
    preparer: MessagePreparer<ChaCha20Rng>,
    pub rng: ChaCha20Rng,
}

impl<'a> Sender<'a> {
    pub fn new(network: &'a Network, person: &'a Person, seed: u64) -> Self {
        Self::with_route(network, person, seed, false)
    }

    /// As [`new`](Self::new), without mix nodes.
    pub fn direct(network: &'a Network, person: &'a Person, seed: u64) -> Self {
        Self::with_route(network, person, seed, true)
    }

    fn with_route(network: &'a Network, person: &'a Person, seed: u64, is_direct: bool) -> Self {
        let preparer = MessagePreparer::new(
            ChaCha20Rng::seed_from_u64(seed),
            false,
            person.their_address(),
            MEAN_DELAY,
            MEAN_DELAY,
            is_direct,
        );
        Self { network, person, preparer, rng: ChaCha20Rng::seed_from_u64(!seed) }
    }

    /// A message in packets for `to`.
    pub fn send(&mut self, to: &Person, message: NymMessage, size: PacketSize) -> Vec<Sent> {
        self.fragments(message, size)
            .into_iter()
            .map(|fragment| {
                self.preparer
                    .prepare_chunk_for_sending(
                        fragment,
                        &self.network.theirs,
                        &self.person.their_ack_key(),
                        &to.their_address(),
                        PacketType::Mix,
                    )
                    .unwrap()
                    .into()
            })
            .collect()
    }

    /// A message in packets that travel with `surbs`, one each.
    pub fn reply(
        &mut self,
        surbs: Vec<ReplySurbWithKeyRotation>,
        message: NymMessage,
        size: PacketSize,
    ) -> Vec<Sent> {
        let fragments = self.fragments(message, size);
        assert_eq!(fragments.len(), surbs.len());
        fragments
            .into_iter()
            .zip(surbs)
            .map(|(fragment, surb)| {
                self.preparer
                    .prepare_reply_chunk_for_sending(
                        fragment,
                        &self.network.theirs,
                        &self.person.their_ack_key(),
                        surb,
                        PacketType::Mix,
                    )
                    .unwrap()
                    .into()
            })
            .collect()
    }

    /// A loop cover packet.
    pub fn cover(&mut self, size: PacketSize) -> Packet {
        generate_loop_cover_packet(
            &mut self.rng,
            &self.network.theirs,
            &self.person.their_ack_key(),
            &self.person.their_address(),
            MEAN_DELAY,
            MEAN_DELAY,
            their_size(size),
            PacketType::Mix,
        )
        .unwrap()
        .into()
    }

    /// SURBs that lead back here.
    pub fn make_surbs(&mut self, count: usize) -> Vec<ReplySurbWithKeyRotation> {
        self.preparer.generate_reply_surbs(count, &self.network.theirs).unwrap()
    }

    /// The fragments of a message.
    pub fn fragments(&mut self, message: NymMessage, size: PacketSize) -> Vec<Fragment> {
        self.preparer.pad_and_split_message(message, their_size(size))
    }
}

impl From<PreparedFragment> for Sent {
    fn from(prepared: PreparedFragment) -> Self {
        Self {
            id: our_id(prepared.fragment_identifier),
            delay: prepared.total_delay.to_duration(),
            packet: prepared.mix_packet.into(),
        }
    }
}

/// Reads what a gateway pushes.
pub struct Receiver<'a> {
    person: &'a Person,
    reply_keys: BTreeMap<Vec<u8>, SurbEncryptionKey>,
    receiver: SphinxMessageReceiver,
}

impl<'a> Receiver<'a> {
    pub fn new(person: &'a Person) -> Self {
        Self { person, reply_keys: BTreeMap::new(), receiver: SphinxMessageReceiver::new() }
    }

    /// Expects replies to these SURBs.
    pub fn expect(&mut self, keys: impl IntoIterator<Item = SurbEncryptionKey>) {
        self.reply_keys.extend(keys.into_iter().map(|key| (key.compute_digest().to_vec(), key)));
    }

    /// Takes a push of a message that is known to be intact.
    pub fn receive(&mut self, push: &[u8]) -> Push {
        if push.len() == PacketSize::Ack.plaintext_len() {
            let id = recover_identifier(&self.person.their_ack_key(), push).unwrap();
            return Push::Ack(our_id(FragmentIdentifier::try_from_bytes(id).unwrap()));
        }
        let mut buffer = push.to_vec();
        let key = self.reply_keys.remove(&buffer[..32]);
        let fragment = match key {
            Some(key) => {
                let fragment = &mut buffer[32..];
                self.receiver.recover_plaintext_from_reply(fragment, key).unwrap();
                fragment
            }
            None => self
                .receiver
                .recover_plaintext_from_regular_packet(
                    &self.person.their_encryption_key(),
                    &mut buffer,
                )
                .unwrap(),
        };
        if is_cover(fragment) {
            return Push::Cover;
        }
        let fragment = self.receiver.recover_fragment(fragment).unwrap();
        match self.receiver.insert_new_fragment(fragment).unwrap() {
            None => Push::Fragment,
            Some((message, _)) => {
                let content = Content::from(message);
                if key.is_some() { Push::Reply(content) } else { Push::Message(content) }
            }
        }
    }
}

/// An identifier of theirs as ours.
pub fn our_id(id: FragmentIdentifier) -> AckId {
    let [.., position] = id.to_bytes();
    match id.set_id() {
        0 => AckId::Cover,
        set => ack_id(set.try_into().unwrap(), position),
    }
}
