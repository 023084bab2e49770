//! A network behind names that a proxy alone knows.

use std::net::SocketAddr;

use nym_testnet::loopback::Loopback;

use crate::certificates::{Authority, Certificate};
use crate::front::Front;
use crate::proxy::{Double, Kind};

/// Directory and first gateway over TLS under names of a domain that does not exist.
pub struct Hidden {
    /// Who signs their certificates.
    pub authority: Authority,
    /// The way to them.
    pub proxy: Double,
    directory: Front,
    gateway: Front,
}

impl Hidden {
    /// The URL of the directory.
    pub const DIRECTORY: &str = "https://directory.test/api/";

    /// Hides them behind a proxy of this kind.
    #[must_use]
    pub fn new(network: &Loopback, kind: Kind) -> Self {
        let authority = Authority::new();
        let server = authority.server(Certificate::Good);
        let directory = Front::tls(directory_address(network), server.clone());
        let gateway = Front::tls(gateway_address(network, 0), server);
        network.announce_wss(0, "gateway.test", 9001);
        let names =
            [("directory.test:443", directory.address), ("gateway.test:9001", gateway.address)];
        let proxy = Double::start(kind, &names);
        Self { authority, proxy, directory, gateway }
    }

    /// Somebody has used both, and only through the proxy, which was asked for the names.
    pub fn assert_used(&self) {
        let asked = self.proxy.asked();
        for place in ["directory.test:443", "gateway.test:9001"] {
            assert!(asked.iter().any(|asked| asked == place), "{asked:?}");
        }
        only_through(&self.proxy, &[&self.directory, &self.gateway]);
    }
}

/// There are connections to these fronts, and all come from the proxy.
pub fn only_through(proxy: &Double, fronts: &[&Front]) {
    let outgoing = proxy.outgoing();
    for front in fronts {
        let peers: Vec<SocketAddr> = front.peers();
        assert!(!peers.is_empty());
        assert!(peers.iter().all(|peer| outgoing.contains(peer)), "{peers:?} {outgoing:?}");
    }
}

/// Where the directory of the network listens.
#[must_use]
pub fn directory_address(network: &Loopback) -> SocketAddr {
    address(&network.directory_url())
}

/// Where a gateway of the network listens for clients.
#[must_use]
pub fn gateway_address(network: &Loopback, index: usize) -> SocketAddr {
    address(&network.gateways()[index].ws_url)
}

fn address(url: &str) -> SocketAddr {
    let rest = url.split_once("://").unwrap().1;
    rest.split('/').next().unwrap().parse().unwrap()
}
