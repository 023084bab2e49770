//! Anonymous messages and their answers.

use bytes::Bytes;
use nym_proto::client::{Delivery, DeliveryOrigin, RefusedReason};
use nym_proto::message::SenderTag;
use nym_runtime_std::SendError;
use tests::Cast;
use tests::stage::{Stage, noise};
use tests::wait::{acknowledged, next};

between_runtimes!(an_anonymous_message_is_answered, a_reply_larger_than_the_surbs_given_arrives,);
over_both_runtimes!(
    an_anonymous_message_is_answered,
    a_reply_larger_than_the_surbs_given_arrives,
    an_empty_reply_is_refused_and_comes_back,
    a_message_that_carries_only_a_tag_is_answered_once_surbs_follow,
);

fn an_anonymous_message_is_answered(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(21, cast);
    let mut tags = Vec::new();
    for (question, answer) in [("who is there?", "bob"), ("", "is there more?")] {
        let receipt = alice.send_anonymous(bob.address(), 10, Bytes::from(question));
        let asked = next(&*bob);
        assert_eq!(asked.data, question);
        tags.push(tag_of(&asked));

        let reply = bob.reply(tag_of(&asked), Bytes::from(answer)).unwrap();
        let answered = next(&*alice);
        assert_eq!(answered.data, answer);
        assert_eq!(answered.origin, DeliveryOrigin::Reply(bob.address()));
        acknowledged(&*receipt.unwrap());
        acknowledged(&*reply);
    }
    assert_eq!(tags[0], tags[1]);
}

fn a_reply_larger_than_the_surbs_given_arrives(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(22, cast);
    alice.send_anonymous(bob.address(), 5, Bytes::from_static(b"tell me everything")).unwrap();
    let tag = tag_of(&next(&*bob));
    let everything = noise(1, 60_000);

    let reply = bob.reply(tag, everything.clone()).unwrap();

    let answered = next(&*alice);
    assert_eq!(answered.data, everything);
    assert_eq!(answered.origin, DeliveryOrigin::Reply(bob.address()));
    assert!(acknowledged(&*reply) > 5);
    assert!(bob.stats().surb_requests_sent > 0);
    assert!(alice.stats().surbs_made > 5);
}

fn an_empty_reply_is_refused_and_comes_back(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(23, cast);
    alice.send_anonymous(bob.address(), 5, Bytes::from_static(b"say something")).unwrap();
    let tag = tag_of(&next(&*bob));
    let Err(SendError::Refused(refused)) = bob.reply(tag, Bytes::new()) else {
        panic!("an empty reply was accepted");
    };
    assert_eq!(refused.reason, RefusedReason::EmptyReply);
    assert!(refused.message.data.is_empty());
    bob.reply(tag, Bytes::from_static(b"something")).unwrap();
    assert_eq!(next(&*alice).data, "something");
}

fn a_message_that_carries_only_a_tag_is_answered_once_surbs_follow(cast: &Cast) {
    let (_stage, alice, bob) = Stage::with_clients(24, cast);
    alice.send_anonymous(bob.address(), 0, Bytes::from_static(b"no stamps left")).unwrap();
    let tag = tag_of(&next(&*bob));
    let reply = bob.reply(tag, Bytes::from_static(b"then wait")).unwrap();
    assert_eq!(reply.try_outcome(), None);
    alice.send_anonymous(bob.address(), 10, Bytes::from_static(b"stamps")).unwrap();
    assert_eq!(tag_of(&next(&*bob)), tag);
    assert_eq!(next(&*alice).data, "then wait");
    acknowledged(&*reply);
}

fn tag_of(delivery: &Delivery) -> SenderTag {
    match delivery.origin {
        DeliveryOrigin::Anonymous(tag) => tag,
        other => panic!("{other:?}"),
    }
}
