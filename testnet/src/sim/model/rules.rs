//! The rules, and what it is to break one.

use core::any::Any;

use nym_proto::time::Instant;

/// Something that must always hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// What is delivered was sent, and is what was sent.
    Intact,
    /// A message is delivered to the client it was sent to.
    RightRecipient,
    /// A message is delivered at most once.
    AtMostOnce,
    /// A message is delivered as what it was sent as: plain, anonymous or reply; anonymous ones
    /// of one sender always under the same tag, those of two senders never; replies as coming
    /// from the one who was written to.
    RightOrigin,
    /// Every accepted message ends exactly once, and nothing else does. Of what was unfinished in a
    /// crash of its sender nothing more is heard.
    OneOutcome,
    /// A message that ended acknowledged is delivered. Gateways acknowledge what they have pushed
    /// or stored, so there are four exceptions. A push to the recipient got lost with a broken
    /// connection: one between acceptance and the acknowledgement, or a later one of a stored
    /// message. Or the recipient's gateway has lost its memory while messages were stored for
    /// the recipient. Or the recipient has crashed since it was accepted: fragments of a message
    /// that is not complete are not kept. Or the recipient may hold less than by default and has said
    /// since that it dropped something.
    AcknowledgedIsDelivered,
    /// No line that shells log about a fact at INFO or above names a recipient, a key, a tag or an
    /// address; none is an error.
    QuietLog,
    /// No collection of a client holds more than its limit.
    WithinLimits,
    /// When a frame is written, what the client relies on is kept: a client that begins with it has
    /// all registrations, tags and keys of SURBs given out, and no SURB that is used.
    RecordsFirst,
    /// A client does not ask to be woken at the same instant without end.
    Progress,
    /// A client ends only when it is told to.
    KeepsRunning,
    /// When faults have stopped, every pair of clients exchanges a message and a reply within
    /// the bound.
    Liveness,
    /// Nothing panics.
    NoPanic,
    /// Two runs of one seed are the same, bit for bit.
    Repeatable,
}

/// A rule that did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// When.
    pub at: Instant,
    /// Who and what.
    pub detail: String,
}

impl Violation {
    /// A panic, with what it says.
    pub(in crate::sim) fn panic(cause: &(dyn Any + Send)) -> Self {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
        let detail = text.unwrap_or("a panic without words").to_owned();
        Self { rule: Rule::NoPanic, at: Instant::START, detail }
    }
}
