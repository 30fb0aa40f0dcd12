//! What the kernels count: packets that ran out of hops, and ICMP messages sent.

use super::Cluster;
use crate::netns::Namespace;
use crate::{During, Result};
use std::fs;

/// Sums over all nodes and the router.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counters {
    /// Packets whose hops were used up: a loop uses up one packet after the other.
    pub(super) expired: u64,
    /// ICMP messages that the kernels sent of their own accord.
    pub(super) icmp: u64,
}

impl Counters {
    pub(super) fn read(cluster: &Cluster) -> Result<Self> {
        let mut sum = Self::default();
        let nodes = cluster.nodes.iter().map(|node| &node.namespace);
        for namespace in nodes.chain([cluster.fabric.router()]) {
            let one = Self::of(namespace)?;
            sum.expired += one.expired;
            sum.icmp += one.icmp;
        }
        Ok(sum)
    }

    fn of(namespace: &Namespace) -> Result<Self> {
        // Not /proc/net, which belongs to the first thread of the process.
        let path = "/proc/thread-self/net/snmp";
        let text =
            namespace.run(|| fs::read_to_string(path).during(|| format!("reading {path}")))?;
        Ok(Self {
            expired: field(&text, "Ip:", "InHdrErrors").unwrap_or_default(),
            icmp: field(&text, "Icmp:", "OutMsgs").unwrap_or_default(),
        })
    }
}

/// A value of `/proc/net/snmp`, where a line of names stands above each line of values.
fn field(text: &str, section: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(section));
    let place = lines
        .next()?
        .split_whitespace()
        .position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_above_values() {
        let text = "Ip: Forwarding InHdrErrors\nIp: 1 7\nIcmp: InMsgs OutMsgs\nIcmp: 3 4\n";
        assert_eq!(field(text, "Ip:", "InHdrErrors"), Some(7));
        assert_eq!(field(text, "Icmp:", "OutMsgs"), Some(4));
        assert_eq!(field(text, "Udp:", "OutMsgs"), None);
    }
}
