//! Bob: on the blocking runtime, in a thread of his own. He answers whoever writes to him.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use nym_proto::address::Recipient;
use nym_proto::client::{Delivery, DeliveryOrigin, Shutdown, Stats};
use nym_runtime_std::{Client, Options};
use sha2::{Digest as _, Sha256};

use super::Party;

/// What Bob tells about what he sees.
#[derive(Debug)]
pub(crate) enum Note {
    /// He is reachable.
    Ready(Recipient),
    /// A message came.
    Received { data: bytes::Bytes, at: Instant },
    /// Something went wrong.
    Failed(String),
}

/// Bob, at work.
pub(crate) struct Bob {
    pub(crate) notes: Receiver<Note>,
    stop: Sender<()>,
    thread: JoinHandle<Option<Stats>>,
}

impl Bob {
    pub(crate) fn start(party: Party) -> std::io::Result<Self> {
        let (note, notes) = channel();
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("bob".to_owned())
            .spawn(move || live(party, &note, &stopped))?;
        Ok(Self { notes, stop, thread })
    }

    /// Shuts Bob's client down and returns its counters.
    pub(crate) fn stop(self) -> Option<Stats> {
        let _ = self.stop.send(());
        self.thread.join().ok().flatten()
    }
}

fn live(party: Party, note: &Sender<Note>, stopped: &Receiver<()>) -> Option<Stats> {
    let options = Options { seed: Some(party.seed), ..Options::default() };
    let client = match nym_runtime_std::connect(party.config, party.identity, options) {
        Ok(client) => client,
        Err(error) => {
            let _ = note.send(Note::Failed(format!("Bob could not connect: {error}")));
            return None;
        }
    };
    let _ = note.send(Note::Ready(client.address()));
    while stopped.try_recv().is_err() {
        let Some(Ok(delivery)) = client.recv_timeout(std::time::Duration::from_millis(50)) else {
            continue;
        };
        let at = Instant::now();
        let answer = answer_to(&delivery.data);
        if let Err(error) = reply(&client, &delivery, answer) {
            let _ = note.send(Note::Failed(error));
        }
        let _ = note.send(Note::Received { data: delivery.data, at });
    }
    let stats = client.stats();
    let _ = client.shutdown(Shutdown::Now);
    Some(stats)
}

fn reply(client: &Client, delivery: &Delivery, answer: String) -> Result<(), String> {
    let DeliveryOrigin::Anonymous(tag) = delivery.origin else {
        return Err("Bob got a message that cannot be answered".to_owned());
    };
    client.reply(tag, answer).map(drop).map_err(|error| format!("Bob could not answer: {error}"))
}

/// Bob greets who greets, and acknowledges everything else by its hash.
pub(crate) fn answer_to(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) if text.len() < 200 && !text.is_empty() => {
            format!("I got your \"{text}\", whoever you are.")
        }
        _ => hex::encode(Sha256::digest(data)),
    }
}
