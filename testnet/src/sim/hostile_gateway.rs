//! A gateway that means harm: what it does to the messages it exchanges with its clients.
//!
//! It has the keys it shares with its clients, so what it makes up is encrypted as it should be.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use nym_proto::client::{PacketSuite, WsFrame};
use nym_proto::entropy::Stream;
use nym_proto::gateway::{GatewayText, SharedKey, seal_push_with};
use nym_proto::message::ACK_LEN;
use nym_proto::sphinx::PacketSize;

/// Messages it remembers, to send them again.
const RECENT_MAX: usize = 32;
/// Messages of a flood.
const FLOOD: usize = 200;
/// Longest a message is kept back.
const LATE_MAX: Duration = Duration::from_secs(5);

/// Something a gateway does to the messages for its clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mischief {
    /// Does not send a message, or throws one of a client away.
    Drop,
    /// Sends a message late, and everything behind it too.
    Late,
    /// Sends a message late, others overtake it.
    Reorder,
    /// Sends a message again that it sent before, to whomever.
    Replay,
    /// Sends a part of a message.
    Truncate,
    /// Sends a message with a flipped bit, or flips one of a client's.
    Flip,
    /// Pushes acks that nobody sent.
    ForgeAck,
    /// Pushes packets of any length that nobody sent.
    ForgePush,
    /// Sends answers nobody asked for.
    Texts,
    /// Sends very much at once.
    Flood,
    /// Says that it speaks another version.
    Version,
}

impl Mischief {
    /// All of it.
    pub const ALL: [Self; 11] = [
        Self::Drop,
        Self::Late,
        Self::Reorder,
        Self::Replay,
        Self::Truncate,
        Self::Flip,
        Self::ForgeAck,
        Self::ForgePush,
        Self::Texts,
        Self::Flood,
        Self::Version,
    ];
}

/// How a gateway behaves.
#[derive(Clone, PartialEq, Debug)]
pub struct Malice {
    /// What it does.
    pub kinds: Vec<Mischief>,
    /// With which probability it does something to a message.
    pub chance: f64,
}

/// What is left of a message.
#[derive(Debug, Default)]
pub(super) struct Tampered {
    /// In order, what the client gets instead, and how late. True: others may overtake it.
    pub(super) frames: Vec<(WsFrame, Duration, bool)>,
    /// The message itself is not among it.
    pub(super) is_lost: bool,
}

/// A gateway that means harm.
pub(super) struct HostileGateway {
    suite: Box<dyn PacketSuite>,
    malice: Malice,
    recent: VecDeque<WsFrame>,
    /// How often it did what, in the order of [`Mischief::ALL`].
    pub(super) done: [u64; Mischief::ALL.len()],
}

impl core::fmt::Debug for HostileGateway {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HostileGateway").field("malice", &self.malice).finish_non_exhaustive()
    }
}

impl HostileGateway {
    pub(super) fn new(malice: Malice, suite: Box<dyn PacketSuite>) -> Self {
        Self { suite, malice, recent: VecDeque::new(), done: [0; Mischief::ALL.len()] }
    }

    fn choose(&mut self, stream: &mut Stream) -> Option<Mischief> {
        if self.malice.kinds.is_empty() || !stream.chance(self.malice.chance) {
            return None;
        }
        let kind = self.malice.kinds[stream.index(self.malice.kinds.len())];
        let place = Mischief::ALL.iter().position(|one| *one == kind).unwrap_or_default();
        self.done[place] += 1;
        Some(kind)
    }

    /// What a client gets instead of a message. `key` is shared with it.
    pub(super) fn tamper(
        &mut self,
        frame: WsFrame,
        key: Option<&SharedKey>,
        stream: &mut Stream,
    ) -> Tampered {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(frame.clone());
        let prompt = |frame| (frame, Duration::ZERO, false);
        let with = |extra: Vec<WsFrame>| {
            let frames = core::iter::once(frame.clone()).chain(extra).map(prompt).collect();
            Tampered { frames, is_lost: false }
        };
        let instead = |frame| Tampered { frames: vec![prompt(frame)], is_lost: true };
        match self.choose(stream) {
            None => with(Vec::new()),
            Some(Mischief::Drop) => Tampered { frames: Vec::new(), is_lost: true },
            Some(kind @ (Mischief::Late | Mischief::Reorder)) => {
                let late = (frame, stream.up_to(LATE_MAX), kind == Mischief::Reorder);
                Tampered { frames: vec![late], is_lost: false }
            }
            Some(Mischief::Replay) => {
                let again = self.recent[stream.index(self.recent.len())].clone();
                with(vec![again])
            }
            Some(Mischief::Truncate) => instead(truncated(frame, stream)),
            Some(Mischief::Flip) => instead(flipped(frame, stream)),
            Some(Mischief::ForgeAck) => {
                with(forged(self.suite.as_ref(), key, ACK_LEN, stream).into_iter().collect())
            }
            Some(Mischief::ForgePush) => {
                let len = any_length(stream);
                with(forged(self.suite.as_ref(), key, len, stream).into_iter().collect())
            }
            Some(Mischief::Texts) => with(vec![unexpected(stream)]),
            Some(Mischief::Flood) => {
                let kind = stream.below(3);
                let one = |_| match kind {
                    0 => forged(self.suite.as_ref(), key, any_length(stream), stream),
                    1 => forged(self.suite.as_ref(), key, ACK_LEN, stream),
                    _ => Some(unexpected(stream)),
                };
                with((0..FLOOD).filter_map(one).collect())
            }
            Some(Mischief::Version) => match other_version(&frame, stream) {
                Some(frame) => instead(frame),
                None => with(Vec::new()),
            },
        }
    }

    /// What becomes of a message of a client.
    pub(super) fn take(&mut self, frame: WsFrame, stream: &mut Stream) -> Option<WsFrame> {
        match self.choose(stream) {
            Some(Mischief::Drop) => None,
            Some(Mischief::Truncate) => Some(truncated(frame, stream)),
            Some(Mischief::Flip) => Some(flipped(frame, stream)),
            _ => Some(frame),
        }
    }
}

/// A push that is encrypted as it should be.
fn forged(
    suite: &dyn PacketSuite,
    key: Option<&SharedKey>,
    len: usize,
    stream: &mut Stream,
) -> Option<WsFrame> {
    let mut content = vec![0; len];
    stream.fill(&mut content);
    Some(WsFrame::Binary(seal_push_with(suite, key?, stream.bytes(), &content)))
}

/// Lengths at which something begins or ends.
fn any_length(stream: &mut Stream) -> usize {
    let regular = PacketSize::Regular.plaintext_len();
    let lengths = [0, 1, ACK_LEN - 1, ACK_LEN + 1, 31, 32, 33, 48, 100, regular, regular - 400];
    lengths[stream.index(lengths.len())]
}

fn truncated(frame: WsFrame, stream: &mut Stream) -> WsFrame {
    match frame {
        WsFrame::Binary(bytes) => WsFrame::Binary(bytes.slice(..stream.index(bytes.len()))),
        WsFrame::Text(text) => {
            let end = stream.index(text.len());
            WsFrame::Text(text.chars().take(end).collect())
        }
    }
}

fn flipped(frame: WsFrame, stream: &mut Stream) -> WsFrame {
    let flip = |bytes: &[u8], bits: u64, stream: &mut Stream| {
        let mut bytes = BytesMut::from(bytes);
        let at = stream.index(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << stream.below(bits);
        }
        bytes.freeze()
    };
    match frame {
        WsFrame::Binary(bytes) => WsFrame::Binary(flip(&bytes, 8, stream)),
        WsFrame::Text(text) => {
            // the result is to remain a text
            let bytes: Bytes = flip(text.as_bytes(), 7, stream);
            WsFrame::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

fn unexpected(stream: &mut Stream) -> WsFrame {
    let number = [i64::MIN, -1, 0, 1, i64::MAX][stream.index(5)];
    let message = ["", "no", "bandwidth", "\u{0}\u{1b}[31m"][stream.index(4)].repeat(50);
    let text = match stream.below(10) {
        0 => GatewayText::Error { message }.encode(),
        1 => GatewayText::HandshakeError { message }.encode(),
        2 => GatewayText::TicketReplay.encode(),
        3 => GatewayText::OutOfBandwidth { required: number, available: number }.encode(),
        4 => GatewayText::Bandwidth { available_total: number, upgrade_mode: true }.encode(),
        5 => GatewayText::Send { remaining_bandwidth: number, upgrade_mode: true }.encode(),
        6 => {
            let (protocol_version, status) = (stream.below(256) as u8, stream.chance(0.5));
            GatewayText::Register { protocol_version, status, upgrade_mode: false }.encode()
        }
        7 => {
            let (protocol_version, status) = (stream.below(256) as u8, stream.chance(0.5));
            let bandwidth_remaining = number;
            GatewayText::Authenticate {
                protocol_version,
                status,
                bandwidth_remaining,
                upgrade_mode: false,
            }
            .encode()
        }
        8 => "[".repeat(2000),
        _ => format!("{{\"type\":\"{}\"}}", "x".repeat(500)),
    };
    WsFrame::Text(text)
}

fn other_version(frame: &WsFrame, stream: &mut Stream) -> Option<WsFrame> {
    let WsFrame::Text(text) = frame else {
        return None;
    };
    let other = stream.below(256) as u8;
    let mut decoded = GatewayText::decode(text).ok()?;
    match &mut decoded {
        GatewayText::SupportedProtocol { version } => *version = other,
        GatewayText::Register { protocol_version, .. }
        | GatewayText::Authenticate { protocol_version, .. } => *protocol_version = other,
        _ => return None,
    }
    Some(WsFrame::Text(decoded.encode()))
}
