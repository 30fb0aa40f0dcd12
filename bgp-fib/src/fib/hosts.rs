//! Host routes of workloads: routes of others to one address, straight onto a watched device.
//! That is how a workload whose address was borrowed from another node's block shows.
//!
//! The kernel's own entries (`proto kernel`: addresses of the device itself) do not count.

use super::FibEvent;
use crate::foreign::Foreign;
use crate::kernel::{LinkName, Route, Target};
use crate::links::Links;
use crate::pattern::Pattern;
use crate::resolve::MAIN_TABLE;
use bgp_core::prefix::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// `rtm_protocol` of what the kernel adds by itself (RTPROT_KERNEL).
const KERNEL: u8 = 2;

#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    patterns: Vec<Pattern>,
    present: BTreeMap<IpNet, LinkName>,
    told: BTreeMap<IpNet, LinkName>,
    dirty: BTreeSet<IpNet>,
    everything: bool,
    news: BTreeSet<IpNet>,
}

fn is_host(prefix: &IpNet) -> bool {
    prefix.prefix_len() == prefix.max_prefix_len()
}

impl Hosts {
    pub(crate) fn watch(&mut self, patterns: Vec<Pattern>) {
        self.everything |= patterns != self.patterns;
        self.patterns = patterns;
    }

    /// Routes of `table` and `prefix` changed.
    pub(crate) fn touch(&mut self, table: u32, prefix: &IpNet) {
        if table == MAIN_TABLE && is_host(prefix) && !self.patterns.is_empty() {
            self.dirty.insert(*prefix);
        }
    }

    /// Names of devices changed.
    pub(crate) fn touch_all(&mut self) {
        self.everything |= !self.patterns.is_empty();
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.everything || !self.dirty.is_empty()
    }

    pub(crate) fn refresh(&mut self, foreign: &Foreign, links: &Links) {
        if std::mem::take(&mut self.everything) {
            self.dirty.extend(self.present.keys());
            let hosts = foreign.spots().filter(|(_, prefix)| is_host(prefix));
            self.dirty.extend(hosts.map(|(_, prefix)| *prefix));
        }
        for prefix in std::mem::take(&mut self.dirty) {
            let device = foreign
                .at_spot((MAIN_TABLE, prefix))
                .find_map(|route| self.device_of(route, links));
            let same = device.as_ref() == self.present.get(&prefix);
            match device {
                Some(device) => self.present.insert(prefix, device),
                None => self.present.remove(&prefix),
            };
            if !same {
                self.news.insert(prefix);
            }
        }
    }

    fn device_of(&self, route: &Route, links: &Links) -> Option<LinkName> {
        let (Target::Unicast(hops) | Target::Object(_, hops)) = &route.target else {
            return None;
        };
        let [hop] = hops.as_slice() else {
            return None;
        };
        if route.protocol == KERNEL || hop.gateway.is_some() {
            return None;
        }
        let name = &links.get(hop.link?)?.name;
        let watched = self.patterns.iter().any(|pattern| pattern.matches(name));
        watched.then(|| name.clone())
    }

    pub(crate) fn poll_news(&mut self) -> Option<FibEvent> {
        while let Some(prefix) = self.news.first().copied() {
            let now = self.present.get(&prefix);
            let told = self.told.get(&prefix);
            if now == told {
                self.news.remove(&prefix);
                continue;
            }
            // One that moved to another device goes from the old one first.
            return Some(match (told.cloned(), now.cloned()) {
                (None, Some(device)) => {
                    self.told.insert(prefix, device.clone());
                    self.news.remove(&prefix);
                    event(prefix, device, true)
                }
                (Some(device), _) => {
                    self.told.remove(&prefix);
                    event(prefix, device, false)
                }
                (None, None) => continue,
            });
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&IpNet, &LinkName)> {
        self.present.iter()
    }
}

fn event(prefix: IpNet, device: LinkName, present: bool) -> FibEvent {
    FibEvent::HostRoute {
        prefix,
        device,
        present,
    }
}
