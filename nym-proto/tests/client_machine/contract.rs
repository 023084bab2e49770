//! The rules every shell relies on.

use std::time::Duration;

use nym_proto::client::{
    Action, Client, Config, DeliveryOrigin, Event, Lane, MessageId, Network, Outgoing, Target,
    Wakeup,
};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_proto::time::{Instant, UnixTime};

use crate::world::World;

fn lonely_client() -> Client {
    let identity = Identity::generate(&mut Entropy::new([1; 32]).stream(Purpose::Identity));
    let config = Config::new(Network::Directory(vec![
        "http://a.example/api/".into(),
        "http://b.example/api".into(),
    ]));
    Client::new(config, identity, [2; 32], Instant::START, UnixTime::from_secs(1_767_225_600))
}

#[test]
fn while_actions_are_queued_the_deadline_is_now() {
    let mut client = lonely_client();
    assert_eq!(
        client.next_deadline().map(|d| (d.at, d.why)),
        Some((Instant::START, Wakeup::Actions))
    );
    while client.poll_action().is_some() {}
    assert!(
        client.next_deadline().is_some_and(|d| d.at > Instant::START && d.why != Wakeup::Actions)
    );
}

#[test]
fn the_timer_is_set_last_and_only_when_it_has_moved() {
    let mut client = lonely_client();
    let actions: Vec<Action> = std::iter::from_fn(|| client.poll_action()).collect();
    assert!(matches!(actions.last(), Some(Action::SetTimer(Some(_)))));
    let timers = actions.iter().filter(|action| matches!(action, Action::SetTimer(_))).count();
    assert_eq!(timers, 1);
    client.handle(Instant::START, Event::Tick).unwrap();
    assert_eq!(client.poll_action(), None);
}

#[test]
fn the_documents_of_the_directory_are_fetched_at_once_and_from_the_next_base_after_a_failure() {
    let mut client = lonely_client();
    let mut fetches = Vec::new();
    let mut now = Instant::START;
    for _ in 0..10 {
        while let Some(action) = client.poll_action() {
            if let Action::Fetch { fetch, url } = action {
                fetches.push(url);
                let result = Err(nym_proto::client::FetchError::Status(503));
                let unix_time = UnixTime::from_secs(1_767_225_600);
                client.handle(now, Event::Fetched { fetch, result, unix_time }).unwrap();
            }
        }
        now = client.next_deadline().unwrap().at;
        client.handle(now, Event::Tick).unwrap();
    }
    assert!(fetches.len() >= 8);
    assert!(
        fetches[..4].iter().all(|url| url.starts_with("http://a.example/api/v")),
        "{fetches:?}"
    );
    assert!(
        fetches[4..8].iter().all(|url| url.starts_with("http://b.example/api/v")),
        "{fetches:?}"
    );
    assert!(now > Instant::START + Duration::from_secs(60));
}

#[test]
fn repeated_and_early_ticks_change_nothing() {
    let run = |ticks: usize| {
        let mut world = World::with_two_clients(100);
        let bob = world.address(1);
        world.send(0, 1, Target::Plain(bob), vec![1; 20_000]).unwrap();
        for _ in 0..100 {
            for _ in 0..ticks {
                world.event(0, Event::Tick);
            }
            world.run_for(Duration::from_millis(37));
        }
        world.hosts[0].written.clone()
    };
    assert_eq!(run(0), run(3));
}

#[test]
fn a_blocked_socket_lets_slots_pass_and_loses_nothing() {
    let mut world = World::with_two_clients(101);
    let bob = world.address(1);
    let connection = world.connection(0);
    world.send(0, 1, Target::Plain(bob), vec![1; 20_000]).unwrap();
    world.event(0, Event::GatewayBlocked { connection });
    let before = world.hosts[0].written.len();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.hosts[0].written.len(), before);
    assert!(world.hosts[0].machine.stats().slots_unused > 400);
    world.event(0, Event::GatewayWritable { connection });
    world.run_until_true(Duration::from_secs(30), "delivered", |w| w.hosts[1].delivered.len() == 1);
}

#[test]
fn any_number_of_events_between_two_drains_is_legal() {
    let mut world = World::with_two_clients(102);
    let bob = world.address(1);
    for id in 0..50 {
        let message = nym_proto::client::Outgoing::new(
            nym_proto::client::MessageId(id),
            Target::Plain(bob),
            vec![id as u8; 100].into(),
        );
        world.hosts[0].machine.handle(world.now, Event::Send(message)).unwrap();
        world.hosts[0].machine.handle(world.now, Event::Tick).unwrap();
    }
    world.run_until_true(Duration::from_secs(60), "all", |w| w.hosts[1].delivered.len() == 50);
}

#[test]
fn no_configuration_makes_a_client_panic() {
    let extremes = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
    let factors = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 0.0];
    for (round, factor) in factors.into_iter().enumerate() {
        let long = extremes[round % 3];
        let mut world = World::new(103);
        let mut config = world.config(0);
        config.traffic.hop_delay = long.min(Duration::from_secs(1));
        config.acks.wait_multiplier = factor;
        config.acks.wait_addition = long;
        config.acks.wait_max = extremes[round / 2 % 3];
        config.acks.expires_after = Some(Duration::MAX);
        config.replies.reserve = usize::MAX;
        config.replies.request_max = u32::MAX;
        config.replies.give_up_after = long;
        config.replies.key_age_max = long;
        let _ = config.limits.memory_max();
        let alice = world.add(config, 104);
        let bob = world.add(world.config(1), 105);
        world.run_for(Duration::from_secs(1));
        let (alice_address, bob_address) = (world.address(alice), world.address(bob));
        let surbs = |recipient| Target::Anonymous { recipient, surbs: 5 };
        world.send(alice, 1, surbs(bob_address), vec![1; 5000]).unwrap();
        world.send(bob, 1, surbs(alice_address), vec![1; 5000]).unwrap();
        world.run_for(Duration::from_secs(2));
        let tag = world.hosts[alice].delivered.iter().find_map(|d| match d.origin {
            DeliveryOrigin::Anonymous(tag) => Some(tag),
            _ => None,
        });
        drop(world.send(alice, 2, Target::Reply(tag.unwrap()), vec![1; 20_000]));
        world.run_for(Duration::from_secs(1));
    }
    for interval in extremes {
        let mut world = World::new(103);
        let mut config = world.config(0);
        config.traffic.main_interval = interval.max(Duration::from_millis(1));
        config.traffic.loop_interval = None;
        world.add(config, 104);
        world.run_for(Duration::from_secs(1));
    }
}

#[test]
fn a_shell_that_never_drains_is_refused_more_messages_and_told_when_to_go_on() {
    let mut world = World::with_two_clients(106);
    let target = Target::Plain(world.address(1));
    let now = world.now;
    let machine = &mut world.hosts[0].machine;
    let mut accepted = 0;
    for id in 0..20_000 {
        let message = Outgoing::new(MessageId(id), target.clone(), "x".into());
        accepted += u32::from(machine.handle(now, Event::Send(message)).is_ok());
        machine.handle(now, Event::CloseLane(Lane::General)).unwrap();
    }
    assert!((1000..5000).contains(&accepted), "{accepted}");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.hosts[0].outcomes.len(), accepted as usize);
    assert_eq!(world.hosts[0].writable, [Some(nym_proto::client::Lane::General)]);
}
