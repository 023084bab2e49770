//! What nobody may see twice.

use std::collections::BTreeSet;

/// What must never be seen twice, and how often it was.
#[derive(Default)]
pub struct Seen {
    /// Nonces of frames to gateways, with the key they were used under.
    nonces: BTreeSet<([u8; 32], Vec<u8>)>,
    /// Headers of packets that entered the network: of one SURB comes one header.
    headers: BTreeSet<Vec<u8>>,
    /// What the content of a packet begins with: a fresh public key, or the name of a reply key.
    keys: BTreeSet<[u8; 32]>,
    pub again: Vec<&'static str>,
}

impl Seen {
    pub fn frame(&mut self, key: [u8; 32], nonce: Vec<u8>, header: &[u8]) {
        if !self.nonces.insert((key, nonce)) {
            self.again.push("a nonce");
        }
        if !self.headers.insert(header.to_vec()) {
            self.again.push("a header");
        }
    }

    pub fn content(&mut self, content: &[u8]) {
        if !self.keys.insert(*content.first_chunk().unwrap()) {
            self.again.push("a key");
        }
    }
}
