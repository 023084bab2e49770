//! Every capacity of the core, and the memory they add up to.

use crate::message::ReassemblyLimits;

/// Capacities of a client. When one is reached the client refuses, evicts the oldest, or drops and
/// reports; it never grows beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest message accepted for sending, in bytes.
    pub message_bytes_max: usize,
    /// Bytes of all messages accepted and not yet acknowledged.
    pub outbox_bytes_max: usize,
    /// Messages accepted and not yet ended.
    pub outbox_messages_max: usize,
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
    /// Recipients we have written to anonymously.
    pub tags_max: usize,
    /// Requests to the gateway without an answer; reaching it counts as a dead connection.
    pub gateway_requests_max: usize,
    /// Actions queued at most before the client stops to produce more of its own accord.
    pub actions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 32 << 20,
            outbox_bytes_max: 64 << 20,
            outbox_messages_max: 4096,
            surbs_per_message_max: 500,
            delivery_window: 64,
            inbox_bytes_max: 64 << 20,
            inbox_messages_max: 4096,
            reassembly: ReassemblyLimits::default(),
            correspondents_max: 1024,
            surbs_per_correspondent_max: 1000,
            surbs_max: 32_768,
            reply_keys_max: 65_536,
            tags_max: 4096,
            gateway_requests_max: 4096,
            actions_max: 4096,
        }
    }
}
