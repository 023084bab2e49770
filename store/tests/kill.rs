//! A process that writes is killed again and again, and what it said was kept is kept.
#![cfg(unix)]

mod killing;
mod support;

use std::path::Path;
use std::process::Command;

use killing::{Chance, killed};
use nym_proto::client::{Change, MemoryStore};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_shell::Store as _;
use nym_store::{Profile, StoreError};
use support::Place;

/// Set for the process that is killed: the profile it writes to.
const VICTIM: &str = "NYM_STORE_KILL_TEST_DIR";
const KILLS: u32 = 320;
/// Where the number of the last transaction is.
const COUNTER: [u8; 2] = [201, 0];

fn identity() -> Identity {
    Identity::generate(&mut Entropy::new([1; 32]).stream(Purpose::Identity))
}

/// Transaction `n`: some values put in place of others, some erased, and its number. Every tenth is a
/// large one.
fn transaction(n: u64) -> Vec<Change> {
    let key = |slot: u64| [200, slot as u8];
    let value = |slot: u64| vec![(n ^ slot) as u8; 40 + (n * 97 + slot * 31) as usize % 900];
    let slots = if n.is_multiple_of(10) { 48 } else { 3 };
    let puts = (0..slots).map(|slot| Change::put(key((n + slot) % 64), value(slot)));
    let erased = [Change::erase(key((n + 50) % 64)), Change::erase(key((n + 57) % 64))];
    let counter = Change::put(COUNTER, n.to_be_bytes().to_vec());
    puts.chain(erased).chain([counter]).collect()
}

fn counter(entries: &MemoryStore) -> u64 {
    let counter = entries.iter().find(|(key, _)| *key == COUNTER);
    counter.map_or(0, |(_, value)| u64::from_be_bytes(value.try_into().unwrap()))
}

/// The process that is killed. Does nothing when run as a test.
#[test]
fn applies_transactions_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let profile = Profile::open(dir).unwrap();
    let mut store = profile.store();
    let last = counter(&profile.entries().unwrap());
    for n in last + 1.. {
        store.apply(&transaction(n)).unwrap();
        killing::report(n);
    }
}

/// This executable again, to run that test alone on that folder.
fn victim(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", test]).env(VICTIM, dir);
    command
}

fn has_the_identity(profile: &Profile) -> bool {
    profile.identity().identity.seed() == identity().identity.seed()
        && profile.identity().encryption.as_bytes() == identity().encryption.as_bytes()
        && profile.identity().ack == identity().ack
}

#[test]
fn what_was_reported_as_kept_survives_hundreds_of_kills_and_every_transaction_is_whole() {
    let place = Place::new();
    drop(Profile::create(place.dir(), &identity()).unwrap());
    let mut chance = Chance::new(0x6e79_6d6b_6570_7431);
    let (mut model, mut done) = (MemoryStore::new(), 0);
    for kill in 0..KILLS {
        let victim = victim("applies_transactions_until_it_is_killed", place.dir());
        let reported = killed(victim, &mut chance).unwrap_or(done);
        let profile = Profile::open(place.dir()).unwrap();
        let entries = profile.entries().unwrap();
        let kept = counter(&entries);
        assert!(
            (reported..=reported + 1).contains(&kept),
            "kill {kill}: {reported} were reported as kept, {kept} are there"
        );
        for n in done + 1..=kept {
            model.apply(&transaction(n));
        }
        done = kept;
        assert!(model.iter().eq(entries.iter()), "kill {kill}: transaction {kept} is not whole");
        assert!(has_the_identity(&profile));
    }
    assert!(done > u64::from(KILLS), "only {done} transactions");
}

/// Another process that is killed. Does nothing when run as a test.
#[test]
fn makes_profiles_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    for n in 0.. {
        drop(Profile::create(Path::new(&dir).join(n.to_string()), &identity()).unwrap());
        killing::report(n);
    }
}

#[test]
fn a_profile_whose_making_was_killed_is_whole_or_can_be_made_again() {
    let mut chance = Chance::new(0x6e79_6d6d_6164_6531);
    let mut unmade = 0;
    for kill in 0..40 {
        let place = Place::new();
        let reported =
            killed(victim("makes_profiles_until_it_is_killed", place.dir()), &mut chance);
        for n in 0..=reported.map_or(0, |last| last + 1) {
            let dir = place.dir().join(n.to_string());
            let is_reported = reported.is_some_and(|last| n <= last);
            assert!(!is_reported || Profile::exists(&dir), "kill {kill}: {n} was reported");
            let profile = match Profile::exists(&dir) {
                true => Profile::open(&dir),
                false => {
                    unmade += 1;
                    Profile::create(&dir, &identity())
                }
            };
            assert!(has_the_identity(&profile.unwrap()), "kill {kill}");
        }
    }
    assert!(unmade > 0, "every kill came too late");
}

#[test]
fn a_profile_in_use_by_another_process_is_refused_until_that_is_killed() {
    let place = Place::new();
    drop(Profile::create(place.dir(), &identity()).unwrap());
    let command = victim("applies_transactions_until_it_is_killed", place.dir());
    let mut process = killing::Reporting::start(command);
    process.next().unwrap();
    match Profile::open(place.dir()) {
        Err(StoreError::InUse { pid, .. }) => assert_eq!(pid, Some(process.id())),
        other => panic!("{other:?}"),
    }
    process.kill();
    Profile::open(place.dir()).unwrap();
}
