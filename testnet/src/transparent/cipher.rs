//! What stands for end-to-end encryption and for that of links: nothing is hidden, but a wrong
//! key, and damage on a link, are noticed.

use nym_proto::entropy::Stream;
use nym_proto::gateway::{DecryptionError, LinkCipher, NONCE_SIZE, SharedKey, TAG_SIZE};
use nym_proto::identity::{PrivateKey, PublicKey};
use nym_proto::message::{CIPHER_PREFIX, FragmentCipher, SealError};

use super::TransparentBuilder;
use crate::checksum::checksum;

/// The first half of the prefix is drawn, the second names the recipient.
const DRAWN: usize = CIPHER_PREFIX / 2;

impl FragmentCipher for TransparentBuilder {
    fn seal_fragment(
        &mut self,
        recipient_key: &PublicKey,
        buffer: &mut [u8],
        stream: &mut Stream,
    ) -> Result<(), SealError> {
        let len = buffer.len();
        let prefix = buffer.first_chunk_mut::<CIPHER_PREFIX>().ok_or(SealError::Buffer(len))?;
        stream.fill(&mut prefix[..DRAWN]);
        prefix[DRAWN..].copy_from_slice(&recipient_key.as_bytes()[..CIPHER_PREFIX - DRAWN]);
        Ok(())
    }

    fn open_fragment<'a>(
        &self,
        private: &PrivateKey,
        buffer: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (prefix, fragment) = buffer.split_first_chunk_mut::<CIPHER_PREFIX>()?;
        let public = self.keys.public(private);
        if prefix[DRAWN..] != public.as_bytes()[..CIPHER_PREFIX - DRAWN] {
            // the wrong key gives noise: neither a fragment nor cover
            fragment.fill(0);
        }
        Some(fragment)
    }
}

impl LinkCipher for TransparentBuilder {
    fn seal_frame(
        &self,
        key: &SharedKey,
        nonce: &[u8; NONCE_SIZE],
        body: &mut [u8],
    ) -> [u8; TAG_SIZE] {
        tag(key, nonce, body)
    }

    fn open_frame(
        &self,
        key: &SharedKey,
        nonce: &[u8; NONCE_SIZE],
        body: &mut [u8],
        given: &[u8; TAG_SIZE],
    ) -> Result<(), DecryptionError> {
        if tag(key, nonce, body) == *given { Ok(()) } else { Err(DecryptionError) }
    }
}

fn tag(key: &SharedKey, nonce: &[u8; NONCE_SIZE], body: &[u8]) -> [u8; TAG_SIZE] {
    let mut tag = [0; TAG_SIZE];
    let mut secret = [0; 32 + NONCE_SIZE];
    secret[..32].copy_from_slice(key.as_bytes());
    secret[32..].copy_from_slice(nonce);
    tag[..8].copy_from_slice(&checksum(&secret));
    tag[8..].copy_from_slice(&checksum(body));
    tag
}

#[cfg(test)]
mod tests {
    use nym_proto::entropy::{Entropy, Purpose};
    use nym_proto::gateway::{open_push, open_push_with, seal_push, seal_push_with};
    use nym_proto::message::{FragmentHeader, is_cover, write_cover};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fragment_opens_with_the_recipients_key_alone() {
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Packets);
        let (own, other) = (PrivateKey::generate(&mut stream), PrivateKey::generate(&mut stream));
        let mut builder = TransparentBuilder::new();
        let mut buffer = [7; CIPHER_PREFIX + 100];
        write_cover(&mut buffer[CIPHER_PREFIX..]);
        builder.seal_fragment(&own.public(), &mut buffer, &mut stream).unwrap();
        assert!(is_cover(builder.open_fragment(&own, &mut buffer.clone()).unwrap()));
        let noise = builder.open_fragment(&other, &mut buffer).unwrap();
        assert!(!is_cover(noise) && FragmentHeader::decode(noise).is_err());
    }

    #[test]
    fn two_fragments_never_begin_alike_and_short_buffers_are_refused() {
        let mut stream = Entropy::new([1; 32]).stream(Purpose::Packets);
        let key = PrivateKey::generate(&mut stream);
        let mut builder = TransparentBuilder::new();
        let mut seal = || {
            let mut buffer = [0; CIPHER_PREFIX];
            builder.seal_fragment(&key.public(), &mut buffer, &mut stream).map(|()| buffer)
        };
        assert_ne!(seal().unwrap(), seal().unwrap());
        let short = builder.seal_fragment(&key.public(), &mut [0; 31], &mut stream);
        assert_eq!(short, Err(SealError::Buffer(31)));
        assert_eq!(builder.open_fragment(&key, &mut [0; 31]), None);
    }

    proptest! {
        #[test]
        fn a_push_has_the_real_size_and_opens_with_its_key_unless_it_is_damaged(
            message in prop::collection::vec(any::<u8>(), 0..300),
            key: [u8; 32],
            nonce: [u8; 12],
            flip: usize,
        ) {
            let (key, builder) = (SharedKey::from_bytes(key), TransparentBuilder::new());
            let frame = seal_push_with(&builder, &key, nonce, &message);
            prop_assert_eq!(frame.len(), seal_push(&key, nonce, &message).len());
            prop_assert!(open_push(&key, frame[..].into()).is_err());
            let opened = open_push_with(&builder, &key, frame[..].into()).unwrap();
            prop_assert_eq!(&opened[..], &message[..]);

            let other = SharedKey::from_bytes([9; 32]);
            prop_assert!(open_push_with(&builder, &other, frame[..].into()).is_err());
            let mut damaged = frame.to_vec();
            let bit = flip % (8 * damaged.len());
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open_push_with(&builder, &key, damaged[..].into()).is_err());
        }
    }
}
