//! What the engine and the kernel tell.

use super::{Conductor, Lost};
use crate::node::words;
use bgp_core::family::FamilySet;
use bgp_core::rib::Reachability;
use bgp_core::speaker::Speaker;
use bgp_fib::{Fib, FibEvent, Resolution};
use bgp_io::{Heard, RouteNews};
use std::net::IpAddr;

/// At most this many events of the kernel are taken before what follows from them is done.
const MAX_EVENTS_AT_ONCE: usize = 1_024;
/// What a next hop costs whose device has lost its carrier: any other way is better, but it is
/// still a way, which works again the moment the carrier is back.
const NO_CARRIER: u32 = u32::MAX - 1;

impl Conductor {
    /// News of routes and next hops.
    pub(super) async fn take_routes(&mut self, batch: Vec<RouteNews>) -> Result<(), Lost> {
        let now = self.clock.now();
        let mut interests = Vec::new();
        for news in batch {
            match news {
                RouteNews::Change(change) => self.node.handle_route_change(now, &change),
                RouteNews::NextHop(interest) => {
                    if interest.wanted {
                        self.next_hops.insert(interest.address);
                        self.unresolved.insert(interest.address);
                    } else {
                        self.next_hops.remove(&interest.address);
                        self.unresolved.remove(&interest.address);
                    }
                    interests.push(interest);
                }
            }
        }
        if interests.is_empty() {
            return Ok(());
        }
        let watch = move |fib: &mut Fib, _| {
            for interest in interests {
                if interest.wanted {
                    fib.watch(interest.address);
                } else {
                    fib.unwatch(interest.address);
                }
            }
        };
        Ok(self.kernel.ask(watch).await?)
    }

    /// Events of the engine that have happened already.
    pub(super) fn take_events(&mut self) {
        while let Some(heard) = self.events.try_next() {
            self.take_event(heard);
        }
    }

    pub(super) fn take_event(&mut self, heard: Heard) {
        match heard {
            Heard::Event(event) => self.hear(&event),
            Heard::Missed(_) => self.hearing.miss(),
        }
    }

    /// Events of the kernel's edge: the one at hand, and those that wait behind it.
    pub(super) async fn take_kernel_events(&mut self, first: FibEvent) -> Result<(), Lost> {
        let mut costs = Vec::new();
        let mut next = Some(first);
        for _ in 0..MAX_EVENTS_AT_ONCE {
            let Some(event) = next else { break };
            self.take_kernel_event(event, &mut costs).await?;
            next = self.kernel_events.try_next();
        }
        self.tell_costs(costs).await?;
        self.tell_forwarding().await
    }

    async fn take_kernel_event(
        &mut self,
        event: FibEvent,
        costs: &mut Vec<(IpAddr, Reachability)>,
    ) -> Result<(), Lost> {
        let now = self.clock.now();
        words::log(&event);
        match event {
            FibEvent::NextHop(address, resolution) => costs.push((address, cost(&resolution))),
            FibEvent::HostRoute {
                prefix,
                device,
                present,
            } => self.node.handle_host_route(now, prefix, &device, present),
            FibEvent::Synced { .. } => self.answer_audits().await?,
            FibEvent::EventsLost(_) => self.look_at_kernel_again(costs).await?,
            FibEvent::Conflict { .. }
            | FibEvent::ConflictOver { .. }
            | FibEvent::Refused { .. }
            | FibEvent::Healed { .. }
            | FibEvent::Fight { .. }
            | FibEvent::Overrun
            | FibEvent::ForeignFull
            | FibEvent::NoNextHopObjects { .. } => {}
        }
        Ok(())
    }

    /// Events of the kernel's edge were lost: what they told is asked anew.
    async fn look_at_kernel_again(
        &mut self,
        costs: &mut Vec<(IpAddr, Reachability)>,
    ) -> Result<(), Lost> {
        let addresses: Vec<IpAddr> = self.next_hops.iter().copied().collect();
        let look = move |fib: &mut Fib, _: bgp_core::time::Instant| {
            let next_hops: Vec<_> = addresses
                .into_iter()
                .map(|address| (address, cost(&fib.resolution(address))))
                .collect();
            let hosts = fib.host_routes();
            let hosts: Vec<_> = hosts
                .map(|(prefix, device)| (prefix, device.clone()))
                .collect();
            (next_hops, hosts)
        };
        let (next_hops, hosts) = self.kernel.ask(look).await?;
        costs.extend(next_hops);
        self.node.replace_host_routes(self.clock.now(), hosts);
        Ok(())
    }

    async fn tell_costs(&mut self, costs: Vec<(IpAddr, Reachability)>) -> Result<(), Lost> {
        if costs.is_empty() {
            return Ok(());
        }
        for (address, _) in &costs {
            self.unresolved.remove(address);
        }
        let tell = move |speaker: &mut Speaker, now| {
            for (address, reachability) in costs {
                speaker.set_next_hop(now, address, reachability);
            }
        };
        Ok(self.engine.ask(tell).await?)
    }

    /// Tells the engine in which families packets are forwarded by routes of ours, when that has
    /// changed.
    pub(super) async fn tell_forwarding(&mut self) -> Result<(), Lost> {
        let forwarding: FamilySet = self.kernel.ask(|fib, _| fib.forwarding()).await?;
        if forwarding != self.forwarding {
            self.forwarding = forwarding;
            let tell = move |speaker: &mut Speaker, _| speaker.set_forwarding(forwarding);
            self.engine.ask(tell).await?;
        }
        Ok(())
    }
}

/// What the decision process may know of a next hop: a neighbour on a network of ours costs
/// nothing, behind a router it costs that route's metric and one.
fn cost(resolution: &Resolution) -> Reachability {
    match resolution {
        Resolution::Connected { carrier: true, .. } => Reachability::TRUSTED,
        Resolution::Via {
            carrier: true,
            metric,
            ..
        } => Reachability::Reachable {
            metric: metric.saturating_add(1).min(NO_CARRIER - 1),
        },
        Resolution::Connected { carrier: false, .. } | Resolution::Via { carrier: false, .. } => {
            Reachability::Reachable { metric: NO_CARRIER }
        }
        Resolution::Unreachable => Reachability::Unreachable,
    }
}
