//! What is accepted ends in one way, and effects come in the order that loses nothing.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    Action, DeliveryOrigin, Event, FailReason, MessageId, Outcome, Outgoing, Target, WaitingFor,
    Wakeup,
};

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs the client until its next slot is served and returns what it wants done for it, from the
/// building of the frame on, without doing it.
fn next_slot(world: &mut World, client: usize) -> Vec<Action> {
    let mut actions = Vec::new();
    loop {
        let deadline = world.hosts[client].machine.next_deadline().unwrap();
        world.now = world.now.max(deadline.at);
        if !matches!(deadline.why, Wakeup::Prepare | Wakeup::Slot) {
            world.event(client, Event::Tick);
            continue;
        }
        let machine = &mut world.hosts[client].machine;
        machine.handle(world.now, Event::Tick).unwrap();
        actions.extend(core::iter::from_fn(|| machine.poll_action()));
        if deadline.why == Wakeup::Slot {
            return actions;
        }
    }
}

fn position(actions: &[Action], is: impl Fn(&Action) -> bool) -> Option<usize> {
    actions.iter().position(is)
}

fn is_write(action: &Action) -> bool {
    matches!(action, Action::Write { .. })
}

#[test]
fn the_ack_of_a_packet_is_waited_for_before_the_packet_can_leave() {
    let mut world = World::without_cover(230);
    let target = Target::Plain(world.address(1));
    world.send(0, 1, target, "x").unwrap();
    for _ in 0..50 {
        let before = world.hosts[0].machine.stats().real_packets;
        let deadline = world.hosts[0].machine.next_deadline().unwrap();
        world.now = world.now.max(deadline.at);
        world.hosts[0].machine.handle(world.now, Event::Tick).unwrap();
        let machine = &world.hosts[0].machine;
        if machine.stats().real_packets > before {
            // the frame is still among the actions
            assert_eq!(machine.in_flight(), 1);
            assert_eq!(machine.progress(MessageId(1)).unwrap().transmitted, 1);
            return;
        }
        world.event(0, Event::Tick);
    }
    panic!("nothing was sent");
}

#[test]
fn the_keys_of_surbs_are_kept_before_the_packet_that_carries_them_can_leave() {
    let mut world = World::without_cover(233);
    let recipient = world.address(1);
    world.send(0, 1, Target::Anonymous { recipient, surbs: 20 }, "x").unwrap();
    let mut made = 0;
    while made < 20 {
        let real = world.hosts[0].machine.stats().real_packets;
        let actions = next_slot(&mut world, 0);
        let stats = world.hosts[0].machine.stats();
        if stats.real_packets > real && stats.surbs_made > made {
            let kept = position(&actions, |action| matches!(action, Action::Persist(_)));
            let written = position(&actions, is_write).unwrap();
            assert!(kept.is_some_and(|kept| kept < written), "{actions:?}");
        }
        made = world.hosts[0].machine.stats().surbs_made;
    }
}

#[test]
fn a_surb_is_erased_before_the_packet_that_uses_it_can_leave() {
    let mut world = World::without_cover(236);
    let tag = asked(&mut world, 20);
    world.send(1, 1, Target::Reply(tag), vec![1; 8000]).unwrap();
    let mut used = 0;
    while used < 5 {
        let before = world.hosts[1].machine.stats().surbs_used;
        let actions = next_slot(&mut world, 1);
        if world.hosts[1].machine.stats().surbs_used > before {
            let erased = position(&actions, |action| match action {
                Action::Persist(changes) => changes.iter().any(|change| change.value().is_none()),
                _ => false,
            });
            let written = position(&actions, is_write).unwrap();
            assert!(erased.is_some_and(|erased| erased < written), "{actions:?}");
            used += 1;
        }
    }
}

/// The first client writes to the second one anonymously, with so many SURBs.
fn asked(world: &mut World, surbs: u16) -> nym_proto::message::SenderTag {
    let recipient = world.address(1);
    world.send(0, 1000, Target::Anonymous { recipient, surbs }, "?").unwrap();
    world.run_until_true(MINUTE, "message", |w| w.hosts[1].delivered.len() == 1);
    world.run_until_true(MINUTE, "outcome", |w| w.hosts[0].outcomes.len() == 1);
    world.hosts[0].outcomes.clear();
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else { panic!() };
    tag
}

/// One message for each kind of target, with the client that sends it.
fn of_each_kind(world: &mut World) -> [(usize, Outgoing); 3] {
    let tag = asked(world, 20);
    let recipient = world.address(1);
    let targets = [
        (0, Target::Plain(recipient)),
        (0, Target::Anonymous { recipient, surbs: 3 }),
        (1, Target::Reply(tag)),
    ];
    let mut id = 0;
    targets.map(|(client, target)| {
        id += 1;
        (client, Outgoing::new(MessageId(id), target, Bytes::from(vec![7; 2500])))
    })
}

fn outcomes(world: &World) -> Vec<Outcome> {
    let mut all: Vec<_> = world.hosts.iter().flat_map(|host| host.outcomes.clone()).collect();
    all.sort_by_key(|(id, _)| *id);
    assert!(all.windows(2).all(|pair| pair[0].0 != pair[1].0), "one outcome each: {all:?}");
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn a_message_of_any_kind_ends_after_its_attempts() {
    let mut world = World::without_cover(239);
    let messages = of_each_kind(&mut world);
    world.loss = 1.0;
    for (client, mut message) in messages {
        message.attempts_max = Some(2);
        world.event(client, Event::Send(message));
    }
    for _ in 0..1200 {
        for (client, id) in [(0, 1), (0, 2), (1, 3)] {
            // no fragment is repeated more than once
            let progress = world.hosts[client].machine.progress(MessageId(id));
            assert!(
                progress.is_none_or(|now| now.retransmissions <= now.fragments),
                "{progress:?}"
            );
        }
        world.run_for(Duration::from_millis(100));
    }
    assert_eq!(outcomes(&world), [Outcome::Failed(FailReason::TooManyAttempts(2)); 3]);
}

#[test]
fn a_message_of_any_kind_ends_when_its_time_is_over_and_not_before() {
    let mut world = World::without_cover(242);
    let messages = of_each_kind(&mut world);
    world.loss = 1.0;
    for (client, mut message) in messages {
        message.expires_after = Some(Duration::from_secs(10));
        world.event(client, Event::Send(message));
    }
    world.run_for(Duration::from_millis(9_990));
    assert_eq!(outcomes(&world), []);
    world.run_for(Duration::from_millis(20));
    let ended = outcomes(&world);
    assert_eq!(ended.len(), 3);
    assert!(ended.iter().all(|outcome| matches!(outcome, Outcome::Expired { .. })), "{ended:?}");
    // each fragment has been transmitted; a reply may have run out of SURBs to repeat one
    assert!(matches!(ended[0], Outcome::Expired { waiting_for: WaitingFor::Acks }), "{ended:?}");
}

#[test]
fn limits_that_are_not_reached_change_nothing() {
    let mut world = World::without_cover(245);
    let messages = of_each_kind(&mut world);
    world.loss = 0.05;
    for (client, mut message) in messages {
        message.attempts_max = Some(100);
        message.expires_after = Some(10 * MINUTE);
        world.event(client, Event::Send(message));
    }
    world.run_for(MINUTE);
    let ended = outcomes(&world);
    assert_eq!(ended.len(), 3);
    let is_acknowledged = |outcome: &Outcome| matches!(outcome, Outcome::Acknowledged { .. });
    assert!(ended.iter().all(is_acknowledged), "{ended:?}");
    world.run_for(10 * MINUTE);
    assert_eq!(outcomes(&world).len(), 3);
}
