use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A path of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nym-kept-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.0).unwrap()
    }

    fn len(&self) -> u64 {
        std::fs::metadata(&self.0).unwrap().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn put(key: u8, value: &[u8]) -> Change {
    Change::put([key], value.to_vec())
}

fn held(store: &FileStore) -> Vec<(u8, Vec<u8>)> {
    store.kept.iter().map(|(key, value)| (key[0], value.to_vec())).collect()
}

#[test]
fn what_was_applied_is_there_after_opening_again() {
    let place = Place::new();
    let mut store = place.open();
    store.apply(&[put(1, b"one"), put(2, b"two")]).unwrap();
    store.apply(&[Change::erase([1]), put(2, b"zwei"), put(3, b"")]).unwrap();
    store.sync().unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(held(&store), [(2, b"zwei".to_vec()), (3, vec![])]);
    assert_eq!(store.damaged(), 0);
}

#[test]
fn a_record_cut_short_anywhere_counts_as_never_written() {
    let place = Place::new();
    let mut store = place.open();
    store.apply(&[put(1, b"one")]).unwrap();
    let before = place.len();
    store.apply(&[put(1, b"other"), put(2, b"two")]).unwrap();
    drop(store);
    let whole = std::fs::read(&place.0).unwrap();
    for len in before..whole.len() as u64 {
        std::fs::write(&place.0, &whole[..len as usize]).unwrap();
        let mut store = place.open();
        assert_eq!(held(&store), [(1, b"one".to_vec())], "cut at {len}");
        assert_eq!(place.len(), before);
        store.apply(&[put(9, b"nine")]).unwrap();
        drop(store);
        assert_eq!(held(&place.open()).len(), 2);
    }
}

#[test]
fn a_file_cut_within_its_magic_is_an_empty_one() {
    let place = Place::new();
    drop(place.open());
    for len in 0..MAGIC.len() {
        std::fs::write(&place.0, &MAGIC[..len]).unwrap();
        let mut store = place.open();
        store.apply(&[put(1, b"one")]).unwrap();
        drop(store);
        assert_eq!(held(&place.open()), [(1, b"one".to_vec())]);
    }
}

#[test]
fn a_damaged_record_is_skipped_and_counted_and_the_next_ones_count() {
    let place = Place::new();
    let mut store = place.open();
    let mut ends = vec![place.len() as usize];
    for n in 1..=3 {
        store.apply(&[put(n, b"value")]).unwrap();
        ends.push(place.len() as usize);
    }
    drop(store);
    let whole = std::fs::read(&place.0).unwrap();
    for at in ends[1] + 4..ends[2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&place.0, bytes).unwrap();
        let store = place.open();
        assert_eq!(held(&store), [(1, b"value".to_vec()), (3, b"value".to_vec())], "byte {at}");
        assert_eq!(store.damaged(), 1);
    }
}

#[test]
fn the_file_does_not_grow_with_what_is_replaced_or_erased() {
    let place = Place::new();
    let mut store = place.open();
    store.apply(&[put(1, b"stays")]).unwrap();
    for n in 0..2000_u32 {
        store.apply(&[put(2, &[7; 500])]).unwrap();
        if n % 2 == 1 {
            store.apply(&[Change::erase([2])]).unwrap();
        }
    }
    assert!(place.len() < 2 * SLACK, "{}", place.len());
    drop(store);
    assert_eq!(held(&place.open()), [(1, b"stays".to_vec())]);
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let place = Place::new();
    std::fs::write(&place.0, "dear diary").unwrap();
    assert!(matches!(FileStore::open(&place.0), Err(OpenError::Foreign)));
    assert_eq!(std::fs::read(&place.0).unwrap(), b"dear diary");
}

#[test]
fn a_file_in_use_is_refused_before_and_after_a_rewrite() {
    let place = Place::new();
    let mut store = place.open();
    assert!(matches!(FileStore::open(&place.0), Err(OpenError::InUse)));
    for _ in 0..300 {
        store.apply(&[put(2, &[7; 500])]).unwrap();
    }
    assert!(place.len() < 2 * SLACK, "rewritten");
    assert!(matches!(FileStore::open(&place.0), Err(OpenError::InUse)));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file_also_after_a_rewrite() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let mode = || std::fs::metadata(&place.0).unwrap().permissions().mode() & 0o777;
    let mut store = place.open();
    assert_eq!(mode(), 0o600);
    for _ in 0..300 {
        store.apply(&[put(2, &[7; 500])]).unwrap();
    }
    assert_eq!(mode(), 0o600);
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
