//! The conversation: Alice, on the async runtime, speaks first.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use nym_proto::address::Recipient;
use nym_proto::client::{Delivery, DeliveryOrigin, Lane, Outcome, Shutdown, Stats, Target};
use nym_runtime_smol::{Client, Options, Receipt, SendOptions};
use smol::future::FutureExt as _;

use super::Party;
use super::bob::{Bob, Note, answer_to};
use super::screen::Screen;

/// What Alice says.
pub(crate) const GREETING: &str = "Hello Bob, guess who this is.";
/// Single-use reply blocks Alice attaches to each message. 10 are usual.
const SURBS: u16 = 10;
/// The file has a lane of its own.
const FILE_LANE: Lane = Lane::Connection(1);

/// What the conversation needs.
pub(crate) struct Parts {
    pub(crate) alice: Party,
    pub(crate) bob: Party,
    pub(crate) file: Vec<u8>,
    pub(crate) deadline: Instant,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) alice: Recipient,
    pub(crate) bob: Recipient,
    pub(crate) delivered: bool,
    pub(crate) replied: bool,
    pub(crate) one_way: Duration,
    pub(crate) round_trip: Duration,
    pub(crate) file_bytes: usize,
    pub(crate) file_intact: bool,
    pub(crate) hash_confirmed: bool,
    pub(crate) file_time: Duration,
    pub(crate) alice_stats: Stats,
    pub(crate) bob_stats: Stats,
}

/// Runs the conversation.
pub(crate) fn run(parts: Parts, screen: &Screen) -> anyhow::Result<Figures> {
    let gateways = (parts.alice.gateway, parts.bob.gateway);
    let bob = Bob::start(parts.bob).context("Bob's thread could not be started")?;
    let options = Options { seed: Some(parts.alice.seed), ..Options::default() };
    let client = smol::block_on(nym_runtime_smol::connect(parts.alice.config, parts.alice.identity, options))
        .context("Alice could not connect")?;
    let alice = Alice { client, bob: &bob, deadline: parts.deadline };
    let bob_address = match alice.note()? {
        Note::Ready(address) => address,
        other => bail!("Bob is out of step: {other:?}"),
    };
    screen.ready(&alice.client.address(), &bob_address, gateways);

    let (one_way, round_trip) = alice.greet(bob_address)?;
    screen.greeting(one_way, round_trip);
    let (intact, confirmed, time) = alice.send_file(bob_address, parts.file.clone(), screen)?;

    let address = alice.client.address();
    let alice_stats = alice.client.stats();
    smol::block_on(alice.client.shutdown(Shutdown::Now)).context("Alice's client ended early")?;
    let bob_stats = bob.stop().context("Bob's client ended early")?;
    Ok(Figures {
        alice: address,
        bob: bob_address,
        delivered: true,
        replied: true,
        one_way,
        round_trip,
        file_bytes: parts.file.len(),
        file_intact: intact,
        hash_confirmed: confirmed,
        file_time: time,
        alice_stats,
        bob_stats,
    })
}

struct Alice<'a> {
    client: Client,
    bob: &'a Bob,
    deadline: Instant,
}

impl Alice<'_> {
    /// Sends the greeting and waits for the answer. Returns one-way latency and round trip.
    fn greet(&self, bob: Recipient) -> anyhow::Result<(Duration, Duration)> {
        let sent = Instant::now();
        let receipt = self.send(bob, Bytes::from_static(GREETING.as_bytes()), Lane::General)?;
        let (data, at) = self.received_by_bob("the greeting")?;
        if data != GREETING {
            bail!("the greeting arrived damaged");
        }
        let answer = self.reply("the answer to the greeting")?;
        let round_trip = sent.elapsed();
        if answer.data != answer_to(GREETING.as_bytes()) || answer.origin != DeliveryOrigin::Reply(bob) {
            bail!("Bob's answer arrived damaged");
        }
        self.acknowledged(&receipt, "the greeting")?;
        Ok((at - sent, round_trip))
    }

    /// Sends the file and waits for its hash. Returns whether it arrived intact, whether Bob
    /// confirmed it, and how long it took.
    fn send_file(&self, bob: Recipient, file: Vec<u8>, screen: &Screen) -> anyhow::Result<(bool, bool, Duration)> {
        let file = Bytes::from(file);
        let sent = Instant::now();
        let receipt = self.send(bob, file.clone(), FILE_LANE)?;
        let total = self.lane_len()?;
        let progress = screen.progress(total);
        let (received, at) = loop {
            match self.bob.notes.recv_timeout(Duration::from_millis(100)) {
                Ok(Note::Received { data, at }) => break (data, at),
                Ok(other) => bail!("the file did not arrive: {other:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("Bob has gone"),
                Err(RecvTimeoutError::Timeout) if Instant::now() > self.deadline => {
                    bail!("the file did not arrive in time")
                }
                Err(RecvTimeoutError::Timeout) => progress.sent(total.saturating_sub(self.lane_len()?)),
            }
        };
        progress.finish();
        let hash = self.reply("Bob's hash of the file")?;
        self.acknowledged(&receipt, "the file")?;
        Ok((received == file, hash.data == answer_to(&file), at - sent))
    }

    fn send(&self, bob: Recipient, data: Bytes, lane: Lane) -> anyhow::Result<Receipt> {
        let target = Target::Anonymous { recipient: bob, surbs: SURBS };
        let options = SendOptions { lane, ..SendOptions::default() };
        smol::block_on(self.client.send_with(target, data, options)).context("Alice could not send")
    }

    fn lane_len(&self) -> anyhow::Result<u64> {
        Ok(smol::block_on(self.client.lane_len(FILE_LANE)).context("Alice's client ended early")? as u64)
    }

    fn note(&self) -> anyhow::Result<Note> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.bob.notes.recv_timeout(left).context("Bob said nothing in time")? {
            Note::Failed(reason) => Err(anyhow!(reason)),
            note => Ok(note),
        }
    }

    fn received_by_bob(&self, what: &str) -> anyhow::Result<(Bytes, Instant)> {
        match self.note().with_context(|| format!("{what} did not arrive"))? {
            Note::Received { data, at } => Ok((data, at)),
            other => bail!("{what} did not arrive: {other:?}"),
        }
    }

    fn reply(&self, what: &str) -> anyhow::Result<Delivery> {
        let delivery = self.in_time(self.client.recv()).with_context(|| format!("{what} did not arrive"))?;
        Ok(delivery?)
    }

    fn acknowledged(&self, receipt: &Receipt, what: &str) -> anyhow::Result<()> {
        match self.in_time(receipt.outcome()).with_context(|| format!("{what} was not acknowledged"))?? {
            Outcome::Acknowledged { .. } => Ok(()),
            other => bail!("{what} was not acknowledged: {other:?}"),
        }
    }

    fn in_time<T>(&self, future: impl Future<Output = T>) -> anyhow::Result<T> {
        let late = async {
            smol::Timer::at(self.deadline).await;
            Err(anyhow!("out of time"))
        };
        smol::block_on(async { Ok(future.await) }.or(late))
    }
}
