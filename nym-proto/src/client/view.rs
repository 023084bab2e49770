//! What can be asked of a client.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::outgoing::OutgoingMessage;
use super::{
    Client, Connectivity, Degradation, Lane, LoopHealth, MessageId, Progress, Stats, Traffic,
};
use crate::address::Recipient;
use crate::topology::Topology;

impl Client {
    /// The client's address, once its gateway is chosen.
    #[must_use]
    pub fn address(&self) -> Option<Recipient> {
        let gateway = self.session.gateway()?.identity;
        Some(Recipient {
            identity: *self.identity.identity.public(),
            encryption: self.encryption,
            gateway,
        })
    }

    /// Where the connection to the gateway stands.
    #[must_use]
    pub const fn connectivity(&self) -> Connectivity {
        self.connectivity
    }

    /// What is wrong at present, though the client works.
    #[must_use]
    pub const fn degradations(&self) -> &BTreeSet<Degradation> {
        &self.degradations
    }

    /// How the cover packets of the last complete window fared.
    #[must_use]
    pub const fn loop_health(&self) -> Option<&LoopHealth> {
        self.health.last()
    }

    /// Counters of this run.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Fragments of a lane that were never transmitted, exact at any time.
    #[must_use]
    pub fn lane_len(&self, lane: Lane) -> usize {
        self.outbox.lane_len(lane)
    }

    /// Bytes of the messages of a lane that have not ended, what stands in front of their data
    /// included.
    #[must_use]
    pub fn lane_bytes(&self, lane: Lane) -> usize {
        self.outbox.lane_bytes(lane)
    }

    /// How far a message is. `None` if no message with this name is unfinished.
    #[must_use]
    pub fn progress(&self, id: MessageId) -> Option<Progress> {
        self.outbox.user(id).map(OutgoingMessage::progress)
    }

    /// Fragments transmitted and not acknowledged.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.acks.len()
    }

    /// The topology in use.
    #[must_use]
    pub const fn topology(&self) -> Option<&Arc<Topology>> {
        self.topology.as_ref()
    }

    /// How long ago the topology in use came, as of the last event.
    #[must_use]
    pub fn topology_age(&self) -> Option<Duration> {
        self.topology.as_ref().map(|_| self.now.since(self.topology_at))
    }

    /// How frames are emitted at present.
    #[must_use]
    pub const fn traffic(&self) -> &Traffic {
        &self.config.traffic
    }
}
