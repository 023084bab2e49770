//! Frames between nodes.

use bytes::BytesMut;
use nym_peers_conformance::convert::{our_rotation, our_size, their_rotation};
use nym_proto::sphinx::{FrameDecoder, FrameHeader, KeyRotation, PacketSize};
use nym_sphinx::NymPacket;
use nym_sphinx::framing::codec::NymCodec;
use nym_sphinx::framing::packet::FramedNymPacket;
use nym_sphinx::params::PacketType;
use proptest::prelude::*;
use tokio_util::codec::{Decoder as _, Encoder as _};

const ROTATIONS: [KeyRotation; 3] = [KeyRotation::Unknown, KeyRotation::Odd, KeyRotation::Even];

#[test]
fn packets_of_every_size_and_rotation_are_framed_alike() {
    for size in PacketSize::ALL {
        for rotation in ROTATIONS {
            let packet = vec![0x33; size.packet_len()];
            for is_old in [false, true] {
                let theirs = framed_by_them(&packet, rotation, is_old);
                let rotation = if is_old { KeyRotation::Unknown } else { rotation };
                if !is_old {
                    let ours = FrameHeader { size, rotation }.to_bytes();
                    assert_eq!(theirs, [&ours[..], &packet].concat());
                }
                assert_eq!(
                    ours(&theirs, 1000),
                    (vec![(size, rotation, packet.clone())], End::Open)
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_stream_is_cut_into_the_same_frames(bytes in stream(), step in 1..6000usize) {
        let (ours, our_end) = ours(&bytes, step);
        let (theirs, their_end) = theirs(&bytes, step);
        prop_assert_eq!(ours, theirs);
        if our_end != their_end {
            // ours refuses packet type 2 at the header, theirs once the whole packet has arrived
            prop_assert_eq!((our_end, their_end), (End::Refused(Some(2)), End::Open));
        }
    }
}

#[derive(PartialEq, Eq, Debug)]
enum End {
    /// More may come.
    Open,
    /// There is no way on; for a packet's type, if it was that.
    Refused(Option<u8>),
}

type Frames = Vec<(PacketSize, KeyRotation, Vec<u8>)>;

fn ours(mut bytes: &[u8], step: usize) -> (Frames, End) {
    let (mut decoder, mut frames) = (FrameDecoder::new(), Vec::new());
    while !bytes.is_empty() {
        let (mut piece, rest) = bytes.split_at(step.min(bytes.len()));
        bytes = rest;
        while !piece.is_empty() {
            piece = decoder.push(piece);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => {
                        frames.push((frame.size, frame.rotation, frame.packet.to_vec()))
                    }
                    Ok(None) => break,
                    Err(nym_proto::sphinx::FrameError::Type(kind @ 2)) => {
                        return (frames, End::Refused(Some(kind)));
                    }
                    Err(_) => return (frames, End::Refused(None)),
                }
            }
        }
    }
    (frames, End::Open)
}

fn theirs(bytes: &[u8], step: usize) -> (Frames, End) {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match NymCodec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push((
                    our_size(frame.packet_size()),
                    our_rotation(frame.key_rotation()),
                    frame.packet().to_bytes().unwrap(),
                )),
                Ok(None) => break,
                Err(nym_sphinx::framing::codec::NymCodecError::OutfoxNotSupported) => {
                    return (frames, End::Refused(Some(2)));
                }
                Err(_) => return (frames, End::Refused(None)),
            }
        }
    }
    (frames, End::Open)
}

fn framed_by_them(packet: &[u8], rotation: KeyRotation, is_old: bool) -> Vec<u8> {
    let packet = NymPacket::sphinx_from_bytes(packet).unwrap();
    let packet = FramedNymPacket::new(packet, PacketType::Mix, their_rotation(rotation), is_old);
    let mut frame = BytesMut::new();
    NymCodec.encode(packet, &mut frame).unwrap();
    frame.to_vec()
}

/// Some frames, and after them perhaps a header that is nearly right, or rubbish.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0..3usize, 0..3usize, any::<bool>(), any::<u8>()).prop_map(
        |(size, rotation, is_old, fill)| {
            let packet = vec![fill; PacketSize::ALL[size].packet_len()];
            framed_by_them(&packet, ROTATIONS[rotation], is_old)
        },
    );
    let end = prop_oneof![
        1 => Just(Vec::new()),
        3 => (5..11u8, 0..9u8, 0..4u8, 0..5u8, 0..9000usize).prop_map(|(version, size, kind, rotation, len)| {
            let mut bytes = vec![version, size, kind, rotation];
            bytes.extend(vec![7; len]);
            bytes
        }),
        1 => (5..11u8, 0..9u8, 0..4u8, 0..5usize).prop_map(|(version, size, kind, len)| {
            [version, size, kind, 1][..len.min(4)].to_vec()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..50),
    ];
    (prop::collection::vec(frame, 0..4), end).prop_map(|(frames, end)| {
        let mut bytes = frames.concat();
        bytes.extend(end);
        bytes
    })
}
