//! Who a node is, from what it is called: so that no datastore has to give out numbers.

use bgp_core::types::RouterId;
use bgp_fib::kernel::Mac;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The BGP Identifier that Calico's setting `hash` gives to the node named `name`: the first four
/// octets of SHA-256 of the name, the first of them made unicast by taking 32 away above 223.
///
/// Two names in some 77,000 nodes can be expected to share one; zero, which RFC 6286 forbids, comes
/// out as 0.0.0.1.
pub fn router_id_of(name: &str) -> RouterId {
    let [first, second, third, fourth] = digest(name.as_bytes());
    let first = if first > 223 { first - 32 } else { first };
    let id = Ipv4Addr::new(first, second, third, fourth);
    if id.is_unspecified() {
        return RouterId(Ipv4Addr::new(0, 0, 0, 1));
    }
    RouterId(id)
}

/// The hardware address that the VXLAN device of the node at `address` has to have, so that every
/// other node knows it without being told.
///
/// For IPv4 `02:00` and the address; for IPv6 `06` and the first five octets of SHA-256 of the
/// address. Both are unicast and locally administered (IEEE 802). A node whose device has another
/// one needs an [`End`](crate::End) on all others.
pub fn tunnel_mac(address: IpAddr) -> Mac {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Mac([0x02, 0x00, a, b, c, d])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e] = digest(&v6.octets());
            Mac([0x06, a, b, c, d, e])
        }
    }
}

/// The address on the VXLAN device by which the node at `host` is reached, so that every other node
/// knows it without being told.
///
/// For IPv4 `host` itself. For IPv6 the kernel refuses a gateway that is on the network of another
/// device ("Nexthop has invalid gateway or device mismatch"), which is where the nodes of our own
/// subnet are; so it is the link-local address that the far device gives itself: the one that
/// follows from its hardware address (RFC 4291, appendix A).
pub fn tunnel_address(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(_) => host,
        IpAddr::V6(_) => {
            let Mac([a, b, c, d, e, f]) = tunnel_mac(host);
            let half = [a ^ 0x02, b, c, 0xff, 0xfe, d, e, f];
            let prefix = 0xfe80_u128 << 112;
            Ipv6Addr::from(prefix | u128::from(u64::from_be_bytes(half))).into()
        }
    }
}

/// The first octets of SHA-256 (FIPS 180-4).
fn digest<const N: usize>(text: &[u8]) -> [u8; N] {
    let hash = Sha256::digest(text);
    let mut first = [0; N];
    for (to, from) in first.iter_mut().zip(hash) {
        *to = from;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_id_is_the_hash_of_the_name_as_calico_takes_it() {
        assert_eq!(router_id_of("kube-master").to_string(), "25.79.212.8");
        // A name whose hash begins above 223 comes out below, and never as multicast.
        for number in 0..2_000 {
            let id = router_id_of(&format!("node-{number}"));
            assert!(!id.0.is_multicast() && id.0.octets()[0] < 224, "{id}");
        }
    }

    #[test]
    fn tunnel_addresses_are_unicast_local_and_differ() {
        let four = tunnel_mac("10.0.1.11".parse().unwrap());
        assert_eq!(four, Mac([0x02, 0x00, 10, 0, 1, 11]));
        let one = tunnel_mac("fd00::1".parse().unwrap());
        let two = tunnel_mac("fd00::2".parse().unwrap());
        assert_ne!(one, two);
        for mac in [four, one, two] {
            assert_eq!(mac.0[0] & 3, 2, "{mac:?}");
        }
    }

    #[test]
    fn far_devices_are_reached_by_addresses_that_the_kernel_takes() {
        let four: IpAddr = "10.0.1.11".parse().unwrap();
        assert_eq!(tunnel_address(four), four);
        // SHA-256 of sixteen zero octets begins with 374708fff7: 06:37:47:08:ff:f7.
        let six = tunnel_address(Ipv6Addr::UNSPECIFIED.into());
        assert_eq!(six.to_string(), "fe80::437:47ff:fe08:fff7");
    }
}
