//! Gateways that go and come back, clients that go and come back.

use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Connectivity, DeliveryOrigin, Fact, Outcome, Shutdown, Target};
use nym_runtime_std::SendOptions;
use nym_testnet::loopback::LoopbackConfig;
use tests::stage::{ALICE, BOB, Stage, noise};
use tests::wait::{acknowledged, next, next_sorted, outcome, until};
use tests::{Cast, Peer, Receipt};

over_both_runtimes!(
    recipients_kicked_in_mid_transfer_are_reached_again,
    a_gateway_that_wants_to_be_paid_is_reported,
    a_gateway_restarts_with_its_store_in_mid_transfer,
    a_gateway_restarts_without_its_store_in_mid_transfer,
    clients_kicked_in_mid_transfer_lose_nothing_they_send,
    a_recipient_whose_gateway_restarts_is_reached_again,
    a_recipient_whose_gateway_forgot_it_is_reached_again,
    a_recipient_that_was_offline_gets_its_messages_when_it_returns,
    a_client_told_of_another_network_comes_back,
);

const GATEWAY_OF_ALICE: usize = ALICE as usize;
const GATEWAY_OF_BOB: usize = BOB as usize;

fn a_gateway_restarts_with_its_store_in_mid_transfer(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(31, cast);
    let key = alice.registration().unwrap().shared_key;
    let (file, receipt) = begin_transfer(&*alice, &*bob);

    stage.network.stop_gateway(GATEWAY_OF_ALICE);
    until("alice notices", || !is_ready(&*alice));
    stage.network.start_gateway(GATEWAY_OF_ALICE, true).unwrap();

    assert_eq!(next(&*bob).data, file);
    acknowledged(&*receipt);
    assert_eq!(bob.try_recv(), None);
    until("alice is back", || is_ready(&*alice));
    assert_eq!(alice.registration().unwrap().shared_key, key);
    let gateway = &stage.network.stats().gateways[GATEWAY_OF_ALICE];
    assert_eq!((gateway.registrations, gateway.authentications), (0, 1));
}

fn a_gateway_restarts_without_its_store_in_mid_transfer(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(32, cast);
    let key = alice.registration().unwrap().shared_key;
    let (file, receipt) = begin_transfer(&*alice, &*bob);

    stage.network.stop_gateway(GATEWAY_OF_ALICE);
    until("alice notices", || !is_ready(&*alice));
    stage.network.start_gateway(GATEWAY_OF_ALICE, false).unwrap();

    assert_eq!(next(&*bob).data, file);
    acknowledged(&*receipt);
    assert_eq!(bob.try_recv(), None);
    // on a busy machine the transfer may end before the gateway stops
    until("alice registers anew", || alice.registration().unwrap().shared_key != key);
    until("alice is back", || is_ready(&*alice));
    let gateway = &stage.network.stats().gateways[GATEWAY_OF_ALICE];
    assert_eq!((gateway.registrations, gateway.authentications), (1, 0));
}

fn clients_kicked_in_mid_transfer_lose_nothing_they_send(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(33, cast);
    let (file, receipt) = begin_transfer(&*alice, &*bob);
    for kick in 2..5 {
        stage.network.kick_clients(GATEWAY_OF_ALICE);
        until("alice is back", || alice.stats().sessions >= kick);
    }
    assert_eq!(next(&*bob).data, file);
    acknowledged(&*receipt);
    assert_eq!(bob.try_recv(), None);
}

/// What a gateway has acknowledged and not yet written is lost with the connection, so that the
/// message under way may stay incomplete. It does not come twice, and later ones come.
fn recipients_kicked_in_mid_transfer_are_reached_again(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(38, cast);
    let (file, receipt) = begin_transfer(&*alice, &*bob);
    for kick in 2..4 {
        stage.network.kick_clients(GATEWAY_OF_BOB);
        until("bob is back", || bob.stats().sessions >= kick);
    }
    acknowledged(&*receipt);
    let last = Bytes::from_static(b"the end");
    acknowledged(&*alice.send(bob.address(), last.clone()).unwrap());
    let mut data = next(&*bob).data;
    if data == file {
        data = next(&*bob).data;
    }
    assert_eq!(data, last);
    assert_eq!(bob.try_recv(), None);
}

fn a_gateway_that_wants_to_be_paid_is_reported(cast: &Cast) {
    let config = LoopbackConfig { enforce_credentials: true, ..LoopbackConfig::default() };
    let stage = Stage::with_network(39, config);
    let alice = stage.join(cast.alice, ALICE);
    let options =
        SendOptions { expires_after: Some(Duration::from_millis(300)), ..SendOptions::default() };
    let target = Target::Plain(alice.address());
    let receipt = alice.send_with(target, noise(1, 10), options).unwrap();
    assert!(matches!(outcome(&*receipt), Outcome::Expired { .. }));
    let is_error = |fact: &Fact| matches!(fact, Fact::GatewayError(_));
    assert!(alice.facts().iter().any(is_error));
    until("it is told", || alice.connectivity() == Connectivity::Degraded);
}

fn a_recipient_whose_gateway_restarts_is_reached_again(cast: &Cast) {
    recipient_is_reached_after_a_restart(34, cast, true);
}

fn a_recipient_whose_gateway_forgot_it_is_reached_again(cast: &Cast) {
    recipient_is_reached_after_a_restart(35, cast, false);
}

fn recipient_is_reached_after_a_restart(seed: u8, cast: &Cast, keep_store: bool) {
    let (stage, alice, bob) = Stage::with_clients(seed, cast);
    let address = bob.address();
    alice.send_anonymous(address, 10, Bytes::from_static(b"before")).unwrap();
    let DeliveryOrigin::Anonymous(tag) = next(&*bob).origin else {
        panic!("not anonymous");
    };

    stage.network.stop_gateway(GATEWAY_OF_BOB);
    until("bob notices", || !is_ready(&*bob));
    let meanwhile = alice.send(address, noise(1, 20_000)).unwrap();
    let answer = bob.reply(tag, Bytes::from_static(b"late")).unwrap();
    stage.network.start_gateway(GATEWAY_OF_BOB, keep_store).unwrap();

    assert_eq!(next(&*bob).data, noise(1, 20_000));
    assert_eq!(next(&*alice).data, "late");
    acknowledged(&*meanwhile);
    acknowledged(&*answer);
    assert_eq!(bob.address(), address);
    assert_eq!(bob.try_recv(), None);
}

fn a_recipient_that_was_offline_gets_its_messages_when_it_returns(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(36, cast);
    let address = bob.address();
    let state = bob.state();
    bob.shutdown(Shutdown::Now).unwrap();
    let message = |n: u64| noise(n, 5000);

    let receipts: Vec<_> = (0..3).map(|n| alice.send(address, message(n)).unwrap()).collect();
    for receipt in &receipts {
        acknowledged(&**receipt);
    }
    assert!(stage.network.stats().gateways[GATEWAY_OF_BOB].stored > 0);
    let mut config = stage.config(BOB);
    config.state = state.unwrap();
    let options = stage.options(BOB + 1);
    let bob = cast.bob.connect(config, stage.identity(BOB), options);
    let bob = bob.unwrap();

    assert_eq!(bob.address(), address);
    let received = next_sorted(&*bob, receipts.len());
    let mut expected: Vec<_> = (0..3).map(message).collect();
    expected.sort_unstable();
    assert_eq!(received, expected);
    assert_eq!(bob.try_recv(), None);
    let gateway = &stage.network.stats().gateways[GATEWAY_OF_BOB];
    assert_eq!((gateway.registrations, gateway.authentications), (1, 1));
}

fn a_client_told_of_another_network_comes_back(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(37, cast);
    stage.network.stop_gateway(GATEWAY_OF_ALICE);
    until("alice notices", || !is_ready(&*alice));
    stage.network.start_gateway(GATEWAY_OF_ALICE, true).unwrap();
    alice.network_changed().unwrap();
    until("alice is back", || is_ready(&*alice));
    alice.send(bob.address(), Bytes::from_static(b"back again")).unwrap();
    assert_eq!(next(&*bob).data, "back again");
}

/// Sends a file and waits until a part of it has been acknowledged.
fn begin_transfer(alice: &dyn Peer, bob: &dyn Peer) -> (Bytes, Box<dyn Receipt>) {
    let file = noise(1, 600_000);
    let receipt = alice.send(bob.address(), file.clone()).unwrap();
    until("the transfer has begun", || alice.stats().acks_received > 20);
    (file, receipt)
}

fn is_ready(peer: &dyn Peer) -> bool {
    peer.connectivity() == Connectivity::Ready
}
