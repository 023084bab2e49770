//! Padding of a message to whole packets: one byte 0x01, then zeros. (protocol: messages 5)

use thiserror::Error;

/// The byte after the message.
const MARK: u8 = 0x01;

/// Why a padding was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PaddingError {
    /// No byte is the mark.
    #[error("none of {0} bytes is the mark that ends a message")]
    NoMark(usize),
}

/// The length of the message inside a padded message: the position of the last 0x01. What follows
/// it is not looked at, since peers do not check it either.
pub fn unpad(padded: &[u8]) -> Result<usize, PaddingError> {
    padded.iter().rposition(|&byte| byte == MARK).ok_or(PaddingError::NoMark(padded.len()))
}

/// Fills `out` with the bytes of a padded message from offset `start` on. The message is given in
/// parts, which follow each other.
pub fn write_padded(parts: &[&[u8]], start: usize, out: &mut [u8]) {
    let mut skip = start;
    let mut out = out;
    for &part in parts.iter().chain(&[&[MARK][..]]) {
        let bytes = part.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(part.len());
        let len = bytes.len().min(out.len());
        let (front, rest) = out.split_at_mut(len);
        front.copy_from_slice(bytes.get(..len).unwrap_or_default());
        out = rest;
    }
    out.fill(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn padding_comes_off_as_it_was_put_on(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..4),
            room in 0..40usize,
            cut in 0..100usize,
        ) {
            let message = parts.concat();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let mut padded = vec![0xaa; message.len() + 1 + room];
            let (front, back) = padded.split_at_mut(cut.min(message.len() + 1 + room));
            write_padded(&parts, 0, front);
            write_padded(&parts, front.len(), back);

            prop_assert_eq!(&padded[..message.len()], &message[..]);
            prop_assert!(padded[message.len() + 1..].iter().all(|&byte| byte == 0));
            prop_assert_eq!(unpad(&padded), Ok(message.len()));
        }

        #[test]
        fn random_bytes_are_refused_only_without_a_mark(
            bytes in prop::collection::vec(0..4u8, 0..40),
        ) {
            match unpad(&bytes) {
                Ok(len) => prop_assert!(bytes[len] == MARK && !bytes[len + 1..].contains(&MARK)),
                Err(error) => {
                    prop_assert!(!bytes.contains(&MARK));
                    prop_assert_eq!(error, PaddingError::NoMark(bytes.len()));
                }
            }
        }
    }
}
