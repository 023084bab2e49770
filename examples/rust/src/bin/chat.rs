//! Chat through the mixnet.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use clap::Parser;
use nym_client::protocol::{Addressee, Format, Message, Request, Response};
use nym_examples::{ClientArgs, Connection};
use nym_proto::address::Recipient;

/// Single-use reply blocks that go along with each message: the other side can send as many packets
/// back before its client has to ask for more.
const REPLY_SURBS: u32 = 10;

/// Chat through the mixnet, over the websocket of the native client.
///
/// Without an address it tells its own one on the standard error, waits for somebody to write, and answers. With an
/// address it writes first; the other side gets a tag to answer to, and never an address.
///
/// Each line of the standard input is a message; what arrives is printed. It ends with the input, or
/// when --count messages have arrived as well.
#[derive(Parser)]
struct Args {
    /// Whom to write to.
    address: Option<Recipient>,
    /// Stay until so many messages have arrived.
    #[arg(long, value_name = "N", default_value_t = 0)]
    count: u64,
    #[command(flatten)]
    client: ClientArgs,
}

fn main() -> ExitCode {
    nym_examples::exit("chat", chat(&Args::parse()))
}

fn chat(args: &Args) -> anyhow::Result<()> {
    // `Format::Binary` does as well
    let mut connection = Connection::open(&args.client, Format::Text)?;
    connection.ask(&Request::SelfAddress)?;
    let lines = read_lines();
    let mut to =
        args.address.map(|recipient| Addressee::Anonymous { recipient, surbs: REPLY_SURBS });
    let (mut line, mut has_ended) = (None, false);
    let (mut arrived, mut addresses) = (0, 0);
    while addresses < 2 || arrived < args.count {
        if line.is_none() && !has_ended {
            match lines.try_recv() {
                Ok(text) => line = Some(text),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    has_ended = true;
                    // Answers come in the order of requests: after this one the client has accepted
                    // all messages.
                    connection.ask(&Request::SelfAddress)?;
                }
            }
        }
        // who has not written first waits for somebody to answer to
        if let Some(to) = &to
            && let Some(text) = line.take()
        {
            connection.ask(&Request::Send(Message::new(to.clone(), text)))?;
            continue;
        }
        match connection.poll()? {
            Some(Response::SelfAddress(address)) => {
                if addresses == 0 {
                    nym_console::note!("my address: {address}");
                }
                addresses += 1;
            }
            Some(Response::Received(message)) => {
                arrived += 1;
                let who = message.tag.map_or("answer".to_owned(), |tag| tag.to_string());
                let text = String::from_utf8_lossy(&message.data);
                // no control sequences of strangers on the terminal
                nym_console::out!("{who:.6}: {}", text.replace(char::is_control, "\u{fffd}"));
                to = message.tag.map(Addressee::Reply).or(to);
            }
            _ => {}
        }
    }
    connection.close()
}

/// The lines of the standard input, read by a thread of its own.
fn read_lines() -> Receiver<String> {
    let (sender, lines) = sync_channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
