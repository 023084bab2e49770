//! How long a client waits for its state to be on the disk, and how long for a file in the same folder that
//! 4096 bytes are written to in place:
//! `cargo run -p nym-store --example commit_latency -- FOLDER`
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nym_proto::client::Change;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::identity::Identity;
use nym_shell::Store as _;
use nym_store::Profile;

const COMMITS: u32 = 2000;
/// Entries held all the time: those of a busy client.
const HELD: u32 = 5000;
/// Bytes of a SURB as it is kept.
const SURB: usize = 483;

fn key(n: u32) -> Vec<u8> {
    [&[200], n.wrapping_mul(0x9e37_79b9).to_be_bytes().as_slice()].concat()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder that does not exist yet")?;
    let identity = Identity::generate(&mut Entropy::new([1; 32]).stream(Purpose::Identity));
    let profile = Profile::create(&folder, &identity)?;
    let mut store = profile.store();
    let held: Vec<_> = (0..HELD).map(|n| Change::put(key(n), vec![7; SURB])).collect();
    store.apply(&held)?;
    let mut times = Vec::new();
    for n in 0..COMMITS {
        let changes = [Change::erase(key(n)), Change::put(key(HELD + n), vec![7; SURB])];
        let before = Instant::now();
        store.apply(&changes)?;
        times.push(before.elapsed());
    }
    drop((store, profile));
    let before = Instant::now();
    drop(Profile::open(&folder)?);
    let opened = before.elapsed();
    println!("{COMMITS} commits of one entry erased and one put, {HELD} held: {}", summary(times));
    println!("{COMMITS} writes of 4096 bytes in place: {}", summary(plain_writes(&folder)?));
    println!("opened in {opened:?}");
    Ok(())
}

/// What the disk takes without a database.
fn plain_writes(folder: &str) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(Path::new(folder).join("plain"))?;
    let mut times = Vec::new();
    for n in 0..COMMITS {
        let before = Instant::now();
        file.rewind()?;
        file.write_all(&[n as u8; 4096])?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    Ok(times)
}

fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let share = |percent: usize| -> Duration {
        times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap_or_default()
    };
    format!("median {:?}, 99 % {:?}, longest {:?}", share(50), share(99), share(100))
}
