//! Peers that are added, changed and removed while the speaker runs.

use crate::net::{AS, Net, SECOND, address, node, reflector, router, two_nodes};
use bgp_core::config::{Config, Disruption, Peer, PeerSettings};
use bgp_core::policy::{Action, Policy, Rule};
use bgp_core::session::Stop;
use bgp_core::speaker::{CommandError, Speaker};
use bgp_core::time::Duration;
use std::sync::Arc;

const MOMENT: Duration = Duration::from_millis(10);

fn client(name: &str, host: u8) -> Peer {
    Peer::new(name, address(host), PeerSettings::client(AS))
}

/// A policy that lets everything pass but one prefix.
fn all_but(prefix: &str) -> Option<Arc<Policy>> {
    Some(Arc::new(Policy {
        name: "all-but-one".into(),
        default: Action::Accept,
        rules: vec![Rule {
            prefixes: vec![prefix.parse().unwrap()],
            action: Action::Reject,
        }],
    }))
}

/// A reflector that knows its two nodes by name, each with a block.
fn configured() -> Net {
    let config = Config::new(router(1))
        .with_peer(client("two", 2))
        .with_peer(client("three", 3));
    let mut net = Net::new(config);
    for host in [2, 3] {
        net.start(host, node(host));
        net.originate(host, &format!("10.244.{host}.0/26"));
    }
    net.run(SECOND * 10);
    assert_eq!(net.established(1), 2);
    net
}

fn at(net: &mut Net, host: u8) -> &mut Speaker {
    net.speakers.get_mut(&host).unwrap()
}

/// How many sessions the reflector has had with the peer.
fn sessions(net: &Net, name: &str) -> u64 {
    let peers = net.speakers[&1].peers(net.now);
    let peer = peers.iter().find(|peer| peer.name == name);
    peer.unwrap().sessions
}

fn change(
    net: &mut Net,
    name: &str,
    host: u8,
    spoil: impl FnOnce(&mut PeerSettings),
) -> Disruption {
    let mut peer = client(name, host);
    spoil(Arc::make_mut(&mut peer.settings));
    let now = net.now;
    at(net, 1).update_peer(now, peer).unwrap()
}

#[test]
fn a_peer_that_is_added_comes_up_and_one_that_is_removed_is_forgotten() {
    let mut net = Net::new(Config::new(router(1)));
    net.start(2, node(2));
    net.originate(2, "10.244.2.0/26");
    net.run(SECOND * 10);
    assert_eq!(net.established(1), 0);
    let now = net.now;
    at(&mut net, 1).add_peer(now, client("two", 2)).unwrap();
    assert_eq!(at(&mut net, 1).heard().absent, 1);
    net.run(SECOND);
    assert_eq!(net.routes(1), ["10.244.2.0/26"]);
    let now = net.now;
    let how = Stop::PeerDeconfigured;
    at(&mut net, 1)
        .remove_peer(now, "two", how.clone())
        .unwrap();
    net.run(SECOND);
    assert!(net.routes(1).is_empty());
    assert_eq!(at(&mut net, 1).peer_counts(), (0, 0));
    assert_eq!(at(&mut net, 1).heard().absent, 0);
    let again = at(&mut net, 1).remove_peer(now, "two", how);
    assert_eq!(again, Err(CommandError::UnknownPeer("two".into())));
    // The name and the address are free again.
    let now = net.now;
    at(&mut net, 1).add_peer(now, client("two", 2)).unwrap();
    net.run(SECOND * 3);
    assert_eq!(net.routes(1), ["10.244.2.0/26"]);
}

#[test]
fn what_is_kept_of_a_peer_goes_when_it_is_removed() {
    let mut net = configured();
    net.kill(2);
    net.run(SECOND);
    assert_eq!(net.routes(3).len(), 2, "it may be restarting");
    let now = net.now;
    let how = Stop::PeerDeconfigured;
    at(&mut net, 1).remove_peer(now, "two", how).unwrap();
    net.run(SECOND);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
}

#[test]
fn a_peer_that_makes_the_configuration_invalid_is_refused() {
    let mut net = configured();
    let now = net.now;
    let reflector = at(&mut net, 1);
    let same_name = reflector.add_peer(now, client("two", 9)).unwrap_err();
    assert_eq!(
        same_name.to_string(),
        "peer \"two\": a second peer named \"two\"; allowed: one peer of a name; rename one of them"
    );
    assert!(reflector.add_peer(now, client("nine", 2)).is_err());
    assert!(reflector.add_peer(now, client("no name", 9)).is_err());
    let mut moved = client("two", 3);
    assert!(matches!(
        reflector.update_peer(now, moved.clone()),
        Err(CommandError::Invalid(_))
    ));
    moved.name = "nobody".into();
    let unknown = reflector.update_peer(now, moved);
    assert_eq!(unknown, Err(CommandError::UnknownPeer("nobody".into())));
    assert_eq!(reflector.peer_counts(), (2, 2));
}

#[test]
fn a_configured_peer_takes_the_place_of_a_dynamic_one() {
    let mut net = two_nodes();
    let now = net.now;
    let dynamic = at(&mut net, 1).remove_peer(now, "10.0.0.2", Stop::PeerDeconfigured);
    assert_eq!(dynamic, Err(CommandError::Dynamic("10.0.0.2".into())));
    at(&mut net, 1).add_peer(now, client("two", 2)).unwrap();
    net.run(SECOND * 3);
    assert_eq!(net.established(1), 2);
    assert_eq!(sessions(&net, "two"), 1);
    assert_eq!(net.routes(3).len(), 2);
}

#[test]
fn what_needs_no_new_session_gets_none() {
    let mut net = configured();
    let done = change(&mut net, "two", 2, |settings| {
        settings.connect_retry = SECOND * 60;
        settings.keep_when_silent = true;
        settings.max_prefixes = Some(10);
    });
    assert_eq!(done, Disruption::Nothing);
    net.run(SECOND);
    assert_eq!(sessions(&net, "two"), 1);
}

#[test]
fn an_import_policy_is_applied_to_what_is_there_without_a_new_session() {
    let mut net = configured();
    net.originate(2, "10.244.20.0/26");
    net.run(SECOND);
    let done = change(&mut net, "two", 2, |settings| {
        settings.import = all_but("10.244.2.0/26");
    });
    assert_eq!(done, Disruption::Import);
    net.run(SECOND);
    assert_eq!(net.routes(3), ["10.244.20.0/26", "10.244.3.0/26"]);
    let done = change(&mut net, "two", 2, |_| {});
    assert_eq!(done, Disruption::Import);
    net.run(SECOND);
    assert_eq!(net.routes(3).len(), 3);
    assert_eq!(sessions(&net, "two"), 1);
}

#[test]
fn a_change_that_needs_a_new_session_loses_no_route() {
    let mut net = configured();
    let done = change(&mut net, "two", 2, |settings| {
        settings.hold_time = SECOND * 30;
        settings.export = all_but("10.244.3.0/26");
    });
    assert_eq!(done, Disruption::NewSession);
    for _ in 0..300 {
        net.run(MOMENT);
        assert_eq!(net.routes(3).len(), 2);
    }
    assert_eq!(sessions(&net, "two"), 2);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}

#[test]
fn a_peer_with_another_address_is_another_peer() {
    let mut net = configured();
    net.start(4, node(4));
    net.originate(4, "10.244.4.0/26");
    net.run(SECOND);
    let done = change(&mut net, "two", 4, |_| {});
    assert_eq!(done, Disruption::NewPeer);
    net.run(SECOND * 3);
    assert_eq!(net.routes(1), ["10.244.3.0/26", "10.244.4.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn a_peer_is_shut_down_by_its_configuration_and_comes_back() {
    let mut net = configured();
    let done = change(&mut net, "two", 2, |settings| settings.shutdown = true);
    assert_eq!(done, Disruption::Nothing);
    net.run(SECOND * 10);
    assert_eq!(net.established(1), 1);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
    change(&mut net, "two", 2, |_| {});
    net.run(SECOND * 3);
    assert_eq!(net.established(1), 2);
}

/// An operator's order outlives a change that says nothing about it.
#[test]
fn a_disabled_peer_stays_disabled() {
    let mut net = configured();
    let now = net.now;
    let how = Stop::AdministrativeShutdown(String::new());
    at(&mut net, 1).disable_peer(now, "two", how).unwrap();
    change(&mut net, "two", 2, |settings| {
        settings.hold_time = SECOND * 30;
    });
    net.run(SECOND * 30);
    assert_eq!(net.established(1), 1);
    let now = net.now;
    at(&mut net, 1).enable_peer(now, "two").unwrap();
    net.run(SECOND * 3);
    assert_eq!(net.established(1), 2);
}

/// Nothing is left of peers that come and go.
#[test]
fn peers_come_and_go() {
    let mut net = Net::new(reflector(10));
    net.start(2, node(2));
    net.run(SECOND);
    for _ in 0..20 {
        let now = net.now;
        at(&mut net, 1).add_peer(now, client("two", 2)).unwrap();
        net.run(SECOND * 2);
        assert_eq!(at(&mut net, 1).peer_counts(), (1, 1));
        let now = net.now;
        let how = Stop::PeerDeconfigured;
        at(&mut net, 1).remove_peer(now, "two", how).unwrap();
        net.run(SECOND * 2);
        assert_eq!(at(&mut net, 1).peer_counts(), (1, 1), "as a dynamic one");
    }
}

/// Who installs routes hears of what a policy takes away, a rival of the best path included.
#[test]
fn a_new_import_policy_is_told_to_who_installs_routes() {
    let mut config = Config::new(router(1))
        .with_peer(client("two", 2))
        .with_peer(client("three", 3));
    config.router.install = true;
    let mut net = Net::new(config);
    for host in [2, 3] {
        net.start(host, node(host));
        net.originate(host, "10.244.9.0/26");
    }
    net.run(SECOND * 10);
    let news = |net: &mut Net| -> Vec<(Option<std::net::IpAddr>, usize)> {
        let speaker = at(net, 1);
        let changes = std::iter::from_fn(|| speaker.poll_route_change());
        let changes = changes.map(|change| {
            let from = change.best.map(|best| best.origin.peer_address);
            (from, change.rivals.len())
        });
        changes.collect()
    };
    assert_eq!(news(&mut net), [(Some(address(2)), 1)]);
    change(&mut net, "three", 3, |settings| {
        settings.import = all_but("10.244.9.0/26");
    });
    net.run(SECOND);
    assert_eq!(news(&mut net), [(Some(address(2)), 0)]);
    change(&mut net, "two", 2, |settings| {
        settings.import = all_but("10.244.9.0/26");
    });
    net.run(SECOND);
    assert_eq!(news(&mut net), [(None, 0)]);
}
