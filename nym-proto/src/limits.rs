//! Every capacity of the core, and the memory they add up to.

use crate::message::ReassemblyLimits;

/// Capacities of a client. When one is reached the client refuses, evicts the oldest, or drops and
/// reports; it never grows beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest message accepted for sending, in bytes.
    pub message_bytes_max: usize,
    /// Bytes of all messages accepted and not yet acknowledged. An eighth is kept for lanes that hold
    /// almost nothing.
    pub outbox_bytes_max: usize,
    /// Messages accepted and not yet ended. An eighth is kept for lanes that hold almost nothing.
    pub outbox_messages_max: usize,
    /// Bytes of all messages of one lane, counted as for the outbox.
    pub lane_bytes_max: usize,
    /// Most SURBs attached to one message.
    pub surbs_per_message_max: u16,
    /// Messages delivered to the application that it has not taken yet.
    pub delivery_window: u32,
    /// Bytes of complete messages waiting for the application, beyond the window.
    pub inbox_bytes_max: usize,
    /// Messages waiting for the application, beyond the window.
    pub inbox_messages_max: usize,
    /// Reassembly of incoming messages.
    pub reassembly: ReassemblyLimits,
    /// Correspondents we hold SURBs of.
    pub correspondents_max: usize,
    /// SURBs kept per correspondent.
    pub surbs_per_correspondent_max: usize,
    /// SURBs kept of all correspondents together.
    pub surbs_max: usize,
    /// Keys of SURBs given out and not yet used.
    pub reply_keys_max: usize,
    /// The same, of SURBs given to one recipient. A few times what recipients hold: the oldest key makes
    /// room, and a reply through its SURB can not be read any more.
    pub reply_keys_per_recipient_max: usize,
    /// Recipients we have written to anonymously.
    pub tags_max: usize,
    /// Cover packets watched until they come back; more than that leave unwatched.
    pub loops_max: usize,
    /// Gateways whose registration is kept.
    pub registrations_max: usize,
    /// Requests to the gateway without an answer; while there are so many, slots pass unused.
    pub gateway_requests_max: usize,
    /// With this many actions queued, changes of what is kept counted one by one, the client takes in
    /// no messages and no packets; with this many actions it reports no more facts, and with this
    /// many frames among them slots pass unused.
    pub actions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 32 << 20,
            outbox_bytes_max: 64 << 20,
            outbox_messages_max: 4096,
            lane_bytes_max: 48 << 20,
            surbs_per_message_max: 500,
            delivery_window: 64,
            inbox_bytes_max: 64 << 20,
            inbox_messages_max: 4096,
            reassembly: ReassemblyLimits::default(),
            correspondents_max: 1024,
            surbs_per_correspondent_max: 1000,
            surbs_max: 32_768,
            reply_keys_max: 65_536,
            reply_keys_per_recipient_max: 16_384,
            tags_max: 4096,
            loops_max: 16_384,
            registrations_max: 16,
            gateway_requests_max: 4096,
            actions_max: 4096,
        }
    }
}

/// Messages with requests for SURBs and answers to them, accepted beside those of the application.
pub(crate) const CONTROL_MESSAGES_MAX: usize = 512;
/// Bytes of all of them.
pub(crate) const CONTROL_BYTES_MAX: usize = 4 << 20;
/// Lanes with refused messages that are told of room one by one.
pub(crate) const LANES_WAITING_MAX: usize = 256;
/// Recipients' gateways whose losses in a row are counted.
pub(crate) const EGRESSES_MAX: usize = 1024;
/// Bytes of a fragment's record while it waits for its ack: two tree entries, rounded up.
const IN_FLIGHT_BYTES: usize = 256;
/// Bytes of the smallest fragment payload, for counting fragments. (protocol: messages 10)
const FRAGMENT_PAYLOAD_MIN: usize = 1601;
/// Bytes of a SURB as it is held: its share of a queue that has grown, and keys of the old form.
pub(crate) const SURB_BYTES: usize = 2304;
/// Bytes of a correspondent beyond its record: its queue of SURBs, empty.
pub(crate) const CORRESPONDENT_BYTES: usize = 6144;
/// Bytes of a key of a SURB given out, with its tree entries.
const REPLY_KEY_BYTES: usize = 512;
/// Bytes of a lane with one message: its share of trees and one node of each of its own.
const LANE_BYTES: usize = 2048;
/// Bytes of a watched cover packet: a tree and a queue entry.
const LOOP_BYTES: usize = 128;
/// Bytes of bookkeeping per message, correspondent or recipient.
const RECORD_BYTES: usize = 1024;
/// Largest frame that can wait in an action. (protocol: gateway 9.4)
const FRAME_BYTES: usize = 34_000;

impl Limits {
    /// The most memory, in bytes, that the collections of a client can hold together when every
    /// one of them is full. An estimate from above; the topology (at most 20,000 nodes) and the
    /// payload of frames handed in are not counted.
    #[must_use]
    pub fn memory_max(&self) -> usize {
        let outbox_bytes = self.outbox_bytes_max.saturating_add(CONTROL_BYTES_MAX);
        let outbox_messages = self.outbox_messages_max.saturating_add(CONTROL_MESSAGES_MAX);
        let fragments = (outbox_bytes / FRAGMENT_PAYLOAD_MIN).saturating_add(outbox_messages);
        let records = [
            outbox_messages,
            self.inbox_messages_max,
            self.correspondents_max,
            self.tags_max,
            self.registrations_max,
            self.gateway_requests_max,
        ]
        .into_iter()
        .fold(0, usize::saturating_add);
        [
            outbox_bytes,
            self.inbox_bytes_max,
            self.reassembly.memory_max(),
            fragments.saturating_mul(IN_FLIGHT_BYTES),
            self.outbox_messages_max.saturating_add(LANES_WAITING_MAX).saturating_mul(LANE_BYTES),
            // twice: while they are restored, and when many are erased at once, as changes as well
            self.surbs_max.saturating_mul(2 * SURB_BYTES),
            self.correspondents_max.saturating_mul(CORRESPONDENT_BYTES),
            self.reply_keys_max.saturating_mul(2 * REPLY_KEY_BYTES),
            records.saturating_add(EGRESSES_MAX).saturating_mul(RECORD_BYTES),
            self.loops_max.saturating_mul(LOOP_BYTES),
            self.actions_max.saturating_mul(FRAME_BYTES),
            crate::sphinx::MULTIPLES_BYTES_MAX,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limits_add_up_to_less_than_a_gigabyte() {
        let max = Limits::default().memory_max();
        assert!((128 << 20..1 << 30).contains(&max), "{max}");
    }

    #[test]
    fn absurd_limits_saturate() {
        let limits = Limits { actions_max: usize::MAX, ..Limits::default() };
        assert_eq!(limits.memory_max(), usize::MAX);
        let (outbox_messages_max, tags_max) = (usize::MAX, usize::MAX);
        let limits = Limits { outbox_messages_max, tags_max, ..Limits::default() };
        assert_eq!(limits.memory_max(), usize::MAX);
    }
}
