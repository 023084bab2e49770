//! Two programs talk through one native client for a while: nothing may be lost, and memory has to stay flat.
//!
//! ```sh
//! cargo run --release -p nym-testnet -- run --json                      # in one terminal
//! cargo run --release -p nym-client --example soak -- target/release/nym-client DIRECTORY_URL 600
//! ```
//!
//! Prints a line of figures each ten seconds, and exits with 1 if something was lost.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use nym_client::protocol::{Addressee, Format, Frame, Message as Outgoing, Request, Response};
use nym_proto::address::Recipient;
use nym_proto::entropy::{Entropy, Purpose};
use tungstenite::{Message, WebSocket};

/// Between two messages of a program. Their fragments take about half of the slots.
const PAUSE: Duration = Duration::from_millis(400);
const MESSAGE_BYTES_MAX: usize = 8000;
/// SURBs of each message; its answer uses it up. With more of them, what is kept would grow up to its limits.
const SURBS: u32 = 1;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, directory, seconds] = &arguments[..] else {
        bail!("give the program, the URL of a directory, and how many seconds");
    };
    let time = Duration::from_secs(seconds.parse().context("seconds are a number")?);
    let home = std::env::temp_dir().join(format!("nym-soak-{}", std::process::id()));
    let result = soak(Path::new(client), directory, &home, time);
    let _ = std::fs::remove_dir_all(&home);
    result
}

fn soak(client: &Path, directory: &str, home: &Path, time: Duration) -> anyhow::Result<()> {
    let config = home.join("default/config/config.toml");
    std::fs::create_dir_all(home.join("default/config"))?;
    std::fs::write(config, "[socket]\nprograms_max = 2\n")?;
    let (child, url, address) = start(client, directory, home)?;
    let child = Stopped(child);
    // the first one receives, the other one gets copies; both send and answer
    let mut first = Program::connect(&url, "first", address)?;
    let mut second = Program::connect(&url, "copy", address)?;
    let started = Instant::now();
    let mut next_line = Duration::ZERO;
    let mut last_sent = Instant::now();
    let mut lengths = Entropy::new([3; 32]).stream(Purpose::Other(1));
    println!("seconds  sent  received  answers  resident_kb");
    loop {
        let elapsed = started.elapsed();
        let is_sending = elapsed < time;
        if is_sending && last_sent.elapsed() >= PAUSE {
            last_sent = Instant::now();
            let len = lengths.index(MESSAGE_BYTES_MAX);
            second.send(len)?;
        }
        first.receive(true)?;
        second.receive(false)?;
        if elapsed >= next_line {
            next_line += Duration::from_secs(10);
            let (sent, received, answers) = second.figures(&first);
            let resident = resident_kb(child.0.id())?;
            println!("{:7}  {sent:4}  {received:8}  {answers:7}  {resident:11}", elapsed.as_secs());
        }
        let is_done = second.open.is_empty() && second.unanswered.is_empty();
        if !is_sending && is_done {
            println!("nothing was lost");
            return Ok(());
        }
        ensure!(
            elapsed < time + Duration::from_secs(120),
            "lost: {} messages, {} answers",
            second.open.len(),
            second.unanswered.len()
        );
    }
}

/// Ends the client at the end.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(
    client: &Path,
    directory: &str,
    home: &Path,
) -> anyhow::Result<(Child, String, Recipient)> {
    let mut child = Command::new(client)
        .args(["run", "--json", "--port", "0", "--nym-apis", directory, "--home"])
        .arg(home)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", client.display()))?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    let ready: serde_json::Value =
        serde_json::from_str(&line).context("the client is not ready")?;
    let text = |name: &str| ready[name].as_str().map(str::to_owned).context("not in the output");
    let address = text("address")?.parse()?;
    Ok((child, text("websocket")?, address))
}

fn resident_kb(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

struct Program {
    socket: WebSocket<TcpStream>,
    address: Recipient,
    next: u64,
    /// Messages that were sent and have not come back.
    open: BTreeSet<u64>,
    /// Messages whose answer has not come.
    unanswered: BTreeSet<u64>,
    received: u64,
    answered: u64,
}

impl Program {
    fn connect(url: &str, receive: &str, address: Recipient) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("ws://"))?;
        let request = format!("{url}/?format=binary&receive={receive}");
        let (socket, _) = tungstenite::client(request, stream).context("no websocket")?;
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok(Self {
            socket,
            address,
            next: 0,
            open: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            received: 0,
            answered: 0,
        })
    }

    /// Sends a message to the client itself: `m`, a number, and as many bytes as asked for.
    fn send(&mut self, len: usize) -> anyhow::Result<()> {
        self.next += 1;
        let mut data = vec![b'm'];
        data.extend(self.next.to_be_bytes());
        data.resize(data.len() + len, 0x5a);
        self.open.insert(self.next);
        self.unanswered.insert(self.next);
        let to = Addressee::Anonymous { recipient: self.address, surbs: SURBS };
        self.request(to, data.into())
    }

    fn request(&mut self, to: Addressee, data: Bytes) -> anyhow::Result<()> {
        let request = Request::Send(Outgoing { to, connection: None, report: None, data });
        let frame = request.encode(Format::Binary).context("not encoded")?;
        Ok(self.socket.send(Message::Binary(frame.as_bytes().clone()))?)
    }

    /// Takes one message, if there is one soon, and answers it if asked to.
    fn receive(&mut self, answers: bool) -> anyhow::Result<()> {
        let frame = match self.socket.read() {
            Ok(Message::Binary(bytes)) => Frame::Binary(bytes),
            Ok(_) => return Ok(()),
            Err(tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Response::Received(message) = Response::decode(&frame)? else {
            bail!("the client says {:?}", Response::decode(&frame)?);
        };
        let (kind, rest) = message.data.split_first().context("an empty message")?;
        let number = rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let number = number.context("a message without a number")?;
        self.received += 1;
        match kind {
            b'm' => {
                self.open.remove(&number);
                if let Some(tag) = message.tag.filter(|_| answers) {
                    let mut data = vec![b'a'];
                    data.extend(number.to_be_bytes());
                    self.request(Addressee::Reply(tag), data.into())?;
                }
            }
            _ => {
                self.answered += u64::from(self.unanswered.remove(&number));
            }
        }
        Ok(())
    }

    fn figures(&self, first: &Self) -> (u64, u64, u64) {
        (self.next, first.received, self.answered)
    }
}
