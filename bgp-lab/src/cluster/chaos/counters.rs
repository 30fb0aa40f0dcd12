//! What the kernels count: packets passed on, packets that ran out of hops, ICMP messages sent.

use super::Cluster;
use crate::netns::Namespace;
use crate::{During, Result};
use std::fs;

/// What one kernel counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Counts {
    expired: u64,
    icmp: u64,
    forwarded: u64,
}

/// The counts of all nodes and of the router, each with its name.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Counters(Vec<(String, Counts)>);

impl Counters {
    pub(super) fn read(cluster: &Cluster) -> Result<Self> {
        let nodes = cluster.nodes.iter().map(|node| &node.namespace);
        let places = nodes.chain([cluster.fabric.router()]);
        places
            .map(|place| Ok((place.name().to_owned(), Counts::of(place)?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Packets whose hops were used up since `before`: a loop uses up one packet after the other.
    pub(super) fn expired_since(&self, before: &Self) -> u64 {
        self.grown(before, |counts| counts.expired)
    }

    /// ICMP messages that the kernels sent of their own accord since `before`.
    pub(super) fn icmp_since(&self, before: &Self) -> u64 {
        self.grown(before, |counts| counts.icmp)
    }

    fn grown(&self, before: &Self, field: impl Fn(&Counts) -> u64) -> u64 {
        let sum = |all: &Self| all.0.iter().map(|(_, counts)| field(counts)).sum::<u64>();
        sum(self).saturating_sub(sum(before))
    }

    /// How many packets each place passed on since `before`.
    pub(super) fn forwarded_since(&self, before: &Self) -> Vec<(String, u64)> {
        let pairs = self.0.iter().zip(&before.0);
        pairs
            .map(|((name, after), (_, before))| {
                let passed = after.forwarded.saturating_sub(before.forwarded);
                (name.clone(), passed)
            })
            .collect()
    }
}

impl Counts {
    fn of(namespace: &Namespace) -> Result<Self> {
        // Not /proc/net, which belongs to the first thread of the process.
        let path = "/proc/thread-self/net/snmp";
        let text =
            namespace.run(|| fs::read_to_string(path).during(|| format!("reading {path}")))?;
        let count = |section, name| field(&text, section, name).unwrap_or_default();
        Ok(Self {
            expired: count("Ip:", "InHdrErrors"),
            icmp: count("Icmp:", "OutMsgs"),
            forwarded: count("Ip:", "ForwDatagrams"),
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
