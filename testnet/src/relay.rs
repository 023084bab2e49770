//! What every node does with packets from other nodes: cut the links' bytes into frames, choose
//! the key, refuse replays, remove a layer. (protocol: sphinx 13.1)

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut as _, Bytes, BytesMut};
use nym_proto::address::NodeAddress;
use nym_proto::sphinx::{
    Frame, FrameDecoder, FrameHeader, KeyRotation, PacketPeeler, PacketSize, PeelError, Peeled,
};
use nym_proto::time::Instant;

use crate::epoch::{EpochClock, HeldRotations, WallClock};
use crate::keys::{KeyRing, SphinxKeys};

/// Names one incoming connection from another node. Numbers are never reused within a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Which rotations' keys a node holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeySchedule {
    /// Those the epoch asks for.
    Epochs(EpochClock),
    /// These, until told otherwise.
    Manual(HeldRotations),
}

/// Where a node may forward to. (protocol: gateway 14.6, sphinx 13.4)
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Egress {
    /// Anywhere.
    #[default]
    Open,
    /// To these addresses; packets for others are dropped and counted.
    Only(BTreeSet<NodeAddress>),
}

impl Egress {
    pub(crate) fn allows(&self, next: &NodeAddress) -> bool {
        match self {
            Self::Open => true,
            Self::Only(addresses) => addresses.contains(next),
        }
    }
}

/// What happened to the packets that reached a node. All counters since the machine was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketStats {
    /// Whole packets that arrived from other nodes.
    pub received: u64,
    /// Packets handed on to another node.
    pub forwarded: u64,
    /// Dropped on purpose: injected loss.
    pub lost: u64,
    /// Dropped: seen before.
    pub replayed: u64,
    /// Dropped: the MAC or a later check failed.
    pub malformed: u64,
    /// Dropped: for a key rotation this node holds no key of.
    pub no_key: u64,
    /// Dropped: the packet asks for something this kind of node does not do.
    pub misrouted: u64,
    /// Dropped: the next hop is not allowed.
    pub denied: u64,
    /// Dropped: a queue was full.
    pub overflowed: u64,
    /// Links closed because their bytes were no frames.
    pub bad_links: u64,
}

/// The incoming links of a node.
#[derive(Debug)]
pub(crate) struct Links {
    decoders: BTreeMap<LinkId, FrameDecoder>,
    links_max: usize,
}

impl Links {
    pub(crate) fn new(links_max: usize) -> Self {
        Self { decoders: BTreeMap::new(), links_max }
    }

    /// False if there are too many.
    pub(crate) fn open(&mut self, link: LinkId) -> bool {
        let fits = self.decoders.len() < self.links_max;
        if fits {
            self.decoders.insert(link, FrameDecoder::new());
        }
        fits
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        self.decoders.remove(&link);
    }

    /// Hands every frame completed by `bytes` to `on_frame`. False if the stream is broken; the
    /// link is forgotten then. Bytes of an unknown link are ignored.
    pub(crate) fn feed(
        &mut self,
        link: LinkId,
        mut bytes: &[u8],
        mut on_frame: impl FnMut(Frame<'_>),
    ) -> bool {
        let Some(decoder) = self.decoders.get_mut(&link) else {
            return true;
        };
        while !bytes.is_empty() {
            bytes = decoder.push(bytes);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => on_frame(frame),
                    Ok(None) => break,
                    Err(_) => {
                        self.decoders.remove(&link);
                        return false;
                    }
                }
            }
        }
        true
    }
}

/// The keys of a node, their rotation, and the peeler.
pub(crate) struct Unwrapper {
    peeler: Box<dyn PacketPeeler>,
    ring: KeyRing,
    schedule: KeySchedule,
    wall: WallClock,
    /// The keys are up to date before this.
    next: Option<Instant>,
}

impl Unwrapper {
    pub(crate) fn new(
        peeler: Box<dyn PacketPeeler>,
        keys: SphinxKeys,
        schedule: KeySchedule,
        wall: WallClock,
        now: Instant,
        tags_max: usize,
    ) -> Self {
        let held = match schedule {
            KeySchedule::Epochs(clock) => clock.held_in(clock.epoch_at(wall.unix_time(now))),
            KeySchedule::Manual(held) => held,
        };
        Self { peeler, ring: KeyRing::new(keys, held, tags_max), schedule, wall, next: None }
    }

    pub(crate) fn wall(&self) -> WallClock {
        self.wall
    }

    pub(crate) fn set_wall(&mut self, wall: WallClock) {
        (self.wall, self.next) = (wall, None);
    }

    pub(crate) fn set_schedule(&mut self, schedule: KeySchedule) {
        (self.schedule, self.next) = (schedule, None);
    }

    pub(crate) fn held(&self) -> HeldRotations {
        self.ring.held()
    }

    /// Brings the keys up to date.
    pub(crate) fn rotate(&mut self, now: Instant) {
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        match self.schedule {
            KeySchedule::Epochs(clock) => {
                let epoch = clock.epoch_at(self.wall.unix_time(now));
                self.ring.hold(clock.held_in(epoch));
            }
            KeySchedule::Manual(held) => self.ring.hold(held),
        }
        self.next = self.change_after(now);
    }

    /// When the keys may change next.
    pub(crate) fn next_rotation(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|next| now < *next).or_else(|| self.change_after(now))
    }

    fn change_after(&self, now: Instant) -> Option<Instant> {
        match self.schedule {
            KeySchedule::Epochs(clock) => {
                let epoch = clock.epoch_at(self.wall.unix_time(now));
                Some(self.wall.instant(clock.start_of(epoch.saturating_add(1))))
            }
            KeySchedule::Manual(_) => None,
        }
    }

    /// Removes one layer of `packet` in place, or counts why not.
    pub(crate) fn peel(
        &mut self,
        rotation: KeyRotation,
        packet: &mut [u8],
        stats: &mut PacketStats,
    ) -> Option<Peeled> {
        stats.received += 1;
        let mut refusal = &mut stats.no_key;
        for key in self.ring.candidates(rotation) {
            match self.peeler.open(key.private(), packet) {
                Ok(opened) => {
                    if !key.record(opened.replay_tag()) {
                        stats.replayed += 1;
                        return None;
                    }
                    return match self.peeler.peel(opened, packet) {
                        Ok(peeled) => Some(peeled),
                        Err(_) => {
                            stats.malformed += 1;
                            None
                        }
                    };
                }
                Err(PeelError::Mac) => refusal = &mut stats.malformed,
                Err(_) => {
                    stats.malformed += 1;
                    return None;
                }
            }
        }
        *refusal += 1;
        None
    }
}

/// The bytes a packet travels in from node to node.
pub(crate) fn frame(size: PacketSize, rotation: KeyRotation, packet: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(FrameHeader::SIZE + packet.len());
    out.put_slice(&FrameHeader { size, rotation }.to_bytes());
    out.put_slice(packet);
    out.freeze()
}
