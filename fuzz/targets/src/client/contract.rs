//! What must hold after every event, whatever it was.

use std::collections::BTreeSet;

use nym_proto::client::{
    Action, Client, ConnectionId, Deadline, Event, Lane, MessageId, Outgoing, Refused,
    RefusedReason, Stats, StopReason, Wakeup,
};
use nym_proto::limits::Limits;
use nym_proto::time::Instant;

/// Ticks without progress of time that no work can need.
const TICKS_AT_ONCE_MAX: u32 = 2000;
/// Actions one event may add, beyond the outcomes of all messages.
const ACTIONS_PER_EVENT: usize = 32;
/// Fragments of control messages, and one message's worth of rounding.
const FRAGMENTS_EXTRA: usize = 4096;

/// Watches one client.
#[derive(Debug)]
pub(crate) struct Contract {
    limits: Limits,
    now: Instant,
    open: BTreeSet<MessageId>,
    /// The connection asked for last, as long as neither side has ended it.
    connection: Option<ConnectionId>,
    last_connection: Option<ConnectionId>,
    stats: [u64; 25],
    events_since_drain: usize,
    ticks_at_once: u32,
    pub(crate) is_stopped: bool,
}

impl Contract {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            now,
            open: BTreeSet::new(),
            connection: None,
            last_connection: None,
            stats: [0; 25],
            events_since_drain: 0,
            ticks_at_once: 0,
            is_stopped: false,
        }
    }

    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// The last connection there was, ended or not.
    pub(crate) fn last_connection(&self) -> ConnectionId {
        self.last_connection.unwrap_or(ConnectionId(0))
    }

    pub(crate) fn connection_ended(&mut self, connection: ConnectionId) {
        self.connection.take_if(|current| *current == connection);
    }

    /// Hands an event to the client. True unless it was a message that was not accepted.
    pub(crate) fn handle(&mut self, client: &mut Client, at: Instant, event: Event) -> bool {
        self.ticks_at_once = match (&event, at > self.now) {
            (Event::Tick, false) => self.ticks_at_once + 1,
            _ => 0,
        };
        assert!(self.ticks_at_once < TICKS_AT_ONCE_MAX, "ticks at one instant without end");
        self.now = self.now.max(at);
        self.events_since_drain += 1;
        let sent = match &event {
            Event::Send(message) => Some(message.clone()),
            _ => None,
        };
        let result = client.handle(at, event);
        let is_accepted = self.result(sent, result);
        self.check(client);
        is_accepted
    }

    fn result(&mut self, sent: Option<Outgoing>, result: Result<(), Refused>) -> bool {
        match (sent, result) {
            (Some(message), Ok(())) => {
                assert!(!self.is_stopped, "accepted after the end");
                assert!(self.open.insert(message.id), "two messages with one name");
                true
            }
            (Some(message), Err(refused)) => {
                assert!(*refused.message == message, "refused and not handed back");
                let is_known = self.open.contains(&message.id);
                match refused.reason {
                    RefusedReason::TooLarge { max, .. } => {
                        assert!(message.data.len() > max.min(self.limits.outbox_bytes_max / 2));
                    }
                    RefusedReason::DuplicateId => assert!(is_known),
                    RefusedReason::EmptyReply => assert!(message.data.is_empty()),
                    _ => {}
                }
                false
            }
            (None, Ok(())) => true,
            (None, Err(_)) => panic!("refused what was no message"),
        }
    }

    fn check(&mut self, client: &Client) {
        let stats = monotone(client.stats());
        let grown = self.stats.iter().zip(&stats).all(|(old, new)| old <= new);
        assert!(grown, "a counter has gone back");
        self.stats = stats;
        let fragments = self.limits.outbox_bytes_max / 1500 + FRAGMENTS_EXTRA;
        assert!(client.in_flight() <= fragments);
        assert!(client.lane_len(Lane::General) <= fragments);
        let accepted = client.stats().messages_accepted;
        let ended = client.stats().messages_acknowledged + client.stats().messages_failed;
        assert!(ended <= accepted && accepted - ended <= self.limits.outbox_messages_max as u64);
    }

    /// Polls all actions.
    pub(crate) fn drain(&mut self, client: &mut Client) -> Vec<Action> {
        let mut actions = Vec::new();
        let most = self.limits.actions_max
            + self.limits.inbox_messages_max
            + self.limits.outbox_messages_max
            + ACTIONS_PER_EVENT * self.events_since_drain
            + ACTIONS_PER_EVENT;
        loop {
            let before = client.next_deadline();
            let Some(action) = client.poll_action() else {
                assert!(before.is_none_or(|deadline| deadline.why != Wakeup::Actions));
                assert!(!self.is_stopped || before.is_none());
                break;
            };
            assert!(!self.is_stopped, "{action:?} after the end");
            let is_queued = before.is_some_and(|deadline| deadline.why == Wakeup::Actions);
            if let (Action::SetTimer(None), true) = (&action, is_queued) {
                // the timer is taken back right before the end
                assert!(matches!(client.poll_action(), Some(Action::Stopped(_))));
                self.look_at(&Action::Stopped(StopReason::Requested));
            } else if let Action::SetTimer(deadline) = action {
                assert_eq!(deadline, before);
                assert_eq!(deadline, client.next_deadline());
            } else {
                assert_eq!(before, Some(Deadline { at: self.now, why: Wakeup::Actions }));
            }
            self.look_at(&action);
            actions.push(action);
            assert!(actions.len() <= most, "more than {most} actions");
        }
        self.events_since_drain = 0;
        actions
    }

    fn look_at(&mut self, action: &Action) {
        match action {
            Action::Connect { connection, urls } => {
                assert!(!urls.is_empty());
                assert!(self.last_connection < Some(*connection), "a number is used again");
                self.connection = Some(*connection);
                self.last_connection = Some(*connection);
            }
            Action::Disconnect { connection } => self.connection_ended(*connection),
            Action::Write { connection, frame } => {
                assert!(!frame.is_empty());
                // the shell may have told of the end while the frame was queued
                assert!(Some(*connection) <= self.last_connection);
            }
            Action::Outcome { id, .. } => {
                assert!(self.open.remove(id), "an outcome of a message that has none to come");
            }
            Action::Stopped(_) => {
                assert!(self.open.is_empty(), "messages without outcome: {:?}", self.open);
                self.is_stopped = true;
            }
            _ => {}
        }
    }
}

fn monotone(stats: &Stats) -> [u64; 25] {
    [
        stats.real_packets,
        stats.cover_packets,
        stats.retransmissions,
        stats.slots_unused,
        stats.acks_received,
        stats.cover_acks_received,
        stats.acks_unknown,
        stats.cover_received,
        stats.fragments_received,
        stats.duplicate_fragments,
        stats.bad_packets,
        stats.packets_dropped,
        stats.bad_frames,
        stats.bad_messages,
        stats.messages_accepted,
        stats.messages_acknowledged,
        stats.messages_failed,
        stats.messages_delivered,
        stats.deliveries_dropped,
        stats.surbs_received,
        stats.surbs_used,
        stats.surbs_dropped,
        stats.surbs_made,
        stats.bytes_written,
        stats.sessions,
    ]
}
