//! The kernel's devices and addresses as we know them.
//!
//! Configuration names devices, the kernel numbers them: a device that is made anew has another
//! number, a renamed one keeps its own. [`Links`] follows both and says what a notice changed, so
//! that whoever wants routes through a name can be asked again.
//!
//! A dump of links or addresses is the truth, except for those that a notification named after
//! the dump began. How many there are is the kernel's affair; we keep about 200 octets for each.

use crate::kernel::{Address, Link, LinkIndex, LinkName};
use crate::marks::Marks;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Devices by number and by name, and their addresses.
#[derive(Clone, Debug)]
pub struct Links {
    links: BTreeMap<LinkIndex, Link>,
    names: BTreeMap<LinkName, LinkIndex>,
    addresses: BTreeSet<Address>,
    link_marks: Marks<LinkIndex>,
    address_marks: Marks<Address>,
}

/// What became of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkChange {
    /// Its number.
    pub index: LinkIndex,
    /// How it was; `None` when it is new.
    pub before: Option<Link>,
    /// How it is; `None` when it is gone.
    pub after: Option<Link>,
}

impl LinkChange {
    /// Usable before, now not (admin down, or gone): the kernel drops its IPv4 routes and nexthop
    /// objects without a word.
    pub fn went_down(&self) -> bool {
        self.before.as_ref().is_some_and(|link| link.up)
            && self.after.as_ref().is_none_or(|link| !link.up)
    }

    /// Usable now, before not.
    pub fn came_up(&self) -> bool {
        self.after.as_ref().is_some_and(|link| link.up)
            && self.before.as_ref().is_none_or(|link| !link.up)
    }

    /// The carrier came or went.
    pub fn carrier_changed(&self) -> bool {
        let carrier = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.carrier);
        carrier(&self.before) != carrier(&self.after)
    }

    /// The names it had and has.
    pub fn names(&self) -> impl Iterator<Item = &LinkName> {
        [&self.before, &self.after]
            .into_iter()
            .flatten()
            .map(|link| &link.name)
    }

    /// Whether it appeared, vanished or got another name.
    pub fn renamed(&self) -> bool {
        let name = |link: &Option<Link>| link.as_ref().map(|link| link.name.clone());
        name(&self.before) != name(&self.after)
    }
}

impl Default for Links {
    fn default() -> Self {
        Self::new()
    }
}

impl Links {
    /// No devices.
    pub fn new() -> Self {
        Self {
            links: BTreeMap::new(),
            names: BTreeMap::new(),
            addresses: BTreeSet::new(),
            link_marks: Marks::new(),
            address_marks: Marks::new(),
        }
    }

    /// A device by number.
    pub fn get(&self, index: LinkIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// A device by name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?)
    }

    /// All devices in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// All addresses, by device.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter()
    }

    /// Whether `address` is one of this host's.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|own| own.address.addr() == address)
    }

    /// A device is there or has changed; `None` when nothing is new.
    pub fn put(&mut self, link: Link) -> Option<LinkChange> {
        self.link_marks.touch(link.index);
        self.store(link)
    }

    /// A device is gone, and its addresses with it.
    pub fn remove(&mut self, index: LinkIndex) -> Option<LinkChange> {
        self.link_marks.touch(index);
        self.forget(index)
    }

    /// An address is there; answers whether that is new.
    pub fn put_address(&mut self, address: Address) -> bool {
        self.address_marks.touch(address);
        self.addresses.insert(address)
    }

    /// An address is gone; answers whether it was there.
    pub fn remove_address(&mut self, address: Address) -> bool {
        self.address_marks.touch(address);
        self.addresses.remove(&address)
    }

    /// A dump of the devices begins.
    pub fn begin_links(&mut self) {
        self.link_marks.begin();
    }

    /// A dump of the addresses begins.
    pub fn begin_addresses(&mut self) {
        self.address_marks.begin();
    }

    /// The devices that a dump named.
    pub fn dumped_links(&mut self, named: Vec<Link>, complete: bool) -> Vec<LinkChange> {
        let mut changes = Vec::new();
        for link in named {
            if self.link_marks.name(link.index) {
                changes.extend(self.store(link));
            }
        }
        if self.link_marks.end(complete) {
            let missing = |index: &&LinkIndex| self.link_marks.is_missing(index);
            let gone: Vec<LinkIndex> = self.links.keys().filter(missing).copied().collect();
            changes.extend(gone.into_iter().filter_map(|index| self.forget(index)));
        }
        changes
    }

    /// The addresses that a dump named; answers those that came or went.
    pub fn dumped_addresses(&mut self, named: Vec<Address>, complete: bool) -> Vec<Address> {
        let mut changed = Vec::new();
        for address in named {
            if self.address_marks.name(address) && self.addresses.insert(address) {
                changed.push(address);
            }
        }
        if self.address_marks.end(complete) {
            let marks = &self.address_marks;
            self.addresses.retain(|address| {
                let gone = marks.is_missing(address);
                if gone {
                    changed.push(*address);
                }
                !gone
            });
        }
        changed
    }

    fn store(&mut self, link: Link) -> Option<LinkChange> {
        let index = link.index;
        let before = self.links.insert(index, link.clone());
        if before.as_ref() == Some(&link) {
            return None;
        }
        self.names.insert(link.name.clone(), index);
        if let Some(before) = before.as_ref().filter(|before| before.name != link.name) {
            self.give_away(&before.name, index);
        }
        Some(LinkChange {
            index,
            before,
            after: Some(link),
        })
    }

    /// `index` has `name` no more. While words of two devices overtake each other, both may have
    /// had it; then the younger one keeps it.
    fn give_away(&mut self, name: &LinkName, index: LinkIndex) {
        if self.names.get(name) != Some(&index) {
            return;
        }
        let mut others = self.links.values().rev();
        match others.find(|link| link.name == *name && link.index != index) {
            Some(other) => self.names.insert(name.clone(), other.index),
            None => self.names.remove(name),
        };
    }

    fn forget(&mut self, index: LinkIndex) -> Option<LinkChange> {
        let before = self.links.remove(&index)?;
        self.give_away(&before.name, index);
        self.addresses.retain(|address| address.link != index);
        Some(LinkChange {
            index,
            before: Some(before),
            after: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, up: bool) -> Link {
        Link {
            index: LinkIndex(index),
            name: name.into(),
            up,
            carrier: up,
            loopback: false,
            kind: "".into(),
            mac: None,
        }
    }

    #[test]
    fn a_device_is_followed_through_renaming_and_return() {
        let mut links = Links::new();
        assert!(links.put(link(2, "eth0", true)).unwrap().came_up());
        assert_eq!(links.put(link(2, "eth0", true)), None);
        let renamed = links.put(link(2, "lan0", true)).unwrap();
        assert!(renamed.renamed() && !renamed.went_down());
        assert_eq!(links.named("eth0"), None);
        assert_eq!(links.named("lan0").unwrap().index, LinkIndex(2));
        assert!(links.remove(LinkIndex(2)).unwrap().went_down());
        links.put(link(9, "lan0", false));
        assert_eq!(links.named("lan0").unwrap().index, LinkIndex(9));
        assert!(links.put(link(9, "lan0", true)).unwrap().came_up());
    }

    #[test]
    fn two_devices_swap_their_names() {
        let mut links = Links::new();
        links.put(link(1, "a", true));
        links.put(link(2, "b", true));
        links.put(link(1, "tmp", true));
        links.put(link(2, "a", true));
        links.put(link(1, "b", true));
        assert_eq!(links.named("a").unwrap().index, LinkIndex(2));
        assert_eq!(links.named("b").unwrap().index, LinkIndex(1));
    }

    #[test]
    fn a_late_word_of_the_old_device_does_not_cost_the_new_one_its_name() {
        let mut links = Links::new();
        links.put(link(1, "tunl0", true));
        links.put(link(2, "tunl0", true));
        links.put(link(1, "tunl0", false));
        links.remove(LinkIndex(1));
        assert_eq!(links.named("tunl0").unwrap().index, LinkIndex(2));
    }

    #[test]
    fn a_dump_takes_away_what_it_does_not_name_unless_it_is_newer() {
        let mut links = Links::new();
        links.put(link(1, "old", true));
        links.put(link(2, "kept", true));
        links.begin_links();
        links.put(link(3, "new", true));
        let changes = links.dumped_links(vec![link(2, "kept", true)], true);
        assert_eq!(changes.len(), 1);
        assert!(links.named("old").is_none());
        assert!(links.named("new").is_some());
        links.begin_links();
        assert!(links.dumped_links(Vec::new(), false).is_empty());
        assert!(links.named("kept").is_some());
    }
}
