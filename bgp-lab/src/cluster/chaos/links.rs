//! Nodes that die, carriers that go, racks that are apart, and addresses that nobody has.

use super::counters::Counters;
use super::{Finding, Scene, touches};
use crate::cluster::plan::{HOLD_TIME, NodeNumber};
use crate::cluster::probe::{PATIENCE, Streams};
use crate::{Error, Result};
use bgp_core::family::Family;
use std::thread;
use std::time::{Duration, Instant};

/// The node that dies or loses its carrier.
const VICTIM: NodeNumber = NodeNumber(6);
/// How long the carrier is away.
const CARRIER_AWAY: Duration = Duration::from_secs(2);
/// How long the racks are apart: longer than the hold time.
const APART: Duration = Duration::from_secs(15);
/// How long a dead node's block is waited for.
const LIMIT: Duration = Duration::from_secs(45);
/// How long packets go to an unused address: 300 of them.
const UNUSED: Duration = Duration::from_secs(3);

pub(super) fn node_dies(scene: &mut Scene<'_>) -> Result<Finding> {
    let block = VICTIM.block(Family::Ipv4Unicast, 0);
    let mark = scene.mark()?;
    let cut = Instant::now();
    scene.cluster.fabric.plug(VICTIM.site(), false)?;
    let took = scene.timed(cut, LIMIT, |cluster| {
        cluster.everywhere(&block, VICTIM, false)
    })?;
    scene.cluster.fabric.plug(VICTIM.site(), true)?;
    // Its own packets are lost with it; nobody else may lose one.
    let bound = Duration::from_secs(HOLD_TIME.into()) + Duration::from_millis(500);
    Ok(Finding::of(scene, &mark, |path| !touches(path, VICTIM))?
        .without_loss()
        .within("gone", took, bound))
}

pub(super) fn carrier(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    scene.cluster.fabric.carrier(VICTIM.site(), false)?;
    thread::sleep(CARRIER_AWAY);
    let back = Instant::now();
    scene.cluster.fabric.carrier(VICTIM.site(), true)?;
    let finding = Finding::since(scene, &mark)?;
    let took = finding.last_loss(back);
    Ok(finding.within("works", Some(took), Duration::from_millis(300)))
}

pub(super) fn partition(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    scene.cluster.fabric.partition(true)?;
    thread::sleep(APART);
    let joined = Instant::now();
    scene.cluster.fabric.partition(false)?;
    scene.cluster.wait_routes(LIMIT)?;
    let finding = Finding::since(scene, &mark)?;
    let took = finding.last_loss(joined);
    let inside = Finding::of(scene, &mark, |path| {
        rack(&path.from.to_string()) == rack(&path.to.to_string())
    })?;
    let lost = inside.figures.lost;
    Ok(finding
        .within("works", Some(took), Duration::from_millis(500))
        .demand(lost == 0, || format!("{lost} lost within a rack")))
}

/// The rack of a workload, by the third number of its address.
fn rack(address: &str) -> Option<u8> {
    let node = address.split('.').nth(2)?.parse().ok()?;
    Some(NodeNumber(node).site().rack)
}

pub(super) fn unused_address(scene: &mut Scene<'_>) -> Result<Finding> {
    let owner = NodeNumber(2);
    let address = owner.unused(Family::Ipv4Unicast);
    let workload = scene.cluster.workloads.first();
    let from = workload.ok_or_else(|| Error::Check("there are no workloads".to_owned()))?;
    let path = scene
        .cluster
        .path(from, address, "nobody", Family::Ipv4Unicast);
    let before = Counters::read(scene.cluster)?;
    let mark = scene.mark()?;
    let stream = Streams::start(&[path])?;
    thread::sleep(UNUSED + PATIENCE);
    let figures = stream.figures(mark.at, mark.at + UNUSED, |_| true);
    drop(stream);
    let after = Counters::read(scene.cluster)?;
    let icmp = after.icmp.saturating_sub(before.icmp);
    let answered = figures.sent.saturating_sub(figures.lost);
    let way = scene
        .cluster
        .way(owner, &owner.block(Family::Ipv4Unicast, 0))?;
    let finding = Finding::since(scene, &mark)?.without_loss();
    let expired = finding.expired;
    Ok(finding
        .measured(format!(
            "{} sent, {answered} answered, {icmp} ICMP",
            figures.sent
        ))
        .demand(answered == 0, || format!("{answered} answered"))
        .demand(expired == 0, || format!("{expired} ran out of hops"))
        .demand(icmp <= 10, || format!("{icmp} ICMP messages"))
        .demand(way == Some(super::Way::Blackhole), || {
            format!("at its owner: {way:?}")
        }))
}
