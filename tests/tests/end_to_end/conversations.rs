//! Messages of all sizes, many at a time, over a network that loses some.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::{
    DeliveryOrigin, FailReason, Lane, Network, Outcome, RefusedReason, Target,
};
use nym_runtime_std::{SendError, SendOptions};
use tests::stage::{ALICE, BOB, Stage, noise};
use tests::wait::{acknowledged, next, next_sorted, outcome};
use tests::{Cast, Receipt};

between_runtimes!(messages_of_all_sizes_arrive_intact);
over_both_runtimes!(
    messages_of_all_sizes_arrive_intact,
    a_client_can_write_to_itself,
    a_message_that_is_refused_comes_back,
    a_client_needs_no_directory_if_it_has_a_topology,
    many_threads_send_through_one_client,
    senders_wait_for_room_and_all_get_through,
    messages_that_cannot_arrive_end_as_asked,
    a_slow_application_sends_and_later_gets_all_it_is_owed,
    a_closed_lane_ends_its_messages_and_no_others,
    over_a_lossy_network_every_message_arrives_once,
);

fn messages_of_all_sizes_arrive_intact(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(1, cast);
    for size in [1, 0, 2048] {
        let data = noise(size, size as usize);
        let receipt = alice.send(bob.address(), data.clone()).unwrap();
        let delivery = next(&*bob);
        assert_eq!(delivery.data, data);
        assert_eq!(delivery.origin, DeliveryOrigin::Plain);
        assert!(acknowledged(&*receipt) >= 1);
    }
    let large = noise(9, 600_000);
    let receipt = alice.send(bob.address(), large.clone()).unwrap();
    assert_eq!(next(&*bob).data, large);
    // a set has at most 255 fragments
    assert!(acknowledged(&*receipt) > 255);
    assert_eq!(bob.try_recv(), None);
}

fn a_client_can_write_to_itself(cast: &Cast) {
    let stage = Stage::new(2);
    let alice = stage.join(cast.alice, ALICE);
    let note = Bytes::from_static(b"note to self");
    let receipt = alice.send_anonymous(alice.address(), 3, note.clone());
    let delivery = next(&*alice);
    assert_eq!(delivery.data, note);
    let DeliveryOrigin::Anonymous(tag) = delivery.origin else {
        panic!("{:?}", delivery.origin);
    };
    let answer = alice.reply(tag, Bytes::from_static(b"noted"));
    assert_eq!(next(&*alice).origin, DeliveryOrigin::Reply(alice.address()));
    acknowledged(&*receipt.unwrap());
    acknowledged(&*answer.unwrap());
}

fn a_message_that_is_refused_comes_back(cast: &Cast) {
    let stage = Stage::new(3);
    let mut config = stage.config(ALICE);
    config.limits.message_bytes_max = 5000;
    config.limits.surbs_per_message_max = 20;
    let alice = stage.join_with(cast.alice, ALICE, config);
    let me = alice.address();
    let data = noise(0, 5001);

    let too_large = alice.send(me, data.clone());
    let too_many_surbs = alice.send_anonymous(me, 21, data.clone());
    let stranger = nym_proto::message::SenderTag::from_bytes([7; 16]);
    let unknown_tag = alice.reply(stranger, data.slice(..10));

    let refusal = |sent: tests::runtime::Sent| match sent.map(drop).unwrap_err() {
        SendError::Refused(refused) => (refused.reason, refused.message.data),
        other => panic!("{other}"),
    };
    let reason = RefusedReason::TooLarge { bytes: 5001, max: 5000 };
    assert_eq!(refusal(too_large), (reason, data.clone()));
    let reason = RefusedReason::TooManySurbs { surbs: 21, max: 20 };
    assert_eq!(refusal(too_many_surbs), (reason, data.clone()));
    let reason = RefusedReason::UnknownTag;
    assert_eq!(refusal(unknown_tag), (reason, data.slice(..10)));
}

fn a_client_needs_no_directory_if_it_has_a_topology(cast: &Cast) {
    let stage = Stage::new(4);
    let [alice, bob] = [(cast.alice, ALICE), (cast.bob, BOB)].map(|(runtime, name)| {
        let mut config = stage.config(name);
        config.network = Network::Fixed(stage.network.topology());
        stage.join_with(runtime, name, config)
    });
    let data = noise(1, 1000);
    let receipt = alice.send(bob.address(), data.clone()).unwrap();
    assert_eq!(next(&*bob).data, data);
    acknowledged(&*receipt);
}

fn many_threads_send_through_one_client(cast: &Cast) {
    const THREADS: u64 = 8;
    const MESSAGES: u64 = 10;
    let (stage, alice, bob) = Stage::with_clients(5, cast);
    let to = bob.address();
    let message = |n: u64| noise(n, 40 * n as usize + 8);

    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            let handle = alice.handle();
            thread::spawn(move || {
                let numbers = thread * MESSAGES..(thread + 1) * MESSAGES;
                let send = |n| handle.send(to, message(n)).unwrap();
                numbers.map(send).collect::<Vec<Box<dyn Receipt>>>()
            })
        })
        .collect();
    let received = next_sorted(&*bob, (THREADS * MESSAGES) as usize);
    let receipts: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();

    let mut expected: Vec<_> = (0..THREADS * MESSAGES).map(message).collect();
    expected.sort_unstable();
    assert_eq!(received, expected);
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| receipt.id()).collect();
    assert_eq!(ids.len(), receipts.len());
    for receipt in &receipts {
        acknowledged(&**receipt);
    }
    assert_eq!(bob.try_recv(), None);
    drop(stage);
}

fn senders_wait_for_room_and_all_get_through(cast: &Cast) {
    let stage = Stage::new(10);
    let mut config = stage.config(ALICE);
    config.limits.outbox_messages_max = 3;
    let mut options = stage.options(ALICE);
    options.send_queue = 1;
    let alice = cast.alice.connect(config, stage.identity(ALICE), options);
    let (alice, bob) = (alice.unwrap(), stage.join(cast.bob, BOB));
    let to = bob.address();
    let message = |n: u64| noise(n, 100);
    let senders: Vec<_> = (0..4)
        .map(|thread| {
            let handle = alice.handle();
            thread::spawn(move || {
                for n in 0..10 {
                    handle.send(to, message(thread * 10 + n)).unwrap();
                }
            })
        })
        .collect();
    let received = next_sorted(&*bob, 40);
    let mut expected: Vec<_> = (0..40).map(message).collect();
    expected.sort_unstable();
    assert_eq!(received, expected);
    for sender in senders {
        sender.join().unwrap();
    }
}

fn messages_that_cannot_arrive_end_as_asked(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(11, cast);
    stage.network.set_loss(1.0);
    let short =
        SendOptions { expires_after: Some(Duration::from_millis(200)), ..SendOptions::default() };
    let few = SendOptions { attempts_max: Some(2), ..SendOptions::default() };
    let target = Target::Plain(bob.address());
    let [short, few] = [short, few].map(|options| {
        let sent = alice.send_with(target.clone(), noise(1, 100), options);
        sent.unwrap()
    });
    assert!(matches!(outcome(&*short), Outcome::Expired { .. }));
    let failed = Outcome::Failed(FailReason::TooManyAttempts(2));
    assert_eq!(outcome(&*few), failed);
    assert_eq!(alice.stats().messages_failed, 2);
    assert_eq!(bob.try_recv(), None);
}

fn a_slow_application_sends_and_later_gets_all_it_is_owed(cast: &Cast) {
    const OWED: u64 = 30;
    let stage = Stage::new(6);
    let alice = stage.join(cast.alice, ALICE);
    let mut config = stage.config(BOB);
    config.limits.delivery_window = 2;
    let bob = stage.join_with(cast.bob, BOB, config);
    let message = |n: u64| noise(n, 500);

    for n in 0..OWED {
        let receipt = alice.send(bob.address(), message(n)).unwrap();
        // bob, who takes nothing, writes meanwhile
        let answer = bob.send(alice.address(), message(OWED + n)).unwrap();
        assert_eq!(next(&*alice).data, message(OWED + n));
        acknowledged(&*answer);
        acknowledged(&*receipt);
    }
    assert!(bob.stats().messages_delivered <= 2);

    let received = next_sorted(&*bob, OWED as usize);
    let mut expected: Vec<_> = (0..OWED).map(message).collect();
    expected.sort_unstable();
    assert_eq!(received, expected);
    assert_eq!(bob.try_recv(), None);
    assert_eq!(bob.stats().deliveries_dropped, 0);
}

fn a_closed_lane_ends_its_messages_and_no_others(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(7, cast);
    let lane = Lane::Connection(5);
    let options = SendOptions { lane, ..SendOptions::default() };
    let target = Target::Plain(bob.address());
    let doomed = alice.send_with(target, noise(1, 2_000_000), options);
    let doomed = doomed.unwrap();
    let kept = alice.send(bob.address(), noise(2, 20_000)).unwrap();
    assert!(alice.lane_len(lane).unwrap() > 0);
    assert!(alice.lane(lane).unwrap().bytes >= 2_000_000);
    let progress = alice.progress(doomed.id()).unwrap().unwrap();
    assert!(progress.transmitted < progress.fragments, "{progress:?}");

    alice.close_lane(lane).unwrap();

    let failed = Outcome::Failed(FailReason::LaneClosed);
    assert_eq!(outcome(&*doomed), failed);
    assert_eq!(alice.lane_len(lane), Ok(0));
    assert_eq!(alice.progress(doomed.id()), Ok(None));
    assert_eq!(next(&*bob).data, noise(2, 20_000));
    acknowledged(&*kept);
}

fn over_a_lossy_network_every_message_arrives_once(cast: &Cast) {
    let (stage, alice, bob) = Stage::with_clients(8, cast);
    stage.network.set_loss(0.1);
    let message = |n: u64| noise(n, 3000 * n as usize);

    let receipts: Vec<_> = (0..8)
        .map(|n| {
            let sent = alice.send_anonymous(bob.address(), 5, message(n));
            sent.unwrap()
        })
        .collect();

    let received = next_sorted(&*bob, receipts.len());
    let mut expected: Vec<_> = (0..receipts.len() as u64).map(message).collect();
    expected.sort_unstable();
    assert_eq!(received, expected);
    for receipt in &receipts {
        acknowledged(&**receipt);
    }
    assert_eq!(bob.try_recv(), None);
    assert!(alice.stats().retransmissions > 0);
    let lost: u64 = stage.network.stats().mixes.iter().map(|mix| mix.lost).sum();
    assert!(lost > 0);
}
