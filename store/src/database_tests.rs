use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use redb::StorageBackend;

use super::*;
use crate::Profile;
use crate::testing::*;

type Held = BTreeMap<Vec<u8>, Vec<u8>>;

fn held(content: &Content) -> Held {
    content.entries.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// A transaction over several pages.
fn changes(n: u8) -> Vec<Change> {
    (0..40).map(|key| Change::put([200, key], vec![n ^ key; 100 + 70 * usize::from(key)])).collect()
}

/// The bytes of a database in use, and of the same when it was closed, with what was in it before the
/// last transaction and after it.
fn samples() -> (Vec<u8>, Vec<u8>, [Held; 2]) {
    let place = Place::new();
    let profile = place.create();
    let mut store = profile.store();
    let now = || held(&read(&place.dir().join("data"), identity(1).identity.public()).unwrap());
    store.apply(&changes(1)).unwrap();
    let before = now();
    store.apply(&changes(2)).unwrap();
    let (in_use, after) = (std::fs::read(place.state()).unwrap(), now());
    drop((store, profile));
    let closed = std::fs::read(place.state()).unwrap();
    (in_use, closed, [before, after])
}

/// Reads as an opening does. A panic that gets out fails the test.
fn parsed(bytes: Vec<u8>) -> Option<Held> {
    let place = Place::new();
    std::fs::create_dir_all(place.dir()).unwrap();
    let mut file = private::options().create_new(true).open(place.dir().join(NAME)).unwrap();
    io::Write::write_all(&mut file, &bytes).unwrap();
    let read = read(place.dir(), identity(1).identity.public());
    read.ok().map(|content| held(&content))
}

/// Places of bits to flip: many in the header, and some in each page that is in use.
fn places(bytes: &[u8]) -> Vec<usize> {
    let header = (0..8 * 320).step_by(11);
    let pages =
        bytes.chunks(4096).enumerate().skip(1).filter(|(_, page)| page.iter().any(|b| *b != 0));
    let in_pages =
        pages.flat_map(|(page, _)| [3, 67, 900, 17_001, 32_767].map(|bit| page * 32_768 + bit));
    header.chain(in_pages).filter(|bit| bit / 8 < bytes.len()).collect()
}

/// A file in memory that counts how often it is waited for.
#[derive(Debug)]
struct Counting(Image, Arc<AtomicU32>);

impl StorageBackend for Counting {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

#[test]
fn a_transaction_waits_for_the_disk_once() {
    let syncs = Arc::new(AtomicU32::new(0));
    let backend = Counting(Image::new(Zeroizing::new(Vec::new())), syncs.clone());
    let db = builder().create_with_backend(backend).unwrap();
    let commit = |n| {
        let fill = |_: &mut About<'_>, entries: &mut Entries<'_>| {
            changes(n).iter().try_for_each(|change| put(entries, change))
        };
        write(&db, fill).unwrap();
    };
    // the file grows at first, which it is waited for as well
    (0..5).for_each(&commit);
    let before = syncs.load(Ordering::Relaxed);
    (5..25).for_each(commit);
    assert_eq!(syncs.load(Ordering::Relaxed) - before, 20);
}

#[test]
fn a_flipped_bit_in_a_closed_file_is_an_error_or_changes_nothing() {
    let (_, closed, [_, after]) = samples();
    let mut noticed = 0;
    let places = places(&closed);
    for &bit in &places {
        let mut bytes = closed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match parsed(bytes) {
            Some(entries) => assert!(entries == after, "bit {bit} gives another state"),
            None => noticed += 1,
        }
    }
    assert!(noticed > places.len() / 4, "{noticed} of {}", places.len());
}

#[test]
fn a_flipped_bit_in_a_file_that_a_crash_left_costs_the_last_transaction_at_most() {
    let (in_use, _, states) = samples();
    for bit in places(&in_use) {
        let mut bytes = in_use.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Some(entries) = parsed(bytes) {
            assert!(states.contains(&entries), "bit {bit} gives another state");
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_a_state_that_was() {
    let (in_use, closed, states) = samples();
    for bytes in [in_use, closed] {
        let short = (0..700).step_by(13);
        let long = (700..bytes.len()).step_by(bytes.len() / 100);
        let ends = [bytes.len() - 1, bytes.len() - 4096];
        for len in short.chain(long).chain(ends) {
            if let Some(entries) = parsed(bytes[..len].to_vec()) {
                assert!(states.contains(&entries), "{len} bytes give another state");
            }
        }
    }
}

#[test]
fn garbage_after_the_start_of_a_database_is_an_error() {
    for fill in [0, 0x55, 0xff] {
        for len in [9, 10, 64, 320, 512, 4096, 100_000] {
            let mut bytes = REDB.to_vec();
            bytes.resize(len, fill);
            assert_eq!(parsed(bytes), None, "{len} bytes {fill:#x}");
        }
    }
}

#[test]
fn registrations_are_saved_from_a_file_whose_other_pages_are_damaged() {
    let place = Place::new();
    let profile = place.create();
    profile.store().apply(&[authenticates(registration(3, 7))]).unwrap();
    profile.store().apply(&changes(1)).unwrap();
    drop(profile);
    // the value of an entry late in the order of keys
    let mut bytes = std::fs::read(place.state()).unwrap();
    let value = [1 ^ 39; 2000];
    let at = bytes.windows(2000).position(|part| part == value).unwrap();
    bytes[at] ^= 1;
    std::fs::write(place.state(), bytes).unwrap();
    assert!(matches!(Profile::open(place.dir()), Err(StoreError::StateDamaged { .. })));
    let recovered = Profile::recover(place.dir()).unwrap().unwrap();
    let profile = Profile::open(place.dir()).unwrap();
    assert_eq!(recovered.registrations, profile.registrations().unwrap().len());
    assert_eq!(profile.entries().unwrap().len(), recovered.registrations);
    assert_eq!(profile.registrations().unwrap(), [registration(3, 7)]);
}
