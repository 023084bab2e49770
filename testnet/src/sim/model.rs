//! What must hold, whatever goes wrong.
//!
//! The model knows which messages were accepted and looks at everything clients deliver and
//! report. It is told nothing by the machines it judges.

mod messages;
mod rules;

use std::collections::BTreeMap;

use bytes::Bytes;
use nym_proto::client::{DeliveryOrigin, Fact, MessageId, Outcome};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::limits::Limits;
use nym_proto::message::SenderTag;
use nym_proto::time::Instant;

pub use self::messages::{Manner, Sent, Tally};
pub use self::rules::{Rule, Violation};
use super::hostile_sender::HOSTILE;
use super::logs::{Secrets, lines_of};
use super::{ClientIx, LostPush, Sim, SimClient};

/// Bytes of the smallest message: its number.
pub const MESSAGE_MIN: usize = 8;
/// Steps between two looks at how full the clients are.
const USAGE_EVERY: u64 = 32;
/// Stands for whoever has an address and is no client.
pub const OUTSIDER: ClientIx = ClientIx(usize::MAX);
/// Ticks at one instant that no work can need.
const TICKS_MAX: u32 = 10_000;

/// The model.
#[derive(Debug, Default)]
pub struct Model {
    sent: BTreeMap<MessageId, Sent>,
    next: u64,
    seen: Vec<Seen>,
    /// Per recipient, whose tag it is.
    tags: BTreeMap<(ClientIx, SenderTag), ClientIx>,
    /// Messages of hostile senders that were delivered.
    hostile: u64,
    /// What no log line may contain.
    secrets: Secrets,
    /// How often the clients were looked at.
    checks: u64,
}

/// How much of what a client says was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    deliveries: usize,
    outcomes: usize,
    facts: usize,
}

impl Model {
    /// A model that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a message of `len` bytes, at least [`MESSAGE_MIN`], that tells itself from all
    /// others.
    pub fn compose(&mut self, len: usize) -> (MessageId, Bytes) {
        let number = self.next;
        self.next += 1;
        let mut data = vec![0; len.max(MESSAGE_MIN)];
        let (name, rest) = data.split_at_mut(MESSAGE_MIN);
        name.copy_from_slice(&number.to_be_bytes());
        Entropy::new([number as u8; 32]).stream(Purpose::Other(number as u32)).fill(rest);
        (MessageId(number), data.into())
    }

    /// A composed message was accepted.
    pub fn accepted(
        &mut self,
        now: Instant,
        id: MessageId,
        (from, to): (ClientIx, ClientIx),
        manner: Manner,
        data: Bytes,
    ) {
        let sent =
            Sent { from, to, manner, accepted_at: now, outcome: None, delivered: None, data };
        self.sent.insert(id, sent);
    }

    /// A composed message was not accepted after all.
    pub fn refused(&mut self, id: MessageId) {
        self.sent.remove(&id);
    }

    /// A message that was accepted.
    #[must_use]
    pub fn message(&self, id: MessageId) -> Option<&Sent> {
        self.sent.get(&id)
    }

    /// All messages that were accepted, in the order they were composed.
    pub fn messages(&self) -> impl Iterator<Item = &Sent> {
        self.sent.values()
    }

    /// Whose tag a client knows this one to be.
    #[must_use]
    pub fn owner(&self, client: ClientIx, tag: SenderTag) -> Option<ClientIx> {
        self.tags.get(&(client, tag)).copied()
    }

    /// The tags a client has got messages under, with their owners.
    pub fn tags_of(&self, client: ClientIx) -> impl Iterator<Item = (SenderTag, ClientIx)> {
        let tags = self.tags.iter().filter(move |((at, _), _)| *at == client);
        tags.map(|((_, tag), owner)| (*tag, *owner))
    }

    /// Looks at what has happened since the last call.
    ///
    /// # Errors
    /// A rule does not hold.
    pub fn check(&mut self, sim: &Sim) -> Result<(), Violation> {
        self.seen.resize(sim.clients(), Seen::default());
        self.checks += 1;
        if self.checks.is_multiple_of(USAGE_EVERY) {
            within_limits(sim)?;
        }
        for index in 0..sim.clients() {
            let client = sim.client(ClientIx(index));
            let seen = self.seen[index];
            if let Some(detail) = client.unkept() {
                let detail = format!("client {index}: {detail}");
                return Err(Violation { rule: Rule::RecordsFirst, at: sim.now(), detail });
            }
            if client.ticks_at_once() > TICKS_MAX {
                let detail = format!("client {index} asks for ticks without end");
                return Err(Violation { rule: Rule::Progress, at: sim.now(), detail });
            }
            for (at, delivery) in &client.deliveries()[seen.deliveries..] {
                self.delivered(sim, ClientIx(index), *at, &delivery.data, delivery.origin)?;
            }
            for (at, id, outcome) in &client.outcomes()[seen.outcomes..] {
                self.ended(sim, ClientIx(index), *at, *id, *outcome)?;
            }
            for (at, fact) in &client.facts()[seen.facts..] {
                self.logged(sim, ClientIx(index), *at, fact)?;
            }
            self.seen[index] = Seen {
                deliveries: client.deliveries().len(),
                outcomes: client.outcomes().len(),
                facts: client.facts().len(),
            };
        }
        Ok(())
    }

    fn logged(
        &mut self,
        sim: &Sim,
        client: ClientIx,
        at: Instant,
        fact: &Fact,
    ) -> Result<(), Violation> {
        if let Fact::Address(address) = fact {
            self.secrets.add(&address.to_string());
        }
        if let Some(registration) = sim.client(client).registration() {
            self.secrets.add(&registration.shared_key.to_base58());
        }
        for mut line in lines_of(fact) {
            if sim.is_blabbing() {
                let address = sim.client(client).address().map(|address| address.to_string());
                line.text.push_str(&address.unwrap_or_default());
            }
            let word = self.secrets.find(&line.text);
            if line.is_error || word.is_some() {
                let detail = format!("{client:?} logs {line:?}; it names {word:?}");
                return Err(Violation { rule: Rule::QuietLog, at, detail });
            }
        }
        Ok(())
    }

    fn delivered(
        &mut self,
        sim: &Sim,
        to: ClientIx,
        at: Instant,
        data: &Bytes,
        origin: DeliveryOrigin,
    ) -> Result<(), Violation> {
        if data.starts_with(&HOSTILE) || data.ends_with(&HOSTILE) {
            return self.delivered_hostile(sim, to, at, origin);
        }
        let id = data.first_chunk().map(|number| MessageId(u64::from_be_bytes(*number)));
        let found = id.and_then(|id| self.sent.get_mut(&id).map(|sent| (id, sent)));
        let broken = |rule, detail| Err(Violation { rule, at, detail });
        let Some((id, sent)) = found.filter(|(_, sent)| sent.data == data) else {
            return broken(Rule::Intact, format!("{} bytes at {to:?} were not sent", data.len()));
        };
        if sent.to != to {
            return broken(Rule::RightRecipient, format!("{id:?} for {:?} at {to:?}", sent.to));
        }
        if sent.delivered.is_some() {
            return broken(Rule::AtMostOnce, format!("{id:?} at {to:?}: {sent:?}"));
        }
        let mut tag = None;
        let is_right = match (sent.manner, origin) {
            (Manner::Plain, DeliveryOrigin::Plain) => true,
            (Manner::Anonymous, DeliveryOrigin::Anonymous(under)) => {
                tag = Some(under);
                let mut others = self.tags.iter().filter(|((at, _), _)| *at == to);
                let owner = *self.tags.get(&(to, under)).unwrap_or(&sent.from);
                owner == sent.from
                    && others.all(|((_, tag), owner)| *tag == under || *owner != sent.from)
            }
            (Manner::Reply, DeliveryOrigin::Reply(from)) => {
                sim.client(sent.from).address() == Some(from)
            }
            _ => false,
        };
        if !is_right {
            let manner = sent.manner;
            return broken(Rule::RightOrigin, format!("{id:?}, {manner:?}, came as {origin:?}"));
        }
        sent.delivered = Some((at, tag));
        if let Some(tag) = tag {
            self.secrets.add(&tag.to_string());
            self.tags.insert((to, tag), sent.from);
        }
        Ok(())
    }

    /// Hostile senders may be heard, but only as themselves, and not more often than they send.
    fn delivered_hostile(
        &mut self,
        sim: &Sim,
        to: ClientIx,
        at: Instant,
        origin: DeliveryOrigin,
    ) -> Result<(), Violation> {
        self.hostile += 1;
        if self.hostile > sim.hostile_messages() {
            let detail = format!("a message of a hostile sender at {to:?} more often than sent");
            return Err(Violation { rule: Rule::AtMostOnce, at, detail });
        }
        let is_right = match origin {
            DeliveryOrigin::Plain => true,
            DeliveryOrigin::Anonymous(tag) => {
                *self.tags.entry((to, tag)).or_insert(OUTSIDER) == OUTSIDER
            }
            DeliveryOrigin::Reply(from) => sim.hostile_address(0) == Some(from),
        };
        if is_right {
            return Ok(());
        }
        let detail = format!("a message of a hostile sender at {to:?} came as {origin:?}");
        Err(Violation { rule: Rule::RightOrigin, at, detail })
    }

    fn ended(
        &mut self,
        sim: &Sim,
        client: ClientIx,
        at: Instant,
        id: MessageId,
        outcome: Outcome,
    ) -> Result<(), Violation> {
        let crashes = sim.client(client).crashes();
        let is_known = |sent: &Sent| {
            let forgets = |crash: &Instant| *crash > sent.accepted_at && *crash < at;
            sent.from == client && sent.outcome.is_none() && !crashes.iter().any(forgets)
        };
        match self.sent.get_mut(&id) {
            Some(sent) if is_known(sent) => {
                sent.outcome = Some((at, outcome));
                Ok(())
            }
            _ => {
                let detail = format!("{client:?} reports {outcome:?} for {id:?} unasked or again");
                Err(Violation { rule: Rule::OneOutcome, at, detail })
            }
        }
    }

    /// Looks at the end of a run, when all clients are shut down, and adds everything up.
    ///
    /// # Errors
    /// A rule does not hold.
    pub fn finish(&mut self, sim: &Sim) -> Result<Tally, Violation> {
        self.check(sim)?;
        let mut tally = Tally::default();
        for (id, sent) in &self.sent {
            tally.accepted += 1;
            tally.delivered += u64::from(sent.delivered.is_some());
            let has_crashed = |client: ClientIx| {
                sim.client(client).crashes().iter().any(|at| *at >= sent.accepted_at)
            };
            if sent.outcome.is_none() && has_crashed(sent.from) {
                tally.forgotten += 1;
                continue;
            }
            let Some((ended_at, outcome)) = sent.outcome else {
                let detail = format!("{id:?} of {:?} has no outcome", sent.from);
                return Err(Violation { rule: Rule::OneOutcome, at: sim.now(), detail });
            };
            if !matches!(outcome, Outcome::Acknowledged { .. }) {
                tally.failed += 1;
                continue;
            }
            tally.acknowledged += 1;
            if sent.delivered.is_some() || sent.to == OUTSIDER {
                continue;
            }
            let recipient = sim.client(sent.to);
            let is_excuse = |push: &LostPush| {
                push.at >= sent.accepted_at && (push.at <= ended_at || push.was_stored)
            };
            if recipient.lost_pushes().iter().any(is_excuse) {
                tally.lost_with_connection += 1;
            } else if recipient.store_losses().iter().any(|at| *at >= sent.accepted_at) {
                tally.lost_with_memory += 1;
            } else if has_crashed(sent.to) {
                tally.lost_with_recipient += 1;
            } else if has_made_room(recipient, sent) {
                tally.lost_for_room += 1;
            } else {
                let connected = recipient.facts().iter().filter(|(_, fact)| {
                    matches!(fact, Fact::Connectivity(_) | Fact::ReassemblyDropped { .. })
                });
                let detail = format!(
                    "{id:?} of {} bytes, {:?} to {:?}, accepted {:?}, acknowledged {ended_at:?}; \
                     at the recipient: pushes lost {:?}, facts {:?}",
                    sent.data.len(),
                    sent.from,
                    sent.to,
                    sent.accepted_at,
                    recipient.lost_pushes(),
                    connected.collect::<Vec<_>>()
                );
                let rule = Rule::AcknowledgedIsDelivered;
                return Err(Violation { rule, at: sim.now(), detail });
            }
        }
        Ok(tally)
    }
}

/// True if a client with small limits has dropped something incomplete, or complete, since; or, for
/// a reply, ever a key of a SURB that was still good.
fn has_made_room(client: &SimClient, sent: &Sent) -> bool {
    let (limits, usual) = (client.machine().limits(), Limits::default());
    let is_small =
        limits.reassembly != usual.reassembly || limits.inbox_bytes_max < usual.inbox_bytes_max;
    let is_drop =
        |fact: &Fact| matches!(fact, Fact::ReassemblyDropped { .. } | Fact::DeliveryDropped { .. });
    let has_lost_key =
        sent.manner == Manner::Reply && client.machine().stats().reply_keys_dropped > 0;
    let mut facts = client.facts().iter();
    is_small && (has_lost_key || facts.any(|(at, fact)| *at >= sent.accepted_at && is_drop(fact)))
}

fn within_limits(sim: &Sim) -> Result<(), Violation> {
    for index in 0..sim.clients() {
        let machine = sim.client(ClientIx(index)).machine();
        let mut limits = *machine.limits();
        if sim.is_hoarding() {
            limits.reassembly.finished_max = 0;
        }
        if let Some((name, held, max)) = machine.usage().excess(&limits) {
            let detail = format!("client {index} holds {held} {name}, its limit is {max}");
            return Err(Violation { rule: Rule::WithinLimits, at: sim.now(), detail });
        }
    }
    Ok(())
}
