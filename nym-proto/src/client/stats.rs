//! Counters of a run.

/// Plain counters since the client was made. Nothing here leaves the client by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Frames with a packet carrying a fragment, retransmissions included.
    pub real_packets: u64,
    /// Frames with a cover packet.
    pub cover_packets: u64,
    /// Of the real packets, those that repeat a fragment.
    pub retransmissions: u64,
    /// Slots of the schedule that passed without a frame, the gateway being away or blocked.
    pub slots_unused: u64,
    /// Acks of fragments that were waiting for one.
    pub acks_received: u64,
    /// Acks of our own cover packets.
    pub cover_acks_received: u64,
    /// Times a recipient's gateway began to lose everything, so that it is only probed.
    pub gateways_given_up: u64,
    /// Recipients' gateways that lose everything now.
    pub gateways_unreachable: u64,
    /// Acks that name nothing that waits: late duplicates or forgeries.
    pub acks_unknown: u64,
    /// Cover packets that came back.
    pub cover_received: u64,
    /// Packets received that carry a fragment.
    pub fragments_received: u64,
    /// Fragments of messages or places already complete.
    pub duplicate_fragments: u64,
    /// Packets received that could not be understood.
    pub bad_packets: u64,
    /// Packets received while the shell did not drain its actions, and thrown away.
    pub packets_dropped: u64,
    /// Frames from the gateway that could not be understood.
    pub bad_frames: u64,
    /// Complete messages that could not be understood.
    pub bad_messages: u64,
    /// Messages accepted from the application.
    pub messages_accepted: u64,
    /// Messages acknowledged.
    pub messages_acknowledged: u64,
    /// Messages that expired or failed.
    pub messages_failed: u64,
    /// Messages delivered to the application.
    pub messages_delivered: u64,
    /// Messages lost because the application did not take its messages.
    pub deliveries_dropped: u64,
    /// Fragment sets dropped incomplete.
    pub sets_dropped: u64,
    /// SURBs received.
    pub surbs_received: u64,
    /// SURBs used.
    pub surbs_used: u64,
    /// SURBs dropped: too many, too old, or unusable.
    pub surbs_dropped: u64,
    /// Correspondents forgotten, with their SURBs, to make room for others.
    pub correspondents_dropped: u64,
    /// SURBs made and given out.
    pub surbs_made: u64,
    /// Requests for SURBs sent.
    pub surb_requests_sent: u64,
    /// Requests for SURBs that got no ack, or no answer in time.
    pub surb_requests_lost: u64,
    /// SURBs given out without being asked, to keep conversations alive.
    pub surbs_topped_up: u64,
    /// Keys of SURBs given out that were dropped, to make room, before their SURBs were used up.
    pub reply_keys_dropped: u64,
    /// Requests for SURBs refused: not through a SURB of ours, or from nobody we write to.
    pub surb_requests_refused: u64,
    /// Bytes of frames written to the gateway.
    pub bytes_written: u64,
    /// Bytes of frames received from the gateway.
    pub bytes_received: u64,
    /// Changes of what is kept across restarts.
    pub changes: u64,
    /// Sessions with the gateway that became ready.
    pub sessions: u64,
    /// Remaining bandwidth at the gateway, in bytes, as it last told.
    pub bandwidth: i64,
}
