//! What is wrong with the settings, and why a host is not reached.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use super::endpoint::BadUrl;
use super::proxy::{BadProxy, TunnelError};

/// Why the settings of how gateways and directories are reached cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetError {
    /// The file of certificate authorities is of no use.
    #[error("the file of certificate authorities {path:?} cannot be used: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: CaFileError,
    },
    /// A variable of the environment names a proxy that cannot be used.
    #[error("{variable}: {error}; correct or unset the variable")]
    ProxyVariable {
        /// The name of the variable.
        variable: &'static str,
        /// What is wrong with its value.
        error: BadProxy,
    },
    /// The cryptography of TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// What is wrong with a file of certificate authorities.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaFileError {
    /// It cannot be read.
    #[error("{0}; name a file that can be read")]
    Unreadable(io::Error),
    /// It is longer than such a file may be.
    #[error("it is longer than {0} bytes; give only the certificates that are needed")]
    TooLong(usize),
    /// It is not in PEM format.
    #[error("{0}; it has to be in PEM format")]
    NoPem(String),
    /// It has no certificate.
    #[error(
        "it has no certificate; it has to have one between BEGIN CERTIFICATE and END CERTIFICATE"
    )]
    Empty,
    /// One of its certificates cannot be an authority.
    #[error("its certificate number {number} is none: {error}; remove or replace it")]
    BadCertificate {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        error: rustls::Error,
    },
}

/// Why there is no connection to a host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// The URL does not say where to connect to.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// The name of the host has no address.
    #[error("the name {host:?} cannot be resolved: {error}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver says.
        error: io::Error,
    },
    /// The resolver knows the name and gives no address.
    #[error("the name {0:?} has no address")]
    NoAddress(String),
    /// The last address that was tried cannot be connected to.
    #[error("no connection to {address}: {error}")]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// There is no connection to the proxy.
    #[error("the proxy {proxy} cannot be reached: {error}")]
    NoProxy {
        /// The proxy, without user and password.
        proxy: String,
        /// Why.
        error: Box<Self>,
    },
    /// The proxy gives no connection to the host.
    #[error("the proxy {proxy} gives no connection: {error}")]
    Proxy {
        /// The proxy, without user and password.
        proxy: String,
        /// What it says.
        error: TunnelError,
    },
    /// TLS came to no agreement.
    #[error("{}", super::tls_failure(.0))]
    Tls(io::Error),
    /// The WebSocket upgrade failed.
    #[error("WebSocket: {0}")]
    WebSocket(String),
    /// The connection broke, or the time was over.
    #[error(transparent)]
    Io(io::Error),
}
