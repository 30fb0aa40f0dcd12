//! What an operator asks, answered with plain values.

use super::{Conductor, Lost, MAX_AUDITS, words};
use crate::admin::node::{Found, Part, Reply, Request};
use crate::admin::node_view::{
    Audit, BlockLine, Conflict, Difference, KernelCounts, KernelRoute, NextHopLine, NodeSummary,
};
use bgp_core::family::FamilySet;
use bgp_core::prefix::IpNet;
use bgp_core::time::Instant;
use bgp_fib::wanted::Place;
use bgp_fib::{Cause, Fib, MAX_PAGE, Resolution, RouteStatus};
use std::net::IpAddr;

impl Conductor {
    pub(super) async fn answer(&mut self, request: Request) -> Result<(), Lost> {
        match request {
            Request::Summary(reply) => give(reply, self.summary().await?),
            Request::Blocks(reply) => give(reply, self.blocks()),
            Request::KernelRoutes(part, reply) => give(reply, self.kernel_routes(part).await?),
            Request::Conflicts(part, reply) => give(reply, self.conflicts(&part).await?),
            Request::NextHops(part, reply) => give(reply, self.next_hops(&part).await?),
            Request::Audit(reply) => self.audit(reply).await?,
            Request::Flush(reply) => give(reply, self.flush().await?),
            Request::Change(change, reply) => give(reply, self.change(*change).await?),
        }
        Ok(())
    }

    async fn summary(&self) -> Result<NodeSummary, Lost> {
        let peers = |speaker: &mut bgp_core::speaker::Speaker, _: Instant| {
            (speaker.peer_counts(), speaker.heard())
        };
        let ((peers, established), heard) = self.engine.ask(peers).await?;
        let kernel = |fib: &mut Fib, _: Instant| (fib.counts(), fib.in_sync(), fib.forwarding());
        let (counts, in_sync, forwarding) = self.kernel.ask(kernel).await?;
        let settings = self.node.settings();
        let waiting = |cause: &str| counts.waiting.get(cause).copied().unwrap_or_default();
        let refused = waiting(Cause::Time.name()) + waiting(Cause::Fight.name()) + counts.invalid;
        let parked: usize = counts.waiting.values().sum::<usize>() + counts.invalid;
        let conflicts = self.node.conflicts().count() + counts.conflicts;
        Ok(NodeSummary {
            name: settings.name.clone(),
            addresses: settings.addresses.iter().map(IpNet::to_string).collect(),
            asn: self.asn.0,
            router_id: settings.router_id.0,
            blocks: self
                .node
                .blocks()
                .map(|block| block.prefix.to_string())
                .collect(),
            peers,
            established,
            owing: heard.owing,
            in_sync: in_sync && !self.hearing.is_settling(),
            forwarding: forwarding.iter().map(|family| family.to_string()).collect(),
            settling: self.hearing.is_settling(),
            kernel: KernelCounts {
                wanted: counts.wanted,
                installed: counts.installed,
                pending: counts.wanted.saturating_sub(counts.installed + parked),
                waiting: parked.saturating_sub(refused + counts.conflicts),
                refused,
                conflicts: counts.conflicts,
                stale: counts.stale + self.node.held(),
                tunnel_ends: counts.tunnel_ends,
                overruns: counts.overruns,
                healed: counts.healed,
            },
            conflicts,
        })
    }

    fn blocks(&self) -> Vec<BlockLine> {
        let lines = self.node.blocks().map(|block| BlockLine {
            prefix: block.prefix.to_string(),
            pool: block.pool.to_string(),
            announced: block.announced,
            blackholed: block.blackholed,
            rivals: block.rivals.iter().map(ToString::to_string).collect(),
        });
        lines.collect()
    }

    async fn kernel_routes(&self, part: Part<Place>) -> Result<Found<KernelRoute, Place>, Lost> {
        let limit = part.limit;
        let clock_now = self.clock.now();
        let ask = move |fib: &mut Fib, _: Instant| page(fib, &part, limit);
        let found = self.kernel.ask(ask).await?;
        let lines = found.iter();
        let lines = lines.map(|status| (status.place, route_line(status, clock_now)));
        Ok(Found::first(lines, limit))
    }

    async fn conflicts(&self, part: &Part<Place>) -> Result<Found<Conflict, Place>, Lost> {
        let now = self.clock.now();
        let table = self.node.settings().table;
        let blocks = self.node.conflicts().map(|conflict| {
            let prefix = conflict.prefix;
            let line = Conflict {
                prefix: prefix.to_string(),
                kind: "block".to_owned(),
                used: conflict.used.to_string(),
                others: conflict.others.iter().map(ToString::to_string).collect(),
                since: now.since(conflict.since).as_secs(),
            };
            (Place { table, prefix }, line)
        });
        let mut all: Vec<(Place, Conflict)> = blocks.collect();
        let routes = self.kernel.ask(|fib: &mut Fib, _| fib.conflicts()).await?;
        all.extend(routes.into_iter().map(|(place, owner, since)| {
            let line = Conflict {
                prefix: place.prefix.to_string(),
                kind: "route".to_owned(),
                used: owner.map_or("a route of another".to_owned(), |number| {
                    format!("a kernel route of protocol {number}")
                }),
                others: vec!["ours".to_owned()],
                since: now.since(since).as_secs(),
            };
            (place, line)
        }));
        all.extend(self.strangers.iter().map(|((place, protocol), since)| {
            let line = Conflict {
                prefix: place.prefix.to_string(),
                kind: "foreign".to_owned(),
                used: format!("a kernel route of protocol {protocol}"),
                others: Vec::new(),
                since: now.since(*since).as_secs(),
            };
            (*place, line)
        }));
        all.sort_by_key(|(place, _)| *place);
        let wanted = all.into_iter().filter(|(place, _)| {
            part.within
                .is_none_or(|within| within.contains(&place.prefix))
                && part.after.is_none_or(|after| *place > after)
        });
        Ok(Found::first(wanted, part.limit))
    }

    async fn next_hops(&self, part: &Part<IpAddr>) -> Result<Found<NextHopLine, IpAddr>, Lost> {
        let limit = part.limit.min(MAX_PAGE);
        let behind = self.next_hops.iter().copied();
        let after = part.after;
        let addresses: Vec<IpAddr> = behind
            .filter(|address| after.is_none_or(|after| *address > after))
            .take(limit + 1)
            .collect();
        let look = move |fib: &mut Fib, _: Instant| -> Vec<(IpAddr, Resolution)> {
            let resolved = addresses.into_iter().map(|one| (one, fib.resolution(one)));
            resolved.collect()
        };
        let found = self.kernel.ask(look).await?;
        let lines = found.into_iter().map(|(address, resolution)| {
            let line = NextHopLine {
                address,
                reachable: resolution != Resolution::Unreachable,
                way: resolution.to_string(),
            };
            (address, line)
        });
        Ok(Found::first(lines, limit))
    }

    /// Has the kernel's tables read; the answer follows when they are.
    async fn audit(&mut self, reply: Reply<Audit>) -> Result<(), Lost> {
        self.audits.retain(|waiting| !waiting.is_closed());
        if self.audits.len() < MAX_AUDITS {
            self.audits.push(reply);
            self.kernel.ask(|fib, _| fib.ask_resync()).await?;
        }
        Ok(())
    }

    /// The kernel's tables have been read.
    pub(super) async fn answer_audits(&mut self) -> Result<(), Lost> {
        if self.audits.is_empty() {
            return Ok(());
        }
        let last = |fib: &mut Fib, _: Instant| audit_of(fib);
        let Some(answer) = self.kernel.ask(last).await? else {
            return Ok(());
        };
        for reply in self.audits.drain(..) {
            give(reply, answer.clone());
        }
        Ok(())
    }

    /// Takes everything of ours out of the kernel, for good.
    async fn flush(&mut self) -> Result<usize, Lost> {
        self.flushed = true;
        let remove = |fib: &mut Fib, _: Instant| {
            let count = fib.counts().wanted;
            fib.remove_all();
            fib.sweep(FamilySet::ALL);
            count
        };
        let count = self.kernel.ask(remove).await?;
        tracing::warn!(
            count,
            "all our kernel routes are removed by order, and stay so"
        );
        Ok(count)
    }
}

/// Nobody may be waiting any more.
fn give<T>(reply: Reply<T>, answer: T) {
    let _ = reply.send(answer);
}

/// The part of all routes that is asked for.
fn page(fib: &mut Fib, part: &Part<Place>, limit: usize) -> Vec<RouteStatus> {
    let mut after = part.after.map(|place| fib.key(place));
    let mut found = Vec::new();
    loop {
        let page = fib.statuses(after, MAX_PAGE);
        let inside = page.items.into_iter().filter(|status| {
            let prefix = &status.place.prefix;
            part.within.is_none_or(|within| within.contains(prefix))
        });
        found.extend(inside.take(limit + 1 - found.len()));
        match page.next {
            Some(next) if found.len() <= limit => after = Some(next),
            Some(_) | None => return found,
        }
    }
}

fn route_line(status: &RouteStatus, now: Instant) -> KernelRoute {
    let wanted = status.wanted.as_ref();
    KernelRoute {
        prefix: status.place.prefix.to_string(),
        table: status.place.table,
        metric: status.metric,
        wanted: wanted.map(words::wanted),
        device: wanted.and_then(words::device),
        state: words::state(&status.state, wanted.is_some()).to_owned(),
        since: status.since.map(|since| now.since(since).as_secs()),
        error: status.error.clone(),
        tries: status.tries,
    }
}

/// The last comparison with the kernel.
fn audit_of(fib: &Fib) -> Option<Audit> {
    let audit = fib.last_audit()?;
    let named = audit.differences.iter();
    let differences: Vec<Difference> = named.map(|one| difference(fib, one)).collect();
    Some(Audit {
        equal: audit.complete && audit.differing == 0,
        complete: audit.complete,
        checked: audit.compared,
        more: audit.differing.saturating_sub(differences.len()),
        differences,
    })
}

fn difference(fib: &Fib, difference: &bgp_fib::Difference) -> Difference {
    use bgp_fib::Difference as Kind;
    let (key, what) = match difference {
        Kind::Missing(key) => (key, "missing"),
        Kind::Differs(key) => (key, "differs"),
        Kind::Extra(key) => (key, "extra"),
    };
    let (table, prefix) = (key.table, key.prefix);
    let status = fib.status(Place { table, prefix });
    let wanted = status.as_ref().and_then(|status| status.wanted.as_ref());
    Difference {
        prefix: prefix.to_string(),
        table,
        what: what.to_owned(),
        wanted: wanted.map(words::wanted),
        error: status.and_then(|status| status.error),
    }
}
