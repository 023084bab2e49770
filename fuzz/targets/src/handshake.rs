//! The registration handshake, each side against a peer that says anything, and both against
//! somebody in between. (protocol: gateway 6)

use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    ClientHandshake, ClientText, GatewayHandshake, GatewayText, HandshakePayload, ProtocolVersion,
};
use nym_proto::identity::IdentityKeyPair;

use crate::input::{Input, Script};

const GATEWAY_IS_FUZZ: u8 = 0;
const CLIENT_IS_FUZZ: u8 = 1;
const BETWEEN: u8 = 2;

fn client() -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[21; 32])
}

fn gateway() -> IdentityKeyPair {
    IdentityKeyPair::from_seed(&[22; 32])
}

/// Nobody without the right identity key gets through, and both sides agree on the key.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte() % 3;
    let mut stream = Entropy::new([input.byte(); 32]).stream(Purpose::Gateway);
    match mode {
        GATEWAY_IS_FUZZ => against_gateway(&mut input, &mut stream),
        CLIENT_IS_FUZZ => against_client(&mut input, &mut stream),
        _ => between(&mut input, &mut stream),
    }
}

fn payload(input: &mut Input<'_>) -> HandshakePayload {
    HandshakePayload { protocol_version: input.byte(), data: input.chunk().to_vec() }
}

fn against_gateway(input: &mut Input<'_>, stream: &mut Stream) {
    let version = ProtocolVersion::CURRENT;
    let (state, _) = ClientHandshake::start(&client(), gateway().public(), version, stream);
    assert!(state.handle(&payload(input)).is_err());
}

fn against_client(input: &mut Input<'_>, stream: &mut Stream) {
    let Ok((state, text)) = GatewayHandshake::accept(&gateway(), &payload(input), stream) else {
        return;
    };
    assert!(matches!(GatewayText::decode(&text), Ok(GatewayText::Handshake(_))));
    assert!(state.handle(&payload(input)).is_err());
}

/// A message on its way through the hands of somebody else, and whether its content arrives as
/// it was.
fn pass(input: &mut Input<'_>, data: Vec<u8>, stamp: u8) -> (HandshakePayload, bool) {
    let stamp = if input.flag() { input.byte() } else { stamp };
    let mut damaged = data.clone();
    input.damage(&mut damaged);
    let is_same = damaged == data;
    (HandshakePayload { protocol_version: stamp, data: damaged }, is_same)
}

fn from_client(text: &str) -> (Vec<u8>, u8) {
    match ClientText::decode(text) {
        Ok(ClientText::Handshake(payload)) => (payload.data, payload.protocol_version),
        other => panic!("the client says {other:?}"),
    }
}

fn from_gateway(text: &str) -> (Vec<u8>, u8) {
    match GatewayText::decode(text) {
        Ok(GatewayText::Handshake(payload)) => (payload.data, payload.protocol_version),
        other => panic!("the gateway says {other:?}"),
    }
}

fn between(input: &mut Input<'_>, stream: &mut Stream) {
    let (client, gateway) = (client(), gateway());
    let version = ProtocolVersion::CURRENT;
    let (at_client, init) = ClientHandshake::start(&client, gateway.public(), version, stream);
    let (data, stamp) = from_client(&init);
    let (init, is_init_same) = pass(input, data, stamp);
    let Ok((at_gateway, material)) = GatewayHandshake::accept(&gateway, &init, stream) else {
        assert!(!is_init_same);
        return;
    };
    // the client's identity is the first part; the rest decides the key
    let is_rest_same = is_init_same || at_gateway.client() != client.public();
    let (data, stamp) = from_gateway(&material);
    let (material, is_material_same) = pass(input, data, stamp);
    let Ok((at_client, proof)) = at_client.handle(&material) else {
        let is_version_bad = ProtocolVersion::new(material.protocol_version).is_err();
        assert!(!is_init_same || !is_material_same || is_version_bad);
        return;
    };
    assert!(is_rest_same && is_material_same);
    let (data, stamp) = from_client(&proof);
    let (proof, is_proof_same) = pass(input, data, stamp);
    let Ok((registered, verdict)) = at_gateway.handle(&proof) else {
        assert!(!is_init_same || !is_proof_same);
        return;
    };
    assert!(is_init_same && is_proof_same);
    assert_eq!(registered.client, *client.public());
    assert_eq!(&registered.shared_key, at_client.shared_key());
    let (data, stamp) = from_gateway(&verdict);
    let (verdict, is_verdict_same) = pass(input, data, stamp);
    match at_client.handle(&verdict) {
        Ok(established) => assert_eq!(established.shared_key, registered.shared_key),
        Err(_) => assert!(!is_verdict_same),
    }
}

/// A handshake left alone, one damaged in each message, and wild ones.
pub fn seeds() -> Vec<Vec<u8>> {
    let untouched = |script: Script| script.byte(0).byte(0);
    let damaged = |script: Script| script.byte(0).byte(1).byte(0).short(40).byte(0x80);
    let mut seeds = Vec::new();
    for bad in 0..5 {
        let mut script = Script::new().byte(BETWEEN).byte(5);
        for message in 0..4 {
            script = if message == bad { damaged(script) } else { untouched(script) };
        }
        seeds.push(script.finish());
    }
    let other_identity = *IdentityKeyPair::from_seed(&[23; 32]).public().as_bytes();
    let replaced = Script::new().byte(BETWEEN).byte(5).byte(0).byte(1).byte(4).short(0);
    seeds.push(replaced.chunk(other_identity).finish());
    let init = [&client().public().as_bytes()[..], &[9; 48]].concat();
    let script = Script::new().byte(CLIENT_IS_FUZZ).byte(5).byte(6).chunk(init);
    seeds.push(script.byte(6).chunk([1; 92]).finish());
    seeds.push(Script::new().byte(GATEWAY_IS_FUZZ).byte(5).byte(6).chunk([9; 124]).finish());
    // an ephemeral key of low order
    let zeros = Script::new().byte(GATEWAY_IS_FUZZ).byte(5).byte(6).chunk([0; 124]);
    seeds.push(zeros.finish());
    seeds
}
