//! Blocks and workloads that move to another node, and blocks that two nodes claim.

use super::{Finding, Scene};
use crate::cluster::plan::{NodeNumber, WORKLOADS, WorkloadNumber};
use crate::cluster::wiring::WorkloadLink;
use crate::netns::ReadyIp;
use crate::{Error, Result};
use bgp_core::family::Family;
use std::thread;
use std::time::{Duration, Instant};

/// Whose block and workloads move.
const FROM: NodeNumber = NodeNumber(5);
/// Where they move: to the other rack.
const TO: NodeNumber = NodeNumber(2);
/// How long packets to workloads that move with their block may be lost.
const GAP: Duration = Duration::from_millis(20);
/// How long a workload is away before its block follows.
const AHEAD: Duration = Duration::from_secs(2);
/// How long both nodes lead to a workload that moves ahead of its block.
const OVERLAP: Duration = Duration::from_millis(500);
/// How long two nodes claim a block, and how long its winner must stay the same.
const CLAIMED: Duration = Duration::from_secs(3);
/// How long routes are waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// A workload whose second link is ready.
struct Mover {
    number: WorkloadNumber,
    link: WorkloadLink,
    /// Editors in the new node, the workload and the old node.
    editors: [ReadyIp; 3],
}

impl Scene<'_> {
    /// Links the workloads of [`FROM`] to `node` as well, with no route through it yet.
    fn prepare(&mut self, old: NodeNumber, new: NodeNumber) -> Result<Vec<Mover>> {
        let mut movers = Vec::new();
        for index in 0..WORKLOADS {
            let number = WorkloadNumber { node: FROM, index };
            let new_node = self.cluster.node(new)?.namespace.clone();
            let old_node = self.cluster.node(old)?.namespace.clone();
            let workload = self.workload(number)?;
            let link = WorkloadLink {
                workload: number,
                link: workload.link.link + 1,
            };
            link.connect(&new_node, &workload.namespace)?;
            let editors = [
                new_node.ready_ip()?,
                workload.namespace.ready_ip()?,
                old_node.ready_ip()?,
            ];
            movers.push(Mover {
                number,
                link,
                editors,
            });
        }
        Ok(movers)
    }

    fn workload(&mut self, number: WorkloadNumber) -> Result<&mut crate::cluster::Workload> {
        let mut workloads = self.cluster.workloads.iter_mut();
        workloads
            .find(|workload| workload.number == number)
            .ok_or_else(|| Error::Check(format!("there is no {}", number.name())))
    }

    /// Moves the workloads: first the new node leads to them, then they lead to it, then, after
    /// `overlap`, the old one no longer leads to them.
    fn move_workloads(
        &mut self,
        movers: Vec<Mover>,
        to: NodeNumber,
        overlap: Duration,
    ) -> Result<()> {
        let mut rest = Vec::new();
        for mover in movers {
            let [new, inside, old] = mover.editors;
            new.run(&mover.link.host_routes("add"))?;
            inside.run(&mover.link.default_routes())?;
            let workload = self.workload(mover.number)?;
            rest.push((old, workload.link));
            workload.link = mover.link;
            workload.at = to;
        }
        thread::sleep(overlap);
        for (old, link) in rest {
            old.run(&link.host_routes("del"))?;
        }
        Ok(())
    }

    /// Removes the links to the node that the workloads have left.
    fn cut_old_links(&mut self, old: NodeNumber) -> Result<()> {
        for index in 0..WORKLOADS {
            let device = WorkloadNumber { node: FROM, index }.device();
            let node = self.cluster.node(old)?;
            node.namespace.ip(&format!("link del {device}"))?;
        }
        Ok(())
    }

    /// Hands the block over: its new owner has it before its old one gives it up.
    fn move_block(&mut self, old: NodeNumber, new: NodeNumber) -> Result<()> {
        let block = FROM.block(Family::Ipv4Unicast, 0);
        self.cluster.change_block(new, block, true)?;
        self.cluster.change_block(old, block, false)
    }

    /// Brings block and workloads back where they belong, without haste.
    fn move_back(&mut self) -> Result<()> {
        let movers = self.prepare(TO, FROM)?;
        self.move_workloads(movers, FROM, OVERLAP)?;
        self.move_block(TO, FROM)?;
        self.cut_old_links(TO)
    }
}

pub(super) fn block(scene: &mut Scene<'_>) -> Result<Finding> {
    let movers = scene.prepare(FROM, TO)?;
    let mark = scene.mark()?;
    scene.move_workloads(movers, TO, Duration::ZERO)?;
    scene.move_block(FROM, TO)?;
    scene.cluster.wait_routes(LIMIT)?;
    let finding = Finding::since(scene, &mark)?;
    scene.cut_old_links(FROM)?;
    scene.move_back()?;
    let (gap, expired) = (finding.figures.longest_gap, finding.expired);
    let bound = GAP * finding.patience;
    Ok(finding
        .demand(gap <= bound, || format!("a gap of {}", super::seconds(gap)))
        .demand(expired == 0, || format!("{expired} ran out of hops")))
}

pub(super) fn workload_first(scene: &mut Scene<'_>) -> Result<Finding> {
    let movers = scene.prepare(FROM, TO)?;
    let mark = scene.mark()?;
    scene.move_workloads(movers, TO, OVERLAP)?;
    thread::sleep(AHEAD.saturating_sub(OVERLAP));
    scene.move_block(FROM, TO)?;
    scene.cluster.wait_routes(LIMIT)?;
    let finding = Finding::since(scene, &mark)?.without_loss();
    scene.cut_old_links(FROM)?;
    scene.move_back()?;
    let expired = finding.expired;
    Ok(finding.demand(expired == 0, || format!("{expired} ran out of hops")))
}

pub(super) fn two_owners(scene: &mut Scene<'_>) -> Result<Finding> {
    let family = Family::Ipv4Unicast;
    let block = TO.block(family, 2);
    let owners = [TO, FROM];
    let mark = scene.mark()?;
    for owner in owners {
        scene.cluster.change_block(owner, block, true)?;
    }
    thread::sleep(CLAIMED);
    let first = scene.winners(&block, &owners)?;
    let mut changes = 0;
    let watch = Instant::now();
    while watch.elapsed() < CLAIMED {
        if scene.winners(&block, &owners)? != first {
            changes += 1;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let mut silent = Vec::new();
    let mut said = String::new();
    for node in &scene.cluster.nodes {
        let words = node.speaker.words_about(&block.to_string());
        if let Some(line) = words.iter().find(|line| names_both(line, &owners)) {
            said.clone_from(line);
        } else {
            silent.push(node.number.name());
        }
    }
    for owner in owners {
        scene.cluster.change_block(owner, block, false)?;
    }
    scene.timed(Instant::now(), LIMIT, |cluster| {
        cluster.everywhere(&block, NodeNumber(0), false)
    })?;
    let agreed = first.iter().all(|winner| Some(winner) == first.first());
    Ok(Finding::since(scene, &mark)?
        .without_loss()
        .measured(said)
        .demand(agreed, || format!("no common winner: {first:?}"))
        .demand(changes == 0, || {
            format!("seen in another state {changes} times")
        })
        .demand(silent.is_empty(), || {
            format!("nothing about both owners at {}", silent.join(", "))
        }))
}

/// Whether a line names both owners, by name or by address.
fn names_both(line: &str, owners: &[NodeNumber]) -> bool {
    owners.iter().all(|owner| {
        let address = owner.site().address(Family::Ipv4Unicast).to_string();
        line.contains(&owner.name()) || line.contains(&address)
    })
}

impl Scene<'_> {
    /// To whom the nodes that do not own `block` send its packets, as far as their kernels tell:
    /// the gateways, which differ between racks, are mapped to the owner that they stand for.
    fn winners(
        &mut self,
        block: &bgp_core::prefix::IpNet,
        owners: &[NodeNumber],
    ) -> Result<Vec<String>> {
        let family = Family::Ipv4Unicast;
        let mut winners = Vec::new();
        for number in self.cluster.numbers() {
            if owners.contains(&number) {
                continue;
            }
            let way = self.cluster.way(number, block)?;
            let text = way.map_or_else(|| "nobody".to_owned(), |way| way.to_string());
            // Through the router stands for the owner in the other rack.
            let winner = owners.iter().find(|owner| {
                let direct = text.starts_with(&owner.site().address(family).to_string());
                let router = crate::cluster::plan::Site::router(number.site().rack);
                let through = text.starts_with(&format!("{} ", router.address(family)))
                    && owner.site().rack != number.site().rack;
                direct || through
            });
            winners.push(winner.map_or(text, |owner| owner.name()));
        }
        Ok(winners)
    }
}
