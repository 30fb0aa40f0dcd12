//! Whoever installs a host's routes: holds what the speaker tells of prefixes, and says what holds
//! for next hops when asked.
//!
//! It reads a little after each step of the speaker, so it lags behind as a busy one does; and all
//! there is when quiet is awaited.

use super::{Fault, World};
use bgp_core::prefix::IpNet;
use bgp_core::rib::{NextHopInterest, Reachability, RouteChange};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// It takes at most this many pieces of news after one step.
const AT_A_TIME: usize = 4;

/// What is installed, and what is watched.
#[derive(Default)]
pub(super) struct Kernel {
    routes: BTreeMap<IpNet, RouteChange>,
    watched: BTreeSet<IpAddr>,
}

impl Kernel {
    fn install(&mut self, change: RouteChange) -> Result<(), Fault> {
        let prefix = change.prefix;
        let is_gone = change.best.is_none();
        let before = match is_gone {
            true => self.routes.remove(&prefix),
            false => self.routes.insert(prefix, change),
        };
        match is_gone && before.is_none() {
            true => Err(format!("{prefix} is told to be gone, and was never there")),
            false => Ok(()),
        }
    }

    fn watch(&mut self, interest: NextHopInterest) -> Result<(), Fault> {
        let news = match interest.wanted {
            true => self.watched.insert(interest.address),
            false => self.watched.remove(&interest.address),
        };
        match news {
            true => Ok(()),
            false => Err(format!("{interest:?} is no news")),
        }
    }
}

impl World {
    /// What is installed for a host, by prefix.
    pub fn installed(&self, host: usize) -> &BTreeMap<IpNet, RouteChange> {
        &self.machines[host].kernel.routes
    }

    /// Takes a few of the news for whoever installs a host's routes.
    pub(super) fn listen(&mut self, host: usize) -> Result<(), Fault> {
        for _ in 0..AT_A_TIME {
            let machine = &mut self.machines[host];
            let Some(speaker) = &mut machine.speaker else {
                return Ok(());
            };
            let heard = if let Some(interest) = speaker.poll_next_hop() {
                let watched = machine.kernel.watch(interest);
                if interest.wanted {
                    let reachability = self.reachability(host, interest.address);
                    let now = self.now;
                    if let Some(speaker) = &mut self.machines[host].speaker {
                        speaker.set_next_hop(now, interest.address, reachability);
                    }
                }
                watched
            } else if let Some(change) = speaker.poll_route_change() {
                machine.kernel.install(change)
            } else {
                return Ok(());
            };
            heard.map_err(|what| format!("{}: {what}", self.name(host)))?;
        }
        Ok(())
    }

    fn reachability(&self, host: usize, address: IpAddr) -> Reachability {
        let told = self.next_hops_of(host);
        let told = told.and_then(|next_hops| next_hops.get(&address));
        told.copied().unwrap_or(Reachability::TRUSTED)
    }

    /// Takes all the news of all hosts.
    pub(super) fn listen_to_all(&mut self) -> Result<(), Fault> {
        for host in 0..self.machines.len() {
            let has_news = |world: &Self| {
                let speaker = world.machines[host].speaker.as_ref();
                speaker.is_some_and(bgp_core::speaker::Speaker::has_route_news)
            };
            while has_news(self) {
                self.listen(host)?;
                self.plan_wake(host);
            }
        }
        Ok(())
    }
}
