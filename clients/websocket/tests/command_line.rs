//! The command line as scripts use it: results on the standard output, everything else on the standard error,
//! and an exit status.

mod home;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use nym_testnet::loopback::{Loopback, LoopbackConfig};
use serde_json::Value;

use crate::home::Home;

/// A network and a folder for profiles.
struct Stage {
    home: Home,
    network: Loopback,
}

impl Stage {
    fn new() -> Self {
        let network = Loopback::start(LoopbackConfig::default()).unwrap();
        Self { home: Home::new(), network }
    }

    fn command(&self, line: &str) -> Command {
        let line = line.replace("DIRECTORY", &self.network.directory_url());
        let mut command = Command::new(env!("CARGO_BIN_EXE_nym-client"));
        command.args(line.split_whitespace()).env("NYM_CLIENT_HOME", &self.home.0);
        for variable in ["NYM_API", "RUST_LOG", "HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// The result of a command that succeeds.
    fn json(&self, line: &str) -> Value {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said}");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{line}: {error}: {:?}", output.stdout))
    }

    /// What a command says that fails.
    fn failure(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("An error occurred: "), "{said}");
        said
    }

    fn init(&self) -> Value {
        self.json("init --id a --nym-apis DIRECTORY --port 2005 -o json")
    }

    /// Starts a client and waits until it is ready.
    fn start(&self, line: &str) -> (Child, Value) {
        let mut child = self.command(line).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        (child, serde_json::from_str(&ready).unwrap())
    }
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[test]
fn init_prints_the_fields_scripts_read_and_keeps_only_what_was_chosen() {
    let stage = Stage::new();
    let created = stage.init();
    let mut expected = [
        "version",
        "id",
        "identity_key",
        "encryption_key",
        "gateway_id",
        "gateway_listener",
        "fallback_listener",
        "gateway_registration",
        "address",
        "client_listening_port",
        "client_address",
    ];
    expected.sort_unstable();
    assert_eq!(fields(&created), expected);
    assert_eq!(created["id"], "a");
    assert_eq!(created["client_listening_port"], 2005);
    assert_eq!(created["address"], created["client_address"]);
    assert!(created["gateway_listener"].as_str().unwrap().starts_with("ws://127.0.0.1:"));
    assert_eq!(created["fallback_listener"], Value::Null);
    let config = std::fs::read_to_string(stage.home.0.join("a/config/config.toml")).unwrap();
    assert_eq!(config.lines().filter(|line| line.contains('=')).count(), 2, "{config}");

    let shown = stage.json("show --id a --json");
    assert_eq!(shown["address"], created["address"]);
    assert_eq!(shown["websocket"], "ws://127.0.0.1:2005");
    assert_eq!(stage.json("show --id a --effective --json")["socket"]["listening_port"], 2005);
}

#[test]
fn init_of_an_existing_client_fails_and_touches_nothing() {
    let stage = Stage::new();
    let created = stage.init();
    let said = stage.failure("init --id a --nym-apis DIRECTORY");
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(stage.json("show --id a --json")["address"], created["address"]);
}

#[test]
fn an_init_that_fails_leaves_nothing_behind() {
    let stage = Stage::new();
    let key = stage.init()["identity_key"].as_str().unwrap().to_owned();
    let said = stage.failure(&format!("init --id b --nym-apis DIRECTORY --gateway {key}"));
    assert!(said.contains("is not in the network's list"), "{said}");
    assert!(!stage.home.0.join("b").exists());
    let said = stage.failure("init --id b --nym-apis DIRECTORY --enabled-credentials-mode true");
    assert!(said.contains("credentials"), "{said}");
    let said = stage.failure("init --id b --nym-apis DIRECTORY --force-tls-gateway");
    assert!(said.contains("--force-tls-gateway"), "{said}");
}

#[test]
fn gateways_are_added_listed_and_switched() {
    let stage = Stage::new();
    let created = stage.init();
    let first = created["gateway_id"].as_str().unwrap().to_owned();
    let said = stage.failure(&format!("add-gateway --id a --gateway-id {first}"));
    assert!(said.contains("already"), "{said}");
    let added = stage.json("add-gateway --id a --set-active false -o json");
    let second = added["identity"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(added["active"], false);
    assert_eq!(stage.json("show --id a --json")["gateway_id"], first.as_str());

    let listed = stage.json("list-gateways --id a -o json");
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    let expected = ["active", "endpoint", "fallback_endpoint", "identity", "registration", "typ"];
    assert!(listed.iter().all(|gateway| fields(gateway) == expected), "{listed:?}");

    assert!(stage.run(&format!("switch-gateway --id a --gateway-id {second}")).status.success());
    let address = stage.json("show --id a --json")["address"].as_str().unwrap().to_owned();
    assert!(address.ends_with(&format!("@{second}")));
    let said = stage.failure("add-gateway --id a");
    assert!(said.contains("no gateway"), "{said}");
    let nobody = created["identity_key"].as_str().unwrap();
    let said = stage.failure(&format!("switch-gateway --id a --gateway-id {nobody}"));
    assert!(said.contains("add-gateway"), "{said}");

    let (mut child, ready) = stage.start("run --id a --port 0 --json");
    assert_eq!(ready["address"], address.as_str());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn run_creates_a_client_refuses_a_second_one_and_stops_in_order() {
    let stage = Stage::new();
    let (mut child, ready) = stage.start("run --nym-apis DIRECTORY --port 0 --json");
    let said = stage.failure("run --nym-apis DIRECTORY --port 0");
    assert!(said.contains("in use by process") && said.contains(&child.id().to_string()), "{said}");
    let port = ready["websocket"].as_str().unwrap().rsplit_once(':').unwrap().1;
    let said = stage.failure(&format!("run --id other --nym-apis DIRECTORY --port {port}"));
    assert!(said.contains("cannot listen") && said.contains("--port"), "{said}");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (mut again, ready_again) = stage.start("run --nym-apis DIRECTORY --port 0 --json");
    assert_eq!(ready_again["address"], ready["address"]);
    interrupt(&again);
    assert_eq!(again.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_wrong_is_named_with_the_remedy() {
    let stage = Stage::new();
    for (line, expected) in [
        ("show --id nobody", "nym-client init --id nobody"),
        ("list-gateways --id nobody", "nym-client init"),
        ("run --nym-apis nonsense", "http://"),
        ("run --custom-mixnet /nonexistent.json", "/nonexistent.json"),
        ("run --nym-apis DIRECTORY --proxy ftp://x", "proxy"),
        ("run --nym-apis DIRECTORY --ca-file /nonexistent.pem", "/nonexistent.pem"),
    ] {
        let said = stage.failure(line);
        assert!(said.contains(expected), "{line}: {said}");
    }
    stage.init();
    let config = stage.home.0.join("a/config/config.toml");
    std::fs::write(&config, "[socket]\nlistening_prot = 1\n").unwrap();
    let said = stage.failure("run --id a");
    assert!(said.contains("listening_prot") && said.contains("config.toml"), "{said}");
}

#[test]
fn a_damaged_state_is_an_error_and_recovering_keeps_the_identity() {
    let stage = Stage::new();
    let created = stage.init();
    let state = stage.home.0.join("a/data/state.redb");
    let bytes = std::fs::read(&state).unwrap();
    std::fs::write(&state, &bytes[..bytes.len() / 3]).unwrap();
    let said = stage.failure("run --id a");
    assert!(said.contains("nym-client recover --id a"), "{said}");
    let recovered = stage.json("recover --id a --json");
    assert_eq!(recovered["recovered"], true);
    assert!(std::path::Path::new(recovered["kept_aside"].as_str().unwrap()).exists());
    assert_eq!(stage.json("show --id a --json")["identity_key"], created["identity_key"]);
    assert_eq!(stage.json("recover --id a --json")["recovered"], false);
}

#[test]
fn the_doctor_finds_a_healthy_network_healthy_and_says_what_is_ill() {
    let stage = Stage::new();
    let report = stage.json("doctor --nym-apis DIRECTORY --json");
    assert_eq!(report["ok"], true);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 8);
    assert!(steps.iter().all(|step| step["status"] == "ok"), "{report}");

    let output = stage.run("doctor --nym-apis nonsense --json");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let status: Vec<_> = report["steps"].as_array().unwrap().iter().map(|s| &s["status"]).collect();
    assert_eq!((status[0], status[1]), (&Value::from("ok"), &Value::from("failed")));
    assert!(status[2..].iter().all(|status| *status == "skipped"));
}

#[test]
fn build_info_and_usage_errors_have_their_own_exit_status() {
    let stage = Stage::new();
    assert_eq!(stage.json("build-info -o json")["binary_name"], "nym-client");
    assert_eq!(stage.run("dance").status.code(), Some(2));
    assert_eq!(stage.run("init --id ../a").status.code(), Some(2));
}

/// The writing end of a pipe whose reading end has been closed.
fn not_read() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

#[test]
fn a_program_whose_results_nobody_reads_ends_quietly() {
    let stage = Stage::new();
    stage.init();
    for line in ["build-info", "show --id a", "list-gateways --id a", "run --id a --port 0"] {
        let output = stage.command(line).stdout(not_read()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(nym_console::NOT_READ.into()), "{line}: {said}");
        let progress = |line| ["Connecting.", "Connected to the gateway."].contains(&line);
        assert!(said.lines().all(progress), "{line}: {said}");
    }
}

#[test]
fn a_program_whose_notes_nobody_reads_works() {
    let stage = Stage::new();
    let init =
        "init --id a --nym-apis DIRECTORY --port 2005 --nyxd-urls http://unused.test -o json";
    let output = stage.command(init).stderr(not_read()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let failing = stage.command("show --id nobody").stderr(not_read()).output().unwrap();
    assert_eq!(failing.status.code(), Some(1));
}
