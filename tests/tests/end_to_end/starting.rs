//! Starting where there is nothing to connect to, or not what is expected.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nym_proto::client::{
    Config, GatewayChoice, Network, SessionFailure, Shutdown, StopReason, Target,
};
use nym_proto::identity::{IdentityKey, IdentityKeyPair};
use nym_proto::topology::{Topology, TopologyParts};
use nym_runtime_std::{ConnectError, SendOptions};
use tests::Cast;
use tests::stage::{ALICE, Stage, noise};
use tests::wait::{growing_limits, next, within};

/// For what ends only by the limit.
const SHORT: Duration = Duration::from_millis(500);

over_both_runtimes!(
    a_gateway_with_another_key_than_expected_is_not_used,
    a_gateway_the_network_does_not_have_is_waited_for,
    a_directory_that_cannot_be_reached_is_named,
    a_directory_that_makes_no_sense_is_named,
    a_directory_that_says_nothing_ends_the_wait,
    of_two_directories_one_is_enough,
    a_gateway_that_cannot_be_reached_is_reported,
    a_gateway_that_talks_nonsense_ends_the_wait,
    absurd_settings_of_the_shell_do_no_harm,
);

fn a_gateway_with_another_key_than_expected_is_not_used(cast: &Cast) {
    let stage = Stage::new(61);
    let impostor = *IdentityKeyPair::from_seed(&[7; 32]).public();
    let real = stage.network.gateways()[usize::from(ALICE)].identity;
    let mut config = stage.config(ALICE);
    config.gateway = GatewayChoice::Given(impostor);
    config.network = Network::Fixed(renamed(&stage.network.topology(), &real, impostor));

    let error = fail(cast, &stage, config);

    assert!(error.to_string().contains("could not prove its identity"));
    let reason = StopReason::NoGateway(SessionFailure::WrongIdentity);
    assert!(matches!(error, ConnectError::Stopped(stopped) if stopped == reason));
}

fn a_gateway_the_network_does_not_have_is_waited_for(cast: &Cast) {
    let stage = Stage::new(62);
    let unknown = *IdentityKeyPair::from_seed(&[7; 32]).public();
    let mut config = stage.config(ALICE);
    config.gateway = GatewayChoice::Given(unknown);

    let failure = last_failure(cast, &stage, config);

    assert!(failure.contains("no gateway"), "{failure}");
}

fn a_directory_that_cannot_be_reached_is_named(cast: &Cast) {
    let stage = Stage::new(63);
    let url = format!("http://{}/api/", closed_port());
    let failure = last_failure(cast, &stage, with_directory(&stage, &[&url]));
    assert!(failure.contains(&url), "{failure}");
}

fn a_directory_that_makes_no_sense_is_named(cast: &Cast) {
    let stage = Stage::new(64);
    let answers = [
        ("404 Not Found", String::new(), "404"),
        ("200 OK", "\u{0}nonsense{{".to_owned(), ""),
        ("200 OK", "[".repeat(100_000), ""),
        ("200 OK", "{}".to_owned(), ""),
    ];
    for (status, body, part) in answers {
        let url = serve_http(status, body);
        let failure = last_failure(cast, &stage, with_directory(&stage, &[&url]));
        assert!(failure.contains(part), "{failure}");
    }
}

fn a_directory_that_says_nothing_ends_the_wait(cast: &Cast) {
    let stage = Stage::new(65);
    // connections wait in the queue of the socket and are never taken
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/", silent.local_addr().unwrap());
    let failure = time_out(cast, &stage, with_directory(&stage, &[&url]), SHORT);
    assert_eq!(failure, None);
}

fn of_two_directories_one_is_enough(cast: &Cast) {
    let stage = Stage::new(66);
    let bad = format!("http://{}/api/", closed_port());
    let config = with_directory(&stage, &[&bad, &stage.network.directory_url()]);
    let alice = stage.join_with(cast.alice, ALICE, config);
    let facts = format!("{:?}", alice.facts());
    assert!(facts.contains(&bad), "{facts}");
}

fn a_gateway_that_cannot_be_reached_is_reported(cast: &Cast) {
    let stage = Stage::new(67);
    stage.network.stop_gateway(usize::from(ALICE));
    let failure = last_failure(cast, &stage, stage.config(ALICE));
    let url = &stage.network.gateways()[usize::from(ALICE)].ws_url;
    assert!(failure.contains(url), "{failure}");
}

fn a_gateway_that_talks_nonsense_ends_the_wait(cast: &Cast) {
    let stage = Stage::new(68);
    stage.network.stop_gateway(usize::from(ALICE));
    let info = &stage.network.gateways()[usize::from(ALICE)];
    let address = info.ws_url.trim_start_matches("ws://");
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            // nobody waits for the end of the conversation
            let _ = if n % 2 == 0 {
                talk_nonsense(stream)
            } else {
                (&stream).write_all(&noise(1, 4000)).map_err(drop)
            };
        }
    });
    // whatever fails
    time_out(cast, &stage, stage.config(ALICE), SHORT);
}

fn absurd_settings_of_the_shell_do_no_harm(cast: &Cast) {
    let stage = Stage::new(69);
    for (n, (queue, time)) in
        [(0, Duration::MAX), (usize::MAX, Duration::from_secs(1 << 40))].into_iter().enumerate()
    {
        let mut options = stage.options(n as u8);
        options.connect_timeout = time;
        options.net.dial_timeout = time;
        options.send_queue = queue;
        options.event_queue = queue;
        let (runtime, config) = (cast.alice, stage.config(ALICE));
        let identity = stage.identity(n as u8);
        let alice = within("connecting", move || {
            runtime.connect(config, identity, options).map_err(|error| error.to_string())
        });
        let alice = alice.unwrap();
        let forever = SendOptions { expires_after: Some(time), ..SendOptions::default() };
        let target = Target::Plain(alice.address());
        let receipt = alice.send_with(target, noise(1, 100), forever).unwrap();
        assert_eq!(next(&*alice).data, noise(1, 100));
        assert!(matches!(receipt.outcome_timeout(time), Some(Ok(_))));
        let handle = alice.handle();
        within("draining", move || handle.shutdown(Shutdown::Drain(time))).unwrap();
    }
}

fn talk_nonsense(stream: TcpStream) -> Result<(), ()> {
    let mut socket = tungstenite::accept(stream).map_err(drop)?;
    for n in 0..10 {
        socket.send(tungstenite::Message::binary(noise(n, 2000))).map_err(drop)?;
        socket.send(tungstenite::Message::text("{\"type\":")).map_err(drop)?;
        socket.send(tungstenite::Message::text("{\"type\":\"what\"}")).map_err(drop)?;
    }
    Ok(())
}

/// Connects in vain.
fn fail(cast: &Cast, stage: &Stage, config: Config) -> ConnectError {
    let mut options = stage.options(ALICE);
    // what fails for good does so long before
    options.connect_timeout = tests::wait::PATIENCE / 2;
    fail_with(cast, stage, config, options)
}

/// Connects in vain until something fails, and returns the last thing that failed.
fn last_failure(cast: &Cast, stage: &Stage, config: Config) -> String {
    growing_limits()
        .find_map(|limit| time_out(cast, stage, config.clone(), limit))
        .expect("something fails in time")
}

/// Connects in vain for a while and returns the last thing that failed, if anything did.
fn time_out(cast: &Cast, stage: &Stage, config: Config, limit: Duration) -> Option<String> {
    let mut options = stage.options(ALICE);
    options.connect_timeout = limit;
    match fail_with(cast, stage, config, options) {
        ConnectError::TimedOut { last_failure, .. } => last_failure,
        other => panic!("{other}"),
    }
}

fn fail_with(
    cast: &Cast,
    stage: &Stage,
    config: Config,
    options: nym_runtime_std::Options,
) -> ConnectError {
    let (runtime, identity) = (cast.alice, stage.identity(ALICE));
    let connected = within("connecting fails", move || runtime.connect(config, identity, options));
    match connected {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

fn with_directory(stage: &Stage, urls: &[&str]) -> Config {
    let mut config = stage.config(ALICE);
    config.network = Network::Directory(urls.iter().map(|url| (*url).to_owned()).collect());
    config
}

/// The topology with another identity for one node.
fn renamed(topology: &Topology, from: &IdentityKey, to: IdentityKey) -> Arc<Topology> {
    let mut nodes = topology.nodes().to_vec();
    for node in nodes.iter_mut().filter(|node| node.identity == *from) {
        node.identity = to;
    }
    let parts = TopologyParts {
        epoch: topology.epoch(),
        rotation_id: topology.rotation_id(),
        refreshed_at: topology.refreshed_at(),
        rewarded: topology.rewarded().clone(),
        nodes,
    };
    Arc::new(Topology::new(parts).unwrap())
}

/// An address where nobody listens.
fn closed_port() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Gives every request the same answer.
fn serve_http(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}
