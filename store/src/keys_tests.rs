use super::*;
use crate::testing::*;

const ALL: [&KeyFile; 5] =
    [&PRIVATE_IDENTITY, &PUBLIC_IDENTITY, &PRIVATE_ENCRYPTION, &PUBLIC_ENCRYPTION, &ACK];

fn written() -> Place {
    let place = Place::new();
    std::fs::create_dir_all(place.dir()).unwrap();
    write(place.dir(), &identity(1)).unwrap();
    place
}

fn fault(place: &Place, file: &KeyFile) -> KeyFault {
    match read(place.dir(), Modes::Check) {
        Err(StoreError::Key { path, fault }) if path == place.dir().join(file.name) => fault,
        other => panic!("{}: {other:?}", file.name),
    }
}

#[test]
fn keys_read_back_as_they_were_written() {
    assert!(is_same(&read(written().dir(), Modes::Check).unwrap(), &identity(1)));
}

#[test]
fn a_key_in_the_wrong_file_names_the_file_and_both_kinds() {
    let place = written();
    std::fs::copy(place.dir().join(ACK.name), place.dir().join(PRIVATE_ENCRYPTION.name)).unwrap();
    let expected = KeyFault::Label { expected: PRIVATE_ENCRYPTION.label, found: ACK.label.into() };
    assert_eq!(fault(&place, &PRIVATE_ENCRYPTION), expected);
}

#[test]
fn public_keys_of_somebody_else_do_not_fit() {
    let other = Place::new();
    std::fs::create_dir_all(other.dir()).unwrap();
    write(other.dir(), &identity(2)).unwrap();
    for (public, private) in
        [(PUBLIC_IDENTITY, PRIVATE_IDENTITY), (PUBLIC_ENCRYPTION, PRIVATE_ENCRYPTION)]
    {
        let place = written();
        std::fs::copy(other.dir().join(public.name), place.dir().join(public.name)).unwrap();
        assert_eq!(fault(&place, &public), KeyFault::Mismatch(private.name));
    }
}

#[test]
fn a_key_file_that_is_missing_cut_short_or_far_too_long_is_named() {
    for file in ALL {
        let place = written();
        let path = place.dir().join(file.name);
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() - 1 {
            std::fs::write(&path, &whole[..len]).unwrap();
            fault(&place, file);
        }
        std::fs::write(&path, vec![b'-'; 1 << 20]).unwrap();
        assert_eq!(fault(&place, file), KeyFault::NotPem);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(fault(&place, file), KeyFault::Missing);
    }
}

#[test]
fn a_flipped_bit_in_a_key_file_is_an_error_or_changes_nothing_but_the_ack_key() {
    for file in ALL {
        let place = written();
        let path = place.dir().join(file.name);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            let Ok(mut read) = read(place.dir(), Modes::Check) else { continue };
            // five bits of an X25519 key do not count, RFC 7748: the public key tells
            if read.encryption.public() == identity(1).encryption.public() {
                read.encryption = identity(1).encryption;
            }
            // the ack key has nothing to compare it with; it names nobody
            if file.name == ACK.name {
                read.ack = identity(1).ack;
            }
            assert!(is_same(&read, &identity(1)), "bit {bit} of {}", file.name);
        }
    }
}
