//! The whole program is killed again and again: it keeps its address and its conversations, and never uses
//! a SURB twice.

mod home;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nym_proto::client::{Config, DeliveryOrigin, GatewayChoice, Network};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::message::SenderTag;
use nym_runtime_std::{Client, Options, connect, generate_identity};
use nym_testnet::loopback::{Loopback, LoopbackConfig};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::home::Home;

const KILLS: u32 = 200;
/// Rounds between two proofs that both sides can still answer.
const ROUNDS: u32 = 25;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program under test, running.
struct Victim {
    child: Child,
    ready: Value,
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Stage {
    home: Home,
    network: Loopback,
    bob: Client,
    chance: Stream,
}

impl Stage {
    fn new() -> Self {
        let network = Loopback::start(LoopbackConfig::default()).unwrap();
        let mut config = Config::new(Network::Directory(vec![network.directory_url()]));
        config.gateway = GatewayChoice::Given(network.gateways()[1].identity);
        let bob = connect(config, generate_identity().unwrap(), Options::default()).unwrap();
        let chance = Entropy::new([11; 32]).stream(Purpose::Other(1));
        Self { home: Home::new(), network, bob, chance }
    }

    fn spawn(&self) -> Child {
        let directory = self.network.directory_url();
        Command::new(env!("CARGO_BIN_EXE_nym-client"))
            .args(["run", "--json", "--port", "0", "--home"])
            .arg(&self.home.0)
            .args(["--nym-apis", &directory])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Starts the program and waits until it is ready.
    fn start(&self) -> Victim {
        let mut child = self.spawn();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Victim { child, ready }
    }

    /// Waits for a message that `is_wanted` and drops what comes before.
    fn bob_receives(&self, is_wanted: &str) -> DeliveryOrigin {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(Ok(message)) = self.bob.recv_timeout(Duration::from_millis(200))
                && message.data == is_wanted
            {
                return message.origin;
            }
        }
        panic!("Bob did not receive {is_wanted:?}");
    }
}

struct Program(WebSocket<TcpStream>);

impl Program {
    fn connect(victim: &Victim) -> Self {
        let url = victim.ready["websocket"].as_str().unwrap();
        let stream = TcpStream::connect(url.strip_prefix("ws://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(tungstenite::client(format!("{url}/?format=text"), stream).unwrap().0)
    }

    fn say(&mut self, request: &Value) {
        self.0.send(Message::text(request.to_string())).unwrap();
    }

    /// Waits for a received message that `is_wanted` and drops what comes before.
    fn receives(&mut self, is_wanted: &str) -> Value {
        loop {
            let Message::Text(text) = self.0.read().unwrap() else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_ne!(message["type"], "error", "{message}");
            if message["message"] == is_wanted {
                return message;
            }
        }
    }
}

/// The names the two have for each other.
struct Tags {
    /// Bob's name for the program.
    program: SenderTag,
    /// The program's name for Bob.
    bob: String,
}

/// Both write to each other anonymously, once.
fn introduce(stage: &Stage, address: &str) -> Tags {
    let victim = stage.start();
    let mut program = Program::connect(&victim);
    let bob = stage.bob.address().to_string();
    program.say(
        &json!({"type": "sendAnonymous", "recipient": bob, "message": "hello", "replySurbs": 20}),
    );
    let DeliveryOrigin::Anonymous(tag) = stage.bob_receives("hello") else { panic!("no tag") };
    drop(stage.bob.send_anonymous(address.parse().unwrap(), 20, "hello, too").unwrap());
    let received = program.receives("hello, too");
    Tags { program: tag, bob: received["senderTag"].as_str().unwrap().to_owned() }
}

/// Both can still answer by the names they have for each other.
fn prove(stage: &Stage, tags: &Tags, address: &str, round: u32) {
    let victim = stage.start();
    assert_eq!(victim.ready["address"], address, "round {round}");
    let mut program = Program::connect(&victim);
    let to_program = format!("answer to the program {round}");
    drop(stage.bob.reply(tags.program, to_program.clone()).unwrap());
    program.receives(&to_program);
    let to_bob = format!("answer to Bob {round}");
    program.say(&json!({"type": "reply", "senderTag": tags.bob, "message": to_bob}));
    stage.bob_receives(&to_bob);
}

/// The program is in the middle of both conversations when it is killed.
fn disturb(stage: &mut Stage, tags: &Tags, round: u32) {
    let pause = stage.chance.up_to(Duration::from_millis(250));
    if round.is_multiple_of(4) {
        // somewhere in its start
        let mut child = stage.spawn();
        std::thread::sleep(pause);
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    }
    let victim = stage.start();
    let mut program = Program::connect(&victim);
    let bob = stage.bob.address().to_string();
    program.say(
        &json!({"type": "sendAnonymous", "recipient": bob, "message": "again", "replySurbs": 3}),
    );
    program.say(&json!({"type": "reply", "senderTag": tags.bob, "message": "again"}));
    drop(stage.bob.reply(tags.program, "again").unwrap());
    std::thread::sleep(pause);
}

#[test]
fn a_client_that_is_killed_hundreds_of_times_keeps_its_address_and_its_conversations() {
    let mut stage = Stage::new();
    let address = stage.start().ready["address"].as_str().unwrap().to_owned();
    let tags = introduce(&stage, &address);
    for round in 0..KILLS {
        disturb(&mut stage, &tags, round);
        if (round + 1).is_multiple_of(ROUNDS) {
            prove(&stage, &tags, &address, round);
        }
    }
    // a SURB that is used twice gives the same packet twice, which mix nodes and gateways notice
    let stats = stage.network.stats();
    let gateways = stats.gateways.iter().map(|gateway| &gateway.packets);
    let replayed: u64 = stats.mixes.iter().chain(gateways).map(|packets| packets.replayed).sum();
    assert_eq!(replayed, 0);
}
