//! Clients whose frames leave only when there is something to send, and then at once.

use std::time::Duration;

use nym_proto::client::{Config, DeliveryOrigin, Outcome, Target, Traffic};

use crate::world::World;

fn world(seed: u8) -> World {
    let mut world = World::new(seed);
    for client in 0..2 {
        let config = Config { traffic: Traffic::on_demand(), ..world.config(client) };
        world.add(config, seed.wrapping_add(1 + client as u8));
    }
    world.run_for(Duration::from_secs(1));
    world
}

#[test]
fn an_idle_client_is_silent() {
    let mut world = world(60);
    let before = world.hosts[0].written.len();
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.hosts[0].written.len(), before);
}

#[test]
fn a_file_takes_a_fraction_of_the_time_that_paced_slots_take() {
    let mut world = world(63);
    let bob = world.address(1);
    let file = vec![7; 400_000];
    let start = world.now;
    world.send(0, 1, Target::Plain(bob), file.clone()).unwrap();
    world.run_until_true(Duration::from_secs(20), "the file arrives", |world| {
        !world.hosts[1].delivered.is_empty()
    });
    assert_eq!(world.hosts[1].delivered[0].data, file);
    let took = world.now.since(start);
    // 50 slots a second take 5 s
    assert!(took < Duration::from_secs(1), "{took:?}");
    world.run_for(Duration::from_secs(3));
    assert!(matches!(world.hosts[0].outcomes[0].1, Outcome::Acknowledged { .. }));
}

#[test]
fn what_is_lost_is_sent_again_and_few_packets_are_under_way() {
    let mut world = world(66);
    world.loss = 0.1;
    let bob = world.address(1);
    world.send(0, 1, Target::Plain(bob), vec![7; 900_000]).unwrap();
    let mut most = 0;
    while world.hosts[0].outcomes.is_empty() {
        world.run_for(Duration::from_millis(10));
        most = most.max(world.hosts[0].machine.in_flight());
        assert!(world.now.since(nym_proto::time::Instant::START) < Duration::from_secs(300));
    }
    assert!(matches!(world.hosts[0].outcomes[0].1, Outcome::Acknowledged { .. }));
    assert_eq!(world.hosts[1].delivered.len(), 1);
    // beyond the limit packets trickle, as many as paced slots have
    assert!((200..300).contains(&most), "{most}");
}

#[test]
fn an_answer_through_surbs_is_sent_at_once_and_a_request_for_more_too() {
    let mut world = world(69);
    let bob = world.address(1);
    world.send(0, 1, Target::Anonymous { recipient: bob, surbs: 10 }, "hello").unwrap();
    world.run_for(Duration::from_secs(2));
    let DeliveryOrigin::Anonymous(tag) = world.hosts[1].delivered[0].origin else {
        panic!("no tag");
    };
    // more than ten SURBs carry
    world.send(1, 2, Target::Reply(tag), vec![9; 60_000]).unwrap();
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.hosts[0].delivered.len(), 1);
    assert_eq!(world.hosts[0].delivered[0].data.len(), 60_000);
}
