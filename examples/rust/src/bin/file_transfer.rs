//! Send files through the mixnet.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use nym_client::protocol::{Addressee, Format, Message, Request, Response};
use nym_examples::incoming::{Answer, CHUNK, Header, Incoming, sha256};
use nym_examples::{ClientArgs, Connection};
use nym_proto::address::Recipient;

/// Packets that wait in our lane; more are no faster, and others have to wait for them.
const LANE_MAX: u64 = 30;

/// Single-use reply blocks for the confirmation.
const REPLY_SURBS: u32 = 5;

/// Send files through the mixnet, over the websocket of the native client.
///
/// The receiver never learns the address of the sender. Files are cut into chunks; each says what it is part of,
/// so that their order does not matter. The receiver checks the SHA-256 of the file and answers.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Send a file. Returns when the receiver has confirmed it.
    Send { file: PathBuf, address: Recipient },
    /// Tell the address and wait for files.
    Receive {
        /// Where files go; made if it is not there.
        folder: PathBuf,
        /// End after so many files.
        #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
        count: u64,
    },
}

fn main() -> ExitCode {
    nym_examples::exit("file_transfer", run(Args::parse()))
}

fn run(args: Args) -> anyhow::Result<()> {
    let mut connection = Connection::open(&args.client, Format::Binary)?;
    match args.command {
        Command::Send { file, address } => send(&mut connection, &file, address)?,
        Command::Receive { folder, count } => receive(&mut connection, &folder, count)?,
    }
    connection.close()
}

fn send(connection: &mut Connection, path: &Path, recipient: Recipient) -> anyhow::Result<()> {
    let content = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = path.file_name().context("the file has no name")?.to_string_lossy().into_owned();
    let mut header =
        Header { file, size: content.len() as u64, sha256: sha256(&content), offset: 0 };
    let lane = getrandom::u64()? | 1; // 0 is no lane
    let mut answer = None;
    while header.offset == 0 || header.offset < header.size {
        let surbs = if header.offset == 0 { REPLY_SURBS } else { 0 };
        let mut data = serde_json::to_vec(&header)?;
        data.push(b'\n');
        data.extend(content.iter().skip(header.offset as usize).take(CHUNK as usize));
        let message = Message::new(Addressee::Anonymous { recipient, surbs }, data);
        connection.ask(&Request::Send(Message { connection: Some(lane), ..message }))?;
        // a message with a connection id is answered with the length of its lane
        loop {
            match connection.wait()? {
                Response::LaneQueueLength { packets, .. } if packets < LANE_MAX => break,
                Response::LaneQueueLength { .. } => {
                    std::thread::sleep(Duration::from_millis(100));
                    connection.ask(&Request::GetLaneQueueLength(lane))?;
                }
                Response::Received(message) => answer = Some(message),
                _ => {}
            }
        }
        header.offset += CHUNK;
    }
    while answer.is_none() {
        if let Response::Received(message) = connection.wait()? {
            answer = Some(message);
        }
    }
    connection.ask(&Request::ClosedConnection(lane))?;
    let answer: Answer = serde_json::from_slice(&answer.context("no answer")?.data)?;
    let is_there = answer.complete && answer.sha256 == header.sha256;
    ensure!(is_there, "the receiver has not got the file: {answer:?}");
    nym_console::out!("sent {} {} {}", header.file, header.size, header.sha256);
    Ok(())
}

fn receive(connection: &mut Connection, folder: &Path, count: u64) -> anyhow::Result<()> {
    let mut incoming = Incoming::new(folder)?;
    connection.ask(&Request::SelfAddress)?;
    let mut received = 0;
    while received < count {
        match connection.wait()? {
            Response::SelfAddress(address) => nym_console::note!("my address: {address}"),
            Response::Received(message) => match incoming.take(&message) {
                Ok(Some((header, answer))) => {
                    let what = if answer.complete { "received" } else { "damaged" };
                    let to = Addressee::Reply(message.tag.context("nobody can be answered")?);
                    let answer = Message::new(to, serde_json::to_vec(&answer)?);
                    connection.ask(&Request::Send(answer))?;
                    nym_console::out!("{what} {} {} {}", header.file, header.size, header.sha256);
                    received += 1;
                }
                Ok(None) => {}
                Err(error) => nym_console::note!("a message was no chunk of a file: {error:#}"),
            },
            _ => {}
        }
    }
    // answers come in the order of requests: after this one the client has accepted the last confirmation
    connection.ask(&Request::SelfAddress)?;
    while !matches!(connection.wait()?, Response::SelfAddress(_)) {}
    Ok(())
}
