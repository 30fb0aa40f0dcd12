//! Namespaces and devices: the racks, the router between them, nodes, and workloads wired as
//! Calico wires them.
//!
//! A rack is a bridge in the router's namespace. A workload has an address of its own length and a
//! default route via 169.254.1.1 (via the link-local address of the node's side in IPv6), an
//! address that nobody has: the node answers for it by proxy ARP on its `cali…` device, whose
//! hardware address is the same everywhere.

use super::plan::{RACKS, Site, WorkloadNumber};
use crate::Result;
use crate::netns::Namespace;
use bgp_core::family::Family;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The hardware address of every node's side of a workload's link.
const CALI_MAC: &str = "ee:ee:ee:ee:ee:ee";
/// Where a workload's default route leads.
const GATEWAY_V4: &str = "169.254.1.1";
/// What [`CALI_MAC`] makes of a link-local address (RFC 4291, appendix A).
const GATEWAY_V6: &str = "fe80::ecee:eeff:feee:eeee";
/// The device of a node or reflector in its rack, and of a workload.
const DEVICE: &str = "eth0";

/// Calico's VXLAN network.
const VXLAN_ID: u32 = 4096;
/// The port of VXLAN (RFC 7348).
const VXLAN_PORT: u16 = 4789;

/// The racks and the router between them.
pub struct Fabric {
    router: Arc<Namespace>,
}

impl Fabric {
    /// Two empty racks. The router forwards, and knows nothing but the two subnets.
    ///
    /// # Errors
    /// When the kernel refuses a device or an address.
    pub fn new() -> Result<Self> {
        let router = Arc::new(Namespace::new("tor")?);
        forward(&router)?;
        for rack in RACKS {
            let mut lines = String::new();
            // With a fixed address the bridge keeps it when ports come and go.
            let _ = writeln!(
                lines,
                "link add rack{rack} address 02:00:00:00:00:0{rack} type bridge mcast_snooping 0\n\
                 link set rack{rack} up"
            );
            for family in Family::ALL {
                let address = Site::router(rack).with_subnet(family);
                let _ = writeln!(lines, "addr add {address} dev rack{rack}{}", nodad(family));
            }
            router.ip(&lines)?;
        }
        Ok(Self { router })
    }

    /// The router's namespace.
    pub fn router(&self) -> &Arc<Namespace> {
        &self.router
    }

    /// A host at `site` with its addresses and a default route to the router.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn host(&self, name: &str, site: Site) -> Result<Namespace> {
        let host = Namespace::new(name)?;
        let (port, rack) = (port(site), site.rack);
        let mut lines = String::new();
        let _ = writeln!(
            lines,
            "link add {port} type veth peer name {DEVICE} netns {}\n\
             link set {port} master rack{rack} up",
            path(&host)
        );
        self.router.ip(&lines)?;
        let mut lines = format!("link set {DEVICE} up\n");
        for family in Family::ALL {
            let address = site.with_subnet(family);
            let router = Site::router(rack).address(family);
            let _ = writeln!(
                lines,
                "addr add {address} dev {DEVICE}{}\n\
                 route add default via {router} dev {DEVICE}",
                nodad(family)
            );
        }
        host.ip(&lines)?;
        Ok(host)
    }

    /// Takes the port of `site` out of its rack, or puts it back: all that it says and hears is
    /// lost, and nobody sees the carrier go.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn plug(&self, site: Site, plugged: bool) -> Result<()> {
        let (port, rack) = (port(site), site.rack);
        self.router.ip(&if plugged {
            format!("link set {port} master rack{rack}")
        } else {
            format!("link set {port} nomaster")
        })
    }

    /// Takes the carrier of the host at `site` away, or gives it back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn carrier(&self, site: Site, present: bool) -> Result<()> {
        let state = if present { "up" } else { "down" };
        self.router.ip(&format!("link set {} {state}", port(site)))
    }

    /// Cuts the racks off from each other without a word, or joins them again. The router itself
    /// still reaches both.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn partition(&self, cut: bool) -> Result<()> {
        let value = if cut { "0" } else { "1" };
        for rack in RACKS {
            for version in ["ipv4", "ipv6"] {
                let key = format!("net/{version}/conf/rack{rack}/forwarding");
                self.router.sysctl(&key, value)?;
            }
        }
        Ok(())
    }
}

/// The router's side of the link of the host at `site`.
fn port(site: Site) -> String {
    format!("port{}-{}", site.rack, site.host)
}

/// Makes a router of `namespace`.
///
/// # Errors
/// When a setting may not be written.
pub fn forward(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("net/ipv4/ip_forward", "1")?;
    namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    // Every way back is as good as any other: tunnels, and blocks that are moving.
    namespace.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    namespace.sysctl("net/ipv4/conf/default/rp_filter", "0")
}

/// The device of VXLAN pools of a family, as Calico names it.
pub fn vxlan_device(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "vxlan.calico",
        Family::Ipv6Unicast => "vxlan-v6.calico",
    }
}

/// Makes the VXLAN devices of the node at `site`, which learn nothing by themselves. Their hardware
/// addresses follow the rule by which our speaker knows those of all other nodes.
///
/// # Errors
/// When the kernel has no VXLAN, or refuses.
pub fn add_vxlan(node: &Namespace, site: Site) -> Result<()> {
    let mut lines = String::new();
    for family in Family::ALL {
        let (device, local) = (vxlan_device(family), site.address(family));
        let mac = vxlan_mac(local)
            .map(|octet| format!("{octet:02x}"))
            .join(":");
        let _ = writeln!(
            lines,
            "link add {device} address {mac} type vxlan id {VXLAN_ID} dstport {VXLAN_PORT} \
             local {local} nolearning\n\
             link set {device} up"
        );
    }
    node.ip(&lines)
}

/// `02:00` and an IPv4 address, or `06` and the first octets of SHA-256 of an IPv6 address.
fn vxlan_mac(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0x02, 0x00, a, b, c, d]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, ..] = Sha256::digest(address.octets()).0;
            [0x06, a, b, c, d, e]
        }
    }
}

/// The address by which the VXLAN device of the node at `host` is reached: its own in IPv4, the
/// link-local one that the kernel makes of the hardware address (RFC 4291, appendix A) in IPv6.
pub(super) fn vxlan_address(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(_) => host,
        IpAddr::V6(_) => {
            let [a, b, c, d, e, f] = vxlan_mac(host).map(u16::from);
            let pair = |high, low| high << 8 | low;
            let last = [pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f)];
            Ipv6Addr::new(0xfe80, 0, 0, 0, last[0], last[1], last[2], last[3]).into()
        }
    }
}

/// The links of a workload to two nodes may exist at once while it moves; each has its own device
/// in the workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkloadLink {
    /// Whose.
    pub workload: WorkloadNumber,
    /// Which of its links: 0 is `eth0`.
    pub link: u8,
}

impl WorkloadLink {
    /// The device in the workload.
    fn inside(self) -> String {
        format!("eth{}", self.link)
    }

    /// Makes the link between `node` and the workload, without any route.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn connect(self, node: &Namespace, workload: &Namespace) -> Result<()> {
        let (device, inside) = (self.workload.device(), self.inside());
        node.ip(&format!(
            "link add {device} address {CALI_MAC} type veth peer name {inside} netns {}\n\
             link set {device} up",
            path(workload)
        ))?;
        for (key, value) in [
            ("net/ipv4/conf/DEVICE/proxy_arp", "1"),
            ("net/ipv4/neigh/DEVICE/proxy_delay", "0"),
            ("net/ipv4/conf/DEVICE/rp_filter", "0"),
        ] {
            node.sysctl(&key.replace("DEVICE", &device), value)?;
        }
        let mut lines = format!("link set {inside} up\n");
        for family in Family::ALL {
            let address = self.workload.address(family);
            let _ = writeln!(lines, "addr add {address} dev {inside}{}", nodad(family));
        }
        workload.ip(&lines)
    }

    /// The node's routes to the workload, as `ip -batch` takes them.
    pub fn host_routes(self, verb: &str) -> String {
        let device = self.workload.device();
        let route = |family| {
            let address = self.workload.address(family);
            let length = family.max_prefix_len();
            // The kernel knows no scope in IPv6.
            let scope = match family {
                Family::Ipv4Unicast => " scope link",
                Family::Ipv6Unicast => "",
            };
            format!("route {verb} {address}/{length} dev {device}{scope}\n")
        };
        Family::ALL.into_iter().map(route).collect()
    }

    /// The workload's routes through this link, as `ip -batch` takes them.
    pub fn default_routes(self) -> String {
        let inside = self.inside();
        format!(
            "route replace {GATEWAY_V4} dev {inside} scope link\n\
             route replace default via {GATEWAY_V4} dev {inside}\n\
             route replace default via {GATEWAY_V6} dev {inside}\n"
        )
    }
}

fn nodad(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "",
        Family::Ipv6Unicast => " nodad",
    }
}

/// A name by which `ip` finds a namespace that has none.
fn path(namespace: &Namespace) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.descriptor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vxlan_addresses_follow_the_rule() {
        let four = IpAddr::from([10, 99, 1, 11]);
        assert_eq!(vxlan_mac(four), [0x02, 0x00, 10, 99, 1, 11]);
        assert_eq!(vxlan_address(four), four);
        // sha256sum of sixteen zero octets begins with 374708fff7.
        let six = IpAddr::from([0; 16]);
        assert_eq!(vxlan_mac(six), [0x06, 0x37, 0x47, 0x08, 0xff, 0xf7]);
        assert_eq!(vxlan_address(six).to_string(), "fe80::437:47ff:fe08:fff7");
    }
}
