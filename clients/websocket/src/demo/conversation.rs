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

/// What was found out, as far as the conversation got.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) alice: Option<Recipient>,
    pub(crate) bob: Option<Recipient>,
    pub(crate) delivered: bool,
    pub(crate) replied: bool,
    pub(crate) one_way: Option<Duration>,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) file_bytes: usize,
    pub(crate) file_intact: bool,
    pub(crate) hash_confirmed: bool,
    pub(crate) file_time: Option<Duration>,
    pub(crate) alice_stats: Stats,
    pub(crate) bob_stats: Stats,
}

/// Runs the conversation and notes in `figures` how far it got.
pub(crate) fn run(parts: Parts, screen: &Screen, figures: &mut Figures) -> anyhow::Result<()> {
    let bob = Bob::start(parts.bob).context("Bob's thread could not be started")?;
    let options = Options { seed: Some(parts.alice.seed), ..Options::default() };
    let connecting = nym_runtime_smol::connect(parts.alice.config, parts.alice.identity, options);
    let client = smol::block_on(connecting).context("Alice could not connect")?;
    let alice = Alice { client, bob: &bob, deadline: parts.deadline };
    let result = alice.talk(Bytes::from(parts.file), screen, figures);
    figures.alice_stats = alice.client.stats();
    let ended = smol::block_on(alice.client.shutdown(Shutdown::Now));
    let bob_stats = bob.stop();
    result?;
    ended.context("Alice's client ended early")?;
    figures.bob_stats = bob_stats.context("Bob's client ended early")?;
    Ok(())
}

struct Alice<'a> {
    client: Client,
    bob: &'a Bob,
    deadline: Instant,
}

impl Alice<'_> {
    fn talk(&self, file: Bytes, screen: &Screen, figures: &mut Figures) -> anyhow::Result<()> {
        let address = self.client.address();
        figures.alice = Some(address);
        let bob = match self.note()? {
            Note::Ready(address) => address,
            other => bail!("Bob is out of step: {other:?}"),
        };
        figures.bob = Some(bob);
        screen.ready(&address, &bob)?;
        self.greet(bob, figures)?;
        screen.greeting(figures)?;
        self.send_file(bob, file, screen, figures)
    }

    /// Sends the greeting and waits for the answer.
    fn greet(&self, bob: Recipient, figures: &mut Figures) -> anyhow::Result<()> {
        let sent = Instant::now();
        let receipt = self.send(bob, Bytes::from_static(GREETING.as_bytes()), Lane::General)?;
        let (data, at) = match self.note().context("the greeting did not arrive")? {
            Note::Received { data, at } => (data, at),
            other => bail!("the greeting did not arrive: {other:?}"),
        };
        figures.delivered = data == GREETING;
        figures.one_way = Some(at - sent);
        let answer = self.reply("the answer to the greeting")?;
        figures.round_trip = Some(sent.elapsed());
        figures.replied = answer.data == answer_to(GREETING.as_bytes())
            && answer.origin == DeliveryOrigin::Reply(bob);
        self.acknowledged(&receipt, "the greeting")
    }

    /// Sends the file and waits for its hash.
    fn send_file(
        &self,
        bob: Recipient,
        file: Bytes,
        screen: &Screen,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        let sent = Instant::now();
        let receipt = self.send(bob, file.clone(), FILE_LANE)?;
        let (received, at) = self.watch_file(screen)?;
        figures.file_bytes = received.len();
        figures.file_intact = received == file;
        figures.file_time = Some(at - sent);
        let hash = self.reply("Bob's hash of the file")?;
        figures.hash_confirmed = hash.data == answer_to(&file);
        self.acknowledged(&receipt, "the file")
    }

    /// Shows how much of the file has left, until Bob has all of it.
    fn watch_file(&self, screen: &Screen) -> anyhow::Result<(Bytes, Instant)> {
        let total = self.lane_len()?;
        let progress = screen.progress(total);
        loop {
            match self.bob.notes.recv_timeout(Duration::from_millis(100)) {
                Ok(Note::Received { data, at }) => {
                    progress.finish();
                    return Ok((data, at));
                }
                Ok(other) => bail!("the file did not arrive: {other:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the file did not arrive: Bob has gone")
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > self.deadline => {
                    bail!("the file did not arrive in time")
                }
                Err(RecvTimeoutError::Timeout) => {
                    progress.sent(total.saturating_sub(self.lane_len()?))
                }
            }
        }
    }

    fn send(&self, bob: Recipient, data: Bytes, lane: Lane) -> anyhow::Result<Receipt> {
        let target = Target::Anonymous { recipient: bob, surbs: SURBS };
        let options = SendOptions { lane, ..SendOptions::default() };
        smol::block_on(self.client.send_with(target, data, options)).context("Alice could not send")
    }

    fn lane_len(&self) -> anyhow::Result<u64> {
        Ok(smol::block_on(self.client.lane_len(FILE_LANE)).context("Alice's client ended early")?
            as u64)
    }

    fn note(&self) -> anyhow::Result<Note> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.bob.notes.recv_timeout(left) {
            Ok(Note::Failed(reason)) => Err(anyhow!(reason)),
            Ok(note) => Ok(note),
            Err(RecvTimeoutError::Timeout) => Err(anyhow!("out of time")),
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("Bob has gone")),
        }
    }

    fn reply(&self, what: &str) -> anyhow::Result<Delivery> {
        let delivery =
            self.in_time(self.client.recv()).with_context(|| format!("{what} did not arrive"))?;
        Ok(delivery?)
    }

    fn acknowledged(&self, receipt: &Receipt, what: &str) -> anyhow::Result<()> {
        match self
            .in_time(receipt.outcome())
            .with_context(|| format!("{what} was not acknowledged"))??
        {
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
