//! `Config::check` finds each fault, names its element and key, and nothing else.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must stop"
)]

use bgp_core::config::{
    Config, DynamicGroup, Element, MAX_NAME, MAX_PEERS, Peer, PeerSettings, Router,
};
use bgp_core::types::{Asn, PeerRole, RouterId};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const OURS: Asn = Asn(64_512);

/// One peer of each kind and one group.
fn good() -> Config {
    Config::new(Router::new(OURS, RouterId(Ipv4Addr::new(10, 0, 0, 1))))
        .with_peer(peer("rr-b", "10.0.0.2", PeerSettings::non_client(OURS)))
        .with_peer(peer(
            "tor-1",
            "10.0.0.254",
            PeerSettings::external(Asn(65_001)),
        ))
        .with_peer(peer(
            "2001:db8::1",
            "2001:db8::1",
            PeerSettings::client(OURS),
        ))
        .with_dynamic(group("nodes", &["10.0.0.0/16", "2001:db8::/64"]))
}

fn peer(name: &str, address: &str, settings: PeerSettings) -> Peer {
    Peer::new(name, address.parse().unwrap(), settings)
}

fn group(name: &str, accept: &[&str]) -> DynamicGroup {
    let accept = accept
        .iter()
        .map(|prefix| prefix.parse().unwrap())
        .collect();
    DynamicGroup::new(name, accept, PeerSettings::client(OURS))
}

/// What is wrong after `spoil`: element, key and what was found.
fn faults_after(spoil: impl FnOnce(&mut Config)) -> Vec<(String, &'static str, String)> {
    let mut config = good();
    spoil(&mut config);
    let errors = config.check();
    assert_eq!(config.validate().err(), errors.first().cloned());
    errors
        .iter()
        .map(|error| {
            let complaint = error.complaint();
            assert!(!complaint.allowed.is_empty() && !complaint.advice.is_empty());
            (
                error.element.to_string(),
                error.fault.key(),
                complaint.found,
            )
        })
        .collect()
}

#[track_caller]
fn one(spoil: impl FnOnce(&mut Config), element: &str, key: &str, found: &str) {
    assert_eq!(
        faults_after(spoil),
        [(element.to_owned(), key, found.to_owned())] as [(String, &str, String); 1]
    );
}

#[track_caller]
fn settings(spoil: impl FnOnce(&mut PeerSettings), key: &str, found: &str) {
    one(
        |config| spoil(Arc::make_mut(&mut config.peers[0].settings)),
        "peer \"rr-b\"",
        key,
        found,
    );
}

#[test]
fn a_good_one_passes() {
    assert_eq!(good().check(), []);
    assert_eq!(good().validate(), Ok(()));
}

#[test]
fn router_faults() {
    let router =
        |spoil: fn(&mut Router), key, found| one(|c| spoil(&mut c.router), "router", key, found);
    router(
        |r| r.router_id = RouterId(Ipv4Addr::UNSPECIFIED),
        "router-id",
        "router id 0.0.0.0",
    );
    router(
        |r| r.settle = Duration::from_millis(1_001),
        "settle",
        "a gathering window of 1.001s",
    );
    router(
        |r| r.restart_time = Duration::from_secs(4_096),
        "restart-time",
        "a restart time of 4096s",
    );
    router(
        |r| r.restart_time = Duration::from_millis(1_500),
        "restart-time",
        "a restart time of 1.5s",
    );
    router(|r| r.multipath = 0, "multipath", "0 ways to a prefix");
    router(|r| r.multipath = 17, "multipath", "17 ways to a prefix");
    router(
        |r| r.restart_deferral = Duration::from_secs(65_536),
        "restart-deferral",
        "a restart deferral of 65536s",
    );
    router(
        |r| r.host_name = "two words".to_owned(),
        "host-name",
        "host name \"two words\"",
    );
}

#[test]
fn a_reserved_as_of_ours_is_named_and_the_roles_follow() {
    let faults = faults_after(|config| config.router.asn = Asn::TRANS);
    assert_eq!(faults[0].1, "as");
    assert_eq!(faults[0].2, "our AS is 23456");
    assert!(faults[1..].iter().all(|(_, key, _)| *key == "role"));
}

#[test]
fn settings_faults() {
    settings(|s| s.remote_as = Asn(0), "remote-as", "their AS is 0");
    settings(
        |s| s.remote_as = Asn(65_001),
        "role",
        "role non-client with remote AS 65001, and ours is 64512",
    );
    settings(
        |s| s.role = PeerRole::External,
        "role",
        "role external with remote AS 64512, which is ours",
    );
    settings(
        |s| s.families = [].into_iter().collect(),
        "families",
        "no family",
    );
    for (millis, found) in [
        (1_000, "1s"),
        (2_000, "2s"),
        (65_536_000, "65536s"),
        (3_500, "3.5s"),
    ] {
        settings(
            |s| s.hold_time = Duration::from_millis(millis),
            "hold-time",
            &format!("a hold time of {found}"),
        );
    }
    settings(
        |s| s.connect_retry = Duration::ZERO,
        "connect-retry",
        "a pause of 0ns between attempts to connect",
    );
    settings(
        |s| s.long_lived_stale_time = Duration::from_secs(1 << 24),
        "long-lived-stale-time",
        "16777216s for long-lived stale routes",
    );
    settings(
        |s| s.long_lived_restart_time = Duration::from_millis(1_500),
        "long-lived-restart-time",
        "1.5s for long-lived stale routes",
    );
    settings(
        |s| s.max_prefixes = Some(0),
        "max-prefixes",
        "a limit of 0 prefixes",
    );
}

#[test]
fn hold_time_may_be_off_or_at_its_ends() {
    for seconds in [0, 3, 65_535] {
        let faults = faults_after(|config| {
            Arc::make_mut(&mut config.peers[0].settings).hold_time = Duration::from_secs(seconds);
        });
        assert_eq!(faults, []);
    }
}

#[test]
fn peer_faults() {
    let rr_b = "peer \"rr-b\"";
    for address in ["0.0.0.0", "224.0.0.5", "255.255.255.255"] {
        one(
            |c| c.peers[0].address = address.parse().unwrap(),
            rr_b,
            "address",
            &format!("peer address {address}"),
        );
    }
    for address in ["::", "fe80::1", "ff02::1", "::ffff:10.0.0.2"] {
        one(
            |c| c.peers[0].address = address.parse().unwrap(),
            rr_b,
            "address",
            &format!("peer address {address}"),
        );
    }
    one(|c| c.peers[0].port = 0, rr_b, "port", "port 0");
    one(
        |c| c.peers[0].local_address = Some("2001:db8::2".parse().unwrap()),
        rr_b,
        "local-address",
        "local address 2001:db8::2 for a peer at 10.0.0.2",
    );
    one(
        |c| c.peers[0].local_address = Some("0.0.0.0".parse().unwrap()),
        rr_b,
        "local-address",
        "local address 0.0.0.0",
    );
    one(
        |c| c.peers[1].address = c.peers[0].address,
        "peer \"tor-1\"",
        "address",
        "a second peer with address 10.0.0.2",
    );
    one(
        |c| c.peers[1].name = "rr-b".to_owned(),
        rr_b,
        "name",
        "a second peer named \"rr-b\"",
    );
}

#[test]
fn names_fit_everywhere() {
    let long = "x".repeat(MAX_NAME + 1);
    for name in ["", "-a", "a b", "a/b", "nodes:10.0.0.9", "10.9.9.9", &long] {
        let faults = faults_after(|c| c.peers[0].name = name.to_owned());
        assert_eq!(faults.len(), 1, "{name:?}");
        assert_eq!(faults[0].1, "name");
    }
    for name in ["", "1st", "a:b", &long] {
        let faults = faults_after(|c| c.dynamic[0].name = name.to_owned());
        assert_eq!(faults.len(), 1, "{name:?}");
        assert_eq!(faults[0].1, "name");
    }
    let longest = "x".repeat(MAX_NAME);
    assert_eq!(faults_after(|c| c.peers[0].name = longest.clone()), []);
    assert_eq!(faults_after(|c| c.dynamic[0].name = longest), []);
}

#[test]
fn group_faults() {
    let nodes = "group \"nodes\"";
    one(
        |c| c.dynamic[0].accept.clear(),
        nodes,
        "accept",
        "nothing to accept from",
    );
    one(
        |c| c.dynamic[0].accept[0] = "10.0.0.1/16".parse().unwrap(),
        nodes,
        "accept",
        "10.0.0.1/16 has host bits",
    );
    for limit in [0, MAX_PEERS + 1] {
        one(
            |c| c.dynamic[0].limit = limit,
            nodes,
            "accept-limit",
            &format!("a limit of {limit}"),
        );
    }
    one(
        |c| c.dynamic[0].limit = MAX_PEERS - 2,
        nodes,
        "accept-limit",
        "32769 peers, with this group full",
    );
    assert_eq!(faults_after(|c| c.dynamic[0].limit = MAX_PEERS - 3), []);
    one(
        |c| c.dynamic.push(group("nodes", &["192.0.2.0/24"])),
        nodes,
        "name",
        "a second group named \"nodes\"",
    );
}

#[test]
fn more_configured_peers_than_we_can_hold_are_refused_once() {
    let faults = faults_after(|config| {
        config.dynamic.clear();
        let settings = Arc::new(PeerSettings::client(OURS));
        config.peers = (0..=MAX_PEERS as u32)
            .map(|n| {
                let address = Ipv4Addr::from(0x0a00_0000 + n + 1);
                Peer::new(format!("p{n}"), address.into(), Arc::clone(&settings))
            })
            .collect();
    });
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].2, "more than 32768 peers");
}

#[test]
fn ranges_of_two_groups_must_not_meet() {
    let other = "group \"other\"";
    for (accept, found) in [
        (
            "10.0.7.0/24",
            "10.0.7.0/24 shares addresses with 10.0.0.0/16",
        ),
        ("10.0.0.0/8", "10.0.0.0/8 shares addresses with 10.0.0.0/16"),
        (
            "10.0.0.0/16",
            "10.0.0.0/16 shares addresses with 10.0.0.0/16",
        ),
        ("::/0", "::/0 shares addresses with 2001:db8::/64"),
    ] {
        one(
            |c| c.dynamic.push(group("other", &["192.0.2.0/24", accept])),
            other,
            "accept",
            &format!("{found} of group \"nodes\""),
        );
    }
    let apart = |c: &mut Config| {
        c.dynamic
            .push(group("other", &["10.1.0.0/16", "2001:db8:1::/48"]))
    };
    assert_eq!(faults_after(apart), []);
    let within = |c: &mut Config| c.dynamic[0].accept.push("10.0.9.0/24".parse().unwrap());
    assert_eq!(faults_after(within), []);
}

#[test]
fn a_clash_names_the_element_that_was_there_first() {
    let mut config = good();
    config.peers[2].address = config.peers[1].address;
    config.peers[2].name = "again".to_owned();
    let error = config.validate().unwrap_err();
    assert_eq!(error.fault.clashes_with(), Some((1, None)));
    assert!(matches!(error.element, Element::Peer { index: 2, .. }));
    assert_eq!(
        error.to_string(),
        "peer \"again\": a second peer with address 10.0.0.254; allowed: one peer of an address; \
         \"tor-1\" has it already: remove one of the two"
    );
}
