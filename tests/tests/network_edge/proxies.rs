//! With a proxy, everything goes through it and nothing around it.

use std::net::TcpListener;
use std::process::Command;

use nym_runtime_std::{Options, Proxy, Trust};
use tests::Cast;
use tests::stage::{ALICE, Stage};
use tests_edge::{Double, Front, Hidden, Kind, PASSWORD, only_through};

use crate::setting::{config, directory_address, gateway_address, last_failure, works};

over_both_runtimes!(
    a_client_works_through_an_http_proxy_that_alone_knows_the_names,
    a_client_works_through_a_socks_proxy_that_alone_knows_the_names,
    a_proxy_given_by_the_user_is_used_for_loopback_hosts_too,
    a_proxy_that_refuses_is_named_without_its_password,
    a_proxy_that_is_not_there_is_not_gone_around,
);

fn options(stage: &Stage, trust: Trust, proxy: &str) -> Options {
    let mut options = stage.options(ALICE);
    options.net.trust = trust;
    options.net.proxy = Proxy::Url(proxy.parse().unwrap());
    options
}

fn built_in() -> Trust {
    Trust::BuiltIn { extra: None }
}

fn hidden(cast: &Cast, seed: u8, kind: Kind) {
    let stage = Stage::new(seed);
    let hidden = Hidden::new(&stage.network, kind);
    let trust = Trust::Only(hidden.authority.file.clone());
    let options = options(&stage, trust, &hidden.proxy.url());
    works(cast, &stage, config(&stage, &[Hidden::DIRECTORY]), options);
    hidden.assert_used();
}

fn a_client_works_through_an_http_proxy_that_alone_knows_the_names(cast: &Cast) {
    hidden(cast, 91, Kind::Http);
}

fn a_client_works_through_a_socks_proxy_that_alone_knows_the_names(cast: &Cast) {
    hidden(cast, 92, Kind::Socks);
}

fn a_proxy_given_by_the_user_is_used_for_loopback_hosts_too(cast: &Cast) {
    for kind in [Kind::Http, Kind::Socks] {
        let stage = Stage::new(93);
        let directory = Front::plain(directory_address(&stage));
        let proxy = Double::start(kind, &[]);
        let url = format!("http://{}/api/", directory.address);
        works(cast, &stage, config(&stage, &[&url]), options(&stage, built_in(), &proxy.url()));
        let asked = proxy.asked();
        for place in [directory.address, gateway_address(&stage)] {
            assert!(asked.contains(&place.to_string()), "{asked:?}");
        }
        only_through(&proxy, &[&directory]);
    }
}

fn a_proxy_that_refuses_is_named_without_its_password(cast: &Cast) {
    let stage = Stage::new(94);
    for kind in [Kind::Http, Kind::Socks] {
        let proxy = Double::start(kind, &[]);
        let unknown = config(&stage, &["http://directory.test/api/"]);
        let cases = [
            (proxy.url_with("secret"), "does not accept the user or the password"),
            (proxy.url(), "gives no connection"),
        ];
        for (url, part) in cases {
            let options = options(&stage, built_in(), &url);
            let failure = last_failure(cast, &stage, unknown.clone(), options);
            assert!(failure.contains(part), "{failure}");
            assert!(!failure.contains("secret") && !failure.contains(PASSWORD), "{failure}");
        }
    }
}

fn a_proxy_that_is_not_there_is_not_gone_around(cast: &Cast) {
    let stage = Stage::new(95);
    let directory = Front::plain(directory_address(&stage));
    let url = format!("http://{}/api/", directory.address);
    // a front that is dropped listens for another moment
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = options(&stage, built_in(), &format!("socks5h://{closed}"));
    let failure = last_failure(cast, &stage, config(&stage, &[&url]), options);
    assert!(failure.contains("cannot be reached"), "{failure}");
    assert!(directory.peers().is_empty());
}

/// Set in a process that is to follow its environment: the file of authorities it trusts.
const FOLLOWING: &str = "NYM_TEST_FOLLOWING";

#[test]
fn the_environment_is_followed_on_std() {
    environment(&Cast::STD, "proxies::the_environment_is_followed_on_std");
}

#[test]
fn the_environment_is_followed_on_smol() {
    environment(&Cast::SMOL, "proxies::the_environment_is_followed_on_smol");
}

/// Runs the test of this name in a process of its own, whose environment names a proxy. There a
/// client uses the network of this process; the keys are the same in both.
fn environment(cast: &Cast, test: &str) {
    let stage = Stage::new(96);
    if let Some(file) = std::env::var_os(FOLLOWING) {
        let mut options = stage.options(ALICE);
        options.net.trust = Trust::Only(file.into());
        works(cast, &stage, config(&stage, &[Hidden::DIRECTORY]), options);
        return;
    }
    let hidden = Hidden::new(&stage.network, Kind::Socks);
    let mut process = Command::new(std::env::current_exe().unwrap());
    for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "NO_PROXY"] {
        process.env_remove(name);
    }
    process.env("ALL_PROXY", hidden.proxy.url()).env(FOLLOWING, &hidden.authority.file);
    let output = process.args(["--exact", test]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    hidden.assert_used();
}
