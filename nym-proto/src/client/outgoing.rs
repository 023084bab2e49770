//! One message on its way out: what its fragments contain, and what has become of them.

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::action::Progress;
use super::event::{Lane, MessageId, Target};
use crate::address::Recipient;
use crate::message::{
    FragmentHeader, FragmentId, FragmentPlan, PLAIN_HEAD, REPLY_DATA_HEAD, RepliableKind,
    ReplySurb, SenderTag, SetId, repliable_head, surb_request, write_padded,
};
use crate::sphinx::{KeyRotation, PacketSize, Surb};
use crate::time::Instant;
use crate::topology::Topology;

/// Hops of the route of a SURB: three mix nodes and our gateway.
const SURB_HOPS: usize = 4;
/// Bytes of one SURB in a list: its encryption key and the SURB. (protocol: messages 9.1)
const SURB_LEN: usize = 16 + Surb::encoded_len_for(SURB_HOPS);
/// Bytes in front of the SURBs of a message: tag, kind, and what tells how many there are.
const SURBS_HEAD: usize = 22;

/// How the fragments of a message travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Destination {
    /// Along routes of ours, to a known address.
    Known(Recipient),
    /// With SURBs of this correspondent.
    Surbs(SenderTag),
}

/// The class a message queues in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Requests for SURBs and answers to them.
    Control,
    /// Messages of the application.
    Application(Lane),
}

/// SURBs that are made while the message is cut into packets, all from one topology.
#[derive(Debug)]
pub(super) struct SurbPlan {
    tag: SenderTag,
    kind: RepliableKind,
    count: u16,
    made: u16,
    topology: Option<Arc<Topology>>,
}

/// What the outbox needs to know to take a message in.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) user: Option<MessageId>,
    pub(super) class: Class,
    pub(super) destination: Destination,
    pub(super) head: Head,
    pub(super) body: Bytes,
    pub(super) attempts_max: Option<u32>,
    pub(super) expires_at: Option<Instant>,
}

/// What stands in front of the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Head {
    Plain,
    /// Data or nothing but SURBs, under this tag.
    Surbs {
        tag: SenderTag,
        kind: RepliableKind,
        count: u16,
    },
    Reply,
    SurbRequest {
        own: Recipient,
        amount: u32,
    },
}

impl Head {
    fn len(&self) -> usize {
        match self {
            Self::Plain => PLAIN_HEAD.len(),
            Self::Reply => REPLY_DATA_HEAD.len(),
            Self::SurbRequest { .. } => 102,
            Self::Surbs { count, .. } => surbs_head_len(*count),
        }
    }
}

/// Bytes in front of the body of a message to this target.
pub(super) fn head_len(target: &Target) -> usize {
    match target {
        Target::Plain(_) => Head::Plain.len(),
        Target::Anonymous { surbs, .. } => surbs_head_len(*surbs),
        Target::Reply(_) => Head::Reply.len(),
    }
}

fn surbs_head_len(count: u16) -> usize {
    SURBS_HEAD + usize::from(count) * SURB_LEN
}

/// A message accepted and not yet ended.
#[derive(Debug)]
pub(super) struct OutgoingMessage {
    pub(super) user: Option<MessageId>,
    pub(super) class: Class,
    pub(super) destination: Destination,
    pub(super) attempts_max: Option<u32>,
    pub(super) accepted_at: Instant,
    pub(super) expires_at: Option<Instant>,
    pub(super) retransmissions: u32,
    /// Fragments queued for their next transmission.
    overdue: BTreeSet<u32>,
    /// The one transmitted last.
    last_overdue: Option<u32>,
    /// Index of the first fragment never transmitted.
    next: u32,
    acked: u32,
    /// Contains the keys of the SURBs made so far.
    head: Zeroizing<Vec<u8>>,
    head_len: usize,
    body: Bytes,
    surbs: Option<SurbPlan>,
    plan: FragmentPlan,
    set_ids: Vec<SetId>,
}

impl OutgoingMessage {
    pub(super) fn new(
        draft: Draft,
        now: Instant,
        size: PacketSize,
        draw: &mut dyn FnMut() -> SetId,
    ) -> Self {
        let head_len = draft.head.len();
        let plan = FragmentPlan::new(head_len + draft.body.len(), size);
        let (head, surbs) = match draft.head {
            Head::Plain => (PLAIN_HEAD.to_vec(), None),
            Head::Reply => (REPLY_DATA_HEAD.to_vec(), None),
            Head::SurbRequest { own, amount } => (surb_request(&own, amount).to_vec(), None),
            Head::Surbs { tag, kind, count } => {
                (Vec::new(), Some(SurbPlan { tag, kind, count, made: 0, topology: None }))
            }
        };
        Self {
            user: draft.user,
            class: draft.class,
            destination: draft.destination,
            attempts_max: draft.attempts_max,
            accepted_at: now,
            expires_at: draft.expires_at,
            retransmissions: 0,
            overdue: BTreeSet::new(),
            last_overdue: None,
            next: 0,
            acked: 0,
            head: Zeroizing::new(head),
            head_len,
            body: draft.body,
            surbs,
            plan,
            set_ids: (0..plan.sets()).map(|_| draw()).collect(),
        }
    }

    /// Bytes this message holds until it ends.
    pub(super) fn bytes(&self) -> usize {
        self.head_len + self.body.len()
    }

    pub(super) fn fragments(&self) -> u32 {
        u32::try_from(self.plan.fragments()).unwrap_or(u32::MAX)
    }

    /// Fragments never transmitted.
    pub(super) fn queued(&self) -> u32 {
        self.fragments().saturating_sub(self.next)
    }

    /// Fragments that wait for a transmission, their first or another one.
    pub(super) fn backlog(&self) -> usize {
        self.queued() as usize + self.overdue.len()
    }

    /// Takes the next fragment that was never transmitted.
    pub(super) fn take_queued(&mut self) -> Option<u32> {
        let index = self.next;
        (index < self.fragments()).then(|| {
            self.next += 1;
            index
        })
    }

    /// A fragment is overdue and queued for its next transmission. False if it was already.
    pub(super) fn queue_overdue(&mut self, index: u32) -> bool {
        self.overdue.insert(index)
    }

    /// Takes the next fragment that is overdue; they take turns.
    pub(super) fn take_overdue(&mut self) -> Option<u32> {
        let after = self.last_overdue.map_or(0, |last| last.saturating_add(1));
        let rest = self.overdue.range(after..).next();
        let index = *rest.or_else(|| self.overdue.first())?;
        self.overdue.remove(&index);
        self.last_overdue = Some(index);
        self.retransmissions = self.retransmissions.saturating_add(1);
        Some(index)
    }

    /// A fragment that was overdue needs no other transmission. False if it was not queued for one.
    pub(super) fn forget_overdue(&mut self, index: u32) -> bool {
        self.overdue.remove(&index)
    }

    pub(super) fn has_overdue(&self) -> bool {
        !self.overdue.is_empty()
    }

    /// How far the message is.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            fragments: self.fragments(),
            transmitted: self.next,
            acknowledged: self.acked,
            retransmissions: self.retransmissions,
        }
    }

    pub(super) fn set_ids(&self) -> &[SetId] {
        &self.set_ids
    }

    /// The identifier of a fragment.
    pub(super) fn fragment_id(&self, index: u32) -> Option<FragmentId> {
        self.plan.place(index as usize, &self.set_ids).map(|(header, _)| header.id())
    }

    /// Counts an ack. True if it was the last one missing.
    pub(super) fn ack(&mut self) -> bool {
        self.acked = self.acked.saturating_add(1);
        self.acked >= self.fragments()
    }

    /// The topology the SURBs of this message come from, set to `current` at the first call; `None`
    /// if the fragment needs no SURB that is not made yet.
    pub(super) fn surbs_missing(
        &mut self,
        index: u32,
        current: &Arc<Topology>,
    ) -> Option<(usize, Arc<Topology>)> {
        let (_, range) = self.plan.place(index as usize, &self.set_ids)?;
        let surbs = self.surbs.as_mut()?;
        let topology = surbs.topology.get_or_insert_with(|| current.clone()).clone();
        if self.head.is_empty() {
            // grown later, it would leave copies of keys behind
            self.head.reserve_exact(self.head_len);
            let (seeds, rotation) = match surbs.count {
                0 => (0, KeyRotation::Unknown),
                _ => (SURB_HOPS as u8, topology.rotation()),
            };
            self.head.extend_from_slice(&repliable_head(
                &surbs.tag,
                surbs.kind,
                surbs.count,
                seeds,
                rotation,
            ));
        }
        let needed = range.end.min(self.head_len).saturating_sub(SURBS_HEAD).div_ceil(SURB_LEN);
        let missing = needed.saturating_sub(usize::from(surbs.made));
        (missing > 0).then_some((missing, topology))
    }

    /// Adds a SURB made for this message.
    pub(super) fn push_surb(&mut self, surb: &ReplySurb) {
        if let Some(plan) = self.surbs.as_mut().filter(|plan| plan.made < plan.count) {
            surb.encode(&mut self.head);
            plan.made += 1;
            if plan.made == plan.count {
                plan.topology = None;
            }
        }
    }

    /// Whom the SURBs of this message are for.
    pub(super) fn surbs_for(&self) -> Option<Recipient> {
        match (self.destination, &self.surbs) {
            (Destination::Known(recipient), Some(_)) => Some(recipient),
            _ => None,
        }
    }

    /// Writes a fragment, header and payload, into exactly its room.
    pub(super) fn write_fragment(&self, index: u32, out: &mut [u8]) -> Option<FragmentHeader> {
        let (header, range) = self.plan.place(index as usize, &self.set_ids)?;
        let at = header.encode(out);
        write_padded(&[&self.head, &self.body], range.start, out.get_mut(at..)?);
        Some(header)
    }

    /// How long the message has been here.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.since(self.accepted_at)
    }
}
