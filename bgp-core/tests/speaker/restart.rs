//! Restarts: who waits for whose End-of-RIB, and what is kept meanwhile.

use crate::net::{AS, Net, SECOND, address, node, reflector, two_nodes};
use bgp_core::config::{Config, Peer, PeerSettings};
use bgp_core::family::FamilySet;
use bgp_core::speaker::{Event, Heard};
use bgp_core::time::Duration;

/// A node that has restarted, with a second reflector, which is dead.
fn restarted(host: u8) -> Config {
    let dead = Peer::new("dead", address(99), PeerSettings::non_client(AS));
    let mut config = node(host).with_peer(dead);
    config.router.restarting = true;
    config
}

fn heard_end_of_rib(net: &Net, host: u8) -> bool {
    let mut events = net.events.iter();
    events.any(|(at, event)| *at == host && matches!(event, Event::EndOfRib { .. }))
}

#[test]
fn without_a_deferral_end_of_rib_waits_for_nobody() {
    for (deferral, waits) in [(Duration::ZERO, false), (SECOND * 30, true)] {
        let mut net = Net::new(reflector(10));
        let mut config = restarted(2);
        config.router.restart_deferral = deferral;
        net.start(2, config);
        net.run(SECOND);
        assert_eq!(heard_end_of_rib(&net, 1), !waits);
    }
}

#[test]
fn routes_stay_only_where_the_peer_still_forwards() {
    for forwarding in [FamilySet::ALL, FamilySet::EMPTY] {
        let mut net = two_nodes();
        net.kill(2);
        net.run(SECOND);
        let mut config = restarted(2);
        config.router.forwarding = forwarding;
        net.start(2, config);
        net.run(SECOND);
        let stays = net.routes(3).contains(&"10.244.2.0/26".to_owned());
        assert_eq!(stays, !forwarding.is_empty());
    }
}

#[test]
fn the_f_bit_of_the_next_open_is_what_was_said_last() {
    let mut net = two_nodes();
    let node = net.speakers.get_mut(&2).unwrap();
    node.set_forwarding(FamilySet::EMPTY);
    let now = net.now;
    let reset = bgp_core::session::Stop::AdministrativeReset(String::new());
    node.reset_peer(now, "rr", reset).unwrap();
    net.run(SECOND * 2);
    let peers = net.speakers[&1].peers(net.now);
    let client = peers.iter().find(|peer| peer.address == address(2));
    let negotiated = client.and_then(|peer| peer.negotiated.as_ref()).unwrap();
    let restart = negotiated.graceful_restart.as_ref().unwrap();
    assert!(restart.families.iter().all(|family| !family.forwarding));
}

#[test]
fn what_was_heard_is_counted() {
    let mut net = Net::new(reflector(10));
    let mut config = restarted(2);
    config.router.restart_deferral = Duration::ZERO;
    net.start(2, config);
    let before = net.speakers[&2].heard();
    assert_eq!((before.established, before.absent), (0, 2));
    net.run(SECOND);
    let after = net.speakers[&2].heard();
    let expected = Heard {
        established: 1,
        owing: 0,
        unmarked: 0,
        absent: 1,
        last_news: after.last_news,
    };
    assert_eq!(after, expected);
    net.kill(1);
    net.run(SECOND);
    let alone = net.speakers[&2].heard();
    assert_eq!((alone.established, alone.absent), (0, 2));
    assert!(alone.last_news > after.last_news);
}
