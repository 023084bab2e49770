//! Certificates: which ones are good, and what is wrong with one that is not.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tracing::{debug, warn};

use super::error::{CaFileError, NetError};
use super::options::Trust;

/// Longest file of certificate authorities, in bytes. All of Mozilla's take a fifth of it.
pub const CA_FILE_BYTES_MAX: usize = 1 << 20;

/// TLS settings: the `ring` provider and the authorities of `trust`.
pub(super) fn tls_config(trust: &Trust) -> Result<Arc<ClientConfig>, NetError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(NetError::Tls)?
        .with_root_certificates(roots(trust)?)
        .with_no_client_auth();
    // a ticket would tell a directory that a client has come again, from wherever it comes
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots(trust: &Trust) -> Result<RootCertStore, NetError> {
    let (mut roots, file) = match trust {
        Trust::System { extra } => (system(), extra.as_deref()),
        Trust::BuiltIn { extra } => (built_in(), extra.as_deref()),
        Trust::Only(file) => (RootCertStore::empty(), Some(file.as_path())),
    };
    if let Some(path) = file {
        let added = read_bounded(path).and_then(|pem| add_pem(&mut roots, &pem));
        added.map_err(|reason| NetError::CaFile { path: path.to_owned(), reason })?;
    }
    Ok(roots)
}

fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        debug!(%error, "some certificate authorities of the system cannot be read");
    }
    or_built_in(found.certs)
}

/// These authorities, or those built in if none of them is of use.
fn or_built_in(found: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // stores contain odd ones, which nobody can use either
    let (added, ignored) = roots.add_parsable_certificates(found);
    debug!(added, ignored, "certificate authorities of the system");
    match roots.is_empty() {
        true => {
            warn!("the system has no certificate authorities; those built in are used");
            built_in()
        }
        false => roots,
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, CaFileError> {
    let file = File::open(path).map_err(CaFileError::Unreadable)?;
    let limit = u64::try_from(CA_FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut pem = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut pem).map_err(CaFileError::Unreadable)?;
    match pem.len() > CA_FILE_BYTES_MAX {
        true => Err(CaFileError::TooLong(CA_FILE_BYTES_MAX)),
        false => Ok(pem),
    }
}

fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), CaFileError> {
    let mut number = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| CaFileError::NoPem(pem_reason(&error)))?;
        number += 1;
        roots.add(certificate).map_err(|error| CaFileError::BadCertificate { number, error })?;
    }
    match number {
        0 => Err(CaFileError::Empty),
        _ => Ok(()),
    }
}

fn pem_reason(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        error => error.to_string(),
    }
}

/// What is wrong with the other side of a TLS connection, in words for the user.
#[must_use]
pub fn tls_failure(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error) => format!("TLS: {}", tls_reason(error)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "TLS: the other side hung up during the handshake".to_owned()
        }
        None => format!("TLS: {error}"),
    }
}

fn tls_reason(error: &rustls::Error) -> String {
    use CertificateError as Bad;
    let what = match error {
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the certificate has expired"
        }
        rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            "the certificate is not valid yet; is the clock right?"
        }
        rustls::Error::InvalidCertificate(
            Bad::NotValidForName | Bad::NotValidForNameContext { .. },
        ) => "the certificate is for another name",
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "the certificate is from an authority that is not trusted; to trust it, give its certificate in a CA file"
        }
        rustls::Error::InvalidCertificate(Bad::BadSignature) => {
            "the certificate is not signed by the authority it names"
        }
        rustls::Error::InvalidMessage(_) => "the other side does not speak TLS",
        error => return error.to_string(),
    };
    format!("{what} ({error})")
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
