//! What scenarios have in common.

use core::time::Duration;

use nym_proto::client::{Config, Fact, Lane, MessageId, Outcome, Stats, Target};
use nym_proto::time::Instant;

use crate::sim::model::{OUTSIDER, Rule, Sent, Tally, Violation};
use crate::sim::trace::TraceSink;
use crate::sim::watched::Watched;
use crate::sim::{ClientIx, Sim, SimClient, SimConfig};

/// Long enough for whatever takes the time of a few packets.
pub(super) const SOON: Duration = Duration::from_secs(90);
/// Steps between two looks at whether something has happened.
const LOOK: Duration = Duration::from_millis(50);
/// What is under way when everything is done.
const SETTLE: Duration = Duration::from_secs(10);

/// How a scenario goes.
#[derive(Clone, Copy)]
pub(super) struct Script {
    /// The network it happens in; seed and suite are given.
    pub(super) network: fn() -> SimConfig,
    pub(super) play: fn(&mut Stage) -> Result<(), Violation>,
}

/// Something a scenario promises.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// What.
    pub promise: &'static str,
    /// What was measured.
    pub measured: String,
    /// It is kept.
    pub holds: bool,
}

/// A scenario that was played to its end.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its promises.
    pub checks: Vec<Check>,
    /// Virtual time.
    pub time: Duration,
    /// Clients times virtual time.
    pub client_seconds: f64,
    /// What became of the messages.
    pub tally: Tally,
    /// The hash of everything that happened.
    pub trace_hash: u64,
}

impl Played {
    /// True if all promises are kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// A scenario under way.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) is_spoiled: bool,
    watched: Watched,
    checks: Vec<Check>,
}

impl Stage {
    pub(super) fn new(
        config: SimConfig,
        is_spoiled: bool,
        sink: Option<Box<dyn TraceSink>>,
    ) -> Self {
        let mut sim = Sim::new(config);
        if let Some(sink) = sink {
            sim.trace_to(sink);
        }
        Self { is_spoiled, watched: Watched::new(sim), checks: Vec::new() }
    }

    /// The network, to do something to it.
    pub(super) fn sim(&mut self) -> &mut Sim {
        &mut self.watched.sim
    }

    pub(super) fn now(&self) -> Instant {
        self.watched.sim.now()
    }

    pub(super) fn client(&self, client: ClientIx) -> &SimClient {
        self.watched.sim.client(client)
    }

    pub(super) fn stats(&self, client: ClientIx) -> Stats {
        *self.client(client).machine().stats()
    }

    /// Two clients that are connected.
    pub(super) fn pair(
        &mut self,
        change: impl Fn(&mut Config),
    ) -> Result<(ClientIx, ClientIx), Violation> {
        let (alice, bob) = (self.sim().add_client(&change), self.sim().add_client(&change));
        self.all_ready()?;
        Ok((alice, bob))
    }

    /// Waits until all clients are connected.
    pub(super) fn all_ready(&mut self) -> Result<(), Violation> {
        if self.wait(SOON, |stage| stage.watched.sim.are_ready())?.is_none() {
            return self.watched.broken(Rule::Liveness, "the clients do not connect".to_owned());
        }
        Ok(())
    }

    /// Something the scenario promises.
    pub(super) fn check(&mut self, promise: &'static str, measured: String, holds: bool) {
        self.checks.push(Check { promise, measured, holds });
    }

    /// Promises that something happens within a time.
    pub(super) fn promise(
        &mut self,
        promise: &'static str,
        within: Duration,
        condition: impl FnMut(&Self) -> bool,
    ) -> Result<(), Violation> {
        let took = self.wait(within, condition)?;
        let measured = match took {
            Some(took) => format!("after {:.1} s", took.as_secs_f64()),
            None => format!("not within {} s", within.as_secs()),
        };
        self.check(promise, measured, took.is_some());
        Ok(())
    }

    pub(super) fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        self.watched.advance(self.now() + time)
    }

    /// Waits until something has happened, and tells how long that took.
    pub(super) fn wait(
        &mut self,
        at_most: Duration,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> Result<Option<Duration>, Violation> {
        let begun = self.now();
        while !condition(self) {
            if self.now().since(begun) >= at_most {
                return Ok(None);
            }
            self.run_for(LOOK)?;
        }
        Ok(Some(self.now().since(begun)))
    }

    // ---- messages --------------------------------------------------------------------------

    /// Sends a message without a way to answer.
    pub(super) fn plain(&mut self, from: ClientIx, to: ClientIx, len: usize) -> Option<MessageId> {
        self.plain_on(Lane::General, from, to, len)
    }

    pub(super) fn plain_on(
        &mut self,
        lane: Lane,
        from: ClientIx,
        to: ClientIx,
        len: usize,
    ) -> Option<MessageId> {
        let target = Target::Plain(self.client(to).address()?);
        let data = self.watched.model.compose(len);
        self.watched.send((from, to), target, data, |message| message.lane = lane)
    }

    /// Sends a message with a number of SURBs.
    pub(super) fn anonymous(
        &mut self,
        from: ClientIx,
        to: ClientIx,
        len: usize,
        surbs: u16,
    ) -> Option<MessageId> {
        let target = Target::Anonymous { recipient: self.client(to).address()?, surbs };
        let data = self.watched.model.compose(len);
        self.watched.send((from, to), target, data, |_| {})
    }

    /// Answers somebody who has written anonymously.
    pub(super) fn reply(&mut self, from: ClientIx, to: ClientIx, len: usize) -> Option<MessageId> {
        let mut tags = self.watched.model.tags_of(from);
        let (tag, _) = tags.find(|(_, owner)| *owner == to)?;
        drop(tags);
        let data = self.watched.model.compose(len);
        self.watched.send((from, to), Target::Reply(tag), data, |_| {})
    }

    /// Somebody outside is written to.
    pub(super) fn write_to_stranger(&mut self, from: ClientIx, target: Target) {
        let data = self.watched.model.compose(100);
        // what becomes of it is not asked
        let _ = self.watched.send((from, OUTSIDER), target, data, |_| {});
    }

    pub(super) fn message(&self, id: Option<MessageId>) -> Option<&Sent> {
        self.watched.model.message(id?)
    }

    pub(super) fn is_delivered(&self, id: Option<MessageId>) -> bool {
        self.message(id).is_some_and(|sent| sent.delivered.is_some())
    }

    pub(super) fn is_acknowledged(&self, id: Option<MessageId>) -> bool {
        self.message(id).is_some_and(Sent::is_acknowledged)
    }

    /// How often fragments of an acknowledged message were sent again.
    pub(super) fn retransmissions(&self, id: Option<MessageId>) -> u32 {
        match self.message(id).and_then(|sent| sent.outcome) {
            Some((_, Outcome::Acknowledged { retransmissions, .. })) => retransmissions,
            _ => 0,
        }
    }

    /// How long it took from acceptance to delivery.
    pub(super) fn latency(&self, id: Option<MessageId>) -> Option<Duration> {
        let sent = self.message(id)?;
        sent.delivered.map(|(at, _)| at.since(sent.accepted_at))
    }

    pub(super) fn has_reported(
        &self,
        client: ClientIx,
        since: Instant,
        is_it: impl Fn(&Fact) -> bool,
    ) -> bool {
        self.client(client).facts().iter().any(|(at, fact)| *at >= since && is_it(fact))
    }

    /// Frames a client has written from an instant on, for a while.
    pub(super) fn written(&self, client: ClientIx, from: Instant, time: Duration) -> usize {
        let written = self.client(client).written();
        let in_time = |at: &Instant| *at >= from && at.since(from) < time;
        written.iter().filter(|(at, _)| in_time(at)).count()
    }

    // ---- the end ---------------------------------------------------------------------------

    pub(super) fn finish(mut self) -> Result<Played, Violation> {
        // what gateways have stored is fetched
        self.wait(SOON, |stage| stage.watched.sim.are_ready())?;
        self.run_for(SETTLE)?;
        let tally = self.watched.finish()?;
        let sim = &self.watched.sim;
        let time = sim.now().since(Instant::START);
        let client_seconds = time.as_secs_f64() * sim.clients() as f64;
        Ok(Played {
            time,
            client_seconds,
            tally,
            trace_hash: sim.trace_hash(),
            checks: self.checks,
        })
    }
}
