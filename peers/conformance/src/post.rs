//! Delivery of whole messages: every packet goes through the network, in any order, and is read by
//! the receivers of both sides, and so are the acks on their way back.

use std::time::Duration;

use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::message::{AckId, ReplyKey};
use nym_sphinx::anonymous_replies::SurbEncryptionKey;

use crate::network::{Network, Packet};
use crate::ours::{self, Push};
use crate::person::Person;
use crate::theirs;

/// A packet with what must come of it.
pub struct Posted {
    pub packet: Packet,
    /// What the ack confirms.
    pub id: AckId,
    /// The delays on both ways together, if the sender knows them.
    pub delay: Option<Duration>,
}

impl From<ours::Sent> for Posted {
    fn from(sent: ours::Sent) -> Self {
        let delay = sent.delay.map(|delay| delay + sent.ack_delay);
        Self { packet: sent.packet, id: sent.id, delay }
    }
}

impl From<theirs::Sent> for Posted {
    fn from(sent: theirs::Sent) -> Self {
        Self { packet: sent.packet, id: sent.id, delay: Some(sent.delay) }
    }
}

/// The way from one client to another.
pub struct Post<'a> {
    network: &'a Network,
    from: &'a Person,
    to: &'a Person,
    ours: ours::Receiver<'a>,
    theirs: theirs::Receiver<'a>,
    order: Stream,
}

impl<'a> Post<'a> {
    pub fn new(network: &'a Network, from: &'a Person, to: &'a Person) -> Self {
        let (ours, theirs) = (ours::Receiver::new(to), theirs::Receiver::new(to));
        let order = Entropy::new([0x0d; 32]).stream(Purpose::Other(0));
        Self { network, from, to, ours, theirs, order }
    }

    /// The receiver expects replies encrypted with these keys.
    pub fn expect(&mut self, keys: &[[u8; 16]]) {
        self.ours.expect(keys.iter().map(|key| ReplyKey::from_bytes(*key)));
        let key = |key: &[u8; 16]| SurbEncryptionKey::try_from_bytes(key).unwrap();
        self.theirs.expect(keys.iter().map(key));
    }

    /// Delivers the packets of one message, or a single one of any kind, and returns what the
    /// receivers make of the last.
    pub fn deliver<T: Into<Posted>>(&mut self, packets: Vec<T>) -> Push {
        let mut packets: Vec<Posted> = packets.into_iter().map(Into::into).collect();
        let mut last = None;
        while !packets.is_empty() {
            assert!(matches!(last, None | Some(Push::Fragment)), "complete too early");
            let index = self.order.index(packets.len());
            last = Some(self.deliver_one(packets.swap_remove(index)));
        }
        last.unwrap()
    }

    fn deliver_one(&mut self, posted: Posted) -> Push {
        let rotation = posted.packet.rotation;
        let arrived = self.network.walk(posted.packet);
        assert_eq!(arrived.destination, *self.to.address.identity.as_bytes());
        let ack = arrived.ack.unwrap();
        assert_eq!(ack.rotation, rotation);
        let ack = self.network.walk(ack);
        assert_eq!(ack.destination, *self.from.address.identity.as_bytes());
        assert_eq!(ack.hops, arrived.hops);
        if let Some(delay) = posted.delay {
            assert_eq!(delay, arrived.delay + ack.delay);
        }
        let expected = Push::Ack(posted.id);
        assert_eq!(ours::Receiver::new(self.from).receive(&ack.message), expected);
        assert_eq!(theirs::Receiver::new(self.from).receive(&ack.message), expected);

        let ours = self.ours.receive(&arrived.message);
        assert_eq!(self.theirs.receive(&arrived.message), ours);
        ours
    }
}
