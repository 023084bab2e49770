//! A target with a fault that a working fuzzer finds within seconds.

/// Panics if the input begins with four certain bytes, which cannot be guessed at once but one
/// after the other.
pub fn run(data: &[u8]) {
    if let [b'n', b'y', b'm', b'!', ..] = data {
        panic!("the canary sings");
    }
}

/// Nothing that is near it.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![b"silence".to_vec()]
}
