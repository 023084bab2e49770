//! Those we write to anonymously: our tags towards them, and the SURBs they get. (protocol:
//! client 9.4, 9.7)
//!
//! They get what the application attaches to its messages, what they ask for, and, not asked for, a
//! few: when a conversation is in use and they have hardly any left; now and then while SURBs of ours
//! are out, so that one who lost all of them can be reached again; and after a change of key
//! rotation. Everything but what the application attaches comes out of one allowance.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::usage::Usage;
use super::{Entry, EntryKey, Journal, ReplyConfig};
use crate::address::Recipient;
use crate::entropy::Stream;
use crate::limits::Limits;
use crate::message::{RepliableKind, SenderTag};
use crate::time::Instant;

/// One SURB more is allowed each time this has passed, 200 a minute; they are saved up to
/// [`ReplyConfig::answer_max`]. (protocol: client 9.4)
const ALLOWANCE_EVERY: Duration = Duration::from_millis(300);
/// SURBs in one message. protocol: client 9.4
const PER_MESSAGE: u32 = 100;
/// What is owed is given in portions of at least this many, or all of it.
const PORTION_MIN: u32 = 10;
/// A correspondent with fewer SURBs than this, and what it uses within [`LOOK_AHEAD`], has hardly any.
const LOW: usize = 4;
const LOOK_AHEAD: Duration = Duration::from_secs(5);
/// Most SURBs given at once without being asked.
const TOP_UP_MAX: usize = 50;
const TOP_UP_EVERY: Duration = Duration::from_secs(5);
/// SURBs given now and then: as many as fit one packet with room to spare.
const REMINDER: u32 = 2;
/// The first pause before that; each is twice as long as the one before.
const REMINDER_AFTER: Duration = Duration::from_secs(30);
/// SURBs given after a change of rotation.
const RENEWAL: u32 = 6;
/// Changes of rotation a conversation is kept alive for while nobody uses it.
const RENEWALS_MAX: u32 = 8;
/// Contacts given SURBs after one change.
const RENEWED_MAX: usize = 512;

/// Somebody we write to anonymously.
#[derive(Debug)]
struct Contact {
    tag: SenderTag,
    conversation: u64,
    /// SURBs it may have beside those of messages, and when that was last topped up.
    allowance: u32,
    topped_up: Instant,
    /// SURBs it asked for and was not given yet.
    owed: u32,
    /// SURBs of ours it used.
    usage: Usage,
    used_at: Instant,
    given_at: Instant,
    /// When it gets a reminder, and the pause after that.
    reminder: Option<(Instant, Duration)>,
    renewal_at: Option<Instant>,
    renewals: u32,
    /// Its entry among the timers.
    due: Option<Instant>,
}

/// SURBs to be sent to somebody.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Gift {
    pub(in crate::client) recipient: Recipient,
    pub(in crate::client) tag: SenderTag,
    pub(in crate::client) kind: RepliableKind,
    pub(in crate::client) count: u16,
}

/// All of them. A contact comes with [`insert`](Self::insert) and goes with
/// [`remove`](Self::remove), and in no other way.
#[derive(Debug)]
pub(in crate::client) struct Contacts {
    config: ReplyConfig,
    tags_max: usize,
    stream: Stream,
    contacts: BTreeMap<Recipient, Contact>,
    timers: BTreeSet<(Instant, Recipient)>,
    next_conversation: u64,
    journal: Journal,
}

impl Contacts {
    pub(super) fn new(config: ReplyConfig, limits: &Limits, stream: Stream) -> Self {
        Self {
            config,
            tags_max: limits.tags_max,
            stream,
            contacts: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_conversation: 0,
            journal: Journal::default(),
        }
    }

    /// Our tag towards a recipient, drawn at the first call. A new contact takes the place of the
    /// one that was not used for longest.
    pub(in crate::client) fn tag_for(&mut self, now: Instant, recipient: &Recipient) -> SenderTag {
        if let Some(contact) = self.contacts.get(recipient) {
            return contact.tag;
        }
        let tag = SenderTag::draw(&mut self.stream);
        let conversation = self.next_conversation;
        self.insert(now, *recipient, tag, conversation);
        self.journal.put(Entry::Contact { conversation, recipient: *recipient, tag });
        tag
    }

    /// A contact of an earlier run.
    pub(in crate::client) fn restore(
        &mut self,
        now: Instant,
        recipient: Recipient,
        tag: SenderTag,
        conversation: u64,
    ) {
        self.remove(&recipient);
        self.insert(now, recipient, tag, conversation);
    }

    /// A conversation of an earlier run had this number: no other gets it.
    pub(in crate::client) fn pass_over(&mut self, conversation: u64) {
        if conversation != u64::MAX {
            self.next_conversation = self.next_conversation.max(conversation + 1);
        }
    }

    /// What has to be kept.
    pub(super) const fn journal(&mut self) -> &mut Journal {
        &mut self.journal
    }

    fn insert(&mut self, now: Instant, recipient: Recipient, tag: SenderTag, conversation: u64) {
        if self.contacts.len() >= self.tags_max {
            let least = self
                .contacts
                .iter()
                .min_by_key(|(_, c)| (c.used_at, c.conversation))
                .map(|(r, _)| *r);
            if let Some(least) = least {
                self.remove(&least);
            }
        }
        self.pass_over(conversation);
        let contact = Contact {
            tag,
            conversation,
            allowance: self.config.answer_max,
            topped_up: now,
            owed: 0,
            usage: Usage::default(),
            used_at: now,
            given_at: Instant::START,
            reminder: Some((now + REMINDER_AFTER, REMINDER_AFTER * 2)),
            renewal_at: None,
            renewals: 0,
            due: None,
        };
        self.contacts.insert(recipient, contact);
        self.change(&recipient, |_| {});
    }

    fn remove(&mut self, recipient: &Recipient) {
        let Some(contact) = self.contacts.remove(recipient) else {
            return;
        };
        self.journal.erase(EntryKey::Contact(contact.conversation));
        if let Some(due) = contact.due {
            self.timers.remove(&(due, *recipient));
        }
    }

    /// Recipients known.
    pub(super) fn len(&self) -> usize {
        self.contacts.len()
    }

    /// The number of the conversation with a recipient; the largest if there is none.
    pub(super) fn conversation(&self, recipient: &Recipient) -> u64 {
        self.contacts.get(recipient).map_or(u64::MAX, |contact| contact.conversation)
    }

    // ---- what happens ----------------------------------------------------------------------

    /// The application writes to a contact and attaches SURBs.
    pub(in crate::client) fn wrote(&mut self, now: Instant, recipient: &Recipient, surbs: u16) {
        self.change(recipient, |contact| {
            contact.used_at = now;
            contact.renewals = 0;
            if surbs > 0 {
                contact.reminder = Some((now + REMINDER_AFTER, REMINDER_AFTER * 2));
            }
        });
    }

    /// A contact used one of our SURBs.
    pub(super) fn answered(&mut self, now: Instant, recipient: &Recipient) {
        self.change(recipient, |contact| {
            contact.usage.count(now);
            contact.used_at = now;
            contact.renewals = 0;
            contact.reminder = Some((now + REMINDER_AFTER, REMINDER_AFTER * 2));
        });
    }

    /// A contact asks for SURBs, through one of ours. False if it is none.
    pub(in crate::client) fn owe(&mut self, asker: &Recipient, amount: u32) -> bool {
        let max = self.config.answer_max;
        self.change(asker, |contact| contact.owed = contact.owed.saturating_add(amount).min(max))
    }

    /// SURBs are made for another key rotation from now on: those with SURBs of the old one get new
    /// ones, spread over this time.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        spread: Duration,
        has_surbs: impl Fn(u64) -> bool,
    ) {
        let mut wanted: Vec<(Instant, Recipient)> = self
            .contacts
            .iter()
            .filter(|(_, c)| c.renewals < RENEWALS_MAX && has_surbs(c.conversation))
            .map(|(recipient, contact)| (contact.used_at, *recipient))
            .collect();
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        for (_, recipient) in wanted.into_iter().take(RENEWED_MAX) {
            let at = now + self.stream.up_to(spread);
            self.change(&recipient, |contact| contact.renewal_at = Some(at));
        }
    }

    /// Changes a contact and moves its timer.
    fn change(&mut self, recipient: &Recipient, change: impl FnOnce(&mut Contact)) -> bool {
        let Some(contact) = self.contacts.get_mut(recipient) else {
            return false;
        };
        change(contact);
        if let Some(due) = contact.due.take() {
            self.timers.remove(&(due, *recipient));
        }
        let owed_at = (contact.owed > 0).then(|| contact.portion_at());
        let times = [owed_at, contact.reminder.map(|(at, _)| at), contact.renewal_at];
        contact.due = times.into_iter().flatten().min();
        if let Some(due) = contact.due {
            self.timers.insert((due, *recipient));
        }
        true
    }

    // ---- what they get ---------------------------------------------------------------------

    /// SURBs to send now. `left` tells how many a conversation's partner has left, `lifetime` how
    /// long a SURB lasts.
    pub(super) fn poll_gift(
        &mut self,
        now: Instant,
        lifetime: Duration,
        left: impl Fn(u64) -> usize,
    ) -> Option<Gift> {
        let max = self.config.answer_max;
        for _ in 0..RENEWED_MAX {
            let (_, recipient) = self.timers.first().copied().filter(|(at, _)| *at <= now)?;
            let mut gift = None;
            self.change(&recipient, |contact| gift = contact.gift(now, max, lifetime, &left));
            let tag = self.contacts.get(&recipient)?.tag;
            if let Some((kind, count)) = gift {
                let count = u16::try_from(count).unwrap_or(u16::MAX);
                return Some(Gift { recipient, tag, kind, count });
            }
        }
        None
    }

    /// SURBs for a contact that has just used one of ours and has hardly any left.
    pub(super) fn top_up(
        &mut self,
        now: Instant,
        recipient: &Recipient,
        left: usize,
    ) -> Option<Gift> {
        let max = self.config.answer_max;
        let contact = self.contacts.get_mut(recipient)?;
        let wanted = LOW.saturating_add(contact.usage.expected(now, LOOK_AHEAD)).min(TOP_UP_MAX);
        if left >= wanted || contact.owed > 0 || now.since(contact.given_at) < TOP_UP_EVERY {
            return None;
        }
        contact.earn(now, max);
        let missing = u32::try_from(wanted - left).unwrap_or(u32::MAX);
        let count = contact.spend(now, missing.max(LOW as u32))?;
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let (recipient, tag) = (*recipient, contact.tag);
        Some(Gift { recipient, tag, kind: RepliableKind::Heartbeat, count })
    }
}

impl Contact {
    /// The allowance grows with time.
    fn earn(&mut self, now: Instant, max: u32) {
        let earned = now.since(self.topped_up).as_nanos() / ALLOWANCE_EVERY.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.allowance = self.allowance.saturating_add(earned).min(max);
        self.topped_up += ALLOWANCE_EVERY.saturating_mul(earned);
    }

    /// When the allowance suffices for the next portion of what is owed.
    fn portion_at(&self) -> Instant {
        let missing = self.owed.min(PORTION_MIN).saturating_sub(self.allowance);
        match missing {
            0 => Instant::START,
            _ => self.topped_up + ALLOWANCE_EVERY.saturating_mul(missing),
        }
    }

    fn spend(&mut self, now: Instant, wanted: u32) -> Option<u32> {
        let count = wanted.min(self.allowance).min(PER_MESSAGE);
        if count == 0 {
            return None;
        }
        self.allowance -= count;
        self.given_at = now;
        Some(count)
    }

    /// What it gets now, by whichever of its timers is over.
    fn gift(
        &mut self,
        now: Instant,
        max: u32,
        lifetime: Duration,
        left: &dyn Fn(u64) -> usize,
    ) -> Option<(RepliableKind, u32)> {
        self.earn(now, max);
        if self.owed > 0 && self.portion_at() <= now {
            let count = self.spend(now, self.owed)?;
            self.owed -= count;
            return Some((RepliableKind::AdditionalSurbs, count));
        }
        if self.renewal_at.take_if(|at| *at <= now).is_some() {
            self.renewals = self.renewals.saturating_add(1);
            let count = self.spend(now, RENEWAL)?;
            return Some((RepliableKind::Heartbeat, count));
        }
        let (_, pause) = self.reminder.take_if(|(at, _)| *at <= now)?;
        self.reminder = (pause < lifetime).then(|| (now + pause, pause.saturating_mul(2)));
        // without SURBs of ours out there is nothing to keep alive
        if left(self.conversation) == 0 {
            return None;
        }
        let count = self.spend(now, REMINDER)?;
        Some((RepliableKind::Heartbeat, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, Purpose};
    use crate::identity::Identity;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(secs: u64) -> Instant {
        Instant::START + Duration::from_secs(secs)
    }

    fn contacts() -> (Contacts, Recipient) {
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Other(1));
        let identity = Identity::generate(&mut stream);
        let bob = Recipient {
            identity: *identity.identity.public(),
            encryption: identity.encryption.public(),
            gateway: *identity.identity.public(),
        };
        let mut contacts = Contacts::new(ReplyConfig::default(), &Limits::default(), stream);
        contacts.tag_for(at(0), &bob);
        (contacts, bob)
    }

    /// What is given until then, looked at each second.
    fn given(contacts: &mut Contacts, secs: core::ops::Range<u64>, left: usize) -> Vec<(u64, u16)> {
        let mut given = Vec::new();
        for second in secs {
            while let Some(gift) = contacts.poll_gift(at(second), DAY, |_| left) {
                given.push((second, gift.count));
            }
        }
        given
    }

    #[test]
    fn reminders_come_at_doubling_pauses_and_end_with_the_life_of_the_surbs() {
        let (mut contacts, bob) = contacts();
        contacts.wrote(at(0), &bob, 5);
        let reminders = given(&mut contacts, 0..400_000, 5);
        let times: Vec<u64> = reminders.iter().map(|(at, _)| *at).collect();
        assert_eq!(times.get(..4), Some(&[30, 90, 210, 450][..]));
        assert_eq!(times.len(), 12);
        assert!(reminders.iter().all(|(_, count)| *count == 2));
    }

    #[test]
    fn without_surbs_given_there_are_no_reminders() {
        let (mut contacts, bob) = contacts();
        contacts.wrote(at(0), &bob, 5);
        assert_eq!(given(&mut contacts, 0..10_000, 0), []);
    }

    #[test]
    fn huge_requests_again_and_again_get_what_the_allowance_gives() {
        let (mut contacts, bob) = contacts();
        let mut total = 0;
        for second in 0..600 {
            assert!(contacts.owe(&bob, u32::MAX));
            let given = given(&mut contacts, second..second + 1, 100);
            total += given.iter().map(|(_, count)| u32::from(*count)).sum::<u32>();
        }
        assert!((2400..=2502).contains(&total), "{total}");
    }

    #[test]
    fn who_uses_surbs_and_has_hardly_any_left_gets_more_without_asking() {
        let (mut contacts, bob) = contacts();
        contacts.answered(at(1), &bob);
        assert!(contacts.top_up(at(1), &bob, 20).is_none());
        let gift = contacts.top_up(at(10), &bob, 1).unwrap();
        assert_eq!((gift.kind, gift.count), (RepliableKind::Heartbeat, 4));
        // not at once again
        assert!(contacts.top_up(at(11), &bob, 1).is_none());
        assert!(contacts.top_up(at(16), &bob, 1).is_some());
    }

    #[test]
    fn after_a_change_of_rotation_those_with_surbs_get_new_ones_a_few_times() {
        let (mut contacts, _) = contacts();
        let hour = Duration::from_secs(3600);
        for rotation in 1..=RENEWALS_MAX + 3 {
            let start = u64::from(rotation) * 1_000_000;
            contacts.renew(at(start), hour, |_| true);
            let times = given(&mut contacts, start..start + 4000, 0);
            let expected = usize::from(rotation <= RENEWALS_MAX);
            assert_eq!(times.len(), expected, "rotation {rotation}");
        }
        contacts.renew(at(1), hour, |_| false);
        assert_eq!(given(&mut contacts, 0..4000, 0), []);
    }
}
