use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::address::Recipient;
use crate::client::outgoing::Head;
use crate::entropy::{Entropy, Purpose};
use crate::identity::{IdentityKeyPair, PrivateKey};

/// Bytes that fill so many fragments, at most a few hundred of them.
fn body(fragments: usize) -> Bytes {
    Bytes::from(vec![0; fragments.saturating_sub(1) * 1606 + 1])
}

fn outbox() -> Outbox {
    let stream = Entropy::new([1; 32]).stream(Purpose::Identifiers);
    Outbox::new(&Limits::default(), PacketSize::Regular, stream)
}

fn to(gateway: u8) -> Destination {
    let identity = |seed| *IdentityKeyPair::from_seed(&[seed; 32]).public();
    let encryption = PrivateKey::from_bytes([2; 32]).public();
    Destination::Known(Recipient { identity: identity(1), encryption, gateway: identity(gateway) })
}

fn through(tag: u8) -> Destination {
    Destination::Surbs(SenderTag::from_bytes([tag; 16]))
}

fn push(outbox: &mut Outbox, class: Class, destination: Destination, fragments: usize) -> u64 {
    let user = matches!(class, Class::Application(_)).then_some(MessageId(outbox.next_key));
    let expires_at = Some(Instant::START + Duration::from_secs(60));
    let (head, body) = (Head::Plain, body(fragments));
    let draft = Draft { user, class, destination, head, body, attempts_max: None, expires_at };
    outbox.push(Instant::START, draft)
}

fn lane(number: u64) -> Class {
    Class::Application(Lane::Connection(number))
}

/// The counters agree with what the messages say.
fn check(outbox: &Outbox) {
    let of = |class| outbox.messages.values().filter(move |message| message.class == class);
    for number in 0..4 {
        let queued: u32 = of(lane(number)).map(OutgoingMessage::queued).sum();
        assert_eq!(outbox.lane_len(Lane::Connection(number)), queued as usize);
        let bytes: usize = of(lane(number)).map(OutgoingMessage::bytes).sum();
        assert_eq!(outbox.lane_bytes(Lane::Connection(number)), bytes);
        let keys = outbox.in_lane(Lane::Connection(number));
        assert_eq!(keys.len(), of(lane(number)).count());
    }
    for tag in 0..4 {
        let tag = SenderTag::from_bytes([tag; 16]);
        let backlog: usize = outbox.replies_to(tag).map(|(_, message)| message.backlog()).sum();
        assert_eq!(outbox.backlog_of(tag), backlog);
    }
    let fragments: usize = outbox.messages.values().map(|m| m.fragments() as usize).sum();
    assert_eq!(outbox.fragments, fragments);
}

#[test]
fn lengths_are_exact_whatever_happens_and_nothing_is_left_at_the_end() {
    let mut outbox = outbox();
    let mut stream = Entropy::new([2; 32]).stream(Purpose::Other(1));
    let mut flying = Vec::new();
    let mut keys = Vec::new();
    for _ in 0..5_000 {
        let (choice, number) = (stream.index(9), stream.index(4) as u8);
        match choice {
            0 if keys.len() < 200 => {
                let fragments = [1, 2, 40, 100][stream.index(4)];
                let destination = if stream.chance(0.5) { to(number) } else { through(number) };
                let class = match stream.chance(0.2) {
                    true => Class::Control,
                    false => lane(stream.below(4)),
                };
                keys.push(push(&mut outbox, class, destination, fragments));
            }
            1 if !keys.is_empty() => {
                let at = stream.index(keys.len());
                outbox.remove(keys.swap_remove(at));
            }
            2..=4 if !flying.is_empty() => {
                let at = stream.index(flying.len());
                outbox.retransmit(flying[at]);
            }
            5 if !flying.is_empty() => {
                let at = stream.index(flying.len());
                if outbox.acked(flying.swap_remove(at)).is_some() {
                    keys.retain(|key| outbox.get(*key).is_some());
                }
            }
            _ => {
                let picked = outbox.pick(&|via| *via != via_of(to(number)));
                flying.extend(picked.filter(|p| !p.is_retransmission).map(|p| p.key));
            }
        }
        check(&outbox);
    }
    for key in outbox.keys() {
        outbox.remove(key);
    }
    check(&outbox);
    assert!(outbox.is_empty() && outbox.sets.is_empty() && outbox.expiry.is_empty());
    assert!(outbox.replies.is_empty() && outbox.users.is_empty());
    assert_eq!((outbox.bytes, outbox.control_bytes, outbox.fragments), (0, 0, 0));
    assert_eq!(outbox.pick(&|_| true), None);
}

fn via_of(destination: Destination) -> Via {
    match destination {
        Destination::Known(recipient) => Via::Gateway(recipient.gateway),
        Destination::Surbs(tag) => Via::Reply(tag),
    }
}

/// What so many slots carry: control, retransmissions, lane 1, and lane 2. What is retransmitted is
/// overdue again at once.
fn carried(outbox: &mut Outbox, slots: usize) -> [usize; 4] {
    let mut counts = [0; 4];
    for picked in core::iter::from_fn(|| {
        let picked = outbox.pick(&|_| true)?;
        if picked.is_retransmission {
            outbox.retransmit(picked.key);
        }
        let class = outbox.get(picked.key.message)?.class;
        Some((picked.is_retransmission, class))
    })
    .take(slots)
    {
        let index = match picked {
            (true, _) => 1,
            (false, Class::Control) => 0,
            (false, class) => 2 + usize::from(class == lane(2)),
        };
        counts[index] += 1;
    }
    counts
}

/// An outbox with fragments of lane 2 that are overdue.
fn with_overdue(fragments: usize) -> Outbox {
    let mut outbox = outbox();
    push(&mut outbox, lane(2), to(2), fragments);
    let sent: Vec<_> = core::iter::from_fn(|| outbox.pick(&|_| true)).collect();
    sent.iter().for_each(|picked| outbox.retransmit(picked.key));
    outbox
}

#[test]
fn a_thousand_slots_are_shared_four_to_three_to_two_to_one() {
    let mut outbox = with_overdue(10);
    push(&mut outbox, Class::Control, to(1), 1000);
    push(&mut outbox, lane(2), to(2), 1000);
    let mut counts = [0; 4];
    for _ in 0..20 {
        // little at a time, or it would be bulk
        push(&mut outbox, lane(1), to(3), 10);
        let more = carried(&mut outbox, 50);
        counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    }
    assert_eq!(counts, [400, 300, 200, 100]);
}

#[test]
fn retransmissions_that_never_end_leave_room_for_bulk() {
    let mut outbox = with_overdue(100);
    push(&mut outbox, lane(2), to(2), 1000);
    assert_eq!(carried(&mut outbox, 1000), [0, 750, 0, 250]);
}

#[test]
fn a_bulk_lane_leaves_room_for_everything_else() {
    let mut outbox = outbox();
    push(&mut outbox, lane(2), to(2), 1000);
    assert_eq!(carried(&mut outbox, 20), [0, 0, 0, 20]);
    push(&mut outbox, lane(1), to(1), 20);
    assert_eq!(carried(&mut outbox, 30), [0, 0, 20, 10]);
    push(&mut outbox, Class::Control, to(1), 20);
    assert_eq!(carried(&mut outbox, 25), [20, 0, 0, 5]);
}

#[test]
fn overdue_fragments_take_turns() {
    let mut outbox = with_overdue(20);
    let mut times = [0; 20];
    for _ in 0..100 {
        let picked = outbox.pick(&|_| true).unwrap();
        outbox.retransmit(picked.key);
        times[picked.key.index as usize] += 1;
    }
    assert_eq!(times, [5; 20]);
}

#[test]
fn lanes_to_a_thousand_dead_gateways_do_not_hold_up_the_one_that_works() {
    let mut outbox = outbox();
    for number in 0..250 {
        for tag in 0..4 {
            push(&mut outbox, lane(1000 + number), through(tag + 10), 2);
        }
    }
    push(&mut outbox, lane(1), to(1), 60);
    let is_ready = |via: &Via| matches!(via, Via::Gateway(_));
    let served = (0..200).filter(|_| outbox.pick(&is_ready).is_some()).count();
    assert_eq!(served, 60);
}
