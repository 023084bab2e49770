//! What connecting does when there is no network.

use std::time::{Duration, Instant};

use nym_proto::client::{Config, Network};
use nym_runtime_std::{ConnectError, Options, connect, generate_identity};

#[test]
fn connecting_without_a_network_ends_in_time_and_names_the_failure() {
    let directory = "http://127.0.0.1:1/".to_owned();
    let config = Config::new(Network::Directory(vec![directory.clone()]));
    let options = Options { connect_timeout: Duration::from_millis(700), ..Options::default() };
    let start = Instant::now();
    let error = connect(config, generate_identity().unwrap(), options).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
    let ConnectError::TimedOut { last_failure, .. } = error else {
        panic!("{error}");
    };
    assert!(last_failure.is_some_and(|failure| failure.contains(&directory)));
}
