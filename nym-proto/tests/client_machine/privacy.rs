//! When frames leave and how big they are does not depend on what the application does.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    DeliveryOrigin, Event, Fact, Lane, MessageId, Outgoing, Target, Tier, Wakeup,
};
use nym_proto::time::Instant;

use crate::world::World;

const RUN: Duration = Duration::from_secs(30);

/// Frames written by both clients over a run, in which `act` is called ten times a second.
fn traces(loss: f64, mut act: impl FnMut(&mut World, u32)) -> (Vec<Vec<(Instant, usize)>>, World) {
    let mut world = World::with_two_clients(40);
    world.loss = loss;
    for step in 0..(RUN.as_millis() / 100) as u32 {
        act(&mut world, step);
        world.run_for(Duration::from_millis(100));
    }
    let written = world.hosts.iter().map(|host| host.written.clone()).collect();
    (written, world)
}

fn converse(world: &mut World, step: u32) {
    let bob = world.address(1);
    let id = u64::from(step);
    match step % 40 {
        0 => {
            drop(world.send(0, id, Target::Anonymous { recipient: bob, surbs: 20 }, vec![1; 3000]))
        }
        5 => drop(world.send(0, id, Target::Plain(bob), Bytes::new())),
        10 => {
            let mut bulk =
                Outgoing::new(MessageId(id), Target::Plain(bob), Bytes::from(vec![2; 80_000]));
            bulk.lane = Lane::Connection(1);
            drop(world.event_with_result(0, Event::Send(bulk)));
        }
        20 => world.event(0, Event::CloseLane(Lane::Connection(1))),
        _ => {}
    }
    let tags: Vec<_> = world.hosts[1].delivered.iter().map(|d| d.origin).collect();
    if let (25, Some(DeliveryOrigin::Anonymous(tag))) =
        (step % 40, tags.iter().rev().find(|o| matches!(o, DeliveryOrigin::Anonymous(_))))
    {
        drop(world.send(1, id, Target::Reply(*tag), vec![3; 30_000]));
    }
}

#[test]
fn frames_are_identical_with_and_without_application_traffic() {
    let (idle, world) = traces(0.0, |_, _| {});
    assert_eq!(world.hosts[0].machine.stats().real_packets, 0);
    let (busy, world) = traces(0.0, converse);
    let stats = world.hosts[0].machine.stats();
    assert!(stats.real_packets > 250, "{stats:?}");
    assert!(world.hosts[1].machine.stats().surbs_used > 20);
    assert!(world.hosts[0].delivered.iter().any(|d| matches!(d.origin, DeliveryOrigin::Reply(_))));
    assert_eq!(idle, busy);
    // both address families of first hops occur, so sizes are worth comparing
    let sizes: std::collections::BTreeSet<usize> = idle[0].iter().map(|(_, size)| *size).collect();
    assert!(sizes.contains(&2452) && sizes.contains(&2464), "{sizes:?}");
}

#[test]
fn frames_are_identical_even_when_packets_are_lost_and_repeated() {
    let (idle, _) = traces(0.05, |_, _| {});
    let (busy, world) = traces(0.05, converse);
    assert!(world.hosts[0].machine.stats().retransmissions > 10);
    assert_eq!(idle, busy);
}

#[test]
fn the_comparison_notices_a_client_without_cover() {
    let run = |is_busy: bool| {
        let mut world = World::new(41);
        let mut config = world.config(0);
        config.traffic = nym_proto::client::Traffic::without_cover();
        world.add(config, 42);
        world.add(world.config(1), 43);
        world.run_for(Duration::from_secs(1));
        if is_busy {
            let bob = world.address(1);
            world.send(0, 1, Target::Plain(bob), "x").unwrap();
        }
        world.run_for(Duration::from_secs(5));
        world.hosts[0].written.clone()
    };
    assert_ne!(run(false), run(true));
}

#[test]
fn the_same_seed_and_events_give_identical_actions() {
    let run = || {
        let (_, world) = traces(0.02, converse);
        world.hosts.into_iter().map(|host| host.actions).collect::<Vec<_>>()
    };
    let (first, second) = (run(), run());
    assert!(first[0].len() > 1000);
    assert_eq!(first, second);
}

#[test]
fn different_seeds_give_different_frames() {
    let run = |seed| {
        let mut world = World::new(44);
        world.add(world.config(0), seed);
        world.run_for(Duration::from_secs(2));
        world.hosts[0].written.clone()
    };
    assert_ne!(run(1), run(2));
}

#[test]
fn an_hour_asleep_is_not_followed_by_a_burst() {
    let mut world = World::with_two_clients(45);
    let before = world.hosts[0].written.len();
    // the clock jumps; nobody ticked meanwhile
    world.now += Duration::from_secs(3600);
    let woken = world.now;
    world.run_for(Duration::from_secs(1));
    let after = &world.hosts[0].written[before..];
    let burst = after.iter().filter(|(at, _)| at.since(woken) < Duration::from_millis(50)).count();
    assert!(burst < 15, "{burst} frames in the first 50 ms");
}

#[test]
fn frames_are_identical_when_the_connection_breaks_in_the_middle() {
    let disturb = |world: &mut World, step: u32| match step {
        60 | 100 => world.cut(0),
        120 => world.block(0, true),
        125 => world.block(0, false),
        // the gateway's end disappears without a word
        170 => world.vanish(0),
        _ => {}
    };
    let (idle, _) = traces(0.0, disturb);
    let (busy, world) = traces(0.0, |world, step| {
        disturb(world, step);
        converse(world, step);
        // pushes for the client go on to the end
        if (160..170).contains(&step) {
            let alice = world.address(0);
            drop(world.send(1, 1000 + u64::from(step), Target::Plain(alice), vec![4; 1000]));
        }
    });
    assert!(world.hosts[0].machine.stats().sessions >= 3);
    assert_eq!(idle, busy);
}

#[test]
fn a_slot_is_served_although_the_application_causes_many_actions_at_the_same_time() {
    let run = |messages: u64| {
        let mut world = World::new(46);
        let mut config = world.config(0);
        config.limits.actions_max = 16;
        world.add(config, 47);
        world.add(world.config(1), 48);
        world.run_for(Duration::from_secs(1));
        let target = Target::Plain(world.address(1));
        for id in 0..messages {
            world.send(0, id, target.clone(), "x").unwrap();
        }
        // the application's event and the next slot come together
        world.now = due_slot(&mut world);
        world.event(0, Event::CloseLane(Lane::General));
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.hosts[0].outcomes.len(), messages as usize);
        world.hosts[0].written.clone()
    };
    assert_eq!(run(0), run(50));
}

#[test]
fn no_event_but_a_tick_makes_a_frame_leave() {
    let mut world = World::with_two_clients(49);
    let target = Target::Plain(world.address(1));
    world.now = due_slot(&mut world) + Duration::from_millis(2);
    let before = world.hosts[0].written.len();
    world.send(0, 1, target, "x").unwrap();
    world.event(0, Event::CloseLane(Lane::General));
    world.push(0, &[7; 21]);
    assert_eq!(world.hosts[0].written.len(), before);
    world.event(0, Event::Tick);
    assert_eq!(world.hosts[0].written.len(), before + 1);
}

#[test]
fn what_a_slot_carries_is_built_in_a_call_before_it() {
    let mut world = World::with_two_clients(50);
    let target = Target::Anonymous { recipient: world.address(1), surbs: 4 };
    world.send(0, 1, target, "x").unwrap();
    let stats = |world: &World| *world.hosts[0].machine.stats();
    world.run_until_true(RUN, "the SURBs are made", |world| stats(world).surbs_made > 0);
    assert_eq!(stats(&world).real_packets, 0, "the packet waits for its slot");
    let cover = stats(&world).cover_packets;
    world.run_until_true(RUN, "it leaves", |world| stats(world).real_packets > 0);
    assert_eq!(stats(&world).cover_packets, cover, "in the next slot");
}

#[test]
fn a_message_that_ends_after_its_packet_was_built_is_not_waited_for() {
    let mut world = World::with_two_clients(51);
    let target = Target::Anonymous { recipient: world.address(1), surbs: 4 };
    world.send(0, 1, target, "x").unwrap();
    world.run_until_true(RUN, "it is built", |world| world.hosts[0].machine.stats().surbs_made > 0);
    world.event(0, Event::CloseLane(Lane::General));
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.hosts[0].outcomes.len(), 1);
    assert_eq!(world.hosts[0].machine.in_flight(), 0);
    assert_eq!(world.hosts[0].machine.stats().retransmissions, 0);
}

#[test]
fn the_wait_for_an_ack_begins_when_the_packet_leaves() {
    let mut world = World::new(55);
    let mut config = world.config(0);
    // a frame that was not taken yet keeps the next one back
    config.limits.actions_max = 1;
    world.add(config, 56);
    world.add(world.config(1), 57);
    world.run_for(Duration::from_secs(1));
    // the next slot carries cover, so that it is the one after it that has to wait
    due_slot(&mut world);
    let target = Target::Anonymous { recipient: world.address(1), surbs: 1 };
    world.send(0, 1, target, "x").unwrap();
    // longer than an ack is waited for
    for _ in 0..400 {
        world.now += Duration::from_millis(10);
        world.hosts[0].machine.handle(world.now, Event::Tick).unwrap();
    }
    let machine = &world.hosts[0].machine;
    assert_eq!((machine.stats().surbs_made, machine.stats().real_packets), (1, 0), "built only");
    assert_eq!(machine.in_flight(), 0);
    world.event(0, Event::Tick);
    world.run_until_true(RUN, "outcome", |world| world.hosts[0].outcomes.len() == 1);
    assert_eq!(world.hosts[0].machine.stats().retransmissions, 0);
}

#[test]
fn what_was_built_for_a_connection_that_broke_comes_up_again() {
    let mut world = World::with_two_clients(52);
    let target = Target::Anonymous { recipient: world.address(1), surbs: 4 };
    world.send(0, 1, target, "x").unwrap();
    world.run_until_true(RUN, "it is built", |world| world.hosts[0].machine.stats().surbs_made > 0);
    world.cut(0);
    world.run_until_true(RUN, "it arrives", |world| !world.hosts[1].delivered.is_empty());
}

#[test]
fn a_change_of_tier_comes_at_its_own_time_whatever_the_application_does() {
    let run = |is_busy: bool| {
        let mut world = World::new(53);
        for gateway in 0..2 {
            let mut config = world.config(gateway);
            config.traffic = config.traffic.in_tier(Tier::Metered);
            world.add(config, 54 + gateway as u8);
        }
        world.run_for(Duration::from_secs(1));
        world.event(0, Event::SetTier(Tier::Normal));
        for step in 0..900 {
            if is_busy {
                converse(&mut world, step);
            }
            world.run_for(Duration::from_millis(100));
        }
        assert!(world.hosts[0].facts.contains(&Fact::Tier(Tier::Normal)));
        assert_eq!(world.hosts[0].machine.traffic().main_interval, Duration::from_millis(20));
        world.hosts[0].written.clone()
    };
    let idle = run(false);
    let in_second = |second: u64| {
        let from = Instant::START + Duration::from_secs(second);
        idle.iter()
            .filter(|(at, _)| at.since(from) < Duration::from_secs(10) && *at >= from)
            .count()
    };
    assert!((450..650).contains(&in_second(75)), "{}", in_second(75));
    assert_eq!(idle, run(true));
}

/// Lets the world go on until nothing but the next slot is awaited of the first client.
fn due_slot(world: &mut World) -> Instant {
    loop {
        let deadline = world.hosts[0].machine.next_deadline().unwrap();
        if deadline.why == Wakeup::Slot {
            return deadline.at;
        }
        world.now = world.now.max(deadline.at);
        world.event(0, Event::Tick);
    }
}
