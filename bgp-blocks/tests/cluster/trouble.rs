//! Claims that clash, and reflectors that go.

use crate::net::{End, Net, SECOND};

const BLOCK: &str = "10.244.5.64/26";
const NODES: [u8; 4] = [11, 12, 13, 14];

#[test]
fn two_owners_are_named_by_everybody_and_all_observers_follow_the_same() {
    let mut net = Net::new();
    for host in NODES {
        let blocks: &[&str] = if host >= 13 { &[BLOCK] } else { &[] };
        net.start_node(host, &NODES, blocks);
    }
    net.run(SECOND * 3);
    for host in NODES {
        let conflicts: Vec<_> = net.node(host).conflicts().cloned().collect();
        let text = conflicts[0].to_string();
        assert!(
            text.contains("node-13") && text.contains("node-14"),
            "{text}"
        );
        assert_eq!(conflicts.len(), 1);
        assert_eq!(
            conflicts[0].winner_elsewhere().name.as_deref(),
            Some("node-13")
        );
        assert_eq!(net.hosts[&host].notices.len(), 1);
    }
    // Each owner keeps it, and those who look on agree.
    let ends = NODES.map(|host| net.trace(host, "10.244.5.65"));
    let expected = [13, 13, 13, 14].map(End::Dropped);
    assert_eq!(ends, expected);
    let before = NODES.map(|host| net.kernel(host));
    net.run(SECOND * 60);
    assert_eq!(NODES.map(|host| net.kernel(host)), before);
    net.remove_block(13, BLOCK);
    net.run(SECOND * 3);
    for host in NODES {
        assert_eq!(net.node(host).conflicts().count(), 0);
        assert_eq!(net.hosts[&host].notices.len(), 2);
        assert_eq!(net.trace(host, "10.244.5.65"), End::Dropped(14));
    }
}

#[test]
fn a_third_node_claims_a_contested_block_and_lets_go() {
    let mut net = Net::new();
    for host in NODES {
        let blocks: &[&str] = if host >= 13 { &[BLOCK] } else { &[] };
        net.start_node(host, &NODES, blocks);
    }
    net.run(SECOND * 3);
    net.add_block(12, BLOCK);
    net.run(SECOND);
    assert_eq!(net.trace(11, "10.244.5.65"), End::Dropped(12));
    net.remove_block(12, BLOCK);
    net.run(SECOND * 3);
    let ends = NODES.map(|host| net.trace(host, "10.244.5.65"));
    assert_eq!(ends, [13, 13, 13, 14].map(End::Dropped));
    let others = net.node(11).conflicts().next().unwrap().others.len();
    assert_eq!(others, 1);
}

#[test]
fn without_reflectors_the_network_stays_as_it_was() {
    let mut net = Net::new();
    net.start_reflector(1);
    net.start_reflector(2);
    for host in NODES {
        net.start_node(host, &[1, 2], &[&format!("10.244.{host}.0/26")]);
    }
    net.run(SECOND * 3);
    let before = NODES.map(|host| net.kernel(host));
    assert!(before.iter().all(|kernel| kernel.len() == NODES.len()));
    net.kill(1);
    net.kill(2);
    net.run(SECOND);
    for host in NODES {
        assert_eq!(net.established(host), 0);
        let now = net.now;
        net.node(host).handle_headless(now);
    }
    // Longer than any peer's routes are kept by graceful restart.
    net.run(SECOND * 1_000);
    assert_eq!(NODES.map(|host| net.kernel(host)), before);
    // One node's block goes meanwhile; who comes back tells.
    net.remove_block(14, "10.244.14.0/26");
    net.start_reflector(1);
    net.run(SECOND * 200);
    assert!(NODES.iter().all(|host| net.established(*host) == 1));
    for host in NODES {
        net.heard(host);
    }
    net.run(SECOND);
    for host in NODES {
        let kernel = net.kernel(host);
        assert_eq!(kernel.len(), NODES.len() - 1, "{kernel:?}");
        assert_eq!(net.node(host).held(), 0);
    }
}

#[test]
fn a_dead_reflector_does_not_keep_a_block_where_it_was() {
    let mut net = Net::new();
    net.start_reflector(1);
    net.start_reflector(2);
    for host in NODES {
        let blocks: &[&str] = if host == 11 { &[BLOCK] } else { &[] };
        net.start_node(host, &[1, 2], blocks);
    }
    net.run(SECOND * 3);
    // The one with the lower address: what it told is taken where all else is equal.
    net.kill(1);
    net.run(SECOND * 3);
    for host in NODES {
        assert_eq!(net.trace(host, "10.244.5.65"), End::Dropped(11));
        net.heard(host);
    }
    net.run(SECOND);
    net.remove_block(11, BLOCK);
    net.add_block(12, BLOCK);
    net.run(SECOND * 3);
    for host in NODES {
        assert_eq!(net.trace(host, "10.244.5.65"), End::Dropped(12));
        assert_eq!(net.node(host).conflicts().count(), 0);
    }
}
