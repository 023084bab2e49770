//! What applications do with the published SDK, at our gateway and in conversation with our client.

use nym_peers_sdk::{OURS, Stage, THEIRS, acknowledged, within};
use nym_proto::client::DeliveryOrigin;
use nym_proto::message::SenderTag;
use nym_sdk::mixnet::{IncludedSurbs, MixnetMessageSender as _};

/// One packet, several, and more than a set of fragments holds.
const LENGTHS: [usize; 4] = [1, 1602, 20_000, 450_000];

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 / 7) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_registers_and_writes_to_itself() {
    let mut stage = Stage::new(1).await;
    let itself = *stage.theirs.nym_address();
    within("sending", stage.theirs.send_plain_message(itself, "note")).await.unwrap();
    let note = stage.their_next().await;
    assert_eq!(note.message, b"note");
    within("sending", stage.theirs.send_reply(note.sender_tag.unwrap(), "noted")).await.unwrap();
    assert_eq!(stage.their_next().await.message, b"noted");
    let stats = stage.network.stats();
    assert_eq!(stats.gateways[THEIRS].registrations, 1);
    within("the end", stage.theirs.disconnect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways() {
    let mut stage = Stage::new(2).await;
    for len in LENGTHS {
        let data = data(len);
        let to = stage.our_address();
        let surbs = IncludedSurbs::ExposeSelfAddress;
        within("sending", stage.theirs.send_message(to, &data, surbs)).await.unwrap();
        let delivery = stage.our_next();
        assert_eq!((&delivery.data[..], delivery.origin), (&data[..], DeliveryOrigin::Plain));

        let receipt = stage.ours.send(stage.their_address(), data.clone()).unwrap();
        let received = stage.their_next().await;
        assert_eq!((received.message, received.sender_tag), (data, None));
        acknowledged(&receipt);
    }
    within("the end", stage.theirs.disconnect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_replies_to_an_anonymous_sdk() {
    let mut stage = Stage::new(3).await;
    let to = stage.our_address();
    within("sending", stage.theirs.send_message(to, "who am I?", IncludedSurbs::Amount(10)))
        .await
        .unwrap();
    let delivery = stage.our_next();
    assert_eq!(&delivery.data[..], b"who am I?");
    let DeliveryOrigin::Anonymous(tag) = delivery.origin else { panic!("{:?}", delivery.origin) };
    // the last needs more SURBs than came with the message
    for len in [1, 5_000, 100_000] {
        let data = data(len);
        stage.ours.reply(tag, data.clone()).unwrap();
        assert_eq!(stage.their_next().await.message, data);
    }
    within("the end", stage.theirs.disconnect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_replies_to_our_anonymous_client() {
    let mut stage = Stage::new(4).await;
    let to = stage.their_address();
    acknowledged(&stage.ours.send_anonymous(to, 10, "who am I?").unwrap());
    let received = stage.their_next().await;
    assert_eq!(received.message, b"who am I?");
    let tag = received.sender_tag.unwrap();
    for len in [1, 5_000, 100_000] {
        let data = data(len);
        within("sending", stage.theirs.send_reply(tag, &data)).await.unwrap();
        let delivery = stage.our_next();
        assert_eq!((&delivery.data[..], delivery.origin), (&data[..], DeliveryOrigin::Reply(to)));
    }
    within("the end", stage.theirs.disconnect()).await;
}

/// The SDK does not always connect again: only if its writer is the first to meet the end of the connection, and not its
/// reader. On a busy machine it often is not, and nothing arrives any more. The conversation then begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_survives_a_restart_of_either_gateway() {
    for seed in 5..15 {
        let mut stage = Stage::new(seed).await;
        let is_over = converse_over_restarts(&mut stage).await;
        within("the end", stage.theirs.disconnect()).await;
        if is_over {
            return;
        }
        eprintln!("the SDK did not connect again");
    }
    panic!("the SDK never connected again");
}

/// False if the SDK does not connect again.
async fn converse_over_restarts(stage: &mut Stage) -> bool {
    let tag = meet(stage).await;
    for gateway in [THEIRS, OURS] {
        // under way while the gateway is gone
        let to = stage.our_address();
        let (there, back, reply) = (data(60_000), data(61_000), data(8_000));
        let surbs = IncludedSurbs::ExposeSelfAddress;
        within("sending", stage.theirs.send_message(to, &there, surbs)).await.unwrap();
        let receipt = stage.ours.send(stage.their_address(), back.clone()).unwrap();
        stage.network.stop_gateway(gateway);
        stage.network.start_gateway(gateway, true).unwrap();
        if gateway == THEIRS && !stage.has_authentication(THEIRS).await {
            return false;
        }

        assert_eq!(stage.our_next().data, there);
        assert_eq!(stage.their_next().await.message, back);
        acknowledged(&receipt);
        // and after it is back
        stage.ours.reply(tag, reply.clone()).unwrap();
        assert_eq!(stage.their_next().await.message, reply);
        let stats = &stage.network.stats().gateways[gateway];
        assert!(stats.registrations == 0 && stats.authentications >= 1, "{stats:?}");
    }
    true
}

/// The SDK's client writes anonymously; returns its tag.
async fn meet(stage: &mut Stage) -> SenderTag {
    let to = stage.our_address();
    within("sending", stage.theirs.send_message(to, "hello", IncludedSurbs::Amount(50)))
        .await
        .unwrap();
    match stage.our_next().origin {
        DeliveryOrigin::Anonymous(tag) => tag,
        other => panic!("{other:?}"),
    }
}
