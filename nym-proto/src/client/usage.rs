//! How full the client is: one number for each collection that has a limit.

use super::Client;
use crate::limits::{CONTROL_BYTES_MAX, CONTROL_MESSAGES_MAX, Limits};

/// What the collections of a client hold at one moment. The fields have the names of the
/// [`Limits`] they are held against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Messages of the application accepted and not yet ended.
    pub outbox_messages: usize,
    /// Their bytes.
    pub outbox_bytes: usize,
    /// Those of the lane with the most.
    pub lane_bytes: usize,
    /// Requests for SURBs, and answers to them, not yet ended.
    pub control_messages: usize,
    /// Their bytes.
    pub control_bytes: usize,
    /// Fragments that wait for an ack.
    pub in_flight: usize,
    /// All fragments of all messages that have not ended: what `in_flight` cannot exceed.
    pub fragments: usize,
    /// Messages the application is not ready to take.
    pub inbox_messages: usize,
    /// Their bytes.
    pub inbox_bytes: usize,
    /// Unfinished sets of fragments.
    pub reassembly_sets: usize,
    /// Bytes of unfinished sets.
    pub reassembly_bytes: usize,
    /// Fragments of finished sets that are remembered.
    pub reassembly_finished: usize,
    /// Recipients written to anonymously.
    pub tags: usize,
    /// Keys of SURBs given out and not yet used.
    pub reply_keys: usize,
    /// Correspondents SURBs are held of.
    pub correspondents: usize,
    /// SURBs of the correspondent with the most.
    pub surbs_per_correspondent: usize,
    /// SURBs of all correspondents.
    pub surbs: usize,
    /// Cover packets watched until they come back.
    pub loops: usize,
    /// Requests to the gateway without an answer.
    pub gateway_requests: usize,
    /// Frames among the actions that have not been polled.
    pub writes: usize,
}

impl Usage {
    /// The first collection that holds more than its limit: its name, what it holds, and the limit.
    #[must_use]
    pub fn excess(&self, limits: &Limits) -> Option<(&'static str, usize, usize)> {
        [
            ("outbox_messages", self.outbox_messages, limits.outbox_messages_max),
            ("outbox_bytes", self.outbox_bytes, limits.outbox_bytes_max),
            ("lane_bytes", self.lane_bytes, limits.lane_bytes_max),
            ("control_messages", self.control_messages, CONTROL_MESSAGES_MAX),
            ("control_bytes", self.control_bytes, CONTROL_BYTES_MAX),
            ("in_flight", self.in_flight, self.fragments),
            ("inbox_messages", self.inbox_messages, limits.inbox_messages_max),
            ("inbox_bytes", self.inbox_bytes, limits.inbox_bytes_max),
            ("reassembly_sets", self.reassembly_sets, limits.reassembly.sets_max),
            ("reassembly_bytes", self.reassembly_bytes, limits.reassembly.bytes_max),
            ("reassembly_finished", self.reassembly_finished, limits.reassembly.finished_max),
            ("tags", self.tags, limits.tags_max),
            ("reply_keys", self.reply_keys, limits.reply_keys_max),
            ("correspondents", self.correspondents, limits.correspondents_max),
            (
                "surbs_per_correspondent",
                self.surbs_per_correspondent,
                limits.surbs_per_correspondent_max,
            ),
            ("surbs", self.surbs, limits.surbs_max),
            ("loops", self.loops, limits.loops_max),
            ("gateway_requests", self.gateway_requests, limits.gateway_requests_max),
            ("writes", self.writes, limits.actions_max),
        ]
        .into_iter()
        .find(|(_, held, max)| held > max)
    }
}

impl Client {
    /// How full the client is. Costs a pass over its unfinished messages and correspondents.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            in_flight: self.acks.len(),
            loops: self.health.watched(),
            gateway_requests: self.session.unanswered(),
            writes: self.writes_queued,
            ..Usage::default()
        };
        self.outbox.measure(&mut usage);
        self.inbox.measure(&mut usage);
        self.replies.measure(&mut usage);
        usage
    }

    /// The capacities the client was configured with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.config.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_collection_beyond_its_limit_is_named() {
        let limits = Limits::default();
        let full = Usage { surbs: limits.surbs_max, ..Usage::default() };
        assert_eq!(full.excess(&limits), None);
        let over = Usage { surbs: limits.surbs_max + 1, ..Usage::default() };
        assert_eq!(over.excess(&limits), Some(("surbs", limits.surbs_max + 1, limits.surbs_max)));
    }
}
