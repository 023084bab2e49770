//! The client a run begins with, as the head of its input asks for.

use core::time::Duration;

use nym_proto::client::{Client, Config, GatewayChoice, MemoryStore, Network, Registration};
use nym_proto::limits::Limits;
use nym_proto::time::{Instant, UnixTime};
use nym_testnet::transparent::TransparentBuilder;

use super::contract::Contract;
use crate::net;

// the head of an input
pub(super) const REGISTERED: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;
pub(super) const HELPFUL: u8 = 4;
pub(super) const NO_COVER: u8 = 8;
pub(super) const ROOMY: u8 = 16;
pub(super) const MUST_RECOVER: u8 = 32;
pub(super) const FAST: u8 = 64;

fn limits(is_roomy: bool) -> Limits {
    let mut limits =
        Limits { message_bytes_max: 60_000, surbs_per_message_max: 40, ..Limits::default() };
    if is_roomy {
        limits.outbox_bytes_max = 1 << 20;
        return limits;
    }
    limits.outbox_bytes_max = 120_000;
    limits.outbox_messages_max = 12;
    limits.delivery_window = 3;
    limits.inbox_bytes_max = 50_000;
    limits.inbox_messages_max = 4;
    limits.reassembly.bytes_max = 40_000;
    limits.reassembly.sets_max = 8;
    limits.reassembly.finished_max = 100;
    limits.reassembly.message_bytes_max = 30_000;
    limits.correspondents_max = 3;
    limits.surbs_per_correspondent_max = 20;
    limits.surbs_max = 40;
    limits.reply_keys_max = 60;
    limits.tags_max = 3;
    limits.gateway_requests_max = 24;
    limits.actions_max = 48;
    limits
}

pub(super) fn config(head: u8) -> Config {
    let network = match head & DIRECTORY {
        0 => Network::Fixed(net::topology()),
        _ => Network::Directory(vec!["http://a.example/".into(), "http://b.example/".into()]),
    };
    let mut config = Config::new(network);
    config.limits = limits(head & ROOMY != 0);
    let gateway = *net::node_identity(0).public();
    config.gateway = GatewayChoice::Given(gateway);
    if head & REGISTERED != 0 {
        let shared_key = net::shared_key();
        config.state = Registration { gateway, shared_key, last_authentication: 0 }.into();
    }
    if head & NO_COVER != 0 {
        config.traffic.cover = false;
        config.traffic.loop_interval = None;
    }
    if head & FAST == 0 {
        config.traffic.main_interval = Duration::from_millis(300);
        config.traffic.loop_interval = config.traffic.loop_interval.map(|at| at * 20);
    }
    config
}

/// A client in a life of its own, from what earlier ones kept.
pub(super) fn start(head: u8, kept: &MemoryStore, now: Instant, crashes: u8) -> (Client, Contract) {
    let mut config = config(head);
    config.state = kept.state();
    let unix_time = UnixTime::from_secs(net::UNIX_START) + now.since(Instant::START);
    let contract = Contract::new(config.limits, now);
    let builder = Box::new(TransparentBuilder::new());
    let seed = [5 + crashes; 32];
    (Client::with_builder(config, net::alice(), seed, now, unix_time, builder), contract)
}
