//! The sections of the configuration file, with their defaults.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use nym_proto::client::{AckConfig, ReplyConfig, Tier, Traffic as CoreTraffic};
use nym_proto::sphinx::PacketSize;
use nym_shell::net::NetOptions;
use serde::{Deserialize, Serialize};

use super::HumanDuration;
use crate::protocol::{conversation, programs};

/// Directory of the main network.
const MAINNET_DIRECTORY: &str = "https://validator.nymtech.net/api/"; // protocol: client 3.9

/// Everything a user can set.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The network and who the client is in it.
    pub client: Client,
    /// The interface for programs.
    pub socket: Socket,
    /// How the network is reached.
    pub network: NetworkSection,
    /// What few should change.
    pub debug: Debug,
}

/// `[client]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Base URLs of directories, tried in turn.
    #[serde(alias = "validator_api_urls")]
    pub nym_api_urls: Vec<String>,
    /// A topology file instead of a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_mixnet: Option<PathBuf>,
    /// Only gateways with TLS.
    pub force_tls_gateway: bool,
    /// Use another gateway, with another address, when the own one was away for so long. Never
    /// without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_over_after: Option<HumanDuration>,
    /// How long the end may take for what is queued to be sent.
    pub drain_timeout: HumanDuration,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            nym_api_urls: vec![MAINNET_DIRECTORY.to_owned()],
            custom_mixnet: None,
            force_tls_gateway: false,
            fail_over_after: None,
            drain_timeout: HumanDuration::from_secs(10),
        }
    }
}

/// Whether programs can connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SocketType {
    /// Over a websocket.
    #[default]
    WebSocket,
    /// Not at all.
    None,
}

/// `[socket]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Socket {
    /// Whether programs can connect.
    pub socket_type: SocketType,
    /// Where.
    pub host: IpAddr,
    /// Where.
    pub listening_port: u16,
    /// Programs connected at the same time.
    pub programs_max: usize,
    /// Pages of a browser that may connect, beside those of this machine.
    pub allowed_origins: Vec<String>,
    /// A file with a token that programs have to present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_file: Option<PathBuf>,
    /// How long the websocket handshake may take.
    pub handshake_timeout: HumanDuration,
    /// How long messages wait for a new program to say something.
    pub grace: HumanDuration,
    /// A program that takes nothing for so long is disconnected.
    pub stalled_after: HumanDuration,
    /// Bytes of messages kept until a program takes them.
    pub mailbox_bytes_max: usize,
    /// Whether a program is told of messages that were given up although it asked for no report.
    pub tell_failures: bool,
}

impl Default for Socket {
    fn default() -> Self {
        let programs = programs::Settings::default();
        let conversation::Settings { grace, stalled_after, tells_failures, .. } =
            programs.conversation;
        Self {
            socket_type: SocketType::default(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listening_port: 1977, // protocol: websocket 1
            programs_max: programs.programs_max,
            allowed_origins: Vec::new(),
            access_token_file: None,
            handshake_timeout: HumanDuration(programs.handshake_timeout),
            grace: HumanDuration(grace),
            stalled_after: HumanDuration(stalled_after),
            mailbox_bytes_max: programs.mailbox_bytes_max,
            tell_failures: tells_failures,
        }
    }
}

/// `[network]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkSection {
    /// A PEM file with certificates of authorities to trust beside those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Trust those of `ca_file` alone.
    pub only_ca_file: bool,
    /// `environment`, `none`, or the URL of an HTTP or SOCKS proxy.
    pub proxy: String,
    /// How long one attempt to reach a gateway may take.
    pub dial_timeout: HumanDuration,
    /// How long one request to a directory may take.
    pub fetch_timeout: HumanDuration,
    /// How long the client may take until it is ready for the first time.
    pub start_timeout: HumanDuration,
}

/// How long a client waits at its start for the network and for its gateway.
const START_TIMEOUT: Duration = Duration::from_secs(70 * 60); // protocol: client 14.6

impl Default for NetworkSection {
    fn default() -> Self {
        let options = NetOptions::default();
        Self {
            ca_file: None,
            only_ca_file: false,
            proxy: "environment".to_owned(),
            dial_timeout: HumanDuration(options.dial_timeout),
            fetch_timeout: HumanDuration(options.fetch_timeout),
            start_timeout: HumanDuration(START_TIMEOUT),
        }
    }
}

/// `[debug]`
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Debug {
    /// Emission of frames.
    pub traffic: Traffic,
    /// Cover.
    pub cover_traffic: CoverTraffic,
    /// Acks and retransmission.
    pub acknowledgements: Acknowledgements,
    /// Choice of nodes.
    pub topology: TopologySection,
    /// SURBs and replies.
    pub reply_surbs: ReplySurbs,
}

/// A rate of emission by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TierName {
    /// 10 slots a second.
    Metered,
    /// 50 slots a second.
    Normal,
    /// 100 slots a second.
    Fast,
    /// 250 slots a second.
    Fastest,
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::Metered => Self::Metered,
            TierName::Normal => Self::Normal,
            TierName::Fast => Self::Fast,
            TierName::Fastest => Self::Fastest,
        }
    }
}

/// A size of packets by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PacketSizeName {
    /// 2 KiB of content.
    #[default]
    Regular,
    /// 8 KiB.
    Extended8,
    /// 16 KiB.
    Extended16,
    /// 32 KiB.
    Extended32,
}

impl From<PacketSizeName> for PacketSize {
    fn from(name: PacketSizeName) -> Self {
        match name {
            PacketSizeName::Regular => Self::Regular,
            PacketSizeName::Extended8 => Self::Extended8,
            PacketSizeName::Extended16 => Self::Extended16,
            PacketSizeName::Extended32 => Self::Extended32,
        }
    }
}

/// `[debug.traffic]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// Sets both rates at once; what is set by itself goes before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierName>,
    /// Mean delay at each hop.
    pub average_packet_delay: HumanDuration,
    /// Mean interval of the main stream.
    pub message_sending_average_delay: HumanDuration,
    /// Frames of the main stream leave only when there is something to send. Gives up
    /// unobservability.
    pub disable_main_poisson_packet_distribution: bool,
    /// Size of all data and cover packets.
    pub primary_packet_size: PacketSizeName,
    /// Transmissions after which a message is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_number_of_retransmissions: Option<u32>,
}

impl Default for Traffic {
    fn default() -> Self {
        let traffic = CoreTraffic::default();
        Self {
            tier: None,
            average_packet_delay: HumanDuration(traffic.hop_delay),
            message_sending_average_delay: HumanDuration(traffic.main_interval),
            disable_main_poisson_packet_distribution: false,
            primary_packet_size: PacketSizeName::default(),
            maximum_number_of_retransmissions: None,
        }
    }
}

/// `[debug.cover_traffic]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoverTraffic {
    /// Mean interval of the loop stream.
    pub loop_cover_traffic_average_delay: HumanDuration,
    /// No loop stream. Gives up unobservability.
    pub disable_loop_cover_traffic_stream: bool,
}

impl Default for CoverTraffic {
    fn default() -> Self {
        let interval = CoreTraffic::default().loop_interval.unwrap_or_default();
        Self {
            loop_cover_traffic_average_delay: HumanDuration(interval),
            disable_loop_cover_traffic_stream: false,
        }
    }
}

/// `[debug.acknowledgements]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acknowledgements {
    /// Mean delay of acks at each hop.
    pub average_ack_delay: HumanDuration,
    /// Before the first ack the sum of the delays is multiplied by this ...
    pub ack_wait_multiplier: f64,
    /// ... and this is added.
    pub ack_wait_addition: HumanDuration,
    /// A message that was not acknowledged after so long is given up.
    pub expires_after: HumanDuration,
}

impl Default for Acknowledgements {
    fn default() -> Self {
        let acks = AckConfig::default();
        Self {
            average_ack_delay: HumanDuration(CoreTraffic::default().ack_delay),
            ack_wait_multiplier: acks.wait_multiplier,
            ack_wait_addition: HumanDuration(acks.wait_addition),
            expires_after: HumanDuration(acks.expires_after.unwrap_or(Duration::MAX)),
        }
    }
}

/// `[debug.topology]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologySection {
    /// Least performance, in percent, of mix nodes.
    pub minimum_mixnode_performance: u8,
    /// Least performance, in percent, of gateways.
    pub minimum_gateway_performance: u8,
}

impl Default for TopologySection {
    fn default() -> Self {
        // protocol: client 3.3
        Self { minimum_mixnode_performance: 50, minimum_gateway_performance: 50 }
    }
}

/// `[debug.reply_surbs]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplySurbs {
    /// SURBs of a correspondent that only requests for more may use.
    pub minimum_reply_surb_storage_threshold: usize,
    /// Least number of SURBs to ask for.
    pub minimum_reply_surb_request_size: u32,
    /// Largest number of SURBs to ask for at once.
    pub maximum_reply_surb_request_size: u32,
    /// Most SURBs given to one correspondent at a time.
    pub maximum_allowed_reply_surb_request_size: u32,
    /// Replies are given up when a correspondent was silent for so long.
    pub maximum_reply_surb_drop_waiting_period: HumanDuration,
    /// How long keys of SURBs are kept while it is not known how keys rotate.
    pub maximum_reply_key_age: HumanDuration,
}

impl Default for ReplySurbs {
    fn default() -> Self {
        let replies = ReplyConfig::default();
        Self {
            minimum_reply_surb_storage_threshold: replies.reserve,
            minimum_reply_surb_request_size: replies.request_min,
            maximum_reply_surb_request_size: replies.request_max,
            maximum_allowed_reply_surb_request_size: replies.answer_max,
            maximum_reply_surb_drop_waiting_period: HumanDuration(replies.give_up_after),
            maximum_reply_key_age: HumanDuration(replies.key_age_max),
        }
    }
}
