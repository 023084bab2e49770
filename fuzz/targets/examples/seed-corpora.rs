//! Writes the seeds of all targets into their corpora: `cargo run -p nym-fuzz-targets --example
//! seed-corpora`. What is there already stays.

use std::fs;
use std::io;
use std::path::Path;

use nym_fuzz_targets::{CANARY, TARGETS};

fn main() -> io::Result<()> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for target in TARGETS.iter().chain([&CANARY]) {
        let corpus = corpora.join(target.name);
        fs::create_dir_all(&corpus)?;
        let seeds = (target.seeds)();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
