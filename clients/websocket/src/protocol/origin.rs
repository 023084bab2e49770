//! Which pages in a browser may connect.

use core::net::{Ipv4Addr, Ipv6Addr};

/// Origins that are let in beside those of this machine.
///
/// A browser says in the header `Origin` whose page connects; programs send no such header. Without this
/// check every page of the web could read all messages. (protocol: websocket 1.5)
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins {
    allowed: Vec<String>,
}

impl Origins {
    /// Origins as browsers write them, for example `https://chat.example:8443`. Pages opened from a file
    /// have the origin `null`, and so have pages of anybody in a sandbox.
    pub fn new(allowed: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { allowed: allowed.into_iter().map(Into::into).collect() }
    }

    /// True if a connection with this header, or without one, may be made.
    #[must_use]
    pub fn is_allowed(&self, origin: Option<&str>) -> bool {
        origin.is_none_or(|origin| {
            is_local(origin)
                || self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
        })
    }
}

/// True for `http` and `https` on `localhost` or a loopback address, with or without a port.
fn is_local(origin: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let Some(authority) = authority else {
        return false;
    };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host == "localhost"
        || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || v6.is_some_and(|v6| v6.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_pages_of_this_machine_are_let_in() {
        let origins = Origins::default();
        assert!(origins.is_allowed(None));
        for local in [
            "http://localhost",
            "https://LOCALHOST:8080",
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:3000",
            "http://[::1]",
        ] {
            assert!(origins.is_allowed(Some(local)), "{local}");
        }
    }

    #[test]
    fn pages_of_others_are_not_let_in_however_local_they_look() {
        for foreign in [
            "",
            "null",
            "file://",
            "http://example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "http://localhost:80@example.com",
            "http://example.com#localhost",
            "http://example.com/:80",
            "http://localhost/",
            "http://localhost:",
            "http://localhost:80:80",
            "http://localhost:99999",
            "http://::1",
            "http://[::1",
            "http://0.0.0.0",
            "ftp://localhost",
            "localhost",
        ] {
            assert!(!Origins::default().is_allowed(Some(foreign)), "{foreign}");
        }
    }

    #[test]
    fn listed_origins_are_let_in_and_nothing_that_begins_like_them() {
        let origins = Origins::new(["https://chat.example", "null"]);
        assert!(origins.is_allowed(Some("https://Chat.Example")));
        assert!(origins.is_allowed(Some("null")));
        assert!(!origins.is_allowed(Some("https://chat.example.org")));
        assert!(!origins.is_allowed(Some("https://chat.example:444")));
    }
}
