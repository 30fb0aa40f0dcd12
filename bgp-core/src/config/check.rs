//! The rules that hold for every [`Config`] that a speaker takes.

use super::{
    Config, ConfigError, DynamicGroup, Element, Fault, GroupFault, MAX_HOST_NAME, MAX_LONG_LIVED,
    MAX_MULTIPATH, MAX_NAME, MAX_PEERS, MAX_RESTART_SECONDS, MAX_SETTLE, MAX_TIMER,
    MIN_CONNECT_RETRY, NameFault, Peer, PeerFault, PeerSettings, Router, RouterFault,
    SettingsFault,
};
use crate::prefix::IpNet;
use crate::types::Asn;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

impl Config {
    /// Whether a speaker would take it.
    ///
    /// # Errors
    ///
    /// The first of what [`Config::check`] finds.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check().into_iter().next().map_or(Ok(()), Err)
    }

    /// All that is wrong with it: the router first, then peers, then groups, in their order.
    pub fn check(&self) -> Vec<ConfigError> {
        let router = self.router.faults().into_iter().map(|fault| ConfigError {
            element: Element::Router,
            fault: Box::new(Fault::Router(fault)),
        });
        let mut errors: Vec<ConfigError> = router.collect();
        self.check_peers(&mut errors);
        self.check_groups(&mut errors);
        errors
    }

    fn check_peers(&self, errors: &mut Vec<ConfigError>) {
        let mut names = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for (index, peer) in self.peers.iter().enumerate() {
            let mut faults: Vec<Fault> = peer.faults().into_iter().map(Fault::Peer).collect();
            if let Some(fault) = duplicate(&mut names, &peer.name, index) {
                faults.push(Fault::Peer(PeerFault::Name(fault)));
            }
            let first = *addresses.entry(peer.address).or_insert(index);
            if let Some(other) = self.peers.get(first).filter(|_| first != index) {
                faults.push(Fault::Peer(PeerFault::DuplicateAddress {
                    address: peer.address,
                    first,
                    first_name: other.name.clone(),
                }));
            }
            if index == MAX_PEERS {
                faults.push(Fault::Peer(PeerFault::TooMany));
            }
            let settings = peer.settings.faults(self.router.asn);
            faults.extend(settings.into_iter().map(Fault::Settings));
            errors.extend(faults.into_iter().map(|fault| ConfigError {
                element: self.peer_element(index),
                fault: Box::new(fault),
            }));
        }
    }

    fn check_groups(&self, errors: &mut Vec<ConfigError>) {
        let mut names = BTreeMap::new();
        let mut overlaps = self.overlaps();
        let mut total = self.peers.len();
        for (index, group) in self.dynamic.iter().enumerate() {
            let mut faults = group.faults();
            faults.extend(duplicate(&mut names, &group.name, index).map(GroupFault::Name));
            faults.extend(overlaps.remove(&index).unwrap_or_default());
            let before = total;
            total = total.saturating_add(group.limit);
            if before <= MAX_PEERS && total > MAX_PEERS && group.limit <= MAX_PEERS {
                faults.push(GroupFault::TooMany(total));
            }
            let settings = group.settings.faults(self.router.asn);
            let faults = faults.into_iter().map(Fault::Group);
            errors.extend(
                faults
                    .chain(settings.into_iter().map(Fault::Settings))
                    .map(|fault| ConfigError {
                        element: self.group_element(index),
                        fault: Box::new(fault),
                    }),
            );
        }
    }

    /// Prefixes that lie within, or are equal to, one of another group, by the place of the group
    /// that comes later.
    fn overlaps(&self) -> BTreeMap<usize, Vec<GroupFault>> {
        let mut all: Vec<Accepted> = Vec::new();
        for (group, dynamic) in self.dynamic.iter().enumerate() {
            let prefixes = dynamic.accept.iter().enumerate();
            all.extend(prefixes.map(|(item, prefix)| Accepted {
                prefix: prefix.trunc(),
                group,
                item,
            }));
        }
        // Two prefixes nest or are apart: in this order a prefix follows all that cover it.
        all.sort_by_key(|one| (one.prefix.network(), one.prefix.prefix_len(), one.group));
        let mut covering: Vec<Accepted> = Vec::new();
        let mut found: BTreeMap<usize, Vec<GroupFault>> = BTreeMap::new();
        for one in all {
            let covers = |outer: &Accepted| outer.prefix.contains(&one.prefix);
            while covering.last().is_some_and(|outer| !covers(outer)) {
                covering.pop();
            }
            if let Some(outer) = covering.last().filter(|outer| outer.group != one.group) {
                // The group that comes later is told, whichever of the prefixes is longer.
                let (mine, theirs) = if one.group > outer.group {
                    (&one, outer)
                } else {
                    (outer, &one)
                };
                let faults = found.entry(mine.group).or_default();
                faults.push(GroupFault::Overlap {
                    item: mine.item,
                    prefix: mine.prefix,
                    other_item: theirs.item,
                    other: theirs.prefix,
                    first: theirs.group,
                    first_name: self.group_name(theirs.group),
                });
            }
            covering.push(one);
        }
        found
    }

    fn group_name(&self, index: usize) -> String {
        self.dynamic
            .get(index)
            .map_or(String::new(), |group| group.name.clone())
    }

    fn peer_element(&self, index: usize) -> Element {
        let name = self
            .peers
            .get(index)
            .map_or(String::new(), |peer| peer.name.clone());
        Element::Peer { index, name }
    }

    fn group_element(&self, index: usize) -> Element {
        Element::Group {
            index,
            name: self.group_name(index),
        }
    }
}

impl Router {
    /// All that is wrong with it.
    pub fn faults(&self) -> Vec<RouterFault> {
        let mut faults = Vec::new();
        if is_reserved(self.asn) {
            faults.push(RouterFault::ReservedAs(self.asn));
        }
        if self.router_id.0 == Ipv4Addr::UNSPECIFIED {
            faults.push(RouterFault::ZeroRouterId(self.router_id));
        }
        if self.settle > MAX_SETTLE {
            faults.push(RouterFault::Settle(self.settle));
        }
        if !is_whole(self.restart_time) || self.restart_time.as_secs() > MAX_RESTART_SECONDS {
            faults.push(RouterFault::RestartTime(self.restart_time));
        }
        if self.restart_deferral > MAX_TIMER {
            faults.push(RouterFault::RestartDeferral(self.restart_deferral));
        }
        if !(1..=MAX_MULTIPATH).contains(&self.multipath) {
            faults.push(RouterFault::Multipath(self.multipath));
        }
        let printable = self.host_name.bytes().all(|octet| octet.is_ascii_graphic());
        if self.host_name.len() > MAX_HOST_NAME || !printable {
            faults.push(RouterFault::HostName(self.host_name.clone()));
        }
        faults
    }
}

impl Peer {
    fn faults(&self) -> Vec<PeerFault> {
        let mut faults = Vec::new();
        let begins_well = self
            .name
            .starts_with(|begin: char| begin.is_ascii_alphanumeric());
        // A name that looks like an address must not be another peer's address.
        let is_named_well = match self.name.parse::<IpAddr>() {
            Ok(address) => address == self.address,
            Err(_) => begins_well && has_name_form(&self.name),
        };
        if !is_named_well {
            faults.push(PeerFault::Name(NameFault::Form(self.name.clone())));
        }
        if !is_usable(self.address) {
            faults.push(PeerFault::Address(self.address));
        }
        match self.local_address {
            Some(local) if !is_usable(local) => faults.push(PeerFault::LocalAddress(local)),
            Some(local) if local.is_ipv4() != self.address.is_ipv4() => {
                let address = self.address;
                faults.push(PeerFault::LocalFamily { address, local });
            }
            Some(_) | None => {}
        }
        if self.port == 0 {
            faults.push(PeerFault::Port);
        }
        faults
    }
}

impl DynamicGroup {
    fn faults(&self) -> Vec<GroupFault> {
        let mut faults = Vec::new();
        let begins_well = self
            .name
            .starts_with(|begin: char| begin.is_ascii_alphabetic());
        if !begins_well || !has_name_form(&self.name) {
            faults.push(GroupFault::Name(NameFault::Form(self.name.clone())));
        }
        if self.accept.is_empty() {
            faults.push(GroupFault::AcceptsNothing);
        }
        for (item, prefix) in self.accept.iter().enumerate() {
            if prefix.trunc() != *prefix {
                let prefix = *prefix;
                faults.push(GroupFault::HostBits { item, prefix });
            }
        }
        if !(1..=MAX_PEERS).contains(&self.limit) {
            faults.push(GroupFault::Limit(self.limit));
        }
        faults
    }
}

impl PeerSettings {
    /// All that is wrong with them for a router in `local_as`.
    pub fn faults(&self, local_as: Asn) -> Vec<SettingsFault> {
        let mut faults = Vec::new();
        if is_reserved(self.remote_as) {
            faults.push(SettingsFault::ReservedAs(self.remote_as));
        } else if self.role.is_internal() != (self.remote_as == local_as) {
            faults.push(SettingsFault::Role {
                role: self.role,
                remote_as: self.remote_as,
                local_as,
            });
        }
        if self.families.is_empty() {
            faults.push(SettingsFault::NoFamilies);
        }
        let seconds = self.hold_time.as_secs();
        if !is_whole(self.hold_time) || matches!(seconds, 1 | 2) || self.hold_time > MAX_TIMER {
            faults.push(SettingsFault::HoldTime(self.hold_time));
        }
        if !(MIN_CONNECT_RETRY..=MAX_TIMER).contains(&self.connect_retry) {
            faults.push(SettingsFault::ConnectRetry(self.connect_retry));
        }
        for (key, span) in [
            ("long-lived-stale-time", self.long_lived_stale_time),
            ("long-lived-restart-time", self.long_lived_restart_time),
        ] {
            if !is_whole(span) || span > MAX_LONG_LIVED {
                faults.push(SettingsFault::LongLived { key, span });
            }
        }
        if self.max_prefixes == Some(0) {
            faults.push(SettingsFault::MaxPrefixes);
        }
        faults
    }
}

/// One prefix of one group.
struct Accepted {
    prefix: IpNet,
    group: usize,
    /// Its place in the group's list.
    item: usize,
}

/// Remembers who has a name; the fault when somebody has it already.
fn duplicate<'a>(
    names: &mut BTreeMap<&'a str, usize>,
    name: &'a str,
    index: usize,
) -> Option<NameFault> {
    let first = *names.entry(name).or_insert(index);
    (first != index).then(|| NameFault::Duplicate {
        name: name.to_owned(),
        first,
    })
}

fn has_name_form(name: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

fn is_reserved(asn: Asn) -> bool {
    asn.0 == 0 || asn == Asn::TRANS
}

fn is_whole(span: Duration) -> bool {
    span.subsec_nanos() == 0
}

/// Whether one host can be meant: unicast, not IPv6 link-local (no scope), and no IPv4 address in disguise.
fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => {
            !v6.is_unspecified()
                && !v6.is_multicast()
                && !v6.is_unicast_link_local()
                && v6.to_ipv4_mapped().is_none()
        }
    }
}
