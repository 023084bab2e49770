//! Conversations as they are, for the fuzzers to bend.

use super::setup::{DIRECTORY, FAST, HELPFUL, MUST_RECOVER, NO_COVER, REGISTERED, ROOMY};
use super::steps::{ALL, REPLIES, Step};
use crate::input::Script;

struct Story {
    script: Script,
    palette: &'static [Step],
}

impl Story {
    fn new(palette: &'static [Step], head: u8) -> Self {
        Self { script: Script::new().byte(head), palette }
    }

    fn then(mut self, step: Step, bytes: &[u8]) -> Self {
        let index = self.palette.iter().position(|known| *known == step).unwrap();
        self.script = self.script.byte(index as u8).raw(bytes);
        self
    }

    fn run(self, deadlines: u8) -> Self {
        self.then(Step::Deadlines, &[deadlines])
    }

    fn end(self) -> Vec<u8> {
        self.script.finish()
    }
}

/// Recipient, length, name, lane, manner.
const PLAIN: &[u8] = &[0, 40, 0, 0, 0];
const LONG: &[u8] = &[0, 140, 0, 1, 0];
/// Recipient, SURBs, length, name, lane, manner.
const ANONYMOUS: &[u8] = &[0, 10, 40, 0, 0, 0];
/// Recipient, tag, length, name, lane, manner.
const REPLY: &[u8] = &[0, 0, 40, 0, 0, 0];
const LONG_REPLY: &[u8] = &[0, 0, 145, 0, 0, 0];
/// Length, tag, SURBs, kind, manner.
const REPLIABLE: &[u8] = &[3, 1, 12, 2, 0];
const FEW_SURBS: &[u8] = &[3, 2, 1, 2, 0];
const GIVE_MORE: &[u8] = &[0, 1, 20, 0, 0];

fn ready(palette: &'static [Step], more: u8) -> Story {
    Story::new(palette, REGISTERED | HELPFUL | more)
}

/// Any events: connections made, lost and made again, by hand and by a helpful gateway; messages
/// of all kinds; directories; clocks; shutdowns.
#[must_use]
pub fn client_seeds() -> Vec<Vec<u8>> {
    let by_hand = Story::new(ALL, REGISTERED | MUST_RECOVER)
        .then(Step::Connected, &[0, 0])
        .then(Step::GatewaySays, &[0, 6, 0, 0, 0, 0, 0, 0])
        .then(Step::GatewaySays, &[0, 6, 1, 255, 255, 255, 127, 2])
        .then(Step::SendPlain, PLAIN)
        .run(8)
        .then(Step::GatewaySays, &[0, 6, 0, 255, 255, 255, 127, 4])
        .then(Step::ArriveAll, &[]);
    let registering = Story::new(ALL, HELPFUL | MUST_RECOVER)
        .run(5)
        .then(Step::Closed, &[0])
        .run(5)
        .then(Step::SendPlain, PLAIN)
        .run(9)
        .then(Step::ArriveAll, &[]);
    let directory = Story::new(ALL, REGISTERED | DIRECTORY | MUST_RECOVER)
        .then(Step::Fetched, &[0])
        .then(Step::Fetched, &[0])
        .then(Step::Fetched, &[3, 0])
        .run(4)
        .then(Step::Helpful, &[1])
        .run(8);
    let stale = Story::new(ALL, REGISTERED | DIRECTORY)
        .then(Step::Fetched, &[1, 9])
        .then(Step::Fetched, &[1, 9])
        .then(Step::Fetched, &[1, 9])
        .then(Step::Fetched, &[2, 1, 0, 30, 0, 1])
        .run(4);
    let lanes = ready(ALL, FAST)
        .then(Step::SendPlain, LONG)
        .then(Step::SendPlain, PLAIN)
        .run(20)
        .then(Step::CloseLane, &[1])
        .then(Step::ArriveAll, &[])
        .then(Step::Drain, &[9])
        .run(30);
    let lossy = ready(ALL, FAST | NO_COVER)
        .then(Step::SendPlain, LONG)
        .run(6)
        .then(Step::Lose, &[])
        .then(Step::LoseAck, &[])
        .then(Step::Arrive, &[0])
        .then(Step::Advance, &[35, 0])
        .run(20)
        .then(Step::ArriveAll, &[]);
    let clocks = ready(ALL, MUST_RECOVER)
        .then(Step::SendPlain, PLAIN)
        .then(Step::Advance, &[50, 9])
        .then(Step::ClockBack, &[3])
        .run(5)
        .then(Step::NetworkChanged, &[1, 0, 0, 0, 0, 0, 0, 0, 255])
        .run(9)
        .then(Step::Closed, &[0])
        .then(Step::Early, &[])
        .run(4);
    let sloppy = ready(ALL, FAST)
        .then(Step::StopDraining, &[])
        .run(25)
        .then(Step::SendPlain, PLAIN)
        .then(Step::BobPlain, &[9, 0])
        .then(Step::Blocked, &[0])
        .run(9)
        .then(Step::Writable, &[0])
        .then(Step::StartDraining, &[])
        .run(9);
    let received = ready(ALL, ROOMY)
        .then(Step::BobPlain, &[200, 1])
        .then(Step::BobPlain, &[200, 4])
        .then(Step::BobPlain, &[200, 2])
        .then(Step::Taken, &[2])
        .then(Step::Advance, &[41, 0])
        .run(3);
    let full = (0..6).fold(ready(ALL, FAST), |story, _| story.then(Step::BobPlain, &[120, 0]));
    let crowded = (0..14).fold(ready(ALL, FAST), |story, _| story.then(Step::SendPlain, LONG));
    let wild = ready(ALL, FAST)
        .then(Step::PushAnything, &[4, 0, 1, 2, 3, 4])
        .then(Step::FrameAnything, &[0, 4, 0, 1, 1, 3, 4])
        .then(Step::GatewaySaysAnything, &[0, 2, 0, b'{', b'}'])
        .then(Step::GatewaySays, &[0, 1, 0, 1, 0, 0, 0, 6])
        .run(5);
    let stories = [
        by_hand,
        registering,
        directory,
        stale,
        lanes,
        lossy,
        clocks,
        sloppy,
        received,
        full,
        crowded,
        wild,
    ];
    let mut seeds: Vec<_> = stories.map(Story::end).into();
    seeds.extend(conversations(ALL));
    seeds
}

/// Conversations that need SURBs.
#[must_use]
pub fn replies_seeds() -> Vec<Vec<u8>> {
    conversations(REPLIES)
}

fn conversations(palette: &'static [Step]) -> Vec<Vec<u8>> {
    let asks = ready(palette, FAST)
        .then(Step::SendAnonymous, ANONYMOUS)
        .run(10)
        .then(Step::ArriveAll, &[])
        .then(Step::BobReplies, &[9, 0])
        .then(Step::BobAsks, &[0, 30, 0, 0, 0, 1, 0])
        .run(25)
        .then(Step::ArriveAll, &[])
        .then(Step::BobReplies, &[200, 1]);
    let answers = ready(palette, FAST)
        .then(Step::BobRepliable, REPLIABLE)
        .then(Step::SendReply, REPLY)
        .then(Step::SendReply, LONG_REPLY)
        .run(20)
        .then(Step::ArriveAll, &[])
        .then(Step::BobRepliable, GIVE_MORE)
        .run(10)
        .then(Step::ArriveAll, &[]);
    let starved = ready(palette, FAST)
        .then(Step::BobRepliable, FEW_SURBS)
        .then(Step::SendReply, LONG_REPLY)
        .run(12)
        .then(Step::Lose, &[])
        .then(Step::Advance, &[38, 0])
        .run(12)
        .then(Step::Advance, &[39, 0]);
    let crowd = (0..6).fold(ready(palette, FAST), |story, tag| {
        story.then(Step::BobRepliable, &[1, tag, 25, 2, 0]).then(Step::Taken, &[1])
    });
    let strangers = ready(palette, FAST)
        .then(Step::BobAsks, &[0, 255, 255, 255, 255, 0, 0])
        .then(Step::BobSendsAnything, &[0, 6, 0, 2, 0, b'f', b'o', b'o', b'!', 0])
        .then(Step::SendAnonymous, ANONYMOUS)
        .run(9)
        .then(Step::ArriveAll, &[])
        .then(Step::BobRepliesAnything, &[0, 3, 0, 0, b'x', b'y', 4])
        .then(Step::LoseAck, &[]);
    let crashes = ready(palette, FAST)
        .then(Step::SendAnonymous, ANONYMOUS)
        .run(10)
        .then(Step::Crash, &[3])
        .run(4)
        .then(Step::ArriveAll, &[])
        .then(Step::BobReplies, &[9, 0])
        .then(Step::BobRepliable, REPLIABLE)
        .then(Step::Crash, &[0])
        .run(4)
        .then(Step::SendReply, REPLY)
        .run(10)
        .then(Step::ArriveAll, &[]);
    [asks, answers, starved, crowd, strangers, crashes].map(Story::end).into()
}
