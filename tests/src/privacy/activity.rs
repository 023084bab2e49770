//! What the application does.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{DeliveryOrigin, Event, Lane, MessageId, Outgoing, Target};
use nym_proto::entropy::Stream;
use nym_testnet::sim::{ClientIx, NodeLinks, Sim};

/// How often the application acts.
pub(super) const STEP: Duration = Duration::from_millis(100);
/// A lane is kept at least this full to be saturated.
const SATURATED: usize = 300;

/// What the application of the watched client and its correspondents do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Activity {
    /// Nothing.
    Idle,
    /// A short message every other second.
    Light,
    /// Bursts of messages and silences, in both directions.
    Bursts,
    /// There is always something to send.
    Saturated,
    /// Anonymous requests, answered with large replies.
    Replies,
    /// Replies to anonymous messages, for which more SURBs have to be asked for.
    Surbs,
    /// As bursts, while packets get lost.
    Losses,
    /// Large messages that are given up.
    Closing,
    /// A correspondent that writes as fast as it can.
    Flooded,
}

impl Activity {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Light,
        Self::Bursts,
        Self::Saturated,
        Self::Replies,
        Self::Surbs,
        Self::Losses,
        Self::Closing,
        Self::Flooded,
    ];
}

/// Both sides of the conversation.
pub(super) struct Actors {
    pub(super) watched: ClientIx,
    pub(super) other: ClientIx,
    pub(super) activity: Activity,
    pub(super) stream: Stream,
    pub(super) next_id: u64,
    /// Steps left of the present burst or silence.
    pub(super) left: u64,
    pub(super) is_busy: bool,
}

impl Actors {
    /// One step. Returns the bytes handed to the watched client.
    pub(super) fn act(&mut self, sim: &mut Sim, step: u64) -> usize {
        let (me, other) = (self.watched, self.other);
        if sim.client(me).is_suspended() {
            // so is the application
            return 0;
        }
        match self.activity {
            Activity::Idle => 0,
            Activity::Light if step % 20 == 7 => self.send(sim, me, Lane::General, 300),
            Activity::Saturated if sim.client(me).machine().lane_len(Lane::General) < SATURATED => {
                self.send(sim, me, Lane::General, 400_000)
            }
            Activity::Bursts => self.burst(sim),
            Activity::Losses => {
                if step == 0 {
                    sim.set_node_links(NodeLinks { loss: 0.03, ..NodeLinks::default() });
                }
                self.burst(sim)
            }
            Activity::Replies if step % 30 == 3 => {
                let Some(recipient) = sim.client(other).address() else { return 0 };
                let target = Target::Anonymous { recipient, surbs: 20 };
                self.send_to(sim, me, target, Lane::General, 2000)
            }
            Activity::Replies if step % 30 == 13 => {
                let _ = sim.reply(other, vec![3; 20_000]);
                0
            }
            Activity::Surbs if step.is_multiple_of(100) => {
                let Some(recipient) = sim.client(me).address() else { return 0 };
                let target = Target::Anonymous { recipient, surbs: 5 };
                let _ = self.send_to(sim, other, target, Lane::General, 100);
                0
            }
            Activity::Surbs if step % 20 == 15 => {
                let origins = sim.client(me).deliveries().iter().rev().map(|(_, d)| d.origin);
                let tag = origins.into_iter().find_map(|origin| match origin {
                    DeliveryOrigin::Anonymous(tag) => Some(tag),
                    _ => None,
                });
                tag.map_or(0, |tag| {
                    self.send_to(sim, me, Target::Reply(tag), Lane::General, 15_000)
                })
            }
            Activity::Closing if step % 30 == 4 => self.send(sim, me, Lane::Connection(1), 150_000),
            Activity::Closing if step % 30 == 19 => {
                let _ = sim.event(me, Event::CloseLane(Lane::Connection(1)));
                0
            }
            Activity::Flooded => {
                self.send(sim, other, Lane::General, 15_000);
                0
            }
            _ => 0,
        }
    }

    /// A message every other step while it lasts, then nothing for as long.
    fn burst(&mut self, sim: &mut Sim) -> usize {
        if self.left == 0 {
            self.is_busy = !self.is_busy;
            self.left = 20 + self.stream.below(60);
        }
        self.left -= 1;
        if !self.is_busy || self.stream.chance(0.5) {
            return 0;
        }
        let len = 100 + self.stream.below(16_000) as usize;
        let (me, other) = (self.watched, self.other);
        if self.stream.chance(0.1) {
            self.send(sim, other, Lane::General, len);
        }
        self.send(sim, me, Lane::General, len)
    }

    fn send(&mut self, sim: &mut Sim, from: ClientIx, lane: Lane, len: usize) -> usize {
        let to = if from == self.watched { self.other } else { self.watched };
        let Some(recipient) = sim.client(to).address() else { return 0 };
        self.send_to(sim, from, Target::Plain(recipient), lane, len)
    }

    fn send_to(
        &mut self,
        sim: &mut Sim,
        from: ClientIx,
        target: Target,
        lane: Lane,
        len: usize,
    ) -> usize {
        // far from those the simulation gives
        self.next_id += 1;
        let id = MessageId((1 << 32) + self.next_id);
        let mut message = Outgoing::new(id, target, Bytes::from(vec![5; len]));
        message.lane = lane;
        sim.event(from, Event::Send(message)).map_or(0, |()| len)
    }
}
