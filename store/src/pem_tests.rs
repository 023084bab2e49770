use proptest::prelude::*;

use super::*;

const LABEL: &str = "X25519 PRIVATE KEY";

fn decode32(text: &[u8]) -> Result<[u8; 32], KeyFault> {
    decode::<32>(LABEL, text).map(|key| *key)
}

#[test]
fn the_text_is_the_one_other_nym_clients_write() {
    let text = encode("ED25519 PUBLIC KEY", &[0; 32]);
    let expected = "-----BEGIN ED25519 PUBLIC KEY-----\n\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
                    -----END ED25519 PUBLIC KEY-----\n";
    assert_eq!(*text, expected);
}

#[test]
fn long_keys_are_broken_into_lines() {
    let text = encode(LABEL, &[7; 100]);
    assert!(text.lines().all(|line| line.len() <= LINE));
    assert_eq!(*decode::<100>(LABEL, text.as_bytes()).unwrap(), [7; 100]);
}

#[test]
fn both_kinds_of_line_ends_and_white_space_around_are_read() {
    let text = encode(LABEL, &[9; 32]);
    for text in [text.replace('\n', "\r\n"), format!("\n {}\n\n", *text), text.trim().to_owned()] {
        assert_eq!(decode32(text.as_bytes()), Ok([9; 32]), "{text:?}");
    }
}

#[test]
fn every_other_content_has_an_error_that_says_what_it_is() {
    let wrong = encode("ED25519 PRIVATE KEY", &[1; 32]);
    let found = "ED25519 PRIVATE KEY".to_owned();
    assert_eq!(decode32(wrong.as_bytes()), Err(KeyFault::Label { expected: LABEL, found }));
    let encrypted = encode("ENCRYPTED X25519 PRIVATE KEY", &[1; 180]);
    assert_eq!(decode32(encrypted.as_bytes()), Err(KeyFault::Encrypted));
    let long = encode(LABEL, &[1; 33]);
    let fault = KeyFault::Length { expected: 32, found: 33 };
    assert_eq!(decode32(long.as_bytes()), Err(fault));
    let twice = [encode(LABEL, &[1; 32]), encode(LABEL, &[2; 32])].map(|text| text.to_string());
    for text in [&twice.concat(), "", "-----BEGIN", "-----BEGIN X-----", "key", "\u{feff}"] {
        assert!(decode32(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let text = encode(LABEL, &[5; 32]);
    for len in 0..text.trim_end().len() {
        assert!(decode32(&text.as_bytes()[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn every_byte_in_every_place_gives_a_key_or_an_error() {
    let text = encode(LABEL, &[5; 32]);
    let mut others = 0;
    for at in 0..text.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = byte;
            others += u32::from(decode32(&bytes).is_ok_and(|key| key != [5; 32]));
        }
    }
    // 42 characters give any of 63 others, and the last one any whose two spare bits are zero
    assert_eq!(others, 42 * 63 + 15);
}

proptest! {
    #[test]
    fn a_key_reads_back(key: [u8; 32]) {
        prop_assert_eq!(decode32(encode(LABEL, &key).as_bytes()), Ok(key));
    }

    #[test]
    fn garbage_of_any_length_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode32(&bytes).is_err());
    }

    #[test]
    fn garbage_between_the_markers_is_refused_or_a_key(body in "[A-Za-z0-9+/=\r\n -]{0,120}") {
        let text = format!("{BEGIN}{LABEL}{DASHES}\n{body}\n{END}{LABEL}{DASHES}\n");
        if let Ok(key) = decode32(text.as_bytes()) {
            let compact: String = body.split_whitespace().collect();
            prop_assert_eq!(STANDARD.encode(key), compact);
        }
    }
}
