use super::*;

/// The environment with these variables.
fn environment(variables: &[(&str, &str)]) -> Environment {
    try_environment(variables).unwrap()
}

fn try_environment(variables: &[(&str, &str)]) -> Result<Environment, NetError> {
    Environment::from_lookup(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn port_for(environment: &Environment, host: &str, is_secure: bool) -> Option<u16> {
    environment.proxy_for(host, 443, is_secure).map(|proxy| proxy.port())
}

#[test]
fn without_variables_everything_is_direct() {
    let none = environment(&[]);
    assert_eq!(port_for(&none, "a.example", true), None);
    let empty = environment(&[("ALL_PROXY", " "), ("https_proxy", "")]);
    assert_eq!(port_for(&empty, "a.example", true), None);
}

#[test]
fn each_kind_has_its_variable_and_lower_case_counts_first() {
    let all = [
        ("ALL_PROXY", "socks5h://p:1"),
        ("HTTPS_PROXY", "http://p:2"),
        ("https_proxy", "http://p:3"),
    ];
    let environment = environment(&all);
    assert_eq!(port_for(&environment, "a.example", true), Some(3));
    assert_eq!(port_for(&environment, "a.example", false), Some(1));
}

#[test]
fn loopback_hosts_are_never_sent_to_a_proxy() {
    let environment = environment(&[("ALL_PROXY", "http://p:1")]);
    for host in [
        "localhost",
        "LocalHost.",
        "a.localhost",
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "::ffff:127.0.0.1",
    ] {
        assert_eq!(port_for(&environment, host, true), None, "{host}");
    }
    for host in ["notlocalhost", "128.0.0.1", "localhost.example", "::2"] {
        assert_eq!(port_for(&environment, host, true), Some(1), "{host}");
    }
}

#[test]
fn exceptions_are_names_with_all_below_them_addresses_and_networks() {
    let except = "a.example, .b.example,*.c.example,d.example:443,e.example:80,192.0.2.7,\
                  198.51.100.0/24,2001:db8::/32,[2001:db9::1]:443,,:,/,10.0.0.0/33";
    let environment = environment(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", except)]);
    for host in [
        "a.example",
        "A.Example.",
        "x.a.example",
        "b.example",
        "x.b.example",
        "x.c.example",
        "d.example",
        "192.0.2.7",
        "::ffff:192.0.2.7",
        "198.51.100.200",
        "2001:db8:1::1",
        "2001:db9::1",
    ] {
        assert_eq!(port_for(&environment, host, true), None, "{host}");
    }
    for host in [
        "xa.example",
        "example",
        "e.example",
        "192.0.2.8",
        "198.51.101.1",
        "2001:db9::2",
        "10.0.0.1",
    ] {
        assert_eq!(port_for(&environment, host, true), Some(1), "{host}");
    }
}

#[test]
fn a_star_excepts_everything() {
    for star in ["*", "x, *"] {
        let environment = environment(&[("ALL_PROXY", "http://p:1"), ("no_proxy", star)]);
        assert_eq!(port_for(&environment, "a.example", false), None);
        assert_eq!(port_for(&environment, "192.0.2.1", true), None);
    }
}

#[test]
fn a_prefix_of_no_bits_is_every_address() {
    let environment = environment(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "0.0.0.0/0,::/0")]);
    assert_eq!(port_for(&environment, "192.0.2.1", true), None);
    assert_eq!(port_for(&environment, "2001:db8::1", true), None);
    assert_eq!(port_for(&environment, "a.example", true), Some(1));
}

#[test]
fn a_proxy_that_cannot_be_used_is_an_error_with_the_name_of_the_variable() {
    let error = try_environment(&[("HTTPS_PROXY", "https://u:hush@p")]).unwrap_err().to_string();
    assert!(error.contains("HTTPS_PROXY") && error.contains("scheme"), "{error}");
    assert!(!error.contains("hush"), "{error}");
    // what is not needed is not read
    let both = [("all_proxy", "https://p"), ("http_proxy", "p"), ("https_proxy", "p")];
    assert!(try_environment(&both).is_ok());
}
