//! Every named scenario keeps its promises, and does not when it is spoiled.

use std::thread;

use nym_testnet::sim::Suite;
use nym_testnet::sim::scenarios::{ALL, Named, Options, Played};

fn options(is_spoiled: bool) -> Options {
    Options { seed: 1, suite: Suite::Transparent, is_spoiled }
}

/// Plays all of them, two at a time.
fn each(play: impl Fn(&Named) + Sync) {
    thread::scope(|scope| {
        for part in 0..2 {
            let play = &play;
            scope.spawn(move || ALL.iter().skip(part).step_by(2).for_each(play));
        }
    });
}

#[test]
fn all_promises_are_kept() {
    each(|scenario| {
        let Played { checks, .. } = scenario.play(options(false), None).unwrap();
        let broken: Vec<_> = checks.iter().filter(|check| !check.holds).collect();
        assert!(broken.is_empty(), "{}: {broken:?}", scenario.name);
        assert!(checks.len() > 1, "{}: {checks:?}", scenario.name);
    });
}

#[test]
fn promises_that_cannot_be_kept_are_not() {
    each(|scenario| {
        // breaking a general rule will do
        if let Ok(played) = scenario.play(options(true), None) {
            assert!(!played.is_good(), "{}: {:?}", scenario.name, played.checks);
        }
    });
}

#[test]
fn a_scenario_is_found_by_its_name() {
    for scenario in ALL {
        let found = Named::find(scenario.name).map(|found| found.about);
        assert_eq!(found, Some(scenario.about));
    }
    assert!(Named::find("list").is_none());
}
