use std::path::PathBuf;

use nym_proto::address::Recipient;
use nym_proto::client::Registration;
use nym_proto::identity::IdentityKeyPair;
use rusqlite::Connection;

use super::*;
use crate::KeyFault;
use crate::testing::*;

const GATEWAY_TABLES: &str = "
    CREATE TABLE active_gateway (id INTEGER PRIMARY KEY, active_gateway_id_bs58 TEXT);
    CREATE TABLE registered_gateway (
        gateway_id_bs58 TEXT NOT NULL, registration_timestamp TIMESTAMP, gateway_type TEXT);
    CREATE TABLE remote_gateway_details (
        gateway_id_bs58 TEXT NOT NULL, derived_aes256_gcm_siv_key BLOB, gateway_details TEXT);
    CREATE TABLE custom_gateway_details (gateway_id_bs58 TEXT NOT NULL, data BLOB);
    INSERT INTO active_gateway VALUES (0, NULL);";

const REPLY_TABLES: &str = "
    CREATE TABLE status (flush_in_progress INTEGER, previous_flush TIMESTAMP, client_in_use INTEGER);
    CREATE TABLE reply_surb_storage_metadata (
        min_reply_surb_threshold INTEGER, max_reply_surb_threshold INTEGER);
    CREATE TABLE reply_key (key_digest BLOB, reply_key BLOB, sent_at TIMESTAMP);
    CREATE TABLE reply_surb_sender (id INTEGER PRIMARY KEY, last_sent TIMESTAMP, tag BLOB);
    CREATE TABLE reply_surb (
        reply_surb_sender_id INTEGER, reply_surb BLOB, encoded_key_rotation INTEGER);";

/// The folder of an upstream client, and where it is imported to.
struct Client {
    from: Place,
    to: Place,
}

impl Client {
    fn new() -> Self {
        let (from, to) = (Place::new(), Place::new());
        std::fs::create_dir_all(from.dir().join("data")).unwrap();
        keys::write(&from.dir().join("data"), &identity(1)).unwrap();
        Self { from, to }
    }

    fn with_gateways() -> Self {
        let client = Self::new();
        client.sqlite(GATEWAYS, GATEWAY_TABLES);
        for seed in [3, 4] {
            client.register(seed, &registration(seed, 0).shared_key.as_bytes()[..]);
        }
        let active = registration(3, 0).gateway.to_string();
        let db = client.open(GATEWAYS);
        db.execute("UPDATE active_gateway SET active_gateway_id_bs58 = ?1", (active,)).unwrap();
        client
    }

    fn with_replies() -> Self {
        let client = Self::with_gateways();
        client.sqlite(REPLIES, REPLY_TABLES);
        let db = client.open(REPLIES);
        db.execute("INSERT INTO status VALUES (0, datetime('now', '-1 hour'), 0)", ()).unwrap();
        db.execute("INSERT INTO reply_surb_sender VALUES (7, datetime('now'), ?1)", ([9; 16],))
            .unwrap();
        let surb = "INSERT INTO reply_surb VALUES (7, ?1, ?2)";
        db.execute(surb, (surb_bytes(1), 1)).unwrap();
        db.execute(surb, (surb_bytes(2), 2)).unwrap();
        db.execute("INSERT INTO reply_key VALUES (?1, ?2, datetime('now'))", ([1; 32], [2; 16]))
            .unwrap();
        client
    }

    fn path(&self, name: &str) -> PathBuf {
        self.from.file(name)
    }

    fn open(&self, name: &str) -> Connection {
        Connection::open(self.path(name)).unwrap()
    }

    fn sqlite(&self, name: &str, sql: &str) {
        self.open(name).execute_batch(sql).unwrap();
    }

    fn register(&self, seed: u8, key: impl rusqlite::ToSql) {
        let id = registration(seed, 0).gateway.to_string();
        let db = self.open(GATEWAYS);
        db.execute(
            "INSERT INTO registered_gateway VALUES (?1, '2026-01-01 00:00:10.5 +00:00', 'remote')",
            (&id,),
        )
        .unwrap();
        db.execute("INSERT INTO remote_gateway_details VALUES (?1, ?2, '{}')", (id, key)).unwrap();
    }

    /// Imports, and makes sure that the source is as it was.
    fn import(&self) -> Result<(Profile, Report), ImportError> {
        let before = self.snapshot();
        let imported = import(self.from.dir(), self.to.dir());
        assert!(self.snapshot() == before, "the source was changed");
        assert!(!self.to.dir().join(SCRATCH).exists());
        assert_eq!(imported.is_ok(), self.to.dir().exists(), "nothing is left of a failure");
        imported
    }

    fn snapshot(&self) -> Vec<(String, Vec<u8>)> {
        let names = self.from.names("data").into_iter();
        names.map(|name| (name.clone(), std::fs::read(self.path(&name)).unwrap())).collect()
    }

    fn fails(&self) -> String {
        match self.import() {
            Err(ImportError::Registrations { path, reason }) => {
                assert_eq!(path, self.path(GATEWAYS));
                reason
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A reply SURB of four hops. Its header is not that of a packet, which only shows when it is used.
fn surb_bytes(seed: u8) -> Vec<u8> {
    use nym_proto::address::NodeAddress;
    let address: NodeAddress = "10.0.0.1:1789".parse::<std::net::SocketAddr>().unwrap().into();
    [&[seed; 16 + 348][..], &address.to_padded::<32>(), &[seed; 64]].concat()
}

/// 2026-01-01 00:00:10
const REGISTERED_AT: u64 = 1_767_225_610;

#[test]
fn keys_registrations_and_active_gateway_come_over() {
    let (profile, report) = Client::with_gateways().import().unwrap();
    assert!(is_same(profile.identity(), &identity(1)));
    let mut expected = [registration(3, REGISTERED_AT), registration(4, REGISTERED_AT)];
    expected.sort_by_key(|registration: &Registration| registration.gateway);
    assert_eq!(profile.registrations().unwrap(), expected);
    let active = Some(registration(3, 0).gateway);
    assert_eq!((profile.active_gateway().unwrap(), report.active_gateway), (active, active));
    assert_eq!(profile.state().unwrap().registration().map(|first| first.gateway), active);
    assert_eq!((report.registrations, report.registrations_left), (2, 0));
}

#[test]
fn the_data_folder_itself_may_be_named() {
    let client = Client::with_gateways();
    let (_, report) = import(client.from.dir().join("data"), client.to.dir()).unwrap();
    assert_eq!(report.registrations, 2);
}

#[test]
fn a_client_that_never_registered_comes_over_with_its_keys() {
    let (profile, report) = Client::new().import().unwrap();
    assert!(is_same(profile.identity(), &identity(1)));
    assert_eq!(report, Report::default());
}

#[test]
fn what_is_in_the_log_beside_a_database_counts() {
    let client = Client::with_gateways();
    let db = client.open(GATEWAYS);
    db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    // a connection that uses the log keeps it from being merged when another is closed
    db.query_row("SELECT count(*) FROM active_gateway", (), |_| Ok(())).unwrap();
    client.register(5, &[5; 32][..]);
    assert!(std::fs::metadata(beside_wal(&client)).unwrap().len() > 0);
    let (profile, _) = client.import().unwrap();
    assert_eq!(profile.registrations().unwrap().len(), 3);
    drop(db);
}

fn beside_wal(client: &Client) -> PathBuf {
    client.path(&format!("{GATEWAYS}-wal"))
}

#[test]
fn registrations_without_a_usable_key_are_counted() {
    let client = Client::with_gateways();
    client.register(5, "text");
    client.register(6, &[6; 31][..]);
    client.register(7, rusqlite::types::Null);
    let db = client.open(GATEWAYS);
    db.execute("INSERT INTO registered_gateway VALUES ('custom', 'then', 'custom')", ()).unwrap();
    db.execute("INSERT INTO registered_gateway VALUES (x'ff', 17, 5)", ()).unwrap();
    let (_, report) = client.import().unwrap();
    assert_eq!((report.registrations, report.registrations_left), (2, 5));
}

#[test]
fn a_database_of_before_the_current_keys_gives_no_registrations() {
    let client = Client::new();
    client.sqlite(
        GATEWAYS,
        "CREATE TABLE active_gateway (id INTEGER PRIMARY KEY, active_gateway_id_bs58 TEXT);
         CREATE TABLE registered_gateway (gateway_id_bs58 TEXT, registration_timestamp TEXT);
         CREATE TABLE remote_gateway_details (
             gateway_id_bs58 TEXT, derived_aes128_ctr_blake3_hmac_keys_bs58 TEXT);
         INSERT INTO registered_gateway VALUES ('some', '2023-01-01 00:00:00');
         INSERT INTO remote_gateway_details VALUES ('some', 'key');",
    );
    let (_, report) = client.import().unwrap();
    assert_eq!((report.registrations, report.registrations_left), (0, 1));
}

#[test]
fn a_registration_from_the_future_does_not_lock_the_client_out() {
    let client = Client::with_gateways();
    let sql = "UPDATE registered_gateway SET registration_timestamp = '9000-01-01 00:00:00'";
    client.open(GATEWAYS).execute(sql, ()).unwrap();
    let (profile, _) = client.import().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(profile.registrations().unwrap().iter().all(|r| r.last_authentication <= now));
}

#[test]
fn registrations_that_cannot_be_read_are_an_error_that_says_why() {
    let client = Client::new();
    client.sqlite(GATEWAYS, "CREATE TABLE something (a TEXT)");
    assert!(client.fails().contains("no such table"));
    std::fs::write(client.path(GATEWAYS), "no database, but a text of more than a hundred bytes,         since a file that is shorter than that has no room for a header of SQLite").unwrap();
    assert!(client.fails().contains("not a database"));
    let whole = Client::with_gateways();
    let bytes = std::fs::read(whole.path(GATEWAYS)).unwrap();
    std::fs::write(whole.path(GATEWAYS), &bytes[..bytes.len() / 2]).unwrap();
    whole.fails();
}

#[test]
fn damaged_bytes_anywhere_give_an_error_or_fewer_registrations() {
    let client = Client::with_gateways();
    let whole = std::fs::read(client.path(GATEWAYS)).unwrap();
    let now = UnixTime::from_secs(2 * REGISTERED_AT);
    for at in (0..whole.len()).step_by(whole.len() / 1500) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(client.path(GATEWAYS), bytes).unwrap();
        let (mut state, mut report) = (State::new(), Report::default());
        let path = client.path(GATEWAYS);
        let _ = gateways::import(&path, client.to.dir(), now, &mut state, &mut report);
        assert!(state.registrations().count() <= 2, "byte {at}");
    }
}

#[test]
fn a_view_without_end_and_a_huge_value_are_given_up() {
    let client = Client::with_gateways();
    client.sqlite(
        GATEWAYS,
        "DROP TABLE registered_gateway;
         CREATE VIEW registered_gateway AS
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT i AS gateway_id_bs58, i AS registration_timestamp FROM n;",
    );
    assert!(client.fails().contains("interrupted"));
    let client = Client::with_gateways();
    let sql = "UPDATE remote_gateway_details SET derived_aes256_gcm_siv_key = zeroblob(20000000)";
    client.open(GATEWAYS).execute(sql, ()).unwrap();
    assert!(client.fails().contains("too big"));
}

#[test]
fn a_file_larger_than_any_client_makes_is_not_read() {
    let client = Client::new();
    let file = std::fs::File::create(client.path(GATEWAYS)).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = import(client.from.dir(), client.to.dir()).unwrap_err();
    assert!(error.to_string().contains("more than any client makes"), "{error}");
}

#[test]
fn surbs_come_over_and_reply_keys_are_counted() {
    let (profile, report) = Client::with_replies().import().unwrap();
    assert_eq!((report.surbs, report.surbs_left, report.reply_keys_left), (2, 0, 1));
    assert_eq!(report.replies_left, None);
    // two registrations, one correspondent with two SURBs
    let state = profile.state().unwrap();
    assert_eq!((state.len(), state.skipped()), (5, 0));
}

#[test]
fn surbs_that_may_have_been_used_or_are_old_stay() {
    for status in [
        "flush_in_progress = 1",
        "client_in_use = 1",
        "previous_flush = datetime('now', '-25 hours')",
        "previous_flush = 0",
        "previous_flush = x'00'",
        "client_in_use = 'no'",
    ] {
        let client = Client::with_replies();
        client.open(REPLIES).execute(&format!("UPDATE status SET {status}"), ()).unwrap();
        let (_, report) = client.import().unwrap();
        assert_eq!((report.surbs, report.surbs_left), (0, 2), "{status}");
    }
}

#[test]
fn the_older_form_of_the_reply_store_is_read_with_its_tags() {
    let client = Client::with_gateways();
    client.sqlite(
        REPLIES,
        "CREATE TABLE status (
             flush_in_progress INTEGER, previous_flush_timestamp INTEGER, client_in_use INTEGER);
         CREATE TABLE sender_tag (recipient BLOB, tag BLOB);
         CREATE TABLE reply_key (key_digest BLOB, reply_key BLOB, sent_at_timestamp INTEGER);
         CREATE TABLE reply_surb_sender (id INTEGER PRIMARY KEY, last_sent_timestamp INTEGER, tag BLOB);
         CREATE TABLE reply_surb (reply_surb_sender_id INTEGER, reply_surb BLOB);
         INSERT INTO status VALUES (0, unixepoch(), 0);
         INSERT INTO reply_surb_sender VALUES (1, unixepoch(), zeroblob(16));
         INSERT INTO reply_surb VALUES (1, x'00');
         INSERT INTO sender_tag VALUES (x'00', zeroblob(16));",
    );
    let db = client.open(REPLIES);
    let key = *IdentityKeyPair::from_seed(&[8; 32]).public();
    let recipient =
        Recipient { identity: key, encryption: identity(1).encryption.public(), gateway: key };
    db.execute("INSERT INTO reply_surb VALUES (1, ?1)", (surb_bytes(1),)).unwrap();
    db.execute("INSERT INTO sender_tag VALUES (?1, ?2)", (recipient.to_bytes(), [4; 16])).unwrap();
    let (_, report) = client.import().unwrap();
    assert_eq!((report.surbs, report.surbs_left), (1, 1));
    assert_eq!((report.tags, report.tags_left), (1, 1));
}

#[test]
fn conversations_that_cannot_be_read_are_reported_and_no_error() {
    let client = Client::with_replies();
    client.sqlite(REPLIES, "DROP TABLE reply_surb_sender");
    let (_, report) = client.import().unwrap();
    assert!(report.replies_left.unwrap().contains("no such table"));
    let client = Client::with_gateways();
    std::fs::write(client.path(REPLIES), [0x55; 4096]).unwrap();
    let (profile, report) = client.import().unwrap();
    assert!(report.replies_left.is_some());
    assert_eq!(profile.registrations().unwrap().len(), 2);
}

#[test]
fn a_key_under_a_passphrase_is_an_error_that_says_so() {
    let client = Client::with_gateways();
    let text = crate::pem::encode("ENCRYPTED ED25519 PRIVATE KEY", &[1; 180]);
    std::fs::write(client.path("private_identity.pem"), text.as_bytes()).unwrap();
    let error = client.import().unwrap_err();
    assert!(matches!(
        &error,
        ImportError::Store(StoreError::Key { fault: KeyFault::Encrypted, .. })
    ));
    assert!(error.to_string().contains("passphrase"), "{error}");
}

#[test]
fn an_import_over_a_profile_is_refused() {
    let client = Client::with_gateways();
    drop(client.import().unwrap());
    assert!(matches!(
        import(client.from.dir(), client.to.dir()),
        Err(ImportError::Store(StoreError::Exists(_)))
    ));
    assert!(matches!(
        import(client.from.dir().join("nowhere"), client.to.dir().join("else")),
        Err(ImportError::Store(StoreError::NotFound(_)))
    ));
}
