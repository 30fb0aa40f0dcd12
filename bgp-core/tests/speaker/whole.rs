//! A reflector and its clients: who hears what, and who is let in.

use crate::net::{AS, Net, SECOND, address, node, reflector, router, two_nodes};
use bgp_core::config::{Peer, PeerSettings};
use bgp_core::family::{Family, FamilySet};
use bgp_core::session::Stop;
use bgp_core::speaker::{ABSENT, Event, QUIET, Refused};
use bgp_core::time::Instant;
use bgp_core::types::PeerId;
use std::net::SocketAddr;
use std::sync::Arc;

#[test]
fn blocks_of_one_client_reach_the_other() {
    let net = two_nodes();
    assert_eq!(net.routes(2), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.routes(3), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn a_client_that_stops_for_good_takes_its_routes_with_it_and_is_forgotten() {
    let mut net = two_nodes();
    let now = net.now;
    let how = Stop::AdministrativeShutdown("going home".into());
    net.speakers.get_mut(&2).unwrap().stop(now, &how);
    net.run(SECOND);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
    assert_eq!(net.speakers[&1].peers(net.now).len(), 1);
}

#[test]
fn routes_of_a_client_that_restarts_stay_and_what_it_does_not_say_again_goes() {
    let mut net = two_nodes();
    net.originate(2, "10.244.20.0/26");
    net.run(SECOND);
    net.kill(2);
    net.run(SECOND);
    assert_eq!(net.routes(3).len(), 3, "kept while it is away");
    net.start(2, node(2));
    net.originate(2, "10.244.2.0/26");
    net.run(SECOND * 2);
    assert_eq!(net.routes(3), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn routes_of_a_client_that_does_not_come_back_go_after_its_restart_time() {
    let mut net = two_nodes();
    net.kill(2);
    let restart_time = router(2).restart_time;
    net.run(restart_time - SECOND * 2);
    assert_eq!(net.routes(3).len(), 2);
    net.run(SECOND * 4);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
    assert_eq!(
        net.speakers[&1].peers(net.now).len(),
        1,
        "and it is forgotten"
    );
}

#[test]
fn a_family_that_was_not_negotiated_is_not_kept() {
    let mut config = reflector(10);
    let settings = Arc::make_mut(&mut config.dynamic[0].settings);
    settings.families = FamilySet::from_iter([Family::Ipv4Unicast]);
    let mut net = Net::new(config);
    net.start(2, node(2));
    net.run(SECOND);
    net.kill(2);
    net.run(SECOND);
    let keeps = |net: &Net| net.speakers[&1].peers(net.now)[0].keeps;
    let (families, _) = keeps(&net).unwrap();
    assert_eq!(families, FamilySet::from_iter([Family::Ipv4Unicast]));
    net.start(2, node(2));
    net.run(SECOND * 60);
    assert_eq!(net.established(1), 1);
    assert_eq!(keeps(&net), None);
}

#[test]
fn a_reflector_that_stops_silently_takes_no_route_with_it() {
    let mut net = two_nodes();
    let now = net.now;
    net.speakers.get_mut(&1).unwrap().stop(now, &Stop::Silent);
    net.run(SECOND);
    net.speakers.remove(&1);
    net.run(SECOND);
    assert_eq!(net.routes(2).len(), 2, "kept while the reflector is away");
    let mut config = reflector(10);
    config.router.restarting = true;
    net.start(1, config);
    net.run(QUIET + SECOND * 20);
    assert_eq!(net.routes(2), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(net.established(1), 2);
}

#[test]
fn end_of_rib_waits_for_configured_peers_only_so_long() {
    let mut config = reflector(10);
    config.router.restarting = true;
    config = config.with_peer(Peer::new("dead", address(99), PeerSettings::non_client(AS)));
    let mut net = Net::new(config);
    net.start(2, node(2));
    let said = |net: &Net| {
        net.events
            .iter()
            .any(|(host, event)| *host == 2 && matches!(event, Event::EndOfRib { .. }))
    };
    net.run(ABSENT - SECOND);
    assert!(!said(&net), "the dead peer is still waited for");
    net.run(SECOND * 2);
    assert!(said(&net));
}

#[test]
fn one_client_more_than_the_limit_is_refused() {
    let mut net = Net::new(reflector(2));
    for host in 2..=4 {
        net.start(host, node(host));
    }
    net.run(SECOND);
    assert_eq!(net.established(1), 2);
    let refused = net.events.iter().any(|(host, event)| {
        let full = Refused::GroupFull { limit: 2 };
        *host == 1 && matches!(event, Event::Refused { why, .. } if *why == full)
    });
    assert!(refused);
}

#[test]
fn connections_from_elsewhere_are_refused() {
    let mut net = Net::new(reflector(2));
    let local = SocketAddr::new(address(1), 179);
    let remote = SocketAddr::new("192.0.2.1".parse().unwrap(), 4_000);
    let speaker = net.speakers.get_mut(&1).unwrap();
    assert_eq!(
        speaker.handle_accepted(Instant::ZERO, local, remote),
        Err(Refused::UnknownPeer)
    );
    assert_eq!(speaker.peers(Instant::ZERO).len(), 0);
}

#[test]
fn a_disabled_client_stays_away_until_it_is_enabled() {
    let mut config = reflector(10);
    config = config.with_peer(Peer::new("two", address(2), PeerSettings::client(AS)));
    let mut net = Net::new(config);
    net.start(2, node(2));
    net.run(SECOND);
    let now = net.now;
    let how = Stop::AdministrativeShutdown(String::new());
    net.speakers
        .get_mut(&1)
        .unwrap()
        .disable_peer(now, "two", how)
        .unwrap();
    net.run(SECOND * 60);
    assert_eq!(net.established(1), 0);
    let now = net.now;
    net.speakers
        .get_mut(&1)
        .unwrap()
        .enable_peer(now, "10.0.0.2")
        .unwrap();
    net.run(SECOND * 60);
    assert_eq!(net.established(1), 1);
}

#[test]
fn peers_come_in_pages_and_are_counted() {
    let net = two_nodes();
    let reflector = &net.speakers[&1];
    let all: Vec<PeerId> = reflector
        .peers(net.now)
        .iter()
        .map(|peer| peer.id)
        .collect();
    let (mut paged, mut from) = (Vec::new(), PeerId(0));
    while let Some(peer) = reflector.peers_from(net.now, from, 1).first() {
        paged.push(peer.id);
        from = PeerId(peer.id.0 + 1);
    }
    assert_eq!(paged, all);
    assert_eq!(reflector.peer_counts(), (2, 2));
    // Both nodes offer graceful restart.
    assert_eq!(reflector.kept_by(), 2);
}

#[test]
fn what_a_peer_is_told_of_one_prefix_is_what_its_table_says() {
    let net = two_nodes();
    let reflector = &net.speakers[&1];
    let told = |peer: &str, prefix: &str| {
        let told = reflector.announced_to(peer, &prefix.parse().unwrap());
        told.map(|view| view.map(|view| view.prefix.to_string()))
    };
    let table = reflector.adj_rib_out("10.0.0.2", Family::Ipv4Unicast, None, 10);
    let table: Vec<String> = table
        .unwrap()
        .items
        .iter()
        .map(|view| view.prefix.to_string())
        .collect();
    assert_eq!(table, ["10.244.3.0/26"]);
    assert_eq!(
        told("10.0.0.2", "10.244.3.0/26"),
        Ok(Some(table[0].clone()))
    );
    // Its own, and one that is not there.
    assert_eq!(told("10.0.0.2", "10.244.2.0/26"), Ok(None));
    assert_eq!(told("10.0.0.2", "192.0.2.0/24"), Ok(None));
    assert!(told("nobody", "10.244.3.0/26").is_err());
}
