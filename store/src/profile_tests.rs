use nym_proto::client::Change;
use nym_shell::Store as _;

use super::*;
use crate::KeyFault;
use crate::testing::*;

#[test]
fn a_profile_opens_again_with_the_same_keys_and_what_was_applied() {
    let place = Place::new();
    assert!(!Profile::exists(place.dir()));
    let profile = place.create();
    assert!(Profile::exists(place.dir()));
    assert_eq!(profile.active_gateway().unwrap(), None);
    profile.store().apply(&[authenticates(registration(3, 7))]).unwrap();
    drop(profile);
    let profile = Profile::open(place.dir()).unwrap();
    assert!(is_same(profile.identity(), &identity(1)));
    assert_eq!(profile.registrations().unwrap(), [registration(3, 7)]);
    assert_eq!(profile.state().unwrap().registration(), Some(&registration(3, 7)));
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(3, 7).gateway));
}

#[test]
fn the_gateway_set_is_active_until_the_client_uses_another() {
    let place = Place::new();
    let profile = place.create();
    let mut store = profile.store();
    store.apply(&[authenticates(registration(3, 7)), authenticates(registration(4, 9))]).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(4, 0).gateway));
    profile.set_active_gateway(&registration(3, 0).gateway).unwrap();
    drop((profile, store));
    let profile = Profile::open(place.dir()).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(3, 0).gateway));
    let first = profile.state().unwrap().registration().cloned();
    assert_eq!(first.map(|first| first.gateway), Some(registration(3, 0).gateway));
    profile.store().apply(&[authenticates(registration(4, 10))]).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(4, 0).gateway));
    // one without a registration may be set as well
    profile.set_active_gateway(&registration(9, 0).gateway).unwrap();
    assert_eq!(profile.active_gateway().unwrap(), Some(registration(9, 0).gateway));
    assert_eq!(profile.state().unwrap().registration(), Some(&registration(4, 10)));
}

#[test]
fn a_second_user_of_a_profile_is_told_which_process_has_it() {
    let place = Place::new();
    let profile = place.create();
    let error = Profile::open(place.dir()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    // the store alone keeps the profile in use
    let store = profile.store();
    drop(profile);
    assert!(matches!(Profile::open(place.dir()), Err(StoreError::InUse { .. })));
    drop(store);
    Profile::open(place.dir()).unwrap();
}

#[test]
fn create_leaves_an_existing_profile_alone() {
    let place = Place::new();
    drop(place.create());
    let before = (place.names(""), place.names("data"), std::fs::read(place.state()).unwrap());
    assert!(matches!(Profile::create(place.dir(), &identity(2)), Err(StoreError::Exists(_))));
    let after = (place.names(""), place.names("data"), std::fs::read(place.state()).unwrap());
    assert!(before == after);
    assert!(is_same(Profile::open(place.dir()).unwrap().identity(), &identity(1)));
}

#[test]
fn what_a_crash_left_of_a_new_profile_is_in_nobodys_way() {
    let place = Place::new();
    std::fs::create_dir_all(place.dir().join(NEXT)).unwrap();
    std::fs::write(place.dir().join(NEXT).join("private_identity.pem"), "half").unwrap();
    assert!(matches!(Profile::open(place.dir()), Err(StoreError::NotFound(_))));
    assert!(!Profile::exists(place.dir()));
    drop(place.create());
    assert_eq!(place.names(""), ["data", "lock"]);
}

#[test]
fn a_profile_has_just_the_files_that_are_described() {
    let place = Place::new();
    drop(place.create());
    let names = [
        "ack_key.pem",
        "private_encryption.pem",
        "private_identity.pem",
        "public_encryption.pem",
        "public_identity.pem",
        "state.redb",
    ];
    assert_eq!(place.names("data"), names);
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[test]
fn everything_is_made_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    drop(place.create());
    drop(Profile::open(place.dir()).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place.dir()), mode(&place.dir().join(DATA))), (0o700, 0o700));
    assert_eq!(mode(&place.dir().join("lock")), 0o600);
    for name in place.names("data") {
        assert_eq!(mode(&place.file(&name)), 0o600, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn what_others_may_read_or_change_is_refused_with_the_remedy() {
    let place = Place::new();
    drop(place.create());
    let secrets = ["private_identity.pem", "private_encryption.pem", "ack_key.pem", "state.redb"];
    let cases = secrets.map(|name| (name, 0o640, true)).into_iter().chain([
        ("private_identity.pem", 0o602, true),
        ("public_identity.pem", 0o644, false),
        ("public_identity.pem", 0o666, true),
        ("../data", 0o755, false),
        ("../data", 0o770, true),
    ]);
    for (name, mode, is_refused) in cases {
        let path = place.file(name);
        set_mode(&path, mode);
        match Profile::open(place.dir()) {
            Err(error @ StoreError::Exposed { .. }) if is_refused => {
                let text = error.to_string();
                assert!(text.contains(&format!("{mode:03o}")) && text.contains("chmod "), "{text}");
            }
            Ok(_) if !is_refused => {}
            other => panic!("{name} {mode:o}: {other:?}"),
        }
        set_mode(&path, if name == "../data" { 0o700 } else { 0o600 });
    }
    Profile::open(place.dir()).unwrap();
}

#[test]
fn a_missing_key_is_an_error_and_never_a_new_key() {
    for name in ["private_identity.pem", "public_identity.pem", "ack_key.pem"] {
        let place = Place::new();
        drop(place.create());
        std::fs::remove_file(place.file(name)).unwrap();
        let before = place.names("data");
        let error = Profile::open(place.dir()).unwrap_err();
        assert!(matches!(&error, StoreError::Key { path, fault: KeyFault::Missing }
            if *path == place.file(name)));
        assert!(Profile::recover(place.dir()).is_err());
        assert_eq!(place.names("data"), before);
    }
}

/// What opening must say, without a change of any file.
fn refused(place: &Place) -> StoreError {
    let before = std::fs::read(place.state()).ok();
    let error = Profile::open(place.dir()).unwrap_err();
    assert!(std::fs::read(place.state()).ok() == before, "the file was changed");
    error
}

fn recovered(place: &Place) -> (Recovered, Profile) {
    let before = std::fs::read(place.state()).ok();
    let recovered = Profile::recover(place.dir()).unwrap().unwrap();
    let aside = recovered.kept_aside.as_ref().map(|path| std::fs::read(path).unwrap());
    assert!(aside == before, "the file was not kept");
    (recovered, Profile::open(place.dir()).unwrap())
}

#[test]
fn a_state_that_is_no_state_is_refused_until_it_is_recovered() {
    let redb_of_others = Place::new();
    std::fs::create_dir_all(redb_of_others.dir()).unwrap();
    let path = redb_of_others.dir().join("other.redb");
    drop(redb::Database::create(&path).unwrap());
    let of_others = std::fs::read(path).unwrap();
    for content in [&b"dear diary"[..], &of_others] {
        let place = Place::new();
        drop(place.create());
        std::fs::write(place.state(), content).unwrap();
        assert!(matches!(refused(&place), StoreError::StateForeign(_)));
        let (report, profile) = recovered(&place);
        assert_eq!(report.registrations, 0);
        assert!(is_same(profile.identity(), &identity(1)));
        assert!(profile.state().unwrap().is_empty());
    }
}

#[test]
fn a_missing_or_emptied_state_is_refused_until_it_is_recovered() {
    let place = Place::new();
    drop(place.create());
    std::fs::write(place.state(), b"").unwrap();
    assert!(matches!(refused(&place), StoreError::StateDamaged { .. }));
    std::fs::remove_file(place.state()).unwrap();
    assert!(matches!(refused(&place), StoreError::StateMissing(_)));
    let (report, profile) = recovered(&place);
    assert_eq!((report.kept_aside, report.registrations), (None, 0));
    assert!(is_same(profile.identity(), &identity(1)));
}

#[test]
fn the_state_of_another_identity_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    drop(place.create());
    let profile = Profile::create(other.dir(), &identity(2)).unwrap();
    profile.store().apply(&[authenticates(registration(3, 7))]).unwrap();
    drop(profile);
    std::fs::copy(other.state(), place.state()).unwrap();
    assert!(matches!(refused(&place), StoreError::StateOfAnother(_)));
    let (report, profile) = recovered(&place);
    assert_eq!(report.registrations, 0, "they are of no use to this identity");
    assert_eq!(profile.active_gateway().unwrap(), None);
}

#[test]
fn a_state_of_a_newer_format_is_refused_and_cannot_be_recovered() {
    let place = Place::new();
    drop(place.create());
    let table = redb::TableDefinition::<&str, &[u8]>::new("about");
    let db = redb::Database::open(place.state()).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(table).unwrap().insert("format", [0, 0, 0, 9].as_slice()).unwrap();
    txn.commit().unwrap();
    drop(db);
    assert!(matches!(refused(&place), StoreError::StateNewer { version: 9, known: 1, .. }));
    assert!(matches!(Profile::recover(place.dir()), Err(StoreError::StateNewer { .. })));
}

#[test]
fn recovery_of_a_sound_profile_does_nothing() {
    let place = Place::new();
    place.create().store().apply(&[authenticates(registration(3, 7))]).unwrap();
    assert_eq!(Profile::recover(place.dir()).unwrap(), None);
    assert_eq!(place.names("data").len(), 6);
    assert_eq!(Profile::open(place.dir()).unwrap().registrations().unwrap().len(), 1);
}

#[test]
fn an_erased_secret_is_gone_from_the_file_when_the_profile_is_opened_again() {
    let place = Place::new();
    let secret = [0x5a; 64];
    let holds = || std::fs::read(place.state()).unwrap().windows(64).any(|part| part == secret);
    let profile = place.create();
    let mut store = profile.store();
    store.apply(&[Change::put([200, 1], secret.to_vec())]).unwrap();
    assert!(holds());
    store.apply(&[Change::erase([200, 1])]).unwrap();
    drop((profile, store));
    drop(Profile::open(place.dir()).unwrap());
    assert!(!holds());
}

#[test]
fn the_file_does_not_grow_with_what_is_replaced_or_erased() {
    let place = Place::new();
    let profile = place.create();
    let mut store = profile.store();
    let len = || std::fs::metadata(place.state()).unwrap().len();
    let before = len();
    for n in 0..300_u32 {
        store.apply(&[Change::put([200, 1], vec![7; 4000])]).unwrap();
        if n % 2 == 1 {
            store.apply(&[Change::erase([200, 1])]).unwrap();
        }
    }
    assert!(len() <= 2 * before, "{} bytes, {before} before", len());
}
