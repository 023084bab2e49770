//! Which servers are talked to, and what is said of the others.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nym_proto::topology::TlsPolicy;
use nym_runtime_std::{NetError, Options, Proxy, Trust};
use tests::Cast;
use tests::stage::{ALICE, Stage};
use tests_edge::{Authority, Certificate, Front};

use crate::setting::{config, directory_address, fails, gateway_address, last_failure, works};

over_both_runtimes!(
    a_client_works_over_tls_with_the_authority_of_a_file_alone,
    a_client_works_over_tls_with_a_further_authority,
    a_directory_without_a_good_certificate_is_refused_and_told_nothing,
    a_gateway_without_a_good_certificate_is_refused_and_told_nothing,
    a_server_that_does_not_speak_tls_is_told_nothing,
    a_directory_with_tls_cannot_send_a_client_to_one_without,
    a_bad_file_of_authorities_is_named_at_the_start,
);

const FLAWS: [(Certificate, bool, &str); 3] = [
    (Certificate::Expired, true, "expired"),
    (Certificate::OtherName, true, "for another name"),
    (Certificate::Good, false, "not trusted"),
];

fn options(stage: &Stage, trust: Trust) -> Options {
    let mut options = stage.options(ALICE);
    options.net.trust = trust;
    options.net.proxy = Proxy::Direct;
    options
}

fn only(authority: &Authority) -> Trust {
    Trust::Only(authority.file.clone())
}

/// Connects to directory and gateway over TLS.
fn secure(cast: &Cast, stage: &Stage, authority: &Authority, trust: Trust) {
    let server = authority.server(Certificate::Good);
    let directory = Front::tls(directory_address(stage), server.clone());
    let gateway = Front::tls(gateway_address(stage), server);
    stage.network.announce_wss(usize::from(ALICE), "localhost", gateway.address.port());
    let url = format!("https://localhost:{}/api/", directory.address.port());
    let mut config = config(stage, &[&url]);
    config.tls = TlsPolicy::Require;

    works(cast, stage, config, options(stage, trust));

    assert!(directory.bytes() > 0 && gateway.bytes() > 0);
}

fn a_client_works_over_tls_with_the_authority_of_a_file_alone(cast: &Cast) {
    let authority = Authority::new();
    secure(cast, &Stage::new(81), &authority, only(&authority));
}

fn a_client_works_over_tls_with_a_further_authority(cast: &Cast) {
    let authority = Authority::new();
    let trust = Trust::System { extra: Some(authority.file.clone()) };
    secure(cast, &Stage::new(82), &authority, trust);
}

fn a_directory_without_a_good_certificate_is_refused_and_told_nothing(cast: &Cast) {
    let stage = Stage::new(83);
    let (known, unknown) = (Authority::new(), Authority::new());
    for (certificate, is_known, part) in FLAWS {
        let authority = if is_known { &known } else { &unknown };
        let front = Front::tls(directory_address(&stage), authority.server(certificate));
        let url = format!("https://localhost:{}/api/", front.address.port());

        let options = options(&stage, only(&known));
        let failure = last_failure(cast, &stage, config(&stage, &[&url]), options);

        assert!(failure.contains(part) && failure.contains(&url), "{failure}");
        assert!(!front.peers().is_empty());
        assert_eq!(front.bytes(), 0);
    }
}

fn a_gateway_without_a_good_certificate_is_refused_and_told_nothing(cast: &Cast) {
    let stage = Stage::new(84);
    let (known, unknown) = (Authority::new(), Authority::new());
    for (certificate, is_known, part) in FLAWS {
        let authority = if is_known { &known } else { &unknown };
        let front = Front::tls(gateway_address(&stage), authority.server(certificate));
        stage.network.announce_wss(usize::from(ALICE), "localhost", front.address.port());

        let options = options(&stage, only(&known));
        let failure = last_failure(cast, &stage, stage.config(ALICE), options);

        let url = format!("wss://localhost:{}", front.address.port());
        assert!(failure.contains(part) && failure.contains(&url), "{failure}");
        assert!(!front.peers().is_empty());
        assert_eq!(front.bytes(), 0);
    }
}

fn a_server_that_does_not_speak_tls_is_told_nothing(cast: &Cast) {
    let stage = Stage::new(85);
    let authority = Authority::new();
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let (address, heard) = answering(answer.to_owned());
    stage.network.announce_wss(usize::from(ALICE), "localhost", address.port());
    let secure = format!("https://localhost:{}/api/", address.port());
    for config in [config(&stage, &[&secure]), stage.config(ALICE)] {
        let failure = last_failure(cast, &stage, config, options(&stage, only(&authority)));
        assert!(failure.contains("does not speak TLS"), "{failure}");
    }
    let heard = heard.lock().unwrap();
    assert!(!heard.is_empty());
    for bytes in heard.iter() {
        // a record of the handshake, and nothing that could be read
        assert_eq!(bytes.first(), Some(&22));
        assert!(!bytes.windows(3).any(|window| window == b"GET"));
    }
}

fn a_directory_with_tls_cannot_send_a_client_to_one_without(cast: &Cast) {
    let stage = Stage::new(87);
    let authority = Authority::new();
    let plain = Front::plain(directory_address(&stage));
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
        plain.address
    );
    let (redirecting, _) = answering(answer);
    let front = Front::tls(redirecting, authority.server(Certificate::Good));
    let url = format!("https://localhost:{}/api/", front.address.port());
    let options = options(&stage, only(&authority));
    let failure = last_failure(cast, &stage, config(&stage, &[&url]), options);
    assert!(failure.contains("https only"), "{failure}");
    assert!(front.bytes() > 0 && plain.peers().is_empty());
}

fn a_bad_file_of_authorities_is_named_at_the_start(cast: &Cast) {
    let stage = Stage::new(86);
    let trust = Trust::System { extra: Some("/no/such/file.pem".into()) };
    let options = options(&stage, trust);
    let error = fails(cast, &stage, stage.config(ALICE), options, Duration::from_secs(60));
    assert!(error.to_string().contains("/no/such/file.pem"), "{error}");
    let is_typed = matches!(
        error,
        nym_runtime_std::ConnectError::Net(NetError::CaFile { path, .. })
            if path.ends_with("file.pem")
    );
    assert!(is_typed);
}

type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// Gives everybody the same answer, whatever it is told, and keeps what it is told.
fn answering(answer: String) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = vec![0; 4096];
            let read = stream.read(&mut bytes).unwrap_or_default();
            bytes.truncate(read);
            kept.lock().unwrap().push(bytes);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, heard)
}
