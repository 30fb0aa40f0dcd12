//! Long-lived graceful restart (RFC 9494): what stays when a peer does not come back in time.

use crate::net::{Net, SECOND, node, reflector, router};
use bgp_core::config::{Config, PeerSettings};
use bgp_core::family::FamilySet;
use bgp_core::session::Stop;
use bgp_core::speaker::{Event, MAX_KEPT};
use bgp_core::time::Duration;
use std::sync::Arc;

const HOUR: Duration = Duration::from_secs(3_600);

/// Node 2 with these settings for its reflector; it keeps long-lived stale routes for an hour.
fn patient(change: impl FnOnce(&mut PeerSettings)) -> Config {
    let mut config = node(2);
    let settings = Arc::make_mut(&mut config.peers[0].settings);
    settings.keep_when_silent = true;
    settings.long_lived_stale_time = HOUR;
    settings.connect_retry = SECOND / 2;
    change(settings);
    config
}

/// A reflector, and nodes 2 and 3, each with a block. `patient` is node 2.
fn cluster(patient: Config) -> Net {
    let mut net = Net::new(reflector(10));
    for (host, config) in [(2, patient), (3, node(3))] {
        net.start(host, config);
        net.originate(host, &format!("10.244.{host}.0/26"));
    }
    net.run(SECOND);
    assert_eq!(net.routes(2).len(), 2);
    net
}

fn restart_time() -> Duration {
    router(1).restart_time
}

/// The families that node 2 keeps of its reflector, and those of them that are long-lived stale.
fn kept(net: &Net) -> (FamilySet, FamilySet) {
    let peers = net.speakers[&2].peers(net.now);
    let families = peers[0].keeps.map_or(FamilySet::EMPTY, |keeps| keeps.0);
    (families, peers[0].long_lived_stale)
}

#[test]
fn what_a_lost_reflector_told_stays_for_the_long_lived_stale_time() {
    let mut net = cluster(patient(|_| {}));
    net.kill(1);
    net.run(restart_time() - SECOND);
    assert_eq!(kept(&net), (FamilySet::ALL, FamilySet::EMPTY));
    net.run(SECOND * 2);
    assert_eq!(kept(&net), (FamilySet::ALL, FamilySet::ALL));
    let told = |(host, event): &(u8, Event)| {
        *host == 2 && matches!(event, Event::LongLivedStale { span, .. } if *span == HOUR)
    };
    assert!(net.events.iter().any(told));
    net.run(HOUR - SECOND * 2);
    assert_eq!(net.routes(2).len(), 2);
    net.run(SECOND * 2);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
    assert_eq!(kept(&net), (FamilySet::EMPTY, FamilySet::EMPTY));
}

#[test]
fn what_an_absent_reflector_told_can_be_forgotten_and_nothing_else() {
    let mut net = cluster(patient(|_| {}));
    let forget = |net: &mut Net| {
        let now = net.now;
        let speaker = net.speakers.get_mut(&2).unwrap();
        speaker.forget_absent_reflectors(now);
        net.run(SECOND);
    };
    forget(&mut net);
    assert_eq!(net.routes(2).len(), 2);
    net.kill(1);
    net.run(SECOND);
    forget(&mut net);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
    assert_eq!(kept(&net), (FamilySet::EMPTY, FamilySet::EMPTY));
}

/// The smaller of what the peer announced and what we are set to.
#[test]
fn the_peer_s_time_is_a_limit_too() {
    let mut config = reflector(10);
    let settings = Arc::make_mut(&mut config.dynamic[0].settings);
    settings.long_lived_restart_time = SECOND * 60;
    let mut net = Net::new(config);
    net.start(2, patient(|_| {}));
    net.start(3, node(3));
    net.originate(3, "10.244.3.0/26");
    net.run(SECOND);
    net.kill(1);
    net.run(restart_time() + SECOND * 59);
    assert_eq!(net.routes(2).len(), 1);
    net.run(SECOND * 2);
    assert!(net.routes(2).is_empty());
}

#[test]
fn a_node_s_routes_are_not_long_lived_at_its_reflector() {
    let mut net = cluster(patient(|_| {}));
    net.kill(3);
    net.run(restart_time() + SECOND);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}

#[test]
fn without_a_time_of_ours_routes_go_with_the_restart_time() {
    let mut net = cluster(patient(|settings| {
        settings.long_lived_stale_time = Duration::ZERO;
    }));
    net.kill(1);
    net.run(restart_time() + SECOND);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}

#[test]
fn a_reflector_that_comes_back_late_finds_its_routes_and_takes_the_old_ones_along() {
    let mut net = cluster(patient(|_| {}));
    net.originate(3, "10.244.30.0/26");
    net.run(SECOND);
    net.kill(1);
    net.kill(3);
    net.run(HOUR / 2);
    assert_eq!(net.routes(2).len(), 3);
    net.start(3, node(3));
    net.originate(3, "10.244.3.0/26");
    let mut config = reflector(10);
    config.router.restarting = true;
    net.start(1, config);
    // Until the reflector says End-of-RIB nothing is missing.
    for _ in 0..100 {
        net.run(SECOND / 10);
        assert!(net.routes(2).contains(&"10.244.3.0/26".to_owned()));
    }
    net.run(SECOND * 30);
    assert_eq!(net.routes(2), ["10.244.2.0/26", "10.244.3.0/26"]);
    assert_eq!(kept(&net), (FamilySet::EMPTY, FamilySet::EMPTY));
}

#[test]
fn a_reflector_that_forwards_no_more_loses_its_long_lived_routes_at_once() {
    let mut net = cluster(patient(|_| {}));
    net.kill(1);
    net.kill(3);
    net.run(HOUR / 2);
    let mut config = reflector(10);
    config.router.restarting = true;
    config.router.forwarding = FamilySet::EMPTY;
    net.start(1, config);
    net.run(SECOND * 10);
    assert_eq!(net.established(1), 1);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}

/// A reflector that crashes before it has told its table does not take along what it told before.
#[test]
fn a_reflector_that_crashes_again_and_again_keeps_its_routes() {
    let mut net = cluster(patient(|_| {}));
    net.kill(3);
    net.run(SECOND);
    for _ in 0..3 * MAX_KEPT {
        net.kill(1);
        net.run(SECOND * 5);
        let mut config = reflector(10);
        config.router.restarting = true;
        net.start(1, config);
        // End-of-RIB is held back for two seconds, and what it repeats changes nothing.
        net.run(SECOND);
        assert_eq!(net.established(1), 1);
        assert_eq!(net.routes(2).len(), 2);
    }
    net.kill(1);
    net.run(restart_time() + HOUR - SECOND);
    assert_eq!(net.routes(2).len(), 2);
    net.run(SECOND * 2);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}

#[test]
fn the_long_lived_stale_time_does_not_begin_again_with_a_second_loss() {
    let mut net = cluster(patient(|_| {}));
    net.kill(1);
    net.kill(3);
    net.run(restart_time() + HOUR / 2);
    let mut config = reflector(10);
    config.router.restarting = true;
    net.start(1, config);
    net.run(SECOND);
    assert_eq!(net.established(1), 1);
    net.kill(1);
    net.run(HOUR / 2 - SECOND * 3);
    assert_eq!(net.routes(2).len(), 2);
    net.run(SECOND * 3);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}

#[test]
fn a_reflector_that_stops_for_good_is_not_remembered() {
    let mut net = cluster(patient(|_| {}));
    let now = net.now;
    let how = Stop::AdministrativeShutdown("moving".into());
    net.speakers.get_mut(&1).unwrap().stop(now, &how);
    net.run(SECOND);
    assert_eq!(net.routes(2), ["10.244.2.0/26"]);
}
