//! Settings as what core, shell and server take.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nym_proto::client::{AckConfig, Config, Network, ReplyConfig, Traffic};
use nym_proto::topology::{FileError, MinPerformance, TlsPolicy, Topology};
use nym_shell::net::{BadProxy, NetOptions, Proxy, Trust};
use thiserror::Error;

use super::Settings;
use crate::protocol::{Access, Origins, Token, TokenError, conversation, programs};
use crate::server;

/// Why settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A file that is named cannot be read.
    #[error("{what} {} cannot be read: {error}", path.display())]
    Read {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The topology file is none.
    #[error("{} is no topology: {error}", path.display())]
    Topology {
        /// The file.
        path: PathBuf,
        /// Why.
        error: FileError,
    },
    /// What is in the token file is no token.
    #[error("{} holds no access token: {error}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why.
        error: TokenError,
    },
    /// This is no proxy.
    #[error("proxy: {0}; or write `environment` or `none`")]
    Proxy(BadProxy),
    /// A number is beyond what makes sense.
    #[error("{key} is {value}; it has to be {expected}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
}

impl Settings {
    /// What the core is told. The choice of the gateway and the state are left to the caller.
    ///
    /// # Errors
    /// The topology file cannot be used, or a value makes no sense.
    pub fn config(&self) -> Result<Config, SettingsError> {
        self.check()?;
        let mut config = Config::new(self.network()?);
        config.fail_over = self.client.fail_over_after.map(|after| after.0);
        config.tls = self.tls_policy();
        config.traffic = self.traffic();
        config.min_performance = MinPerformance {
            mixnode: self.debug.topology.minimum_mixnode_performance,
            gateway: self.debug.topology.minimum_gateway_performance,
        };
        let acks = &self.debug.acknowledgements;
        config.acks = AckConfig {
            wait_multiplier: acks.ack_wait_multiplier,
            wait_addition: acks.ack_wait_addition.0,
            attempts_max: self.debug.traffic.maximum_number_of_retransmissions,
            expires_after: Some(acks.expires_after.0),
            ..config.acks
        };
        let surbs = &self.debug.reply_surbs;
        config.replies = ReplyConfig {
            reserve: surbs.minimum_reply_surb_storage_threshold,
            request_min: surbs.minimum_reply_surb_request_size,
            request_max: surbs.maximum_reply_surb_request_size,
            answer_max: surbs.maximum_allowed_reply_surb_request_size,
            give_up_after: surbs.maximum_reply_surb_drop_waiting_period.0,
            key_age_max: surbs.maximum_reply_key_age.0,
        };
        Ok(config)
    }

    /// Where the network is.
    ///
    /// # Errors
    /// The topology file cannot be used.
    pub fn network(&self) -> Result<Network, SettingsError> {
        let Some(path) = &self.client.custom_mixnet else {
            return Ok(Network::Directory(self.client.nym_api_urls.clone()));
        };
        let file = read(path, "the topology")?;
        let topology = Topology::from_file(&file)
            .map_err(|error| SettingsError::Topology { path: path.clone(), error })?;
        Ok(Network::Fixed(Arc::new(topology)))
    }

    /// Whether to insist on TLS towards the gateway.
    #[must_use]
    pub const fn tls_policy(&self) -> TlsPolicy {
        if self.client.force_tls_gateway { TlsPolicy::Require } else { TlsPolicy::Prefer }
    }

    fn traffic(&self) -> Traffic {
        let (traffic, cover) = (&self.debug.traffic, &self.debug.cover_traffic);
        let on_demand = traffic.disable_main_poisson_packet_distribution;
        let unset = super::Traffic::default().message_sending_average_delay;
        let unset_loop = super::CoverTraffic::default().loop_cover_traffic_average_delay;
        let tier = traffic.tier.map(|tier| Traffic::default().in_tier(tier.into()));
        let fallback = if on_demand { Traffic::on_demand() } else { Traffic::default() };
        let of_tier = tier.unwrap_or(fallback);
        let main = traffic.message_sending_average_delay;
        let main_interval = if main == unset { of_tier.main_interval } else { main.0 };
        let of_loop = cover.loop_cover_traffic_average_delay;
        let of_tier_loop = tier.filter(|_| of_loop == unset_loop);
        let loop_interval = of_tier_loop.map_or(Some(of_loop.0), |tier| tier.loop_interval);
        Traffic {
            main_interval,
            loop_interval: loop_interval.filter(|_| !cover.disable_loop_cover_traffic_stream),
            cover: !on_demand,
            on_demand,
            hop_delay: traffic.average_packet_delay.0,
            ack_delay: self.debug.acknowledgements.average_ack_delay.0,
            packet_size: traffic.primary_packet_size.into(),
        }
    }

    /// How gateways and directories are reached.
    ///
    /// # Errors
    /// The proxy is no URL of one.
    pub fn net(&self) -> Result<NetOptions, SettingsError> {
        let network = &self.network;
        let trust = match network.ca_file.clone() {
            Some(file) if network.only_ca_file => Trust::Only(file),
            extra => Trust::System { extra },
        };
        let proxy = match network.proxy.as_str() {
            "environment" => Proxy::Environment,
            "none" => Proxy::Direct,
            url => Proxy::Url(url.parse().map_err(SettingsError::Proxy)?),
        };
        let (dial_timeout, fetch_timeout) = (network.dial_timeout.0, network.fetch_timeout.0);
        Ok(NetOptions { trust, proxy, dial_timeout, fetch_timeout })
    }

    /// How the server for programs behaves.
    ///
    /// # Errors
    /// The token file cannot be used.
    pub fn server(&self) -> Result<server::Settings, SettingsError> {
        let socket = &self.socket;
        let token = socket.access_token_file.as_deref().map(read_token).transpose()?;
        let access = Access { origins: Origins::new(&socket.allowed_origins), token };
        let programs = programs::Settings {
            programs_max: socket.programs_max,
            handshake_timeout: socket.handshake_timeout.0,
            mailbox_bytes_max: socket.mailbox_bytes_max,
            conversation: conversation::Settings {
                grace: socket.grace.0,
                stalled_after: socket.stalled_after.0,
                tells_failures: socket.tell_failures,
                ..conversation::Settings::default()
            },
            ..programs::Settings::default()
        };
        Ok(server::Settings { access, programs })
    }

    /// Refuses what cannot work.
    fn check(&self) -> Result<(), SettingsError> {
        let debug = &self.debug;
        let interval = |key, value: super::HumanDuration| {
            let is_sane =
                (Duration::from_millis(1)..=Duration::from_secs(24 * 3600)).contains(&value.0);
            (!is_sane).then(|| SettingsError::Value {
                key,
                value: value.to_string(),
                expected: "from 1ms to 24h",
            })
        };
        let percent = |key, value: u8| {
            (value > 100).then(|| SettingsError::Value {
                key,
                value: value.to_string(),
                expected: "a percentage, from 0 to 100",
            })
        };
        let multiplier = debug.acknowledgements.ack_wait_multiplier;
        let bad_multiplier =
            (!(1.0..=1000.0).contains(&multiplier)).then(|| SettingsError::Value {
                key: "ack_wait_multiplier",
                value: multiplier.to_string(),
                expected: "from 1 to 1000",
            });
        let no_programs = (self.socket.programs_max == 0).then(|| SettingsError::Value {
            key: "programs_max",
            value: "0".to_owned(),
            expected: "at least 1; to have no socket, set socket_type = \"None\"",
        });
        let main = debug.traffic.message_sending_average_delay;
        let of_loop = debug.cover_traffic.loop_cover_traffic_average_delay;
        let topology = &debug.topology;
        interval("message_sending_average_delay", main)
            .or_else(|| interval("loop_cover_traffic_average_delay", of_loop))
            .or_else(|| {
                percent("minimum_mixnode_performance", topology.minimum_mixnode_performance)
            })
            .or_else(|| {
                percent("minimum_gateway_performance", topology.minimum_gateway_performance)
            })
            .or(bad_multiplier)
            .or(no_programs)
            .map_or(Ok(()), Err)
    }
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|error| SettingsError::Read { what, path: path.to_owned(), error })
}

fn read_token(path: &Path) -> Result<Token, SettingsError> {
    let bytes = read(path, "the access token file")?;
    let text = String::from_utf8_lossy(&bytes);
    Token::new(text.trim()).map_err(|error| SettingsError::Token { path: path.to_owned(), error })
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
