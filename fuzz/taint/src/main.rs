//! Does what handles secrets, with the secrets marked undefined, and says what valgrind reported of each:
//! `.ci/taint`. Fails if there was anything, or if valgrind does not notice what depends on a secret.

mod cases;
mod valgrind;

use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    if !valgrind::is_running() {
        eprintln!("run this under valgrind: .ci/taint");
        return ExitCode::FAILURE;
    }
    let mut is_good = true;
    for (name, case) in cases::ALL {
        let errors = reported(case);
        println!("{errors:6} {name}");
        is_good &= errors == 0;
    }
    for (name, case) in LEAKS {
        let errors = reported(case);
        println!("{errors:6} {name} (must be noticed)");
        is_good &= errors > 0;
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn reported(case: fn()) -> u64 {
    let before = valgrind::errors();
    case();
    valgrind::errors() - before
}

/// What must not be written.
const LEAKS: [(&str, fn()); 3] = [
    ("a branch on a bit", branch),
    ("an index", index),
    ("a comparison that ends early", comparison),
];

#[inline(never)]
fn branch() {
    let secret = valgrind::secret([1; 16]);
    if secret[3] & 1 == 1 {
        black_box(1);
    }
}

#[inline(never)]
fn index() {
    let table: [u8; 256] = black_box(core::array::from_fn(|i| i as u8));
    let secret = valgrind::secret([1; 16]);
    black_box(table[usize::from(secret[3])]);
}

#[inline(never)]
fn comparison() {
    let secret = valgrind::secret([1; 16]);
    black_box(black_box(&secret[..]) == black_box(&[1; 16][..]));
}
