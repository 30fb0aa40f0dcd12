//! What the rules order, carried out in their order: the engine's part and the kernel's, each in
//! batches.
//!
//! Orders to the same side that follow each other are one message to its task. A change of sides
//! ends a batch, so that a blackhole is wanted in the kernel before its block is announced.

use super::{Conductor, Lost};
use bgp_blocks::{NodeSettings, Order};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::speaker::Speaker;
use bgp_core::time::Instant;
use bgp_core::wire::{NextHop, PathAttributes};
use bgp_fib::Fib;
use std::net::IpAddr;

/// At most this many orders go to one side at once; the next ones follow at once.
const MAX_BATCH: usize = 1_024;

/// An order, sorted by who carries it out.
pub(super) enum Task {
    Engine(Said),
    Kernel(Order),
}

/// Who carries `order` out; nobody, where we have no address to announce it with.
pub(super) fn sort(settings: &NodeSettings, order: Order) -> Option<Task> {
    match order {
        Order::Announce(prefix) => {
            let own = settings.address(family_of(&prefix))?;
            Some(Task::Engine(Said::Announce(prefix, own)))
        }
        Order::Withdraw(prefix) => Some(Task::Engine(Said::Withdraw(prefix))),
        Order::Install(..)
        | Order::Uninstall(_)
        | Order::PutTunnelEnd(_)
        | Order::RemoveTunnelEnd { .. } => Some(Task::Kernel(order)),
    }
}

/// What the engine is to say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said {
    Announce(IpNet, IpAddr),
    Withdraw(IpNet),
}

impl Said {
    pub(super) fn tell(self, speaker: &mut Speaker, now: Instant) {
        match self {
            Self::Announce(prefix, next_hop) => {
                let next_hop = NextHop::from(next_hop);
                speaker.originate(now, prefix, next_hop, &PathAttributes::default());
            }
            Self::Withdraw(prefix) => speaker.withdraw(now, prefix),
        }
    }
}

impl Conductor {
    /// Carries out everything that is ordered now.
    pub(super) async fn carry_out(&mut self) -> Result<(), Lost> {
        let mut said = Vec::new();
        let mut kernel = Vec::new();
        while let Some(order) = self.node.poll_order() {
            if self.flushed && matches!(order, Order::Install(..) | Order::PutTunnelEnd(_)) {
                continue;
            }
            match sort(self.node.settings(), order) {
                Some(Task::Engine(word)) => {
                    self.tell_kernel(&mut kernel).await?;
                    said.push(word);
                }
                Some(Task::Kernel(order)) => {
                    self.tell_engine(&mut said).await?;
                    kernel.push(order);
                }
                None => {}
            }
            if said.len().max(kernel.len()) >= MAX_BATCH {
                self.tell_engine(&mut said).await?;
                self.tell_kernel(&mut kernel).await?;
            }
        }
        self.tell_engine(&mut said).await?;
        self.tell_kernel(&mut kernel).await
    }

    async fn tell_engine(&self, said: &mut Vec<Said>) -> Result<(), Lost> {
        if said.is_empty() {
            return Ok(());
        }
        let said = std::mem::take(said);
        let tell = move |speaker: &mut Speaker, now| {
            said.into_iter().for_each(|word| word.tell(speaker, now));
        };
        Ok(self.engine.ask(tell).await?)
    }

    async fn tell_kernel(&self, orders: &mut Vec<Order>) -> Result<(), Lost> {
        if orders.is_empty() {
            return Ok(());
        }
        let orders = std::mem::take(orders);
        let tell = move |fib: &mut Fib, _| orders.into_iter().for_each(|order| apply(fib, order));
        Ok(self.kernel.ask(tell).await?)
    }
}

pub(super) fn apply(fib: &mut Fib, order: Order) {
    match order {
        Order::Install(place, wanted) => fib.set(place, wanted),
        Order::Uninstall(place) => fib.remove(place),
        Order::PutTunnelEnd(end) => fib.set_tunnel_end(end),
        Order::RemoveTunnelEnd { device, host } => fib.remove_tunnel_end(&device, host),
        // Not for the kernel: the engine announces.
        Order::Announce(_) | Order::Withdraw(_) => {}
    }
}
