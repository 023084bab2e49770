//! What the client builds, seen at its packet builder.

use std::sync::{Arc, Mutex, PoisonError};

use nym_proto::address::NodeAddress;
use nym_proto::client::PacketSuite;
use nym_proto::entropy::Stream;
use nym_proto::gateway::{DecryptionError, LinkCipher, NONCE_SIZE, SharedKey, TAG_SIZE};
use nym_proto::identity::{IdentityKey, PrivateKey, PublicKey};
use nym_proto::message::{FragmentCipher, SealError};
use nym_proto::sphinx::{BuildError, Delay, Hop, PacketBuilder, PacketSize, Surb};

/// What is built.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A packet with a fragment, for somebody else.
    Data,
    /// A packet that comes back.
    Loop,
    /// The ack inside a packet.
    Ack,
    /// A SURB.
    Surb,
    /// A packet sent with somebody's SURB.
    Reply,
}

/// One thing built.
#[derive(Clone, Debug)]
pub struct Built {
    destination: Option<IdentityKey>,
    kind: Kind,
    /// Whether it was sealed for the gateway. Acks and SURBs are not, nor is what was built in vain.
    pub is_sealed: bool,
    /// The hops of its route; of a reply the first.
    pub hops: Vec<NodeAddress>,
    /// Delays in seconds, one for each hop; of a reply none.
    pub delays: Vec<f64>,
}

impl Built {
    /// What it is, seen by the client that has this identity.
    #[must_use]
    pub fn kind(&self, own: &IdentityKey) -> Kind {
        match self.kind {
            Kind::Data if self.destination.as_ref() == Some(own) => Kind::Loop,
            kind => kind,
        }
    }
}

/// A builder that takes notes of what another one builds.
pub struct Recorder {
    inner: Box<dyn PacketSuite>,
    built: Arc<Mutex<Vec<Built>>>,
}

impl core::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    /// Watches a builder; the notes go to `built`.
    #[must_use]
    pub fn new(inner: Box<dyn PacketSuite>, built: Arc<Mutex<Vec<Built>>>) -> Self {
        Self { inner, built }
    }

    fn note(&self, kind: Kind, to: Option<&IdentityKey>, hops: &[Hop], delays: &[Delay]) {
        let seconds = |delay: &Delay| delay.as_nanos() as f64 / 1e9;
        self.built.lock().unwrap_or_else(PoisonError::into_inner).push(Built {
            destination: to.copied(),
            kind,
            is_sealed: false,
            hops: hops.iter().map(|hop| hop.address).collect(),
            delays: delays.iter().map(seconds).collect(),
        });
    }
}

impl PacketBuilder for Recorder {
    fn build_packet(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        plaintext_len: usize,
        packet: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), BuildError> {
        let is_ack = packet.len() == PacketSize::Ack.packet_len();
        let kind = if is_ack { Kind::Ack } else { Kind::Data };
        self.note(kind, Some(destination), route, delays);
        self.inner.build_packet(route, delays, destination, plaintext_len, packet, stream)
    }

    fn make_surb(
        &mut self,
        route: &[Hop],
        delays: &[Delay],
        destination: &IdentityKey,
        stream: &mut Stream,
    ) -> Result<Surb, BuildError> {
        self.note(Kind::Surb, None, route, delays);
        self.inner.make_surb(route, delays, destination, stream)
    }

    fn use_surb(
        &mut self,
        surb: Surb,
        plaintext_len: usize,
        packet: &mut [u8],
    ) -> Result<(), BuildError> {
        self.note(Kind::Reply, None, &[], &[]);
        self.inner.use_surb(surb, plaintext_len, packet)
    }
}

impl FragmentCipher for Recorder {
    fn seal_fragment(
        &mut self,
        recipient_key: &PublicKey,
        buffer: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), SealError> {
        self.inner.seal_fragment(recipient_key, buffer, stream)
    }

    fn open_fragment<'a>(
        &self,
        private: &PrivateKey,
        buffer: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        self.inner.open_fragment(private, buffer)
    }
}

impl LinkCipher for Recorder {
    fn seal_frame(
        &self,
        key: &SharedKey,
        nonce: &[u8; NONCE_SIZE],
        body: &mut [u8],
    ) -> [u8; TAG_SIZE] {
        // one packet at a time waits for its slot
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let is_packet = |built: &&mut Built| matches!(built.kind, Kind::Data | Kind::Reply);
        if let Some(packet) = built.iter_mut().rev().find(is_packet) {
            packet.is_sealed = true;
        }
        drop(built);
        self.inner.seal_frame(key, nonce, body)
    }

    fn open_frame(
        &self,
        key: &SharedKey,
        nonce: &[u8; NONCE_SIZE],
        body: &mut [u8],
        tag: &[u8; TAG_SIZE],
    ) -> Result<(), DecryptionError> {
        self.inner.open_frame(key, nonce, body, tag)
    }
}
