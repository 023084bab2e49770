//! What was kept in an earlier run comes back. (protocol: client 9.9)

use core::time::Duration;

use super::replies::KeptSurb;
use super::state::{Entry, State};
use super::{Client, Fact};
use crate::message::Origin;
use crate::time::UnixTime;

/// Keys and SURBs are of no use after this many times the age at which they are dropped when nothing
/// is known of rotations, however long those are.
const KEPT_FOR: u32 = 4;

impl Client {
    /// Hands the entries to the concerns they belong to, oldest first, so that those beyond a limit
    /// make way. What is too old or too many is erased.
    pub(super) fn restore(&mut self, state: State, unix_time: UnixTime) {
        if state.is_empty() && state.skipped() == 0 {
            return;
        }
        let (skipped, total) = (state.skipped(), state.len());
        let mut expired = 0;
        for (written_at, entry) in state.into_entries() {
            // what comes from the future was written just now
            let age = unix_time.since(written_at);
            let key = entry.key();
            if !self.restore_entry(entry, age) {
                self.journal.erase(key);
                expired += 1;
            }
        }
        self.pass_on();
        self.persist();
        self.report(Fact::Restored { entries: total.saturating_sub(expired), expired, skipped });
    }

    /// False if the entry has outlived its use.
    fn restore_entry(&mut self, entry: Entry, age: Duration) -> bool {
        let now = self.now;
        let is_forgotten = age >= self.config.replies.key_age_max.saturating_mul(KEPT_FOR);
        match entry {
            Entry::Registration(registration) => {
                self.session.restore(registration);
                true
            }
            Entry::Finished { origin, set, hashes } => {
                let is_awaited = age < self.config.limits.reassembly.finished_for;
                if is_awaited {
                    if let Origin::Reply(conversation) = origin {
                        self.replies.contacts.pass_over(conversation);
                    }
                    self.inbox.restore(now.before(age), origin, set, hashes);
                }
                is_awaited
            }
            Entry::Contact { conversation, recipient, tag } => {
                self.replies.contacts.restore(now, recipient, tag, conversation);
                true
            }
            Entry::ReplyKey { key, recipient, conversation, rotation } => {
                if is_forgotten {
                    return false;
                }
                self.replies.restore_key(now.before(age), recipient, key, (conversation, rotation));
                true
            }
            Entry::Peer { tag, is_answered } => {
                self.replies.peers.restore(now.before(age), tag, is_answered);
                true
            }
            Entry::Surb { tag, number, stamp, rotation, surb } => {
                let is_old = rotation.is_none() && age >= self.config.replies.key_age_max;
                let Some(surb) = surb.decode().filter(|_| !is_old && !is_forgotten) else {
                    return false;
                };
                let kept = KeptSurb { surb, number, stamp, rotation };
                self.replies.peers.restore_surb(now.before(age), tag, kept);
                true
            }
        }
    }
}
