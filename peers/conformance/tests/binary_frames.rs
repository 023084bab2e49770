//! Binary frames between client and gateway: packets in one direction, messages in the other.

use bytes::BytesMut;
use nym_gateway_requests::{
    BinaryRequest, BinaryResponse, ClientControlRequest, ServerResponse, SharedSymmetricKey,
};
use nym_peers_conformance::convert::{their_address, their_identity_pair, their_rotation};
use nym_peers_conformance::network::Packet;
use nym_peers_conformance::our_gateway::{Answer, OurGateway};
use nym_proto::address::NodeAddress;
use nym_proto::entropy::{Entropy, Purpose};
use nym_proto::gateway::{
    ForwardFrame, ForwardRequest, FrameError, ProtocolVersion, SharedKey, open_push, seal_push,
};
use nym_proto::identity::IdentityKeyPair;
use nym_proto::sphinx::{
    Delay, Hop, KeyRotation, PLAINTEXT_OFFSET, PacketBuilder as _, PacketSize, SphinxBuilder,
};
use nym_sphinx::NymPacket;
use nym_sphinx::forwarding::packet::MixPacket;
use nym_sphinx::params::PacketType;
use proptest::prelude::*;

const CASES: u32 = 1000;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn packets_of_clients_are_read_by_the_gateway_of_the_other_side(
        packet in packet(), key: [u8; 32], nonce: [u8; 12],
    ) {
        let (ours, theirs) = keys(key);
        for version in 4..=6 {
            let version = ProtocolVersion::new(version).unwrap();
            // before version 5 a frame does not say which rotation the packet is for
            let rotation = match version.has_key_rotation() {
                true => packet.rotation,
                false => KeyRotation::Unknown,
            };
            let expected = Packet { rotation, ..packet.clone() };

            let mut frame = ForwardFrame::new(version, packet.rotation, packet.next, packet.size);
            frame.packet_mut().copy_from_slice(&packet.bytes);
            let frame = frame.seal(&ours, nonce);
            let read = BinaryRequest::try_from_encrypted_tagged_bytes(frame.to_vec(), &theirs);
            let (kind, read) = parts(read.unwrap());
            prop_assert_eq!(kind == 2, version.has_key_rotation());
            prop_assert_eq!(&read, &expected);

            let frame = their_frame(&packet, version.has_key_rotation(), &theirs);
            let read = our_request(&ours, &frame);
            prop_assert_eq!(read.unwrap(), expected);
        }
    }

    #[test]
    fn messages_of_gateways_are_read_by_the_client_of_the_other_side(
        message in push(), key: [u8; 32], nonce: [u8; 12],
    ) {
        let (ours, theirs) = keys(key);
        let frame = seal_push(&ours, nonce, &message);
        let read = BinaryResponse::try_from_encrypted_tagged_bytes(frame.to_vec(), &theirs).unwrap();
        let BinaryResponse::PushedMixMessage { message: read } = read else {
            panic!("another kind");
        };
        prop_assert_eq!(&read, &message);

        let response = BinaryResponse::PushedMixMessage { message: message.clone() };
        let frame = response.into_encrypted_tagged_bytes(&theirs).unwrap();
        prop_assert_eq!(&open_push(&ours, BytesMut::from(&frame[..])).unwrap()[..], &message[..]);
    }

    #[test]
    fn frames_of_any_content_under_the_key_are_read_alike(
        kind in 0..5u8, body in body(), key: [u8; 32], nonce: [u8; 12],
    ) {
        let (_, theirs) = keys(key);
        let aead_nonce = SharedSymmetricKey::validate_aead_nonce(&nonce).unwrap();
        let sealed = theirs.encrypt(&body, &aead_nonce).unwrap();
        compare(&[&[kind, 1][..], &nonce, &sealed].concat(), key)?;
    }

    #[test]
    fn frames_of_any_bytes_are_read_alike(
        flag in prop_oneof![4 => Just(1u8), 1 => 2..=255u8],
        kind in 0..4u8,
        rest in prop::collection::vec(any::<u8>(), 0..60),
        len in 0..63usize,
        key: [u8; 32],
    ) {
        let frame = [&[kind, flag][..], &rest].concat();
        compare(&frame[..len.min(frame.len())], key)?;
    }

    #[test]
    fn a_bit_changed_on_the_way_is_noticed_by_both(packet in packet(), key: [u8; 32], at: prop::sample::Index, bit in 0..8u8) {
        let (_, theirs) = keys(key);
        let mut frame = their_frame(&packet, true, &theirs);
        // kind and flag are not authenticated; what a flag of 0 means has a test of its own
        let at = 2 + at.index(frame.len() - 2);
        frame[at] ^= 1u8 << bit;
        compare(&frame, key)?;
        prop_assert_eq!(our_request(&keys(key).0, &frame), Err(FrameError::Decryption));
    }

    #[test]
    fn nothing_is_read_by_us_that_is_not_encrypted(kind in 0..4u8, body in body(), nonce: [u8; 12]) {
        // Intended difference: theirs takes frames that say they are not encrypted. Nobody sends them, so
        // they are not handed to theirs here.
        let frame = [&[kind, 0][..], &nonce, &body].concat();
        let key = SharedKey::from_bytes([1; 32]);
        prop_assert_eq!(our_request(&key, &frame), Err(FrameError::Flag(0)));
        prop_assert_eq!(open_push(&key, BytesMut::from(&frame[..])), Err(FrameError::Flag(0)));
    }

    #[test]
    fn shared_keys_have_the_same_text_and_cipher(key: [u8; 32], nonce: [u8; 12], plaintext: Vec<u8>) {
        let (ours, theirs) = keys(key);
        prop_assert_eq!(theirs.to_base58_string(), ours.to_base58().to_string());
        prop_assert_eq!(SharedKey::from_base58(&theirs.to_base58_string()).unwrap(), ours.clone());
        let mut sealed = plaintext.clone();
        ours.seal(&nonce, &mut sealed);
        let nonce = SharedSymmetricKey::validate_aead_nonce(&nonce).unwrap();
        prop_assert_eq!(theirs.encrypt(&plaintext, &nonce).unwrap(), sealed);
    }
}

#[test]
fn a_client_of_theirs_sends_and_receives_through_our_gateway() {
    let mut gateway = OurGateway::new();
    let client = IdentityKeyPair::from_seed(&[31; 32]);
    let (connection, key) = registered(&mut gateway, &client);
    let theirs = SharedSymmetricKey::try_from_bytes(key.as_bytes()).unwrap();
    // without bandwidth a packet is refused
    let packet = any_packet(PacketSize::Regular, KeyRotation::Odd, 0);
    let answer = gateway.binary(connection, their_frame(&packet, true, &theirs));
    assert!(matches!(response(&answer), ServerResponse::TypedError { .. }), "{answer:?}");
    let claim: String = ClientControlRequest::ClaimFreeTestnetBandwidth.try_into().unwrap();
    let mut balance = match response(&gateway.text(connection, claim)) {
        ServerResponse::Bandwidth(bandwidth) => bandwidth.available_total,
        other => panic!("{other:?}"),
    };
    for (number, size) in PacketSize::ALL.into_iter().enumerate() {
        for with_rotation in [false, true] {
            let packet = any_packet(size, KeyRotation::Even, number as u8);
            let frame = their_frame(&packet, with_rotation, &theirs);
            let answer = gateway.binary(connection, frame);
            balance -= size.packet_len() as i64;
            match response(&answer) {
                ServerResponse::Send(send) => assert_eq!(send.remaining_bandwidth, balance),
                other => panic!("{other:?}"),
            }
            let rotation = if with_rotation { KeyRotation::Even } else { KeyRotation::Unknown };
            assert_eq!(gateway.forwarded.pop().unwrap(), Packet { rotation, ..packet });
        }
        let message = vec![number as u8; size.plaintext_len()];
        let answer = arrive(&mut gateway, &client, size, &message);
        let [push] = &answer.pushes[..] else { panic!("{answer:?}") };
        let read = BinaryResponse::try_from_encrypted_tagged_bytes(push.to_vec(), &theirs).unwrap();
        let BinaryResponse::PushedMixMessage { message: read } = read else { panic!() };
        // the ack in front is sent on
        let skipped = if size == PacketSize::Ack { 0 } else { 405 };
        assert_eq!(read, message[skipped..]);
        assert_eq!(gateway.forwarded.drain(..).count(), usize::from(skipped > 0));
    }
}

/// Opens a frame in both directions with both.
fn compare(frame: &[u8], key: [u8; 32]) -> Result<(), TestCaseError> {
    let (our_key, their_key) = keys(key);
    let ours = our_request(&our_key, frame);
    let theirs = BinaryRequest::try_from_encrypted_tagged_bytes(frame.to_vec(), &their_key);
    prop_assert_eq!(ours.ok(), theirs.ok().map(|request| parts(request).1));
    let ours = open_push(&our_key, BytesMut::from(frame)).ok();
    let theirs = BinaryResponse::try_from_encrypted_tagged_bytes(frame.to_vec(), &their_key).ok();
    let theirs = theirs.map(|response| match response {
        BinaryResponse::PushedMixMessage { message } => message,
        _ => panic!("another kind"),
    });
    prop_assert_eq!(ours.map(|message| message.to_vec()), theirs);
    Ok(())
}

fn keys(key: [u8; 32]) -> (SharedKey, SharedSymmetricKey) {
    (SharedKey::from_bytes(key), SharedSymmetricKey::try_from_bytes(&key).unwrap())
}

fn our_request(key: &SharedKey, frame: &[u8]) -> Result<Packet, FrameError> {
    ForwardRequest::open(key, BytesMut::from(frame)).map(|request| Packet {
        next: request.first_hop,
        rotation: request.rotation,
        size: request.size(),
        bytes: request.into_packet().to_vec(),
    })
}

/// The kind of a request, and the packet.
fn parts(request: BinaryRequest) -> (u8, Packet) {
    match request {
        BinaryRequest::ForwardSphinx { packet } => (1, packet.into()),
        BinaryRequest::ForwardSphinxV2 { packet } => (2, packet.into()),
        _ => panic!("another kind"),
    }
}

fn their_frame(packet: &Packet, with_rotation: bool, key: &SharedSymmetricKey) -> Vec<u8> {
    let packet = MixPacket::new(
        their_address(packet.next),
        NymPacket::sphinx_from_bytes(&packet.bytes).unwrap(),
        PacketType::Mix,
        their_rotation(packet.rotation),
    );
    let request = match with_rotation {
        true => BinaryRequest::ForwardSphinxV2 { packet },
        false => BinaryRequest::ForwardSphinx { packet },
    };
    request.into_encrypted_tagged_bytes(key).unwrap()
}

fn any_packet(size: PacketSize, rotation: KeyRotation, fill: u8) -> Packet {
    let next = NodeAddress::new(([127, 0, 0, 9], 1789).into());
    Packet { next, rotation, size, bytes: vec![fill; size.packet_len()] }
}

fn packet() -> impl Strategy<Value = Packet> {
    let size = prop_oneof![
        8 => prop::sample::select(PacketSize::ALL[..2].to_vec()),
        1 => prop::sample::select(PacketSize::ALL.to_vec()),
    ];
    (size, 0..3u8, any::<std::net::IpAddr>(), any::<u16>(), any::<[u8; 32]>()).prop_map(
        |(size, rotation, ip, port, seed)| {
            let mut bytes = vec![0; size.packet_len()];
            Entropy::new(seed).stream(Purpose::Other(0)).fill(&mut bytes);
            let next = NodeAddress::new((ip, port).into());
            Packet { next, rotation: KeyRotation::from_byte(rotation).unwrap(), size, bytes }
        },
    )
}

/// Messages of the lengths there are, and of any other.
fn push() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        prop::sample::select(vec![0usize, 1, 20, 21, 22, 48, 1643, 7787]),
        0..3000usize,
    ];
    (len, any::<u8>()).prop_map(|(len, fill)| vec![fill; len])
}

/// Bodies of forward requests that are nearly right, and rubbish.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let byte = |common: u8| prop_oneof![8 => Just(common), 1 => 0..8u8];
    let family = prop_oneof![4 => Just(4u8), 4 => Just(6u8), 1 => any::<u8>()];
    let len = prop_oneof![
        6 => prop::sample::select(PacketSize::ALL[..3].to_vec()).prop_map(PacketSize::packet_len),
        1 => 380..392usize,
        1 => 0..3000usize,
    ];
    let nearly = (byte(0), byte(1), family, any::<[u8; 18]>(), len, any::<bool>()).prop_map(
        |(kind, rotation, family, address, len, with_rotation)| {
            let mut body = vec![kind];
            if with_rotation {
                body.push(rotation);
            }
            body.push(family);
            body.extend(if family == 6 { &address[..] } else { &address[..6] });
            body.extend(vec![0x5a; len]);
            body
        },
    );
    prop_oneof![4 => nearly, 1 => prop::collection::vec(0..8u8, 0..40), 1 => prop::collection::vec(any::<u8>(), 0..500)]
}

fn response(answer: &Answer) -> ServerResponse {
    let [text] = &answer.texts[..] else { panic!("{answer:?}") };
    ServerResponse::try_from(text.clone()).unwrap()
}

/// Registers a client of theirs at our gateway.
fn registered(
    gateway: &mut OurGateway,
    client: &IdentityKeyPair,
) -> (nym_testnet::gateway::ConnectionId, SharedKey) {
    use nym_gateway_requests::registration::handshake::client_handshake;
    use nym_peers_conformance::convert::their_identity;
    use nym_peers_conformance::socket::{Runtime, Socket};
    use rand::SeedableRng as _;
    let connection = gateway.connect();
    let (mut socket, runtime) = (Socket::default(), Runtime::new());
    let handle = socket.clone();
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
    let (keys, identity) = (their_identity_pair(client), their_identity(gateway.identity.public()));
    let token = nym_task::ShutdownToken::new();
    let mut future = client_handshake(&mut rng, &mut socket, &keys, identity, 6, token);
    let result = loop {
        if let Some(result) = runtime.poll(&mut future) {
            break result.unwrap();
        }
        while let Some(text) = handle.sent() {
            gateway.text(connection, text).texts.into_iter().for_each(|text| handle.deliver(text));
        }
    };
    let key = <[u8; 32]>::try_from(result.derived_key.as_bytes()).unwrap();
    (connection, SharedKey::from_bytes(key))
}

/// A packet for a client of our gateway arrives there. Its ack goes anywhere.
fn arrive(
    gateway: &mut OurGateway,
    client: &IdentityKeyPair,
    size: PacketSize,
    message: &[u8],
) -> Answer {
    let mut message = message.to_vec();
    if size != PacketSize::Ack {
        let address = NodeAddress::new(([127, 0, 0, 9], 1789).into());
        message[..19].copy_from_slice(&address.to_padded::<19>());
    }
    let mut packet = vec![0; size.packet_len()];
    packet[PLAINTEXT_OFFSET..][..message.len()].copy_from_slice(&message);
    let hop = Hop {
        address: NodeAddress::new(([127, 0, 0, 1], 1789).into()),
        key: OurGateway::sphinx_key().public(),
    };
    let mut stream = Entropy::new([size.tag(); 32]).stream(Purpose::Packets);
    SphinxBuilder::new()
        .build_packet(
            &[hop],
            &[Delay::default()],
            client.public(),
            message.len(),
            &mut packet,
            &mut stream,
        )
        .unwrap();
    gateway.packet(size, &packet)
}
