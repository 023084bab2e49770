//! Runs in which everything is drawn from a seed: the network, its load, and what goes wrong.
//!
//! A run has two phases. While things go wrong, safety is checked after every step. Then all
//! faults stop, and every pair of clients has [`LIVENESS_BOUND`] to exchange a message and its
//! reply.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nym_proto::client::{MessageId, Target, Traffic};
use nym_proto::entropy::{Entropy, Purpose, Stream};
use nym_proto::limits::Limits;
use nym_proto::time::Instant;

use super::draw::whole;
use super::faults::{FaultPlan, Kind};
use super::model::{Manner, OUTSIDER, Rule, Sent, Tally, Violation};
use super::trace::TraceSink;
use super::watched::{Pending, Watched};
use super::{ClientIx, DirectoryMode, NodeIx, NodeLinks, Sabotage, Sim, SimConfig};

/// How long it may take after the last fault until every pair of clients has exchanged a message
/// and a reply: the longest interval of the directory's refresh (330 s) with its longest pause
/// after a failure (90 s), the longest pause of the connection (60 s), two waits for an ack
/// (60 s each). A correspondent whose SURBs have run out is given new ones without asking.
pub const LIVENESS_BOUND: Duration = Duration::from_secs(600);
/// What is under way when everything is done.
const SETTLE: Duration = Duration::from_secs(10);
/// An acknowledged message that is not delivered after this long will not be.
const SWALLOWED: Duration = Duration::from_secs(30);
/// Bytes of the messages that must get through.
const PROBE: usize = 100;

/// Everything drawn from a seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The network.
    pub sim: SimConfig,
    /// The traffic of each client.
    pub clients: Vec<Traffic>,
    /// What clients may hold.
    pub limits: Limits,
    /// How long things go wrong.
    pub duration: Duration,
    /// Mean time between two messages of all clients together. `None`: there are none.
    pub load_interval: Option<Duration>,
    /// What goes wrong.
    pub plan: FaultPlan,
}

/// What happened in a run in which all rules held.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The kinds of faults.
    pub kinds: Vec<Kind>,
    /// Virtual time, both phases.
    pub time: Duration,
    /// Virtual time of the first phase.
    pub faults_for: Duration,
    /// Clients times virtual time.
    pub client_seconds: f64,
    /// How long it took after the last fault until every pair had exchanged a message.
    pub recovery: Duration,
    /// What became of the messages.
    pub tally: Tally,
    /// The hash of everything.
    pub trace_hash: u64,
}

/// What there is to draw of a run.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What happened.
    pub report: Report,
    /// When the first client wrote a frame, and its bytes.
    pub frames: Vec<(Instant, usize)>,
    /// All messages, those of the second phase included.
    pub messages: Vec<Sent>,
    /// How many acks the clients waited for, several times a second.
    pub pending: Vec<Pending>,
}

impl Scenario {
    /// Runs it.
    ///
    /// # Errors
    /// The first rule that does not hold. A panic is one.
    pub fn run(&self) -> Result<Report, Violation> {
        self.run_with(None)
    }

    /// The same, and everything that happens goes to the sink. If it wants no more lines the run ends
    /// with a violation of [`Rule::Repeatable`].
    ///
    /// # Errors
    /// The first rule that does not hold. A panic is one.
    pub fn run_traced(&self, sink: Box<dyn TraceSink>) -> Result<Report, Violation> {
        self.run_with(Some(sink))
    }

    /// The same, and tells what there is to draw.
    ///
    /// # Errors
    /// The first rule that does not hold. A panic is one.
    pub fn observe(&self) -> Result<Observed, Violation> {
        let observe = || {
            let mut run = Run::new(self, None);
            run.watched.pending = Some(Vec::new());
            let report = run.run()?;
            Ok(run.observed(report))
        };
        let run = catch_unwind(AssertUnwindSafe(observe));
        run.unwrap_or_else(|cause| Err(Violation::panic(&*cause)))
    }

    fn run_with(&self, sink: Option<Box<dyn TraceSink>>) -> Result<Report, Violation> {
        let run = catch_unwind(AssertUnwindSafe(|| Run::new(self, sink).run()));
        run.unwrap_or_else(|cause| Err(Violation::panic(&*cause)))
    }

    /// The same, without anything going wrong.
    #[must_use]
    pub fn without_faults(mut self) -> Self {
        self.plan =
            FaultPlan { kinds: Vec::new(), node_links: NodeLinks::default(), faults: Vec::new() };
        self
    }

    /// The same, with applications that do nothing until faults have stopped.
    #[must_use]
    pub fn idle(mut self) -> Self {
        self.load_interval = None;
        self
    }

    /// The same with fewer packets, so that it takes less time: no client has a shorter interval
    /// than this, on average.
    #[must_use]
    pub fn slowed(mut self, interval: Duration) -> Self {
        for traffic in &mut self.clients {
            traffic.main_interval = traffic.main_interval.max(interval);
            traffic.loop_interval = traffic.loop_interval.map(|loops| loops.max(interval * 10));
        }
        self
    }

    /// Breaks a rule on purpose, to see that it is noticed.
    #[must_use]
    pub fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.sim.sabotage = Some(sabotage);
        self
    }
}
/// A run under way.
struct Run<'s> {
    scenario: &'s Scenario,
    watched: Watched,
    /// What applications do.
    stream: Stream,
}

/// A message and its reply, when faults have stopped.
#[derive(Clone, Copy, Debug)]
struct Probe {
    from: ClientIx,
    to: ClientIx,
    message: Option<MessageId>,
    reply: Option<MessageId>,
}

impl<'s> Run<'s> {
    fn new(scenario: &'s Scenario, sink: Option<Box<dyn TraceSink>>) -> Self {
        let mut sim = Sim::new(scenario.sim.clone());
        if let Some(sink) = sink {
            sim.trace_to(sink);
        }
        for traffic in &scenario.clients {
            sim.add_client(|config| {
                (config.traffic, config.limits) = (*traffic, scenario.limits);
            });
        }
        if scenario.plan.kinds.contains(&Kind::HostileSender) {
            sim.add_hostile_sender(NodeIx::Gateway(0));
        }
        let stream = Entropy::new(whole(scenario.seed)).stream(Purpose::Other(u32::MAX - 2));
        Self { scenario, watched: Watched::new(sim), stream }
    }

    fn run(&mut self) -> Result<Report, Violation> {
        self.suffer()?;
        self.heal();
        let healed_at = self.watched.sim.now();
        self.recover()?;
        let recovery = self.watched.sim.now().since(healed_at);
        self.watched.advance(self.watched.sim.now() + SETTLE)?;
        let tally = self.watched.finish()?;
        let time = self.watched.sim.now().since(Instant::START);
        Ok(Report {
            seed: self.scenario.seed,
            kinds: self.scenario.plan.kinds.clone(),
            time,
            faults_for: self.scenario.duration,
            client_seconds: time.as_secs_f64() * self.watched.sim.clients() as f64,
            recovery,
            tally,
            trace_hash: self.watched.sim.trace_hash(),
        })
    }

    fn observed(self, report: Report) -> Observed {
        let Watched { sim, model, pending } = self.watched;
        Observed {
            report,
            frames: sim.client(ClientIx(0)).written().to_vec(),
            messages: model.messages().cloned().collect(),
            pending: pending.unwrap_or_default(),
        }
    }

    /// The first phase: things go wrong while the applications send.
    fn suffer(&mut self) -> Result<(), Violation> {
        self.watched.sim.set_node_links(self.scenario.plan.node_links);
        let end = Instant::START + self.scenario.duration;
        let mut faults = self.scenario.plan.faults.iter().peekable();
        let mut next_send =
            if self.scenario.load_interval.is_some() { Instant::START } else { end };
        loop {
            let fault_at = faults.peek().map_or(end, |(at, _)| (Instant::START + *at).min(end));
            let until = fault_at.min(next_send).min(end);
            self.watched.advance(until)?;
            if let Some((_, fault)) = faults.next_if(|(at, _)| Instant::START + *at <= until) {
                fault.apply(&mut self.watched.sim);
            } else if next_send <= until && until < end {
                let interval = self.scenario.load_interval.unwrap_or(self.scenario.duration);
                next_send = until + self.stream.exponential(interval);
                self.send_something();
            } else {
                return Ok(());
            }
            self.watched.check()?;
        }
    }

    /// Everything works from now on; connections that went silent stay so until they are given up.
    fn heal(&mut self) {
        self.watched.sim.set_node_links(NodeLinks::default());
        self.watched.sim.set_directory(DirectoryMode::Up);
        self.watched.sim.hide(&[]);
        for client in 0..self.watched.sim.clients() {
            self.watched.sim.set_clocks(ClientIx(client), 0, 0);
            self.watched.sim.restart_client(ClientIx(client));
        }
        for gateway in 0..usize::from(self.scenario.sim.gateways) {
            self.watched.sim.set_grants(NodeIx::Gateway(gateway), true);
            self.watched.sim.corrupt(NodeIx::Gateway(gateway), None);
            self.watched.sim.restart(NodeIx::Gateway(gateway), true);
        }
        for mix in 0..3 * usize::from(self.scenario.sim.mixes_per_layer) {
            self.watched.sim.restart(NodeIx::Mix(mix), true);
        }
    }

    /// The second phase.
    fn recover(&mut self) -> Result<(), Violation> {
        let clients = self.watched.sim.clients();
        let pairs = (0..clients).flat_map(|a| (0..clients).map(move |b| (a, b)));
        let mut probes: Vec<Probe> = pairs
            .filter(|(a, b)| a != b)
            .map(|(a, b)| Probe { from: ClientIx(a), to: ClientIx(b), message: None, reply: None })
            .collect();
        let end = self.watched.sim.now() + LIVENESS_BOUND;
        while self.watched.sim.now() < end {
            let left = probes.clone().into_iter().filter_map(|probe| self.pursue(probe));
            probes = left.collect();
            if probes.is_empty() {
                return Ok(());
            }
            self.watched.advance(self.watched.sim.now() + Duration::from_millis(200))?;
        }
        let detail = probes.first().map(|probe| self.describe(probe)).unwrap_or_default();
        self.watched.broken(Rule::Liveness, format!("{} of the pairs: {detail}", probes.len()))
    }

    /// Does the next step of an exchange. `None` when it is complete.
    fn pursue(&mut self, mut probe: Probe) -> Option<Probe> {
        // a connection that went silent before the faults stopped may still swallow a message:
        // the one exception of `Rule::AcknowledgedIsDelivered`
        if probe.message.is_some_and(|id| self.is_swallowed(id)) {
            (probe.message, probe.reply) = (None, None);
        }
        probe.reply = probe.reply.filter(|id| !self.is_swallowed(*id));
        let Probe { from, to, .. } = probe;
        match (probe.message, probe.reply) {
            (None, _) => {
                if let Some(recipient) = self.watched.sim.client(to).address() {
                    let target = Target::Anonymous { recipient, surbs: 10 };
                    probe.message = self.send((from, to), target, PROBE, false);
                }
            }
            (Some(message), None) => {
                let delivered = self.watched.model.message(message).and_then(|sent| sent.delivered);
                if let Some((_, Some(tag))) = delivered {
                    probe.reply = self.send((to, from), Target::Reply(tag), PROBE, false);
                }
            }
            (Some(message), Some(reply)) => {
                let is_done = [message, reply].into_iter().all(|id| {
                    let sent = self.watched.model.message(id);
                    sent.is_some_and(|sent| sent.delivered.is_some() && sent.is_acknowledged())
                });
                if is_done {
                    return None;
                }
            }
        }
        Some(probe)
    }

    /// True if a message is acknowledged and, a while later, not delivered.
    fn is_swallowed(&self, id: MessageId) -> bool {
        self.watched.model.message(id).is_some_and(|sent| {
            let ended = sent.outcome.filter(|_| sent.is_acknowledged()).map(|(at, _)| at);
            sent.delivered.is_none()
                && ended.is_some_and(|at| self.watched.sim.now().since(at) > SWALLOWED)
        })
    }

    fn describe(&self, probe: &Probe) -> String {
        let message = |id: Option<MessageId>| match id.and_then(|id| self.watched.model.message(id))
        {
            None => "not accepted".to_owned(),
            Some(sent) => {
                let (accepted, delivered) = (sent.accepted_at, sent.delivered.map(|(at, _)| at));
                format!("accepted {accepted:?}, delivered {delivered:?}, {:?}", sent.outcome)
            }
        };
        let state = |client: ClientIx| {
            let client = self.watched.sim.client(client);
            let last = client.facts().last();
            let (state, stopped) = (client.machine().connectivity(), client.stopped());
            let stats = client.machine().stats();
            format!("{state:?}, stopped {stopped:?}, last fact {last:?}, {stats:?}")
        };
        format!(
            "{:?} ({}) to {:?} ({}): message {}; reply {}",
            probe.from,
            state(probe.from),
            probe.to,
            state(probe.to),
            message(probe.message),
            message(probe.reply)
        )
    }

    // ---- what applications do --------------------------------------------------------------

    fn send_something(&mut self) {
        let clients = self.watched.sim.clients();
        let from = ClientIx(self.stream.index(clients));
        let to = ClientIx(self.stream.index(clients));
        let manner = [Manner::Plain, Manner::Anonymous, Manner::Reply][self.stream.index(3)];
        let len = match self.stream.below(10) {
            0 => self.stream.index(40_000),
            1..4 => self.stream.index(5_000),
            _ => self.stream.index(200),
        };
        if self.watched.sim.client(from).is_suspended() {
            return;
        }
        // hostile senders are written to as well
        let hostile = self.watched.sim.hostile_address(0).filter(|_| self.stream.chance(0.15));
        let (to, address) = match hostile {
            Some(address) => (OUTSIDER, Some(address)),
            None => (to, self.watched.sim.client(to).address()),
        };
        let target = match (manner, address) {
            (Manner::Reply, _) => {
                let tags: Vec<_> = self.watched.model.tags_of(from).collect();
                let Some((tag, owner)) = tags.get(self.stream.index(tags.len())) else {
                    return;
                };
                self.send((from, *owner), Target::Reply(*tag), len, true);
                return;
            }
            (_, None) => return,
            (Manner::Plain, Some(recipient)) => Target::Plain(recipient),
            (Manner::Anonymous, Some(recipient)) => {
                Target::Anonymous { recipient, surbs: self.stream.below(20) as u16 }
            }
        };
        self.send((from, to), target, len, true);
    }

    fn send(
        &mut self,
        pair: (ClientIx, ClientIx),
        target: Target,
        len: usize,
        may_give_up: bool,
    ) -> Option<MessageId> {
        let data = self.watched.model.compose(len);
        let gives_up = may_give_up && self.stream.chance(0.2);
        let limits = gives_up
            .then(|| (self.stream.up_to(Duration::from_secs(60)), 1 + self.stream.below(5) as u32));
        self.watched.send(pair, target, data, |message| {
            message.expires_after = limits.map(|(time, _)| time);
            message.attempts_max = limits.map(|(_, attempts)| attempts);
        })
    }
}
