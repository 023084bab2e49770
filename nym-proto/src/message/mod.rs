//! The message layer: everything a client puts inside Sphinx packets and takes out again.
//! (protocol: messages)
//!
//! ```text
//! application bytes
//!   -> head with the message's type            envelope
//!   -> padding to whole packets                padding
//!   -> fragments                               plan, fragment, set_id
//!   -> encryption of each fragment             cipher (reply: keys of replies)
//!   -> acknowledgement in front of it          ack
//!   -> Sphinx packet                           onion
//! ```
//!
//! The other way round, a delivered push is told apart ([`open_ack`], [`reply_digest_of`],
//! [`is_cover`]), opened ([`open`], [`open_reply`]), read as a fragment ([`FragmentHeader`]),
//! collected ([`Reassembler`]) and read as a message ([`Envelope`]).

mod ack;
mod cipher;
mod cover;
mod envelope;
mod fragment;
mod onion;
mod padding;
mod plan;
mod reassembly;
mod reply;
mod sender_tag;
mod set_id;
mod split;

pub use ack::{ACK_LEN, SURB_ACK_LEN, open_ack, seal_ack, seal_ack_with};
pub use cipher::{
    CIPHER_PREFIX, FragmentCipher, SealError, open, open_reply, reply_digest_of, seal, seal_reply,
    seal_with,
};
pub use cover::{COVER_TEXT, is_cover, write_cover};
pub use envelope::{
    Envelope, EnvelopeError, PLAIN_HEAD, REPLY_DATA_HEAD, RepliableContent, RepliableKind,
    ReplyContent, SurbList, repliable_head, surb_request,
};
pub use fragment::{FragmentError, FragmentHeader};
pub use onion::{
    Forward, OnionBuilder, OnionError, OwnAck, Path, build_forward, build_forwards, build_reply,
};
pub use padding::{PaddingError, unpad, write_padded};
pub use plan::{FragmentPlan, fragment_room};
pub use reassembly::{DropReason, Inserted, MemoryChange, Origin, Reassembler, ReassemblyLimits};
pub use reply::{ReplyDigest, ReplyKey, ReplySurb, ReplySurbError};
pub use sender_tag::{SenderTag, SenderTagError};
pub use set_id::{AckId, FragmentId, SetId};
pub use split::{SplitError, split_final};
