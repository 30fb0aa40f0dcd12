//! Kernel routes of others inside our pools: kept, never announced, and told to a person, since
//! packets to a pool that another program leads somewhere are seldom meant.
//!
//! Not told here: workloads' own routes, what the kernel makes by itself (local addresses and
//! networks), and those that have the place of a route of ours, which are conflicts of their own.

use super::{Conductor, Lost};
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::time::Instant;
use bgp_fib::Fib;
use bgp_fib::kernel::Target;
use bgp_fib::wanted::Place;
use std::collections::{BTreeMap, BTreeSet};

/// Most that are told of: with more, the later prefixes are left out.
pub(super) const MAX_STRANGERS: usize = 1_024;
/// The protocol number of what the kernel makes by itself (`RTPROT_KERNEL`).
const KERNEL: u8 = 2;

/// A stranger: its place and its protocol.
pub(super) type Stranger = (Place, u8);
/// Those that are there, with the time at which they were first seen.
pub(super) type Strangers = BTreeMap<Stranger, Instant>;

impl Conductor {
    /// Looks for others' routes, and tells those that have come or gone.
    pub(super) async fn look_for_strangers(&mut self) -> Result<(), Lost> {
        let pools: Vec<IpNet> = self
            .node
            .settings()
            .pools
            .iter()
            .map(|pool| pool.prefix)
            .collect();
        let look = move |fib: &mut Fib, _: Instant| strangers(fib, &pools);
        let there = self.kernel.ask(look).await?;
        let now = self.clock.now();
        self.strangers.retain(|stranger, _| {
            let stays = there.contains(stranger);
            if !stays {
                let (place, protocol) = stranger;
                tracing::info!(prefix = %place.prefix, "the route of protocol {protocol} has gone");
            }
            stays
        });
        for stranger in there {
            self.strangers.entry(stranger).or_insert_with(|| {
                let (place, protocol) = stranger;
                tracing::warn!(
                    prefix = %place.prefix,
                    "a kernel route of protocol {protocol}, not ours, leads to a part of a pool: \
                     it is left alone and not announced; remove it unless it is meant"
                );
                now
            });
        }
        Ok(())
    }
}

fn strangers(fib: &Fib, pools: &[IpNet]) -> BTreeSet<Stranger> {
    let workloads: BTreeSet<IpNet> = fib.host_routes().map(|(prefix, _)| prefix).collect();
    let conflicts = fib.conflicts();
    let conflicts: BTreeSet<Place> = conflicts.into_iter().map(|(place, ..)| place).collect();
    let mut found = BTreeSet::new();
    for pool in pools {
        for route in fib.foreign(*pool) {
            let prefix = route.key.prefix;
            let place = Place {
                table: route.key.table,
                prefix,
            };
            let is_single = prefix.prefix_len() == family_of(&prefix).max_prefix_len();
            let is_told = route.protocol == KERNEL
                || matches!(route.target, Target::Other(_))
                || is_single && workloads.contains(&prefix)
                || conflicts.contains(&place);
            if !is_told && found.len() < MAX_STRANGERS {
                found.insert((place, route.protocol));
            }
        }
    }
    found
}
