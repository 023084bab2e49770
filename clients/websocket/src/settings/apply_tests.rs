use super::super::{HumanDuration, PacketSizeName, TierName};
use super::*;

#[test]
fn the_defaults_are_those_of_the_core() {
    let config = Settings::default().config().unwrap();
    let network = Network::Directory(Vec::new());
    let expected = Config::new(network);
    assert_eq!(config.traffic, expected.traffic);
    assert_eq!(config.acks, expected.acks);
    assert_eq!(config.replies, expected.replies);
    assert_eq!(config.min_performance, expected.min_performance);
    assert_eq!(config.fail_over, None);
    let server = Settings::default().server().unwrap();
    assert_eq!(server.programs, programs::Settings::default());
}

#[test]
fn a_tier_sets_both_rates_and_a_rate_goes_before_it() {
    let mut settings = Settings::default();
    settings.debug.traffic.tier = Some(TierName::Fastest);
    let traffic = settings.config().unwrap().traffic;
    assert_eq!(traffic.main_interval, Duration::from_millis(4));
    assert_eq!(traffic.loop_interval, Some(Duration::from_millis(40)));
    settings.debug.traffic.message_sending_average_delay = HumanDuration::from_millis(7);
    let traffic = settings.config().unwrap().traffic;
    assert_eq!(traffic.main_interval, Duration::from_millis(7));
    assert_eq!(traffic.loop_interval, Some(Duration::from_millis(40)));
}

#[test]
fn what_is_set_arrives_in_the_core() {
    let mut settings = Settings::default();
    settings.debug.traffic.average_packet_delay = HumanDuration::from_millis(3);
    settings.debug.traffic.disable_main_poisson_packet_distribution = true;
    settings.debug.traffic.primary_packet_size = PacketSizeName::Extended8;
    settings.debug.cover_traffic.disable_loop_cover_traffic_stream = true;
    settings.client.force_tls_gateway = true;
    let config = settings.config().unwrap();
    assert_eq!(config.traffic.hop_delay, Duration::from_millis(3));
    let expected = Traffic::on_demand();
    assert_eq!((config.traffic.cover, config.traffic.loop_interval), (false, None));
    assert_eq!(config.traffic.main_interval, expected.main_interval);
    assert!(config.traffic.on_demand);
    assert_eq!(config.traffic.packet_size, nym_proto::sphinx::PacketSize::Extended8);
    assert_eq!(config.tls, TlsPolicy::Require);
}

#[test]
fn what_cannot_work_is_named() {
    let refused = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.config().unwrap_err().to_string()
    };
    let zero = |s: &mut Settings| {
        s.debug.traffic.message_sending_average_delay = HumanDuration::from_millis(0);
    };
    assert!(refused(zero).contains("message_sending_average_delay is 0s"));
    assert!(refused(|s| s.debug.topology.minimum_gateway_performance = 101).contains("101"));
    assert!(refused(|s| s.debug.acknowledgements.ack_wait_multiplier = f64::NAN).contains("NaN"));
    assert!(refused(|s| s.socket.programs_max = 0).contains("socket_type"));
    let absent = |s: &mut Settings| s.client.custom_mixnet = Some("/nonexistent/topology".into());
    assert!(refused(absent).contains("/nonexistent/topology"));
}

#[test]
fn the_network_edge_is_set() {
    let mut settings = Settings::default();
    assert_eq!(settings.net().unwrap(), NetOptions::default());
    settings.network.proxy = "none".to_owned();
    settings.network.ca_file = Some("/ca.pem".into());
    let net = settings.net().unwrap();
    assert_eq!(net.trust, Trust::System { extra: Some("/ca.pem".into()) });
    assert_eq!(net.proxy, Proxy::Direct);
    settings.network.only_ca_file = true;
    settings.network.proxy = "socks5h://127.0.0.1:9050".to_owned();
    let net = settings.net().unwrap();
    assert_eq!(net.trust, Trust::Only("/ca.pem".into()));
    assert!(matches!(net.proxy, Proxy::Url(_)));
    settings.network.proxy = "ftp://x".to_owned();
    assert!(settings.net().unwrap_err().to_string().contains("environment"));
}

#[test]
fn a_token_file_has_to_hold_a_token() {
    let path = std::env::temp_dir().join(format!("nym-client-token-{}", std::process::id()));
    let mut settings = Settings::default();
    settings.socket.access_token_file = Some(path.clone());
    assert!(matches!(settings.server(), Err(SettingsError::Read { .. })));
    std::fs::write(&path, "short\n").unwrap();
    assert!(matches!(settings.server(), Err(SettingsError::Token { .. })));
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    assert!(settings.server().unwrap().access.token.is_some());
    std::fs::remove_file(&path).unwrap();
}
