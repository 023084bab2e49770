//! Documents over HTTP and HTTPS.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use nym_proto::client::FetchError;
use ureq::Error;

use super::edge::Edge;
use super::transport::{EdgeConnector, NoResolver};

/// Longest directory document accepted, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Fetches documents over HTTP and HTTPS. Blocks; clones share their settings.
#[derive(Clone)]
pub struct Fetcher {
    agent: ureq::Agent,
    timeout: Duration,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    pub(super) fn new(edge: Edge, timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .user_agent(concat!("nym-client/", env!("CARGO_PKG_VERSION")))
            // requests are far apart and the server may have been restarted in between
            .max_idle_connections(0)
            // the connector sees to proxies
            .proxy(None)
            .build();
        Self { agent: ureq::Agent::with_parts(config, EdgeConnector(edge), NoResolver), timeout }
    }

    /// GETs a document of at most [`DOCUMENT_BYTES_MAX`] bytes within
    /// [`NetOptions::fetch_timeout`](super::NetOptions). Follows redirects, but none from `https` to
    /// `http`.
    pub fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let unreachable = |error: Error| match error {
            Error::BodyExceedsLimit(_) => FetchError::TooLong(DOCUMENT_BYTES_MAX),
            error => FetchError::Unreachable(format!("{url}: {}", self.reason(error))),
        };
        let is_secure = url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        let request = self.agent.get(url).config().https_only(is_secure).build();
        let mut response = request.call().map_err(unreachable)?;
        match response.status().as_u16() {
            200 => {}
            status => return Err(FetchError::Status(status)),
        }
        let body = response.body_mut().with_config();
        let limit = u64::try_from(DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
        let body = body.limit(limit).read_to_vec().map_err(unreachable)?;
        Ok(body.into())
    }

    fn reason(&self, error: Error) -> String {
        match error {
            Error::Timeout(_) => format!("no answer within {:?}", self.timeout),
            Error::Other(error) => error.to_string(),
            Error::Io(error) => error.to_string(),
            error => error.to_string(),
        }
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
