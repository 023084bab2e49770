//! Two clients with one identity: the second must wait, the first goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Fact, Shutdown};
use nym_runtime_std::ConnectError;
use tests::stage::{BOB, Stage, noise};
use tests::wait::{acknowledged, growing_limits, next, until};
use tests::{Cast, Peer};

over_both_runtimes!(
    a_second_client_of_one_identity_is_turned_away_and_the_first_goes_on,
    a_second_client_that_knows_the_key_comes_in_once_the_first_has_gone,
);

fn a_second_client_of_one_identity_is_turned_away_and_the_first_goes_on(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(41, cast);
    let failure = growing_limits()
        .skip(2)
        .find_map(|limit| turned_away(&stage, cast, limit, &*alice, &*bob))
        .expect("the twin fails in time");
    let expected = "the gateway refused the client";
    assert!(failure.contains(expected), "{failure}");
    assert_undisturbed(&*bob);
}

fn a_second_client_that_knows_the_key_comes_in_once_the_first_has_gone(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(42, cast);
    let mut config = stage.config(BOB);
    config.state = bob.registration().unwrap().into();
    let (identity, options) = (stage.identity(BOB), stage.options(BOB + 1));

    let twin = thread::scope(|scope| {
        let twin = scope.spawn(|| cast.bob.connect(config, identity, options));
        let refusals = || stage.network.stats().gateways[usize::from(BOB)].refusals;
        until("the twin is turned away", || refusals() > 0);
        exchange(&*alice, &*bob, 1);
        assert_undisturbed(&*bob);
        bob.shutdown(Shutdown::Now).unwrap();
        twin.join().unwrap().unwrap()
    });

    assert_eq!(twin.address(), bob.address());
    exchange(&*alice, &*twin, 2);
}

/// Has a twin of Bob try to connect while Alice and Bob talk. Returns what it failed with last.
fn turned_away(
    stage: &Stage,
    cast: &Cast,
    limit: Duration,
    alice: &dyn Peer,
    bob: &dyn Peer,
) -> Option<String> {
    let mut options = stage.options(BOB + 1);
    options.connect_timeout = limit;
    let (config, identity) = (stage.config(BOB), stage.identity(BOB));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let twin = scope.spawn(|| {
            let twin = cast.bob.connect(config, identity, options);
            is_over.store(true, Ordering::Release);
            twin.map(drop).unwrap_err()
        });
        let mut n = 0;
        while n < 10 || !is_over.load(Ordering::Acquire) {
            exchange(alice, bob, n);
            n += 1;
        }
        match twin.join().unwrap() {
            ConnectError::TimedOut { last_failure, .. } => last_failure,
            other => panic!("{other}"),
        }
    })
}

fn exchange(alice: &dyn Peer, bob: &dyn Peer, n: u64) {
    let message: Bytes = noise(n, 300);
    let receipt = alice.send(bob.address(), message.clone()).unwrap();
    assert_eq!(next(bob).data, message);
    acknowledged(&*receipt);
}

fn assert_undisturbed(bob: &dyn Peer) {
    assert_eq!(bob.stats().sessions, 1);
    let has_failed = |fact: &Fact| matches!(fact, Fact::ConnectionFailed { .. });
    assert!(!bob.facts().iter().any(has_failed));
}
