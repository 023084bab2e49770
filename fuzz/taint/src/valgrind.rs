//! Requests to valgrind's memcheck. Outside valgrind they do nothing.

use core::arch::asm;

// valgrind.h
const RUNNING_ON_VALGRIND: u64 = 0x1001;
const COUNT_ERRORS: u64 = 0x1201;
// memcheck.h: 'M' and 'C' in the upper bytes
const MAKE_MEM_UNDEFINED: u64 = 0x4d43_0001;
const MAKE_MEM_DEFINED: u64 = 0x4d43_0002;
const GET_VBITS: u64 = 0x4d43_0008;

/// Rotations that add up to none, and an exchange with itself: valgrind knows them by their order.
#[cfg(target_arch = "x86_64")]
fn request(code: u64, first: u64, second: u64, third: u64) -> u64 {
    let arguments: [u64; 6] = [code, first, second, third, 0, 0];
    let mut result = 0_u64;
    // SAFETY: the instructions change nothing but the flags; under valgrind they read the arguments and
    // answer in rdx
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            inout("rdx") result,
            in("rax") &raw const arguments,
            in("rdi") 0_u64,
            options(nostack),
        );
    }
    result
}

pub fn is_running() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0, 0) != 0
}

/// Errors reported so far, those left out that are expected.
pub fn errors() -> u64 {
    request(COUNT_ERRORS, 0, 0, 0)
}

/// Marks what stands here as a secret.
pub fn taint(bytes: &mut [u8]) {
    request(MAKE_MEM_UNDEFINED, bytes.as_mut_ptr() as u64, bytes.len() as u64, 0);
}

/// Marks what stands here as no secret any more, because it leaves or the protocol tells it.
pub fn publish(bytes: &[u8]) {
    request(MAKE_MEM_DEFINED, bytes.as_ptr() as u64, bytes.len() as u64, 0);
}

/// True if no byte of this is known to be harmless: what is computed from secrets must be one.
pub fn is_secret(bytes: &[u8]) -> bool {
    let mut unknown = vec![0_u8; bytes.len()];
    request(GET_VBITS, bytes.as_ptr() as u64, unknown.as_mut_ptr() as u64, bytes.len() as u64);
    unknown.iter().all(|bits| *bits != 0)
}

/// A copy that is secret.
pub fn secret<const N: usize>(mut bytes: [u8; N]) -> [u8; N] {
    taint(&mut bytes);
    bytes
}
