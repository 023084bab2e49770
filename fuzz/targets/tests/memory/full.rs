//! Everything full.

use nym_proto::client::{Lane, RefusedReason, Target, Usage};
use nym_proto::message::{PLAIN_HEAD, RepliableKind, ReplySurb, surb_request};

use super::rig::{Rig, recipient};
use super::{Count, small};

const CONTACTS: u8 = 150;
const CORRESPONDENTS: u8 = 100;
const SURBS: u16 = 34;

/// One SURB of the client for each contact, from one message to each.
fn write_to_contacts(rig: &mut Rig) -> Vec<ReplySurb> {
    rig.is_read = true;
    let contacts = 0..CONTACTS;
    let write = |number| {
        let target = Target::Anonymous { recipient: recipient(number), surbs: SURBS };
        rig.send(target, 100).unwrap();
        rig.run(12);
        while rig.bob.surbs.len() < SURBS.into() {
            rig.run(1);
        }
        rig.surbs().swap_remove(0)
    };
    let surbs = contacts.map(write).collect();
    rig.is_read = false;
    surbs
}

/// One big message, and small ones in lanes of their own until there is no place for another.
fn fill_outbox(rig: &mut Rig) {
    let (usage, max) = (rig.client.usage(), rig.client.limits().outbox_bytes_max);
    // an eighth is kept for small lanes
    let left = max - max / 8 - usage.outbox_bytes;
    rig.send(Target::Plain(recipient(0)), left - 100_000).unwrap();
    let mut lanes = (0..).map(Lane::Connection);
    let refused = lanes.find_map(|lane| {
        let sent = rig.send_on(lane, Target::Plain(recipient(0)), 2000);
        sent.err()
    });
    assert_eq!(refused, Some(RefusedReason::Full));
    while rig.client.in_flight() < rig.client.usage().fragments {
        rig.run(1);
    }
}

fn fill_inbox(rig: &mut Rig) {
    let alice = rig.address();
    // SURBs of many correspondents
    for tag in 0..CORRESPONDENTS {
        let message = rig.bob.repliable(tag, RepliableKind::AdditionalSurbs, 40, &[]);
        for push in rig.bob.pack(&alice, &message) {
            rig.push(&push);
        }
    }
    // messages nobody takes; then more, which are dropped and whose fragments are remembered
    for len in [4990; 110].into_iter().chain([10; 3000]) {
        let message = [&PLAIN_HEAD[..], &vec![1; len]].concat();
        for push in rig.bob.pack(&alice, &message) {
            rig.push(&push);
        }
    }
    // messages that lack their last fragment
    for _ in 0..100 {
        let message = [&PLAIN_HEAD[..], &[1; 6000]].concat();
        let pushes = rig.bob.pack(&alice, &message);
        for push in pushes.iter().skip(1) {
            rig.push(push);
        }
    }
}

/// True if at least nine tenths of what is allowed are used.
fn is_full(used: usize, max: usize) -> bool {
    used <= max && used * 10 >= max * 9
}

fn assert_full(usage: Usage, rig: &Rig) {
    let limits = *rig.client.limits();
    assert_eq!(usage.excess(&limits), None);
    for (name, used, max) in [
        ("outbox_messages", usage.outbox_messages, limits.outbox_messages_max),
        ("outbox_bytes", usage.outbox_bytes, limits.outbox_bytes_max),
        ("control_bytes", usage.control_bytes, 4 << 20),
        ("in_flight", usage.in_flight, usage.fragments),
        ("inbox_messages", usage.inbox_messages, limits.inbox_messages_max),
        ("inbox_bytes", usage.inbox_bytes, limits.inbox_bytes_max),
        ("reassembly_sets", usage.reassembly_sets, limits.reassembly.sets_max),
        ("reassembly_bytes", usage.reassembly_bytes, limits.reassembly.bytes_max),
        ("reassembly_finished", usage.reassembly_finished, limits.reassembly.finished_max),
        ("tags", usage.tags, limits.tags_max),
        ("reply_keys", usage.reply_keys, limits.reply_keys_max),
        ("correspondents", usage.correspondents, limits.correspondents_max),
        ("surbs", usage.surbs, limits.surbs_max),
        ("loops", usage.loops, limits.loops_max),
        ("gateway_requests", usage.gateway_requests, limits.gateway_requests_max),
        ("writes", usage.writes, limits.actions_max),
    ] {
        assert!(is_full(used, max), "{name}: {used} of {max}");
    }
}

#[test]
fn a_client_with_everything_full_stays_within_the_memory_its_limits_add_up_to() {
    let mut count = Count::begin();
    let limits = small();
    let mut rig = Rig::ready(limits);
    count.restart();

    // cover packets first, while there is nothing else to send
    rig.run(1500);
    let surbs = write_to_contacts(&mut rig);
    fill_outbox(&mut rig);
    for (number, surb) in (0..CONTACTS).zip(surbs) {
        rig.bob.surbs = vec![surb];
        let request = surb_request(&recipient(number), 100);
        for push in rig.bob.pack_reply(&request) {
            rig.push(&push);
        }
    }
    while rig.client.in_flight() < rig.client.usage().fragments {
        rig.run(1);
    }
    fill_inbox(&mut rig);
    // the gateway stops to answer, then the shell stops to drain
    rig.is_answering = false;
    while rig.client.usage().gateway_requests + limits.actions_max < limits.gateway_requests_max {
        rig.run(1);
    }
    rig.is_drained = false;
    rig.run(200);
    assert_full(rig.client.usage(), &rig);

    // and still anything may come
    let alice = rig.address();
    for tag in 0..200 {
        let message = rig.bob.repliable(tag, RepliableKind::Data, 40, &[1; 3000]);
        for push in rig.bob.pack(&alice, &message) {
            rig.push(&push);
        }
        rig.run(1);
    }
    assert_full(rig.client.usage(), &rig);
    assert!(rig.client.stats().packets_dropped > 1000);

    let (peak, max) = (count.peak(), limits.memory_max());
    println!("{peak} bytes at most, {} at the end, {max} allowed", count.held());
    assert!(peak <= max, "{peak} bytes, and {max} are allowed");
    assert!(max < 8 * peak, "{peak} bytes, and as many as {max} are allowed");
}
