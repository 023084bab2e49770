//! Binary frames between client and gateway, of both sides. (protocol: gateway 9)

use bytes::BytesMut;
use nym_proto::gateway::{
    ForwardFrame, ForwardRequest, ProtocolVersion, SharedKey, open_push, seal_push,
};
use nym_proto::sphinx::{KeyRotation, PacketSize};

use crate::input::{Input, Script};
use crate::net::node_address;

const NONCE: [u8; 12] = [3; 12];
const RAW: u8 = 0;
const SEALED: u8 = 1;
const VALID: u8 = 2;

fn key() -> SharedKey {
    SharedKey::from_bytes([7; 32])
}

/// Frames as they come, with any content under the right key, and damaged valid ones.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        RAW => read(input.rest()),
        SEALED => {
            let (kind, flag) = (input.byte(), input.byte());
            let content = input.rest();
            let mut frame = seal_push(&key(), NONCE, content).to_vec();
            assert_eq!(open_push(&key(), BytesMut::from(&frame[..])).as_deref(), Ok(content));
            frame[..2].copy_from_slice(&[kind, flag]);
            read(&frame);
        }
        _ => {
            let version = input.one_of([6, 5, 4]);
            let size = PacketSize::ALL[input.below(PacketSize::ALL.len())];
            let rotation = KeyRotation::from_byte(input.byte() % 3).unwrap();
            let mut frame = forward(version, size, rotation, input.byte());
            let valid = frame.clone();
            input.damage(&mut frame);
            let is_same = frame.get(2..) == valid.get(2..);
            let request = ForwardRequest::open(&key(), BytesMut::from(&frame[..]));
            // the first two bytes are not authenticated, the rest is
            assert!(is_same || request.is_err());
            assert!(frame != valid || request.is_ok());
            read(&frame);
        }
    }
}

fn forward(version: u8, size: PacketSize, rotation: KeyRotation, byte: u8) -> Vec<u8> {
    let version = ProtocolVersion::new(version).unwrap();
    let mut frame = ForwardFrame::new(version, rotation, node_address(byte), size);
    frame.packet_mut().fill(byte);
    frame.seal(&key(), NONCE).to_vec()
}

fn read(bytes: &[u8]) {
    // whatever it is, it is read without harm
    let _ = open_push(&key(), BytesMut::from(bytes));
    let Ok(request) = ForwardRequest::open(&key(), BytesMut::from(bytes)) else {
        return;
    };
    assert_eq!(request.packet().len(), request.size().packet_len());
    let version = ProtocolVersion::new(6).unwrap();
    let mut frame = ForwardFrame::new(version, request.rotation, request.first_hop, request.size());
    frame.packet_mut().copy_from_slice(request.packet());
    let again = ForwardRequest::open(&key(), BytesMut::from(frame.seal(&key(), NONCE)));
    assert_eq!(again, Ok(request));
}

/// A frame of every size and kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for size in 0..PacketSize::ALL.len() as u8 {
        for version in 0..3 {
            let script = Script::new().byte(VALID).byte(version).byte(size).byte(version);
            seeds.push(script.byte(size * 3 + version).finish());
        }
    }
    let damaged = Script::new().byte(VALID).byte(0).byte(0).byte(1).byte(1).byte(1);
    seeds.push(damaged.byte(0).short(0).byte(3).finish());
    let rotation = KeyRotation::Even;
    let mut ack = forward(6, PacketSize::Ack, rotation, 2);
    seeds.push(Script::new().byte(RAW).raw(&ack).finish());
    ack.truncate(40);
    seeds.push(Script::new().byte(RAW).raw(&ack).finish());
    let head = [0, 1, 4, 6, 253, 127, 0, 0, 1];
    seeds.push(Script::new().byte(SEALED).byte(2).byte(1).raw(head).raw([5; 386]).finish());
    seeds.push(Script::new().byte(SEALED).byte(1).byte(1).raw([1; 21]).finish());
    seeds
}
