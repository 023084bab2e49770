//! A process that writes is killed again and again, and what it said was kept is kept.
#![cfg(unix)]

mod killing;

use std::path::{Path, PathBuf};
use std::process::Command;

use killing::{Chance, killed};
use nym_proto::client::{Change, MemoryStore};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_shell::Store as _;
use nym_store::Profile;

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

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn victim(dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "applies_transactions_until_it_is_killed"]);
    command.env(VICTIM, dir);
    command
}

#[test]
fn what_was_reported_as_kept_survives_hundreds_of_kills_and_every_transaction_is_whole() {
    let place = Place(std::env::temp_dir().join(format!("nym-store-kill-{}", std::process::id())));
    let _ = std::fs::remove_dir_all(&place.0);
    drop(Profile::create(&place.0, &identity()).unwrap());
    let mut chance = Chance::new(0x6e79_6d6b_6570_7431);
    let (mut model, mut done) = (MemoryStore::new(), 0);
    for kill in 0..KILLS {
        let reported = killed(victim(&place.0), &mut chance).unwrap_or(done);
        let profile = Profile::open(&place.0).unwrap();
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
        assert_eq!(profile.identity().identity.seed(), identity().identity.seed());
    }
    assert!(done > u64::from(KILLS), "only {done} transactions");
}
