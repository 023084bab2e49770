//! Shutting down, dropping the handle, and what a client tells about itself.

use std::time::Duration;

use nym_proto::client::{
    Connectivity, DeliveryOrigin, Fact, FailReason, Outcome, RefusedReason, Shutdown, StopReason,
};
use nym_runtime_std::{Closed, SendError};
use tests::stage::{ALICE, BOB, Stage, noise};
use tests::wait::{PATIENCE, acknowledged, next, next_sorted, outcome, until, within};
use tests::{Cast, Peer};

over_both_runtimes!(
    shutting_down_now_ends_every_message_and_the_client,
    draining_waits_until_everything_is_acknowledged,
    a_drain_that_takes_too_long_is_cut_short,
    messages_that_have_arrived_survive_a_shutdown,
    a_client_nobody_holds_ends_by_itself,
    any_handle_keeps_a_client_alive,
    senders_that_wait_for_room_are_released,
    counters_and_facts_agree_with_what_happened,
);

const FAILED: Outcome = Outcome::Failed(FailReason::Shutdown);

fn shutting_down_now_ends_every_message_and_the_client(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(51, cast);
    let receipts: Vec<_> =
        (0..5).map(|n| alice.send(bob.address(), noise(n, 1_000_000)).unwrap()).collect();

    alice.shutdown(Shutdown::Now).unwrap();

    for receipt in &receipts {
        assert_eq!(receipt.try_outcome(), Some(FAILED));
    }
    assert_eq!(alice.stop_reason(), Some(StopReason::Requested));
    assert_eq!(alice.connectivity(), Connectivity::Closed);
    assert_eq!(alice.stats().messages_failed, 5);
    assert_eq!(alice.recv(), Err(Closed));
    assert!(is_closed(&*alice, &*bob));
    alice.shutdown(Shutdown::Now).unwrap();
}

fn draining_waits_until_everything_is_acknowledged(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(52, cast);
    let receipts: Vec<_> =
        (0..3).map(|n| alice.send(bob.address(), noise(n, 60_000)).unwrap()).collect();
    let (handle, to) = (alice.handle(), bob.address());

    let shutdown = within("draining", move || {
        let drain = std::thread::spawn(move || handle.shutdown(Shutdown::Drain(PATIENCE)));
        while !drain.is_finished() {
            match alice.send(to, noise(9, 1)) {
                // it was accepted before the drain began
                Ok(_) => {}
                Err(SendError::Refused(refused)) => {
                    assert_eq!(refused.reason, RefusedReason::ShuttingDown);
                    break;
                }
                Err(SendError::Closed(_)) => break,
                Err(other) => panic!("{other}"),
            }
        }
        drain.join().unwrap()
    });

    assert_eq!(shutdown, Ok(()));
    for receipt in &receipts {
        let outcome = receipt.try_outcome();
        assert!(matches!(outcome, Some(Outcome::Acknowledged { .. })));
    }
    let mut expected: Vec<_> = (0..3).map(|n| noise(n, 60_000)).collect();
    expected.sort_unstable();
    let mut received = Vec::new();
    while received.len() < expected.len() {
        received.extend(Some(next(&*bob).data).filter(|data| data.len() > 1));
    }
    received.sort_unstable();
    assert_eq!(received, expected);
}

fn a_drain_that_takes_too_long_is_cut_short(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(53, cast);
    stage.network.set_loss(1.0);
    let receipt = alice.send(bob.address(), noise(1, 100)).unwrap();
    let drain = Shutdown::Drain(std::time::Duration::from_millis(300));
    alice.shutdown(drain).unwrap();
    assert_eq!(outcome(&*receipt), FAILED);
    assert_eq!(alice.stop_reason(), Some(StopReason::Requested));
}

fn messages_that_have_arrived_survive_a_shutdown(cast: &Cast) {
    let stage = Stage::new(54);
    let alice = stage.join(cast.alice, ALICE);
    let mut config = stage.config(BOB);
    config.limits.delivery_window = 8;
    let bob = stage.join_with(cast.bob, BOB, config);
    let message = |n: u64| noise(n, 300);
    for n in 0..6 {
        acknowledged(&*alice.send(bob.address(), message(n)).unwrap());
    }
    until("all have arrived", || bob.stats().messages_delivered == 6);

    bob.shutdown(Shutdown::Now).unwrap();

    let mut expected: Vec<_> = (0..6).map(message).collect();
    expected.sort_unstable();
    assert_eq!(next_sorted(&*bob, 6), expected);
    assert_eq!(bob.recv(), Err(Closed));
}

fn a_client_nobody_holds_ends_by_itself(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(55, cast);
    let receipt = alice.send(bob.address(), noise(1, 5_000_000)).unwrap();
    let facts = alice.events();

    drop(alice);

    assert_eq!(outcome(&*receipt), FAILED);
    let last = within("the facts end", || facts.last());
    assert_eq!(last, Some(Fact::Connectivity(Connectivity::Closed)));
}

fn any_handle_keeps_a_client_alive(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(56, cast);
    let other = alice.handle();
    drop(alice);
    let receipt = other.send(bob.address(), noise(1, 100)).unwrap();
    assert_eq!(next(&*bob).data, noise(1, 100));
    acknowledged(&*receipt);
}

fn senders_that_wait_for_room_are_released(cast: &Cast) {
    let stage = Stage::new(58);
    let mut config = stage.config(ALICE);
    config.limits.outbox_messages_max = 2;
    let mut options = stage.options(ALICE);
    options.send_queue = 1;
    let identity = stage.identity(ALICE);
    let alice = cast.alice.connect(config, identity, options).unwrap();
    let data = noise(1, 5_000_000);
    let (started, starts) = std::sync::mpsc::channel();
    let senders: Vec<_> = (0..6)
        .map(|_| {
            let (alice, data, started) = (alice.handle(), data.clone(), started.clone());
            std::thread::spawn(move || {
                started.send(()).unwrap();
                alice.send(alice.address(), data).map(drop)
            })
        })
        .collect();
    starts.iter().take(senders.len()).for_each(drop);
    until("two are accepted", || alice.stats().messages_accepted == 2);

    alice.shutdown(Shutdown::Now).unwrap();

    let refused = within("the senders return", || {
        let sent = senders.into_iter().map(|sender| sender.join().unwrap());
        sent.filter_map(Result::err).collect::<Vec<_>>()
    });
    assert_eq!(refused.len(), 4);
    for error in refused {
        assert_eq!(error.into_data(), data);
    }
}

fn counters_and_facts_agree_with_what_happened(cast: &Cast) {
    let stage = Stage::new(57);
    let mut config = stage.config(ALICE);
    // cover in every slot: fewer of them, or a busy machine does nothing else
    config.traffic.cover = true;
    config.traffic.main_interval = Duration::from_millis(15);
    let alice = stage.join_with(cast.alice, ALICE, config);
    let bob = stage.join(cast.bob, BOB);
    let mut fragments = 0;
    for n in 0..4 {
        let data = noise(n, 4000 * n as usize);
        let receipt = alice.send_anonymous(bob.address(), 10, data).unwrap();
        let DeliveryOrigin::Anonymous(tag) = next(&*bob).origin else {
            panic!("not anonymous");
        };
        let reply = bob.reply(tag, noise(n, 100)).unwrap();
        next(&*alice);
        fragments += u64::from(acknowledged(&*receipt));
        acknowledged(&*reply);
    }
    let is_covered = || alice.stats().cover_received > 0 && alice.stats().cover_acks_received > 0;
    until("cover comes back", is_covered);

    let stats = alice.stats();
    assert_eq!(stats.messages_accepted, 4);
    assert_eq!(stats.messages_acknowledged, 4);
    assert_eq!(stats.messages_failed, 0);
    assert_eq!(stats.messages_delivered, 4);
    assert!(stats.real_packets - stats.retransmissions >= fragments);
    assert!(stats.acks_received >= fragments);
    assert!(stats.cover_packets >= stats.cover_received);
    assert_eq!(stats.sessions, 1);
    assert!(stats.surbs_made >= 40);
    assert!(stats.bandwidth > 0);
    let packets = stats.real_packets + stats.cover_packets;
    assert!(stats.bytes_written > packets * 2000);
    assert!(stats.bytes_received > stats.cover_received * 1000);
    let bad = [
        stats.bad_frames,
        stats.bad_packets,
        stats.bad_messages,
        stats.deliveries_dropped,
        stats.sets_dropped,
    ];
    assert_eq!(bad, [0; 5]);
    assert!(bob.stats().surbs_received >= 40);
    assert!(bob.stats().surbs_used >= 4);

    let facts = alice.facts();
    let states: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Connectivity(state) => Some(*state),
            _ => None,
        })
        .collect();
    use Connectivity::{Authenticating, Connecting, Ready};
    assert_eq!(states, [Connecting, Authenticating, Ready]);
    assert!(facts.contains(&Fact::Address(alice.address())));
    let is_topology = |fact: &Fact| matches!(fact, Fact::Topology { nodes: 5, refused: 0, .. });
    assert!(facts.iter().any(is_topology));
    let state = alice.state().unwrap();
    assert!(state.registration().is_some());
    assert_eq!(state.registration(), alice.registration().as_ref());
    names_no_correspondent(&facts, &*bob);
    names_no_correspondent(&bob.facts(), &*alice);
}

/// No fact shows any part of the address of somebody written to or heard from.
fn names_no_correspondent(facts: &[Fact], correspondent: &dyn Peer) {
    let address = correspondent.address();
    let text = format!("{facts:?}");
    for name in [
        address.to_string(),
        address.identity.to_string(),
        address.encryption.to_string(),
        format!("{:?}", address.identity),
        format!("{:?}", address.encryption),
    ] {
        assert!(!text.contains(&name), "{name} in {text}");
    }
}

fn is_closed(alice: &dyn Peer, bob: &dyn Peer) -> bool {
    let data = noise(7, 10);
    match alice.send(bob.address(), data.clone()) {
        Err(error @ SendError::Closed(_)) => error.into_data() == data,
        _ => false,
    }
}
