//! Registration: our client at their gateway, their client at ours.

use nym_crypto::asymmetric::ed25519;
use nym_gateway_requests::registration::handshake::error::HandshakeError as TheirError;
use nym_gateway_requests::registration::handshake::{
    HandshakeResult, client_handshake, gateway_handshake,
};
use nym_gateway_requests::{
    ClientControlRequest, ClientRequest, GatewayProtocolVersionExt as _, RegistrationHandshake,
    SensitiveServerResponse, ServerResponse,
};
use nym_peers_conformance::convert::{their_identity, their_identity_pair};
use nym_peers_conformance::our_gateway::OurGateway;
use nym_peers_conformance::socket::{Runtime, Socket};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::gateway::{
    ClientHandshake, ClientText, Established, GatewayHandshake, GatewayText, HandshakeError,
    HandshakePayload, ProtocolVersion,
};
use nym_proto::identity::IdentityKeyPair;
use nym_task::ShutdownToken;
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use tungstenite::Message;

const RANDOM_CASES: u32 = 1000;

#[test]
fn our_client_registers_at_their_gateway() {
    for seed in 0..RANDOM_CASES {
        let mut case = Case::new(seed);
        let (ours, theirs) = case.our_client(|_, _| {});
        assert_eq!(
            ours.unwrap().shared_key.as_bytes()[..],
            *theirs.unwrap().derived_key.as_bytes()
        );
    }
}

#[test]
fn their_client_registers_at_our_gateway() {
    for seed in 0..RANDOM_CASES {
        let mut case = Case::new(seed);
        let (ours, theirs) = case.their_client(|_, _| {});
        assert_eq!(ours, Some(theirs.unwrap().negotiated_protocol));
    }
}

#[test]
fn gateways_adopt_the_same_version_whatever_a_client_stamps() {
    for stamp in 0..=u8::MAX {
        let mut case = Case::new(stamp.into());
        // ours proposes what it knows; the stamp is changed on the way
        let (ours, theirs) = case.our_client(|message, payload| {
            if message == 0 {
                payload.protocol_version = stamp;
            }
        });
        ours.unwrap();
        let adopted = ProtocolVersion::gateway_registration(stamp).get();
        assert_eq!(theirs.unwrap().negotiated_protocol, adopted);
    }
}

#[test]
fn clients_refuse_the_same_versions_of_a_gateway() {
    for stamp in 0..=u8::MAX {
        let change = |message, payload: &mut HandshakePayload| {
            if message == 1 {
                payload.protocol_version = stamp;
            }
        };
        let (ours, _) = Case::new(1).our_client(change);
        let (_, theirs) = Case::new(1).their_client(change);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert!(stamp <= 6);
                assert_eq!(theirs.negotiated_protocol, stamp);
                // ours keeps to its proposal where that would be a version without key rotation:
                // gateways stamp such versions without meaning them
                let session = ours.version.client_session_registered(stamp).get();
                assert_eq!(session, if stamp >= 5 { stamp } else { 6 });
            }
            (Err(Failure::Ours(HandshakeError::UnsupportedVersion(_))), Err(theirs)) => {
                assert!(stamp.is_future_version());
                assert!(matches!(theirs, TheirError::UnsupportedProtocol { .. }), "{theirs:?}");
            }
            (ours, theirs) => panic!("version {stamp}: ours {ours:?}, theirs {theirs:?}"),
        }
    }
}

#[test]
fn a_changed_bit_in_any_message_is_refused_by_both() {
    for (message, len) in [(0, 80), (1, 124), (2, 92), (3, 1)] {
        for at in 0..len {
            for bit in [0, at % 8, 7] {
                refused_by_both(message, |payload| payload.data[at] ^= 1 << bit);
            }
        }
    }
}

#[test]
fn a_message_of_another_length_is_refused_by_both() {
    for (message, len) in [(0, 80), (1, 124), (2, 92), (3, 1)] {
        // 96 and 64 bytes are lengths of the past
        for other in (0..=len + 2).chain([96, 64, 200]).filter(|&other| other != len) {
            refused_by_both(message, |payload| payload.data.resize(other, 1));
        }
    }
}

#[test]
fn only_one_verdict_means_success() {
    for verdict in 0..=u8::MAX {
        let change = |message, payload: &mut HandshakePayload| {
            if message == 3 {
                payload.data = vec![verdict];
            }
        };
        let (ours, _) = Case::new(2).our_client(change);
        let (_, theirs) = Case::new(2).their_client(change);
        assert_eq!((ours.is_ok(), theirs.is_ok()), (verdict == 1, verdict == 1));
    }
}

#[test]
fn a_gateway_with_another_identity_is_refused_by_both() {
    let mut case = Case::new(3);
    case.expected_gateway = IdentityKeyPair::from_seed(&[9; 32]);
    let (ours, theirs) = case.our_client(|_, _| {});
    assert!(matches!(ours, Err(Failure::Ours(HandshakeError::InvalidSignature))), "{ours:?}");
    assert!(matches!(theirs, Err(TheirError::RemoteError(_) | TheirError::ClosedStream)));
    let (ours, theirs) = case.their_client(|_, _| {});
    assert!(matches!(theirs, Err(TheirError::InvalidSignature)), "{theirs:?}");
    assert!(ours.is_none());
}

#[test]
fn messages_of_another_handshake_are_refused_by_both() {
    for message in 1..3 {
        let mut other = Vec::new();
        let _ = Case::new(4).our_client(|number, payload| {
            if number == message {
                other.clone_from(&payload.data);
            }
        });
        refused_by_both(message, |payload| payload.data.clone_from(&other));
    }
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused_by_us_at_once() {
    // for theirs it is a key like any other, under which the peer's signature is not found here
    for low in [[0; 32], core::array::from_fn(|i| u8::from(i == 0))] {
        let (ours, theirs) = Case::new(5).their_client(|message, payload| {
            if message == 0 {
                payload.data[32..64].copy_from_slice(&low);
            }
        });
        assert!(ours.is_none());
        assert!(matches!(theirs, Err(TheirError::RemoteError(_))), "{theirs:?}");
        let (ours, _) = Case::new(5).our_client(|message, payload| {
            if message == 1 {
                payload.data[..32].copy_from_slice(&low);
            }
        });
        assert!(matches!(ours, Err(Failure::Ours(HandshakeError::Malformed(_)))), "{ours:?}");
    }
}

#[test]
fn other_frames_during_a_handshake_are_ignored_by_both() {
    let others = || {
        [
            Message::Binary(vec![1, 2, 3].into()),
            Message::Text("not JSON".into()),
            Message::Text(r#"{"type":"claimFreeTestnetBandwidth"}"#.into()),
            Message::Text(r#"{"type":"send","remaining_bandwidth":1}"#.into()),
        ]
    };
    let mut case = Case::new(6);
    case.noise = others().to_vec();
    let (ours, theirs) = case.our_client(|_, _| {});
    assert_eq!(ours.unwrap().shared_key.as_bytes()[..], *theirs.unwrap().derived_key.as_bytes());
    let (ours, theirs) = case.their_client(|_, _| {});
    assert_eq!(ours, Some(theirs.unwrap().negotiated_protocol));
}

#[test]
fn whoever_gives_up_ends_the_handshake_for_both() {
    let text = HandshakeError::failure_text();
    assert!(matches!(text.parse(), Ok(RegistrationHandshake::HandshakeError { .. })));
    // theirs as the gateway
    let case = Case::new(7);
    let (_, init) = case.our_start();
    let socket = Socket::default();
    let result = case.with_their_gateway(&socket, &init, |poll| {
        assert!(poll().is_none());
        socket.deliver(text.clone());
        poll()
    });
    assert!(matches!(result, Some(Err(TheirError::RemoteError(_)))), "{result:?}");
    // ours as the gateway
    let mut gateway = OurGateway::new();
    let connection = gateway.connect();
    assert!(!gateway.text(connection, init.clone()).is_closed);
    let theirs = String::from(RegistrationHandshake::new_error("no"));
    assert_eq!(
        ClientText::decode(&theirs),
        Ok(ClientText::HandshakeError { message: "no".into() })
    );
    assert!(gateway.text(connection, theirs).is_closed);
    // the end of the connection is the end, too
    let socket = Socket::default();
    let result = case.with_their_gateway(&socket, &init, |poll| {
        assert!(poll().is_none());
        socket.close();
        poll()
    });
    assert!(matches!(result, Some(Err(TheirError::ClosedStream))), "{result:?}");
}

/// Takes a change of one message, by its number, to whichever side must notice. A change of what the
/// client sends concerns the gateway, and the other way round; if the gateway does not notice a
/// changed first message, the client does.
fn refused_by_both(message: usize, mut change: impl FnMut(&mut HandshakePayload)) {
    let mut change = |number, payload: &mut HandshakePayload| {
        if number == message {
            change(payload);
        }
    };
    let (ours, theirs) = Case::new(8).our_client(&mut change);
    assert!(ours.is_err(), "{ours:?}");
    assert_eq!(theirs.is_err(), message < 3, "{theirs:?}");
    let (ours, theirs) = Case::new(8).their_client(&mut change);
    assert!(theirs.is_err(), "{theirs:?}");
    assert_eq!(ours.is_none(), message < 3);
}

#[derive(Debug)]
enum Failure {
    Ours(HandshakeError),
    /// The other side gave up.
    Theirs,
}

/// One client and one gateway.
struct Case {
    seed: u32,
    client: IdentityKeyPair,
    gateway: IdentityKeyPair,
    expected_gateway: IdentityKeyPair,
    /// Arrives before every message.
    noise: Vec<Message>,
    runtime: Runtime,
}

impl Case {
    fn new(seed: u32) -> Self {
        let mut stream = Self::stream(seed, 0);
        let gateway = OurGateway::new().identity;
        Self {
            seed,
            client: IdentityKeyPair::generate(&mut stream),
            expected_gateway: gateway.clone(),
            gateway,
            noise: Vec::new(),
            runtime: Runtime::new(),
        }
    }

    fn stream(seed: u32, purpose: u32) -> Stream {
        Entropy::new([0x44; 32]).stream(Purpose::Other(2 * seed + purpose))
    }

    fn rng(&self) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(self.seed.into())
    }

    fn our_start(&self) -> (nym_proto::gateway::AwaitingMaterial, String) {
        ClientHandshake::start(
            &self.client,
            self.expected_gateway.public(),
            ProtocolVersion::CURRENT,
            &mut Self::stream(self.seed, 1),
        )
    }

    /// Our client at their gateway. `change` is applied to each message, which are numbered.
    fn our_client(
        &mut self,
        mut change: impl FnMut(usize, &mut HandshakePayload),
    ) -> (Result<Established, Failure>, Result<HandshakeResult, TheirError>) {
        let socket = Socket::default();
        let (state, text) = self.our_start();
        let init = changed(text, 0, &mut change);
        let mut ours = None;
        let theirs = self.with_their_gateway(&socket, &init, |poll| {
            if let Some(result) = poll() {
                ours = Some(Err(Failure::Theirs));
                return result;
            }
            let material = payload(&changed(socket.sent().unwrap(), 1, &mut change));
            let state = match state.handle(&material) {
                Ok((state, text)) => {
                    self.noise.iter().for_each(|noise| socket.deliver(noise.clone()));
                    socket.deliver(changed(text, 2, &mut change));
                    state
                }
                Err(error) => {
                    ours = Some(Err(Failure::Ours(error)));
                    socket.deliver(HandshakeError::failure_text());
                    return poll().unwrap();
                }
            };
            let result = poll().unwrap();
            ours = Some(match GatewayText::decode(&socket.sent().unwrap()).unwrap() {
                GatewayText::Handshake(verdict) => {
                    let verdict =
                        payload(&changed(GatewayText::Handshake(verdict).encode(), 3, &mut change));
                    state.handle(&verdict).map_err(Failure::Ours)
                }
                GatewayText::HandshakeError { .. } => Err(Failure::Theirs),
                other => panic!("{other:?}"),
            });
            result
        });
        (ours.unwrap(), theirs)
    }

    /// Their client at our gateway. Ours gives the version it says it adopted, if it registers the client.
    fn their_client(
        &mut self,
        mut change: impl FnMut(usize, &mut HandshakePayload),
    ) -> (Option<u8>, Result<HandshakeResult, TheirError>) {
        let mut gateway = OurGateway::new();
        assert_eq!(gateway.identity.public(), self.gateway.public());
        let connection = gateway.connect();
        let mut socket = Socket::default();
        let handle = socket.clone();
        let (mut rng, keys) = (self.rng(), their_identity_pair(&self.client));
        let mut future = client_handshake(
            &mut rng,
            &mut socket,
            &keys,
            their_identity(self.expected_gateway.public()),
            6,
            ShutdownToken::new(),
        );
        let mut registered = None;
        let mut sent = 0;
        let mut received = 0;
        let result = loop {
            let result = self.runtime.poll(&mut future);
            while let Some(text) = handle.sent() {
                if result.is_none() {
                    for noise in &self.noise {
                        if sent == 0 {
                            break; // before the first message a gateway ignores nothing
                        }
                        let answer = match noise.clone() {
                            Message::Text(text) => gateway.text(connection, text.to_string()),
                            Message::Binary(bytes) => gateway.binary(connection, bytes),
                            other => panic!("{other:?}"),
                        };
                        assert!(answer.texts.is_empty() && !answer.is_closed, "{answer:?}");
                    }
                }
                let text = match GatewayText::decode(&text) {
                    Ok(GatewayText::Handshake(_)) => changed(text, sent, &mut change),
                    _ => text,
                };
                sent += 2;
                let answer = gateway.text(connection, text);
                for text in answer.texts {
                    self.noise.iter().for_each(|noise| handle.deliver(noise.clone()));
                    if let Ok(ServerResponse::Register { protocol_version, status, .. }) =
                        ServerResponse::try_from(text.clone())
                    {
                        assert!(status);
                        registered = Some(protocol_version);
                        continue;
                    }
                    received += 1;
                    let text = match GatewayText::decode(&text).unwrap() {
                        GatewayText::Handshake(_) => changed(text, 2 * received - 1, &mut change),
                        _ => text,
                    };
                    handle.deliver(text);
                }
                if answer.is_closed {
                    handle.close();
                }
            }
            if let Some(result) = result {
                break result;
            }
        };
        if let Ok(result) = &result
            && registered.is_some()
        {
            // what is encrypted under their key is understood
            let request = ClientRequest::RememberMe { session_type: Default::default() };
            let request = request.encrypt(&result.derived_key).unwrap();
            let answer = gateway.text(connection, request.try_into().unwrap());
            match ServerResponse::try_from(answer.texts[0].clone()).unwrap() {
                ServerResponse::EncryptedResponse { ciphertext, nonce } => {
                    let key = &result.derived_key;
                    SensitiveServerResponse::decrypt(&ciphertext, &nonce, key).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        (registered, result)
    }

    /// Runs their gateway after the first message; `talk` polls it.
    fn with_their_gateway<T>(
        &self,
        socket: &Socket,
        init: &str,
        talk: impl FnOnce(&mut dyn FnMut() -> Option<Result<HandshakeResult, TheirError>>) -> T,
    ) -> T {
        let request = ClientControlRequest::try_from(init.to_owned()).unwrap();
        let ClientControlRequest::RegisterHandshakeInitRequest { protocol_version, data } = request
        else {
            panic!("{request:?}");
        };
        let keys: ed25519::KeyPair = their_identity_pair(&self.gateway);
        let (mut rng, mut theirs) = (self.rng(), socket.clone());
        let token = ShutdownToken::new();
        let mut future =
            gateway_handshake(&mut rng, &mut theirs, &keys, data, protocol_version, token);
        talk(&mut || self.runtime.poll(&mut future))
    }
}

fn changed(
    text: String,
    number: usize,
    change: &mut impl FnMut(usize, &mut HandshakePayload),
) -> String {
    let mut payload = payload(&text);
    change(number, &mut payload);
    GatewayText::Handshake(payload).encode()
}

fn payload(text: &str) -> HandshakePayload {
    match GatewayText::decode(text) {
        Ok(GatewayText::Handshake(payload)) => payload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_two_gateways_give_the_same_answer_to_a_first_message_of_any_bytes() {
    let mut stream = Entropy::new([0x45; 32]).stream(Purpose::Other(0));
    let case = Case::new(9);
    for number in 0..RANDOM_CASES {
        let mut data = vec![0; if number % 4 == 0 { stream.index(120) } else { 80 }];
        stream.fill(&mut data);
        let version = stream.next_u64() as u8;
        let init = HandshakePayload { protocol_version: version, data };
        let ours = GatewayHandshake::accept(&case.gateway, &init, &mut stream);
        let socket = Socket::default();
        let text = ClientText::Handshake(init).encode();
        let theirs = case.with_their_gateway(&socket, &text, |poll| poll());
        // a gateway that is content waits for the next message
        assert_eq!(ours.is_ok(), theirs.is_none(), "{ours:?} {theirs:?}");
        if let Ok((_, ours)) = ours {
            let theirs = payload(&socket.sent().unwrap());
            assert_eq!(payload(&ours).protocol_version, theirs.protocol_version);
            assert_eq!(payload(&ours).data.len(), theirs.data.len());
        }
    }
}
