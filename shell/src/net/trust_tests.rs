use std::path::PathBuf;

use super::*;

#[test]
fn the_default_trusts_somebody() {
    assert!(!roots(&Trust::default()).unwrap().is_empty());
    assert!(tls_config(&Trust::BuiltIn { extra: None }).is_ok());
}

#[test]
fn a_system_without_authorities_falls_back_on_those_built_in() {
    let built_in = built_in().len();
    assert_eq!(or_built_in(Vec::new()).len(), built_in);
    assert_eq!(or_built_in(vec![CertificateDer::from(vec![0; 9])]).len(), built_in);
    let one = CertificateDer::from_pem_slice(authority().as_bytes()).unwrap();
    assert_eq!(or_built_in(vec![one]).len(), 1);
}

#[test]
fn a_file_is_added_to_the_others_or_stands_alone() {
    let file = TempFile::new("good", authority().as_bytes());
    let built_in = built_in().len();
    let extra = Trust::BuiltIn { extra: Some(file.0.clone()) };
    assert_eq!(roots(&extra).unwrap().len(), built_in + 1);
    assert_eq!(roots(&Trust::Only(file.0.clone())).unwrap().len(), 1);
    let two =
        TempFile::new("two", format!("a comment\n{}\n{}", authority(), authority()).as_bytes());
    assert_eq!(roots(&Trust::Only(two.0.clone())).unwrap().len(), 2);
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_name_and_a_remedy() {
    let pem = authority();
    let cut = pem.split("-----END").next().unwrap();
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty", b"", "no certificate"),
        (
            "key",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "no certificate",
        ),
        ("cut", cut.as_bytes(), "PEM"),
        ("base64", b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n", "PEM"),
        ("der", no_der.as_bytes(), "number 1"),
        ("long", &vec![b' '; CA_FILE_BYTES_MAX + 1], "longer than"),
    ];
    for (name, bytes, part) in cases {
        let file = TempFile::new(name, bytes);
        let error = tls_config(&Trust::Only(file.0.clone())).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(&*file.0.to_string_lossy()), "{error}");
    }
    let missing = Trust::System { extra: Some(PathBuf::from("/no/such/file.pem")) };
    let error = tls_config(&missing).unwrap_err().to_string();
    assert!(error.contains("/no/such/file.pem") && error.contains("can be read"), "{error}");
}

fn authority() -> String {
    rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem()
}

/// A file that goes away.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("nym-trust-{name}-{}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
