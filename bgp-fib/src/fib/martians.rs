//! Destinations that are never put. The kernel accepts a route to 224.0.0.0/4 or 127.0.0.0/8
//! without a word, so the filter is ours.
//!
//! A prefix is refused when it lies inside one of these; a prefix that merely covers one (the
//! default route, 0.0.0.0/1) is not. 240.0.0.0/4 is not refused but for the broadcast address:
//! large clusters use it. Whether a prefix is one of *our* addresses changes with the addresses
//! and is looked at where routes are made concrete.

use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

const V4: [(Ipv4Addr, u8, &str); 5] = [
    (
        Ipv4Addr::UNSPECIFIED,
        8,
        "0.0.0.0/8 is this network (RFC 1122 §3.2.1.3)",
    ),
    (
        Ipv4Addr::new(127, 0, 0, 0),
        8,
        "127.0.0.0/8 is loopback (RFC 1122 §3.2.1.3)",
    ),
    (
        Ipv4Addr::new(169, 254, 0, 0),
        16,
        "169.254.0.0/16 is link-local (RFC 3927 §7)",
    ),
    (
        Ipv4Addr::new(224, 0, 0, 0),
        4,
        "224.0.0.0/4 is multicast (RFC 5771)",
    ),
    (
        Ipv4Addr::BROADCAST,
        32,
        "255.255.255.255 is broadcast (RFC 919)",
    ),
];

const V6: [(Ipv6Addr, u8, &str); 5] = [
    (
        Ipv6Addr::UNSPECIFIED,
        128,
        ":: is no destination (RFC 4291 §2.5.2)",
    ),
    (
        Ipv6Addr::LOCALHOST,
        128,
        "::1 is loopback (RFC 4291 §2.5.3)",
    ),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        "::ffff:0:0/96 are IPv4 addresses (RFC 4291 §2.5.5.2)",
    ),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        "fe80::/10 is link-local (RFC 4291 §2.5.6)",
    ),
    (
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
        "ff00::/8 is multicast (RFC 4291 §2.7)",
    ),
];

/// Why `prefix` must not be a destination; `None` when it may.
pub fn martian(prefix: &IpNet) -> Option<&'static str> {
    match prefix {
        IpNet::V4(prefix) => V4.iter().find_map(|(address, length, why)| {
            let block = Ipv4Net::new(*address, *length).ok()?;
            block.contains(prefix).then_some(*why)
        }),
        IpNet::V6(prefix) => V6.iter().find_map(|(address, length, why)| {
            let block = Ipv6Net::new(*address, *length).ok()?;
            block.contains(prefix).then_some(*why)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_and_what_may_not() {
        for text in [
            "0.1.2.0/24",
            "127.0.0.0/8",
            "127.0.0.1/32",
            "169.254.1.1/32",
            "224.0.0.0/4",
            "239.1.0.0/16",
            "255.255.255.255/32",
            "::/128",
            "::1/128",
            "::ffff:10.0.0.0/104",
            "fe80::/64",
            "ff02::/16",
        ] {
            assert!(martian(&text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "0.0.0.0/0",
            "0.0.0.0/1",
            "10.0.0.0/26",
            "192.168.0.0/16",
            "240.0.0.0/8",
            "128.0.0.0/1",
            "::/0",
            "fd00::/122",
            "2001:db8::/32",
        ] {
            assert_eq!(martian(&text.parse().unwrap()), None, "{text}");
        }
    }
}
