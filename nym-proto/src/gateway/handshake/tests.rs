use proptest::prelude::*;

use super::*;
use crate::entropy::{Entropy, Purpose};
use crate::gateway::{ClientText, GatewayText, ProtocolVersion};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn both_sides_agree_on_a_key_that_changes_with_the_seed(seed: [u8; 32], stamp in 5..7u8) {
        let version = ProtocolVersion::new(stamp).unwrap();
        let run = Run::new(seed, version);
        let (established, registered) = run.complete().unwrap();
        prop_assert_eq!(&established.shared_key, &registered.shared_key);
        prop_assert_eq!(registered.client, *run.client.public());
        prop_assert_eq!(registered.version, version);
        let other = Run::new([!seed[0]; 32], version);
        prop_assert_ne!(established.shared_key, other.complete().unwrap().0.shared_key);
    }

    #[test]
    fn a_flipped_bit_in_any_message_fails_the_handshake(
        which in 0..4usize,
        at: usize,
        bit in 0..8u8,
    ) {
        let mut run = Run::new([7; 32], ProtocolVersion::CURRENT);
        run.tamper = Some((which, Tamper::Flip(at, bit)));
        match run.complete() {
            Err(error) => prop_assert!(!matches!(error, HandshakeError::Remote(_))),
            // the top bit of an X25519 key is not part of it, but the signature covers it
            Ok(_) => prop_assert!(false, "message {which} byte {at} bit {bit} went unnoticed"),
        }
    }

    #[test]
    fn a_message_of_another_length_is_malformed(which in 0..4usize, cut: usize, long: bool) {
        let mut run = Run::new([7; 32], ProtocolVersion::CURRENT);
        let tamper = if long { Tamper::Append } else { Tamper::Cut(cut) };
        run.tamper = Some((which, tamper));
        let error = run.complete().unwrap_err();
        prop_assert!(matches!(error, HandshakeError::Malformed(_)), "{error}");
    }

    #[test]
    fn arbitrary_payloads_are_refused_by_every_state(
        protocol_version: u8,
        mut data: Vec<u8>,
        exact: bool,
        fill: [u8; 124],
    ) {
        let run = Run::new([7; 32], ProtocolVersion::CURRENT);
        for len in [INIT, GATEWAY_MATERIAL, SEALED] {
            if exact {
                data = fill[..len].to_vec();
            }
            let payload = HandshakePayload { protocol_version, data: data.clone() };
            prop_assert!(run.awaiting_material().handle(&payload).is_err());
            prop_assert!(run.awaiting_client_material().handle(&payload).is_err());
            // a first message proves nothing, so random bytes may be one
            let _ = GatewayHandshake::accept(&run.gateway, &payload, &mut run.stream(9));
        }
    }
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused_by_both_sides() {
    let run = Run::new([7; 32], ProtocolVersion::CURRENT);
    let mut data = run.client.public().as_bytes().to_vec();
    data.extend([0; 48]);
    let init = HandshakePayload { protocol_version: 6, data };
    let error = GatewayHandshake::accept(&run.gateway, &init, &mut run.stream(1)).unwrap_err();
    assert_eq!(error, HandshakeError::Malformed("an ephemeral key of low order"));

    let material = HandshakePayload { protocol_version: 6, data: vec![0; GATEWAY_MATERIAL] };
    let error = run.awaiting_material().handle(&material).unwrap_err();
    assert_eq!(error, HandshakeError::Malformed("an ephemeral key of low order"));
}

#[test]
fn a_gateway_with_another_identity_does_not_get_past_the_client() {
    let mut run = Run::new([7; 32], ProtocolVersion::CURRENT);
    run.expected = *IdentityKeyPair::from_seed(&[99; 32]).public();
    assert_eq!(run.complete(), Err(HandshakeError::InvalidSignature));
}

#[test]
fn a_legacy_stamp_on_a_registration_is_not_refused() {
    let run = Run::new([7; 32], ProtocolVersion::new(3).unwrap());
    assert_eq!(run.complete().unwrap().1.version.get(), 3);
}

#[test]
fn the_failure_text_is_a_handshake_error_for_both_sides() {
    let text = HandshakeError::failure_text();
    let client = ClientText::decode(&text).unwrap();
    assert!(matches!(client, ClientText::HandshakeError { .. }));
    let gateway = GatewayText::decode(&text).unwrap();
    assert!(matches!(gateway, GatewayText::HandshakeError { .. }));
}

#[test]
fn no_state_shows_a_secret_in_debug_output() {
    let run = Run::new([7; 32], ProtocolVersion::CURRENT);
    let state = format!("{:?}", run.awaiting_material());
    assert_eq!(state.matches("redacted").count(), 3);
}

enum Tamper {
    Flip(usize, u8),
    Cut(usize),
    Append,
}

/// One handshake between a client and a gateway, one message of which may be changed on the way.
struct Run {
    client: IdentityKeyPair,
    gateway: IdentityKeyPair,
    expected: IdentityKey,
    version: ProtocolVersion,
    entropy: Entropy,
    tamper: Option<(usize, Tamper)>,
}

impl Run {
    fn new(seed: [u8; 32], version: ProtocolVersion) -> Self {
        let gateway = IdentityKeyPair::from_seed(&[2; 32]);
        Self {
            client: IdentityKeyPair::from_seed(&[1; 32]),
            expected: *gateway.public(),
            gateway,
            version,
            entropy: Entropy::new(seed),
            tamper: None,
        }
    }

    fn stream(&self, n: u32) -> Stream {
        self.entropy.stream(Purpose::Other(n))
    }

    fn start(&self) -> (AwaitingMaterial, String) {
        let mut stream = self.stream(0);
        ClientHandshake::start(&self.client, &self.expected, self.version, &mut stream)
    }

    fn awaiting_material(&self) -> AwaitingMaterial {
        self.start().0
    }

    fn awaiting_client_material(&self) -> AwaitingClientMaterial {
        let init = self.deliver(9, &self.start().1);
        let accepted = GatewayHandshake::accept(&self.gateway, &init, &mut self.stream(1));
        accepted.unwrap().0
    }

    fn complete(&self) -> Result<(Established, Registered), HandshakeError> {
        let (client, text) = self.start();
        let init = self.deliver(0, &text);
        let (gateway, text) = GatewayHandshake::accept(&self.gateway, &init, &mut self.stream(1))?;
        let (client, text) = client.handle(&self.deliver(1, &text))?;
        let (registered, text) = gateway.handle(&self.deliver(2, &text))?;
        let established = client.handle(&self.deliver(3, &text))?;
        Ok((established, registered))
    }

    /// Carries a text to the other side, as message number `n`.
    fn deliver(&self, n: usize, text: &str) -> HandshakePayload {
        let ClientText::Handshake(mut payload) = ClientText::decode(text).unwrap() else {
            panic!("not a handshake message: {text}");
        };
        let data = &mut payload.data;
        match &self.tamper {
            Some((which, Tamper::Flip(at, bit))) if *which == n => {
                let at = at % data.len();
                data[at] ^= 1 << bit;
            }
            Some((which, Tamper::Cut(at))) if *which == n => data.truncate(at % data.len()),
            Some((which, Tamper::Append)) if *which == n => data.push(0),
            _ => {}
        }
        payload
    }
}
