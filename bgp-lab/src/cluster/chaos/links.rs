//! Nodes that die, carriers that go, racks that are apart, and addresses that nobody has.

use super::counters::Counters;
use super::speakers::End;
use super::{Finding, Scene, Way, touches};
use crate::cluster::plan::{HOLD_TIME, NodeNumber};
use crate::cluster::probe::{self, PATIENCE};
use crate::cluster::watch::{self, Watch};
use crate::{Error, Result, wait};
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
/// How many packets go to an unused address, and the pause between two of them.
const UNUSED: u64 = 1_000;
const UNUSED_PAUSE: Duration = Duration::from_millis(1);
/// So many packets pass or ICMP messages are sent in that time for other reasons: sessions between
/// the racks, a neighbour that is looked for.
const UNRELATED: u64 = 200;

pub(super) fn node_dies(scene: &mut Scene<'_>) -> Result<Finding> {
    let block = VICTIM.block(Family::Ipv4Unicast, 0);
    let mark = scene.mark()?;
    let others = scene.cluster.nodes.iter();
    let watches = others
        .filter(|node| node.number != VICTIM)
        .map(|node| Watch::start(&node.namespace))
        .collect::<Result<Vec<Watch>>>()?;
    let cut = Instant::now();
    scene.cluster.fabric.plug(VICTIM.site(), false)?;
    scene.end_speaker(VICTIM, End::Killed)?;
    let gone = wait::until("the end of its block", LIMIT, || {
        match scene.cluster.everywhere(&block, VICTIM, false) {
            Ok(true) => Ok(()),
            Ok(false) => Err("it is still in a kernel".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    let mut took = gone.ok().map(|()| Duration::ZERO);
    for watch in watches {
        let last = watch::gone(&watch.finish()?, &block);
        let after = last.map(|last| last.saturating_duration_since(cut));
        took = took.zip(after).map(|(longest, one)| longest.max(one));
    }
    scene.cluster.fabric.plug(VICTIM.site(), true)?;
    scene.cluster.node(VICTIM)?.speaker.start()?;
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

pub(super) fn carrier_with_objects(scene: &mut Scene<'_>) -> Result<Finding> {
    if !scene.restart_with_objects(true)? {
        let mark = scene.mark()?;
        let finding = Finding::since(scene, &mark)?;
        return Ok(finding.measured("the speaker has no such setting".to_owned()));
    }
    let finding = carrier(scene)?;
    scene.restart_with_objects(false)?;
    Ok(finding)
}

impl Scene<'_> {
    /// Restarts the victim with its routes through nexthop objects, or without; `false` when its
    /// speaker cannot do that.
    fn restart_with_objects(&mut self, objects: bool) -> Result<bool> {
        let speaker = &mut self.cluster.node(VICTIM)?.speaker;
        if !speaker.use_next_hop_objects(objects) {
            return Ok(false);
        }
        speaker.terminate()?;
        speaker.start()?;
        self.settle()?;
        Ok(true)
    }
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
    let (namespace, path) = scene
        .cluster
        .path(from, address, "nobody", Family::Ipv4Unicast);
    scene.streams.pause(true);
    thread::sleep(PATIENCE);
    let before = Counters::read(scene.cluster)?;
    let answered = probe::burst(namespace, &path, UNUSED, UNUSED_PAUSE)?;
    let after = Counters::read(scene.cluster)?;
    scene.streams.pause(false);
    let mark = scene.mark()?;
    let icmp = after.icmp_since(&before);
    let expired = after.expired_since(&before);
    let most = UNUSED + UNRELATED;
    let mut faults = Vec::new();
    let mut hops = 0;
    for (place, passed) in after.forwarded_since(&before) {
        let allowed = if place == owner.name() {
            UNRELATED
        } else {
            most
        };
        if passed > allowed {
            faults.push(format!("{place} passed on {passed} packets"));
        }
        hops += passed;
    }
    let way = scene
        .cluster
        .way(owner, &owner.block(Family::Ipv4Unicast, 0))?;
    Ok(Finding::since(scene, &mark)?
        .without_loss()
        .measured(format!(
            "{UNUSED} sent, {answered} answered, passed on {hops} times in all, {icmp} ICMP"
        ))
        .demand(answered == 0, || format!("{answered} answered"))
        .demand(expired == 0, || format!("{expired} ran out of hops"))
        .demand(icmp <= UNRELATED, || format!("{icmp} ICMP messages"))
        .demand(faults.is_empty(), || faults.join(", "))
        .demand(way == Some(Way::Blackhole), || {
            format!("at its owner: {way:?}")
        }))
}
