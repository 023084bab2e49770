//! One node of the network, and where it listens.

use core::net::IpAddr;

use thiserror::Error;

use crate::address::NodeAddress;
use crate::identity::{IdentityKey, KeyError, PublicKey};
use crate::sphinx::Hop;

/// Number of a node, unique in the network and never reused.
pub type NodeId = u32;

/// Most nodes a topology or a directory answer may hold. The main network has under a thousand.
pub const NODES_MAX: usize = 20_000;

/// Most IP addresses kept of one node; further ones are dropped.
pub(super) const IPS_MAX: usize = 16;

/// Whether listeners are reached over TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsPolicy {
    /// TLS or nothing.
    Require,
    /// TLS where the node offers it.
    #[default]
    Prefer,
    /// Plain websockets only.
    Never,
}

/// Where a gateway listens for clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// DNS name, if the node announces one. TLS needs it.
    pub hostname: Option<String>,
    /// Addresses, in the order the node announces them.
    pub ip_addresses: Vec<IpAddr>,
    /// Port of the plain websocket; 0 if there is none.
    pub ws_port: u16,
    /// Port of the websocket over TLS.
    pub wss_port: Option<u16>,
}

impl Entry {
    /// The URLs to try, best first, at most two. Empty if the policy leaves none.
    ///
    /// With TLS it is `wss://hostname:port` alone; without, the host name and then the addresses,
    /// of which the first two are kept. (protocol: client 4.3)
    #[must_use]
    pub fn urls(&self, tls: TlsPolicy) -> Vec<String> {
        if tls != TlsPolicy::Never
            && let Some((host, port)) = self.tls_listener()
        {
            return vec![format!("wss://{host}:{port}")];
        }
        if tls == TlsPolicy::Require || self.ws_port == 0 {
            return Vec::new();
        }
        let port = self.ws_port;
        let host = self.hostname().map(|host| format!("ws://{host}:{port}"));
        let addresses = self.ip_addresses.iter().map(|ip| match ip {
            IpAddr::V4(ip) => format!("ws://{ip}:{port}"),
            IpAddr::V6(ip) => format!("ws://[{ip}]:{port}"),
        });
        // protocol: client 4.3, a primary and a fallback
        host.into_iter().chain(addresses).take(2).collect()
    }

    /// True if [`urls`](Self::urls) has something to offer.
    #[must_use]
    pub fn is_usable(&self, tls: TlsPolicy) -> bool {
        let plain =
            self.ws_port != 0 && (self.hostname().is_some() || !self.ip_addresses.is_empty());
        match tls {
            TlsPolicy::Require => self.tls_listener().is_some(),
            TlsPolicy::Prefer => plain || self.tls_listener().is_some(),
            TlsPolicy::Never => plain,
        }
    }

    fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref().filter(|name| is_hostname(name))
    }

    fn tls_listener(&self) -> Option<(&str, u16)> {
        self.hostname().zip(self.wss_port.filter(|&port| port != 0))
    }
}

/// True for text that can stand as the host of a URL without changing the URL's other parts.
pub(super) fn is_hostname(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Least performance, in percent, of nodes taken from a directory. (protocol: client 3.3)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MinPerformance {
    /// Of mix nodes.
    pub mixnode: u8,
    /// Of gateways.
    pub gateway: u8,
}

impl MinPerformance {
    /// The same for both.
    #[must_use]
    pub const fn both(percent: u8) -> Self {
        Self { mixnode: percent, gateway: percent }
    }
}

impl Default for MinPerformance {
    fn default() -> Self {
        // protocol: client 14.6
        Self::both(50)
    }
}

/// What a node declares it can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SupportedRoles {
    /// Mixing.
    pub mixnode: bool,
    /// Serving clients.
    pub entry: bool,
    /// Both kinds of exit service.
    pub exit: bool,
}

/// A node with everything needed to send packets through it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Number of the node.
    pub id: NodeId,
    /// Ed25519 key that names the node.
    pub identity: IdentityKey,
    /// Sphinx key of the rotation the surrounding document or topology speaks of.
    pub sphinx_key: PublicKey,
    /// Where the node takes packets from other nodes.
    pub mix_host: NodeAddress,
    /// Where the node takes clients, if it does.
    pub entry: Option<Entry>,
    /// What the node declares it can do.
    pub roles: SupportedRoles,
    /// Share of the last 24 hours the node worked, in percent, rounded down; at most 100.
    pub performance: u8,
}

impl Node {
    /// This node as a hop of a route.
    #[must_use]
    pub const fn hop(&self) -> Hop {
        Hop { address: self.mix_host, key: self.sphinx_key }
    }
}

/// Why one node of a document was refused. The others stay.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The description does not have the expected form.
    #[error("malformed node: {0}")]
    Malformed(String),
    /// The description is longer than any honest one.
    #[error("a description of {0} bytes is too long")]
    TooLong(usize),
    /// The identity is no Ed25519 key.
    #[error("identity key: {0}")]
    Identity(KeyError),
    /// The Sphinx key is none, or is degenerate.
    #[error("Sphinx key: {0}")]
    SphinxKey(KeyError),
    /// The node announces no IP address.
    #[error("no IP address")]
    NoIpAddress,
    /// The mix host is not of the form `ip:port`.
    #[error("mix host {0:?} is not of the form ip:port")]
    MixHost(String),
    /// The number a node is listed under is not the number it carries.
    #[error("listed as {listed:?} but numbered {numbered:?}")]
    Number {
        /// The key in the list.
        listed: String,
        /// The number inside the description.
        numbered: Option<NodeId>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            hostname: Some("gw.example.org".into()),
            ip_addresses: vec![
                "2a01:4f8::1".parse().unwrap(),
                "192.0.2.7".parse().unwrap(),
                "192.0.2.8".parse().unwrap(),
            ],
            ws_port: 9000,
            wss_port: Some(9001),
        }
    }

    #[test]
    fn tls_is_offered_alone_when_the_node_has_it() {
        let urls = vec!["wss://gw.example.org:9001".to_owned()];
        assert_eq!(entry().urls(TlsPolicy::Prefer), urls);
        assert_eq!(entry().urls(TlsPolicy::Require), urls);
    }

    #[test]
    fn plain_urls_are_the_host_name_and_a_bracketed_ipv6_address() {
        assert_eq!(
            entry().urls(TlsPolicy::Never),
            ["ws://gw.example.org:9000", "ws://[2a01:4f8::1]:9000"]
        );
    }

    #[test]
    fn without_a_host_name_there_is_no_tls_and_two_addresses_remain() {
        let entry = Entry { hostname: None, ..entry() };
        assert_eq!(
            entry.urls(TlsPolicy::Prefer),
            ["ws://[2a01:4f8::1]:9000", "ws://192.0.2.7:9000"]
        );
        assert!(entry.urls(TlsPolicy::Require).is_empty());
    }

    #[test]
    fn a_host_name_that_would_change_the_url_is_ignored() {
        for name in ["", "a/b", "user@host", "a:1", "a b", "a\r\nb", "ä.org"] {
            let entry = Entry { hostname: Some(name.into()), ..entry() };
            assert!(entry.urls(TlsPolicy::Require).is_empty(), "{name:?}");
            assert_eq!(
                entry.urls(TlsPolicy::Never).first().map(String::as_str),
                Some("ws://[2a01:4f8::1]:9000")
            );
        }
    }

    #[test]
    fn an_entry_is_usable_exactly_when_it_has_urls() {
        let policies = [TlsPolicy::Require, TlsPolicy::Prefer, TlsPolicy::Never];
        for bits in 0..16 {
            let mut entry = entry();
            if bits & 1 == 0 {
                entry.hostname = None;
            }
            if bits & 2 == 0 {
                entry.ip_addresses.clear();
            }
            if bits & 4 == 0 {
                entry.ws_port = 0;
            }
            if bits & 8 == 0 {
                entry.wss_port = None;
            }
            for tls in policies {
                assert_eq!(entry.is_usable(tls), !entry.urls(tls).is_empty());
            }
        }
    }
}
