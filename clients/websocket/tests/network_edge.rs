//! The program at the edge of a network: gateways and directories behind TLS, and proxies. What the runtimes do there is
//! tested with them; here it is the arguments that get there, and the errors that get back.

mod home;

use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nym_testnet::loopback::{Loopback, LoopbackConfig};
use serde_json::{Value, json};
use tests_edge::{Authority, Certificate, Front, Hidden, Kind, directory_address, gateway_address};
use tungstenite::Message;

use crate::home::Home;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network of one gateway, and a folder for profiles.
struct Stage {
    home: Home,
    network: Loopback,
}

impl Stage {
    fn new() -> Self {
        let config = LoopbackConfig { gateways: 1, ..LoopbackConfig::default() };
        let network = Loopback::start(config).unwrap();
        Self { home: Home::new(), network }
    }

    /// Starts a client that does not exist yet.
    fn run(&self, directory: &str, ca_file: &Path, proxy: &str) -> Running {
        let child = Command::new(env!("CARGO_BIN_EXE_nym-client"))
            .args(["run", "--json", "--port", "0", "--nym-apis", directory, "--proxy", proxy])
            .arg("--ca-file")
            .arg(ca_file)
            .env("NYM_CLIENT_HOME", &self.home.0)
            .env_remove("NYM_API")
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running::new(child)
    }

    /// Puts TLS in front of the gateway, which announces it.
    fn secure_gateway(&self, authority: &Authority) -> Front {
        let server = authority.server(Certificate::Good);
        let front = Front::tls(gateway_address(&self.network, 0), server);
        self.network.announce_wss(0, "localhost", front.address.port());
        front
    }

    /// Puts TLS in front of the directory, and gives its URL.
    fn secure_directory(&self, authority: &Authority) -> (Front, String) {
        let server = authority.server(Certificate::Good);
        let front = Front::tls(directory_address(&self.network), server);
        let url = format!("https://localhost:{}/api/", front.address.port());
        (front, url)
    }
}

/// A client. Ends when dropped.
struct Running {
    child: Child,
    results: Receiver<String>,
    notes: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn new(mut child: Child) -> Self {
        let results = lines(child.stdout.take().unwrap());
        let notes = lines(child.stderr.take().unwrap());
        Self { child, results, notes }
    }

    /// Waits until the client is ready, and lets a program write to itself through it.
    fn works(self) {
        let Ok(line) = self.results.recv_timeout(PATIENCE) else {
            panic!("not ready: {:?}", self.notes.try_iter().collect::<Vec<_>>());
        };
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["websocket"].as_str().unwrap();
        let stream = TcpStream::connect(url.strip_prefix("ws://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut program, _) = tungstenite::client(format!("{url}/?format=text"), stream).unwrap();
        let to_itself = json!({"type": "send", "recipient": ready["address"], "message": "hello"});
        program.send(Message::text(to_itself.to_string())).unwrap();
        let answer = program.read().unwrap().into_text().unwrap();
        let received: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(received["message"], "hello", "{received}");
    }

    /// Waits for the line that names what is not trusted and the remedy.
    fn ends_refused(self, url: &str) {
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains("not trusted")) {
            match self.notes.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(_) => panic!("not refused: {said:?}"),
            }
        }
        let last = said.last().unwrap();
        assert!(last.contains(url) && last.contains("CA file"), "{last}");
    }
}

/// Lines as they come.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

#[test]
fn a_client_works_over_tls_with_its_own_authority() {
    let (stage, authority) = (Stage::new(), Authority::new());
    let gateway = stage.secure_gateway(&authority);
    let (directory, url) = stage.secure_directory(&authority);
    stage.run(&url, &authority.file, "none").works();
    assert!(gateway.bytes() > 0 && directory.bytes() > 0);
}

#[test]
fn a_client_works_through_an_http_proxy_that_alone_knows_the_names() {
    works_through(Kind::Http);
}

#[test]
fn a_client_works_through_a_socks_proxy_that_alone_knows_the_names() {
    works_through(Kind::Socks);
}

fn works_through(kind: Kind) {
    let stage = Stage::new();
    let hidden = Hidden::new(&stage.network, kind);
    stage.run(Hidden::DIRECTORY, &hidden.authority.file, &hidden.proxy.url()).works();
    hidden.assert_used();
}

#[test]
fn a_gateway_of_another_authority_is_refused_and_the_remedy_named() {
    let (stage, known, unknown) = (Stage::new(), Authority::new(), Authority::new());
    let gateway = stage.secure_gateway(&unknown);
    let url = format!("wss://localhost:{}", gateway.address.port());
    stage.run(&stage.network.directory_url(), &known.file, "none").ends_refused(&url);
    assert!(!gateway.peers().is_empty());
    assert_eq!(gateway.bytes(), 0);
}

#[test]
fn a_directory_of_another_authority_is_refused_and_the_remedy_named() {
    let (stage, known, unknown) = (Stage::new(), Authority::new(), Authority::new());
    let (directory, url) = stage.secure_directory(&unknown);
    stage.run(&url, &known.file, "none").ends_refused(&url);
    assert!(!directory.peers().is_empty());
    assert_eq!(directory.bytes(), 0);
}
