//! Blocks and workloads move; packets are followed at every millisecond.

use crate::net::{End, MILLISECOND, Net, SECOND};

const BLOCK: &str = "10.244.5.64/26";
const WORKLOAD: &str = "10.244.5.70";
const NODES: [u8; 4] = [11, 12, 13, 14];

/// Two reflectors and four nodes, or the nodes alone in a mesh. Node 11 has the block.
fn cluster(mesh: bool) -> Net {
    let mut net = Net::new();
    let peers: &[u8] = if mesh { &NODES } else { &[1, 2] };
    if !mesh {
        net.start_reflector(1);
        net.start_reflector(2);
    }
    for host in NODES {
        let own = format!("10.244.{host}.0/26");
        let blocks: &[&str] = if host == 11 { &[&own, BLOCK] } else { &[&own] };
        net.start_node(host, peers, blocks);
    }
    net.workload(11, WORKLOAD, true);
    net.run(SECOND * 3);
    for host in NODES {
        assert_eq!(net.trace(host, WORKLOAD), End::Arrived(11), "from {host}");
        assert_eq!(net.kernel(host).len(), 5, "{:?}", net.kernel(host));
    }
    net
}

/// The longest time in milliseconds in which some node's packets did not arrive at all while
/// `span` passed.
fn longest_gap(net: &mut Net, span: u32) -> u32 {
    let mut gaps = [0_u32; NODES.len()];
    let mut longest = 0;
    net.watch(MILLISECOND * span, |net| {
        for (gap, host) in gaps.iter_mut().zip(NODES) {
            let end = net.trace(host, WORKLOAD);
            assert_ne!(end, End::Loop, "from {host}");
            *gap = if matches!(end, End::Arrived(_)) {
                0
            } else {
                *gap + 1
            };
            longest = longest.max(*gap);
        }
    });
    longest
}

#[test]
fn a_block_that_moves_with_its_workload_is_away_for_the_time_of_the_news_alone() {
    for mesh in [false, true] {
        let mut net = cluster(mesh);
        net.workload(11, WORKLOAD, false);
        net.workload(12, WORKLOAD, true);
        net.remove_block(11, BLOCK);
        net.add_block(12, BLOCK);
        assert!(longest_gap(&mut net, 5_000) <= 20);
        for host in NODES {
            assert_eq!(net.trace(host, WORKLOAD), End::Arrived(12), "from {host}");
            assert_eq!(net.kernel(host).len(), 5, "{:?}", net.kernel(host));
        }
    }
}

#[test]
fn the_new_owner_may_come_first_or_last() {
    for (mesh, old_first) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut net = cluster(mesh);
        net.workload(11, WORKLOAD, false);
        net.workload(12, WORKLOAD, true);
        // The workload is found by its address from now on, whoever has the block.
        assert!(longest_gap(&mut net, 300) <= 20);
        if old_first {
            net.remove_block(11, BLOCK);
        } else {
            net.add_block(12, BLOCK);
        }
        assert_eq!(longest_gap(&mut net, 400), 0, "old first: {old_first}");
        if old_first {
            net.add_block(12, BLOCK);
        } else {
            net.remove_block(11, BLOCK);
        }
        assert_eq!(longest_gap(&mut net, 5_000), 0, "old first: {old_first}");
        for host in NODES {
            assert_eq!(net.trace(host, WORKLOAD), End::Arrived(12));
            assert_eq!(net.kernel(host).len(), 5, "{:?}", net.kernel(host));
        }
    }
}

#[test]
fn a_workload_that_goes_home_is_found_at_home() {
    for mesh in [false, true] {
        let mut net = cluster(mesh);
        net.workload(11, WORKLOAD, false);
        net.workload(13, WORKLOAD, true);
        assert!(longest_gap(&mut net, 1_000) <= 20);
        net.workload(13, WORKLOAD, false);
        net.workload(11, WORKLOAD, true);
        assert!(longest_gap(&mut net, 1_000) <= 20);
        for host in NODES {
            assert_eq!(net.trace(host, WORKLOAD), End::Arrived(11));
            assert_eq!(net.kernel(host).len(), 5, "{:?}", net.kernel(host));
        }
    }
}

#[test]
fn an_address_that_nobody_uses_is_dropped_at_its_owner() {
    let mut net = cluster(false);
    for host in NODES {
        assert_eq!(net.trace(host, "10.244.5.100"), End::Dropped(11));
        assert_eq!(net.trace(host, "10.244.200.1"), End::NoRoute(host));
    }
    // Also when the block goes to nobody: for a moment at its old owner, then nowhere.
    net.remove_block(11, BLOCK);
    net.watch(SECOND * 2, |net| {
        for host in NODES {
            assert_ne!(net.trace(host, "10.244.5.100"), End::Loop);
        }
    });
    assert_eq!(net.trace(12, "10.244.5.100"), End::NoRoute(12));
}
