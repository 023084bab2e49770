//! A simulation that the model looks at after every step.

use core::time::Duration;

use bytes::Bytes;
use nym_proto::client::{Event, MessageId, Outgoing, Shutdown, Target};
use nym_proto::time::Instant;

use super::model::{Manner, Model, Rule, Tally, Violation};
use super::{ClientIx, Sim};

/// The simulation and its model.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) sim: Sim,
    pub(super) model: Model,
    /// How many acks each client waited for, now and then, if anybody wants to know.
    pub(super) pending: Option<Vec<Pending>>,
}

/// How many acks each client waits for at an instant.
pub type Pending = (Instant, Vec<usize>);

/// Time between two looks at what is pending.
const PENDING_EVERY: Duration = Duration::from_millis(250);

impl Watched {
    pub(super) fn new(sim: Sim) -> Self {
        Self { sim, model: Model::new(), pending: None }
    }

    pub(super) fn broken<T>(&self, rule: Rule, detail: String) -> Result<T, Violation> {
        Err(Violation { rule, at: self.sim.now(), detail })
    }

    /// Looks at what has happened since the last time.
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        self.model.check(&self.sim)?;
        self.look_at_pending();
        match self.sim.trace_failure() {
            Some(failure) => self.broken(Rule::Repeatable, failure.to_owned()),
            None => Ok(()),
        }
    }

    fn look_at_pending(&mut self) {
        let now = self.sim.now();
        if let Some(pending) = &mut self.pending
            && pending.last().is_none_or(|(at, _)| now.since(*at) >= PENDING_EVERY)
        {
            let clients = (0..self.sim.clients()).map(|index| self.sim.client(ClientIx(index)));
            pending.push((now, clients.map(|it| it.machine().usage().in_flight).collect()));
        }
    }

    /// Lets time pass.
    pub(super) fn advance(&mut self, until: Instant) -> Result<(), Violation> {
        while self.sim.step(until) {
            self.check()?;
        }
        Ok(())
    }

    /// Sends a message that the model knows of. `None`: it is not accepted.
    pub(super) fn send(
        &mut self,
        pair: (ClientIx, ClientIx),
        target: Target,
        data: (MessageId, Bytes),
        change: impl FnOnce(&mut Outgoing),
    ) -> Option<MessageId> {
        let (id, data) = data;
        let manner = match target {
            Target::Plain(_) => Manner::Plain,
            Target::Anonymous { .. } => Manner::Anonymous,
            Target::Reply(_) => Manner::Reply,
        };
        let mut message = Outgoing::new(id, target, data.clone());
        change(&mut message);
        // before the machine acts: an outcome may come at once
        self.model.accepted(self.sim.now(), id, pair, manner, data);
        if self.sim.event(pair.0, Event::Send(message)).is_err() {
            self.model.refused(id);
            return None;
        }
        Some(id)
    }

    /// Ends all clients and adds everything up.
    pub(super) fn finish(&mut self) -> Result<Tally, Violation> {
        self.sim.lose_what_is_under_way();
        for index in 0..self.sim.clients() {
            if let Some(reason) = self.sim.client(ClientIx(index)).stopped() {
                let detail = format!("client {index} has ended: {reason}");
                return self.broken(Rule::KeepsRunning, detail);
            }
            // only sending can fail
            let _ = self.sim.event(ClientIx(index), Event::Shutdown(Shutdown::Now));
        }
        self.model.finish(&self.sim)
    }
}
