//! A client that crashes, wherever it does, comes back from what it had kept and goes on.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    Change, DeliveryOrigin, Event, Fact, MemoryStore, MessageId, Outcome, State, StopReason, Target,
};

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
/// Within this something arrives if it arrives at all.
const SOON: Duration = Duration::from_secs(20);

/// More than the SURBs given at first carry, so that more have to be asked for.
fn reply() -> Bytes {
    vec![7; 8_000].into()
}

/// Alice asks with five SURBs, Bob answers at length. What cannot happen is left out.
fn converse(world: &mut World) {
    let bob = world.address(BOB);
    let target = Target::Anonymous { recipient: bob, surbs: 5 };
    world.send(ALICE, 1, target, "who are you?").unwrap();
    world.run_until_delivered(BOB, b"who are you?");
    if let Some(tag) = tag(world) {
        // a crash may come in the way
        let _ = world.send(BOB, 1, Target::Reply(tag), reply());
        world.run_until_delivered(ALICE, &reply());
    }
    world.run_for(Duration::from_secs(5));
}

impl World {
    fn has(&self, client: usize, data: &[u8]) -> bool {
        self.hosts[client].delivered.iter().any(|delivery| delivery.data == data)
    }

    fn run_until_delivered(&mut self, client: usize, data: &[u8]) -> bool {
        let end = self.now + SOON;
        while self.now < end && !self.has(client, data) {
            if self.hosts.iter().any(|host| host.is_crashed) {
                // what is under way arrives or is lost
                self.run_for(Duration::from_secs(2));
                break;
            }
            self.run_for(Duration::from_millis(50));
        }
        self.has(client, data)
    }
}

/// The tag Bob knows Alice under; the same in all that was delivered.
fn tag(world: &World) -> Option<nym_proto::message::SenderTag> {
    let mut tags = world.hosts[BOB].delivered.iter().map(|delivery| match delivery.origin {
        DeliveryOrigin::Anonymous(tag) => tag,
        _ => panic!("Alice writes anonymously"),
    });
    let first = tags.next()?;
    assert!(tags.all(|tag| tag == first), "one tag in all lives");
    Some(first)
}

/// The client crashes after this many actions of the conversation. False if it has no more.
fn crash_after(victim: usize, actions: usize) -> bool {
    let mut world = World::without_cover(9);
    world.hosts[victim].crash_after = Some(actions);
    converse(&mut world);
    if !world.hosts[victim].is_crashed {
        assert!(world.has(ALICE, &reply()));
        return false;
    }
    let restarted = world.quiet_config(victim);
    world.restart(victim, restarted, 200);
    world.run_for(Duration::from_secs(2));

    let case = || format!("client {victim} crashed after {actions} actions");
    if !world.run_until_delivered(BOB, b"who are you?") {
        // what was accepted and has no outcome is the application's to send again
        let bob = world.address(BOB);
        let target = Target::Anonymous { recipient: bob, surbs: 5 };
        world.send(ALICE, 2, target, "who are you, please?").unwrap();
        assert!(world.run_until_delivered(BOB, b"who are you, please?"), "{}", case());
    }
    // no new message from the other side
    let tag = tag(&world).unwrap();
    world.send(BOB, 3, Target::Reply(tag), "somebody").unwrap();
    assert!(world.run_until_delivered(ALICE, b"somebody"), "{}", case());
    world.run_for(Duration::from_secs(5));

    let bob = world.address(BOB);
    for delivery in &world.hosts[ALICE].delivered {
        assert_eq!(delivery.origin, DeliveryOrigin::Reply(bob), "{}", case());
    }
    for host in &world.hosts {
        let mut data: Vec<_> = host.delivered.iter().map(|delivery| &delivery.data).collect();
        data.sort_unstable();
        assert!(data.windows(2).all(|pair| pair[0] != pair[1]), "{}: delivered twice", case());
    }
    assert!(world.seen.again.is_empty(), "{}: {:?} used again", case(), world.seen.again);
    true
}

#[test]
fn the_one_who_asks_may_crash_after_any_action() {
    let last = (0..).find(|actions| !crash_after(ALICE, *actions)).unwrap();
    assert!(last >= 15, "{last} actions");
}

#[test]
fn the_one_who_answers_may_crash_after_any_action() {
    let last = (0..).find(|actions| !crash_after(BOB, *actions)).unwrap();
    assert!(last >= 15, "{last} actions");
}

#[test]
fn a_fragment_sent_again_after_the_crash_is_known_to_have_come() {
    let mut world = World::without_cover(20);
    let bob = world.address(BOB);
    let message = [&[0][..], b"once"].concat();
    world.send_raw(&bob, &message);
    world.run_until_true(SOON, "delivered", |w| w.has(BOB, b"once"));
    world.hosts[BOB].is_crashed = true;
    let restarted = world.quiet_config(BOB);
    world.restart(BOB, restarted, 201);
    world.run_for(Duration::from_secs(2));
    world.send_raw_again(&bob);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.hosts[BOB].delivered.len(), 1);
    assert_eq!(world.hosts[BOB].machine.stats().duplicate_fragments, 1);
}

#[test]
fn changes_come_in_one_action_for_each_frame_or_delivery_at_most() {
    let mut world = World::without_cover(21);
    converse(&mut world);
    for host in &world.hosts {
        let actions: Vec<_> = host.actions.iter().filter(|a| !a.contains("SetTimer")).collect();
        let count = |name: &str| actions.iter().filter(|a| a.contains(name)).count();
        assert!(count(" Persist(") > 3);
        assert!(
            count(" Persist(")
                <= count(" Write") + host.machine.stats().fragments_received as usize
        );
        assert!(actions.iter().all(|action| !action.contains("Persist([])")));
    }
}

#[test]
fn what_is_too_old_or_too_much_is_erased_at_the_start() {
    let mut world = World::without_cover(22);
    converse(&mut world);
    let kept = world.hosts[BOB].kept.clone();
    assert!(kept.len() > 4);
    // two days later only the registration and the correspondent's name are of use
    for host in &mut world.hosts {
        host.is_crashed = true;
    }
    world.run_for(Duration::from_secs(48 * 3600));
    let restarted = world.quiet_config(BOB);
    world.restart(BOB, restarted, 202);
    let facts = &world.hosts[BOB].facts;
    let restored = facts.iter().rev().find_map(|fact| match fact {
        Fact::Restored { entries, expired, skipped } => Some((*entries, *expired, *skipped)),
        _ => None,
    });
    let (entries, expired, skipped) = restored.unwrap();
    assert_eq!((entries + expired, skipped), (kept.len(), 0));
    assert!(expired > 2 && entries >= 1);
    assert_eq!(world.hosts[BOB].kept.len(), entries);
}

#[test]
fn a_store_full_of_garbage_harms_nothing() {
    let mut world = World::without_cover(23);
    world.hosts[BOB].is_crashed = true;
    let mut garbage = MemoryStore::new();
    for n in 0..100_u8 {
        garbage.apply(&[Change::put([n % 8, n], vec![n; usize::from(n)])]);
    }
    world.hosts[BOB]
        .kept
        .apply(&garbage.iter().map(|(k, v)| Change::put(k, v.to_vec())).collect::<Vec<_>>());
    let restarted = world.quiet_config(BOB);
    world.restart(BOB, restarted, 203);
    world.run_for(Duration::from_secs(1));
    assert!(
        world.hosts[BOB].facts.iter().any(|f| matches!(f, Fact::Restored { skipped: 100, .. }))
    );
    let bob = world.address(BOB);
    world.send(ALICE, 5, Target::Plain(bob), "hello").unwrap();
    world.run_until_true(SOON, "delivered", |w| w.has(BOB, b"hello"));
}

#[test]
fn a_client_that_cannot_keep_its_word_stops_before_it_writes_another_frame() {
    let mut world = World::without_cover(24);
    let bob = world.address(BOB);
    world.send(ALICE, 1, Target::Anonymous { recipient: bob, surbs: 5 }, "hello").unwrap();
    let written = world.hosts[ALICE].written.len();
    world.event(ALICE, Event::NotKept { reason: "disk full".into() });
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.hosts[ALICE].written.len(), written);
    assert_eq!(world.hosts[ALICE].stopped, Some(StopReason::NotKept("disk full".into())));
    let (id, outcome) = world.hosts[ALICE].outcomes[0];
    assert_eq!(id, MessageId(1));
    assert!(!matches!(outcome, Outcome::Acknowledged { .. }));
}

#[test]
fn a_state_shows_nothing_of_what_it_holds() {
    let mut world = World::without_cover(25);
    converse(&mut world);
    let state: State = world.hosts[BOB].kept.state();
    let text = format!("{state:?} {:?}", world.hosts[BOB].kept);
    assert!(text.contains("redacted") && text.len() < 120, "{text}");
}
