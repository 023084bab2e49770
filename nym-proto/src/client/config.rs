//! What a client is told before it starts.

use core::time::Duration;
use std::sync::Arc;

use super::state::State;
use crate::identity::IdentityKey;
use crate::limits::Limits;
use crate::sphinx::PacketSize;
use crate::topology::{MinPerformance, TlsPolicy, Topology};

/// Settings of a client. Everything has a sane default except where the network is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the client learns about the network.
    pub network: Network,
    /// Which gateway to use.
    pub gateway: GatewayChoice,
    /// What was kept in earlier runs of this identity; a [`Registration`](super::Registration) alone
    /// will do. With [`GatewayChoice::Random`] the gateway used last is chosen again.
    pub state: State,
    /// With [`GatewayChoice::Random`]: use another gateway when the one in use could not be reached, or
    /// was not listed, for this long, though the directory answers. The client has another address then:
    /// who knows only the old one cannot reach it any more. Anonymous correspondents get new SURBs within
    /// a minute; until they have used up the old ones, what they send through those is lost if the old
    /// gateway is up again, and comes by a new one if it is not. `None`: wait for the gateway for ever.
    pub fail_over: Option<Duration>,
    /// Whether to insist on TLS towards the gateway.
    pub tls: TlsPolicy,
    /// Emission of frames.
    pub traffic: Traffic,
    /// Acks and retransmission.
    pub acks: AckConfig,
    /// SURBs and replies.
    pub replies: ReplyConfig,
    /// Least performance of nodes taken from the directory.
    pub min_performance: MinPerformance,
    /// Capacities.
    pub limits: Limits,
}

impl Config {
    /// The defaults, on the given network.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self {
            network,
            gateway: GatewayChoice::Random,
            state: State::new(),
            fail_over: None,
            tls: TlsPolicy::Prefer,
            traffic: Traffic::default(),
            acks: AckConfig::default(),
            replies: ReplyConfig::default(),
            min_performance: MinPerformance::default(),
            limits: Limits::default(),
        }
    }
}

/// Where a client learns about the network.
#[derive(Clone, Debug)]
pub enum Network {
    /// From a directory: base URLs, tried in turn, for example `https://example.org/api/`.
    Directory(Vec<String>),
    /// From a fixed topology, for example read from a file. Nothing is fetched.
    Fixed(Arc<Topology>),
}

/// Which gateway a client uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GatewayChoice {
    /// A random one of those the network offers, weighted by performance.
    Random,
    /// This one.
    Given(IdentityKey),
}

/// When frames leave, and how long packets stay at hops. (protocol: client 14.2, 14.3)
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traffic {
    /// Mean interval of the main stream, whose slots carry a real packet if there is one.
    pub main_interval: Duration,
    /// Mean interval of the loop stream, whose slots always carry cover. `None`: no such stream.
    pub loop_interval: Option<Duration>,
    /// Whether main slots without a real packet carry a cover packet. Without cover, an observer of
    /// the link sees when the user sends.
    pub cover: bool,
    /// Whether there are main slots only while there is something to send, with few packets under way at
    /// a time. `main_interval` is their least mean distance then. Gives up unobservability as well, for
    /// speed and for silence.
    pub on_demand: bool,
    /// Mean delay at each hop of data, cover and SURBs.
    pub hop_delay: Duration,
    /// Mean delay at each hop of acks.
    pub ack_delay: Duration,
    /// Size of all data and cover packets. `Ack` counts as `Regular`.
    pub packet_size: PacketSize,
}

/// Mean distance of packets that leave on demand: more of them than a gateway is glad to take.
const ON_DEMAND_INTERVAL: Duration = Duration::from_micros(500);

impl Default for Traffic {
    fn default() -> Self {
        Self {
            main_interval: Duration::from_millis(20),
            loop_interval: Some(Duration::from_millis(200)),
            cover: true,
            on_demand: false,
            hop_delay: Duration::from_millis(15),
            ack_delay: Duration::from_millis(15),
            packet_size: PacketSize::Regular,
        }
    }
}

/// How much traffic the client makes, whatever its user does: a choice between speed and cost. A
/// change of tier shows on the link, so tiers are for habits, not for single messages. (protocol: client 6.8)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Tier {
    /// 10 slots a second, for metered links and batteries.
    Metered,
    /// 50 slots a second.
    #[default]
    Normal,
    /// 100 slots a second.
    Fast,
    /// 250 slots a second.
    Fastest,
}

impl Tier {
    /// All tiers, the slowest first.
    pub const ALL: [Self; 4] = [Self::Metered, Self::Normal, Self::Fast, Self::Fastest];

    /// The name it has for users: `metered`, `normal`, `fast` or `fastest`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metered => "metered",
            Self::Normal => "normal",
            Self::Fast => "fast",
            Self::Fastest => "fastest",
        }
    }

    /// Mean interval of the main stream.
    #[must_use]
    pub const fn main_interval(self) -> Duration {
        match self {
            Self::Metered => Duration::from_millis(100),
            Self::Normal => Duration::from_millis(20),
            Self::Fast => Duration::from_millis(10),
            Self::Fastest => Duration::from_millis(4),
        }
    }
}

impl Traffic {
    /// The same in another tier: the loop stream, if there is one, has a tenth of the main stream's
    /// rate.
    #[must_use]
    pub fn in_tier(self, tier: Tier) -> Self {
        let main_interval = tier.main_interval();
        let loop_interval = self.loop_interval.map(|_| main_interval * 10);
        Self { main_interval, loop_interval, ..self }
    }

    /// The defaults without any cover, at the speed of the network. This gives up unobservability: frames
    /// leave only, and as soon as, the user sends.
    #[must_use]
    pub fn on_demand() -> Self {
        Self { main_interval: ON_DEMAND_INTERVAL, on_demand: true, ..Self::without_cover() }
    }

    /// The defaults without any cover. This gives up unobservability: frames leave only when the
    /// user sends.
    #[must_use]
    pub fn without_cover() -> Self {
        Self { loop_interval: None, cover: false, ..Self::default() }
    }
}

/// When a fragment counts as lost. (protocol: client 7.2)
///
/// The wait follows the acks that arrive. As long as none has, it is the multiplier times the sum
/// of the packet's delays, plus the addition.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AckConfig {
    /// Before the first ack the sum of the delays is multiplied by this ...
    pub wait_multiplier: f64,
    /// ... and this is added.
    pub wait_addition: Duration,
    /// Shortest wait for an ack.
    pub wait_min: Duration,
    /// Longest wait between two transmissions of a fragment.
    pub wait_max: Duration,
    /// A recipient's gateway that loses this many packets in a row, while acks come back from
    /// elsewhere, is only probed until one of its acks arrives. 0: never.
    pub gateway_losses_max: u32,
    /// Default for [`Outgoing::attempts_max`](super::Outgoing::attempts_max). `None`: no limit.
    pub attempts_max: Option<u32>,
    /// Default for [`Outgoing::expires_after`](super::Outgoing::expires_after). `None`: never.
    pub expires_after: Option<Duration>,
}

impl Default for AckConfig {
    fn default() -> Self {
        Self {
            wait_multiplier: 1.5,
            wait_addition: Duration::from_millis(1500),
            wait_min: Duration::from_millis(300),
            wait_max: Duration::from_secs(60),
            gateway_losses_max: 8,
            attempts_max: None,
            expires_after: Some(Duration::from_secs(24 * 3600)),
        }
    }
}

/// How SURBs are kept and asked for. (protocol: client 9.5)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyConfig {
    /// SURBs of a correspondent that only requests for more may use. (protocol: client 9.7)
    pub reserve: usize,
    /// Least number of SURBs to ask for.
    pub request_min: u32,
    /// Largest number of SURBs to ask for at once.
    pub request_max: u32,
    /// Give waiting replies up when a correspondent was silent for this long.
    pub give_up_after: Duration,
    /// Most SURBs given to one correspondent at a time beside those attached to messages; the
    /// allowance grows by 200 a minute up to this.
    pub answer_max: u32,
    /// How long the key of a SURB given out, and a SURB received, is kept while it is not known how
    /// keys rotate; otherwise the rotation decides.
    pub key_age_max: Duration,
}

impl Default for ReplyConfig {
    fn default() -> Self {
        Self {
            reserve: 5,
            request_min: 10,
            request_max: 50,
            give_up_after: Duration::from_secs(300),
            answer_max: 500,
            // protocol: client 9.2: a SURB is routable for a rotation and one epoch, plus a margin
            key_age_max: Duration::from_secs(26 * 3600),
        }
    }
}
