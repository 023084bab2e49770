//! The content of loop cover packets. It is no fragment: a fragment's first bit is 1.
//! (protocol: messages 11)

use super::padding::write_padded;

/// What a cover packet's plaintext begins with.
pub const COVER_TEXT: &[u8; 18] = b"The cake is a lie!";

/// True if a decrypted plaintext is that of a cover packet.
#[must_use]
pub fn is_cover(plaintext: &[u8]) -> bool {
    plaintext.starts_with(COVER_TEXT)
}

/// Fills `out`, the room of a fragment, with the content of a cover packet: text, mark, zeros.
pub fn write_cover(out: &mut [u8]) {
    write_padded(&[COVER_TEXT], 0, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FragmentHeader;

    #[test]
    fn cover_is_recognised_and_is_no_fragment() {
        let mut out = [0xff; 1611];
        write_cover(&mut out);
        assert!(is_cover(&out));
        assert_eq!((out[18], out[19], out[1610]), (1, 0, 0));
        assert!(FragmentHeader::decode(&out).is_err());
        assert!(!is_cover(&out[..17]));
        assert!(!is_cover(&out[1..]));
    }
}
