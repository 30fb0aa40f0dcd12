//! What only the host can tell: its name, and an address to be known by.

use bgp_core::config::MAX_HOST_NAME;
use bgp_core::types::RouterId;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Facts about the host that fill in what a configuration leaves out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// The router id for a configuration that names none.
    pub router_id: RouterId,
    /// Where it comes from, as in "address of eth0".
    pub router_id_source: String,
    /// The host's name, without its domain; empty where it has none that can be sent.
    pub name: String,
}

impl Host {
    /// Asks the host.
    ///
    /// The router id is the first global IPv4 address of the first interface that is up, by the
    /// kernel's numbers of interfaces and its order of addresses, so that the same host gives the
    /// same one. Loopback (127/8) and link-local (169.254/16) addresses are not global; a host
    /// that has no other is known as 127.0.0.1, and so is every such host.
    pub fn look() -> Self {
        let first = addresses().into_iter().min_by_key(|(index, _, _)| *index);
        let (router_id, router_id_source) = match first {
            Some((_, interface, address)) => (address, format!("address of {interface}")),
            None => (
                Ipv4Addr::LOCALHOST,
                "no interface that is up has a global IPv4 address".to_owned(),
            ),
        };
        Self {
            router_id: RouterId(router_id),
            router_id_source,
            name: name(),
        }
    }
}

/// All addresses of this host, of both families, at `port`.
pub(crate) fn everywhere(port: u16) -> Vec<SocketAddr> {
    let any = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    any.map(|address| SocketAddr::new(address, port)).to_vec()
}

/// Global IPv4 addresses of interfaces that are up: interface number, interface name, address.
fn addresses() -> Vec<(u32, String, Ipv4Addr)> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    all.filter(|entry| entry.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|entry| {
            let address = entry.address?.as_sockaddr_in()?.ip();
            let index = if_nametoindex(entry.interface_name.as_str()).ok()?;
            is_global(address).then_some((index, entry.interface_name, address))
        })
        .collect()
}

fn is_global(address: Ipv4Addr) -> bool {
    !address.is_loopback() && !address.is_link_local() && !address.is_unspecified()
}

fn name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    let first = name.split('.').next().unwrap_or_default();
    let can_be_sent = first.len() <= MAX_HOST_NAME && first.bytes().all(|o| o.is_ascii_graphic());
    if can_be_sent {
        first.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_gives_the_same_usable_answer_twice() {
        let host = Host::look();
        assert_eq!(host, Host::look());
        assert_ne!(host.router_id.0, Ipv4Addr::UNSPECIFIED);
        assert!(host.name.len() <= MAX_HOST_NAME);
    }
}
