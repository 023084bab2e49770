//! What goes wrong in a run, drawn from its seed.
//!
//! Every seed enables a random subset of the kinds of faults, each with a random strength: runs
//! with everything at once hide what runs with two things at once show.

use core::time::Duration;

use nym_proto::entropy::Stream;

use super::hostile_gateway::{Malice, Mischief};
use super::hostile_sender::Attack;
use super::{ClientIx, DirectoryMode, NodeIx, NodeLinks, Sim, Ways};

/// A kind of faults.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Frames between nodes get lost.
    Loss,
    /// Frames between nodes arrive twice.
    Duplication,
    /// Frames between nodes are held back.
    Reordering,
    /// Nodes are far from each other, at varying distance.
    Jitter,
    /// Connections of clients are cut.
    Cuts,
    /// Connections of clients break in the middle of a message.
    Tears,
    /// Connections of clients go silent, in one direction or both.
    Silence,
    /// Connections of clients stall, in one direction or both.
    Stalls,
    /// Gateways or clients read slowly.
    SlowReaders,
    /// Clients sleep.
    Suspend,
    /// Clients crash at any action, and come back with what they had kept.
    ClientCrash,
    /// Clocks of clients jump, forwards and back, each for itself.
    ClockJumps,
    /// Gateways crash and keep their memory.
    GatewayCrash,
    /// Gateways crash and lose their memory.
    MemoryLoss,
    /// Mix nodes crash.
    MixCrash,
    /// The directory does not answer.
    DirectoryDown,
    /// The directory gives old answers.
    DirectoryStale,
    /// Answers of the directory are damaged, cut short, or mixed up.
    DirectoryGarbage,
    /// The directory describes another network: other keys, or other layers.
    DirectoryWrong,
    /// The directory's documents are of different epochs.
    DirectoryInconsistent,
    /// The directory's documents are made to do harm.
    DirectoryHostile,
    /// The directory takes its time.
    DirectorySlow,
    /// A gateway or mix node is not listed for a while, though it runs.
    Unlisted,
    /// The list of nodes changes all the time.
    Churn,
    /// The gateway of a client is not listed for a while.
    OwnGatewayGone,
    /// Bandwidth runs out, and gateways grant no more for a while.
    NoBandwidth,
    /// Gateways mean harm.
    HostileGateway,
    /// Somebody sends packets that mean harm.
    HostileSender,
    /// Epochs are short: keys rotate at least three times.
    Rotation,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 29] = [
        Self::Loss,
        Self::Duplication,
        Self::Reordering,
        Self::Jitter,
        Self::Cuts,
        Self::Tears,
        Self::Silence,
        Self::Stalls,
        Self::SlowReaders,
        Self::Suspend,
        Self::ClientCrash,
        Self::ClockJumps,
        Self::GatewayCrash,
        Self::MemoryLoss,
        Self::MixCrash,
        Self::DirectoryDown,
        Self::DirectoryStale,
        Self::DirectoryGarbage,
        Self::DirectoryWrong,
        Self::DirectoryInconsistent,
        Self::DirectoryHostile,
        Self::DirectorySlow,
        Self::Unlisted,
        Self::Churn,
        Self::OwnGatewayGone,
        Self::NoBandwidth,
        Self::HostileGateway,
        Self::HostileSender,
        Self::Rotation,
    ];

    /// Probability with which a seed enables it. Long runs are rare, they take long.
    const fn probability(self) -> f64 {
        match self {
            Self::Rotation => 0.1,
            Self::MemoryLoss
            | Self::DirectoryGarbage
            | Self::DirectoryWrong
            | Self::DirectoryInconsistent
            | Self::DirectoryHostile
            | Self::HostileGateway
            | Self::NoBandwidth => 0.15,
            _ => 0.25,
        }
    }
}

/// One thing that goes wrong, or right again.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// The connection is cut.
    Cut(ClientIx),
    /// The connection breaks in the middle of a message, after this many more.
    Tear(ClientIx, Ways, usize),
    /// The connection goes silent.
    Silence(ClientIx, Ways),
    /// The connection stalls.
    Stall(ClientIx, Ways, Duration),
    /// The reader at the end takes one message in this long, for this long.
    Slow(ClientIx, Ways, Duration, Duration),
    /// The client sleeps.
    Suspend(ClientIx, Duration),
    /// The client crashes when it has carried out this many more actions.
    CrashClient(ClientIx, u64),
    /// The client comes back, if it has crashed.
    RestartClient(ClientIx),
    /// The client's clocks are off by this many milliseconds.
    Clocks(ClientIx, i64, i64),
    /// The node crashes.
    Crash(NodeIx),
    /// The node comes back; with its memory or not.
    Restart(NodeIx, bool),
    /// The directory answers differently.
    Directory(DirectoryMode),
    /// These nodes are not listed.
    Hide(Vec<NodeIx>),
    /// The client's gateway is not listed.
    HideGatewayOf(ClientIx),
    /// Bandwidth has run out and is not granted any more; or it is granted again.
    Grants(NodeIx, bool),
    /// The gateway means harm; or behaves again.
    Corrupt(NodeIx, Option<Malice>),
    /// The hostile sender attacks the client.
    Attack(ClientIx, Attack),
}

impl Fault {
    /// Makes it so.
    pub fn apply(&self, sim: &mut Sim) {
        match self {
            Self::Cut(client) => sim.cut(*client),
            Self::Tear(client, ways, after) => sim.tear(*client, *ways, *after),
            Self::Silence(client, ways) => sim.silence(*client, *ways),
            Self::Stall(client, ways, time) => sim.stall(*client, *ways, *time),
            Self::Slow(client, ways, gap, time) => sim.slow(*client, *ways, *gap, *time),
            Self::Clocks(client, monotonic, wall) => sim.set_clocks(*client, *monotonic, *wall),
            Self::Suspend(client, time) => sim.suspend(*client, *time),
            Self::CrashClient(client, actions) => sim.crash_client_after(*client, *actions),
            Self::RestartClient(client) => sim.restart_client(*client),
            Self::Crash(node) => sim.crash(*node),
            Self::Restart(node, with_memory) => sim.restart(*node, *with_memory),
            Self::Directory(mode) => sim.set_directory(*mode),
            Self::Hide(nodes) => sim.hide(nodes),
            Self::HideGatewayOf(client) => {
                sim.hide(&sim.gateway_of(*client).into_iter().collect::<Vec<_>>())
            }
            Self::Corrupt(gateway, malice) => sim.corrupt(*gateway, malice.clone()),
            Self::Attack(client, attack) => sim.attack(0, *client, *attack),
            Self::Grants(gateway, grants) => sim.set_grants(*gateway, *grants),
        }
    }
}

/// What a network consists of, as far as it can go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Number of clients.
    pub clients: usize,
    /// Number of gateways.
    pub gateways: usize,
    /// Number of mix nodes of all layers.
    pub mixes: usize,
    /// How long an epoch lasts.
    pub epoch_length: Duration,
}

/// What goes wrong in a run.
#[derive(Clone, PartialEq, Debug)]
pub struct FaultPlan {
    /// The kinds that are enabled.
    pub kinds: Vec<Kind>,
    /// How frames travel between nodes while things go wrong.
    pub node_links: NodeLinks,
    /// When what happens, in order of time.
    pub faults: Vec<(Duration, Fault)>,
}

impl FaultPlan {
    /// Draws which kinds are enabled.
    #[must_use]
    pub fn draw_kinds(stream: &mut Stream) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| stream.chance(kind.probability())).collect()
    }

    /// Draws what happens within `duration`. Everything that ends ends before that, except silent
    /// connections.
    #[must_use]
    pub fn draw(kinds: Vec<Kind>, parts: Parts, duration: Duration, stream: &mut Stream) -> Self {
        let node_links = draw_node_links(&kinds, stream);
        let mut draft = Draft { parts, duration, stream, faults: Vec::new() };
        for kind in &kinds {
            // at least one, up to one every 15 seconds
            let most = 1 + duration.as_secs() / 15;
            for _ in 0..=draft.stream.below(most.min(12)) {
                draft.add(*kind);
            }
        }
        let mut faults = draft.faults;
        faults.sort_by_key(|(at, _)| *at);
        Self { kinds, node_links, faults }
    }
}

fn draw_node_links(kinds: &[Kind], stream: &mut Stream) -> NodeLinks {
    let mut links = NodeLinks::default();
    for kind in kinds {
        // weak faults are more likely than strong ones
        let strength = stream.unit() * stream.unit();
        match kind {
            Kind::Loss => links.loss = 0.25 * strength,
            Kind::Duplication => links.duplication = 0.5 * strength,
            Kind::Reordering => {
                links.reordering = 0.5 * strength;
                links.held_back = stream.up_to(Duration::from_secs(4));
            }
            Kind::Jitter => {
                links.latency = stream.up_to(Duration::from_millis(300));
                links.jitter = stream.up_to(Duration::from_millis(500));
            }
            _ => {}
        }
    }
    links
}

/// Faults being drawn.
struct Draft<'s> {
    parts: Parts,
    duration: Duration,
    stream: &'s mut Stream,
    faults: Vec<(Duration, Fault)>,
}

impl Draft<'_> {
    fn add(&mut self, kind: Kind) {
        let client = ClientIx(self.stream.index(self.parts.clients));
        let gateway = NodeIx::Gateway(self.stream.index(self.parts.gateways));
        let mix = NodeIx::Mix(self.stream.index(self.parts.mixes));
        let (at, short) = self.span(Duration::from_secs(30));
        let (_, long) = self.span(Duration::from_secs(90));
        let end = at + short;
        let ways = [Ways::Up, Ways::Down, Ways::Both][self.stream.index(3)];
        match kind {
            Kind::Loss | Kind::Duplication | Kind::Reordering | Kind::Jitter | Kind::Rotation => {}
            Kind::Cuts => self.faults.push((at, Fault::Cut(client))),
            Kind::Tears => {
                let after = self.stream.index(20);
                self.faults.push((at, Fault::Tear(client, ways, after)));
            }
            Kind::Silence => self.faults.push((at, Fault::Silence(client, ways))),
            Kind::Stalls => self.faults.push((at, Fault::Stall(client, ways, short))),
            Kind::SlowReaders => {
                let gap = self.stream.up_to(Duration::from_millis(1000));
                self.faults.push((at, Fault::Slow(client, ways, gap, short)));
            }
            Kind::Suspend => {
                let time = long.min(self.duration.saturating_sub(at));
                self.faults.push((at, Fault::Suspend(client, time)));
                if self.stream.chance(0.5) {
                    self.faults.push((at, Fault::Silence(client, Ways::Both)));
                }
            }
            Kind::ClientCrash => {
                let actions = self.stream.below(500);
                let begins = Fault::CrashClient(client, actions);
                self.between(at, end, begins, Fault::RestartClient(client));
            }
            Kind::ClockJumps => {
                let (monotonic, wall) = (self.jump(60), self.jump(7200));
                let right = Fault::Clocks(client, 0, 0);
                self.between(
                    at,
                    (at + long).min(self.duration),
                    Fault::Clocks(client, monotonic, wall),
                    right,
                );
            }
            Kind::GatewayCrash => {
                self.between(at, end, Fault::Crash(gateway), Fault::Restart(gateway, true))
            }
            Kind::MemoryLoss => {
                self.between(at, end, Fault::Crash(gateway), Fault::Restart(gateway, false))
            }
            Kind::MixCrash => self.between(at, end, Fault::Crash(mix), Fault::Restart(mix, true)),
            Kind::DirectoryDown => self.directory(at, long, DirectoryMode::Down),
            Kind::DirectoryStale => {
                let age = self.stream.up_to(self.parts.epoch_length * 3);
                self.directory(at, long, DirectoryMode::Stale(age));
            }
            Kind::DirectoryGarbage => self.directory(at, long, DirectoryMode::Garbage),
            Kind::DirectoryWrong => {
                let mode = if self.stream.chance(0.5) {
                    DirectoryMode::OtherKeys
                } else {
                    DirectoryMode::OtherLayers
                };
                self.directory(at, long, mode);
            }
            Kind::DirectoryInconsistent => self.directory(at, long, DirectoryMode::Inconsistent),
            Kind::DirectoryHostile => self.directory(at, long, DirectoryMode::Hostile),
            Kind::DirectorySlow => {
                let delay = self.stream.up_to(Duration::from_secs(90));
                self.directory(at, long, DirectoryMode::Slow(delay));
            }
            Kind::Unlisted => {
                let node = if self.stream.chance(0.5) { gateway } else { mix };
                let end = (at + long * 4).min(self.duration);
                self.between(at, end, Fault::Hide(vec![node]), Fault::Hide(Vec::new()));
            }
            Kind::Churn => {
                let mut at = at;
                while at < self.duration {
                    let hidden = self.some_nodes();
                    self.faults.push((at, Fault::Hide(hidden)));
                    at += Duration::from_secs(5) + self.stream.up_to(Duration::from_secs(60));
                }
                self.faults.push((self.duration, Fault::Hide(Vec::new())));
            }
            Kind::OwnGatewayGone => {
                let end = (at + long * 4).min(self.duration);
                self.between(at, end, Fault::HideGatewayOf(client), Fault::Hide(Vec::new()));
            }
            Kind::HostileGateway => {
                let malice = self.malice();
                let end = (at + long).min(self.duration);
                let begins = Fault::Corrupt(gateway, Some(malice));
                self.between(at, end, begins, Fault::Corrupt(gateway, None));
            }
            Kind::HostileSender => {
                for _ in 0..5 {
                    let at = self.stream.up_to(self.duration);
                    let attack = Attack::ALL[self.stream.index(Attack::ALL.len())];
                    let client = ClientIx(self.stream.index(self.parts.clients));
                    self.faults.push((at, Fault::Attack(client, attack)));
                }
            }
            Kind::NoBandwidth => {
                self.between(at, end, Fault::Grants(gateway, false), Fault::Grants(gateway, true));
            }
        }
    }

    /// Some kinds of mischief, weak more often than strong.
    fn malice(&mut self) -> Malice {
        let p = 0.2 + 0.5 * self.stream.unit();
        let kinds = Mischief::ALL.into_iter().filter(|_| self.stream.chance(p)).collect();
        Malice { kinds, chance: 0.3 * self.stream.unit() * self.stream.unit() }
    }

    /// A few nodes, drawn.
    fn some_nodes(&mut self) -> Vec<NodeIx> {
        let gateways = (0..self.parts.gateways).map(NodeIx::Gateway);
        let nodes: Vec<_> = gateways.chain((0..self.parts.mixes).map(NodeIx::Mix)).collect();
        let p = 0.5 * self.stream.unit();
        nodes.into_iter().filter(|_| self.stream.chance(p)).collect()
    }

    /// Milliseconds of a jump of at most so many seconds, in one direction or the other.
    fn jump(&mut self, seconds_max: i64) -> i64 {
        let far = self.stream.up_to(Duration::from_secs(seconds_max.unsigned_abs()));
        let far = i64::try_from(far.as_millis()).unwrap_or_default();
        match self.stream.below(3) {
            0 => far,
            1 => -far,
            _ => 0,
        }
    }

    /// A beginning, and a length of at most `longest` that ends in time.
    fn span(&mut self, longest: Duration) -> (Duration, Duration) {
        let at = self.stream.up_to(self.duration);
        (at, self.stream.up_to(longest.min(self.duration - at)))
    }

    fn between(&mut self, at: Duration, end: Duration, begins: Fault, ends: Fault) {
        self.faults.push((at, begins));
        self.faults.push((end, ends));
    }

    fn directory(&mut self, at: Duration, time: Duration, mode: DirectoryMode) {
        let end = (at + time).min(self.duration);
        let ends = Fault::Directory(DirectoryMode::Up);
        self.between(at, end, Fault::Directory(mode), ends);
    }
}
