//! The rules every shell relies on.

use std::time::Duration;

use nym_proto::client::{Action, Client, Config, Event, Network, Target, Wakeup};
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
