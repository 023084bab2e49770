//! The database against the store in memory.

mod support;

use nym_proto::client::{Change, MemoryStore};
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_shell::Store as _;
use nym_store::Profile;
use proptest::prelude::*;
use support::Place;

/// Few keys, so that they meet; of all lengths, and values of all lengths.
fn change() -> impl Strategy<Value = Change> {
    let key = prop_oneof![
        prop::collection::vec(0..3_u8, 0..4),
        prop::collection::vec(any::<u8>(), Change::KEY_MAX),
    ];
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..80),
        1 => prop::collection::vec(any::<u8>(), Change::VALUE_MAX - 8..=Change::VALUE_MAX),
    ];
    (key, prop::option::weighted(0.7, value)).prop_map(|(key, value)| match value {
        Some(value) => Change::put(key, value),
        None => Change::erase(key),
    })
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<Change>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => prop::collection::vec(change(), 0..12).prop_map(Step::Apply),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_database_holds_what_the_store_in_memory_holds(
        steps in prop::collection::vec(step(), 1..14),
    ) {
        let place = Place::new();
        let identity = Identity::generate(&mut Entropy::new([1; 32]).stream(Purpose::Identity));
        let mut profile = Profile::create(place.dir(), &identity).unwrap();
        let mut model = MemoryStore::new();
        for step in steps.into_iter().chain([Step::Reopen]) {
            match step {
                Step::Apply(changes) => {
                    model.apply(&changes);
                    profile.store().apply(&changes).unwrap();
                }
                Step::Reopen => {
                    drop(profile);
                    profile = Profile::open(place.dir()).unwrap();
                }
            }
            prop_assert!(model.iter().eq(profile.entries().unwrap().iter()));
        }
        prop_assert_eq!(profile.identity().identity.public(), identity.identity.public());
    }
}
