//! A sequence of fragments into the reassembler: honest messages in any order and number of
//! copies, and fragments of somebody else among them. (protocol: messages 6, client 8.2)

use core::time::Duration;
use std::collections::BTreeSet;

use nym_proto::message::{
    FragmentHeader, FragmentPlan, Inserted, Origin, Reassembler, ReassemblyLimits, SetId,
    write_padded,
};
use nym_proto::time::Instant;

use crate::input::{Input, Script};

const LIMITS: ReassemblyLimits = ReassemblyLimits {
    // room for the largest message in one set, with the allowances for 255 fragments
    bytes_max: 33_000,
    sets_max: 12,
    finished_max: 900,
    message_bytes_max: 16_000,
    stale_after: Duration::from_secs(60),
    finished_for: Duration::from_secs(200),
};
/// Set ids of honest messages begin here; those of the others end here.
const HONEST: u32 = 1000;
const STEPS_MAX: usize = 400;

const SEND: u8 = 0;
const DELIVER: u8 = 1;
const DELIVER_ALL: u8 = 2;
const DELIVER_BACKWARDS: u8 = 3;
const STRANGE: u8 = 4;
const ATTACK: u8 = 5;
const WAIT: u8 = 6;
const EXPIRE: u8 = 7;

struct Message {
    data: Vec<u8>,
    origin: Origin,
    plan: FragmentPlan,
    ids: Vec<SetId>,
    handed_in: BTreeSet<usize>,
    deliveries: usize,
    /// Somebody who knows the set ids interfered, so nothing is promised.
    is_attacked: bool,
}

struct World {
    reassembler: Reassembler,
    now: Instant,
    messages: Vec<Message>,
    next_id: u32,
    /// Something may have been dropped or forgotten because of time.
    has_waited: bool,
}

/// Memory stays within its bound; what comes out was sent, and comes out once; nothing gets lost
/// while there is room.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World {
        reassembler: Reassembler::new(LIMITS),
        now: Instant::START,
        messages: Vec::new(),
        next_id: HONEST,
        has_waited: false,
    };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.check();
    }
    world.finish();
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            SEND => self.send(input),
            DELIVER => {
                if let Some(message) = self.pick(input) {
                    let fragments = self.messages[message].plan.fragments();
                    let index = usize::from(input.short()) % fragments;
                    self.deliver(message, index);
                }
            }
            DELIVER_ALL => {
                if let Some(message) = self.pick(input) {
                    let fragments = self.messages[message].plan.fragments();
                    (0..fragments).for_each(|index| self.deliver(message, index));
                }
            }
            DELIVER_BACKWARDS => {
                if let Some(message) = self.pick(input) {
                    let fragments = self.messages[message].plan.fragments();
                    let skipped = usize::from(input.byte());
                    let left = (0..fragments).rev().skip(skipped);
                    left.for_each(|index| self.deliver(message, index));
                }
            }
            STRANGE => {
                let id = 1 + u32::from(input.short()) % (HONEST - 1);
                let header = strange_header(input, id, |input| 1 + u32::from(input.byte()));
                self.stranger(&header, origin(input), input.chunk());
            }
            ATTACK => {
                if let Some(message) = self.pick(input) {
                    let victim = &mut self.messages[message];
                    victim.is_attacked = true;
                    let (origin, ids) = (victim.origin, victim.ids.clone());
                    let id = ids[input.below(ids.len())].get();
                    let header =
                        strange_header(input, id, |input| ids[input.below(ids.len())].get());
                    self.stranger(&header, origin, input.chunk());
                }
            }
            WAIT => {
                self.now += Duration::from_secs(input.byte().into());
                self.has_waited = true;
            }
            EXPIRE => drop(self.reassembler.expire(self.now)),
            _ => {}
        }
    }

    fn pick(&self, input: &mut Input<'_>) -> Option<usize> {
        let message = input.below(self.messages.len());
        (message < self.messages.len()).then_some(message)
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let len = usize::from(input.short()) % (LIMITS.message_bytes_max - 100);
        // few bytes per fragment, so that a small message has many
        let room = 11 + usize::from(input.short()) % 600;
        let Some(plan) = FragmentPlan::with_room(len, room) else {
            return;
        };
        if plan.padded_len() > LIMITS.message_bytes_max || self.messages.len() > 32 {
            return;
        }
        let number = self.messages.len() as u8;
        let ids = (0..plan.sets() as u32).filter_map(|i| SetId::new(self.next_id + i)).collect();
        self.next_id += plan.sets() as u32;
        self.messages.push(Message {
            // the mark of the padding is part of the data too
            data: (0..len).map(|i| (i as u8).wrapping_mul(31) ^ number).collect(),
            origin: origin(input),
            plan,
            ids,
            handed_in: BTreeSet::new(),
            deliveries: 0,
            is_attacked: false,
        });
    }

    fn deliver(&mut self, number: usize, index: usize) {
        let message = &mut self.messages[number];
        let (header, range) = message.plan.place(index, &message.ids).unwrap();
        let mut payload = vec![0; range.len()];
        write_padded(&[&message.data], range.start, &mut payload);
        message.handed_in.insert(index);
        let inserted = self.reassembler.insert(self.now, message.origin, &header, &payload);
        let (is_attacked, handed_in) = (message.is_attacked, message.handed_in.len());
        let fragments = message.plan.fragments();
        match inserted {
            Inserted::Complete { message: bytes, fragments: count } => {
                if !is_attacked {
                    assert!(bytes == message.data, "message {number} is not what was sent");
                    assert_eq!(count, fragments);
                    assert_eq!(handed_in, fragments, "complete with fragments missing");
                }
                message.deliveries += 1;
            }
            Inserted::Dropped(reason) => assert!(is_attacked, "{reason}"),
            Inserted::Incomplete | Inserted::Duplicate => {}
        }
    }

    fn stranger(&mut self, header: &FragmentHeader, origin: Origin, payload: &[u8]) {
        let inserted = self.reassembler.insert(self.now, origin, header, payload);
        if let Inserted::Complete { message, .. } = inserted {
            let is_sent = |sent: &&mut Message| !sent.is_attacked && sent.data == message;
            let mut honest = self.messages.iter_mut().filter(|sent| !sent.data.is_empty());
            // a stranger can repeat short messages of others
            let _ = honest.find(is_sent);
        }
    }

    fn check(&self) {
        assert!(self.reassembler.bytes() <= LIMITS.bytes_max);
        assert!(self.reassembler.sets() <= LIMITS.sets_max);
        if self.reassembler.sets() > 0 {
            assert!(self.reassembler.next_expiry().is_some());
        }
    }

    fn finish(&mut self) {
        let has_room = self.reassembler.evicted() == 0;
        let remembers_all = self.reassembler.forgotten() == 0;
        for message in self.messages.iter().filter(|message| !message.is_attacked) {
            let is_whole = message.handed_in.len() == message.plan.fragments();
            if is_whole && has_room && !self.has_waited {
                assert!(message.deliveries >= 1, "a whole message is missing");
            }
            if remembers_all && !self.has_waited {
                assert!(message.deliveries <= 1, "a message comes out twice");
            }
        }
        // time empties everything
        self.now += LIMITS.finished_for + LIMITS.stale_after + Duration::from_secs(1);
        while self.reassembler.next_expiry().is_some_and(|at| at <= self.now) {
            let before = self.reassembler.sets();
            let dropped = self.reassembler.expire(self.now);
            assert_eq!(before - dropped, self.reassembler.sets());
        }
        assert_eq!((self.reassembler.sets(), self.reassembler.bytes()), (0, 0));
    }
}

fn origin(input: &mut Input<'_>) -> Origin {
    match input.byte() % 3 {
        0 => Origin::Open,
        number => Origin::Reply(number.into()),
    }
}

fn strange_header(
    input: &mut Input<'_>,
    id: u32,
    mut other: impl FnMut(&mut Input<'_>) -> u32,
) -> FragmentHeader {
    let (total, position) = (input.byte(), input.byte());
    let links = input.byte();
    let mut link = |is_there: bool| {
        let id = is_there.then(|| other(input));
        id.and_then(SetId::new)
    };
    // most headers are well-formed, the others are refused
    let position = if links & 8 == 0 { 1 + position % total.max(1) } else { position };
    let previous = link(links & 1 == 1);
    let next = link(links & 2 == 2);
    FragmentHeader { set: SetId::new(id).unwrap(), total, position, previous, next }
}

/// Messages in order, backwards, twice, interleaved, over several sets, and with strangers.
pub fn seeds() -> Vec<Vec<u8>> {
    let send =
        |script: Script, len: u16, room: u16| script.byte(SEND).short(len).short(room - 11).byte(0);
    let strange = |script: Script, id: u16, total: u8, position: u8| {
        let head = script.byte(STRANGE).short(id).byte(total).byte(position - 1).byte(0);
        head.byte(0).chunk([1; 40])
    };
    let attack = |script: Script, total: u8, position: u8| {
        let head = script.byte(ATTACK).byte(0).byte(0).byte(total).byte(position - 1).byte(0);
        head.chunk([1; 40])
    };
    let two = || send(send(Script::new(), 1000, 100), 900, 100);
    let flood = (1..200).fold(Script::new(), |script, id| strange(script, id, 2, 1));
    vec![
        two().byte(DELIVER_ALL).byte(0).byte(DELIVER_BACKWARDS).byte(1).byte(0).finish(),
        two().byte(DELIVER_ALL).byte(0).byte(DELIVER_ALL).byte(0).finish(),
        // over three sets
        send(Script::new(), 6000, 20).byte(DELIVER_BACKWARDS).byte(0).byte(0).finish(),
        send(Script::new(), 3000, 18).byte(DELIVER_ALL).byte(0).byte(DELIVER_ALL).byte(0).finish(),
        send(Script::new(), 0, 100).byte(DELIVER).byte(0).short(0).finish(),
        two().byte(DELIVER_BACKWARDS).byte(0).byte(3).byte(WAIT).byte(61).byte(EXPIRE).finish(),
        attack(two().byte(DELIVER).byte(0).short(0), 11, 3).byte(DELIVER_ALL).byte(0).finish(),
        attack(two().byte(DELIVER).byte(0).short(0), 12, 3).byte(DELIVER_ALL).byte(0).finish(),
        send(flood, 500, 100).byte(DELIVER_ALL).byte(0).finish(),
        strange(strange(two(), 5, 2, 1), 5, 2, 2).byte(DELIVER_ALL).byte(1).finish(),
    ]
}
