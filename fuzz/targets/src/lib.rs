//! What the fuzzers do with their input.
//!
//! Every target is a plain function of bytes that panics if something does not hold: a decoder
//! hurts itself, a rule of the client's contract is broken, a message gets lost. The binaries in
//! `fuzz/` give these functions to libFuzzer; the tests of this crate run them over the corpora in
//! `fuzz/corpus/` on the stable toolchain. `docs/fuzzing.md` tells how to work with them.

pub mod authentication;
pub mod canary;
pub mod client;
pub mod directory;
pub mod fragments;
pub mod gateway_frame;
pub mod gateway_text;
pub mod handshake;
pub mod input;
pub mod message;
pub mod net;
pub mod network;
pub mod node_frame;
pub mod nodes;
pub mod sphinx_peel;
pub mod topology_file;
pub mod websocket;

/// Something to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its binary and of its corpus.
    pub name: &'static str,
    /// What it does with an input. Panics if something does not hold.
    pub run: fn(&[u8]),
    /// Valid inputs to begin with, one of each kind.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident: $run:path, $seeds:path;)*) => {
        &[$(Target { name: stringify!($name), run: $run, seeds: $seeds },)*]
    };
}

/// All targets but the canary.
pub const TARGETS: &[Target] = targets! {
    gateway_text: gateway_text::run, gateway_text::seeds;
    gateway_frame: gateway_frame::run, gateway_frame::seeds;
    node_frame: node_frame::run, node_frame::seeds;
    handshake: handshake::run, handshake::seeds;
    authentication: authentication::run, authentication::seeds;
    sphinx_peel: sphinx_peel::run, sphinx_peel::seeds;
    message: message::run, message::seeds;
    fragments: fragments::run, fragments::seeds;
    directory: directory::run, directory::seeds;
    topology_file: topology_file::run, topology_file::seeds;
    replies: client::replies, client::replies_seeds;
    client: client::any_events, client::client_seeds;
    network: network::run, network::seeds;
    mixnode: nodes::mixnode, nodes::mixnode_seeds;
    gateway: nodes::gateway, nodes::gateway_seeds;
    websocket: websocket::run, websocket::seeds;
};

/// The target that must fail.
pub const CANARY: Target = Target { name: "canary", run: canary::run, seeds: canary::seeds };
