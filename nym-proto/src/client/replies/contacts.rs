//! Those we write to anonymously: our tags towards them, and how many SURBs they may ask for.

use std::collections::BTreeMap;

use super::ReplyConfig;
use crate::address::Recipient;
use crate::entropy::Stream;
use crate::limits::Limits;
use crate::message::SenderTag;
use crate::time::Instant;

/// SURBs given to one correspondent on request: this many a minute, saved up to
/// [`ReplyConfig::answer_max`]. (protocol: client 9.4)
const ANSWERS_PER_MINUTE: u32 = 200;

/// Somebody we write to anonymously.
#[derive(Debug)]
struct Contact {
    tag: SenderTag,
    conversation: u64,
    /// SURBs it may still ask for, and when that was last topped up.
    allowance: u32,
    topped_up: Instant,
}

/// All of them. A contact comes with [`insert`](Self::insert) and goes with
/// [`remove`](Self::remove), and in no other way.
#[derive(Debug)]
pub(in crate::client) struct Contacts {
    config: ReplyConfig,
    tags_max: usize,
    stream: Stream,
    contacts: BTreeMap<Recipient, Contact>,
    next_conversation: u64,
}

impl Contacts {
    pub(super) fn new(config: ReplyConfig, limits: &Limits, stream: Stream) -> Self {
        Self {
            config,
            tags_max: limits.tags_max,
            stream,
            contacts: BTreeMap::new(),
            next_conversation: 0,
        }
    }

    /// Our tag towards a recipient, drawn at the first call.
    pub(in crate::client) fn tag_for(&mut self, now: Instant, recipient: &Recipient) -> SenderTag {
        if let Some(contact) = self.contacts.get(recipient) {
            return contact.tag;
        }
        if self.contacts.len() >= self.tags_max {
            let oldest = self.contacts.iter().min_by_key(|(_, c)| c.conversation).map(|(r, _)| *r);
            if let Some(oldest) = oldest {
                self.remove(&oldest);
            }
        }
        let tag = SenderTag::draw(&mut self.stream);
        let conversation = self.next_conversation;
        self.insert(now, *recipient, tag, conversation);
        tag
    }

    fn insert(&mut self, now: Instant, recipient: Recipient, tag: SenderTag, conversation: u64) {
        self.next_conversation = self.next_conversation.max(conversation.saturating_add(1));
        let contact =
            Contact { tag, conversation, allowance: self.config.answer_max, topped_up: now };
        self.contacts.insert(recipient, contact);
    }

    fn remove(&mut self, recipient: &Recipient) {
        self.contacts.remove(recipient);
    }

    /// The number of the conversation with a recipient; the largest if there is none.
    pub(super) fn conversation(&self, recipient: &Recipient) -> u64 {
        self.contacts.get(recipient).map_or(u64::MAX, |contact| contact.conversation)
    }

    /// A correspondent asks for SURBs, through a SURB we gave to `asker`. Returns the tag to send
    /// them under and how many it gets.
    pub(in crate::client) fn allow(
        &mut self,
        now: Instant,
        asker: &Recipient,
        amount: u32,
    ) -> Option<(SenderTag, u32)> {
        let max = self.config.answer_max;
        let contact = self.contacts.get_mut(asker)?;
        let seconds = now.since(contact.topped_up).as_secs();
        let earned = u64::from(ANSWERS_PER_MINUTE).saturating_mul(seconds) / 60;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            contact.allowance = contact.allowance.saturating_add(earned).min(max);
            contact.topped_up = now;
        }
        let granted = amount.min(contact.allowance);
        contact.allowance -= granted;
        (granted > 0).then_some((contact.tag, granted))
    }
}
