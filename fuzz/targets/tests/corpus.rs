//! Runs every target over its committed corpus, so that what a fuzzer has found once stays found.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use nym_fuzz_targets::{CANARY, TARGETS, Target};

/// Bytes of all corpora together.
const CORPORA_BYTES_MAX: u64 = 2 << 20;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(corpora().join(target.name)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// One test per target, so that they run side by side and a failure has a name.
macro_rules! replay {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name)).unwrap();
            replay(target);
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = BTreeSet::from([$(stringify!($name)),*]);
            let targets: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(replayed, targets);
        }
    };
}

replay! {
    gateway_text gateway_frame node_frame handshake authentication sphinx_peel message fragments
    directory topology_file replies client network mixnode gateway websocket
}

fn replay(target: &Target) {
    let inputs = corpus(target);
    assert!(!inputs.is_empty(), "{} has no corpus", target.name);
    for (path, input) in &inputs {
        println!("{}", path.display());
        (target.run)(input);
    }
    // edges that no corpus keeps for long
    (target.run)(&[]);
    (target.run)(&[0; 600]);
    (target.run)(&[255; 600]);
}

#[test]
fn the_seeds_of_every_target_are_in_its_corpus() {
    for target in TARGETS.iter().chain([&CANARY]) {
        let known: BTreeSet<Vec<u8>> = corpus(target).into_iter().map(|(_, input)| input).collect();
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            assert!(known.contains(&seed), "seed {number} of {} is missing", target.name);
        }
    }
}

#[test]
fn the_canary_fails_on_its_magic_and_on_nothing_that_is_committed() {
    for (_, input) in corpus(&CANARY) {
        (CANARY.run)(&input);
    }
    assert!(catch_unwind(|| (CANARY.run)(b"nym!")).is_err());
}

#[test]
fn every_target_has_a_binary_and_every_corpus_a_target() {
    let names: BTreeSet<String> =
        TARGETS.iter().chain([&CANARY]).map(|target| target.name.to_owned()).collect();
    let listed = |folder: &str, extension: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        let files = fs::read_dir(folder).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.map(|name| name.trim_end_matches(extension).to_owned()).collect()
    };
    assert_eq!(listed("fuzz_targets", ".rs"), names);
    assert_eq!(listed("corpus", ""), names);
    let manifest = include_str!("../../Cargo.toml");
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no binary");
    }
}

#[test]
fn the_corpora_are_small() {
    let files = TARGETS.iter().flat_map(corpus);
    let bytes: u64 = files.map(|(_, input)| input.len() as u64).sum();
    assert!(bytes < CORPORA_BYTES_MAX, "{bytes} bytes");
}
