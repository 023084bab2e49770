//! What hangs ends by its time limit, at whatever stage.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use nym_runtime_std::Proxy;
use tests::Cast;
use tests::stage::{ALICE, Stage};

use crate::setting::last_failure;

over_both_runtimes!(a_gateway_that_hangs_at_any_stage_is_given_up);

fn a_gateway_that_hangs_at_any_stage_is_given_up(cast: &Cast) {
    let stage = Stage::new(75);
    let (_silent, address) = silent();
    let mut options = stage.options(ALICE);
    options.net.dial_timeout = Duration::from_millis(250);
    // TLS
    stage.network.announce_wss(usize::from(ALICE), "localhost", address.port());
    let failure = last_failure(cast, &stage, stage.config(ALICE), options.clone());
    assert!(failure.contains("wss://") && failure.contains("no answer within 250ms"), "{failure}");
    // the proxy; the topology is known, so that only the gateway is dialed
    let mut config = stage.config(ALICE);
    config.network = nym_proto::client::Network::Fixed(stage.network.topology());
    for scheme in ["http", "socks5"] {
        options.net.proxy = Proxy::Url(format!("{scheme}://{address}").parse().unwrap());
        let failure = last_failure(cast, &stage, config.clone(), options.clone());
        assert!(failure.contains("no answer within 250ms"), "{failure}");
    }
}

/// Connections wait in the queue of the socket and are never taken.
fn silent() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
