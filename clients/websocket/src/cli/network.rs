//! Arguments that change settings.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use nym_client::settings::{HumanDuration, Settings, SocketType, TierName};

/// Everything that `init` writes to the configuration and `run` takes for one run.
#[derive(Args, Debug)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    traffic: TrafficArgs,
    #[command(flatten)]
    socket: SocketArgs,
    #[command(flatten)]
    unsupported: UnsupportedArgs,
}

impl SettingsArgs {
    /// Refuses what this client cannot do, and says what it has no use for.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.unsupported.check()
    }

    pub(crate) fn apply(&self, settings: &mut Settings) {
        self.network.apply(settings);
        self.traffic.apply(settings);
        self.socket.apply(settings);
    }
}

#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    /// Base URLs of directories, separated by commas.
    #[arg(long, alias = "api_validators", value_name = "URL,...", value_delimiter = ',')]
    nym_apis: Vec<String>,
    /// A topology file instead of a directory.
    #[arg(long, value_name = "FILE", conflicts_with = "nym_apis")]
    custom_mixnet: Option<PathBuf>,
    /// Least performance, in percent, of a gateway that is chosen.
    #[arg(long, value_name = "0-100", value_parser = clap::value_parser!(u8).range(0..=100))]
    minimum_gateway_performance: Option<u8>,
    /// A PEM file with certificates of authorities to trust beside those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// `environment`, `none`, or the URL of an HTTP or SOCKS proxy.
    #[arg(long, value_name = "PROXY")]
    proxy: Option<String>,
}

impl NetworkArgs {
    pub(crate) fn apply(&self, settings: &mut Settings) {
        if !self.nym_apis.is_empty() {
            settings.client.nym_api_urls.clone_from(&self.nym_apis);
            settings.client.custom_mixnet = None;
        }
        if self.custom_mixnet.is_some() {
            // the file has to be found by later runs in other folders
            let absolute =
                self.custom_mixnet.as_ref().and_then(|file| std::path::absolute(file).ok());
            settings.client.custom_mixnet = absolute;
        }
        if let Some(percent) = self.minimum_gateway_performance {
            settings.debug.topology.minimum_gateway_performance = percent;
        }
        if let Some(file) = &self.ca_file {
            settings.network.ca_file = std::path::absolute(file).ok();
        }
        if let Some(proxy) = &self.proxy {
            settings.network.proxy.clone_from(proxy);
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct GatewayArgs {
    /// Only gateways with TLS.
    #[arg(long)]
    force_tls_gateway: bool,
    /// Measure how far some gateways are, and draw a near one rather than a far one.
    #[arg(long)]
    pub(crate) latency_based_selection: bool,
}

impl GatewayArgs {
    pub(crate) fn apply(&self, settings: &mut Settings) {
        settings.client.force_tls_gateway |= self.force_tls_gateway;
    }
}

#[derive(Args, Debug)]
struct TrafficArgs {
    /// Delay packets for 10 ms at each hop, send one each 4 ms, and almost no loop cover.
    #[arg(long, hide = true, conflicts_with = "tier")]
    fastmode: bool,
    /// No cover traffic. This gives up unobservability: frames leave only when something is sent.
    #[arg(long)]
    no_cover: bool,
    /// How many frames leave, whatever is sent: metered (10 a second), normal (50), fast (100),
    /// fastest (250).
    #[arg(long, value_name = "TIER", value_parser = parse_tier)]
    tier: Option<TierName>,
}

impl TrafficArgs {
    fn apply(&self, settings: &mut Settings) {
        let debug = &mut settings.debug;
        if self.fastmode {
            // protocol: client 14.2 and 14.3
            debug.traffic.average_packet_delay = HumanDuration::from_millis(10);
            debug.traffic.message_sending_average_delay = HumanDuration::from_millis(4);
            debug.cover_traffic.loop_cover_traffic_average_delay = HumanDuration::from_secs(2000);
        }
        if self.no_cover {
            debug.traffic.disable_main_poisson_packet_distribution = true;
            debug.cover_traffic.disable_loop_cover_traffic_stream = true;
        }
        if self.tier.is_some() {
            debug.traffic.tier = self.tier;
        }
    }
}

fn parse_tier(text: &str) -> Result<TierName, String> {
    [TierName::Metered, TierName::Normal, TierName::Fast, TierName::Fastest]
        .into_iter()
        .find(|tier| nym_proto::client::Tier::from(*tier).name() == text)
        .ok_or_else(|| "there are metered, normal, fast and fastest".to_owned())
}

#[derive(Args, Debug)]
struct SocketArgs {
    /// No websocket: the client only takes part.
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set)]
    disable_socket: Option<bool>,
    /// The port to listen on; 0 for any free one.
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// The address to listen on. Anybody who can connect to it can read and send messages.
    #[arg(long, value_name = "IP")]
    host: Option<IpAddr>,
}

impl SocketArgs {
    fn apply(&self, settings: &mut Settings) {
        let socket = &mut settings.socket;
        if let Some(is_disabled) = self.disable_socket {
            socket.socket_type = if is_disabled { SocketType::None } else { SocketType::WebSocket };
        }
        socket.listening_port = self.port.unwrap_or(socket.listening_port);
        socket.host = self.host.unwrap_or(socket.host);
    }
}

/// What scripts may give and this client has no use for.
#[derive(Args, Debug)]
struct UnsupportedArgs {
    #[arg(long, alias = "nyxd_validators", value_name = "URL,...", hide = true)]
    nyxd_urls: Option<String>,
    #[arg(long, value_name = "BOOL", hide = true, action = clap::ArgAction::Set)]
    enabled_credentials_mode: Option<bool>,
    #[arg(long, value_name = "ADDRESS", hide = true)]
    stats_reporting_address: Option<String>,
    #[arg(long, hide = true)]
    forget_me: bool,
}

impl UnsupportedArgs {
    /// Refuses what would be missed, and says what makes no difference.
    fn check(&self) -> anyhow::Result<()> {
        if self.enabled_credentials_mode == Some(true) {
            bail!("--enabled-credentials-mode true: this client cannot pay with credentials yet");
        }
        if self.forget_me {
            bail!("--forget-me: this client cannot ask a gateway to forget it yet");
        }
        if self.nyxd_urls.is_some() {
            nym_console::note!("--nyxd-urls is not used: this client does not talk to the chain");
        }
        if self.stats_reporting_address.is_some() {
            nym_console::note!(
                "--stats-reporting-address is not used: this client reports no statistics"
            );
        }
        Ok(())
    }
}
