//! All that can be wrong with [`NodeSettings`], in the order of the settings.

use crate::fault::{
    BlockFault, Element, EndFault, Fault, NodeFault, PoolFault, ServiceFault, SettingsFault,
};
use crate::settings::{
    Encapsulation, MAX_BLOCKS, MAX_POOLS, MAX_SERVICES, MAX_STALE_TIME, NodeSettings, Pool,
};
use bgp_core::prefix::{IpNet, family_of};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Longest name: that of a host (RFC 1035).
const MAX_NODE_NAME: usize = 253;
/// Longest name of a device (IFNAMSIZ without its end).
const MAX_DEVICE_NAME: usize = 15;
/// Tables `unspec`, `default` and `local` are not for routes like ours; above 255 all are free.
const FORBIDDEN_TABLES: [u32; 3] = [0, 253, 255];

impl NodeSettings {
    /// All that is wrong with them; nothing is what a node takes.
    pub fn check(&self) -> Vec<SettingsFault> {
        let mut faults = Vec::new();
        let node = self.node_faults().into_iter().map(Fault::Node);
        faults.extend(
            node.chain(self.service_faults())
                .map(|fault| SettingsFault {
                    element: Element::Node,
                    fault,
                }),
        );
        if self.pools.len() > MAX_POOLS {
            let element = Element::Node;
            let fault = Fault::Pool(PoolFault::TooMany(self.pools.len()));
            faults.push(SettingsFault { element, fault });
            return faults;
        }
        for (index, pool) in self.pools.iter().enumerate() {
            let element = Element::pool(index, pool.prefix);
            let found = self.pool_faults(index, pool).into_iter();
            faults.extend(found.map(|fault| SettingsFault {
                element,
                fault: Fault::Pool(fault),
            }));
        }
        faults.extend(self.block_faults());
        faults.extend(self.end_faults());
        faults
    }

    /// Why `prefix` cannot be a block of this node, apart from the other blocks.
    pub(crate) fn block_fault(&self, prefix: IpNet) -> Option<BlockFault> {
        if prefix.trunc() != prefix {
            return Some(BlockFault::HostBits(prefix));
        }
        let Some(pool) = self.pool_of(&prefix) else {
            let same = |pool: &&Pool| family_of(&pool.prefix) == family_of(&prefix);
            let pools = self.pools.iter().filter(same).map(|pool| pool.prefix);
            let pools = pools.collect();
            return Some(BlockFault::OutsidePools { prefix, pools });
        };
        if pool.block_size != prefix.prefix_len() {
            let (pool, size) = (pool.prefix, pool.block_size);
            return Some(BlockFault::Length { prefix, pool, size });
        }
        let own = self.addresses.iter().map(|own| own.addr());
        own.into_iter()
            .find(|address| prefix.contains(address))
            .map(|address| BlockFault::HoldsOwnAddress { prefix, address })
    }

    fn node_faults(&self) -> Vec<NodeFault> {
        let mut faults = Vec::new();
        let printable = self.name.bytes().all(|octet| octet.is_ascii_graphic());
        if !(1..=MAX_NODE_NAME).contains(&self.name.len()) || !printable {
            faults.push(NodeFault::Name(self.name.clone()));
        }
        if self.addresses.is_empty() {
            faults.push(NodeFault::NoAddress);
        }
        let mut firsts = BTreeMap::new();
        for (item, address) in self.addresses.iter().enumerate() {
            let address = *address;
            if !is_host(address) {
                faults.push(NodeFault::Address { item, address });
            }
            let (first, other) = *firsts.entry(family_of(&address)).or_insert((item, address));
            if first != item {
                faults.push(NodeFault::SecondAddress {
                    item,
                    address,
                    first,
                    other,
                });
            }
        }
        faults.extend(self.device_pattern_faults());
        if FORBIDDEN_TABLES.contains(&self.table) {
            faults.push(NodeFault::Table(self.table));
        }
        if self.stale_time > MAX_STALE_TIME {
            faults.push(NodeFault::StaleTime(self.stale_time));
        }
        faults
    }

    fn device_pattern_faults(&self) -> Vec<NodeFault> {
        let devices: BTreeSet<&str> = self
            .pools
            .iter()
            .filter_map(|p| p.device.as_deref())
            .collect();
        let mut faults = Vec::new();
        for (item, pattern) in self.workload_devices.iter().enumerate() {
            if let Some(device) = devices.iter().find(|device| pattern.matches(device)) {
                faults.push(NodeFault::WorkloadDevice {
                    item,
                    pattern: pattern.to_string(),
                    device: (*device).to_owned(),
                });
            }
        }
        faults
    }

    fn service_faults(&self) -> Vec<Fault> {
        let count = self.services.len();
        if count > MAX_SERVICES {
            return vec![Fault::Service(None, ServiceFault::TooMany(count))];
        }
        let mut faults = Vec::new();
        let mut firsts = BTreeMap::new();
        for (item, prefix) in self.services.iter().enumerate() {
            let prefix = *prefix;
            let mut push = |fault| faults.push(Fault::Service(Some(item), fault));
            if prefix.trunc() != prefix {
                push(ServiceFault::HostBits(prefix));
                continue;
            }
            let first = *firsts.entry(prefix).or_insert(item);
            if first != item {
                push(ServiceFault::Twice { prefix, first });
            }
            if self.address(family_of(&prefix)).is_none() {
                push(ServiceFault::NoAddress(prefix));
            }
            let mut pools = self.pools.iter().map(|pool| pool.prefix).enumerate();
            if let Some((pool, other)) = pools.find(|(_, pool)| overlap(pool, &prefix)) {
                push(ServiceFault::InPool {
                    prefix,
                    pool,
                    other,
                });
            }
        }
        faults
    }

    fn pool_faults(&self, index: usize, pool: &Pool) -> Vec<PoolFault> {
        let prefix = pool.prefix;
        if prefix.trunc() != prefix {
            return vec![PoolFault::HostBits(prefix)];
        }
        let mut faults = Vec::new();
        let mut earlier = self
            .pools
            .iter()
            .map(|pool| pool.prefix)
            .enumerate()
            .take(index);
        if let Some((first, other)) = earlier.find(|(_, other)| overlap(other, &prefix)) {
            faults.push(PoolFault::Overlap {
                prefix,
                first,
                other,
            });
        }
        let family = family_of(&prefix);
        let sizes = prefix.prefix_len()..=family.max_prefix_len();
        if !sizes.contains(&pool.block_size) {
            let size = pool.block_size;
            faults.push(PoolFault::BlockSize { prefix, size });
        }
        if self.address(family).is_none() {
            faults.push(PoolFault::NoAddress(prefix));
        }
        let ipip = match pool.encapsulation {
            Encapsulation::Ipip | Encapsulation::IpipCrossSubnet => true,
            Encapsulation::None | Encapsulation::Vxlan | Encapsulation::VxlanCrossSubnet => false,
        };
        if ipip && matches!(prefix, IpNet::V6(_)) {
            faults.push(PoolFault::IpipFamily(prefix));
        }
        let usual = pool.encapsulation.default_device(family);
        let encapsulation = pool.encapsulation;
        faults.extend(match (pool.device.as_deref(), usual) {
            (None, Some(usual)) => Some(PoolFault::NoDevice {
                encapsulation,
                usual,
            }),
            (Some(device), None) => Some(PoolFault::NoTunnel(device.to_owned())),
            (Some(device), Some(_)) if !is_device_name(device) => {
                Some(PoolFault::DeviceName(device.to_owned()))
            }
            (Some(_), Some(_)) | (None, None) => None,
        });
        faults
    }

    fn block_faults(&self) -> Vec<SettingsFault> {
        let count = self.blocks.len();
        if count > MAX_BLOCKS {
            return vec![SettingsFault {
                element: Element::Node,
                fault: Fault::Block(BlockFault::TooMany(count)),
            }];
        }
        let mut faults = Vec::new();
        let mut firsts = BTreeMap::new();
        for (index, prefix) in self.blocks.iter().enumerate() {
            let prefix = *prefix;
            let first = *firsts.entry(prefix).or_insert(index);
            // Blocks of one pool have one length, and pools do not overlap: two different blocks
            // that are in order share no address.
            let twice = (first != index).then_some(BlockFault::Twice { prefix, first });
            faults.extend(
                self.block_fault(prefix)
                    .or(twice)
                    .map(|fault| SettingsFault {
                        element: Element::block(index, prefix),
                        fault: Fault::Block(fault),
                    }),
            );
        }
        faults
    }

    fn end_faults(&self) -> Vec<SettingsFault> {
        let mut faults = Vec::new();
        let mut firsts = BTreeMap::new();
        for (index, end) in self.ends.iter().enumerate() {
            let (host, address) = (end.host, end.address);
            let mut push = |fault| {
                faults.push(SettingsFault {
                    element: Element::end(index, host),
                    fault: Fault::End(fault),
                });
            };
            let first = *firsts.entry(host).or_insert(index);
            if first != index {
                push(EndFault::Twice { host, first });
            }
            if host.is_ipv4() != address.is_ipv4() {
                push(EndFault::Family { host, address });
            }
            let mac = end.mac.0;
            if mac == [0; 6] || mac.first().is_some_and(|first| first & 1 == 1) {
                let text: Vec<String> = mac.iter().map(|octet| format!("{octet:02x}")).collect();
                push(EndFault::Mac(text.join(":")));
            }
        }
        faults
    }
}

/// Whether two prefixes share addresses.
fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Whether `own` is an address that one host can have in its network.
fn is_host(own: IpNet) -> bool {
    match own {
        IpNet::V4(net) => {
            let address = net.addr();
            let named =
                net.prefix_len() < 31 && (address == net.network() || address == net.broadcast());
            net.prefix_len() > 0
                && !named
                && !address.is_loopback()
                && !address.is_multicast()
                && address != Ipv4Addr::UNSPECIFIED
                && address != Ipv4Addr::BROADCAST
        }
        IpNet::V6(net) => {
            let address = net.addr();
            let usable = !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !address.is_unicast_link_local()
                && address.to_ipv4_mapped().is_none();
            net.prefix_len() > 0 && usable
        }
    }
}

/// Whether the kernel would take `name` for a device (`dev_valid_name`).
fn is_device_name(name: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_graphic() && octet != b'/' && octet != b':';
    (1..=MAX_DEVICE_NAME).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(allowed)
}
