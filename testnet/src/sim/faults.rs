//! What goes wrong in a run, drawn from its seed.
//!
//! Every seed enables a random subset of the kinds of faults, each with a random strength: runs
//! with everything at once hide what runs with two things at once show.

use core::time::Duration;

use nym_proto::entropy::Stream;

pub use super::disturb::Silence;
use super::{ClientIx, DirectoryMode, NodeIx, NodeLinks, Sim};

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
    /// Connections of clients go silent.
    Silence,
    /// Connections of clients stall.
    Stalls,
    /// Clients sleep.
    Suspend,
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
    /// The directory gives wrong answers.
    DirectoryGarbage,
    /// A gateway or mix node is not listed for a while, though it runs.
    Unlisted,
    /// Epochs are short: keys rotate at least three times.
    Rotation,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::Loss,
        Self::Duplication,
        Self::Reordering,
        Self::Jitter,
        Self::Cuts,
        Self::Silence,
        Self::Stalls,
        Self::Suspend,
        Self::GatewayCrash,
        Self::MemoryLoss,
        Self::MixCrash,
        Self::DirectoryDown,
        Self::DirectoryStale,
        Self::DirectoryGarbage,
        Self::Unlisted,
        Self::Rotation,
    ];

    /// Probability with which a seed enables it. Long runs are rare, they take long.
    const fn probability(self) -> f64 {
        match self {
            Self::Rotation => 0.1,
            Self::MemoryLoss | Self::DirectoryGarbage => 0.2,
            _ => 0.35,
        }
    }
}

/// One thing that goes wrong, or right again.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// The connection is cut.
    Cut(ClientIx),
    /// The connection goes silent.
    Silence(ClientIx, Silence),
    /// The connection stalls.
    Stall(ClientIx, Duration),
    /// The client sleeps.
    Suspend(ClientIx, Duration),
    /// The node crashes.
    Crash(NodeIx),
    /// The node comes back; with its memory or not.
    Restart(NodeIx, bool),
    /// The directory answers differently.
    Directory(DirectoryMode),
    /// These nodes are not listed.
    Hide(Vec<NodeIx>),
}

impl Fault {
    /// Makes it so.
    pub fn apply(&self, sim: &mut Sim) {
        match self {
            Self::Cut(client) => sim.cut(*client),
            Self::Silence(client, silence) => sim.silence(*client, *silence),
            Self::Stall(client, time) => sim.stall(*client, *time),
            Self::Suspend(client, time) => sim.suspend(*client, *time),
            Self::Crash(node) => sim.crash(*node),
            Self::Restart(node, with_memory) => sim.restart(*node, *with_memory),
            Self::Directory(mode) => sim.set_directory(*mode),
            Self::Hide(nodes) => sim.hide(nodes),
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
        match kind {
            Kind::Loss | Kind::Duplication | Kind::Reordering | Kind::Jitter | Kind::Rotation => {}
            Kind::Cuts => self.faults.push((at, Fault::Cut(client))),
            Kind::Silence => {
                let silence = match self.stream.below(3) {
                    0 => Silence::Up,
                    1 => Silence::Down,
                    _ => Silence::Both,
                };
                self.faults.push((at, Fault::Silence(client, silence)));
            }
            Kind::Stalls => self.faults.push((at, Fault::Stall(client, short))),
            Kind::Suspend => {
                let time = long.min(self.duration.saturating_sub(at));
                self.faults.push((at, Fault::Suspend(client, time)));
                if self.stream.chance(0.5) {
                    self.faults.push((at, Fault::Silence(client, Silence::Both)));
                }
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
            Kind::Unlisted => {
                let node = if self.stream.chance(0.5) { gateway } else { mix };
                let end = (at + long * 4).min(self.duration);
                self.between(at, end, Fault::Hide(vec![node]), Fault::Hide(Vec::new()));
            }
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
