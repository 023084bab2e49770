//! Ours and theirs side by side, in one process and interleaved:
//! `cargo bench --manifest-path peers/Cargo.toml`, with `-- --json` for JSON alone.
//!
//! What is timed is what a client does: routes and delays are drawn, the packet is built and put into a
//! buffer of its own.

mod cases;
mod compare;
mod world;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let is_json = std::env::args().any(|argument| argument == "--json");
    let lines = cases::all(|line| {
        if !is_json {
            eprintln!("  {}", line.name);
        }
    });
    if !is_json {
        compare::print_table(&lines);
    }
    println!("{}", compare::json(&lines));
}
