//! All that can be wrong with a node's settings: where, and in which words.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use bgp_blocks::{
    Encapsulation, End, MAX_BLOCKS, MAX_POOLS, MAX_SERVICES, MAX_STALE_TIME, Node, NodeSettings,
    Pool, SettingsFault,
};
use bgp_core::prefix::IpNet;
use bgp_core::types::RouterId;
use bgp_fib::kernel::Mac;
use std::net::Ipv4Addr;
use std::time::Duration;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn good() -> NodeSettings {
    let mut settings = NodeSettings::new("node-11", RouterId(Ipv4Addr::new(10, 0, 1, 11)));
    settings.addresses = vec![net("10.0.1.11/24")];
    settings.pools = vec![
        Pool::new(net("10.244.0.0/16")).through(Encapsulation::IpipCrossSubnet, "tunl0"),
        Pool::new(net("10.245.0.0/16")),
    ];
    settings.blocks = vec![net("10.244.17.64/26"), net("10.245.0.0/26")];
    settings.services = vec![net("10.96.0.0/12")];
    settings
}

/// Where, and what was found, of every fault.
fn faults(change: impl FnOnce(&mut NodeSettings)) -> Vec<String> {
    let mut settings = good();
    change(&mut settings);
    let faults = settings.check();
    if !faults.is_empty() {
        assert_eq!(Node::new(settings).unwrap_err(), faults);
    }
    faults.iter().map(words).collect()
}

fn words(fault: &SettingsFault) -> String {
    let item = fault
        .item()
        .map_or(String::new(), |item| format!("[{item}]"));
    let clash = fault
        .clashes_with()
        .map_or(String::new(), |(element, key, item)| {
            let item = item.map_or(String::new(), |item| format!("[{item}]"));
            format!(" <> {element}.{key}{item}")
        });
    let complaint = fault.complaint();
    assert!(!complaint.allowed.is_empty() && !complaint.advice.is_empty());
    format!(
        "{}.{}{item}: {}{clash}",
        fault.element,
        fault.key(),
        complaint.found
    )
}

#[test]
fn good_settings_have_no_faults() {
    assert!(faults(|_| {}).is_empty());
    assert!(faults(|s| s.addresses.push(net("fd00::11/64"))).is_empty());
    assert!(faults(|s| s.addresses = vec![net("10.0.1.11/32")]).is_empty());
}

#[test]
fn the_node_itself() {
    assert_eq!(
        faults(|s| s.name = "a b".to_owned()),
        ["node.name: node name \"a b\""]
    );
    let networks = ["10.0.1.0/24", "10.0.1.255/24", "224.0.0.1/8", "127.0.0.1/8"];
    for address in networks {
        let found = faults(|s| s.addresses = vec![net(address)]);
        assert_eq!(found, [format!("node.addresses[0]: own address {address}")]);
    }
    let second = faults(|s| s.addresses.push(net("10.9.1.11/24")));
    let expected = "node.addresses[1]: 10.9.1.11/24 is a second own address beside 10.0.1.11/24 \
                    <> node.addresses[0]";
    assert_eq!(second, [expected]);
    let tables = [0, 253, 255].map(|table| faults(|s| s.table = table));
    assert!(tables.iter().all(|found| found.len() == 1), "{tables:?}");
    let long = faults(|s| s.stale_time = MAX_STALE_TIME + Duration::from_secs(1));
    assert!(long[0].starts_with("node.stale-time: a stale time of "));
    let any =
        faults(|s| s.workload_devices = vec!["cali*".parse().unwrap(), "t*".parse().unwrap()]);
    assert_eq!(
        any,
        ["node.workload-devices[1]: \"t*\" also matches the tunnel device tunl0"]
    );
}

#[test]
fn a_node_without_an_address_can_announce_nothing() {
    let found = faults(|s| s.addresses.clear());
    let expected = [
        "node.addresses: no own address",
        "node.services[0]: service prefix 10.96.0.0/12, and the node has no address of \
         ipv4-unicast",
        "pool 10.244.0.0/16.prefix: pool 10.244.0.0/16, and the node has no address of \
         ipv4-unicast",
        "pool 10.245.0.0/16.prefix: pool 10.245.0.0/16, and the node has no address of \
         ipv4-unicast",
    ];
    assert_eq!(found, expected);
    let six = faults(|s| s.pools.push(Pool::new(net("fd10::/48"))));
    assert_eq!(six.len(), 1, "{six:?}");
}

#[test]
fn services() {
    let found = faults(|s| {
        s.services.push(net("10.96.0.0/12"));
        s.services.push(net("10.245.9.0/24"));
        s.services.push(net("192.0.2.1/24"));
    });
    let expected = [
        "node.services[1]: 10.96.0.0/12 a second time <> node.services[0]",
        "node.services[2]: service prefix 10.245.9.0/24 shares addresses with pool 10.245.0.0/16 \
         <> pool 10.245.0.0/16.prefix",
        "node.services[3]: host bits in 192.0.2.1/24",
    ];
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found[..2], expected[..2]);
    assert!(
        found[2].starts_with("node.services[3]: ") && found.len() == 3,
        "{found:?}"
    );
    let many = net("192.0.0.0/12")
        .subnets(32)
        .unwrap()
        .take(MAX_SERVICES + 1)
        .collect();
    let found = faults(|s| s.services = many);
    assert_eq!(
        found,
        [format!(
            "node.services: {} service prefixes",
            MAX_SERVICES + 1
        )]
    );
}

#[test]
fn pools() {
    let found = faults(|s| {
        s.pools.push(Pool::new(net("10.244.128.0/20")));
        s.pools
            .push(Pool::new(net("10.8.0.0/14")).through(Encapsulation::Vxlan, "a/b"));
    });
    let expected = [
        "pool 10.244.128.0/20.prefix: pool 10.244.128.0/20 shares addresses with pool \
         10.244.0.0/16 <> pool 10.244.0.0/16.prefix",
        "pool 10.8.0.0/14.device: \"a/b\" is not the name of a device",
    ];
    assert_eq!(found, expected);
    for size in [15, 33] {
        let found = faults(|s| {
            s.blocks.clear();
            s.pools[0].block_size = size;
        });
        let what = format!("blocks of length {size} in pool 10.244.0.0/16");
        assert_eq!(found, [format!("pool 10.244.0.0/16.block-size: {what}")]);
    }
    let found = faults(|s| {
        s.pools[0].device = None;
        s.pools[1].device = Some("eth0".into());
    });
    let expected = [
        "pool 10.244.0.0/16.device: encapsulation ipip-cross-subnet without a device",
        "pool 10.245.0.0/16.device: device \"eth0\", and the encapsulation is none",
    ];
    assert_eq!(found, expected);
    let found = faults(|s| {
        s.addresses.push(net("fd00::11/64"));
        s.pools
            .push(Pool::new(net("fd10::/48")).through(Encapsulation::Ipip, "tunl0"));
    });
    assert_eq!(found, ["pool fd10::/48.encapsulation: ipip for fd10::/48"]);
    let many = net("10.128.0.0/9").subnets(20).unwrap().take(MAX_POOLS + 1);
    let many = many.map(Pool::new).collect();
    let found = faults(|s| {
        s.blocks.clear();
        s.pools = many;
    });
    assert_eq!(found, [format!("node.: {} pools", MAX_POOLS + 1)]);
}

#[test]
fn blocks() {
    let found = faults(|s| {
        let more = [
            "10.244.17.64/26",
            "10.246.0.0/26",
            "10.244.1.0/24",
            "10.244.2.1/26",
        ];
        s.blocks.extend(more.map(net));
    });
    let expected = [
        "block 10.244.17.64/26.prefix: block 10.244.17.64/26 a second time <> block \
         10.244.17.64/26.prefix",
        "block 10.246.0.0/26.prefix: block 10.246.0.0/26 lies in no pool",
        "block 10.244.1.0/24.prefix: block 10.244.1.0/24 in pool 10.244.0.0/16",
    ];
    assert_eq!(found[..3], expected);
    assert!(found[3].starts_with("block 10.244.2.1/26.prefix: ") && found.len() == 4);
    let found = faults(|s| s.addresses = vec![net("10.245.0.9/24")]);
    let expected = "block 10.245.0.0/26.prefix: block 10.245.0.0/26 holds our own address \
                    10.245.0.9";
    assert_eq!(found, [expected]);
    let many = net("10.244.0.0/16")
        .subnets(30)
        .unwrap()
        .take(MAX_BLOCKS + 1)
        .collect();
    let found = faults(|s| {
        s.pools[0].block_size = 30;
        s.blocks = many;
    });
    assert_eq!(
        found,
        [format!("node.: {} blocks of one node", MAX_BLOCKS + 1)]
    );
}

#[test]
fn tunnel_ends() {
    let end = |host: &str, address: &str, mac| End {
        host: host.parse().unwrap(),
        address: address.parse().unwrap(),
        mac: Mac(mac),
    };
    let found = faults(|s| {
        s.ends = vec![
            end("10.0.1.12", "10.244.0.1", [2, 0, 0, 0, 0, 1]),
            end("10.0.1.12", "10.244.0.2", [0; 6]),
            end("10.0.1.13", "fd10::1", [1, 0, 0, 0, 0, 1]),
        ];
    });
    let expected = [
        "end 10.0.1.12.host: a second tunnel end of host 10.0.1.12 <> end 10.0.1.12.host",
        "end 10.0.1.12.mac: hardware address 00:00:00:00:00:00",
        "end 10.0.1.13.address: address fd10::1 on the tunnel device of host 10.0.1.13",
        "end 10.0.1.13.mac: hardware address 01:00:00:00:00:01",
    ];
    assert_eq!(found, expected);
}
