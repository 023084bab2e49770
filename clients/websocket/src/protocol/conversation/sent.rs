//! Messages of the program that were accepted and have not ended.

use std::collections::BTreeMap;

use nym_proto::client::{Lane, Outcome};

use super::event::SendId;
use crate::protocol::request::Addressee;
use crate::protocol::response::Status;

/// More than that are forgotten, oldest first: their program is not told how they ended. As many as
/// the client takes at once by default.
const SENT_MAX: usize = 4096;

/// What is remembered of a message.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) to: Addressee,
    pub(super) connection: Option<u64>,
    pub(super) report: Option<u64>,
    /// The program has closed its lane.
    pub(super) is_dropped: bool,
}

impl Sent {
    /// Whom it goes to, for an error.
    pub(super) fn name(&self) -> String {
        match &self.to {
            Addressee::Plain(recipient) | Addressee::Anonymous { recipient, .. } => {
                recipient.to_string()
            }
            Addressee::Reply(tag) => format!("sender tag {tag}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct SentMessages {
    next: u64,
    messages: BTreeMap<SendId, Sent>,
}

impl SentMessages {
    pub(super) fn next_id(&mut self) -> SendId {
        self.next += 1;
        SendId(self.next)
    }

    pub(super) fn insert(&mut self, id: SendId, sent: Sent) {
        self.messages.insert(id, sent);
        if self.messages.len() > SENT_MAX {
            self.messages.pop_first();
        }
    }

    pub(super) fn remove(&mut self, id: SendId) -> Option<Sent> {
        self.messages.remove(&id)
    }

    /// The program drops a lane, and need not be told what that does.
    pub(super) fn handle_closed(&mut self, lane: Lane) {
        let of_lane = |sent: &&mut Sent| sent.connection.map(Lane::Connection) == Some(lane);
        self.messages.values_mut().filter(of_lane).for_each(|sent| sent.is_dropped = true);
    }
}

/// How a message ended, as programs are told.
pub(super) struct Ending {
    pub(super) status: Status,
    pub(super) reason: String,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        let (status, reason) = match outcome {
            Outcome::Acknowledged { .. } => (Status::Acknowledged, String::new()),
            Outcome::Expired { waiting_for } => (Status::Expired, waiting_for.to_string()),
            Outcome::Failed(reason) => (Status::Failed, reason.to_string()),
            other => (Status::Failed, format!("{other:?}")),
        };
        Self { status, reason }
    }
}
