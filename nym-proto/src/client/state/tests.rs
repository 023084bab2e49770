use zeroize::Zeroizing;

use super::entry::SurbBytes;
use super::*;
use crate::address::{NodeAddress, Recipient};
use crate::entropy::{Entropy, Purpose};
use crate::gateway::SharedKey;
use crate::identity::Identity;
use crate::message::{Origin, ReplyKey, ReplySurb, SenderTag, SetId};
use crate::sphinx::{Delay, Hop, KeyRotation, PacketBuilder as _, SphinxBuilder};

fn decode(key: &[u8], value: &[u8]) -> Option<(UnixTime, Entry)> {
    codec::decode(key, value, &mut codec::Recipients::default())
}

const AT: UnixTime = UnixTime::from_secs(1_767_225_600);

/// One of every kind.
fn samples() -> Vec<Entry> {
    let mut stream = Entropy::new([7; 32]).stream(Purpose::Other(1));
    let identity = Identity::generate(&mut stream);
    let gateway = *identity.identity.public();
    let recipient =
        Recipient { identity: gateway, encryption: identity.encryption.public(), gateway };
    let address: NodeAddress = "10.0.0.1:1789".parse::<core::net::SocketAddr>().unwrap().into();
    let hop = Hop { address, key: identity.encryption.public() };
    let surb = SphinxBuilder::new()
        .make_surb(&[hop; 4], &[Delay::default(); 4], &gateway, &mut stream)
        .unwrap();
    let surb = SurbBytes::new(&ReplySurb { key: ReplyKey::draw(&mut stream), surb });
    let tag = SenderTag::draw(&mut stream);
    let set = SetId::draw(&mut stream);
    let shared_key = SharedKey::from_bytes(stream.bytes());
    vec![
        Entry::Registration(Registration { gateway, shared_key, last_authentication: 1 << 33 }),
        Entry::Contact { conversation: 3, recipient, tag },
        Entry::ReplyKey {
            key: ReplyKey::draw(&mut stream),
            recipient,
            conversation: 3,
            rotation: 700,
        },
        Entry::Peer { tag, is_answered: true },
        Entry::Surb { tag, number: 1 << 40, stamp: KeyRotation::Even, rotation: Some(700), surb },
        Entry::Finished { origin: Origin::Open, set, hashes: [1, u64::MAX].into() },
        Entry::Finished { origin: Origin::Reply(9), set, hashes: vec![5; 255].into() },
    ]
}

fn encoded(entry: &Entry) -> (Vec<u8>, Zeroizing<Vec<u8>>) {
    let change = codec::encode(AT, entry);
    (change.key().to_vec(), Zeroizing::new(change.value().unwrap().to_vec()))
}

#[test]
fn every_kind_of_entry_is_read_back_as_it_was_written() {
    for entry in samples() {
        let (key, value) = encoded(&entry);
        assert!(key.len() <= Change::KEY_MAX && value.len() <= Change::VALUE_MAX);
        let (written_at, read) = decode(&key, &value).unwrap();
        assert_eq!(written_at, AT);
        assert!(read == entry);
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_is_noticed() {
    for entry in samples() {
        let (key, value) = encoded(&entry);
        for len in 0..value.len() {
            assert!(decode(&key, &value[..len]).is_none());
        }
        for len in 0..key.len() {
            assert!(decode(&key[..len], &value).is_none());
        }
        for bit in 0..8 * (key.len() + value.len()) {
            let (mut key, mut value) = (key.clone(), value.clone());
            match bit / 8 {
                at if at < key.len() => key[at] ^= 1 << (bit % 8),
                at => value[at - key.len()] ^= 1 << (bit % 8),
            }
            assert!(decode(&key, &value).is_none(), "bit {bit}");
        }
    }
}

#[test]
fn garbage_of_any_length_is_skipped_and_counted() {
    let mut stream = Entropy::new([8; 32]).stream(Purpose::Other(1));
    let garbage: Vec<(Vec<u8>, Vec<u8>)> = (0..600)
        .map(|i| {
            let (mut key, mut value) = (vec![0; i % 41], vec![0; i]);
            stream.fill(&mut key);
            stream.fill(&mut value);
            (key, value)
        })
        .collect();
    let state = State::load(garbage);
    assert_eq!((state.len(), state.skipped()), (0, 600));
}

#[test]
fn a_damaged_entry_does_not_harm_the_others() {
    let mut entries: Vec<_> = samples().iter().map(encoded).collect();
    entries[2].1[10] ^= 1;
    let state = State::load(entries);
    assert_eq!((state.len(), state.skipped()), (samples().len() - 1, 1));
}

#[test]
fn folded_changes_are_the_state() {
    let mut journal = Journal::default();
    for entry in samples() {
        journal.put(entry);
    }
    journal.erase(samples()[1].key());
    let mut changes = Vec::new();
    journal.drain_into(AT, &mut changes);
    let mut store = MemoryStore::new();
    store.apply(&changes);
    assert_eq!((store.len(), store.state().len()), (samples().len() - 1, samples().len() - 1));
    let again = store.state().to_store();
    assert!(again.iter().eq(store.iter()));
    let Entry::Registration(registration) = &samples()[0] else { panic!() };
    assert_eq!(store.state().registration(), Some(registration));
    assert_eq!(changes[0].registration().as_ref(), Some(registration));
}

fn registration(seed: u8, last_authentication: u64) -> Registration {
    let gateway = *crate::identity::IdentityKeyPair::from_seed(&[seed; 32]).public();
    let shared_key = SharedKey::from_bytes([seed; 32]);
    Registration { gateway, shared_key, last_authentication }
}

#[test]
fn a_preferred_registration_counts_as_the_one_used_last() {
    let mut state = State::from(registration(1, 50));
    state.add_registration(registration(2, 40));
    assert_eq!(state.registrations().count(), 2);
    assert!(state.prefer(&registration(2, 0).gateway));
    assert_eq!(state.registration(), Some(&registration(2, 51)));
    assert!(state.prefer(&registration(2, 0).gateway));
    assert_eq!(state.registration(), Some(&registration(2, 51)), "it is that already");
    assert!(!state.prefer(&registration(3, 0).gateway));
    assert_eq!(state.registrations().count(), 2);
}

#[test]
fn an_assembled_state_is_kept_and_read_like_any_other() {
    let mut state = State::from(registration(1, 50));
    let (mut peers, mut surbs, mut contacts) = (0, 0, 0);
    for entry in samples() {
        match entry {
            Entry::Contact { recipient, tag, .. } => {
                state.add_contact(AT, recipient, tag);
                state.add_contact(AT, recipient, tag);
            }
            Entry::Surb { tag, stamp, surb, .. } => {
                state.add_surb(AT, tag, stamp, &surb.decode().unwrap());
                state.add_surb(AT, tag, stamp, &surb.decode().unwrap());
            }
            _ => {}
        }
    }
    let read = state.to_store().state();
    assert_eq!((read.len(), read.skipped()), (state.len(), 0));
    for key in read.entries.keys() {
        match key {
            EntryKey::Peer(_) => peers += 1,
            EntryKey::Surb(..) => surbs += 1,
            EntryKey::Contact(_) => contacts += 1,
            _ => {}
        }
    }
    assert_eq!((peers, surbs, contacts), (1, 2, 2));
}

#[test]
fn nothing_secret_and_nobodys_name_shows_in_debug_output() {
    for entry in samples() {
        let change = codec::encode(AT, &entry);
        let text = format!("{change:?}");
        assert!(text.contains("redacted") && text.len() < 60, "{text}");
        assert!(!text.contains('['), "{text}");
    }
}
