//! The byte stream between nodes. (protocol: sphinx 12)

use nym_proto::sphinx::{FrameDecoder, FrameHeader, KeyRotation, PacketSize};

use crate::input::{Input, Script};

/// Where the stream is cut makes no difference, and the decoder's buffer stays bounded.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let step = 1 + usize::from(input.short());
    // a description of a stream: frames are long, and most of their bytes do not matter
    let mut stream = Vec::new();
    while !input.is_empty() && stream.len() < 200_000 {
        if input.flag() {
            stream.extend_from_slice(input.chunk());
        } else {
            let size = PacketSize::ALL[input.below(PacketSize::ALL.len())];
            let rotation = KeyRotation::from_byte(input.byte() % 3).unwrap();
            let mut frame = FrameHeader { size, rotation }.to_bytes().to_vec();
            frame.resize(FrameHeader::SIZE + size.packet_len(), input.byte());
            input.damage(&mut frame);
            stream.extend(frame);
        }
    }
    assert_eq!(frames(stream.chunks(step)), frames([&stream[..]].into_iter()));
}

type Read = (Vec<(PacketSize, KeyRotation, Vec<u8>)>, bool, usize);

fn frames<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut decoder = FrameDecoder::new();
    let mut frames = Vec::new();
    for mut chunk in chunks {
        while !chunk.is_empty() {
            chunk = decoder.push(chunk);
            assert!(decoder.pending() <= FrameDecoder::BUFFER_MAX);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => {
                        assert_eq!(frame.packet.len(), frame.size.packet_len());
                        frames.push((frame.size, frame.rotation, frame.packet.to_vec()));
                    }
                    Ok(None) => break,
                    Err(_) => return (frames, false, 0),
                }
            }
        }
    }
    (frames, true, decoder.pending())
}

/// Streams of frames of all sizes, and of anything.
pub fn seeds() -> Vec<Vec<u8>> {
    let frame = |script: Script, size: u8| script.byte(0).byte(size).byte(size).byte(7).byte(0);
    let all = (0..PacketSize::ALL.len() as u8).fold(Script::new().short(100), frame);
    let mixed = frame(Script::new().short(0), 1).byte(1).chunk([7; 30]);
    let old = Script::new().short(999).byte(1).chunk([8, 0, 0]).byte(1).chunk([1; 386]);
    vec![all.finish(), frame(mixed, 0).finish(), old.finish()]
}
