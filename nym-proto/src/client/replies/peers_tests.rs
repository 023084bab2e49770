use super::*;
use crate::address::{NodeAddress, Recipient};
use crate::entropy::{Entropy, Purpose as StreamOf};
use crate::identity::Identity;
use crate::message::ReplyKey;
use crate::sphinx::{Delay, Hop, PacketBuilder as _, SphinxBuilder};
use crate::time::UnixTime;
use crate::topology::directory::KeyRotationInfo;

/// Bytes of the address of the first hop of all SURBs here.
const LEN: usize = 7;
const TAG: SenderTag = SenderTag::from_bytes([1; 16]);

fn at(secs: u64) -> Instant {
    Instant::START + Duration::from_secs(secs)
}

fn list(count: usize, rotation: KeyRotation) -> SurbList {
    let mut stream = Entropy::new([1; 32]).stream(StreamOf::Other(1));
    let identity = Identity::generate(&mut stream);
    let own = Recipient {
        identity: *identity.identity.public(),
        encryption: identity.encryption.public(),
        gateway: *identity.identity.public(),
    };
    let address: NodeAddress = "10.0.0.1:1789".parse::<core::net::SocketAddr>().unwrap().into();
    assert_eq!(address.encoded_len(), LEN);
    let hop = Hop { address, key: identity.encryption.public() };
    let surb = SphinxBuilder::new()
        .make_surb(&[hop; 4], &[Delay::default(); 4], &own.identity, &mut stream)
        .unwrap();
    let surb = ReplySurb { key: ReplyKey::draw(&mut stream), surb };
    let mut bytes = Vec::new();
    surb.encode(&mut bytes);
    let surbs = (0..count).map(|_| ReplySurb::decode(&bytes).unwrap()).collect();
    SurbList { surbs, rotation }
}

fn store(peers: &mut Peers, now: Instant, tag: u8, count: usize) {
    let tag = SenderTag::from_bytes([tag; 16]);
    peers.store(now, tag, list(count, KeyRotation::Odd), false);
}

fn held(peers: &Peers, tag: u8) -> usize {
    peers.peers.get(&SenderTag::from_bytes([tag; 16])).map_or(0, |peer| peer.surbs.len())
}

fn peers(limits: Limits) -> Peers {
    Peers::new(ReplyConfig::default(), &limits)
}

#[test]
fn a_wall_clock_that_is_ahead_drops_no_surb() {
    let mut peers = peers(Limits::default());
    let (hour, start) = (Duration::from_secs(3600), UnixTime::from_secs(1_000_000));
    let info = KeyRotationInfo {
        validity_epochs: 24,
        initial_epoch_id: 1000,
        current_epoch_id: 1100,
        current_epoch_start: start,
        epoch_duration: hour,
    };
    peers.rotations.set(at(0), start, info, (1100, Some(start)));
    peers.store(at(0), TAG, list(5, KeyRotation::Even), false);
    // three days ahead of the directory
    peers.rotations.set(at(10), start + hour * 72, info, (1100, Some(start)));
    peers.expire(at(10));
    assert_eq!(held(&peers, 1), 5);
    assert!(peers.can_take(at(10), &TAG, LEN, Purpose::Request));
    // the directory says so too
    let later = start + hour * 72;
    let info = KeyRotationInfo { current_epoch_id: 1172, current_epoch_start: later, ..info };
    peers.rotations.set(at(20), later, info, (1172, Some(later)));
    assert!(!peers.can_take(at(20), &TAG, LEN, Purpose::Request));
    peers.expire(at(20));
    assert_eq!(held(&peers, 1), 0);
}

#[test]
fn surbs_grow_old_even_if_their_correspondent_keeps_writing() {
    let mut peers = peers(Limits::default());
    peers.store(at(0), TAG, list(1, KeyRotation::Odd), false);
    let later = at(0) + ReplyConfig::default().key_age_max;
    peers.store(later, TAG, list(0, KeyRotation::Odd), false);
    let before = Instant::from_nanos(later.as_nanos() - 1);
    assert!(peers.can_take(before, &TAG, LEN, Purpose::Request));
    assert!(!peers.can_take(later, &TAG, LEN, Purpose::Request));
    peers.expire(later);
    assert_eq!((peers.surbs_held, peers.surbs_dropped), (0, 1));
}

#[test]
fn data_leaves_the_reserve_alone_and_requests_use_it_up() {
    let mut peers = peers(Limits::default());
    store(&mut peers, at(0), 1, 7);
    let mut take = |purpose| peers.take(at(1), &TAG, LEN, (purpose, Order::OldestFirst)).is_some();
    assert!(take(Purpose::Data) && take(Purpose::Data));
    assert!(!take(Purpose::Data));
    assert!((0..5).all(|_| take(Purpose::Request)));
    assert!(!take(Purpose::Request));
}

#[test]
fn what_was_lost_is_repeated_with_the_newest_surb() {
    let mut peers = peers(Limits::default());
    peers.store(at(0), TAG, list(20, KeyRotation::Odd), false);
    peers.store(at(1), TAG, list(20, KeyRotation::Even), false);
    let mut take = |order| peers.take(at(2), &TAG, LEN, (Purpose::Data, order)).unwrap().1;
    let (first, again) = (take(Order::OldestFirst), take(Order::NewestFirst));
    assert_eq!((first, again), (KeyRotation::Odd, KeyRotation::Even));
}

#[test]
fn a_request_from_the_reserve_goes_out_twice_a_second_or_two_apart() {
    let mut peers = peers(Limits::default());
    store(&mut peers, at(0), 1, 3);
    let ask = peers.poll_request(at(1), &TAG, 4).unwrap();
    assert_eq!(ask, Ask { amount: 10, is_from_reserve: true });
    peers.requested(at(1), &TAG, 1, ask.amount);
    assert_eq!(peers.poll_request(at(1), &TAG, 400), None);
    assert_eq!(peers.poll_request(at(3), &TAG, 4), Some(ask));
    peers.requested(at(3), &TAG, 2, ask.amount);
    assert_eq!(peers.poll_request(at(4), &TAG, 4), None);
    // what has not left when SURBs come stays here
    assert_eq!(peers.store(at(5), TAG, list(10, KeyRotation::Odd), true), [1, 2]);
    assert_eq!(peers.poll_request(at(5), &TAG, 4), None);
}

#[test]
fn a_lost_request_is_made_again() {
    let mut peers = peers(Limits::default());
    store(&mut peers, at(0), 1, 3);
    let ask = peers.poll_request(at(1), &TAG, 1).unwrap();
    peers.requested(at(1), &TAG, 1, ask.amount);
    peers.request_sent(at(1), &TAG, 1);
    peers.peers.get_mut(&TAG).unwrap().second = None;
    assert_eq!(peers.poll_request(at(8), &TAG, 1), None);
    // overdue, then a pause
    assert_eq!(peers.poll_request(at(9), &TAG, 1), None);
    assert!(peers.poll_request(at(12), &TAG, 1).is_some());
    assert_eq!(peers.requests_lost, 1);
}

#[test]
fn heavy_use_asks_ahead_of_exhaustion() {
    let mut peers = peers(Limits::default());
    store(&mut peers, at(0), 1, 300);
    assert_eq!(peers.poll_request(at(0), &TAG, 1), None);
    for n in 0..200 {
        let now = at(1) + Duration::from_millis(50) * n;
        assert!(peers.take(now, &TAG, LEN, (Purpose::Data, Order::OldestFirst)).is_some());
    }
    // twenty a second for a round trip of four and a margin of three seconds
    let ask = peers.poll_request(at(11), &TAG, 0);
    assert_eq!(ask, None, "100 are enough at the beginning of the average");
    for n in 0..50 {
        let now = at(11) + Duration::from_millis(50) * n;
        assert!(peers.take(now, &TAG, LEN, (Purpose::Data, Order::OldestFirst)).is_some());
    }
    let ask = peers.poll_request(at(14), &TAG, 0).unwrap();
    assert!(!ask.is_from_reserve && ask.amount >= 20, "{ask:?}");
}

#[test]
fn nobody_is_asked_who_was_not_answered() {
    let mut peers = peers(Limits::default());
    store(&mut peers, at(0), 1, 1);
    assert_eq!(peers.poll_request(at(1), &TAG, 0), None);
    assert!(peers.poll_request(at(1), &TAG, 1).is_some());
}

#[test]
fn a_flood_of_surbs_costs_the_flooding_correspondents_and_nobody_else() {
    let limits = Limits {
        correspondents_max: 4,
        surbs_per_correspondent_max: 50,
        surbs_max: 100,
        ..Limits::default()
    };
    let mut peers = peers(limits);
    store(&mut peers, at(0), 1, 20);
    for n in 0..10 {
        for tag in 2..5 {
            store(&mut peers, at(1 + n), tag, 40);
        }
    }
    assert_eq!(held(&peers, 1), 20);
    assert_eq!(peers.surbs_held, 100);
    assert!((2..5).all(|tag| held(&peers, tag) <= 50));
    assert_eq!(peers.surbs_dropped, 20 + 1200 - 100);
}

#[test]
fn new_correspondents_take_the_place_of_those_nobody_answers() {
    let limits = Limits { correspondents_max: 3, ..Limits::default() };
    let mut peers = peers(limits);
    for tag in 1..=3 {
        store(&mut peers, at(tag.into()), tag, 20);
    }
    assert_eq!(peers.poll_request(at(3), &TAG, 5), None);
    for tag in 4..100 {
        store(&mut peers, at(tag.into()), tag, 20);
    }
    assert!(peers.knows(&TAG));
    assert_eq!((peers.peers.len(), peers.peers_dropped), (3, 96));
    assert_eq!(peers.surbs_held, 60);
}

/// Epochs of 1000 s, rotations of two; rotation 1 begins at 0.
fn rotating() -> Peers {
    let mut peers = peers(Limits::default());
    let unix = UnixTime::from_secs(1_000_000);
    let info = KeyRotationInfo {
        validity_epochs: 2,
        initial_epoch_id: 0,
        current_epoch_id: 2,
        current_epoch_start: unix,
        epoch_duration: Duration::from_secs(1000),
    };
    peers.rotations.set(at(0), unix, info, (2, Some(unix)));
    peers
}

#[test]
fn old_surbs_go_first_while_they_are_alive_and_are_never_used_when_dead() {
    let mut peers = rotating();
    peers.store(at(2001), TAG, list(2, KeyRotation::Even), false);
    // an old one comes late
    peers.store(at(2002), TAG, list(1, KeyRotation::Odd), false);
    let taken = peers.take(at(2003), &TAG, LEN, (Purpose::Request, Order::OldestFirst)).unwrap();
    assert_eq!(taken.1, KeyRotation::Odd);
    peers.store(at(2004), TAG, list(1, KeyRotation::Odd), false);
    let taken = peers.take(at(3000), &TAG, LEN, (Purpose::Request, Order::OldestFirst)).unwrap();
    assert_eq!(taken.1, KeyRotation::Even);
    peers.expire(at(3000));
    assert_eq!(held(&peers, 1), 1);
    // two rotations on the stamp is the right one again, and the SURB is dead
    assert!(!peers.can_take(at(6001), &TAG, LEN, Purpose::Request));
}

#[test]
fn after_a_change_replacements_are_asked_for_with_old_surbs() {
    let mut peers = rotating();
    peers.store(at(100), TAG, list(20, KeyRotation::Odd), false);
    assert_eq!(peers.poll_request(at(100), &TAG, 1), None);
    assert_eq!(peers.poll_request(at(2010), &TAG, 0), None);
    assert!(peers.poll_request(at(2400), &TAG, 0).is_some());
}

#[test]
fn before_a_change_only_what_is_needed_is_asked_for() {
    let mut peers = rotating();
    peers.store(at(1700), TAG, list(20, KeyRotation::Odd), false);
    assert_eq!(peers.poll_request(at(1700), &TAG, 200).unwrap().amount, 50);
    assert_eq!(peers.poll_request(at(1800), &TAG, 200).unwrap().amount, 10);
}
