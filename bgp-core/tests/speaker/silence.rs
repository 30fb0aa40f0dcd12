//! What becomes of the routes of a peer that says nothing any more.

use crate::net::{Net, SECOND, node, reflector};
use bgp_core::config::PeerSettings;
use bgp_core::time::Duration;
use std::sync::Arc;

/// A reflector and two nodes that agree on a hold time of 9 s; `keep` is what the reflector does
/// with silent nodes.
fn cluster(keep: bool) -> Net {
    let mut config = reflector(10);
    let settings: &mut PeerSettings = Arc::make_mut(&mut config.dynamic[0].settings);
    settings.hold_time = SECOND * 9;
    settings.keep_when_silent = keep;
    let mut net = Net::new(config);
    for host in [2, 3] {
        net.start(host, node(host));
        net.originate(host, &format!("10.244.{host}.0/26"));
    }
    net.run(SECOND * 5);
    assert_eq!(net.routes(3).len(), 2);
    net
}

#[test]
fn a_silent_node_is_gone_everywhere_when_its_hold_time_is_over() {
    let mut net = cluster(false);
    net.lose_power(2);
    net.run(SECOND * 5);
    assert_eq!(net.routes(3).len(), 2, "it may be slow");
    net.run(SECOND * 4 + Duration::from_millis(500));
    assert_eq!(net.routes(1), ["10.244.3.0/26"]);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
}

#[test]
fn routes_of_a_silent_peer_stay_where_that_was_asked_for() {
    let mut net = cluster(true);
    net.lose_power(2);
    net.run(SECOND * 60);
    assert_eq!(net.routes(3).len(), 2);
    net.run(SECOND * 80);
    assert_eq!(net.routes(3), ["10.244.3.0/26"]);
}
