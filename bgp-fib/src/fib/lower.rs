//! From what is wanted, by name, to a concrete route, by number; and back to it when devices or
//! next hops change.

use super::way::Way;
use super::{Cause, Dirty, Fib, place_of};
use crate::fib::martians::martian;
use crate::kernel::{Hop, RouteKey, Target};
use crate::wanted::{Wanted, WantedHop};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::time::{Duration, Instant};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Why a wanted route is not concrete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// It says something that must not be put.
    Invalid(&'static str),
    /// It waits.
    Cause(Cause),
}

/// Parked keys are not set free by news of the network more often than this, plus
/// [`RELEASE_EACH`] for every one of them: a host on which a hundred workloads come and go in a
/// second must not make us repeat ten thousand refused requests a hundred times.
const RELEASE_GAP: Duration = Duration::from_millis(100);
const RELEASE_EACH: Duration = Duration::from_micros(100);

impl Fib {
    /// Counts the names in `wanted` as used.
    pub(crate) fn hold_names(&mut self, wanted: &Wanted) {
        self.objects.hold(hops_of(wanted));
        for hop in hops_of(wanted) {
            match &hop.device {
                Some(name) => *self.devices.entry(name.clone()).or_default() += 1,
                None => self.tracker.hold(hop.gateway),
            }
        }
    }

    /// Undoes [`Fib::hold_names`].
    pub(crate) fn release_names(&mut self, wanted: &Wanted) {
        self.objects.release(hops_of(wanted));
        for hop in hops_of(wanted) {
            let Some(name) = &hop.device else {
                self.tracker.release(hop.gateway);
                continue;
            };
            if let Some(count) = self.devices.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.devices.remove(name);
                }
            }
        }
    }

    /// Makes the wanted route at `key` concrete, or notes why it cannot be.
    pub(crate) fn lower(&mut self, key: &RouteKey) {
        let looked = self.has_looked();
        let Some(asked) = self.wanted.get(key) else {
            return;
        };
        for hop in hops_of(&asked.wanted).iter().filter(|_| looked) {
            self.tracker.look(hop.gateway, &self.foreign, &self.links);
        }
        let concrete = if looked {
            self.concrete(key, &asked.wanted)
        } else {
            Err(Hold::Cause(Cause::FirstLook))
        };
        let object = self.object(key);
        let hold = match concrete {
            Ok(mut way) => {
                if let (Some(id), Target::Unicast(hops)) = (object, &mut way.target) {
                    way.target = Target::Object(id, std::mem::take(hops));
                }
                self.routes.set(*key, way);
                self.settled(key);
                None
            }
            Err(hold) => {
                // A leftover that still forwards is better than nothing, until the sweep; what we
                // put ourselves goes.
                let swept = self.swept.contains(family_of(&key.prefix));
                let keep = !swept && self.routes.desired(key).is_none();
                self.routes.unset(key, keep);
                self.conflict_over(key);
                Some(hold)
            }
        };
        if let Some(asked) = self.wanted.get_mut(key) {
            let (was, is) = (asked.hold.is_some(), hold.is_some());
            asked.hold = hold;
            self.held = self.held - usize::from(was) + usize::from(is);
        }
    }

    /// The nexthop object for the wanted route at `key`, if there is one; puts it as it is now.
    fn object(&mut self, key: &RouteKey) -> Option<u32> {
        if !self.objects.is_on() || !self.has_looked() {
            return None;
        }
        let hops = hops_of(&self.wanted.get(key)?.wanted);
        let concrete: Vec<Option<Hop>> = hops
            .iter()
            .map(|hop| {
                let hop = self.concrete_hop(hop).ok()?;
                // The kernel takes no object on a device without a carrier.
                self.links.get(hop.link?)?.carrier.then_some(hop)
            })
            .collect();
        self.objects.lower(hops, &concrete)
    }

    fn concrete(&self, key: &RouteKey, wanted: &Wanted) -> Result<Way, Hold> {
        if let Some(why) = martian(&key.prefix) {
            return Err(Hold::Invalid(why));
        }
        let way = |target, source| Way {
            protocol: self.settings.protocol,
            target,
            source,
        };
        match wanted {
            Wanted::Via { hops, source } => {
                if key.prefix.prefix_len() == key.prefix.max_prefix_len()
                    && self.links.is_own(key.prefix.addr())
                {
                    return Err(Hold::Invalid("it is an address of this host"));
                }
                let hops = self.concrete_hops(&key.prefix, hops)?;
                Ok(way(Target::Unicast(hops), *source))
            }
            Wanted::Blackhole => Ok(way(Target::Blackhole, None)),
            Wanted::Unreachable => Ok(way(Target::Unreachable, None)),
            Wanted::Prohibit => Ok(way(Target::Prohibit, None)),
        }
    }

    /// The hops that work now, at least one.
    fn concrete_hops(&self, prefix: &IpNet, wanted: &[WantedHop]) -> Result<Vec<Hop>, Hold> {
        let mut hops = Vec::with_capacity(wanted.len());
        let mut first = None;
        for hop in wanted {
            if matches!((prefix, hop.gateway), (IpNet::V6(_), IpAddr::V4(_))) {
                return Err(Hold::Invalid("an IPv6 route cannot have an IPv4 gateway"));
            }
            match self.concrete_hop(hop) {
                Ok(hop) => hops.push(hop),
                Err(cause) => first = first.or(Some(cause)),
            }
        }
        match first {
            _ if !hops.is_empty() => Ok(hops),
            Some(cause) => Err(Hold::Cause(cause)),
            None => Err(Hold::Invalid("it has no hop")),
        }
    }

    fn concrete_hop(&self, wanted: &WantedHop) -> Result<Hop, Cause> {
        let weight = wanted.weight.clamp(1, 256);
        if let Some(name) = &wanted.device {
            let link = self.links.named(name).filter(|link| link.up);
            let link = link.ok_or_else(|| Cause::Link(name.clone()))?;
            return Ok(Hop {
                gateway: Some(wanted.gateway),
                link: Some(link.index),
                onlink: wanted.onlink,
                weight,
            });
        }
        let hop = self.tracker.hop(wanted.gateway);
        let hop = hop.ok_or(Cause::NextHop(wanted.gateway))?;
        Ok(Hop {
            onlink: hop.onlink || wanted.onlink,
            weight,
            ..hop
        })
    }

    /// Whether a turn would do anything that no time announces.
    pub(crate) fn is_dirty(&self) -> bool {
        let dirty = &self.dirty;
        dirty.everything
            || !dirty.devices.is_empty()
            || !dirty.keys.is_empty()
            || self.tracker.is_dirty()
            || self.hosts.is_dirty()
    }

    /// Looks again at everything that devices, addresses and routes of others decide.
    pub(crate) fn refresh(&mut self) {
        if !self.has_looked() {
            return;
        }
        let moved = self.tracker.refresh(&self.foreign, &self.links);
        self.hosts.refresh(&self.foreign, &self.links);
        let Dirty {
            everything,
            devices,
            keys,
            ..
        } = &mut self.dirty;
        let everything = std::mem::take(everything);
        let devices = std::mem::take(devices);
        let keys = std::mem::take(keys);
        if everything || !devices.is_empty() {
            self.tunnels.refresh(&self.links);
        }
        let known = devices.iter().any(|name| self.devices.contains_key(name));
        if everything || known || !moved.is_empty() {
            self.lower_touched(everything, &devices, &moved);
        }
        for key in keys {
            self.lower(&key);
        }
    }

    fn lower_touched(
        &mut self,
        everything: bool,
        devices: &BTreeSet<crate::kernel::LinkName>,
        moved: &BTreeSet<IpAddr>,
    ) {
        let touched = |hop: &WantedHop| match &hop.device {
            Some(name) => devices.contains(name),
            None => moved.contains(&hop.gateway),
        };
        let keys: Vec<RouteKey> = self
            .wanted
            .iter()
            .filter(|(_, asked)| everything || hops_of(&asked.wanted).iter().any(touched))
            .map(|(key, _)| *key)
            .collect();
        for key in &keys {
            self.lower(key);
        }
    }

    /// When parked keys may be set free for news of the network.
    pub(crate) fn release_at(&self) -> Option<Instant> {
        if !self.dirty.network {
            return None;
        }
        let waiting = u32::try_from(self.routes.parked_len()).unwrap_or(u32::MAX);
        let gap = RELEASE_GAP + RELEASE_EACH * waiting;
        Some(self.dirty.released.map_or(Instant::ZERO, |last| last + gap))
    }

    pub(crate) fn release_network(&mut self, now: Instant) {
        if self.release_at().is_none_or(|at| at > now) {
            return;
        }
        self.dirty.network = false;
        self.dirty.released = Some(now);
        self.routes.release(now, |_, reason| match reason.cause {
            Cause::Link(_) | Cause::Network | Cause::Object | Cause::NextHop(_) => true,
            Cause::FirstLook | Cause::Conflict(_) | Cause::Fight | Cause::Time => false,
        });
        self.tunnels.release(now);
        self.objects.release_parked(now);
    }

    /// `key` is as wanted now, perhaps: what was told about it is over.
    pub(crate) fn settled(&mut self, key: &RouteKey) {
        let view = self.routes.view(key);
        let Some((desired, actual)) = view.and_then(|view| view.desired.zip(view.actual)) else {
            return;
        };
        if !crate::delta::Value::satisfied_by(desired, actual) {
            return;
        }
        self.conflict_over(key);
        if self.fights.healed(key) {
            self.tally.healed += 1;
            self.events.push(super::FibEvent::Healed {
                place: place_of(key),
            });
        }
        self.drop_superseded(key);
    }

    /// Leftovers of the same prefix with another metric go, now that ours stands.
    fn drop_superseded(&mut self, key: &RouteKey) {
        if self.settings.adopt.is_empty() {
            return;
        }
        let with = |metric| RouteKey { metric, ..*key };
        let old: Vec<RouteKey> = self
            .routes
            .range(with(0)..=with(u32::MAX))
            .filter(|(other, view)| *other != key && view.desired.is_none())
            .map(|(other, _)| *other)
            .collect();
        for other in old {
            self.routes.unset(&other, false);
        }
    }
}

pub(crate) fn hops_of(wanted: &Wanted) -> &[WantedHop] {
    match wanted {
        Wanted::Via { hops, .. } => hops,
        Wanted::Blackhole | Wanted::Unreachable | Wanted::Prohibit => &[],
    }
}
